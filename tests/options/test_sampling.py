"""Bad options of everything public in sampling: one clear error each."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

import probekit
from analyses import sampling
from probekit.errors import ProbeError
from tests.analyses.sampling.making import LEVELS, SHAPE, drawn, made, measured, patches

MODEL = patches()
IMAGES = drawn(MODEL)
TAP = probekit.tap(MODEL, "mid")


@cache
def phi() -> xr.Dataset:
    return measured(MODEL, IMAGES)


@cache
def samples() -> xr.Dataset:
    return made(MODEL, IMAGES)


def sampled(**options: Any) -> Any:
    return made(MODEL, IMAGES, **options)


def of_images(images: Any = IMAGES, sigmas: Any = LEVELS, tap: Any = TAP, **options: Any) -> Any:
    return sampling.Condition.from_images(tap, images, sigmas, **options)


def of_phi(data: Any = None, sigmas: Any = LEVELS, shape: Any = SHAPE, tap: Any = TAP) -> Any:
    return sampling.Condition.from_phi(tap, phi() if data is None else data, sigmas, shape=shape)


def matched(**options: Any) -> Any:
    return sampled(match=sampling.Match(**options))


def mixed(shares: Any) -> Any:
    return sampling.interpolate(phi().isel(image=[0]), phi().isel(image=[1]), shares)


def described(**options: Any) -> Any:
    return sampling.describe(samples(), **options)


def free(**options: Any) -> Any:
    return sampling.sample(MODEL, **{"shape": SHAPE, "n_samples": 1, **options})


BAD: list[tuple[Callable[[], Any], str]] = [
    # reconstruct, and the options of its methods.
    (lambda: sampling.reconstruct(MODEL, None, IMAGES), r"tap=None: give a tap, probekit\.tap"),  # pyright: ignore[reportArgumentType]
    (lambda: sampling.reconstruct(MODEL, "mid", IMAGES), "tap='mid': give a tap"),  # pyright: ignore[reportArgumentType]
    (lambda: sampling.reconstruct(MODEL, TAP, 3), "images"),
    (lambda: sampling.reconstruct(MODEL, TAP, IMAGES.isel(row=slice(7))), "cannot be cut into 2×2 patches"),
    (lambda: sampled(n_samples=0), "n_samples=0"),
    (lambda: sampled(sigmas=[0.1, 0.3]), "fall from the first to the last"),
    (lambda: sampled(sigmas=[1, 0.0]), "noise levels > 0"),
    (lambda: sampled(sigmas=[]), "sigma is empty"),
    (lambda: sampled(sigmas="a"), "sigma='a'"),
    (lambda: sampled(method="ddpm"), "method='ddpm': give one of langevin"),
    (lambda: sampled(method=[]), "give one of langevin"),
    (lambda: sampled(method=lambda walk: walk.start), "a sampler takes walk and sigmas"),
    (lambda: sampled(seed="a"), "seed='a'"),
    (lambda: sampled(seed=-1), "seed=-1"),
    (lambda: sampled(store=5), "store=5"),
    (lambda: sampled(match=[0]), r"match=\[0\]: give sampling\.Match"),
    (lambda: sampled(channels=[0]), r"channels is no option of a method: give match=sampling\.Match\(channels=…\)"),
    (lambda: sampled(draws=0), "draws=0"),
    (lambda: sampled(start=np.zeros((3, 8, 8))), r"samples have \(1, 8, 8\)"),
    (lambda: sampled(start=np.nan), "start holds NaN"),
    (lambda: sampled(start="a"), "start='a': give real numbers"),
    (lambda: sampled(start=[[1], [2, 3]]), "rows of one length"),
    (lambda: sampled(trajectory="a"), "trajectory='a'"),
    (lambda: sampled(batch_size=0), "batch_size=0"),
    (lambda: sampled(lr=0.1), "'langevin' has no option lr: it has correctors"),
    (lambda: sampled(correctors=-1), "whole number from 0 to 62"),
    (lambda: sampled(step=1.5), r"step=1.5: give a number in \(0, 1\]"),
    (lambda: sampled(step=True), "step=True"),
    (lambda: sampled(guidance_steps=0), "guidance_steps=0"),
    (lambda: sampled(tolerance=-1), "finite number > 0"),
    (lambda: sampled(tolerance=np.nan), "tolerance=nan"),
    (lambda: sampled(tolerance_before=0), "tolerance_before=0"),
    (lambda: sampled(precision="half"), "precision='half'"),
    (lambda: sampled(precision=None), "precision=None"),
    (lambda: sampled(precision="bfloat16"), r"torch\.float64, in which it computes"),
    (lambda: sampled(final_draws=65), "whole number from 0 to 64"),
    (lambda: sampled(method="algorithm1", guidance="sgd"), "guidance='sgd': give one of adam, rescale"),
    (lambda: sampled(method="algorithm1", guidance_steps=2.5), "guidance_steps=2.5"),
    (lambda: sampled(method="algorithm1", tolerance=0), "tolerance=0"),
    (lambda: sampled(method="algorithm1", lr=0), "lr=0"),
    (lambda: sampled(method="algorithm1", eps=None), "eps=None"),
    (lambda: sampled(method="algorithm1", eps=-1), "eps=-1"),
    (lambda: sampled(method="guidance", average_loss="no"), "average_loss='no'"),
    (lambda: sampled(method="score", steps=1), "'score' has no option steps: it has none"),
    (lambda: sampled(method="unconditional", correctors=63), "correctors=63"),
    (lambda: sampled(method="adaptive", h0=0), r"h0=0: give a number in \(0, 1\]"),
    (lambda: sampled(method="adaptive", beta=2.0), r"beta=2.0: give a number in \(0, 1\]"),
    (lambda: sampled(method="adaptive", until=0), "until=0"),
    (lambda: sampled(method="adaptive", most_levels=0), "most_levels=0"),
    (lambda: sampled(method="particles", particles=1), "whole number ≥ 2"),
    (lambda: sampled(method="particles", resample_below=None), "resample_below=None"),
    # What is matched.
    (lambda: matched(channels=[7]), r"channel numbers 0…3"),
    (lambda: matched(channels=[True, False]), "a mask of 4"),
    (lambda: matched(top=5), "top=5: give a whole number from 1 to 4"),
    (lambda: matched(top=True), "top=True"),
    (lambda: matched(weights=[1, -1, 0, 0]), "numbers ≥ 0"),
    (lambda: matched(weights="a"), "weights='a'"),
    (lambda: matched(channels=[0], weights=[0, 1, 1, 1]), "no channel is left"),
    (lambda: matched(basis=np.ones((1, 3))), "finite rows of 4 channels"),
    (lambda: matched(basis="a"), "basis='a'"),
    (lambda: matched(basis=np.zeros((2, 4))), "basis is 0 throughout"),
    (lambda: sampling.Match(basis=np.eye(4), channels=[0]), "basis with channels, top or weights"),
    (lambda: sampling.Match(basis=np.eye(4), top=1), "basis with channels, top or weights"),
    (lambda: sampling.Match(basis=np.eye(4), weights=np.ones(4)), "basis with channels, top or weights"),
    # Conditions.
    (lambda: of_images(tap="mid"), "tap='mid': give a tap"),
    (lambda: of_images(np.zeros((1, 3, 8, 8), np.float32)), r"network takes images of 1 channels and .* has 3"),
    (lambda: of_images(sigmas=[0.1, 1]), "fall from the first"),
    (lambda: of_images(ids=["a", "a", "b"]), "a"),
    (lambda: of_images(draws=0), "draws=0"),
    (lambda: of_images(seed=0.5), "seed"),
    (lambda: of_phi(tap=None), "tap=None: give a tap"),
    (lambda: of_phi(3), "the data is a int"),
    (lambda: of_phi(sigmas=[1, 0.2]), "not at 1 levels of the schedule, 0.2"),
    (lambda: of_phi(sigmas=[0.1, 0.3]), "fall from the first"),
    *((lambda shape=s: of_phi(shape=shape), r"give shape=\(bands, rows, cols\)") for s in (None, "188", 5, (1, 8))),
    *((lambda s=s: of_phi(shape=(1, *s)), "shape=.1, ") for s in ((8, "a"), (8, 8.5), (0, 8), (True, 8))),
    (lambda: sampling.reconstruct(MODEL, TAP, phi()), "how large images are: give sampling.Condition.from_phi"),
    (lambda: sampling.centroid(phi().isel(image=[])), "φ of no image"),
    (lambda: sampling.centroid(phi().phi), "the data is a DataArray"),  # pyright: ignore[reportArgumentType]
    *((lambda s=s: mixed(s), "shares") for s in ("a", 0.5, [np.nan], [[0.5]], [0.5, 0.5], [])),
    (lambda: sampling.interpolate(phi(), phi(), [0.5]), "give one on each side"),
    *((lambda c=c: sampling.project(phi(), np.eye(4), centre=c), "centre") for c in ("a", [1, 2], np.nan)),
    (lambda: sampling.project(phi(), np.eye(4), centre=np.zeros((3, 3, 4))), "centre has shape"),
    (lambda: sampling.project(phi(), np.eye(3)), "rows of 4 channels"),
    # Methods.
    (lambda: sampling.levels("ddpm"), "give one of langevin"),
    (lambda: sampling.schedule("ddpm", None, 3), "give one of langevin"),
    (lambda: sampling.schedule("score", [-1], 3), "sigma holds"),
    (lambda: sampling.schedule("score", None, 1), "levels=1"),
    (lambda: sampling.method_of("ddpm", {}), "give one of langevin"),
    (lambda: sampling.method_of("score", {"lr": 1}), "'score' has no option lr"),
    (lambda: sampling.sampler(""), "name=''"),
    (lambda: sampling.sampler("a", sigmas=[0.1, 1]), "fall from the first"),
    (lambda: sampling.sampler("own")(lambda walk: walk), "a sampler takes walk and sigmas"),
    (lambda: sampling.Guiding(guidance="sgd"), "guidance='sgd'"),  # pyright: ignore[reportArgumentType]
    (lambda: sampling.Guiding(lr=-1), "lr=-1"),
    # Without a condition.
    (lambda: sampling.sample(3, SHAPE, n_samples=1), r"a denoiser wraps a torch\.nn\.Module"),  # pyright: ignore[reportArgumentType]
    (lambda: free(shape=(8, 8)), r"give shape=\(bands, rows, cols\)"),
    (lambda: free(n_samples=0), "n_samples=0"),
    (lambda: free(sigmas=[0.1, 1]), "fall from the first"),
    (lambda: free(seed=-1), "seed=-1"),
    (lambda: free(batch_size=0), "batch_size=0"),
    # Findings and figure.
    (lambda: sampling.describe(phi()), "samples: the findings lack samples, match"),
    (lambda: described(reference=np.zeros((2, 3, 8, 8), np.float32)), "bring them to one size"),
    (lambda: described(tap="mid"), "tap='mid'"),
    (lambda: described(unconditional=xr.Dataset()), "unconditional: the findings lack samples"),
    (lambda: described(sigma=-1), "sigma=-1"),
    (lambda: described(draws=0), "draws=0"),
    (lambda: described(quantile="a"), "quantile='a'"),
    (lambda: described(quantile=1), "quantile=1"),
    (lambda: described(seed=-1), "seed=-1"),
    (lambda: sampling.plot(xr.Dataset()), "samples: the findings lack samples"),
    (lambda: sampling.plot(samples(), most=0), "most=0"),
]


@pytest.mark.parametrize(("call", "words"), BAD, ids=[words[:40] for _, words in BAD])
def test_a_bad_option_is_one_clear_error(call: Callable[[], Any], words: str) -> None:
    with torch.random.fork_rng(devices=[]), pytest.raises(ProbeError, match=words):
        call()


def test_the_command_line_refuses_in_the_same_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["samples", "coffee/1x1/r0c0", "--size", "32", "-o", str(tmp_path)]
    for more, words in (
        (["--method", "ddpm"], "give one of langevin"),
        (["--levels", "1"], "levels=1"),
        (["--samples", "0"], "n_samples=0"),
        (["--draws", "0"], "draws=0"),
        (["--network", "nobody"], "no bundled denoiser 'nobody'"),
    ):
        assert sampling.main([*arguments, *more]) == 1
        assert words in capsys.readouterr().err
    assert not list(tmp_path.glob("*.nc"))
