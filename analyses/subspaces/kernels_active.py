"""Active sets of channels: found in φ above rest, compared in pairs of images, grouped into coordinate subspaces.

Arrays only.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy import optimize, special
from scipy.special import betaln, gammaln

__all__ = [
    "Groups",
    "Moderation",
    "active",
    "group",
    "jaccard",
    "likelihood",
    "measurement_error",
    "merge_path",
    "moderation",
    "p_values",
    "pairs",
    "spread_below",
]

# Images held in double precision at once, and images assigned at once.
AT_ONCE, BLOCK = 4096, 8192
SWEEPS = 3
# Overlaps of supports up to a half can be told from nested ones; this is half-way between a half and all.
NESTED = 0.75


@dataclass(frozen=True)
class Moderation:
    """What each channel shows over images of the error of few draws, all (channels).

    Attributes
    ----------
    share
        Of the variance that is the channel's and not the image's own, d₀/(d₀ + d).
    level
        The channel's variance s₀².
    degrees
        Of freedom, d₀ + d, up to infinity.
    """

    share: np.ndarray
    level: np.ndarray
    degrees: np.ndarray

    def errors(self, se: np.ndarray) -> np.ndarray:
        """Standard errors (images, channels), float32, drawn towards what their channel shows."""
        variance = np.square(se, dtype=np.float32)
        variance *= (1 - self.share).astype(np.float32)
        variance += (self.share * self.level).astype(np.float32)
        return np.sqrt(variance, out=variance)


def measurement_error(se: np.ndarray, degrees: float) -> tuple[np.ndarray, np.ndarray]:
    """Standard errors (images, channels) and degrees of freedom (channels); see `moderation`."""
    found = moderation(se, degrees)
    return found.errors(se), found.degrees


def moderation(se: np.ndarray, degrees: float) -> Moderation:
    """How standard errors of few draws are drawn towards what their channel shows over all images.

    The empirical-Bayes variance (d₀ s₀² + d s²)/(d₀ + d) of Smyth (2004), with s₀² and d₀ estimated
    for each channel from the spread of log s² over images.

    Parameters
    ----------
    se
        (images, channels), each of d = `degrees` degrees of freedom; zeros say nothing and are passed over.
    degrees
        Of freedom: draws − 1.
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
    return Moderation(1 - degrees / (prior + degrees), level, prior + degrees)


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
    for start in range(0, len(x), AT_ONCE):
        rows = slice(start, start + AT_ONCE)
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
    for start in range(0, len(p), AT_ONCE):
        block = p[start : start + AT_ONCE]
        ordered = np.sort(block, axis=1)
        passed = ordered <= line
        last = channels - 1 - np.argmax(passed[:, ::-1], axis=1)
        limit = np.where(passed.any(axis=1), ordered[np.arange(len(block)), last], -1)
        found[start : start + AT_ONCE] = block <= limit[:, None]
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
    left = np.flatnonzero((place[:-1] % 2 == 0) & (ranks[:-1] == ranks[1:]))
    within = np.stack([order[left], order[left + 1]], axis=1)
    half = len(order) // 2
    across = np.stack([order[:half], order[half : 2 * half]], axis=1)
    return within, across[labels[across[:, 0]] != labels[across[:, 1]]]


