"""Correlations of distances over pairs of images, plain and partial, and their jackknife over images; numpy only.

Each statistic is a correlation of transformed matrices: values less their mean (Pearson), ranks (Spearman) or
U-centred distances (bias-corrected distance correlation). So one matrix of inner products, with and without
each image, gives them all. Libraries (scipy's spearmanr, dcor) give one number of two samples at a time: here each is
needed given others, and again without each image or group of them, from one pass over the pairs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analyses.semantics.kernels_pairs import STATISTICS

__all__ = [
    "NOTHING",
    "Transformed",
    "gram",
    "inverted",
    "partial",
    "products",
    "transformed",
]

ROWS = 256
# A remainder of variance below this is what float32 distances leave of nothing.
NOTHING = 1e-6


@dataclass(frozen=True)
class Transformed:
    """One transformed matrix of distances, and what its jackknife needs.

    Attributes
    ----------
    statistic
        A key of `STATISTICS`.
    matrix
        (images, images), transformed, float32, 0 on the diagonal.
    sums
        (images), sums of its rows.
    order, starts
        For ranks: pairs i < j sorted by distance, and where each run of equal distances starts.
    """

    statistic: str
    matrix: np.ndarray
    sums: np.ndarray
    order: np.ndarray
    starts: np.ndarray


def transformed(distances: np.ndarray, statistic: str) -> Transformed:
    """Transform a matrix of distances (images, images) for a statistic."""
    matrix = STATISTICS[statistic](distances)
    order = starts = np.zeros(0, np.int32)
    if statistic == "spearman":
        values = distances[np.triu_indices(len(distances), 1)]
        order = values.argsort(kind="stable").astype(np.int32)
        values = values[order]
        starts = np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1]])).astype(np.int32)
    return Transformed(statistic, matrix, matrix.sum(axis=1, dtype=np.float64), order, starts)


def products(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Σ_j a_ij b_ij of each row, in double precision."""
    out = np.empty(len(a))
    for start in range(0, len(a), ROWS):
        rows = slice(start, start + ROWS)
        out[rows] = np.einsum("ij,ij->i", a[rows].astype(np.float64), b[rows].astype(np.float64))
    return out


def gram(first: list[Transformed], second: list[Transformed], groups: np.ndarray | None = None) -> np.ndarray:
    """Inner products over pairs, of all images and without each image, or without each group of images.

    Of the images left they are exact for values and for U-centred distances; for ranks, to first order in the share
    of pairs left out, the change of all other ranks included.

    Parameters
    ----------
    first, second
        Transformed distances of the same images and statistic.
    groups
        (images), the number of each image's group, from 0; by default every image is left out alone.

    Returns
    -------
    ndarray
        (1 + groups, first, second): over all images, then without each group in turn.
    """
    count = len(first[0].sums) if groups is None else int(groups.max()) + 1
    out = np.empty((1 + count, len(first), len(second)))
    for p, a in enumerate(first):
        for q, b in enumerate(second):
            if first is second and q < p:
                out[:, p, q] = out[:, q, p]
            else:
                out[:, p, q] = _without_each(a, b, groups)
    return out


def _without_each(a: Transformed, b: Transformed, groups: np.ndarray | None) -> np.ndarray:
    row = products(a.matrix, b.matrix)
    if a.statistic == "spearman":
        return _ranks_without(a, b, row, groups)
    total = row.sum()
    n = len(row)
    if groups is None:
        if a.statistic == "pearson":
            # Sums of pairs without i, less the mean of those pairs: the mean over all pairs is 0.
            without = total - 2 * row - 4 * a.sums * b.sums / ((n - 1) * (n - 2))
        else:
            # U-centring is a projection, so what is left of U-centred rows is centred again by their own remainders.
            without = total - 2 * row * (n - 2) / (n - 3)
        return np.concatenate([[total], without])
    left = n - np.bincount(groups)
    # Pairs with both images in the group were taken off twice.
    without = total - 2 * np.bincount(groups, row) + _within(groups, a.matrix, b.matrix)
    sums = [-2 * np.bincount(groups, v.sums) + _within(groups, v.matrix) for v in (a, b)]
    if a.statistic == "pearson":
        without -= sums[0] * sums[1] / (left * (left - 1))
    else:
        own = np.arange(n), groups
        # Rows of U-centred distances sum to 0: what is left of a row is minus what it had with the group.
        taken = [_to_each(v.matrix, groups) for v in (a, b)]
        both = taken[0] * taken[1]
        rows = both.sum(axis=0) - np.bincount(groups, both[own])
        without += -2 * rows / (left - 2) + sums[0] * sums[1] / ((left - 1) * (left - 2))
    return np.concatenate([[total], without])


