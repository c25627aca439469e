"""Correlation of one matrix of distances with several others, plain and partial, with tests; numpy only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from analyses.semantics.kernels_correlation import Variable, gram, partial, products, variable
from analyses.semantics.kernels_mantel import p_values, permuted_products, permuted_statistics

__all__ = ["Comparison", "permutations_of"]


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
        out[:, members.ravel()] = members[orders].reshape(count, -1)
    return out


class Comparison:
    """The others' side of a comparison: transformed once, then compared with many representations.

    Attributes
    ----------
    statistic
        A key of `analyses._pairs.STATISTICS`.
    others
        Transformed distances.
    given
        Sets of numbers of others that are held fixed; () for none.
    groups
        (images), the number of the group that each is left out with; None for each alone.
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
        self.others: list[Variable] = [variable(d, statistic) for d in matrices.values()]
        self.given = list(given)
        self._permutations = permutations
        self._among = gram(self.others, self.others, groups)
        self._fixed = [other.matrix for other in self.others]
        # Inner products of what is held fixed, permuted, with all others: the same for every representation.
        self._held = sorted({g for one in given for g in one})
        self._moved = np.zeros((len(permutations), len(self.others), len(self.others)))
        if len(permutations) and self._held:
            self._moved[:, self._held] = permuted_products(
                [self._fixed[g] for g in self._held], self._fixed, permutations
            )

    def correlations(self, own: Variable) -> np.ndarray:
        """Of a representation with each other given each set: (1 + groups, others, given); see `jackknife`."""
        inner = self._products(own)
        out = np.full((len(inner), len(self.others), len(self.given)), np.nan)
        for k, g, chosen in self._cases():
            out[:, k, g] = partial(_of(inner, k, chosen), tuple(range(2, 2 + len(chosen))))
        return out

    def p_values(self, own: Variable, observed: np.ndarray) -> np.ndarray:
        """Mantel's permutation p-values (others, given) of correlations (others, given); NaN without permutations."""
        out = np.full(observed.shape, np.nan)
        if not len(self._permutations):
            return out
        totals = self._totals(own)
        size = len(totals)
        moved = np.zeros((len(self._permutations), size, size))
        moved[:, 1:, 1:] = self._moved
        moved[:, 0, 1:] = permuted_products([own.matrix], self._fixed, self._permutations)[:, 0]
        for k, g, chosen in self._cases():
            statistics = permuted_statistics(
                _of(totals, k, chosen), _of(moved, k, chosen), tuple(range(2, 2 + len(chosen)))
            )
            out[k, g] = p_values(observed[k, g], statistics)
        return out

    def _totals(self, own: Variable) -> np.ndarray:
        """Inner products over all pairs, as permuted ones are."""
        matrices = [own.matrix, *self._fixed]
        return np.array([[products(a, b).sum() for b in matrices] for a in matrices])

    def _cases(self) -> list[tuple[int, int, tuple[int, ...]]]:
        """Number of the other, number of the set, and the set; what is held fixed has no correlation of its own."""
        return [
            (k, g, chosen) for k in range(len(self.others)) for g, chosen in enumerate(self.given) if k not in chosen
        ]

    def _products(self, own: Variable) -> np.ndarray:
        """Inner products (1 + groups, 1 + others, 1 + others) of the representation and all others."""
        across = gram([own], self.others, self.groups)
        size = len(self.others) + 1
        inner = np.empty((len(across), size, size))
        inner[:, :1, :1] = gram([own], [own], self.groups)
        inner[:, :1, 1:] = across
        inner[:, 1:, :1] = np.swapaxes(across, 1, 2)
        inner[:, 1:, 1:] = self._among
        return inner


def _of(products: np.ndarray, k: int, chosen: tuple[int, ...]) -> np.ndarray:
    """Inner products of the representation, the k-th other and the chosen, in this order."""
    numbers = [0, 1 + k, *(1 + g for g in chosen)]
    return products[..., numbers, :][..., numbers]
