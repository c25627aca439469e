"""Mantel permutation tests of correlations between distance matrices, plain and partial; numpy only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from analyses.semantics.kernels_correlation import NOTHING, inverted

__all__ = ["p_values", "permuted_products", "permuted_statistics"]

# Rows and permutations taken at once: what is gathered stays within some MiB, which caches hold.
ROWS, TOGETHER = 16, 16


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
    for start in range(0, n, ROWS):
        stop = min(start + ROWS, n)
        # Matrices are symmetric: the strip right of the diagonal, and half of its square on the diagonal, are enough.
        strips = np.stack([b[start:stop, start:] for b in fixed])
        strips[:, :, : stop - start] /= 2
        strips = strips.reshape(len(fixed), -1)
        for first in range(0, len(permutations), TOGETHER):
            orders = permutations[first : first + TOGETHER]
            for p, a in enumerate(moved):
                gathered = np.stack([gather(a, order, start, stop).ravel() for order in orders])
                out[first : first + TOGETHER, p] += 2 * gathered @ strips.T
    return out


def gather(a: np.ndarray, order: np.ndarray, start: int, stop: int) -> np.ndarray:
    """Rows `start` to `stop` of the permuted matrix, from column `start` on."""
    # Columns are gathered from a few whole rows, which stay in cache.
    return a[order[start:stop]].take(order[start:], axis=1)


def permuted_statistics(
    products: np.ndarray, moved: np.ndarray, given: tuple[int, ...], *, residuals: bool = True
) -> np.ndarray:
    """Correlation of variables 0 and 1 given others, for each permutation of the images of 0.

    Parameters
    ----------
    products
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
    inverse, _ = inverted(products[np.ix_(g, g)]) if g else (np.zeros((0, 0)), True)
    slope_0, slope_1 = inverse @ products[g, 0], inverse @ products[g, 1]
    # Only `across` depends on the permutation: inner products of the permuted variable with those that stay.
    across, size = moved[:, 0], products[0, 0]
    if residuals and g:
        across = across - np.tensordot(slope_0, moved[:, g], axes=(0, 1))
        size = size - products[0, g] @ slope_0
    left = size - np.einsum("kg,gh,kh->k", across[:, g], inverse, across[:, g])
    other = products[1, 1] - products[1, g] @ slope_1
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
