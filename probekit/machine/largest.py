"""The few largest of many numbers, in an order that leaves nothing open."""

from __future__ import annotations

import numpy as np

__all__ = ["largest"]


def largest(values: np.ndarray, order: np.ndarray, count: int) -> np.ndarray:
    """Rows of the largest values of each column, the largest first.

    Parameters
    ----------
    values
        (rows, columns), real numbers; NaN comes last.
    order
        (rows), or (rows, columns), whole numbers that differ within a column: of equal values that of the smaller one
        comes first.
    count
        How many; all where there are fewer.

    Returns
    -------
    ndarray
        (count, columns), int64.
    """
    # Small ones first, since numpy sorts NaN to the end.
    small = -(values if values.dtype.kind == "f" else values.astype(np.float64))
    if order.ndim == 1 and count < len(small):
        # Nearly all rows need no sorting.
        by_order = np.argsort(order)
        rows = by_order[_first(small[by_order], count)]
        small = np.take_along_axis(small, rows, axis=0)
    else:
        rows = np.broadcast_to(np.arange(len(small))[:, None], small.shape)
    each = order[rows] if order.ndim == 1 else order
    return np.take_along_axis(rows, np.lexsort((each, small), axis=0)[:count], axis=0)


def _first(small: np.ndarray, count: int) -> np.ndarray:
    """Rows (count, columns) of the smallest values, of equal ones the first, in the order of the rows."""
    bound = np.partition(small, count - 1, axis=0)[count - 1]
    missing = np.isnan(small)
    below = np.where(np.isnan(bound), ~missing, small < bound)
    level = np.where(np.isnan(bound), missing, small == bound)
    taken = below | (level & (np.cumsum(level, axis=0) <= count - below.sum(axis=0)))
    return np.nonzero(taken.T)[1].reshape(small.shape[1], count).T
