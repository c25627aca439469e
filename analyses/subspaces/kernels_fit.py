"""A union of subspaces fitted to what lies above rest, and how far the answer can be trusted; arrays only."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from scipy import linalg, optimize

from analyses.subspaces import kernels_expression, kernels_sets

__all__ = ["METHODS", "Activity", "Answer", "Partition", "Wanted", "agreement", "angles", "fit", "match"]

# Channels that so many images make active belong to no linear subspace in particular.
COMMON = 0.95
# Of the largest eigenvalue of noise, in units of its spread: the Tracy-Widom law's 99 % point.
TRACY_WIDOM = 2.02
BLOCK = 8192


class Activity(NamedTuple):
    """What images raise above rest.

    Attributes
    ----------
    x
        (images, channels), φ − rest, float32.
    noise
        Mean variance of the error of a value of x.
    active
        (images, channels), boolean.
    shifted
        (channels), whether a channel lies above rest by a constant; what common ones hold then says nothing.
    """

    x: np.ndarray
    noise: float
    active: np.ndarray
    shifted: np.ndarray


class Wanted(NamedTuple):
    """How many subspaces are looked for: `number`, or at most `most` where that is None."""

    number: int | None
    most: int


class Partition(NamedTuple):
    """Images sorted into subspaces.

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
    """

    labels: np.ndarray
    certainty: np.ndarray
    support: np.ndarray
    common: np.ndarray
    bases: list[np.ndarray]
    evidence: dict[int, float]

    def by_size(self) -> Partition:
        """The same with subspaces in order of their numbers of images."""
        order = np.lexsort((np.arange(len(self.support)), -np.bincount(self.labels, minlength=len(self.support))))
        return self._replace(
            labels=np.argsort(order)[self.labels], support=self.support[order], bases=[self.bases[k] for k in order]
        )


@dataclass(frozen=True)
class Answer:
    """A partition, and how far it can be trusted: `agreement`, `held` and `confidence` in [0, 1], see `fit`."""

    partition: Partition
    agreement: float
    held: float

    @property
    def confidence(self) -> float:
        return self.agreement * self.held * float(self.partition.certainty.mean()) ** 2


def fit(activity: Activity, wanted: Wanted, *, method: str, splits: int, seed: int) -> Answer:
    """Find the union of subspaces.

    The confidence is the product of how far fits to random halves of the images give the same number of subspaces
    and the same assignment (`agreement`), how much more of the energy above rest lies inside the subspaces than
    inside as many random dimensions (`held`), and the square of how sure images are of their subspace (mean
    `certainty`): with 5 % of images expected to be misplaced it is 0.9 at most. It is NaN for "linear", where
    agreement and held alone do not distinguish a union from its span.

    Parameters
    ----------
    activity
        Of all images.
    wanted
        Number of subspaces.
    method
        "coordinate" or "linear".
    splits
        Number of splits in halves.
    seed
        Of landmarks, first seeds and splits.
    """
    rng = np.random.default_rng(seed)
    x, active = activity.x, activity.active
    # In an order that images and not their positions decide, so that the seed draws the same ones after a permutation.
    order = np.lexsort((x.max(axis=1), x.sum(axis=1), active.sum(axis=1)))
    kind = METHODS[method]
    landmarks = rng.permutation(order)[: kind.most_landmarks]
    search = kind(activity, landmarks, wanted, rng)
    found = search.partition()
    repeated = []
    for _ in range(splits):
        halves = rng.permutation(len(landmarks))
        for half in (halves[: len(halves) // 2], halves[len(halves) // 2 :]):
            labels, count = search.refit(half)
            same = count == len(found.support)
            repeated.append(agreement(found.labels[landmarks], labels) if same else 0.0)
    return Answer(found.by_size(), float(np.mean(repeated)) if repeated else float("nan"), search.held(found))


@dataclass(frozen=True)
class Search(ABC):
    """A way to sort images into subspaces; `rng` is drawn from with each call, so calls have an order."""

    activity: Activity
    landmarks: np.ndarray
    wanted: Wanted
    rng: np.random.Generator

    most_landmarks = 0

    @abstractmethod
    def partition(self) -> Partition:
        """All images, sorted by what the landmarks show."""

    @abstractmethod
    def refit(self, half: np.ndarray) -> tuple[np.ndarray, int]:
        """Subspace of each landmark by what some of them show, and the number of subspaces."""

    @abstractmethod
    def held(self, found: Partition) -> float:
        """Share of the energy inside the subspaces beyond what as many random dimensions would hold."""


class CoordinateSearch(Search):
    """Active sets are grouped: coordinate subspaces."""

    most_landmarks = 4000

    def partition(self) -> Partition:
        x, noise, active, _ = self.activity
        groups = kernels_sets.group(active[self.landmarks], *self.wanted, self.rng)
        labels, certainty = groups.assign(active)
        bases = [_basis(x, labels == k, mask, noise) for k, mask in enumerate(groups.support)]
        return Partition(labels, certainty, groups.support, groups.common, bases, groups.evidence)

    def refit(self, half: np.ndarray) -> tuple[np.ndarray, int]:
        sets = self.activity.active[self.landmarks]
        groups = kernels_sets.group(sets[half], *self.wanted, self.rng)
        return groups.assign(sets)[0], len(groups.support)

    def held(self, found: Partition) -> float:
        """Of the energy above rest, what is on the channels of an image's subspace."""
        energy = Energy()
        masks = found.support | (found.common & ~self.activity.shifted)
        for k, mask in enumerate(masks):
            energy.chance += mask.mean() * (found.labels == k).mean()
            for x in _parts(self.activity.x, found.labels == k):
                whole = np.square(np.maximum(x, 0), dtype=np.float64).sum(axis=0)
                energy.add(float(whole[mask].sum()), float(whole.sum()))
        return energy.held()


