"""Rank correlation over pairs of conditions, which are resampled and permuted, never their pairs; arrays only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.spatial.distance import pdist, squareform
from scipy.stats import rankdata

from probekit.phi.reliability import signed_root

__all__ = [
    "chosen_pairs",
    "feature_distances",
    "permutation_p",
    "resampled_correlations",
    "spearman",
    "weighted_correlation",
    "weighted_ranks",
]

# Numbers held at once while resampling or gathering rows.
CHUNK = 2_000_000


def chosen_pairs(conditions: int, count: int | None, seed: int) -> np.ndarray:
    """Pairs (pairs, 2) of different conditions i < j: all of them, or `count` drawn without replacement."""
    pairs = np.stack(np.tril_indices(conditions, -1)[::-1], axis=1)
    if count is None or count >= len(pairs):
        return pairs
    return pairs[np.sort(np.random.default_rng(seed).choice(len(pairs), size=count, replace=False))]


def feature_distances(features: np.ndarray, pairs: np.ndarray, noise: np.ndarray | None = None) -> np.ndarray:
    """Euclidean distances (pairs) between features (conditions, channels).

    With `noise` (conditions), the expected squared length of each one's error, they are the signed roots of unbiased
    squared distances ‖f_i − f_j‖² − n_i − n_j.
    """
    out = np.empty(len(pairs))
    step = max(1, CHUNK // max(1, features.shape[1]))
    for start in range(0, len(pairs), step):
        first, second = pairs[start : start + step].T
        out[start : start + step] = np.linalg.norm(features[first] - features[second], axis=1)
    return out if noise is None else signed_root(out**2 - noise[pairs].sum(axis=1))


def spearman(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Spearman's correlation over the last axis, ties at their mid-ranks; NaN where either is constant.

    Not `scipy.stats.spearmanr`, which takes two variables at a time and finds a p-value that knows nothing of shared
    conditions: over permutations, 15 times the time.
    """
    x, y = (ranks - ranks.mean(axis=-1, keepdims=True) for ranks in (rankdata(a, axis=-1), rankdata(b, axis=-1)))
    with np.errstate(invalid="ignore"):
        return (x * y).sum(axis=-1) / np.sqrt((x * x).sum(axis=-1) * (y * y).sum(axis=-1))


def resampled_correlations(
    variables: Sequence[np.ndarray], target: np.ndarray, pairs: np.ndarray, *, resamples: int, seed: int
) -> np.ndarray:
    """Spearman's correlation of each variable with the target in bootstrap resamples of the conditions.

    Conditions are drawn with replacement; a pair counts as often as the product of its two conditions' counts, and
    a condition is never paired with its own copy. All variables share the resamples.

    Parameters
    ----------
    variables, target
        (pairs) each.
    pairs
        (pairs, 2), positions of conditions.
    resamples, seed
        Number of resamples, and seed of the drawing.

    Returns
    -------
    ndarray
        (resamples, variables); NaN where a resample holds no two different values.
    """
    used, place = np.unique(pairs, return_inverse=True)
    place = place.reshape(pairs.shape)
    rng = np.random.default_rng(seed)
    out = np.empty((resamples, len(variables)))
    step = max(1, CHUNK // len(pairs))
    for start in range(0, resamples, step):
        rows = slice(start, min(start + step, resamples))
        counts = rng.multinomial(len(used), np.full(len(used), 1 / len(used)), size=rows.stop - rows.start)
        weights = (counts[:, place[:, 0]] * counts[:, place[:, 1]]).astype(np.float64)
        goal = weighted_ranks(target, weights)
        for v, values in enumerate(variables):
            out[rows, v] = weighted_correlation(weighted_ranks(values, weights), goal, weights)
    return out


def weighted_ranks(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mid-ranks (resamples, pairs) of values (pairs), each counted as often as weights (resamples, pairs) say.

    scipy ranks without weights.
    """
    order = values.argsort(kind="stable")
    ordered = values[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    runs = np.add.reduceat(weights[:, order], starts, axis=1)
    middle = np.cumsum(runs, axis=1) - runs / 2
    ranks = np.empty_like(weights)
    ranks[:, order] = np.repeat(middle, np.diff(np.append(starts, len(values))), axis=1)
    return ranks


def weighted_correlation(a: np.ndarray, b: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Pearson's correlation of each row, its columns weighted; NaN where those that count are the same."""
    with np.errstate(invalid="ignore"):
        share = weights / weights.sum(axis=1, keepdims=True)
        left = [values - (share * values).sum(axis=1, keepdims=True) for values in (a, b)]
        square = np.array([(share * values**2).sum(axis=1) for values in left])
        # What is left of equal numbers is rounding.
        square[square <= 1e-12 * np.array([(share * values**2).sum(axis=1) for values in (a, b)])] = np.nan
        return (share * left[0] * left[1]).sum(axis=1) / np.sqrt(square[0] * square[1])


def permutation_p(
    features: np.ndarray,
    target: np.ndarray,
    pairs: np.ndarray,
    *,
    permutations: int,
    seed: int,
    noise: np.ndarray | None = None,
) -> float:
    """One-sided p-value (1 + b)/(1 + m) of a correlation this large, b of m permutations of conditions reaching it.

    Each permutation deals the features out among the conditions anew and measures the same pairs, so a condition's
    pairs move together; the p-value is never 0, since the data are one arrangement of themselves.

    Parameters
    ----------
    features
        (conditions, channels).
    target
        (pairs).
    pairs
        (pairs, 2), positions of conditions.
    permutations, seed
        Number of permutations, and seed.
    noise
        (conditions), as for `feature_distances`; dealt out with the features.
    """
    used, place = np.unique(pairs, return_inverse=True)
    place, known = place.reshape(pairs.shape), features[used]
    # What a permutation pairs is among all pairs: nothing is measured twice.
    table = squareform(pdist(known))
    if noise is not None:
        table = signed_root(table**2 - noise[used][:, None] - noise[used])
    observed = float(spearman(table[tuple(place.T)], target))
    if not np.isfinite(observed):
        return float("nan")
    rng, reached = np.random.default_rng(seed), 0
    step = max(1, CHUNK // len(pairs))
    for start in range(0, permutations, step):
        orders = np.stack([rng.permutation(len(used)) for _ in range(min(step, permutations - start))])
        found = spearman(table[orders[:, place[:, 0]], orders[:, place[:, 1]]], target)
        # Rounding can put an equal arrangement on either side: it counts as equal.
        reached += int((found >= observed - 1e-9).sum())
    return (1 + reached) / (1 + permutations)
