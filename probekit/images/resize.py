"""Reducing and enlarging, where every pixel is the mean of the area that it covers, and cutting."""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from probekit.checks import given, is_real, listed, unwrapped, whole
from probekit.errors import InputError

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = ["area_means", "centre", "pair", "scaled"]

# About 1.6 GB of RGB in floats, and sides as long as those of JPEG can be; more is a slip of the pen.
MOST_PIXELS, LONGEST_SIDE = 2**27, 65_535
# Sums of whole numbers below this are exact in float32, whatever their order.
EXACT = 2**24


def area_means(pixels: np.ndarray, rows: int, cols: int) -> np.ndarray:
    """The image laid on a grid of rows × cols: each value is the mean of what its cell covers.

    Pixels are squares of one value, and those that a cell covers in part count by the part. Where the grid is the finer
    one, cells inside a pixel repeat it, and cells across an edge mix its sides by area.

    Parameters
    ----------
    pixels
        (n_rows, n_cols, bands), uint8 or float64.

    Returns
    -------
    numpy.ndarray
        (rows, cols, bands), float64, in the units of `pixels`; of whole numbers, the exact mean rounded once.
    """
    n_rows, n_cols, bands = pixels.shape
    # In float32 the first sums are quicker and, of 8-bit levels, exact.
    small = pixels.dtype == np.uint8 and 255 * n_rows < EXACT
    flat = np.ascontiguousarray(pixels).reshape(n_rows, -1).astype(np.float32 if small else np.float64)
    summed = _cells(n_rows, rows).astype(flat.dtype) @ flat
    summed = summed.reshape(rows, n_cols, bands).swapaxes(0, 1).reshape(n_cols, -1).astype(np.float64)
    summed = (_cells(n_cols, cols) @ summed).reshape(cols, rows, bands).swapaxes(0, 1)
    return summed / (n_rows * n_cols)


@lru_cache(maxsize=64)
def _cells(n: int, cells: int) -> csr_array:
    """(cells, n): how much of each of n pixels lies in each cell, in units that make it whole numbers, n to a cell."""
    # Imported when first asked for, since it takes a quarter of a second.
    from scipy.sparse import csr_array

    # In units of 1 / (n × cells) of the image, pixels are `cells` long and cells are `n` long.
    edges = np.union1d(np.arange(n + 1, dtype=np.int64) * cells, np.arange(cells + 1, dtype=np.int64) * n)
    return csr_array((np.diff(edges).astype(np.float64), (edges[:-1] // n, edges[:-1] // cells)), shape=(cells, n))


def scaled(rows: int, cols: int, size: tuple[int, int | None] | None) -> tuple[int, int]:
    """(rows, cols) of an image after resizing: as given, or with its shorter side of a given length.

    The longer side keeps the proportions, rounded to the nearest whole number, halves to the even one.

    Raises
    ------
    ValueError
        If that would be too many pixels to hold.
    """
    if size is None:
        return rows, cols
    if size[1] is not None:
        return size[0], size[1]
    scale = Fraction(size[0], min(rows, cols))
    found = round(rows * scale), round(cols * scale)
    if found[0] * found[1] > MOST_PIXELS:
        raise ValueError(f"{rows}×{cols} would become {found[0]}×{found[1]}, of more than {MOST_PIXELS:,} pixels")
    if max(found) > LONGEST_SIDE:
        raise ValueError(f"{rows}×{cols} would become {found[0]}×{found[1]}, longer than {LONGEST_SIDE:,} pixels")
    return found


def centre(rows: int, cols: int, crop: tuple[int, int | None] | None) -> tuple[slice, slice]:
    """The rows and columns that a cut from the centre keeps; of an odd rest, the larger half lies below and right.

    Raises
    ------
    ValueError
        If the image is smaller.
    """
    if crop is None:
        return slice(0, rows), slice(0, cols)
    height, width = crop[0], crop[1] or crop[0]
    if rows < height or cols < width:
        raise ValueError(f"{rows}×{cols} is smaller than the crop {height}×{width}")
    top, left = (rows - height) // 2, (cols - width) // 2
    return slice(top, top + height), slice(left, left + width)


def pair(value: Any, name: str) -> tuple[int, int | None] | None:
    """(rows, cols) of a pair, (side, None) of a number, None of None.

    Raises
    ------
    InputError
        If it is something else, or an image of that size would have too many pixels to hold.
    """
    if value is None:
        return None
    alone = is_real(unwrapped(value))
    try:
        sizes = [whole(name, n, least=1) for n in ([value] if alone else listed(name, value, "(rows, cols)", most=2))]
    except InputError:
        sizes = []
    if len(sizes) != (1 if alone else 2):
        raise InputError(f"{given(name, value)}: give a positive int, or (rows, cols)")
    if sizes[0] * sizes[-1] > MOST_PIXELS:
        raise InputError(f"{given(name, value)}: give sizes of at most {MOST_PIXELS:,} pixels in all")
    if max(sizes) > LONGEST_SIDE:
        raise InputError(f"{given(name, value)}: give sides of at most {LONGEST_SIDE:,} pixels")
    return sizes[0], None if alone else sizes[1]
