"""How near held samples lie, against Mann and Whitney's count by scipy."""

import numpy as np
from scipy.stats import mannwhitneyu

from analyses.concepts import kernels


def test_the_nearness_of_held_samples_is_the_area_that_mann_and_whitney_count() -> None:
    rng = np.random.default_rng(2)
    held, free = rng.integers(0, 6, size=(4, 7)), rng.integers(0, 6, size=(4, 9))
    expected = [mannwhitneyu(f, h).statistic / 63 for h, f in zip(held, free, strict=True)]
    np.testing.assert_allclose(kernels.nearer(held, free), expected)
