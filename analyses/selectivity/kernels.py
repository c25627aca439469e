"""Numpy kernels of selectivity: what one channel does over many images, for all channels at once."""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np
from scipy import stats
from scipy.special import betainc, gammainc, ndtr

__all__ = [
    "Shape",
    "Weighed",
    "Zones",
    "above",
    "at_least",
    "at_most",
    "histogram",
    "overlap",
    "rank_correlation",
    "shape",
    "standard_error",
    "strongest",
    "weighed",
    "zones",
]

CLEAR = 5.0
SMALL = 0.1
# Images whose errors are taken together: with 2 draws 20 degrees of freedom, at which 5 standard errors are exceeded by
# chance once in 14,000 images.
NEIGHBOURS = 20
# Of the difference of log-likelihoods under smooth laws as close to the normal as to the Laplace law. Its standard
# deviation is at most that under the lognormal law, 0.501; the gamma, inverse Gaussian, Student's t and Weibull laws
# have 0.474 to 0.485, the exponential power law 0.344. Its skewness is at least that under the Weibull law, 7.4, but
# for the exponential power law with its smaller standard deviation.
BOUNDARY_SD, BOUNDARY_SKEW = 0.502, 7.0
# Of the Gamma law that means of these differences follow: fewer images than make it 16 fit both laws too closely for so
# much skew.
LEAST_SHAPE = 16.0


class Zones(NamedTuple):
    """Numbers of images per channel in which it is clearly above, clearly below, and near rest."""

    above: np.ndarray
    below: np.ndarray
    near: np.ndarray


class Shape(NamedTuple):
    """The marginal of each channel over images.

    `tail` is Vuong's statistic, positive where the heavy-tailed Laplace law fits better than the normal law;
    `p_normal` the p-value of the normal law's being closer;
    `upward` the standardised mean of a|a|, positive where departures from rest lie above it.
    """

    mean: np.ndarray
    sd: np.ndarray
    skew: np.ndarray
    kurtosis: np.ndarray
    lifetime: np.ndarray
    tail: np.ndarray
    p_normal: np.ndarray
    upward: np.ndarray


class Weighed(NamedTuple):
    """p-values of the three tests, and how probable each answer is: silent, common, selective, mixed."""

    response: np.ndarray
    common: np.ndarray
    selective: np.ndarray
    probability: np.ndarray