@dataclass(frozen=True)
class Groups:
    """Groups of active sets, and the subspace that each belongs to.

    Attributes
    ----------
    ones, size
        Images that make each channel active (groups, channels), and images (groups).
    member
        (groups, subspaces), probability that an image of the group belongs to the subspace.
    stray
        (groups), whether a group is put into a subspace although it has channels that the subspace has not.
    support, common
        (subspaces, channels), (channels): channels of one subspace or some; channels of all.
    evidence
        By number of groups, how well so many explain the active sets, in nats.
    """

    ones: np.ndarray
    size: np.ndarray
    member: np.ndarray
    stray: np.ndarray
    support: np.ndarray
    common: np.ndarray
    evidence: dict[int, float]

    def assign(self, active: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Most probable subspace of each image, and its posterior probability; 0 for images of stray groups."""
        labels = np.empty(len(active), int)
        certainty = np.empty(len(active))
        member = self.member.astype(np.float32)
        for start in range(0, len(active), BLOCK):
            joint = log_joint(active[start : start + BLOCK].astype(np.float32), self.ones, self.size)
            share = np.exp(joint - joint.max(axis=1, keepdims=True))
            share /= share.sum(axis=1, keepdims=True)
            weight = share @ member
            labels[start : start + BLOCK] = best = weight.argmax(axis=1)
            vouched = share @ (member * ~self.stray[:, None])
            certainty[start : start + BLOCK] = np.minimum(vouched[np.arange(len(best)), best], 1)
        return labels, certainty


def group(active: np.ndarray, number: int | None, most: int, rng: np.random.Generator) -> Groups:
    """Find groups of active sets and the coordinate subspaces they stand for.

    The number of groups is that of the largest evidence. A group whose support lies within another's
    is put into it, because a subspace of a subspace adds nothing to a union.

    Parameters
    ----------
    active
        (images, channels), boolean.
    number
        Number of groups, each then a subspace of its own; by default found.
    most
        Largest number of groups tried.
    rng
        Of the first seeds.
    """
    path = merge_path(active, max(most, number or 1), rng)
    values = {k: value for k, (_, value) in path.items()}
    best = max(values, key=lambda k: values[k]) if number is None else max(k for k in path if k <= number)
    labels = path[best][0]
    ones, size = _counts(active.astype(np.float32), labels)
    support, common = _supports(ones, size)
    member, stray = np.eye(len(size)), np.zeros(len(size), bool)
    if number is None:
        member, stray, support, common = _maximal(support, common, size)
    return Groups(ones, size, member, stray, support, common, values)


def likelihood(ones: np.ndarray, size: np.ndarray) -> float:
    """Integrated classification log-likelihood of active sets sorted into groups.

    log ∏_c ½[p(all groups share one rate) + p(each has its own)] + log p(sizes), rates Beta(½, ½), sizes
    Dirichlet(½): the exact criterion of Biernacki, Celeux & Govaert (2010) with each channel free to be
    the same everywhere, so that common and silent channels cost nothing.

    Parameters
    ----------
    ones, size
        (groups, channels), (groups): images that make a channel active, and images.
    """
    shared = _of_rate(ones.sum(axis=0), size.sum())
    k = len(size)
    if k == 1:
        return float(shared.sum())
    apart = _of_rate(ones, size).sum(axis=0)
    sizes = gammaln(k / 2) - k * gammaln(0.5) + gammaln(size + 0.5).sum() - gammaln(size.sum() + k / 2)
    return float((np.logaddexp(apart, shared) - np.log(2)).sum() + sizes)


def _of_rate(ones: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Log probability (…, channels) of `ones` active among `size` images, the rate being Beta(½, ½)."""
    # Counts are whole: a table says log Γ many times as fast.
    above, below = _log_gammas(int(size.max()).bit_length())
    active, images = ones.astype(np.intp), np.expand_dims(size, -1).astype(np.intp)
    return above[active] + above[images - active] - below[images] - betaln(0.5, 0.5)


@cache
def _log_gammas(bits: int) -> tuple[np.ndarray, np.ndarray]:
    """log Γ(k + ½) and log Γ(k + 1) of all counts of so many bits."""
    counts = np.arange(2**bits)
    return gammaln(counts + 0.5), gammaln(counts + 1)


def merge_path(active: np.ndarray, most: int, rng: np.random.Generator) -> dict[int, tuple[np.ndarray, float]]:
    """Group active sets from many groups down to one, merging the pair whose merger costs least evidence.

    Parameters
    ----------
    active
        (images, channels), boolean.
    most
        Largest number of groups.
    rng
        Of the first seeds.

    Returns
    -------
    dict
        By number of groups: labels (images) and evidence. Numbers that sweeps skipped are not there.
    """
    a = active.astype(np.float32)
    labels = _seed(a, min(2 * most, len(a)), rng)
    path: dict[int, tuple[np.ndarray, float]] = {}
    while True:
        labels, ones, size = _settle(a, labels)
        if len(size) <= most:
            path[len(size)] = labels, likelihood(ones, size)
        if len(size) == 1:
            return path
        keep, gone = _cheapest(ones, size)
        labels = np.where(labels == gone, keep, labels)


def _seed(a: np.ndarray, k: int, rng: np.random.Generator) -> np.ndarray:
    """Labels by the nearest of k images, chosen as k-means++ does, by number of channels that differ."""
    # scikit-learn's kmeans_plusplus gives centres alone; here one pass finds labels too, and ends once all are chosen.
    weight = a.sum(axis=1)
    labels = np.zeros(len(a), int)
    nearest = np.full(len(a), np.inf)
    chosen = int(rng.integers(len(a)))
    for number in range(k):
        distance = weight + weight[chosen] - 2 * a @ a[chosen]
        labels[distance < nearest] = number
        nearest = np.minimum(nearest, distance)
        if not nearest.any():
            break
        chosen = int(rng.choice(len(a), p=nearest / nearest.sum()))
    return labels


def _counts(a: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    size = np.bincount(labels)
    return _of_groups(a, labels, len(size))[size > 0], size[size > 0].astype(float)


def _of_groups(a: np.ndarray, labels: np.ndarray, count: int) -> np.ndarray:
    """Images of each of so many groups that make a channel active, (groups, channels)."""
    return ((labels[:, None] == np.arange(count)).astype(np.float32).T @ a).astype(float)


def log_joint(a: np.ndarray, ones: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Log of share × probability of each image's active set, (images, groups)."""
    rate = (ones + 0.5) / (size[:, None] + 1)
    on, off = np.log(rate), np.log1p(-rate)
    share = np.log((size + 0.5) / (size.sum() + len(size) / 2))
    return a @ (on - off).T.astype(np.float32) + (off.sum(axis=1) + share).astype(np.float32)


def _settle(a: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A few sweeps of assignment by likelihood; labels without gaps, and counts."""
    labels = np.unique(labels, return_inverse=True)[1]
    ones, size = _counts(a, labels)
    for _ in range(SWEEPS):
        moved = log_joint(a, ones, size).argmax(axis=1)
        changed = np.flatnonzero(moved != labels)
        if not len(changed):
            break
        # Counts are whole numbers, so that what few images move is exactly what counting all anew would find.
        some, left, right = a[changed], labels[changed], moved[changed]
        ones = ones + _of_groups(some, right, len(size)) - _of_groups(some, left, len(size))
        size = np.bincount(moved, minlength=len(size)).astype(float)
        kept = size > 0
        labels, ones, size = (np.cumsum(kept) - 1)[moved], ones[kept], size[kept]
    return labels, ones, size


def _cheapest(ones: np.ndarray, size: np.ndarray) -> tuple[int, int]:
    """The two groups that lose least when they become one."""
    own = _of_rate(ones, size).sum(axis=1) + gammaln(size + 0.5)
    first, second = np.triu_indices(len(size), 1)
    both = size[first] + size[second]
    together = np.zeros((len(size), len(size)))
    together[first, second] = _of_rate(ones[first] + ones[second], both).sum(axis=-1) + gammaln(both + 0.5)
    together += together.T
    gain = together - own[:, None] - own
    np.fill_diagonal(gain, -np.inf)
    keep, gone = np.unravel_index(int(gain.argmax()), gain.shape)
    return int(keep), int(gone)


def _supports(ones: np.ndarray, size: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Channels active in at least half of a group's images, less those that all groups share; and these."""
    # Where one rate for all groups is likelier, groups differ by chance, and only the rate over all images counts.
    differ = _of_rate(ones, size).sum(axis=0) > _of_rate(ones.sum(axis=0), size.sum())
    on = np.where(differ, ones >= 0.5 * size[:, None], ones.sum(axis=0) >= 0.5 * size.sum())
    common = np.logical_and.reduce(on)
    return on & ~common, common


def _maximal(
    support: np.ndarray, common: np.ndarray, size: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Members and strays as `Groups` has them, supports and common channels, nested supports put into larger ones."""
    extent = support.sum(axis=1)
    kept: list[int] = []
    for this in np.lexsort((-size, -extent)):
        inside = (support[kept] & support[this]).sum(axis=1)
        if not kept or (extent[this] and inside.max() < NESTED * extent[this]):
            kept.append(int(this))
    inside = (support[:, None] & support[kept]).sum(axis=2)
    # A group within several subspaces, as one without channels is within all, may belong to any of them.
    member = _shares(inside, size[kept])
    member[kept] = np.eye(len(kept))
    on = support[kept] | common
    everywhere = np.logical_and.reduce(on)
    stray = inside.max(axis=1) < extent
    return member, stray, on & ~everywhere, everywhere


def _shares(inside: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Probabilities of the subspaces that hold most channels of each group, (groups, subspaces), by their sizes."""
    share = (inside == inside.max(axis=1, keepdims=True)) * size
    return share / share.sum(axis=1, keepdims=True)
