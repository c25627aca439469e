"""Cross-fitted kernel ridge regression of many targets on one set of features, and what is left of two; arrays only."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from scipy.linalg import eigh
from sklearn.metrics import pairwise_distances
from sklearn.model_selection import GroupKFold, KFold

from analyses.ground import varies

__all__ = [
    "GAMMAS",
    "PENALTIES",
    "Crossfit",
    "Solved",
    "crossfitted",
    "error",
    "flipped",
    "folds_of",
    "shared",
    "solved",
    "squared_distances",
]

# Of the Gaussian kernel exp(−γ d²/median d²), from nearly linear to local; penalties as shares of the largest
# eigenvalue, up to one that leaves little but the mean: what has nothing to do with the features is not fitted.
GAMMAS = (0.02, 0.1, 0.5, 2.0)
PENALTIES = (1e-6, 1e-4, 1e-2, 1.0)


class Crossfit(NamedTuple):
    """Predictions (images, channels) of a target and the weights (images, images) that make them of it."""

    predicted: np.ndarray
    weights: np.ndarray


def folds_of(count: int, folds: int, seed: int, groups: np.ndarray | None) -> list[tuple[np.ndarray, np.ndarray]]:
    """Numbers of the images that are fitted on and predicted, fold by fold; groups stay whole."""
    empty = np.zeros((count, 1))
    if groups is not None:
        return list(GroupKFold(folds).split(empty, groups=groups))
    # scikit-learn takes no seeds beyond 32 bits.
    return list(KFold(folds, shuffle=True, random_state=seed % 2**32).split(empty))


def squared_distances(features: np.ndarray) -> np.ndarray:
    """Squared distances (images, images) of features, their median 1."""
    squared = pairwise_distances(features, metric="sqeuclidean")
    apart = squared[np.triu_indices(len(squared), 1)]
    # Of a descriptor that most images share, such as a flag, more than half of the distances are 0.
    return squared / np.median(apart[apart > 0])


def error(target: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Mean squared error in units of each channel's variance, of those that vary: (...) of (..., images, channels)."""
    return _error(predicted - target, varies(target), target.astype(np.float64).var(axis=0))


