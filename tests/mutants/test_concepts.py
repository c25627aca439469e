"""Broken on purpose: each fault in concepts is seen by a law."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import xarray as xr

from analyses.concepts import held, kernels
from tests.analyses.concepts.test_laws import (
    noise_is_not_shared,
    reads_no_held_channel,
    swapping_turns_the_statistic_round,
)


def test_ties_that_count_for_the_held_samples_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "nearer", lambda a, b: (b[:, None, :] >= a[:, :, None]).mean(axis=(1, 2)))
    with pytest.raises(AssertionError):
        swapping_turns_the_statistic_round(0)


def test_a_classifier_that_reads_what_is_held_is_seen() -> None:
    def of_all(phi: np.ndarray, channel: int, channels: list[int]) -> Callable[[np.ndarray], np.ndarray]:
        del channels
        return kernels.excitement(phi, channel, [])

    with pytest.raises(AssertionError):
        reads_no_held_channel(of_all, 0)


def test_held_and_free_samples_of_one_seed_are_seen() -> None:
    def of_one_seed(draw: Callable[..., xr.Dataset], channels: Sequence[int], seed: int) -> held.HeldAndFree:
        return held.HeldAndFree(draw(channels=list(channels), seed=seed), draw(method="unconditional", seed=seed))

    with pytest.raises(AssertionError):
        noise_is_not_shared(of_one_seed, 0)
