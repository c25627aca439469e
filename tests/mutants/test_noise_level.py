"""Broken on purpose: each fault in noise_level is seen by a closed form."""

from collections.abc import Callable, Iterator, Sequence
from importlib import import_module

import numpy as np
import pytest
import torch
from torch import Tensor

from analyses.ground import Estimate
from analyses.noise_level import kernels
from tests.analyses.noise_level import test_judging as judged
from tests.analyses.noise_level.test_oracles import (
    nothing_given_back_of_nothing_is_the_noise,
    the_exact_denoiser_is_short_of_its_own_error,
    the_path_is_walked,
    the_residual_is_that_of_the_images,
)

# The package has a function of that name.
analyse = import_module("analyses.noise_level.analyse")
verdict = import_module("analyses.noise_level.verdict")


def test_a_norm_that_is_not_over_the_root_of_n_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(analyse, "deviation", lambda residual: residual.double().flatten(1).norm(dim=1))
    with pytest.raises(AssertionError):
        the_residual_is_that_of_the_images(0.5)


def test_a_residual_without_its_mean_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(analyse, "deviation", lambda residual: residual.double().flatten(1).std(dim=1))
    with pytest.raises(AssertionError):
        the_residual_is_that_of_the_images(0.5)


def test_a_spread_of_the_mean_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def of_mean(values: np.ndarray, **_: object) -> Estimate:
        sd = values.std(axis=0, ddof=1) / np.sqrt(len(values))
        return Estimate(sd, sd, sd)

    monkeypatch.setattr(analyse, "estimated_spread", of_mean)
    with pytest.raises(AssertionError):
        nothing_given_back_of_nothing_is_the_noise()


def test_an_error_taken_for_the_residual_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    of_images = analyse._of_images

    def swapped(*given: object, **how: object) -> Iterator[tuple[range, np.ndarray]]:
        for chosen, values in of_images(*given, **how):
            yield chosen, np.stack([np.sqrt(values[1]), values[0] ** 2])

    monkeypatch.setattr(analyse, "_of_images", swapped)
    with pytest.raises(AssertionError):
        the_exact_denoiser_is_short_of_its_own_error()


def test_a_path_that_goes_on_from_the_noisy_image_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def kept(
        denoise: Callable[[Tensor, float], Tensor],
        start: Tensor,
        sigmas: Sequence[float],
        noise: Callable[[int], Tensor],
    ) -> Iterator[Tensor]:
        x = start
        for t, sigma in enumerate(sigmas):
            x = x + sigma * noise(t)
            yield kernels.deviation(denoise(x, sigma) - x)

    monkeypatch.setattr(analyse, "walked", kept)
    with pytest.raises(AssertionError):
        the_path_is_walked(0.5)


def test_noise_that_is_the_same_at_all_levels_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    walked = kernels.walked
    monkeypatch.setattr(
        analyse, "walked", lambda denoise, start, sigmas, noise: walked(denoise, start, sigmas, lambda _: noise(0))
    )
    with pytest.raises(AssertionError):
        the_path_is_walked(0.5)


def test_a_path_that_begins_at_black_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(analyse, "_mean_colour", lambda *_: torch.zeros(1, 1, 1, 1))
    with pytest.raises(AssertionError):
        the_path_is_walked(0.5)


ASKED = judged.test_three_levels_and_the_samplers_path_are_asked_for_by_what_is_not_refuted


@pytest.mark.parametrize(
    ("name", "broken", "walk", "sigma"),
    [
        ("LEVELS", 2, judged.WALK, (0.1, 1.0)),
        ("STEPS", 2, np.geomspace(1, 0.03, 9), judged.RANGE),
        ("ABOUT", 0.5, np.geomspace(1, 0.04, 20), judged.RANGE),
        ("_reaches", lambda *_: True, judged.WALK, (0.1, 0.2, 0.3)),
    ],
)
def test_a_verdict_by_fewer_levels_than_are_asked_for_is_seen(
    name: str, broken: object, walk: Sequence[float], sigma: tuple[float, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    reaches, enough = walk is judged.WALK, sigma is judged.RANGE
    ASKED(tuple(walk), reaches, sigma, enough, 1.0, "holds")
    monkeypatch.setattr(verdict, name, broken)
    with pytest.raises(AssertionError):
        ASKED(tuple(walk), reaches, sigma, enough, 1.0, "holds")
