"""A vectorised rasteriser for procedural images: exact pixel coverage of polygons before a patterned background.

Lengths are fractions of the image's side, rows count downwards; plain numpy, no labels.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

__all__ = ["CORNERS", "LAYOUTS", "background", "coverage", "hue_to_rgb"]


def _polygon(radii: np.ndarray) -> np.ndarray:
    """Corners (corner, 2) as (row, col) at these radii, evenly round the origin from the top; of area 1."""
    turn = 2 * np.pi * np.arange(len(radii)) / len(radii)
    corners = np.stack([-radii * np.cos(turn), radii * np.sin(turn)], axis=1)
    after = np.roll(corners, -1, axis=0)
    doubled = np.abs(np.sum(corners[:, 0] * after[:, 1] - after[:, 0] * corners[:, 1]))
    return corners / np.sqrt(doubled / 2)


_STEP = 1 / np.sqrt(5)
# All have their centroid at the origin, area 1 and, being the same after a third, fourth or fifth of a
# turn, second moments that are equal in all directions: stretching them is the only way to an aspect.
CORNERS: Mapping[str, np.ndarray] = MappingProxyType(
    {
        "disc": _polygon(np.ones(24)),
        "square": np.array([(-0.5, -0.5), (-0.5, 0.5), (0.5, 0.5), (0.5, -0.5)]),
        "triangle": _polygon(np.ones(3)),
        "cross": _STEP
        * np.array(
            [
                *[(-1.5, -0.5), (-1.5, 0.5), (-0.5, 0.5), (-0.5, 1.5), (0.5, 1.5), (0.5, 0.5)],
                *[(1.5, 0.5), (1.5, -0.5), (0.5, -0.5), (0.5, -1.5), (-0.5, -1.5), (-0.5, -0.5)],
            ]
        ),
        "star": _polygon(np.tile([1, 0.5], 5)),
    }
)
# Where the centres of 1…5 copies lie about their centroid: the same for every other factor, and far enough
# apart that at the largest area no two copies of any shape and aspect touch, nor does one leave the image.
LAYOUTS: Mapping[int, np.ndarray] = MappingProxyType(
    {
        1: np.zeros((1, 2)),
        2: np.array([(-0.125, -0.15), (0.125, 0.15)]),
        3: np.array([(-0.095, -0.19), (-0.095, 0.19), (0.19, 0)]),
        4: np.array([(-0.18, -0.19), (-0.18, 0.19), (0.18, -0.19), (0.18, 0.19)]),
        5: np.array([(0, 0), (-0.19, -0.21), (-0.19, 0.21), (0.19, -0.21), (0.19, 0.21)]),
    }
)
# Slopes below this are vertical: the error is of second order in it.
VERTICAL = 1e-6


def coverage(
    shape: str, count: int, area: np.ndarray, aspect: np.ndarray, centroid: np.ndarray, *, size: int
) -> np.ndarray:
    """The share of each pixel that objects cover.

    Parameters
    ----------
    shape, count
        The same for all images.
    area, aspect, centroid
        Of each image: (n,), (n,) and (n, 2) as (row, col).
    size
        Rows, and columns, of the image.

    Returns
    -------
    ndarray
        (n, size, size) in [0, 1].
    """
    stretch = np.exp2(aspect[:, None] / 2 * np.array([-1, 1]))
    scale = size * np.sqrt(area / count)[:, None] * stretch
    corners = CORNERS[shape] * scale[:, None]
    reach = int(np.ceil(np.abs(corners).max(initial=0))) + 1
    # Each copy is drawn in a window of its own: most of the image holds no edge.
    window = np.arange(-reach, reach + 1)
    covered = np.zeros((len(area), size + 2 * reach + 2, size + 2 * reach + 2))
    images = np.arange(len(area))[:, None, None]
    for offset in LAYOUTS[count]:
        centre = size * (centroid + offset)
        pixel = np.floor(centre)
        drawn = _covered(corners + (centre - pixel)[:, None], window)
        rows, cols = np.moveaxis(pixel.astype(int)[:, None] + window[:, None] + reach + 1, 2, 0)
        covered[images, rows[:, :, None], cols[:, None, :]] += drawn
    inner = slice(reach + 1, reach + 1 + size)
    return np.clip(covered[:, inner, inner], 0, 1)


def _covered(corners: np.ndarray, window: np.ndarray) -> np.ndarray:
    """Exact share of each pixel [i, i + 1) × [j, j + 1), i and j in window, inside polygons (n, corner, 2) → (n, w, w).

    By Green's theorem the area of a polygon in a pixel is the sum over its edges of the integral over
    the edge's rows of the pixel's width left of the edge, signed by the edge's direction.
    """
    total = np.zeros((len(corners), len(window), len(window)))
    edges = zip(np.moveaxis(corners, 1, 0), np.moveaxis(np.roll(corners, -1, axis=1), 1, 0), strict=True)
    for start, end in edges:
        run = end - start
        rise = np.where(run[:, :1] == 0, 1, run[:, :1])
        enter = np.clip(start[:, :1], window, window + 1)
        leave = np.clip(end[:, :1], window, window + 1)
        cols = [start[:, 1:] + (row - start[:, :1]) / rise * run[:, 1:] for row in (enter, leave)]
        left, right = (col[:, :, None] - window for col in cols)
        total += (leave - enter)[:, :, None] * _mean_clipped(left, right)
    return np.abs(total)


def _mean_clipped(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The mean of min(max(u, 0), 1) over u between a and b."""
    run = b - a
    steep = np.abs(run) < VERTICAL
    areas = [0.5 * np.square(np.clip(u, 0, 1)) + np.maximum(u - 1, 0) for u in (a, b)]
    return np.where(steep, np.clip((a + b) / 2, 0, 1), (areas[1] - areas[0]) / np.where(steep, 1, run))


def background(texture: str, frequency: np.ndarray, *, size: int) -> np.ndarray:
    """A pattern in [-1, 1] with its crest at the image's centre, (n,) cycles per side → (n, size, size).

    Stripes run down to the left: cos 2πfu with u = (row + col)/√2; checks are the mean of that and of cos 2πfv
    with v = (row − col)/√2; rings are cos 2πfr. All have the spatial frequency f, whatever the direction.
    """
    axis = (np.arange(size) + 0.5) / size - 0.5
    row, col = axis[:, None], axis[None, :]
    along, across, radius = (row + col) / np.sqrt(2), (row - col) / np.sqrt(2), np.hypot(row, col)
    turn = 2 * np.pi * frequency[:, None, None]
    if texture == "stripes":
        return np.cos(turn * along)
    if texture == "checks":
        return (np.cos(turn * along) + np.cos(turn * across)) / 2
    return np.cos(turn * radius)


def hue_to_rgb(hue: np.ndarray) -> np.ndarray:
    """The pure colour of each hue in turns, (n,) → (n, 3): one band is 1, one is 0, as in HSV."""
    sixths = 6 * hue[:, None]
    red = np.abs(sixths - 3) - 1
    green, blue = 2 - np.abs(sixths - 2), 2 - np.abs(sixths - 4)
    return np.clip(np.concatenate([red, green, blue], axis=1), 0, 1)
