"""The command that trains in parts, on crops, in half precision, and compares what it made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from probekit.cli import app
from probekit.errors import InputError
from probekit.models import zoo
from probekit.models.unet import UNet
from probekit.train import progress_of


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three folders of 20×24 PNGs: two parts of a training set and what is held out."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for name, count in (("a", 5), ("b", 4), ("val", 3)):
        (folder / name).mkdir()
        for i in range(count):
            pixels = rng.integers(0, 256, (20, 24, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{i}.png")
    return folder


def trained(pictures: Path, out: Path, *more: Any) -> str:
    """What the command prints, its errors raised."""
    arguments = [
        *("train", pictures / "a", pictures / "b", "--out", out, "--held-out", pictures / "val", "--name", "tiny"),
        *("--size", 16, "--channels", "4,8", "--steps", 3, "--batch-size", 4, "--device", "cpu", "--quiet", *more),
    ]
    result = CliRunner().invoke(app, list(map(str, arguments)))
    if result.exception is not None:
        raise result.exception
    return result.output


def card_of(out: Path) -> dict[str, Any]:
    return zoo.describe(out / "tiny.safetensors")["card"]


def test_a_run_in_parts_says_where_it_stopped_and_ends_with_the_weights_of_a_whole_one(
    pictures: Path, tmp_path: Path
) -> None:
    trained(pictures, tmp_path / "whole")
    for step in (1, 2):
        said = trained(pictures, tmp_path / "parts", "--minutes", 0)
        assert said == f"stopped after {step} of 3 steps: the same command goes on from there\n"
        assert not list((tmp_path / "parts").glob("tiny*"))
    assert "wrote" in trained(pictures, tmp_path / "parts", "--minutes", 0)
    whole, parts = (zoo.describe(tmp_path / p / "tiny.safetensors") for p in ("whole", "parts"))
    assert whole["weights_sha256"] == parts["weights_sha256"]
    assert whole["card"]["psnr"] == parts["card"]["psnr"]


def test_what_was_stopped_can_be_exported_as_it_is(pictures: Path, tmp_path: Path) -> None:
    trained(pictures, tmp_path, "--minutes", 0)
    assert "wrote" in trained(pictures, tmp_path, "--export")
    assert card_of(tmp_path)["steps"] == progress_of(tmp_path)["step"] == 1


def test_crops_are_of_the_side_given_and_so_are_the_images_that_they_are_measured_on(
    pictures: Path, tmp_path: Path
) -> None:
    trained(pictures, tmp_path, "--crop", 8)
    card = card_of(tmp_path)
    assert (card["recipe"]["crop"], card["data"]["size"]) == (8, 16)
    # The noisy images' mean square over 3 images of 3 × 8 × 8: five standard deviations of 576 normals, in dB. Of
    # 16 × 16 it would be another number, so the bound is not all that is asked: whole images give other numbers.
    noisy = np.array(card["psnr"]["noisy"]) + 20 * np.log10(card["psnr"]["sigma"])
    assert np.abs(noisy).max() < -10 * np.log10(1 - 5 * (2 / 576) ** 0.5)
    trained(pictures, tmp_path / "whole", "--size", 8)
    whole = card_of(tmp_path / "whole")["psnr"]
    assert np.allclose(whole["noisy"], card["psnr"]["noisy"], atol=0.011)
    assert whole["patch_wiener"] != card["psnr"]["patch_wiener"]


def test_the_card_names_precision_and_the_row_of_training_images(pictures: Path, tmp_path: Path) -> None:
    said = trained(pictures, tmp_path, "--precision", "bf16")
    card = card_of(tmp_path)
    assert card["precision"] == "bf16"
    assert card["psnr"]["training_count"] == 3
    names = ("sigma", "denoiser", "noisy", "gaussian blur", "patch wiener", "on training")
    rows = said.splitlines()[1:-1]
    assert all(row.strip().startswith(f"{name} ") for row, name in zip(rows, names, strict=True))


def test_another_denoiser_is_measured_beside_it(pictures: Path, tmp_path: Path) -> None:
    trained(pictures, tmp_path / "first")
    first = tmp_path / "first/tiny.safetensors"
    renamed = zoo.save(zoo.load(first), tmp_path / "other.safetensors")
    trained(pictures, tmp_path / "second", "--compare", renamed)
    # The same training again: the same weights, up to half precision in the one that is compared.
    table = card_of(tmp_path / "second")["psnr"]
    np.testing.assert_allclose(table["other"], table["denoiser"], atol=0.02)


def test_a_denoiser_that_cannot_take_the_images_is_refused_before_anything_is_trained(
    pictures: Path, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    deep = UNet((2,) * 6, encoder_convs=(1,) * 5, middle_convs=1, decoder_convs=(2,) * 5)
    path = zoo.save(deep, tmp_path / "deep.safetensors")
    with pytest.raises(InputError, match=r"--compare .*deep\.safetensors: images of 16×16 .*multiples of 32"):
        trained(pictures, tmp_path / "run", "--compare", path)
    assert not (tmp_path / "run").exists()


def test_a_crop_that_the_card_cannot_be_measured_on_is_refused(pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--crop 4: the card's reference filters 8×8 patches; give at least 8"):
        trained(pictures, tmp_path, "--crop", 4)
