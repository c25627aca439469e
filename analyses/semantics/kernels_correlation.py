"""Correlations of distances over pairs of images, plain and partial, and their jackknife over images; numpy only.

Each statistic is a correlation of transformed matrices: values less their mean (Pearson), ranks (Spearman) or
U-centred distances (bias-corrected distance correlation). So one matrix of inner products, with and without
each image, gives them all. Pairs of images of one group are 0 and count nowhere. Libraries (scipy's spearmanr, dcor)
give one number of two samples at a time: here each is needed given others, and again without each image or group of
them, from one pass over the pairs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analyses.semantics.kernels_pairs import STATISTICS, additive, constant_without, pairs_apart

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
        For ranks: pairs i < j that count, sorted by distance, and where each run of equal distances starts.
    constant
        (groups), whether distances do not vary without each group.
    groups
        (images), the number of each image's group, from 0, that it is left out with; None for each alone.
    """

    statistic: str
    matrix: np.ndarray
    sums: np.ndarray
    order: np.ndarray
    starts: np.ndarray
    constant: np.ndarray
    groups: np.ndarray | None = None


def transformed(distances: np.ndarray, statistic: str, groups: np.ndarray | None = None) -> Transformed:
    """Transform a matrix of distances (images, images) for a statistic, over pairs of different groups of images."""
    matrix = STATISTICS[statistic](distances, groups)
    order = starts = np.zeros(0, np.int32)
    if statistic == "spearman":
        values = distances[pairs_apart(len(distances), groups)]
        order = values.argsort(kind="stable").astype(np.int32)
        values = values[order]
        starts = np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1]])).astype(np.int32)
    sums = matrix.sum(axis=1, dtype=np.float64)
    return Transformed(statistic, matrix, sums, order, starts, constant_without(distances, groups), groups)


def products(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Σ_j a_ij b_ij of each row, in double precision."""
    out = np.empty(len(a))
    for start in range(0, len(a), ROWS):
        rows = slice(start, start + ROWS)
        out[rows] = np.einsum("ij,ij->i", a[rows].astype(np.float64), b[rows].astype(np.float64))
    return out


def gram(first: list[Transformed], second: list[Transformed]) -> np.ndarray:
    """Inner products over pairs, of all images and without each image, or without each group of images.

    Of the images left they are exact for values and for U-centred distances; for ranks, to first order in the share
    of pairs left out, the change of all other ranks included.

    Parameters
    ----------
    first, second
        Transformed distances of the same images, groups and statistic.

    Returns
    -------
    ndarray
        (1 + groups, first, second): over all images, then without each group in turn.
    """
    groups = first[0].groups
    count = len(first[0].sums) if groups is None else int(groups.max()) + 1
    out = np.empty((1 + count, len(first), len(second)))
    for p, a in enumerate(first):
        for q, b in enumerate(second):
            if first is second and q < p:
                out[:, p, q] = out[:, q, p]
            else:
                out[:, p, q] = _without_each(a, b)
            if a is b:
                # Of what does not vary, or is all explained by effects of images, rounding leaves a trace.
                nothing = out[1:, p, q] <= (NOTHING if a.statistic == "distance_correlation" else 0) * out[0, p, q]
                out[1:, p, q][a.constant | nothing] = 0
    return out


def _without_each(a: Transformed, b: Transformed) -> np.ndarray:
    row, groups = products(a.matrix, b.matrix), a.groups
    if a.statistic == "spearman":
        return _ranks_without(a, b, row)
    total = row.sum()
    n = len(row)
    if groups is None:
        if a.statistic == "pearson":
            # Sums of pairs without i, less the mean of those pairs.
            sums = [v.sums.sum() - 2 * v.sums for v in (a, b)]
            without = total - 2 * row - sums[0] * sums[1] / ((n - 1) * (n - 2))
        else:
            # U-centring is a projection, so what is left of U-centred rows is centred again by their own remainders.
            without = total - 2 * row * (n - 2) / (n - 3)
        return np.concatenate([[total], without])
    sizes = np.bincount(groups)
    # Pairs of one group are 0, so that no pair is taken off twice.
    without = total - 2 * np.bincount(groups, row)
    if a.statistic == "pearson":
        sums = [v.sums.sum() - 2 * np.bincount(groups, v.sums) for v in (a, b)]
        pairs = n**2 - (sizes**2).sum() - 2 * sizes * (n - sizes)
        without -= sums[0] * sums[1] / pairs
    else:
        without -= _remainders(_to_each(a.matrix, groups), _to_each(b.matrix, groups), groups)
    return np.concatenate([[total], without])


def _remainders(a: np.ndarray, b: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """What centring the rest again takes off inner products, without each group: Σ (u_i + u_j) b_ij, u fitted to a.

    Rows (images, groups) hold what each image has with each group: it sums to 0, so what is left of it is minus that.
    """
    sizes = np.bincount(groups)
    of_a, of_b, both = (_of_groups(v, groups) for v in (a, b, a * b))
    left = np.repeat(sizes[:, None], len(sizes), axis=1)
    np.fill_diagonal(left, 0)
    total, own = additive(of_a, left)
    return 2 * ((both - (total - own) * of_b) / (left.sum(axis=0) - left)).sum(axis=0)


def _ranks_without(a: Transformed, b: Transformed, row: np.ndarray) -> np.ndarray:
    """Mean products of ranks over pairs, of all images and without each group, to first order."""
    n, groups = len(row), a.groups
    i, j = pairs_apart(n, groups)
    pairs = len(i)
    mean = row.sum() / (2 * pairs)
    each = _rank_influence(a, b) + _rank_influence(b, a)
    touching = row + np.bincount(i, each, minlength=n) + np.bincount(j, each, minlength=n)
    left_out = np.full(n, n - 1.0)
    if groups is not None:
        sizes = np.bincount(groups)
        touching, left_out = np.bincount(groups, touching), sizes * (n - sizes)
    change = left_out / (pairs - left_out) * (touching / left_out - 3 * mean)
    return np.concatenate([[mean], mean - change])


def _rank_influence(a: Transformed, b: Transformed) -> np.ndarray:
    """E[(1(a_ij < a) + ½1(a_ij = a)) b] of each pair i < j: what it contributes to the others' ranks."""
    i, j = pairs_apart(len(a.sums), a.groups)
    weights = b.matrix[i, j].astype(np.float64)[a.order]
    runs = np.add.reduceat(weights, a.starts)
    # All ranks together are 0.
    above = runs / 2 - np.cumsum(runs)
    counts = np.diff(np.append(a.starts, len(weights)))
    each = np.empty(len(weights))
    each[a.order] = np.repeat(above, counts) / len(weights)
    return each


def _to_each(matrix: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Sums (images, groups) of each image's entries with each group."""
    return _of_groups(matrix.T, groups).T


def _of_groups(rows: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Sums of rows over each group."""
    order = np.argsort(groups, kind="stable")
    starts = np.concatenate([[0], np.cumsum(np.bincount(groups))[:-1]])
    return np.add.reduceat(rows[order], starts, axis=0, dtype=np.float64)


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
    known = (left > NOTHING * size).all(axis=-1) & explained
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
