"""Exact pixel coverage of ovals, from the area of a disc in a quadrant; plain numpy, no labels.

Lengths are pixels, rows count downwards, and pixel i spans [i, i + 1).
"""

from __future__ import annotations

import numpy as np

__all__ = ["coverage", "half_axes"]


def half_axes(area: np.ndarray, aspect: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Half the height and half the width of ovals of such areas, whose width is `aspect` times their height."""
    square = area / np.pi
    return np.sqrt(square / aspect), np.sqrt(square * aspect)


def coverage(aspect: float, area: np.ndarray, row: np.ndarray, col: np.ndarray, *, size: int) -> np.ndarray:
    """The share of each pixel that each of some ovals covers, and all of them together.

    What several ovals cover is 1 − Π(1 − c): exact where at most one of them ends in the pixel.

    Parameters
    ----------
    aspect
        Width over height, of all.
    area, row, col
        Of each oval (oval,): its area, and its centre, which lies in the image.
    size
        Rows, and columns, of the image.

    Returns
    -------
    ndarray
        (size, size) in [0, 1].
    """
    down, across = half_axes(area, np.asarray(aspect))
    windows = [_windowed(centre, half, size) for centre, half in ((row, down), (col, across))]
    (rows, v), (cols, u) = windows
    below = _of_disc(v[:, :, None], u[:, None, :])
    # Of four corners the differences are taken in pairs, so that rows and columns are dealt with alike, to the bit.
    twice = below[:, 1:, 1:] + below[:, :-1, :-1] - (below[:, 1:, :-1] + below[:, :-1, 1:])
    covered = np.clip((down * across)[:, None, None] * twice, 0, 1)
    margin = size + 1
    clear = np.ones((size + 2 * margin, size + 2 * margin))
    np.multiply.at(clear, (rows[:, :, None] + margin, cols[:, None, :] + margin), 1 - covered)
    return 1 - clear[margin:-margin, margin:-margin]


def _windowed(centre: np.ndarray, half: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Pixels near each centre (oval, pixel), and their edges (oval, pixel + 1) in units of the half axis."""
    reach = min(int(np.ceil(half.max(initial=0))) + 1, size)
    first = np.floor(centre).astype(int)[:, None]
    edges = first + np.arange(-reach, reach + 2)
    return edges[:, :-1], (edges - centre[:, None]) / half[:, None]


def _of_disc(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The area of the unit disc where the one coordinate is below x and the other below y."""
    x, y = np.clip(x, -1, 1), np.clip(y, -1, 1)
    left, below = _half(x), _half(y)
    inside = x * x + y * y < 1
    far = np.where((x < 0) & (y < 0), 0, np.where(x < 0, left, np.where(y < 0, below, left + below - np.pi)))
    return np.where(inside, (left + below) / 2 + x * y - np.pi / 4, far)


def _half(t: np.ndarray) -> np.ndarray:
    """The area of the unit disc on one side of a line at t in [−1, 1]."""
    return np.pi / 2 + np.arcsin(t) + t * np.sqrt(1 - t * t)
