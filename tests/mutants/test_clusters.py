"""Broken on purpose: each fault in clusters is seen by a law."""

import numpy as np
import pytest

from analyses.clusters import kernels_agreement, kernels_kmeans
from tests.analyses.clusters import test_noise_free as free
from tests.analyses.clusters.test_laws import intervals_cover, null_is_at_chance, numbers_are_found


def test_strength_without_the_split_takes_every_number_of_clusters(monkeypatch: pytest.MonkeyPatch) -> None:
    # Judged by its own centres, any partition repeats.
    monkeypatch.setattr(
        kernels_kmeans, "predicted", lambda own, foreign, k: 1.0 if len(own) == len(foreign) and k else 0.0
    )
    with pytest.raises(AssertionError):
        numbers_are_found()


def test_mutual_information_that_is_not_adjusted_is_above_chance_level_0(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels_agreement, "expected_information", lambda _: 0.0)
    with pytest.raises(AssertionError):
        null_is_at_chance()


def test_samples_larger_than_halves_make_intervals_too_narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    def most(n: int, resamples: int, seed: int) -> np.ndarray:
        rng = np.random.default_rng(seed)
        return np.stack([rng.permutation(n)[: 7 * n // 8] for _ in range(resamples)])

    monkeypatch.setattr(kernels_agreement, "halves", most)
    with pytest.raises(AssertionError):
        intervals_cover()


def test_noise_that_is_left_in_the_own_centre_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels_kmeans, "left_within", lambda x, cluster, _, k: _squares(x, cluster, k))
    with pytest.raises(AssertionError):
        free.test_noisy_images_become_clusters_of_their_own_and_noise_free_clusters_are_the_groups(0)


def _squares(x: np.ndarray, cluster: np.ndarray, k: int) -> float:
    """The squares within clusters as they are."""
    return sum(float(np.square(x[cluster == c] - x[cluster == c].mean(axis=0)).sum()) for c in range(k) if c in cluster)
