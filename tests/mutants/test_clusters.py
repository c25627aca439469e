"""Broken on purpose: each fault in clusters is seen by a law."""

from importlib import import_module

import numpy as np
import pytest

from analyses.clusters import kernels_agreement, kernels_kmeans, kernels_separation
from tests.analyses.clusters import test_noise_free as free
from tests.analyses.clusters import test_separation as apart
from tests.analyses.clusters.test_laws import intervals_cover, null_is_at_chance, numbers_are_found

# The function has the name of its module.
separation = import_module("analyses.clusters.separation")


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


def test_means_that_keep_the_noise_of_their_images_lie_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    right = kernels_separation.scatters

    def biased(sums: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        mean, variance, scatter = right(sums)
        return mean, 0 * variance, scatter

    monkeypatch.setattr(kernels_separation, "scatters", biased)
    with pytest.raises(AssertionError):
        apart.test_scatter_alone_is_no_place((40, 40), (1, 2))


def test_signs_of_images_where_groups_are_copies_reject_too_often(monkeypatch: pytest.MonkeyPatch) -> None:
    right = separation.Sums

    def each_alone(x: np.ndarray, classes: np.ndarray, _: np.ndarray) -> kernels_separation.Sums:
        return right(x, classes, np.arange(len(x)))

    monkeypatch.setattr(separation, "Sums", each_alone)
    with pytest.raises((AssertionError, ValueError)):
        apart.test_copies_of_images_are_taken_whole()


def test_labels_permuted_over_classes_of_unlike_scatter_reject_too_often(monkeypatch: pytest.MonkeyPatch) -> None:
    def permuted(sums: kernels_separation.Sums, draws: int, seed: int) -> float:
        rng = np.random.default_rng(seed)

        def between(classes: np.ndarray) -> float:
            means = np.stack([sums.x[classes == one].mean(axis=0) for one in np.unique(classes)])
            return float(((means - means.mean(axis=0)) ** 2).sum())

        found = [between(rng.permutation(sums.classes)) for _ in range(draws)]
        return float((1 + np.sum(np.array(found) >= between(sums.classes))) / (1 + draws))

    monkeypatch.setattr(separation, "p_value", permuted)
    monkeypatch.setattr(separation, "p_of_jackknife", lambda *_: 0.0)
    with pytest.raises(AssertionError):
        apart.test_scatter_alone_is_no_place((80, 20), (1, 2))


def test_random_signs_alone_take_skew_for_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(separation, "p_of_jackknife", lambda *_: 0.0)
    with pytest.raises(AssertionError):
        apart.skew_is_no_place(*apart.SKEWED[3])


def test_a_class_whose_scatter_comes_of_one_image_is_not_taken_for_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(separation, "LEAST_WORTH", 0)
    with pytest.raises(AssertionError):
        apart.skew_is_no_place(*apart.SKEWED[0])
