"""Holm's correction against its procedure, spelt out."""

from itertools import pairwise

import numpy as np
import pytest

from analyses.ground import holm


@pytest.mark.parametrize("seed", range(3))
def test_holms_correction_rejects_what_its_procedure_rejects(seed: int) -> None:
    p = np.random.default_rng(seed).beta(0.3, 1, size=(10, 2))
    corrected = holm(p)
    assert (corrected >= p).all()
    for alpha in (0.01, 0.05, 0.2):
        for column in range(2):
            rejected = set()
            # Step down: the smallest against alpha/10, the next against alpha/9, until one is not small enough.
            for step, i in enumerate(np.argsort(p[:, column])):
                if p[i, column] > alpha / (10 - step):
                    break
                rejected.add(int(i))
            assert set(np.flatnonzero(corrected[:, column] <= alpha)) == rejected
    ordered = corrected[np.argsort(p[:, 0]), 0]
    assert all(a <= b for a, b in pairwise(ordered))


def test_unknown_p_values_do_not_count_as_tests() -> None:
    np.testing.assert_array_equal(holm(np.array([0.02, np.nan, 0.5])), [0.04, np.nan, 0.5])
