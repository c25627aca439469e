"""What generalisation accepts, refuses and writes: its figures, its entry in a card, its command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from PIL import Image

from analyses import generalisation
from probekit.errors import InputError
from probekit.models import zoo
from probekit.models.unet import UNet
from tests.analyses.generalisation.making import LAW, SAMPLES


def test_sets_of_different_sizes_are_refused(known: Any) -> None:
    with pytest.raises(InputError, match="bring them to one size"):
        generalisation.analyse(LAW, known, LAW.draw(40, rows=8, cols=10, seed=1).images)


def test_the_figure_shows_the_samples_nearest_to_training_images_first(by_heart: xr.Dataset) -> None:
    figure = generalisation.plot(by_heart, most=5)
    titles = [axis.get_title() for axis in figure.axes if axis.get_images()]
    assert titles[:5] == ["0.00"] * 5


@pytest.mark.parametrize("columns", [1, 7, 100])
def test_the_sheet_shows_every_sample_once_and_no_training_image(by_heart: xr.Dataset, columns: int) -> None:
    shown = [
        np.asarray(a.get_images()[0].get_array())
        for a in generalisation.sheet(by_heart, columns=columns).axes
        if a.get_images()
    ]
    assert len(shown) == SAMPLES
    for picture, sample in zip(shown, by_heart.samples.values, strict=True):
        np.testing.assert_array_equal(picture, np.clip(sample[0].astype(float), 0, 1))


def test_the_card_says_what_was_found(honest: xr.Dataset, by_heart: xr.Dataset) -> None:
    for findings, copies in ((by_heart, SAMPLES), (honest, int(honest.near_copy.sum()))):
        entry = json.loads(json.dumps(generalisation.card_entry(findings)))
        assert (entry["samples"], entry["near_copies"]) == (SAMPLES, copies)
        assert entry["near_copy_rate_low"] <= copies / SAMPLES <= entry["near_copy_rate_high"]
        np.testing.assert_allclose(entry["gap"], findings.gap, atol=0.005)
        assert entry["sigma"] == [0.1, 0.5]


@pytest.mark.parametrize(
    ("options", "message"),
    [(("--device", "cuda:99"), "device='cuda:99'"), (("-o", __file__), "is no folder: give the path of one")],
)
def test_what_cannot_be_done_is_said_before_images_are_read(
    capsys: pytest.CaptureFixture[str], options: tuple[str, ...], message: str
) -> None:
    arguments = ["--denoiser", "photo32", "--train", "nowhere", "--held-out", "nowhere", *options]
    assert generalisation.main(arguments) == 1
    assert message in capsys.readouterr().err


def test_the_command_writes_findings_and_figure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    for name in ("train", "val"):
        (tmp_path / name).mkdir()
        for i in range(9):
            Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(tmp_path / name / f"{i}.png")
    torch.manual_seed(0)
    model = UNet((4, 8), encoder_convs=(1,), middle_convs=1, decoder_convs=(2,))
    path = zoo.save(model, tmp_path / "tiny.safetensors")
    options = ["--size", "8", "--samples", "4", "--share", "0.2", "--device", "cpu", "-o", str(tmp_path / "out")]
    sources = ["--train", str(tmp_path / "train"), "--held-out", str(tmp_path / "val")]
    card = ["--card", str(path.with_suffix(".json"))]
    assert generalisation.main(["--denoiser", str(path), *sources, *options, *card]) == 0
    written = capsys.readouterr().out.splitlines()
    assert [Path(line).name for line in written] == [
        "generalisation.nc",
        "generalisation.png",
        "samples.png",
        "tiny.json",
    ]
    assert zoo.describe(path)["card"]["generalisation"]["samples"] == 4
    zoo.load(path)
    back = xr.load_dataset(written[0], engine="h5netcdf")
    assert back.sizes["sample"] == 4
    assert back.attrs["denoiser"] == "tiny"
    assert generalisation.main(["--denoiser", "photo32", *sources, *options, *card]) == 1
    assert "other weights than those of photo32" in capsys.readouterr().err
    assert generalisation.main(["--denoiser", "nobody", *sources, *options]) == 1
    assert "no bundled denoiser 'nobody'" in capsys.readouterr().err
