"""What training is not given in full, its figure, and its command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from matplotlib.figure import Figure

import probekit
from analyses import training
from probekit.denoising.denoiser import Denoiser
from probekit.errors import InputError
from probekit.images import ImageSet
from probekit.models import zoo
from probekit.models.unet import UNet
from probekit.train import Recipe, train

QUICK: dict[str, Any] = {"draws": 2, "resamples": 100}


def photographs() -> ImageSet:
    return probekit.images.load("samples", size=32).subset(range(0, 357, 12))


def run_in(folder: Path, keep_every: int | None = 2) -> Denoiser:
    torch.manual_seed(0)
    recipe = Recipe(steps=2, batch_size=4)
    model = UNet((4, 8), decoder_convs=(2,))
    return train(model, photographs(), recipe=recipe, out=folder, keep_every=keep_every, progress=False)


def test_one_noise_level_finds_no_image_again_and_images_without_labels_have_no_neighbours_of_one(
    tmp_path: Path,
) -> None:
    denoiser = run_in(tmp_path)
    unlabelled = photographs().read(range(25))
    found = training.analyse(
        denoiser, tmp_path, unlabelled, settings=training.Settings(sigma=0.2, taps=["mid"], **QUICK)
    )
    assert set(found.data_vars) >= {"participation_ratio", "fraction", "psnr"}
    assert not {"found_again", "same_label", "same_label_chance"} & set(found.data_vars)
    assert [axis.get_title() for axis in training.plot(found).axes] == [
        "participation ratio, σ = 0.2",
        "share of selective channels, σ = 0.2",
        "share of silent channels, σ = 0.2",
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"draws": 0}, "draws=0"),
        ({"sigma": -1}, "sigma"),
        ({"steps": [1.5]}, "steps=1.5"),
        ({"steps": "all"}, "steps='all'"),
        ({"taps": []}, "taps"),
        ({"taps": 3}, "taps=3"),
        ({"averaged": "yes"}, "averaged='yes'"),
        ({"n_images": 0}, "n_images=0"),
        ({"resamples": 3}, "resamples=3"),
        ({"clusters": 1}, "clusters=1"),
    ],
)
def test_settings_that_mean_nothing_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        training.Settings(**options)


def test_runs_that_kept_nothing_and_steps_that_were_not_kept_are_refused(tmp_path: Path) -> None:
    denoiser = run_in(tmp_path / "none", keep_every=None)
    with pytest.raises(InputError, match="holds weights of no step: train with keep_every"):
        training.analyse(denoiser, tmp_path / "none", photographs())
    with pytest.raises(InputError, match="holds no checkpoint"):
        training.analyse(denoiser, tmp_path / "nowhere", photographs())
    run_in(tmp_path / "run")
    for steps, said in (([1], "step 1 was not kept in"), ([], "steps is empty")):
        with pytest.raises(InputError, match=f"{said}.*: give some of the 2 steps from 0 to 2"):
            training.analyse(denoiser, tmp_path / "run", photographs(), settings=training.Settings(steps=steps))
    with pytest.raises(InputError, match="are those of another network"):
        training.analyse(Denoiser(UNet((6, 8))), tmp_path / "run", photographs())
    with pytest.raises(InputError, match=r"give a probekit\.Denoiser"):
        training.analyse("photo32", tmp_path / "run", photographs())  # pyright: ignore[reportArgumentType]


def test_the_figure_shows_every_measure_at_the_noise_level_asked_for(tmp_path: Path) -> None:
    denoiser = run_in(tmp_path)
    found = training.analyse(denoiser, tmp_path, photographs(), settings=training.Settings(**QUICK))
    figure = training.plot(found, sigma=0.3)
    assert isinstance(figure, Figure)
    assert [axis.get_title().partition(", ")[0] for axis in figure.axes] == [
        "participation ratio",
        "share of selective channels",
        "share of silent channels",
        "found again",
        "nearest of the same label",
    ]
    with pytest.raises(InputError, match=r"sigma=0\.5.*one of the noise levels 0\.1, 0\.3"):
        training.plot(found, sigma=0.5)
    with pytest.raises(InputError, match=r"training\.analyse returns"):
        training.plot(found.drop_vars("psnr"))


def test_the_command_writes_findings_and_figure_and_goes_on_from_what_it_kept(tmp_path: Path, capsys) -> None:
    denoiser = run_in(tmp_path / "run")
    path = zoo.save(denoiser, tmp_path / "tiny.safetensors")
    words = [str(tmp_path / "run"), "samples", "--network", str(path), "--size", "32", "--draws", "2", "--tap", "mid"]
    more = ["--resamples", "100", "--n-images", "30", "--store", str(tmp_path / "kept"), "-o", str(tmp_path / "out")]
    assert training.main([*words, *more]) == 0
    assert capsys.readouterr().out.splitlines() == [str(tmp_path / "out" / f"training.{end}") for end in ("nc", "png")]
    assert len(list((tmp_path / "kept").glob("*.nc"))) == 2
    assert training.main([str(tmp_path / "nowhere"), *words[1:], *more]) == 1
    assert "holds no checkpoint" in capsys.readouterr().err
