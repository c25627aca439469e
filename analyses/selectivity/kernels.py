"""Numpy kernels of selectivity: what one channel does over many images, for all channels at once."""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np
from scipy import stats
from scipy.sparse import csr_array
from scipy.special import gammainc

from analyses.selectivity.kernels_counts import effective

__all__ = [
    "Shape",
    "Zones",
    "above",
    "histogram",
    "overlap",
    "rank_correlation",
    "shape",
    "standard_error",
    "strongest",
    "typical",
    "zones",
]

CLEAR = 5.0
SMALL = 0.1
# Share of images whose size says nothing of what is typical: as many may lie far out in a common channel.
EXTREME = 0.004
# Images whose errors are taken together: with 2 draws 20 degrees of freedom, at which 5 standard errors are exceeded by
# chance once in 14,000 images.
NEIGHBOURS = 20
# Of the difference of log-likelihoods under smooth laws as close to the normal as to the Laplace law. Its standard
# deviation is at most that under the lognormal law, 0.501; the gamma, inverse Gaussian, Student's t and Weibull laws
# have 0.474 to 0.485, the exponential power law 0.344. Its skewness is at least that under the Weibull law, 7.4, but
# for the exponential power law with its smaller standard deviation.
BOUNDARY_SD, BOUNDARY_SKEW = 0.502, 7.0
# By so many of its standard errors rest may lie elsewhere; beyond, 1 in 30,000 on either side.
SHIFTS = (0.0, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0)
# Beyond so many robust standard deviations from the median an image is far out: 1 in 16,000 of a normal law.
FAR = 4.0
# Of the Gamma law that means of these differences follow: fewer images than make it 16 fit both laws too closely for so
# much skew.
LEAST_SHAPE = 16.0


class Zones(NamedTuple):
    """Numbers of images per channel in which it is clearly above, clearly below, and near rest.

    `if_higher` (4, shifts, channels) counts images clearly above, clearly below, above and not near, below and not near
    if rest were higher by so many of its standard errors, `if_lower` if it were lower. `worth_if_higher` (shifts,
    channels) is the number of independent images that those are worth which are clearly above or below.
    """

    above: np.ndarray
    below: np.ndarray
    near: np.ndarray
    if_higher: np.ndarray
    if_lower: np.ndarray
    worth_if_higher: np.ndarray
    worth_if_lower: np.ndarray


class Shape(NamedTuple):
    """The marginal of each channel over images.

    `tail` is Vuong's statistic, positive where the heavy-tailed Laplace law fits better than the normal law;
    `heavy` the same or, if it is less, that with the image or group furthest out no further than the next;
    `p_normal` the p-value of the normal law's being closer;
    `far` the number of images further from the median than 4 standard deviations, taken from the quartiles.
    """

    mean: np.ndarray
    sd: np.ndarray
    skew: np.ndarray
    kurtosis: np.ndarray
    lifetime: np.ndarray
    tail: np.ndarray
    heavy: np.ndarray
    p_normal: np.ndarray
    far: np.ndarray


