"""Correlations of distances over pairs of images, plain and partial, jackknifed over images, and Mantel's test of them.

Each statistic is a correlation of transformed matrices: values less their mean (Pearson), ranks (Spearman) or
U-centred distances (bias-corrected distance correlation). So one matrix of inner products, with and without
each image, gives them all. Pairs of images of one group are 0 and count nowhere. Libraries (scipy's spearmanr, dcor)
give one number of two samples at a time: here each is needed given others, and again without each image or group of
them, from one pass over the pairs. scikit-bio's Mantel test permutes one matrix against one other; here the inner
products with all others, and with what is held fixed, come of one pass over each permutation. numpy only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from analyses.semantics.kernels_pairs import STATISTICS, additive, constant_without, pairs_apart

__all__ = [
    "NOTHING",
    "Comparison",
    "Transformed",
    "gram",
    "inverted",
    "p_values",
    "partial",
    "permutations_of",
    "permuted_products",
    "permuted_statistics",
    "products",
    "transformed",
]

ROWS = 256
# Rows and permutations taken at once: what is gathered stays within some MiB, which caches hold.
STRIP, TOGETHER = 16, 16
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


def permutations_of(n: int, count: int, seed: int, groups: np.ndarray | None = None) -> np.ndarray:
    """So many random orders of n images, (count, n).

    Groups of images (images, numbered from 0) are exchanged whole, each with one of its size, their images in order.
    """
    rng = np.random.default_rng(seed)
    if groups is None:
        return rng.permuted(np.tile(np.arange(n, dtype=np.int32), (count, 1)), axis=1)
    out = np.empty((count, n), np.int32)
    sizes = np.bincount(groups)
    place = np.argsort(groups, kind="stable").astype(np.int32)
    starts = np.cumsum(sizes) - sizes
    for size in np.unique(sizes):
        members = place[starts[sizes == size][:, None] + np.arange(size)]
        orders = rng.permuted(np.tile(np.arange(len(members)), (count, 1)), axis=1)
        out[:, members.ravel()] = members[orders].reshape(count, members.size)
    return out


def permuted_products(moved: Sequence[np.ndarray], fixed: Sequence[np.ndarray], permutations: np.ndarray) -> np.ndarray:
    """Σ_{i≠j} a_{π(i)π(j)} b_ij of symmetric matrices: rows and columns permuted together.

    Parameters
    ----------
    moved, fixed
        Matrices (images, images), symmetric, 0 on the diagonal.
    permutations
        (permutations, images).

    Returns
    -------
    ndarray
        (permutations, moved, fixed).
    """
    out = np.zeros((len(permutations), len(moved), len(fixed)))
    n = permutations.shape[1]
    permutations = permutations.astype(np.intp)
    for start in range(0, n, STRIP):
        stop = min(start + STRIP, n)
        # Matrices are symmetric: the strip right of the diagonal, and half of its square on the diagonal, are enough.
        strips = np.stack([b[start:stop, start:] for b in fixed])
        strips[:, :, : stop - start] /= 2
        strips = strips.reshape(len(fixed), -1)
        for p, a in enumerate(moved):
            gathered = np.empty((min(TOGETHER, len(permutations)), stop - start, n - start), a.dtype)
            rows = np.empty((stop - start, n), a.dtype)
            for first in range(0, len(permutations), TOGETHER):
                orders = permutations[first : first + TOGETHER]
                for order, one in zip(orders, gathered, strict=False):
                    gather(a, order, start, rows, one)
                flat = gathered[: len(orders)].reshape(len(orders), -1)
                out[first : first + TOGETHER, p] += 2 * flat @ strips.T
    return out


def gather(a: np.ndarray, order: np.ndarray, start: int, rows: np.ndarray, out: np.ndarray) -> None:
    """Rows of the permuted matrix from `start` on, from column `start` on, into `out`; `rows` are whole ones."""
    # Columns are gathered from a few whole rows, which stay in cache; without "clip" numpy copies what it gathers.
    a.take(order[start : start + len(out)], axis=0, out=rows, mode="clip")
    rows.take(order[start:], axis=1, out=out, mode="clip")


def permuted_statistics(
    inner: np.ndarray, moved: np.ndarray, given: tuple[int, ...], *, residuals: bool = True
) -> np.ndarray:
    """Correlation of variables 0 and 1 given others, for each permutation of the images of 0.

    Parameters
    ----------
    inner
        (variables, variables), inner products of the data.
    moved
        (permutations, variables, variables), inner products of each variable, permuted, with each as it is; row 1 is
        not used.
    given
        Numbers of the variables that are regressed on.
    residuals
        Whether to permute what remains of 0 after regression on the given (Freedman & Lane 1983), or 0 itself.

    Returns
    -------
    ndarray
        (permutations).
    """
    g = list(given)
    inverse, _ = inverted(inner[np.ix_(g, g)]) if g else (np.zeros((0, 0)), True)
    slope_0, slope_1 = inverse @ inner[g, 0], inverse @ inner[g, 1]
    # Only `across` depends on the permutation: inner products of the permuted variable with those that stay.
    across, size = moved[:, 0], inner[0, 0]
    if residuals and g:
        across = across - np.tensordot(slope_0, moved[:, g], axes=(0, 1))
        size = size - inner[0, g] @ slope_0
    left = size - np.einsum("kg,gh,kh->k", across[:, g], inverse, across[:, g])
    other = inner[1, 1] - inner[1, g] @ slope_1
    with np.errstate(invalid="ignore", divide="ignore"):
        r = (across[:, 1] - across[:, g] @ slope_1) / np.sqrt(left * other)
    return np.where(left > NOTHING * size, r, 0)


def p_values(observed: float, permuted: np.ndarray) -> float:
    """Two-sided p-value (1 + b)/(1 + m): never 0, since the data are one arrangement of themselves.

    Parameters
    ----------
    observed
        The statistic; NaN gives NaN.
    permuted
        (permutations), the statistic of permuted data; b of them are at least as far from 0.
    """
    if not np.isfinite(observed):
        return float("nan")
    # Sums in single precision can put an equal arrangement on either side: it counts as equal.
    reached = np.abs(permuted) >= abs(observed) - 1e-5
    return float((1 + reached.sum()) / (1 + len(permuted)))


class Comparison:
    """The others' side of a comparison: transformed once, then compared with many representations.

    Attributes
    ----------
    statistic
        A key of `kernels_pairs.STATISTICS`.
    others
        Transformed distances.
    given
        Sets of numbers of others that are held fixed; () for none.
    groups
        (images), the number of the group that each is left out with, whose pairs do not count; None for each alone.
    """

    def __init__(
        self,
        matrices: Mapping[str, np.ndarray],
        statistic: str,
        given: Sequence[tuple[int, ...]],
        permutations: np.ndarray,
        groups: np.ndarray | None = None,
    ) -> None:
        self.statistic = statistic
        self.groups = groups
        self.others: list[Transformed] = [transformed(d, statistic, groups) for d in matrices.values()]
        self.given = list(given)
        # Permuting one matrix and putting the other back are one: the others move, for many representations at once.
        self._backwards = np.argsort(permutations, axis=1)
        self._among = gram(self.others, self.others)
        self._matrices = [other.matrix for other in self.others]
        self._held = sorted({g for one in given for g in one})

    def correlations(self, own: Transformed) -> np.ndarray:
        """Of a representation with each other given each set: (1 + groups, others, given); see `jackknife`."""
        inner = self._products(own)
        out = np.full((len(inner), len(self.others), len(self.given)), np.nan)
        for k, g, fixed in self._cases():
            out[:, k, g] = partial(_of(inner, k, fixed), tuple(range(2, 2 + len(fixed))))
        return out

    def p_values(self, own: Sequence[np.ndarray], observed: np.ndarray) -> np.ndarray:
        """Mantel's permutation p-values of several representations' correlations; NaN without permutations.

        Parameters
        ----------
        own
            Transformed matrices of the representations.
        observed
            (own, others, given), their correlations.

        Returns
        -------
        ndarray
            (own, others, given).
        """
        out = np.full(observed.shape, np.nan)
        if not len(self._backwards):
            return out
        held = [self._matrices[g] for g in self._held]
        products = permuted_products(self._matrices, [*held, *own], self._backwards)
        moved = np.zeros((len(products), 1 + len(self.others), 1 + len(self.others)))
        moved[:, [1 + g for g in self._held], 1:] = products[:, :, : len(held)].swapaxes(1, 2)
        for n, matrix in enumerate(own):
            moved[:, 0, 1:] = products[:, :, len(held) + n]
            totals = self._totals(matrix)
            for k, g, fixed in self._cases():
                statistics = permuted_statistics(
                    _of(totals, k, fixed), _of(moved, k, fixed), tuple(range(2, 2 + len(fixed)))
                )
                out[n, k, g] = p_values(observed[n, k, g], statistics)
        return out

    def _totals(self, own: np.ndarray) -> np.ndarray:
        """Inner products over all pairs, as permuted ones are."""
        matrices = [own, *self._matrices]
        return np.array([[products(a, b).sum() for b in matrices] for a in matrices])

    def _cases(self) -> list[tuple[int, int, tuple[int, ...]]]:
        """Number of the other, number of the set, and the set; what is held fixed has no correlation of its own."""
        return [(k, g, fixed) for k in range(len(self.others)) for g, fixed in enumerate(self.given) if k not in fixed]

    def _products(self, own: Transformed) -> np.ndarray:
        """Inner products (1 + groups, 1 + others, 1 + others) of the representation and all others."""
        across = gram([own], self.others)
        size = len(self.others) + 1
        inner = np.empty((len(across), size, size))
        inner[:, :1, :1] = gram([own], [own])
        inner[:, :1, 1:] = across
        inner[:, 1:, :1] = np.swapaxes(across, 1, 2)
        inner[:, 1:, 1:] = self._among
        return inner


def _of(inner: np.ndarray, k: int, fixed: tuple[int, ...]) -> np.ndarray:
    """Inner products of the representation, the k-th other and what is held fixed, in this order."""
    numbers = [0, 1 + k, *(1 + g for g in fixed)]
    return inner[..., numbers, :][..., numbers]
