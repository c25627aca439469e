"""Broken on purpose: each fault in densities is seen by a law."""

import numpy as np
import pytest
from scipy.stats import rankdata

from analyses.densities import kernels_ranks
from tests.analyses.densities.test_laws import intervals_miss_seldom, p_values, seldom_small


def pairs_permuted(
    features: np.ndarray, target: np.ndarray, pairs: np.ndarray, *, permutations: int, seed: int
) -> float:
    """Permutes pairs, as if pairs that share a condition were independent."""
    rng = np.random.default_rng(seed)
    rank, given = rankdata(target), rankdata(kernels_ranks.feature_distances(features, pairs))
    found = rng.permuted(np.tile(given, (permutations, 1)), axis=1) @ rank
    return float((1 + (found >= given @ rank).sum()) / (1 + permutations))


def test_permuting_pairs_that_share_conditions_is_caught() -> None:
    with pytest.raises(AssertionError):
        seldom_small(p_values(pairs_permuted))


def test_leaving_the_data_out_of_their_own_arrangements_is_caught() -> None:
    # b/m instead of (1 + b)/(1 + m), with m = 99.
    with pytest.raises(AssertionError):
        seldom_small((100 * p_values(kernels_ranks.permutation_p) - 1) / 99)


def pairs_resampled(a: np.ndarray, b: np.ndarray, pairs: np.ndarray, seed: int) -> np.ndarray:
    """Resamples pairs, as if pairs that share a condition were independent."""
    weights = np.random.default_rng(seed).multinomial(len(pairs), np.full(len(pairs), 1 / len(pairs)), size=200) * 1.0
    ranks = [kernels_ranks.weighted_ranks(v, weights) for v in (a, b)]
    return kernels_ranks.weighted_correlation(*ranks, weights)


def test_resampling_pairs_that_share_conditions_is_caught() -> None:
    with pytest.raises(AssertionError):
        intervals_miss_seldom(pairs_resampled)
