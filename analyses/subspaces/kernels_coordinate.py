"""Images sorted by which channels they make active: a union of sparse coordinate subspaces; numpy only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import betaln, gammaln

__all__ = ["Groups", "evidence", "group", "merge_path"]

SWEEPS = 3
# Overlaps of supports up to a half can be told from nested ones; this is half-way between a half and all.
NESTED = 0.75
BLOCK = 8192


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


def evidence(ones: np.ndarray, size: np.ndarray) -> float:
    """Integrated classification log-likelihood of active sets sorted into groups.

    log ∏_c ½[p(all groups share one rate) + p(each has its own)] + log p(sizes), rates Beta(½, ½), sizes
    Dirichlet(½): the exact criterion of Biernacki, Celeux & Govaert (2010) with each channel free to be
    the same everywhere, so that common and silent channels cost nothing.

    Parameters
    ----------
    ones, size
        (groups, channels), (groups): images that make a channel active, and images.
    """
    shared = _likelihood(ones.sum(axis=0), size.sum())
    k = len(size)
    if k == 1:
        return float(shared.sum())
    apart = _likelihood(ones, size).sum(axis=0)
    sizes = gammaln(k / 2) - k * gammaln(0.5) + gammaln(size + 0.5).sum() - gammaln(size.sum() + k / 2)
    return float((np.logaddexp(apart, shared) - np.log(2)).sum() + sizes)


def _likelihood(ones: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Log probability (…, channels) of `ones` active among `size` images, the rate being Beta(½, ½)."""
    zeros = np.expand_dims(size, -1) - ones
    return betaln(ones + 0.5, zeros + 0.5) - betaln(0.5, 0.5)


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
            path[len(size)] = labels, evidence(ones, size)
        if len(size) == 1:
            return path
        keep, gone = _cheapest(ones, size)
        labels = np.where(labels == gone, keep, labels)


def _seed(a: np.ndarray, k: int, rng: np.random.Generator) -> np.ndarray:
    """Labels by the nearest of k images, chosen as k-means++ does, by number of channels that differ."""
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
    onehot = (labels[:, None] == np.flatnonzero(size)).astype(np.float32)
    return (onehot.T @ a).astype(float), size[size > 0].astype(float)


def log_joint(a: np.ndarray, ones: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Log of share × probability of each image's active set, (images, groups)."""
    rate = (ones + 0.5) / (size[:, None] + 1)
    on, off = np.log(rate), np.log1p(-rate)
    share = np.log((size + 0.5) / (size.sum() + len(size) / 2))
    return a @ (on - off).T.astype(np.float32) + (off.sum(axis=1) + share).astype(np.float32)


def _settle(a: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A few sweeps of assignment by likelihood; labels without gaps, and counts."""
    ones, size = _counts(a, labels)
    for _ in range(SWEEPS):
        moved = log_joint(a, ones, size).argmax(axis=1)
        ones, size = _counts(a, moved)
        if np.array_equal(moved, labels):
            break
        labels = moved
    return np.unique(labels, return_inverse=True)[1], ones, size


def _cheapest(ones: np.ndarray, size: np.ndarray) -> tuple[int, int]:
    """The two groups that lose least when they become one."""
    own = _likelihood(ones, size).sum(axis=1) + gammaln(size + 0.5)
    sizes = size[:, None] + size
    together = _likelihood(ones[:, None] + ones, sizes).sum(axis=-1) + gammaln(sizes + 0.5)
    gain = together - own[:, None] - own
    np.fill_diagonal(gain, -np.inf)
    keep, gone = np.unravel_index(int(gain.argmax()), gain.shape)
    return int(keep), int(gone)


def _supports(ones: np.ndarray, size: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Channels active in at least half of a group's images, less those that all groups share; and these."""
    # Where one rate for all groups is likelier, groups differ by chance, and only the rate over all images counts.
    differ = _likelihood(ones, size).sum(axis=0) > _likelihood(ones.sum(axis=0), size.sum())
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
