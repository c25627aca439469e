"""The largest are those of a plain sort, whatever is equal or missing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from probekit.machine.largest import largest

VALUES = st.sampled_from([-1.0, 0.0, 0.5, 2.0, float("inf"), float("-inf"), float("nan")])


@given(st.integers(0, 9), st.integers(1, 3), st.integers(1, 6), st.data())
def test_they_are_those_of_a_plain_sort_with_ties_by_order_and_nan_last(
    rows: int, columns: int, count: int, drawn: st.DataObject
) -> None:
    values = np.array(drawn.draw(st.lists(VALUES, min_size=rows * columns, max_size=rows * columns)))
    values = values.reshape(rows, columns)
    order = np.array(drawn.draw(st.permutations(range(rows))), np.int64)
    found = largest(values, order, count)
    assert found.shape == (min(rows, count), columns)
    for c in range(columns):
        plain = sorted(range(rows), key=lambda r: (np.isnan(values[r, c]), -np.nan_to_num(values[r, c]), order[r]))
        assert found[:, c].tolist() == plain[:count]
    each = np.broadcast_to(order[:, None], values.shape)
    assert largest(values, each, count).tolist() == found.tolist()


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.uint8, np.int64])
def test_the_type_of_the_numbers_does_not_matter(kind: type) -> None:
    values = np.array([[3], [0], [7], [7], [1]], kind)
    assert largest(values, np.array([4, 3, 2, 1, 0]), 3)[:, 0].tolist() == [3, 2, 0]
