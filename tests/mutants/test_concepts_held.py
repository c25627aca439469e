"""Broken on purpose: a test that counts samples many times errs oftener than it says, which its law sees."""

import numpy as np
import pytest
from scipy import stats

from tests.analyses.concepts.test_laws_held import seldom_small


def samples_counted_many_times(held: np.ndarray, free: np.ndarray, *, permutations: int, seed: int) -> float:
    del permutations, seed
    many = [np.repeat(x.ravel(), 10) for x in (free, held)]
    return float(stats.mannwhitneyu(*many, alternative="greater").pvalue)


def test_a_test_that_counts_samples_many_times_is_seen() -> None:
    with pytest.raises(AssertionError):
        seldom_small(samples_counted_many_times)
