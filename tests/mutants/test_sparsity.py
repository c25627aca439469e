"""Broken on purpose: each fault in sparsity is seen by a law."""

import sys
from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import norm
from scipy.stats import t as student

from analyses.ground import intervals, jackknife_deviation, resampled_means
from analyses.sparsity import kernels
from tests.analyses.sparsity.test_laws import bounds_hold, gains_are_covered, intervals_cover

OWN_INTERVAL = kernels.jackknife_interval


def test_a_ratio_without_the_number_of_channels_breaks_its_range(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "participation_ratio", lambda a: a.sum(axis=-1) ** 2 / (a**2).sum(axis=-1))
    with pytest.raises(AssertionError):
        bounds_hold(np.array([1.0, 2.0, 3.0]))


def test_plain_percentiles_over_few_images_do_not_cover(monkeypatch: pytest.MonkeyPatch) -> None:
    class Plain:
        """The normal law in place of Student's, its reach cut by what `interval` widens for."""

        @staticmethod
        def ppf(q: float, freedom: int) -> float:
            return float(norm.ppf(q) / np.sqrt((freedom + 1) / freedom))

    monkeypatch.setattr(intervals, "student", Plain)
    with pytest.raises(AssertionError):
        intervals_cover(10)


def test_intervals_of_clustered_images_taken_for_independent_do_not_cover(monkeypatch: pytest.MonkeyPatch) -> None:
    def ignoring(values: np.ndarray, *, clusters: np.ndarray, resamples: int, seed: int) -> np.ndarray:
        del clusters
        return resampled_means(values, resamples=resamples, seed=seed)

    monkeypatch.setattr(intervals, "resampled_means", ignoring)
    with pytest.raises(AssertionError):
        intervals_cover(600, clusters=200)


def of_the_reciprocal(value: float, without: np.ndarray, level: float) -> tuple[float, float]:
    """The jackknife's interval of 1/dimension, without a care for few images that count much."""
    n = len(without)
    reach = float(jackknife_deviation(1 / without) * student.ppf((1 + level) / 2, n - 1))
    return 1 / (1 / value + reach), 1 / (1 / value - reach)


def turned_over(value: float, without: np.ndarray, level: float) -> tuple[float, float]:
    """Skewness taken for its opposite."""
    low, high = OWN_INTERVAL(value, without, level)
    return 2 * value - high, 2 * value - low


@pytest.mark.parametrize("broken", [of_the_reciprocal, turned_over])
def test_a_jackknife_that_misjudges_skewness_does_not_cover_where_images_differ_by_a_gain(
    broken: Callable[..., tuple[float, float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules["analyses.sparsity.dimensions"], "jackknife_interval", broken)
    with pytest.raises(AssertionError):
        gains_are_covered(0.8)
