"""What is said of a step is what the analyses say of the network as it was then."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

import probekit
from analyses import selectivity, semantics, sparsity, training
from probekit.denoising.denoiser import Denoiser
from probekit.evaluation.psnr import psnr_curve
from probekit.images import ImageSet
from probekit.models.unet import UNet
from probekit.train import Recipe, at_step, train

DRAWN: dict[str, Any] = {"resamples": 100, "level": 0.9, "seed": 3}
HOW: dict[str, Any] = {"sigma": (0.1, 0.4), "draws": 3, **DRAWN}
PLACE = ("sigma", "block")


def photographs() -> ImageSet:
    return probekit.images.load("samples", size=32).subset(range(0, 357, 7))


def run_in(folder: Path, **recipe: float) -> Denoiser:
    torch.manual_seed(0)
    model = UNet((4, 8), decoder_convs=(2,))
    chosen = Recipe(**{"steps": 6, "batch_size": 4, "lr": 1e-2, "ema": 0.5} | recipe)  # pyright: ignore[reportArgumentType]
    return train(model, photographs(), recipe=chosen, out=folder, keep_every=3, progress=False, device="cpu")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Denoiser, Path]:
    folder = tmp_path_factory.mktemp("run")
    return run_in(folder), folder


@pytest.mark.parametrize("averaged", [True, False])
def test_the_numbers_of_a_step_are_those_of_the_network_as_it_was_then(
    run: tuple[Denoiser, Path], averaged: bool
) -> None:
    denoiser, folder = run
    found = training.analyse(denoiser, folder, photographs(), settings=training.Settings(averaged=averaged, **HOW))
    assert found.step.values.tolist() == [0, 3, 6]
    for step in (0, 3, 6):
        then = at_step(denoiser, folder, step, averaged=averaged)
        data = probekit.tap(then, "enc1", "mid")(photographs(), sigma=[0.1, 0.4], draws=3, seed=3)
        here = found.sel(step=step)
        ratio = sparsity.analyse(data, **DRAWN).sparsity.sel(measure="participation_ratio", vector="phi")
        xr.testing.assert_allclose(here.participation_ratio.variable, ratio.transpose(*PLACE).variable)
        types = selectivity.analyse(data, **DRAWN).fraction
        np.testing.assert_array_equal(here.fraction, types.transpose("kind", *PLACE))
        again = semantics.stability(data, reference=0.1, distances=["euclidean"], **DRAWN).top1.sel(noise="shared")
        np.testing.assert_array_equal(here.found_again, again.sel(distance="euclidean").transpose(*PLACE))
        near = semantics.neighbours(data, k=1, distances=["euclidean", "standardised"], **DRAWN)
        np.testing.assert_array_equal(here.same_label, near.precision.transpose(*PLACE, "distance"))
        assert float(found.same_label_chance) == float(near.precision_chance)
        psnr = psnr_curve(then, photographs(), sigma=[0.1, 0.4], seed=3).mean("image")
        np.testing.assert_allclose(here.psnr, psnr, rtol=1e-6)


def test_where_training_changes_nothing_nothing_changes_from_step_to_step(tmp_path: Path) -> None:
    denoiser = run_in(tmp_path, lr=1e-30)
    found = training.analyse(denoiser, tmp_path, photographs(), settings=training.Settings(**HOW))
    for name, one in found.data_vars.items():
        if "step" in one.dims:
            np.testing.assert_array_equal(one, one.isel(step=[0, 0, 0]), err_msg=str(name))


def test_steps_that_are_asked_for_are_those_of_the_whole(run: tuple[Denoiser, Path]) -> None:
    denoiser, folder = run
    whole = training.analyse(denoiser, folder, photographs(), settings=training.Settings(**HOW))
    part = training.analyse(denoiser, folder, photographs(), settings=training.Settings(steps=[6, 0], **HOW))
    assert part.step.values.tolist() == [0, 6]
    xr.testing.assert_equal(part, whole.isel(step=[0, 2]))


def test_the_order_of_images_changes_nothing(run: tuple[Denoiser, Path]) -> None:
    denoiser, folder = run
    settings = training.Settings(steps=[6], n_images=30, **HOW)
    one = training.analyse(denoiser, folder, photographs(), settings=settings)
    turned = photographs().subset(range(len(photographs()) - 1, -1, -1))
    other = training.analyse(denoiser, folder, turned, settings=settings)
    xr.testing.assert_allclose(one, other, rtol=1e-5)


def test_what_is_kept_is_taken_up_and_what_was_made_otherwise_is_made_again(
    run: tuple[Denoiser, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    denoiser, folder = run
    settings = training.Settings(**HOW)
    one = training.analyse(denoiser, folder, photographs(), settings=settings, store=tmp_path / "kept")
    assert sorted(path.name for path in (tmp_path / "kept").iterdir()) == [f"{s:08d}.nc" for s in (0, 3, 6)]
    measured = []
    analyse = sparsity.analyse
    monkeypatch.setattr(sparsity, "analyse", lambda *given, **how: measured.append(1) or analyse(*given, **how))
    again = training.analyse(denoiser, folder, photographs(), settings=settings, store=tmp_path / "kept")
    xr.testing.assert_identical(one, again)
    assert not measured
    (tmp_path / "kept/00000003.nc").unlink()
    training.analyse(denoiser, folder, photographs(), settings=settings, store=tmp_path / "kept")
    assert len(measured) == 1
    some = training.Settings(steps=[6], **HOW)
    training.analyse(denoiser, folder, photographs(), settings=some, store=tmp_path / "kept")
    assert len(measured) == 1
    other = training.Settings(**{**HOW, "draws": 2})
    training.analyse(denoiser, folder, photographs(), settings=other, store=tmp_path / "kept")
    training.analyse(denoiser, folder, photographs().subset(range(40)), settings=other, store=tmp_path / "kept")
    assert len(measured) == 7