def standard_error(activity: np.ndarray, se: np.ndarray, rest_se: np.ndarray) -> np.ndarray:
    """Standard error of a = φ − rest (images, channels), kept from being underestimated by few draws.

    Noise differs between images, and few draws tell little of one image's. An image's variance is its own estimate
    or the mean of the 20 images whose a is nearest, whichever is larger: where nothing but noise made a large, it made
    that of noisy images large, whose mean then says so. The variance of rest is its own estimate or the mean around
    the image nearest to rest, whichever is larger.

    Parameters
    ----------
    activity
        a (images, channels).
    se, rest_se
        Standard errors of φ (images, channels) and of rest (channels).
    """
    variance = se**2
    n = len(activity)
    window = min(NEIGHBOURS, n)
    # Of equal a, by variance: so the order of images does not matter.
    order = np.lexsort((variance, activity), axis=0)
    sums = np.concatenate(
        [np.zeros((1, variance.shape[1])), np.take_along_axis(variance, order, axis=0).cumsum(axis=0)]
    )
    first = np.clip(np.arange(n) - window // 2, 0, n - window)
    near = np.empty_like(variance)
    np.put_along_axis(near, order, (sums[first + window] - sums[first]) / window, axis=0)
    size = np.abs(activity)
    at_rest = np.where(size == size.min(axis=0), near, 0).max(axis=0)
    return np.sqrt(np.maximum(variance, near) + np.maximum(rest_se**2, at_rest))


def above(phi: np.ndarray, rest: np.ndarray) -> np.ndarray:
    """a = φ − rest (images, channels): what a channel does beyond its answer to noise alone."""
    return phi - rest


def zones(activity: np.ndarray, error: np.ndarray) -> Zones:
    """Count images on which a channel is clearly above, clearly below or near rest.

    A tenth of the typical response Σa²/Σ|a| counts for nothing. Beyond that, a departure is clear when it
    exceeds 5 standard errors; within 1 the channel is near rest. Images between are in no zone.

    Parameters
    ----------
    activity
        a = φ − rest (images, channels).
    error
        Its standard error, that shape or what broadcasts to it.
    """
    size = np.abs(activity)
    with np.errstate(invalid="ignore"):
        small = SMALL * np.nan_to_num((activity**2).sum(axis=0) / size.sum(axis=0))
    clear = size > np.maximum(CLEAR * error, small)
    upward = (clear & (activity > 0)).sum(axis=0)
    return Zones(upward, clear.sum(axis=0) - upward, (size <= np.maximum(error, small)).sum(axis=0))


def shape(activity: np.ndarray) -> Shape:
    """Moments, lifetime sparseness, and which of two laws the marginal is closer to.

    Skew and excess kurtosis are corrected for bias (Fisher's G₁, G₂). Lifetime sparseness is Vinje &
    Gallant's (1 − A)/(1 − 1/n), A = (Σr/n)²/(Σr²/n), of the response above rest r = max(a, 0).

    The Laplace and the normal law have two parameters each, so the mean over images of the difference of
    their log-likelihoods, each at its maximum, d̄ = log(s/b) + ½ log 2π + ½ − log 2 − 1 (s the standard
    deviation, b the mean distance from the median), needs no penalty; √n d̄ over the standard deviation of the
    differences is standard normal where neither law is closer (Vuong, Econometrica 57, 307, 1989). The test
    compares s/b, so its s.e. needs fourth moments only, where that of a test on kurtosis needs eighth ones.

    A sample of a skewed or heavy-tailed law that happens to lack its tail looks normal and seems precise, so that the
    studentised statistic is far too often far below 0. To show that the normal law is closer, the standard error
    is therefore not taken below that under smooth laws on the boundary, where the question is open; and, the
    differences being skewed there, their mean is taken for Gamma distributed (Pearson's type III), with the shape
    4n/skewness², 16 at least.

    Parameters
    ----------
    activity
        a = φ − rest (images, channels), at least 4 images.
    """
    n = len(activity)
    mean, median = activity.mean(axis=0), np.median(activity, axis=0)
    centred = activity - mean
    square = centred**2
    m2 = square.mean(axis=0)
    # Rounding leaves a trace of variance in a constant channel.
    varies = activity.max(axis=0) > activity.min(axis=0)
    m2 = np.where(varies, m2, np.nan)
    with warnings.catch_warnings():
        # A channel that hardly varies has moments of rounding: so it says.
        warnings.simplefilter("ignore", RuntimeWarning)
        # Masked afterwards: given a NaN anywhere, scipy takes one column after another, and ten times as long.
        skew, kurtosis = (
            np.where(varies, moment(activity, bias=False), np.nan) for moment in (stats.skew, stats.kurtosis)
        )
    with np.errstate(invalid="ignore", divide="ignore"):
        distance = np.abs(activity - median)
        b = distance.mean(axis=0)
        mean_difference = 0.5 * np.log(m2) - np.log(b) + 0.5 * np.log(2 * np.pi) - 0.5 - np.log(2)
        difference = 0.5 * square / m2 - distance / b
        scale = difference.std(axis=0)
        tail = np.sqrt(n) * mean_difference / scale
        freedom = max(4 * n / BOUNDARY_SKEW**2, LEAST_SHAPE)
        bounded = np.sqrt(n) * mean_difference / np.maximum(scale, BOUNDARY_SD)
        p_normal = gammainc(freedom, np.maximum(freedom + np.sqrt(freedom) * bounded, 0))
        response = np.maximum(activity, 0)
        shared = response.mean(axis=0) ** 2 / (response**2).mean(axis=0)
        signed = activity * np.abs(activity)
        upward = np.sqrt(n) * signed.mean(axis=0) / signed.std(axis=0)
    return Shape(
        mean,
        np.sqrt(m2 * n / (n - 1)),
        skew,
        kurtosis,
        (1 - shared) / (1 - 1 / n),
        tail,
        p_normal,
        upward,
    )


def at_least(count: np.ndarray, n: int, rate: float) -> np.ndarray:
    """P(X ≥ count) of a binomial X: the exact p-value against "the rate is at most this"."""
    return stats.binom.sf(count - 1, n, rate)


def at_most(count: np.ndarray, n: int, rate: float) -> np.ndarray:
    """P(X ≤ count) of a binomial X: the exact p-value against "the rate is at least this"."""
    return stats.binom.cdf(count, n, rate)


def weighed(
    zones: Zones, shape: Shape, n: int, *, false_alarm: float, rare: float, few: float, nearly_none: float
) -> Weighed:
    """Weigh the criteria of the types.

    Each type is a conjunction of criteria, so its p-value is the largest of theirs (intersection-union test).
    A criterion's probability is its posterior: of a rate under Jeffreys' prior, of a statistic's sign under
    its normal approximation; an answer's is the least that these allow (Bonferroni).

    Parameters
    ----------
    zones, shape
        Of the channels.
    n
        Number of images.
    false_alarm
        Rate of clear departures from rest that errors alone may bring: more is a response.
    rare
        A channel is silent that responds to a smaller share of images.
    few
        A selective channel is clearly above rest on a smaller share of images.
    nearly_none
        A common channel is near rest on a smaller share of images.
    """
    clear = zones.above + zones.below
    tail, p_normal = np.nan_to_num(shape.tail), np.nan_to_num(shape.p_normal, nan=0.5)
    responds = at_least(clear, n, false_alarm)
    few_p, near_p = at_most(zones.above, n, few), at_most(zones.near, n, nearly_none)
    known = ~np.isnan(shape.tail)
    selective = np.where(
        known & (np.nan_to_num(shape.upward) > 0), np.maximum.reduce([responds, few_p, ndtr(-tail)]), 1.0
    )
    common = np.where(known, np.maximum.reduce([responds, near_p, p_normal]), 1.0)

    def below(count: np.ndarray, rate: float) -> np.ndarray:
        return betainc(count + 0.5, n - count + 0.5, rate)

    silent = below(clear, rare)
    doubts_selective = np.stack(
        [below(clear, false_alarm), 1 - below(zones.above, few), ndtr(-tail), ndtr(-np.nan_to_num(shape.upward))]
    )
    doubts_common = np.stack([below(clear, false_alarm), 1 - below(zones.near, nearly_none), p_normal])
    # At most as probable as its least probable criterion; at least as the sum of doubts leaves. What the bound adds to
    # the doubts in "common" is no reason to believe in "mixed".
    at_most_common = 1 - np.maximum(doubts_common[:2].max(axis=0), np.minimum(ndtr(tail), p_normal))
    mixed = 1 - silent - (1 - doubts_selective.max(axis=0)) - at_most_common
    least = [silent, 1 - doubts_common.sum(axis=0), 1 - doubts_selective.sum(axis=0), mixed]
    return Weighed(responds, common, selective, np.clip(np.stack(least), 0, 1))


def strongest(activity: np.ndarray, top: int) -> np.ndarray:
    """Indices (top, channels) of the images of largest activity, largest first; of equals, the first image's first."""
    kept = np.sort(np.argpartition(-activity, top - 1, axis=0)[:top], axis=0) if top < len(activity) else None
    values = activity if kept is None else np.take_along_axis(activity, kept, axis=0)
    order = np.argsort(-values, axis=0, kind="stable")[:top]
    return order if kept is None else np.take_along_axis(kept, order, axis=0)


def overlap(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Share of images that two lists (top, channels) have in common."""
    return (first[:, None] == second[None]).any(axis=1).mean(axis=0)


def rank_correlation(series: np.ndarray) -> np.ndarray:
    """Spearman's ρ over images between each two of k series (k, images, channels): (k, k, channels)."""
    # By hand, where scipy's spearmanr takes one channel after another and warns of constant ones.
    ranks = stats.rankdata(series, axis=1)
    ranks -= ranks.mean(axis=1, keepdims=True)
    with np.errstate(invalid="ignore"):
        ranks /= np.sqrt((ranks**2).sum(axis=1, keepdims=True))
    return np.einsum("sic,tic->stc", ranks, ranks)


def histogram(activity: np.ndarray, bins: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Numbers of images (bins, channels) in equal bins between each channel's least and largest activity, and these."""
    # By hand, since numpy's has one range for all columns.
    low, high = activity.min(axis=0), activity.max(axis=0)
    width = np.where(high > low, high - low, 1)
    index = np.minimum(((activity - low) / width * bins).astype(np.int64), bins - 1)
    channels = activity.shape[1]
    counts = np.bincount((index * channels + np.arange(channels)).ravel(), minlength=bins * channels)
    return counts.reshape(bins, channels), low, high
