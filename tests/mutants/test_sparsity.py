"""Broken on purpose: each fault in sparsity is seen by a law."""

import numpy as np
import pytest
from scipy.stats import norm

from analyses.ground import intervals, resampled_means
from analyses.sparsity import kernels
from tests.analyses.sparsity.test_laws import bounds_hold, intervals_cover


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
