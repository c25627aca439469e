"""Broken on purpose: means of areas that count pixels wrongly are seen by their law."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy.sparse import csr_array

from probekit.images import resize
from tests.probekit.images import test_resize as laws

exact = resize._cells


def all_or_nothing(n: int, cells: int) -> csr_array:
    """Pixels belong wholly to the cell in which their middle lies, as Pillow's box filter has it."""
    owner = (2 * np.arange(n) + 1) * cells // (2 * n)
    weights = np.zeros((cells, n))
    weights[owner, np.arange(n)] = 1
    return csr_array(weights * n / np.maximum(weights.sum(1, keepdims=True), 1))


def shifted(n: int, cells: int) -> csr_array:
    """The grid one cell further on."""
    return csr_array(np.roll(exact(n, cells).toarray(), 1, axis=0))


@pytest.mark.parametrize("broken", [all_or_nothing, shifted])
def test_pixels_that_count_whole_or_not_at_all_and_shifted_grids_are_seen(
    broken: Callable[..., csr_array], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resize, "_cells", broken)
    with pytest.raises(AssertionError):
        laws.test_every_value_is_the_mean_of_the_area_that_it_covers()
