"""Which channels an image makes active, and how much the active sets of two images overlap; numpy only."""

from __future__ import annotations

import numpy as np
from scipy import optimize, special

__all__ = ["active", "jaccard", "measurement_error", "p_values", "pairs", "spread_below"]

BLOCK = 4096


def measurement_error(se: np.ndarray, degrees: float) -> tuple[np.ndarray, np.ndarray]:
    """Standard errors of few draws, drawn towards what their channel shows over all images.

    The empirical-Bayes variance (d₀ s₀² + d s²)/(d₀ + d) of Smyth (2004), with s₀² and d₀ estimated
    for each channel from the spread of log s² over images.

    Parameters
    ----------
    se
        (images, channels), each of d = `degrees` degrees of freedom; zeros say nothing and are passed over.
    degrees
        Of freedom: draws − 1.

    Returns
    -------
    tuple of ndarray
        Standard errors (images, channels), float32, and degrees of freedom (channels), up to infinity.
    """
    told = se > 0
    count = told.sum(axis=0)
    logs = np.zeros(se.shape, np.float32)
    # The square of a tiny error may be no number of float32, its logarithm always is.
    np.log(se, where=told, out=logs)
    logs *= 2
    mean = logs.sum(axis=0, dtype=np.float64) / np.maximum(count, 1)
    # In place, because at full size every further copy of the array counts.
    np.subtract(logs, mean.astype(np.float32), where=told, out=logs)
    excess = np.square(logs, out=logs).sum(axis=0, dtype=np.float64) / np.maximum(count - 1, 1)
    excess -= special.polygamma(1, degrees / 2)
    prior = np.array([_degrees(v) if n > 1 else 0.0 for v, n in zip(excess, count, strict=True)])
    finite = np.isfinite(prior) & (prior > 0)
    half = np.where(finite, prior, 1.0) / 2
    shift = np.where(finite, special.digamma(half) - np.log(half), 0.0)
    level = np.exp(mean - special.digamma(degrees / 2) + np.log(degrees / 2) + shift)
    share = np.where(np.isinf(prior), 1.0, np.where(finite, prior, 0) / (np.where(finite, prior, 0) + degrees))
    variance = np.square(se, dtype=np.float32)
    variance *= (1 - share).astype(np.float32)
    variance += (share * level).astype(np.float32)
    return np.sqrt(variance, out=variance), prior + degrees


def _degrees(excess: float) -> float:
    """d with trigamma(d/2) = excess: infinite where the variances differ no more than by chance."""
    if excess <= 1e-3:
        return np.inf
    low, high = 1e-3, 1e4
    if special.polygamma(1, low) <= excess:
        return 2 * low
    return 2 * optimize.root_scalar(lambda h: special.polygamma(1, h) - excess, bracket=(low, high)).root


def spread_below(x: np.ndarray) -> np.ndarray:
    """Root mean square of what lies below rest, in each channel: the noise, where rest is the centre of it."""
    below = np.minimum(x, 0)
    count = (x < 0).sum(axis=0)
    return np.sqrt(np.square(below, dtype=np.float64).sum(axis=0) / np.maximum(count, 1)).astype(np.float32)


def p_values(x: np.ndarray, error: np.ndarray, degrees: np.ndarray | float, floor: np.ndarray | float) -> np.ndarray:
    """One-sided p-values of x = φ − rest being no larger than 0, by Student's t.

    Parameters
    ----------
    x, error
        (images, channels), or what broadcasts to it: φ above rest and the standard error of that.
    degrees
        Of freedom, (channels) or one; infinite for the normal distribution.
    floor
        Least standard error: what rounding alone may cause.

    Returns
    -------
    ndarray
        (images, channels), float32.
    """
    p = np.empty(x.shape, np.float32)
    error, floor = np.broadcast_to(error, x.shape), np.broadcast_to(floor, x.shape)
    freedom = np.broadcast_to(np.where(np.isinf(degrees), 1e9, degrees), x.shape[1:])
    for start in range(0, len(x), BLOCK):
        rows = slice(start, start + BLOCK)
        scale = np.maximum(error[rows], floor[rows])
        score = np.divide(x[rows], scale, out=np.where(x[rows] > 0, np.inf, 0.0), where=scale > 0)
        p[rows] = special.stdtr(freedom, -score)
    return p


def active(p: np.ndarray, *, rate: float) -> np.ndarray:
    """Channels whose p-value passes the step-up rule of Benjamini & Hochberg (1995), within each image.

    Parameters
    ----------
    p
        (images, channels).
    rate
        Wanted false discovery rate, in (0, 1).

    Returns
    -------
    ndarray
        Boolean, the shape of `p`.
    """
    channels = p.shape[1]
    line = (rate / channels * np.arange(1, channels + 1)).astype(np.float32)
    found = np.empty(p.shape, bool)
    for start in range(0, len(p), BLOCK):
        block = p[start : start + BLOCK]
        ordered = np.sort(block, axis=1)
        passed = ordered <= line
        last = channels - 1 - np.argmax(passed[:, ::-1], axis=1)
        limit = np.where(passed.any(axis=1), ordered[np.arange(len(block)), last], -1)
        found[start : start + BLOCK] = block <= limit[:, None]
    return found


def jaccard(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Channels active in both over channels active in either, row by row; NaN where both are empty."""
    union = (a | b).sum(axis=-1)
    return (a & b).sum(axis=-1) / np.where(union == 0, np.nan, union)


def pairs(labels: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Disjoint random pairs of images of one group, and of different groups.

    No image is in two pairs of a kind, so that pairs are independent and their mean has a plain
    standard error; and there are at most half as many pairs as images.

    Parameters
    ----------
    labels
        (images), the group of each.
    rng
        Of the pairing.

    Returns
    -------
    tuple of ndarray
        (pairs, 2) each: positions of the images.
    """
    order = rng.permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    ranks = labels[order]
    first = np.flatnonzero(np.r_[True, ranks[1:] != ranks[:-1]])
    place = np.arange(len(order)) - np.repeat(first, np.diff(np.r_[first, len(order)]))
    left = np.flatnonzero((place[:-1] % 2 == 0) & (ranks[:-1] == ranks[1:])) if len(order) > 1 else np.empty(0, int)
    within = np.stack([order[left], order[left + 1]], axis=1)
    half = len(order) // 2
    across = np.stack([order[:half], order[half : 2 * half]], axis=1)
    return within, across[labels[across[:, 0]] != labels[across[:, 1]]]
