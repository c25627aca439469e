"""Agreement of partitions against scikit-learn; k-means against planted groups."""

import numpy as np
import pytest
from sklearn import metrics

from analyses.clusters import kernels_agreement, kernels_kmeans


@pytest.mark.parametrize("seed", range(5))
def test_measures_are_scikit_learns(seed: int) -> None:
    rng = np.random.default_rng(seed)
    first, second = rng.integers(5, size=80), rng.integers(7, size=80)
    second[:40] = first[:40]
    found = kernels_agreement.measures(kernels_agreement.counts(first, second, (5, 7)))
    direct = [
        metrics.normalized_mutual_info_score(second, first),
        metrics.adjusted_mutual_info_score(second, first),
        metrics.adjusted_rand_score(second, first),
        sum(np.bincount(second[first == k]).max() for k in range(5)) / 80,
    ]
    np.testing.assert_allclose(found, direct, atol=1e-10)


def test_equal_partitions_agree_fully_and_one_cluster_says_nothing() -> None:
    same = kernels_agreement.measures(np.diag([10, 20, 30]))
    np.testing.assert_allclose(same, 1)
    nothing = kernels_agreement.measures(np.array([[10, 20, 30]]))
    np.testing.assert_allclose(nothing, [0, 0, 0, 0.5], atol=1e-12)
    # Two partitions that put all images together are one and the same.
    np.testing.assert_array_equal(kernels_agreement.measures(np.array([[60]])), 1)


@pytest.mark.parametrize("own", [0.4, 0.97])
def test_intervals_and_chance_are_those_of_halves_and_permutations_written_out(own: float) -> None:
    rng = np.random.default_rng(3)
    first = rng.integers(3, size=61)
    second = np.where(rng.random(61) < own, first, rng.integers(4, size=61))
    found = kernels_agreement.agreement(first, second, resamples=20, permutations=30, level=0.8, seed=5)

    def measured(a: np.ndarray, b: np.ndarray, expected: float) -> np.ndarray:
        return kernels_agreement.measures(kernels_agreement.counts(a, b, (3, 4)), expected)

    whole = kernels_agreement.expected_information(kernels_agreement.counts(first, second, (3, 4)))
    value = measured(first, second, whole)
    np.testing.assert_allclose(found.value, value)
    rng = np.random.default_rng(5)
    halves = [rng.permutation(61)[:30] for _ in range(20)]
    expected = kernels_agreement.expected_information(
        kernels_agreement.counts(first[halves[0]], second[halves[0]], (3, 4))
    )
    each = np.array([measured(first[half], second[half], expected) for half in halves])
    # Of the standard normal law 80 % lie within 1.2816.
    reach = 1.2815515655 * np.sqrt(((each - each.mean(axis=0)) ** 2).sum(axis=0) / 19)
    np.testing.assert_allclose(found.low, value - reach)
    np.testing.assert_allclose(found.high, [min(1, end) for end in value + reach])
    assert (value + reach > 1).any() == (own > 0.9)
    rng = np.random.default_rng(5)
    null = np.array([measured(first, rng.permutation(second), whole) for _ in range(30)])
    np.testing.assert_allclose(found.chance, null.mean(axis=0))
    np.testing.assert_allclose(found.p_value, (1 + (null >= value).sum(axis=0)) / 31)


def test_the_expected_information_is_the_mean_over_permutations() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.integers(4, size=60), rng.integers(6, size=60)
    found = kernels_agreement.expected_information(kernels_agreement.counts(first, second, (4, 6)))
    drawn = [metrics.mutual_info_score(first, rng.permutation(second)) for _ in range(1000)]
    # 3.5 standard errors of the mean of 1000 permutations.
    assert abs(found - np.mean(drawn)) < 3.5 * np.std(drawn) / np.sqrt(1000)


def test_prediction_strength_counts_pairs() -> None:
    own, foreign = np.array([0, 0, 0, 1, 1, 1, 1]), np.array([0, 0, 1, 1, 1, 1, 0])
    # Of the 3 pairs of the first cluster one stays together, of the 6 of the second three do.
    assert kernels_kmeans.predicted(own, foreign, 2) == pytest.approx(min(1 / 3, 3 / 6))
    assert kernels_kmeans.predicted(own, own, 2) == 1
    assert kernels_kmeans.predicted(np.array([0, 0, 1]), np.array([0, 0, 1]), 2) == 0


@pytest.mark.parametrize("k", [2, 3])
def test_halves_of_a_split_share_no_image_and_each_predicts_the_other(k: int) -> None:
    # Noise about one centre: halves that shared images would agree better than these do.
    x = np.random.default_rng(1).normal(size=(41, 6))
    found = kernels_kmeans.curves(x, [k], splits=3, seed=5, n_init=4)
    rng = np.random.default_rng(5)
    strengths = []
    for _ in range(3):
        order = rng.permutation(41)
        first, second = x[order[:20]], x[order[20:]]
        fits = [kernels_kmeans.partition(part, k, seed=5, n_init=4) for part in (first, second)]
        by_others = [
            metrics.pairwise_distances(part, fit.centre).argmin(axis=1)
            for part, fit in zip((first, second), fits[::-1], strict=True)
        ]
        pairs = zip(fits, by_others, strict=True)
        strengths.append(np.mean([kernels_kmeans.predicted(own.cluster, other, k) for own, other in pairs]))
    assert found.strength[0] == pytest.approx(np.mean(strengths), abs=1e-12)
    assert found.strength_se[0] == pytest.approx(np.std(strengths, ddof=1) / np.sqrt(3), abs=1e-12)


def test_where_no_number_reaches_the_threshold_the_least_is_chosen() -> None:
    nothing = np.full(3, np.nan)
    found = kernels_kmeans.Curves(np.array([0.2, 0.5, 0.3]), np.array([0.0, 0.1, 0.1]), nothing, nothing)
    assert kernels_kmeans.chosen([2, 3, 4], found, 0.8) == 2
    assert kernels_kmeans.chosen([4, 3, 2], found, 0.8) == 2
    # Within a standard error is reached, and of several the largest.
    assert kernels_kmeans.chosen([2, 3, 4], found, 0.6) == 3
    assert kernels_kmeans.chosen([2, 3, 4], found, 0.4) == 4
