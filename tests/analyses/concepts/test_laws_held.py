"""Laws of holding channels: the test of it errs as seldom as it says, and finds what is there."""

from collections.abc import Callable

import numpy as np
from scipy import stats

from analyses.concepts import kernels

SIMULATIONS = 500
# A count that a binomial variable exceeds once in a million.
ONCE_IN_A_MILLION = 1e-6


def seldom_small(test: Callable[..., float]) -> None:
    p = []
    for seed in range(SIMULATIONS):
        rng = np.random.default_rng(seed)
        # Conditions differ in how far samples lie from them; held and free samples do not.
        distances = rng.gamma(2.0, size=(3, 8)) * rng.gamma(1.0, size=(3, 1))
        p.append(test(distances[:, :4], distances[:, 4:], permutations=99, seed=seed))
    assert min(p) > 0
    for alpha in (0.01, 0.05, 0.2, 0.5):
        # Of a permutation test P(p ≤ α) ≤ α exactly, so the count is below a binomial variable.
        assert (np.array(p) <= alpha).sum() <= stats.binom.isf(ONCE_IN_A_MILLION, SIMULATIONS, alpha)


def test_p_values_of_a_holding_that_does_nothing_are_no_smaller_than_uniform_ones() -> None:
    seldom_small(kernels.relabelled_p)


def test_a_holding_that_does_something_is_found() -> None:
    rng = np.random.default_rng(0)
    free = rng.gamma(2.0, size=(5, 8))
    assert kernels.relabelled_p(free / 10, free, permutations=99, seed=0) == 0.01
