"""Cross-fitted kernel ridge regression of many targets on one set of features, and what is left of two; arrays only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.linalg import eigh
from sklearn.metrics import pairwise_distances
from sklearn.model_selection import GroupKFold, KFold

__all__ = ["GAMMAS", "PENALTIES", "crossfitted", "flipped", "folds_of", "shared", "varies"]

# Of the Gaussian kernel exp(−γ d²/median d²), from nearly linear to local; penalties as shares of the largest
# eigenvalue.
GAMMAS = (0.1, 0.5, 2.0)
PENALTIES = (1e-6, 1e-4, 1e-2)


def folds_of(count: int, folds: int, seed: int, groups: np.ndarray | None) -> list[tuple[np.ndarray, np.ndarray]]:
    """Numbers of the images that are fitted on and predicted, fold by fold; groups stay whole."""
    empty = np.zeros((count, 1))
    if groups is not None:
        return list(GroupKFold(folds).split(empty, groups=groups))
    # scikit-learn takes no seeds beyond 32 bits.
    return list(KFold(folds, shuffle=True, random_state=seed % 2**32).split(empty))


def varies(values: np.ndarray) -> np.ndarray:
    """Which columns vary over axis 0 by more than the rounding of their own numbers: (...)."""
    return values.astype(np.float64).std(axis=0) > 1e-12 * np.abs(values).max(axis=0, initial=0)


def crossfitted(
    features: np.ndarray, targets: Sequence[np.ndarray], folds: Sequence[tuple[np.ndarray, np.ndarray]]
) -> list[np.ndarray]:
    """Predictions (images, channels) of each target by images of the other folds.

    Each target has the kernel width and penalty of the least squared error of such predictions, channels counted in
    units of their variance.

    Parameters
    ----------
    features
        (images, features), standardised over images.
    targets
        Each (images, channels).
    folds
        What `folds_of` returns.
    """
    squared = pairwise_distances(features, metric="sqeuclidean")
    apart = squared[np.triu_indices(len(squared), 1)]
    # Of a descriptor that most images share, such as a flag, more than half of the distances are 0.
    squared /= np.median(apart[apart > 0])
    widths = np.cumsum([0, *(target.shape[1] for target in targets)])
    every = np.concatenate(targets, axis=1).astype(np.float64)
    kept = np.concatenate([varies(target) for target in targets])
    inverse = np.divide(1.0, every.var(axis=0), out=np.zeros(every.shape[1]), where=kept)
    best = np.full(len(targets), np.inf)
    found = np.empty_like(every)
    for gamma in GAMMAS:
        kernel = np.exp(-gamma * squared)
        predicted = np.empty((len(PENALTIES), *every.shape))
        for fitted, left in folds:
            values, vectors = eigh(kernel[np.ix_(fitted, fitted)])
            mean = every[fitted].mean(axis=0)
            across, along = kernel[np.ix_(left, fitted)] @ vectors, vectors.T @ (every[fitted] - mean)
            for p, penalty in enumerate(PENALTIES):
                weights = along / (np.maximum(values, 0) + penalty * values[-1])[:, None]
                predicted[p, left] = across @ weights + mean
        errors = ((predicted - every) ** 2).mean(axis=1) * inverse
        for t in range(len(targets)):
            own = slice(widths[t], widths[t + 1])
            p = int(np.argmin(errors[:, own].mean(axis=1)))
            if errors[p, own].mean() < best[t]:
                best[t], found[:, own] = errors[p, own].mean(), predicted[p][:, own]
    return [found[:, widths[t] : widths[t + 1]] for t in range(len(targets))]


def shared(first: np.ndarray, second: np.ndarray, groups: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """How alike the same images are in two sets of remainders: correlation over pairs of their inner products.

    The mean over pairs i ≠ j of (a_i · a_j)(b_i · b_j) is ‖E a bᵀ‖² without bias, 0 where the two have no covariance,
    whatever else of their laws depends on a third thing; it is divided by the root mean squares of both.

    Parameters
    ----------
    first, second
        Remainders (images, channels).
    groups
        (images), the number of each image's group, from 0: pairs within a group do not count.

    Returns
    -------
    tuple of ndarray
        (1 + groups) values of all images and without each group, and the products (groups, groups) they are sums of.
    """
    a, b = first @ first.T, second @ second.T
    codes = np.arange(len(a)) if groups is None else groups
    apart = codes[:, None] != codes
    tables = []
    for one in (a * b, a * a, b * b):
        by_group = np.zeros((codes.max() + 1, len(a)))
        np.add.at(by_group, codes, one * apart)
        whole = np.zeros((codes.max() + 1, codes.max() + 1))
        np.add.at(whole.T, codes, by_group.T)
        tables.append(whole)
    sums = np.array([[one.sum(), *(one.sum() - 2 * one.sum(axis=1))] for one in tables])
    with np.errstate(invalid="ignore", divide="ignore"):
        return sums[0] / np.sqrt(sums[1] * sums[2]), tables[0]


def flipped(products: np.ndarray, draws: int, seed: int) -> float:
    """Share of random signs of the images, all as they are among them, that give products of at least their sum.

    Where the two have no covariance, the sum is one of a degenerate U-statistic, whose law random signs draw from
    (the wild bootstrap of Dehling & Mikosch, 1994).
    """
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], size=(draws, len(products)))
    sums = np.einsum("di,di->d", signs @ products, signs)
    return float((1 + (sums >= products.sum()).sum()) / (1 + draws))