def _ranks_without(a: Transformed, b: Transformed, row: np.ndarray, groups: np.ndarray | None) -> np.ndarray:
    """Mean products of ranks over pairs, of all images and without each group, to first order."""
    n = len(row)
    pairs = n * (n - 1) / 2
    mean = row.sum() / (2 * pairs)
    i, j = np.triu_indices(n, 1)
    each = _rank_influence(a, b) + _rank_influence(b, a)
    touching = row + np.bincount(i, each, minlength=n) + np.bincount(j, each, minlength=n)
    left_out = np.full(n, n - 1.0)
    if groups is not None:
        # A pair within the group is left out once, though both its images are.
        inside = groups[i] == groups[j]
        twice = np.bincount(groups[i[inside]], each[inside], minlength=int(groups.max()) + 1)
        touching = np.bincount(groups, touching) - _within(groups, a.matrix, b.matrix) / 2 - twice
        left = n - np.bincount(groups)
        left_out = pairs - left * (left - 1) / 2
    change = left_out / (pairs - left_out) * (touching / left_out - 3 * mean)
    return np.concatenate([[mean], mean - change])


def _rank_influence(a: Transformed, b: Transformed) -> np.ndarray:
    """E[(1(a_ij < a) + ½1(a_ij = a)) b] of each pair i < j: what it contributes to the others' ranks."""
    i, j = np.triu_indices(len(a.sums), 1)
    weights = b.matrix[i, j].astype(np.float64)[a.order]
    runs = np.add.reduceat(weights, a.starts)
    above = runs.sum() - np.cumsum(runs) + runs / 2
    counts = np.diff(np.append(a.starts, len(weights)))
    each = np.empty(len(weights))
    each[a.order] = np.repeat(above, counts) / len(weights)
    return each


def _within(groups: np.ndarray, *matrices: np.ndarray) -> np.ndarray:
    """Σ over pairs within each group, both orders, of the product of matrices' entries."""
    order = np.argsort(groups, kind="stable")
    out = []
    for members in np.split(order, np.cumsum(np.bincount(groups))[:-1]):
        inside = np.ix_(members, members)
        out.append(np.prod([m[inside].astype(np.float64) for m in matrices], axis=0).sum())
    return np.array(out)


def _to_each(matrix: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Sums (images, groups) of each image's entries with each group."""
    order = np.argsort(groups, kind="stable")
    starts = np.concatenate([[0], np.cumsum(np.bincount(groups))[:-1]])
    return np.add.reduceat(matrix[:, order], starts, axis=1, dtype=np.float64)


def partial(products: np.ndarray, given: tuple[int, ...]) -> np.ndarray:
    """Correlation of variables 0 and 1 after regression of both on the given ones.

    Parameters
    ----------
    products
        (..., variables, variables), inner products.
    given
        Numbers of the variables regressed on; () for the plain correlation.

    Returns
    -------
    ndarray
        (...), in [−1, 1]; NaN where a variable is constant, or nothing of it remains.
    """
    rest, explained = _remainder(products, given)
    size = np.diagonal(products[..., :2, :2], axis1=-2, axis2=-1)
    left = np.diagonal(rest, axis1=-2, axis2=-1)
    known = ((left > NOTHING * size) & (size > 0)).all(axis=-1) & explained
    with np.errstate(invalid="ignore", divide="ignore"):
        r = rest[..., 0, 1] / np.sqrt(left[..., 0] * left[..., 1])
    return np.where(known, np.clip(r, -1, 1), np.nan)


def _remainder(products: np.ndarray, given: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Inner products (..., 2, 2) of what remains of 0 and 1, and whether the given could be regressed on."""
    own = products[..., :2, :2]
    if not given:
        return own, np.ones(products.shape[:-2], bool)
    g = list(given)
    across = products[..., :2, :][..., g]
    inverse, sound = inverted(products[..., g, :][..., g])
    return own - across @ inverse @ np.swapaxes(across, -1, -2), sound


def inverted(among: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pseudo-inverse of inner products (..., m, m) in units of their sizes, and whether each variable varies."""
    size = np.sqrt(np.diagonal(among, axis1=-2, axis2=-1))
    sound = np.asarray((size > 0).all(axis=-1))
    size = np.where(size > 0, size, 1)
    scale = size[..., :, None] * size[..., None, :]
    return np.linalg.pinv(among / scale, rcond=NOTHING, hermitian=True) / scale, sound
