"""Which cue the nearest neighbour shares, and bootstrap over two crossed factors; arrays only."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

__all__ = ["Chances", "chances", "crossed_means", "nearest_of_other_cells", "sharing"]

# Resamples taken at once: the weights of one step stay within some ten MiB.
WEIGHTS = 2_000_000


class Chances(NamedTuple):
    """Shares of neighbours drawn at random among those allowed, and the most that neighbours could reach."""

    texture_chance: float
    shape_chance: float
    texture_most: float
    shape_most: float


def nearest_of_other_cells(neighbours: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """The nearest neighbour that is of another cell.

    Parameters
    ----------
    neighbours
        (..., images, k) positions, the nearest first, −1 where undefined; k is at least the size of the largest cell.
    cells
        (images) code of each image's pair of exemplars.

    Returns
    -------
    ndarray
        (..., images) positions, −1 where undefined.
    """
    other = cells[neighbours] != cells[:, None]
    first = np.take_along_axis(neighbours, other.argmax(axis=-1)[..., None], axis=-1)[..., 0]
    return np.where(neighbours[..., 0] < 0, -1, first)


def sharing(nearest: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Whether the neighbour has the image's code: 1, 0, or NaN where it is undefined."""
    return np.where(nearest < 0, np.nan, (codes[nearest] == codes).astype(float))


def chances(texture: np.ndarray, shape: np.ndarray, cells: np.ndarray) -> Chances:
    """Means over images, of neighbours that are any image but those of the image's own cell.

    Of n images, n_t have the image's texture and c both cues: texture by chance is (n_t − c)/(n − c), and the most is
    the share of images for which n_t > c.
    """
    own = _count(cells)
    by_chance, most = [], []
    for codes in (texture, shape):
        partners = _count(codes) - own
        by_chance.append(float((partners / (len(codes) - own)).mean()))
        most.append(float((partners > 0).mean()))
    return Chances(*by_chance, *most)


def crossed_means(
    values: np.ndarray, first: np.ndarray, second: np.ndarray, *, resamples: int, seed: int
) -> np.ndarray:
    """Means over images of resamples of two crossed factors, each drawn with replacement independently of the other.

    An image counts as often as its level of the first factor was drawn times as often as that of the second: the
    pigeonhole bootstrap (Owen, *The pigeonhole bootstrap*, Ann. Appl. Stat. 1, 386, 2007). No bootstrap of crossed
    factors is exact (McCullagh, Bernoulli 6, 285, 2000); this one counts what is peculiar to single images about three
    times, and so is rather too wide than too narrow.

    Parameters
    ----------
    values
        (images, ...).
    first, second
        (images) codes 0, 1, … of the levels of both factors.
    resamples, seed
        Number of resamples, and seed of the drawing; one that holds no image is drawn again.

    Returns
    -------
    ndarray
        (resamples, ...); NaN where a value is NaN for any image.
    """
    flat = np.asarray(values, float).reshape(len(values), -1)
    rng = np.random.default_rng(seed)
    means = np.empty((resamples, flat.shape[1]))
    done, step = 0, max(1, WEIGHTS // len(flat))
    while done < resamples:
        count = min(step, resamples - done)
        weights = (_drawn(rng, count, first) * _drawn(rng, count, second)).astype(float)
        total = weights.sum(axis=1)
        weights = weights[total > 0] / total[total > 0, None]
        means[done : done + len(weights)] = weights @ flat
        done += len(weights)
    return means.reshape(resamples, *np.shape(values)[1:])


def _drawn(rng: np.random.Generator, count: int, codes: np.ndarray) -> np.ndarray:
    """How often each image's level was drawn, (count, images)."""
    levels = int(codes.max()) + 1
    return rng.multinomial(levels, np.full(levels, 1 / levels), size=count)[:, codes]


def _count(codes: np.ndarray) -> np.ndarray:
    """How many images have each image's code."""
    return np.bincount(codes)[codes]