def standard_error(
    activity: np.ndarray, se: np.ndarray, rest_se: np.ndarray, neighbours: int = NEIGHBOURS
) -> tuple[np.ndarray, np.ndarray]:
    """Standard errors of a = φ − rest (images, channels) and of rest, kept from being underestimated by few draws.

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
    neighbours
        So many images instead of 20, where several share their noise.
    """
    variance = se**2
    n = len(activity)
    window = min(neighbours, n)
    order = _sorted(activity, variance)
    sums = np.concatenate(
        [np.zeros((1, variance.shape[1])), np.take_along_axis(variance, order, axis=0).cumsum(axis=0)]
    )
    first = np.clip(np.arange(n) - window // 2, 0, n - window)
    near = np.empty_like(variance)
    np.put_along_axis(near, order, (sums[first + window] - sums[first]) / window, axis=0)
    size = np.abs(activity)
    at_rest = np.where(size == size.min(axis=0), near, 0).max(axis=0)
    of_rest = np.maximum(rest_se**2, at_rest)
    return np.sqrt(np.maximum(variance, near) + of_rest), np.sqrt(of_rest)


def _sorted(values: np.ndarray, ties: np.ndarray) -> np.ndarray:
    """Order of the images in each channel of (images, channels); of equal values by `ties`, however images come."""
    order = np.argsort(np.ascontiguousarray(values.T), axis=1).T
    inside = np.take_along_axis(values, order, axis=0)
    equal = inside[1:] == inside[:-1]
    # Of a million numbers in single precision some are equal in every channel: only these are sorted once more.
    for c in np.flatnonzero(equal.any(axis=0)):
        places = np.flatnonzero(np.append(equal[:, c], False) | np.insert(equal[:, c], 0, False))
        images = order[places, c]
        order[places, c] = images[np.lexsort((images, ties[images, c], values[images, c]))]
    return order


def above(phi: np.ndarray, rest: np.ndarray) -> np.ndarray:
    """a = φ − rest (images, channels): what a channel does beyond its answer to noise alone."""
    return phi - rest


def typical(size: np.ndarray) -> np.ndarray:
    """Typical response (channels) of a channel, Σb²/Σb over images of b = |a| (images, channels).

    The mean over images weighed by how much each has. The largest b, 1 in 250 and of several images one at least,
    count as the next: one image would else say what is typical.
    """
    b = np.minimum(size, np.quantile(size, 1 - EXTREME, axis=0, method="lower"))
    with np.errstate(invalid="ignore"):
        return np.nan_to_num((b**2).sum(axis=0) / b.sum(axis=0))


def zones(activity: np.ndarray, error: np.ndarray, of_rest: np.ndarray, members: np.ndarray | None = None) -> Zones:
    """Count images on which a channel is clearly above, clearly below or near rest.

    A tenth of the `typical` response counts for nothing. Beyond that, a departure is clear when it
    exceeds 5 standard errors; within 1 the channel is near rest. Images between are in no zone.

    Parameters
    ----------
    activity
        a = φ − rest (images, channels).
    error
        Its standard error, that shape or what broadcasts to it.
    of_rest
        The part that all images share, standard error of rest (channels).
    members
        (images), the group of each, from 0; None where images are independent.
    """
    size = np.abs(activity)
    small = SMALL * typical(size)
    bound = np.maximum(CLEAR * error, small)
    clear = size > bound
    upward = _count(clear & (activity > 0))
    off = np.maximum(error, small)

    def shifted(by: np.ndarray) -> np.ndarray:
        beyond = [(side, side * activity - least) for least in (bound, off) for side in (1, -1)]
        return np.stack([[_count(far > side * c * of_rest) for c in by] for side, far in beyond])

    def worth(by: np.ndarray, counts: np.ndarray) -> np.ndarray:
        if members is None:
            return counts[:2].sum(axis=0).astype(float)
        return np.stack([_independent(np.abs(activity - c * of_rest) > bound, members) for c in by])

    near = _count(size <= off)
    raised, lowered = (shifted(by) for by in (np.array(SHIFTS), -np.array(SHIFTS)))
    worths = worth(np.array(SHIFTS), raised), worth(-np.array(SHIFTS), lowered)
    return Zones(upward, _count(clear) - upward, near, raised, lowered, *worths)


def _count(which: np.ndarray) -> np.ndarray:
    """Number (channels) of images that are chosen (images, channels)."""
    # Several times as fast as a sum over images, which converts each flag.
    return np.array([np.count_nonzero(one) for one in which.T])


def _independent(which: np.ndarray, members: np.ndarray) -> np.ndarray:
    """Number (channels) of independent images that those chosen (images, channels) are worth, by Kish's formula."""
    groups = csr_array((np.ones(len(members)), (members, np.arange(len(members)))))
    return which.sum(axis=0) ** 2 / np.maximum(((groups @ which.astype(float)) ** 2).sum(axis=0), 1)


def shape(activity: np.ndarray, members: np.ndarray | None = None) -> Shape:
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

    One image, or group, far out does not show a heavy tail, which asks that there are such images: what is seen once
    may be as rare as one likes. So to show that the Laplace law is closer takes both statistics.

    Where images come in groups, the standard deviation is that of the groups' sums, and n their effective number.

    Parameters
    ----------
    activity
        a = φ − rest (images, channels), at least 4 images.
    members
        (images), the group of each, from 0; None where images are independent.
    """
    n = len(activity)
    units = effective(members, n)
    mean, sd = activity.mean(axis=0), activity.std(axis=0, ddof=1)
    # Rounding leaves a trace of variance in a constant channel.
    varies = activity.max(axis=0) > activity.min(axis=0)
    with warnings.catch_warnings():
        # A channel that hardly varies has moments of rounding: so it says.
        warnings.simplefilter("ignore", RuntimeWarning)
        # Masked afterwards: given a NaN anywhere, scipy takes one column after another, and ten times as long.
        skew, kurtosis = (
            np.where(varies, moment(activity, bias=False), np.nan) for moment in (stats.skew, stats.kurtosis)
        )
    median = np.median(activity, axis=0)
    distance = np.abs(activity - median)
    closer, scale = _closer(activity, members)
    # Further out than all others no single image or group is taken to be.
    outside = (
        distance if members is None else np.where(members[:, None] == members[distance.argmax(axis=0)], 0, distance)
    )
    cut = np.partition(outside, -2, axis=0)[-2] if members is None else outside.max(axis=0)
    closer_without, scale_without = _closer(np.clip(activity, median - cut, median + cut), members)
    with np.errstate(invalid="ignore", divide="ignore"):
        tail, tail_without = (np.sqrt(units) * by / of for by, of in ((closer, scale), (closer_without, scale_without)))
        freedom = max(4 * units / BOUNDARY_SKEW**2, LEAST_SHAPE)
        bounded = np.sqrt(units) * closer / np.maximum(scale, BOUNDARY_SD)
        p_normal = gammainc(freedom, np.maximum(freedom + np.sqrt(freedom) * bounded, 0))
        response = np.maximum(activity, 0)
        shared = response.mean(axis=0) ** 2 / (response**2).mean(axis=0)
        lower, upper = np.quantile(activity, [0.25, 0.75], axis=0)
        # Half the distance between the quartiles is 0.6745 standard deviations of a normal law.
        far = distance > FAR * (upper - lower) / 2 / 0.6745
    return Shape(
        mean,
        np.where(varies, sd, np.nan),
        skew,
        kurtosis,
        (1 - shared) / (1 - 1 / n),
        tail,
        np.fmin(tail, tail_without),
        p_normal,
        far.sum(axis=0),
    )


def _closer(activity: np.ndarray, members: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Mean over images by how much closer the Laplace law is, and the standard deviation; NaN of constant channels."""
    square = (activity - activity.mean(axis=0)) ** 2
    distance = np.abs(activity - np.median(activity, axis=0))
    m2, b = square.mean(axis=0), distance.mean(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = 0.5 * np.log(m2) - np.log(b) + 0.5 * np.log(2 * np.pi) - 0.5 - np.log(2)
        difference = 0.5 * square / m2 - distance / b
        return mean, difference.std(axis=0) if members is None else _scale_between(difference, members)


def _scale_between(values: np.ndarray, members: np.ndarray) -> np.ndarray:
    """Standard deviation such that over √units it is the standard error of the mean, by the sums of groups."""
    centred = values - values.mean(axis=0)
    sums = np.zeros((int(members.max()) + 1, values.shape[1]))
    np.add.at(sums, members, centred)
    groups, n = len(sums), len(values)
    return np.sqrt((sums**2).sum(axis=0) * groups / (groups - 1)) / n * np.sqrt(effective(members, n))


def strongest(activity: np.ndarray, top: int) -> np.ndarray:
    """Indices (top, channels) of the images of largest activity, largest first; of equals, the first image's first."""
    top = min(top, len(activity))
    least = np.partition(activity, -top, axis=0)[-top]
    larger, equal = activity > least, activity == least
    kept = larger | (equal & (equal.cumsum(axis=0) <= top - larger.sum(axis=0)))
    place = np.nonzero(kept.T)[1].reshape(-1, top).T
    order = np.argsort(-np.take_along_axis(activity, place, axis=0), axis=0, kind="stable")
    return np.take_along_axis(place, order, axis=0)


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
