"""Correlation of one matrix of distances with several others, and Mantel's test of it, plain and partial; numpy only.

scikit-bio's Mantel test permutes one matrix against one other; here the inner products with all others, and with what
is held fixed, come of one pass over each permutation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from analyses.semantics.kernels_correlation import NOTHING, Transformed, gram, inverted, partial, products, transformed

__all__ = ["Comparison", "p_values", "permutations_of", "permuted_products", "permuted_statistics"]

# Rows and permutations taken at once: what is gathered stays within some MiB, which caches hold.
ROWS, TOGETHER = 16, 16


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
    for start in range(0, n, ROWS):
        stop = min(start + ROWS, n)
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
