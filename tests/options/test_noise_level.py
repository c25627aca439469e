"""Bad options of everything public in noise_level: one clear error each."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

from analyses import noise_level
from probekit.errors import InputError, ModelError
from tests.analyses.noise_level.making import Scaled, Shifted

IMAGES = np.random.default_rng(0).random((6, 1, 8, 8)).astype(np.float32)
QUICK = {"resamples": 100, "progress": False}


class Broken(torch.nn.Module):
    """D(y) that is not finite."""

    def forward(self, y: torch.Tensor) -> torch.Tensor:
        return y * torch.nan


def analyse(denoisers: Any = None, images: Any = IMAGES, **options: Any) -> Callable[[], Any]:
    given = Scaled(0.5) if denoisers is None else denoisers
    return lambda: noise_level.analyse(given, images, **{**QUICK, **options})


def along(denoisers: Any = None, images: Any = IMAGES, **options: Any) -> Callable[[], Any]:
    given = Scaled(0.5) if denoisers is None else denoisers
    return lambda: noise_level.along(given, images, **{"sigmas": [1, 0.1], "n_samples": 2, **QUICK, **options})


@cache
def found() -> xr.Dataset:
    return analyse()()


@cache
def path() -> xr.Dataset:
    return along()()


BAD: list[tuple[Callable[[], Any], str]] = [
    *(
        (call(**bad), words)
        for call in (analyse, along)
        for bad, words in (
            ({"denoisers": 5}, "denoisers=5: give a denoiser, or a mapping from names to denoisers"),
            ({"denoisers": {}}, "denoisers is empty: give a denoiser, or a mapping"),
            ({"denoisers": {"a": 5}}, "denoiser=5: give a bundled name, a path or a module"),
            ({"denoisers": {1: Scaled(0)}}, "denoisers is a dict|denoisers={1"),
            ({"denoisers": "no such"}, "there is no bundled denoiser 'no such'"),
            ({"images": 5}, "images"),
            ({"resamples": 3}, "resamples=3: give a whole number ≥ 100"),
            ({"level": 95}, "level=95: give the interval's coverage"),
            ({"seed": -1}, "seed=-1: give a whole number ≥ 0"),
            ({"batch_size": 0}, "batch_size=0: give a whole number ≥ 1"),
            ({"progress": "no"}, "progress='no': give True or False"),
        )
    ),
    (analyse(sigma=()), "sigma is empty"),
    (
        analyse(sigma=[0, 0.1]),
        "sigma holds 0, of which no share can be taken: give noise levels > 0, of 1e-18",
    ),
    (analyse(sigma="a"), "sigma='a'"),
    (analyse(n_images=0), "n_images=0: give a whole number ≥ 1"),
    (along(sigmas=[0.1, 1]), r"sigmas=\[0.1, 1\]: give noise levels > 0, of 1e-18 at least, that fall from"),
    (along(sigmas=[1, 0]), r"sigmas=\[1, 0\]: give noise levels > 0, .*, that fall"),
    (along(sigmas=[]), "sigma is empty"),
    (along(n_samples=0), "n_samples=0: give a whole number ≥ 1"),
    (lambda: noise_level.verdict(5, path()), "the findings are a int"),  # pyright: ignore[reportArgumentType]
    (lambda: noise_level.verdict(found(), 5), "the findings are a int"),  # pyright: ignore[reportArgumentType]
    (lambda: noise_level.verdict(xr.Dataset(), path()), "the findings lack .*give what noise_level.analyse returns"),
    (lambda: noise_level.verdict(found(), found()), "the findings lack mismatch, .*what noise_level.along returns"),
    (lambda: noise_level.verdict(found().drop_attrs(), path()), "lost their attributes level"),
    (lambda: noise_level.verdict(found().drop_vars("told"), path()), "lost their coordinate told"),
    (lambda: noise_level.verdict(found(), path(), networks="x"), "networks='x'"),
    (lambda: noise_level.verdict(found(), path(), networks=()), "no denoiser of the findings is blind"),
    (lambda: noise_level.verdict(analyse(Shifted(1))(), along(Shifted(1))()), "no denoiser of the findings is blind"),
    (lambda: noise_level.verdict(found(), along(Shifted(1))()), "findings and path are of different denoisers"),
    (lambda: noise_level.verdict(analyse(sigma=[2.0])(), path()), r"no noise level of the findings is in \[0.1, 1\]"),
    (lambda: noise_level.plot(5), "the findings are a int"),  # pyright: ignore[reportArgumentType]
    (lambda: noise_level.plot(xr.Dataset()), "the findings lack .*give what noise_level.analyse returns"),
    (lambda: noise_level.plot(found(), found()), "the findings lack mismatch"),
]


@pytest.mark.parametrize(("call", "words"), BAD, ids=[f"{i}: {words}" for i, (_, words) in enumerate(BAD)])
def test_a_bad_option_is_one_clear_error(call: Callable[[], Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        call()


@pytest.mark.parametrize("call", [analyse, along])
def test_a_denoiser_that_gives_nan_is_named(call: Callable[..., Callable[[], Any]]) -> None:
    with pytest.raises(ModelError, match=r"broken gives NaN or infinite values at σ = .*: look at its weights"):
        call({"broken": Broken()})()
