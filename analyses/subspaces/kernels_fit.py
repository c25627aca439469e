"""A union of subspaces fitted to what lies above rest, and how far the answer can be trusted; arrays only."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

import numpy as np
from scipy import linalg, optimize

from analyses.subspaces import kernels_active, kernels_expression

__all__ = ["Directions", "Fit", "Partition", "Search", "Sorter", "agreement", "angles", "fit", "match", "one_of_each"]

LANDMARKS = {"coordinate": 4000, "linear": 1000}
# Channels that so many images make active belong to no linear subspace in particular.
COMMON = 0.95
# Of the largest eigenvalue of noise, in units of its spread: the Tracy-Widom law's 99 % point.
TRACY_WIDOM = 2.02
BLOCK = 8192


class Sorter(Protocol):
    """What sorts images into subspaces that were learnt from others."""

    def assign(self, x: np.ndarray, active: np.ndarray, /) -> tuple[np.ndarray, np.ndarray]:
        """Subspace and certainty (images) of each image, by φ above rest and active channels (images, channels)."""
        ...


@dataclass(frozen=True)
class Fit:
    """Subspaces in order of their numbers of images.

    Attributes
    ----------
    labels, certainty
        (images): subspace, and the probability of it among the subspaces found; NaN for "linear".
    support, common
        (subspaces, channels), (channels).
    bases
        Orthonormal (dimension, channels), by subspace.
    evidence
        In nats, by number of groups tried.
    agreement, held, confidence
        Each in [0, 1]; see `fit`.
    sorter
        Sorts images, those fitted as they are sorted here and any others alike.
    """

    labels: np.ndarray
    certainty: np.ndarray
    support: np.ndarray
    common: np.ndarray
    bases: list[np.ndarray]
    evidence: dict[int, float]
    agreement: float
    held: float
    sorter: Sorter | None = None

    @property
    def confidence(self) -> float:
        return self.agreement * self.held * float(self.certainty.mean()) ** 2

    def of_all(self, labels: np.ndarray, certainty: np.ndarray) -> Fit:
        """The same subspaces with more images sorted into them by `sorter`, in the order of their numbers of these."""
        rank = _by_size(labels, len(self.support))
        return replace(
            self,
            labels=np.argsort(rank)[labels],
            certainty=certainty,
            support=self.support[rank],
            bases=[self.bases[k] for k in rank],
            sorter=None,
        )


class Search(NamedTuple):
    """What is looked for.

    Attributes
    ----------
    method
        "coordinate" or "linear".
    number
        Of subspaces; None to find it.
    most
        Largest number of groups tried.
    splits
        Number of splits in halves.
    seed
        Of landmarks, first seeds and splits.
    """

    method: str
    number: int | None
    most: int
    splits: int
    seed: int


@dataclass(frozen=True)
class Partition:
    """Images sorted into subspaces, which are in no order yet; attributes as in `Fit`."""

    labels: np.ndarray
    certainty: np.ndarray
    support: np.ndarray
    common: np.ndarray
    bases: list[np.ndarray]
    evidence: dict[int, float]
    sorter: Sorter


@dataclass(frozen=True)
class Ranked:
    """A sorter whose subspaces have other numbers: `rank` (subspaces) are the old ones in the new order."""

    sorter: Sorter
    rank: np.ndarray

    def assign(self, x: np.ndarray, active: np.ndarray, /) -> tuple[np.ndarray, np.ndarray]:
        labels, certainty = self.sorter.assign(x, active)
        return np.argsort(self.rank)[labels], certainty


@dataclass(frozen=True)
class Sets:
    """Sorts images by their active channels alone."""

    groups: kernels_active.Groups

    def assign(self, _: np.ndarray, active: np.ndarray, /) -> tuple[np.ndarray, np.ndarray]:
        return self.groups.assign(active)


@dataclass(frozen=True)
class Directions:
    """Sorts images by the linear subspace that tells them most briefly; attributes as `kernels_expression.assign` has.

    `own` (channels) are those that subspaces are of.
    """

    own: np.ndarray
    bases: list[np.ndarray]
    noise: float
    scale: float

    def assign(self, x: np.ndarray, _: np.ndarray, /) -> tuple[np.ndarray, np.ndarray]:
        labels = kernels_expression.assign(x[:, self.own], self.bases, self.noise, self.scale)[0]
        return labels, np.full(len(labels), np.nan)


def fit(
    x: np.ndarray,
    noise: float,
    active: np.ndarray,
    search: Search,
    *,
    shifted: np.ndarray | None = None,
    members: np.ndarray | None = None,
) -> Fit:
    """Find the union of subspaces.

    The confidence is the product of how far fits to random halves of the images give the same number of subspaces
    and the same assignment (`agreement`), how much more of the energy above rest lies inside the subspaces than
    inside as many random dimensions (`held`), and the square of how sure images are of their subspace (mean
    `certainty`): with 5 % of images expected to be misplaced it is 0.9 at most. It is NaN for "linear", where
    agreement and held alone do not tell a union from its span.

    Parameters
    ----------
    x
        (images, channels), φ − rest, float32.
    noise
        Mean variance of the error of a value of x.
    active
        (images, channels), boolean.
    search
        What is looked for.
    shifted
        (channels), whether a channel lies above rest by a constant; what common ones hold then says nothing.
    members
        (images), the group of each, from 0: subspaces are learnt from one image of each group, so that halves share
        none. None where images are independent.
    """
    rng = np.random.default_rng(search.seed)
    # In an order that images and not their positions decide, so that the seed draws the same ones after a permutation.
    order = np.lexsort((x.max(axis=1), x.sum(axis=1), active.sum(axis=1)))
    landmarks = one_of_each(rng.permutation(order), members)[: LANDMARKS[search.method]]
    kind = Coordinate if search.method == "coordinate" else Linear
    landmarked = kind(x, noise, active, landmarks, search, rng)
    found = landmarked.partition()
    number = len(found.support)
    informative = found.common if shifted is None else found.common & ~shifted
    held = _held(x, found.labels, found.support, informative, found.bases if search.method == "linear" else None)
    kept = found.labels[landmarks]
    agreements = []
    for _ in range(search.splits):
        halves = rng.permutation(len(landmarks))
        for half in (halves[: len(halves) // 2], halves[len(halves) // 2 :]):
            other, count = landmarked.refit(half)
            agreements.append(agreement(kept, other) if count == number else 0.0)
    rank = _by_size(found.labels, number)
    return Fit(
        np.argsort(rank)[found.labels],
        found.certainty,
        found.support[rank],
        found.common,
        [found.bases[k] for k in rank],
        found.evidence,
        float(np.mean(agreements)) if agreements else float("nan"),
        held,
        Ranked(found.sorter, rank),
    )


def _by_size(labels: np.ndarray, number: int) -> np.ndarray:
    """Subspaces in the order of their numbers of images, those of equal numbers as they come."""
    return np.lexsort((np.arange(number), -np.bincount(labels, minlength=number)))


class Coordinate:
    """Coordinate subspaces, learnt from the active sets of landmarks."""

    def __init__(
        self,
        x: np.ndarray,
        noise: float,
        active: np.ndarray,
        landmarks: np.ndarray,
        search: Search,
        rng: np.random.Generator,
    ) -> None:
        self._x, self._noise, self._active, self._search, self._rng = x, noise, active, search, rng
        self._sets = active[landmarks]

    def partition(self) -> Partition:
        """All images in the subspaces of all landmarks."""
        groups = self._grouped(self._sets)
        labels, certainty = groups.assign(self._active)
        bases = [_basis(self._x, labels == k, mask, self._noise) for k, mask in enumerate(groups.support)]
        return Partition(labels, certainty, groups.support, groups.common, bases, groups.evidence, Sets(groups))

    def refit(self, half: np.ndarray) -> tuple[np.ndarray, int]:
        """Landmarks in the subspaces of some of them, and the number of these."""
        groups = self._grouped(self._sets[half])
        return groups.assign(self._sets)[0], len(groups.support)

    def _grouped(self, sets: np.ndarray) -> kernels_active.Groups:
        return kernels_active.group(sets, self._search.number, self._search.most, self._rng)


class Linear:
    """Linear subspaces of any orientation, learnt from landmarks without the channels that nearly all images share."""

    def __init__(
        self,
        x: np.ndarray,
        noise: float,
        active: np.ndarray,
        landmarks: np.ndarray,
        search: Search,
        rng: np.random.Generator,
    ) -> None:
        self._search = search
        common = active.mean(axis=0) >= COMMON
        if common.all() or np.square(x[landmarks][:, ~common]).mean() <= 2 * noise:
            common[:] = False
        self._common, self._own = common, x[:, ~common]
        self._few, self._seed = self._own[landmarks], int(rng.integers(2**31))
        self._noise = max(noise, 1e-6 * float(np.square(self._few).mean()), float(np.finfo(np.float32).tiny))
        self._scale = kernels_expression.mean_square(self._few)

    def partition(self) -> Partition:
        """All images in the subspaces of all landmarks.

        No probability model compares the subspaces, and none of the answers is vouched for.
        """
        found, evidence = self._grouped(self._few)
        labels, found = kernels_expression.k_subspaces(self._own, found, self._noise)
        bases, support = [], np.zeros((len(found), len(self._common)), bool)
        for k, part in enumerate(found):
            whole = np.zeros((len(part), len(self._common)))
            whole[:, ~self._common] = part
            bases.append(whole)
            if (labels == k).any():
                support[k, ~self._common] = np.square(self._own[labels == k]).mean(axis=0) > 4 * self._noise
        # As the last of the alternating fits sorted them.
        sorter = Directions(~self._common, found, self._noise, kernels_expression.mean_square(self._own))
        return Partition(labels, np.full(len(labels), np.nan), support, self._common, bases, evidence, sorter)

    def refit(self, half: np.ndarray) -> tuple[np.ndarray, int]:
        """Landmarks in the subspaces of some of them, and the number of these."""
        other, _ = self._grouped(self._few[half])
        return kernels_expression.assign(self._few, other, self._noise, self._scale)[0], len(other)

    def _grouped(self, few: np.ndarray) -> tuple[list[np.ndarray], dict[int, float]]:
        return kernels_expression.group(few, self._search.number, self._search.most, self._noise, self._seed)


def _basis(x: np.ndarray, rows: np.ndarray, mask: np.ndarray, noise: float) -> np.ndarray:
    """Orthonormal basis on the support of as many dimensions as stand out of the noise.

    The noise is the error of measurement, or the median variance of the channels off the support if that is larger.
    An eigenvalue stands out when noise alone would exceed it once in a hundred times (Johnstone, 2001).
    """
    own = x[rows]
    n, size = len(own), int(mask.sum())
    if not n or not size:
        return np.zeros((0, x.shape[1]))
    off = own[:, ~mask].var(axis=0, dtype=np.float64)
    variance = max(noise, float(np.median(off)) if len(off) else 0.0)
    inside = own[:, mask].astype(np.float64)
    value, vector = np.linalg.eigh(inside.T @ inside)
    a, b = np.sqrt(n - 1), np.sqrt(size)
    edge = (a + b) ** 2 + TRACY_WIDOM * (a + b) * (1 / max(a, 1) + 1 / b) ** (1 / 3)
    # Rounding of float32 is no dimension.
    limit = max(variance * edge, 1e-10 * max(float(value[-1]), 0.0))
    rank = int((value > limit).sum())
    basis = np.zeros((rank, x.shape[1]))
    basis[:, mask] = vector[:, ::-1][:, :rank].T
    return basis


def _held(
    x: np.ndarray, labels: np.ndarray, support: np.ndarray, common: np.ndarray, bases: list[np.ndarray] | None
) -> float:
    """Share of the energy inside the subspaces beyond what as many random dimensions would hold, (h − s)/(1 − s).

    The energy is that above rest on the channels of a subspace, or that along its basis.
    """
    inside = total = expected = 0.0
    for k, mask in enumerate(support):
        rows = np.flatnonzero(labels == k)
        size = (mask | common).mean() if bases is None else len(bases[k]) / max((~common).sum(), 1)
        expected += size * len(rows) / len(labels)
        for start in range(0, len(rows), BLOCK):
            block = x[rows[start : start + BLOCK]]
            if bases is None:
                energy = np.square(np.maximum(block, 0), dtype=np.float64).sum(axis=0)
                inside += float(energy[mask | common].sum())
                total += float(energy.sum())
            else:
                inside += float(np.square(block @ bases[k].T).sum())
                total += float(np.square(block[:, ~common], dtype=np.float64).sum())
    # Subspaces of all channels hold everything and tell nothing.
    if not total > 0 or expected >= 1:
        return 0.0
    return float(np.clip((inside / total - expected) / (1 - expected), 0, 1))


def one_of_each(order: np.ndarray, members: np.ndarray | None) -> np.ndarray:
    """Of positions of images, the first of each group, in their order; all where images are independent."""
    if members is None:
        return order
    return order[np.sort(np.unique(members[order], return_index=True)[1])]


def match(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs of labels of `a` and of `b` that share most images (Kuhn, 1955), and the table of shared images."""
    table = np.zeros((a.max() + 1, b.max() + 1))
    np.add.at(table, (a, b), 1)
    rows, columns = optimize.linear_sum_assignment(-table)
    return rows, columns, table


def agreement(a: np.ndarray, b: np.ndarray) -> float:
    """Share of images whose labels agree under the best renaming of labels."""
    rows, columns, table = match(a, b)
    return float(table[rows, columns].sum() / len(a))


def angles(bases: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Smallest and mean principal angle between each two subspaces, in radians; NaN where one has no dimension."""
    number = len(bases)
    least, mean = np.full((number, number), np.nan), np.full((number, number), np.nan)
    for j in range(number):
        for k in range(j, number):
            if len(bases[j]) and len(bases[k]):
                found = linalg.subspace_angles(bases[j].T, bases[k].T)
                least[j, k] = least[k, j] = found.min()
                mean[j, k] = mean[k, j] = found.mean()
    return least, mean