def _error(left: np.ndarray, kept: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """The same of what is left (..., images, channels), of the channels kept, whose variances are `spread`."""
    each = np.einsum("...ic,...ic->...c", left, left)[..., kept] / left.shape[-2]
    return (each / spread[kept]).sum(axis=-1) / max(1, kept.sum())


class Solved(NamedTuple):
    """A kernel within the images of a fold that are fitted on, by eigenvalues and -vectors, and from those left."""

    fitted: np.ndarray
    left: np.ndarray
    values: np.ndarray
    vectors: np.ndarray
    across: np.ndarray

    def inverse(self, penalty: float) -> np.ndarray:
        """Inverse eigenvalues with a penalty, in shares of the largest."""
        return 1 / (np.maximum(self.values, 0) + penalty * self.values[-1])


def solved(features: np.ndarray, folds: Sequence[tuple[np.ndarray, np.ndarray]]) -> Iterator[list[Solved]]:
    """What all regressions on these features have in common: every fold, for one kernel width after another.

    Parameters
    ----------
    features
        (images, features), standardised over images.
    folds
        What `folds_of` returns.
    """
    squared = squared_distances(features)
    for gamma in GAMMAS:
        kernel = np.exp(-gamma * squared)
        yield [_solved(kernel, *fold) for fold in folds]


def _solved(kernel: np.ndarray, fitted: np.ndarray, left: np.ndarray) -> Solved:
    values, vectors = eigh(kernel[np.ix_(fitted, fitted)])
    return Solved(fitted, left, values, vectors, kernel[np.ix_(left, fitted)] @ vectors)


def crossfitted(widths: Iterable[Sequence[Solved]], targets: Sequence[np.ndarray]) -> list[Crossfit]:
    """Predictions of each target by images of the other folds.

    Each target has the kernel width and penalty of the least `error` of such predictions.

    Parameters
    ----------
    widths
        What `solved` yields.
    targets
        Each (images, channels).

    Returns
    -------
    list of Crossfit
        Weights are 0 within a fold, sum to 1 for each image, and are shared by all channels.
    """
    bounds = np.cumsum([0, *(target.shape[1] for target in targets)])
    own = [slice(low, high) for low, high in itertools.pairwise(bounds)]
    every = np.concatenate(targets, axis=1).astype(np.float64)
    kept, spread = varies(every), every.var(axis=0)
    best, found = np.full(len(targets), np.inf), [Crossfit(every, every)] * len(targets)
    for folds in widths:
        predicted = _predicted(folds, every)
        left = predicted - every
        errors = [_error(left[..., mine], kept[mine], spread[mine]) for mine in own]
        better = {t: int(np.argmin(one)) for t, one in enumerate(errors) if one.min() < best[t]}
        weights = {p: _weights(folds, p) for p in set(better.values())}
        for t, p in better.items():
            best[t], found[t] = errors[t][p], Crossfit(predicted[p][:, own[t]].copy(), weights[p])
    return found


def _predicted(folds: Sequence[Solved], every: np.ndarray) -> np.ndarray:
    """Predictions (penalties, images, channels) of every image by those of other folds."""
    predicted = np.empty((len(PENALTIES), *every.shape))
    for one in folds:
        mean = every[one.fitted].mean(axis=0)
        along = one.vectors.T @ (every[one.fitted] - mean)
        for p, penalty in enumerate(PENALTIES):
            predicted[p, one.left] = (one.across * one.inverse(penalty)) @ along + mean
    return predicted


def _weights(folds: Sequence[Solved], p: int) -> np.ndarray:
    """What each image of a fold has of each of the others in its prediction, at the penalty of this number."""
    made = np.zeros((sum(len(one.left) for one in folds),) * 2, np.float32)
    for one in folds:
        own = (one.across * one.inverse(PENALTIES[p])) @ one.vectors.T
        # Of the remainders from the mean, and the mean.
        made[np.ix_(one.left, one.fitted)] = own + (1 - own.sum(axis=1, keepdims=True)) / len(one.fitted)
    return made


def shared(
    first: np.ndarray, second: np.ndarray, groups: np.ndarray | None = None, *, weights: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """How alike the same images are in two sets of remainders: correlation over pairs of their inner products.

    The mean over pairs i ≠ j of (a_i · a_j)(b_i · b_j) is ‖E a bᵀ‖² without bias, 0 where the two have no covariance,
    whatever else of their laws depends on a third thing; it is divided by the root mean squares of both. Remainders of
    predictions W have covariances of their own, since two images are predicted from the same others: M D Mᵀ, M = 1 − W,
    D diagonal with ‖a_i‖²/(M Mᵀ)_ii; with them the products of first inner products are counted from there.

    Parameters
    ----------
    first, second
        Remainders (images, channels).
    groups
        (images), the number of each image's group, from 0: pairs within a group do not count, and D has its products.
    weights
        (images, images), those of the predictions that left `first`.

    Returns
    -------
    tuple of ndarray
        (1 + groups) values of all images and without each group, and the products (groups, groups) they are sums of.
    """
    a, b = first @ first.T, second @ second.T
    codes = np.arange(len(a)) if groups is None else groups
    apart = codes[:, None] != codes
    own = a if weights is None else a - _by_prediction(a, weights, apart)
    sums_of = _grouped(codes) if groups is not None else (lambda one: one)
    tables = [sums_of(one * apart) for one in (own * b, a * a, b * b)]
    sums = np.array([[one.sum(), *(one.sum() - 2 * one.sum(axis=1))] for one in tables])
    # Squares that one image or group has alone leave rounding without it.
    sums[1:][sums[1:] <= 1e-12 * sums[1:, :1]] = np.nan
    with np.errstate(invalid="ignore", divide="ignore"):
        return sums[0] / np.sqrt(sums[1] * sums[2]), tables[0]


def _by_prediction(products: np.ndarray, weights: np.ndarray, apart: np.ndarray) -> np.ndarray:
    """Inner products of remainders that prediction alone brings about, M D Mᵀ."""
    moved = np.eye(len(weights), dtype=weights.dtype) - weights
    reach = np.sqrt((moved**2).sum(axis=1))
    within = np.where(apart, 0, products / (reach[:, None] * reach)).astype(weights.dtype)
    if np.count_nonzero(within) <= len(within):
        return (moved * np.diag(within)) @ moved.T
    return moved @ within @ moved.T


def _grouped(codes: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Sums over the images of each group, along both axes."""
    member = np.eye(codes.max() + 1)[codes]
    return lambda one: member.T @ one @ member


def flipped(products: np.ndarray, draws: int, seed: int) -> float:
    """Share of random signs of the images, all as they are among them, that give products of at least their sum.

    Where the two have no covariance, the sum is one of a degenerate U-statistic, whose law random signs draw from
    (the wild bootstrap of Dehling & Mikosch, 1994).
    """
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], size=(draws, len(products)))
    sums = np.einsum("di,di->d", signs @ products, signs)
    # Rounding can put an equal arrangement on either side: it counts as equal.
    reached = sums >= products.sum() - 1e-9 * np.abs(products).sum()
    return float((1 + reached.sum()) / (1 + draws))