class LinearSearch(Search):
    """Images are expressed by others: linear subspaces of any orientation."""

    most_landmarks = 1000

    def partition(self) -> Partition:
        x, common, few, noise = self.activity.x, self.common, self.few, self.noise
        found, evidence = kernels_expression.group(few, *self.wanted, noise, self.seed)
        own = x[:, ~common]
        labels, found = kernels_expression.k_subspaces(own, found, noise)
        bases, support = [], np.zeros((len(found), x.shape[1]), bool)
        for k, part in enumerate(found):
            whole = np.zeros((len(part), x.shape[1]))
            whole[:, ~common] = part
            bases.append(whole)
            if (labels == k).any():
                support[k, ~common] = np.square(own[labels == k]).mean(axis=0) > 4 * noise
        # No probability model compares the subspaces, and none of its answers is vouched for.
        return Partition(labels, np.full(len(x), np.nan), support, common, bases, evidence)

    def refit(self, half: np.ndarray) -> tuple[np.ndarray, int]:
        found, _ = kernels_expression.group(self.few[half], *self.wanted, self.noise, self.seed)
        scale = kernels_expression.mean_square(self.few)
        return kernels_expression.assign(self.few, found, self.noise, scale)[0], len(found)

    def held(self, found: Partition) -> float:
        """Of the energy off the common channels, what is along the basis of an image's subspace."""
        energy = Energy()
        off = ~(found.common & ~self.activity.shifted)
        for k, basis in enumerate(found.bases):
            energy.chance += len(basis) / max(off.sum(), 1) * (found.labels == k).mean()
            for x in _parts(self.activity.x, found.labels == k):
                along = np.square(x @ basis.T, dtype=np.float64).sum()
                energy.add(float(along), float(np.square(x[:, off], dtype=np.float64).sum()))
        return energy.held()

    @cached_property
    def seed(self) -> int:
        return int(self.rng.integers(2**31))

    @cached_property
    def common(self) -> np.ndarray:
        x, noise, active, _ = self.activity
        common = active.mean(axis=0) >= COMMON
        if common.all() or np.square(x[self.landmarks][:, ~common]).mean() <= 2 * noise:
            common[:] = False
        return common

    @cached_property
    def few(self) -> np.ndarray:
        """The landmarks off the common channels."""
        return self.activity.x[self.landmarks][:, ~self.common]

    @cached_property
    def noise(self) -> float:
        least = 1e-6 * float(np.square(self.few).mean())
        return max(self.activity.noise, least, float(np.finfo(np.float32).tiny))


METHODS: dict[str, type[Search]] = {"coordinate": CoordinateSearch, "linear": LinearSearch}


@dataclass
class Energy:
    """Energy inside subspaces, in all, and the share that chance would put inside."""

    inside: float = 0.0
    total: float = 0.0
    chance: float = 0.0

    def add(self, inside: float, total: float) -> None:
        self.inside += inside
        self.total += total

    def held(self) -> float:
        """The share h inside, beyond the share s by chance: (h − s)/(1 − s)."""
        # Subspaces of all channels hold everything and say nothing.
        if not self.total > 0 or self.chance >= 1:
            return 0.0
        return float(np.clip((self.inside / self.total - self.chance) / (1 - self.chance), 0, 1))


def _parts(x: np.ndarray, members: np.ndarray) -> Iterator[np.ndarray]:
    """Some of the images at a time."""
    places = np.flatnonzero(members)
    for start in range(0, len(places), BLOCK):
        yield x[places[start : start + BLOCK]]


def _basis(x: np.ndarray, members: np.ndarray, mask: np.ndarray, noise: float) -> np.ndarray:
    """Orthonormal basis on the support of as many dimensions as stand out of the noise.

    The noise is the error of measurement, or the median variance of the channels off the support if that is larger.
    An eigenvalue stands out when noise alone would exceed it once in a hundred times (Johnstone, 2001).
    """
    own = x[members]
    n, size = len(own), int(mask.sum())
    if not n or not size:
        return np.zeros((0, x.shape[1]))
    off = own[:, ~mask].var(axis=0, dtype=np.float64) if n > 1 else np.zeros(0)
    variance = max(noise, float(np.median(off)) if len(off) else 0.0)
    inside = own[:, mask].astype(np.float64)
    value, vector = np.linalg.eigh(inside.T @ inside)
    a, b = np.sqrt(max(n - 1, 0)), np.sqrt(size)
    edge = (a + b) ** 2 + TRACY_WIDOM * (a + b) * (1 / max(a, 1) + 1 / b) ** (1 / 3)
    # Rounding of float32 is no dimension.
    limit = max(variance * edge, 1e-10 * max(float(value[-1]), 0.0))
    rank = int((value > limit).sum())
    basis = np.zeros((rank, x.shape[1]))
    basis[:, mask] = vector[:, ::-1][:, :rank].T
    return basis


def match(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs of labels of `a` and of `b` that share most images (Kuhn, 1955), and the table of shared images."""
    table = np.zeros((a.max() + 1, b.max() + 1))
    np.add.at(table, (a, b), 1)
    ones, others = optimize.linear_sum_assignment(-table)
    return ones, others, table


def agreement(a: np.ndarray, b: np.ndarray) -> float:
    """Share of images whose labels agree under the best renaming of labels."""
    ones, others, table = match(a, b)
    return float(table[ones, others].sum() / len(a))


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
