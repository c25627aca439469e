"""A union of subspaces fitted to what lies above rest, and how far the answer can be trusted; numpy only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import linalg, optimize

from analyses.subspaces import kernels_coordinate, kernels_expression

__all__ = ["Fit", "agreement", "angles", "fit", "match"]

LANDMARKS = {"coordinate": 4000, "linear": 1000}
# Channels that so many images make active belong to no linear subspace in particular.
COMMON = 0.95
# Of the largest eigenvalue of noise, in units of its spread: the Tracy-Widom law's 99 % point.
TRACY_WIDOM = 2.02
BLOCK = 8192


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
    """

    labels: np.ndarray
    certainty: np.ndarray
    support: np.ndarray
    common: np.ndarray
    bases: list[np.ndarray]
    evidence: dict[int, float]
    agreement: float
    held: float

    @property
    def confidence(self) -> float:
        return self.agreement * self.held * float(self.certainty.mean()) ** 2


def fit(
    x: np.ndarray,
    noise: float,
    active: np.ndarray,
    *,
    method: str,
    number: int | None,
    most: int,
    splits: int,
    seed: int,
    shifted: np.ndarray | None = None,
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
    method
        "coordinate" or "linear".
    number
        Of subspaces; by default found.
    most
        Largest number of groups tried.
    splits
        Number of splits in halves.
    seed
        Of landmarks, first seeds and splits.
    shifted
        (channels), whether a channel lies above rest by a constant; what common ones hold then tells nothing.
    """
    rng = np.random.default_rng(seed)
    # In an order that images and not their positions decide, so that the seed draws the same ones after a permutation.
    order = np.lexsort((x.max(axis=1), x.sum(axis=1), active.sum(axis=1)))
    landmarks = rng.permutation(order)[: LANDMARKS[method]]
    run = _coordinate_run if method == "coordinate" else _linear_run
    labels, certainty, support, common, bases, evidence, trial = run(x, noise, active, landmarks, number, most, rng)
    told = common if shifted is None else common & ~shifted
    held = _held(x, labels, support, told, bases if method == "linear" else None)
    kept = labels[landmarks]
    shares = []
    for _ in range(splits):
        halves = rng.permutation(len(landmarks))
        for half in (halves[: len(halves) // 2], halves[len(halves) // 2 :]):
            other, count = trial(half)
            shares.append(agreement(kept, other) if count == len(support) else 0.0)
    rank = np.lexsort((np.arange(len(support)), -np.bincount(labels, minlength=len(support))))
    return Fit(
        np.argsort(rank)[labels],
        certainty,
        support[rank],
        common,
        [bases[k] for k in rank],
        evidence,
        float(np.mean(shares)) if shares else float("nan"),
        held,
    )


Run = tuple[
    np.ndarray,
    np.ndarray,
    np.ndarray,
    np.ndarray,
    list[np.ndarray],
    dict[int, float],
    Callable[[np.ndarray], tuple[np.ndarray, int]],
]


def _coordinate_run(
    x: np.ndarray,
    noise: float,
    active: np.ndarray,
    landmarks: np.ndarray,
    number: int | None,
    most: int,
    rng: np.random.Generator,
) -> Run:
    a = active[landmarks]
    groups = kernels_coordinate.group(a, number, most, rng)
    labels, certainty = groups.assign(active)

    def trial(half: np.ndarray) -> tuple[np.ndarray, int]:
        found = kernels_coordinate.group(a[half], number, most, rng)
        return found.assign(a)[0], len(found.support)

    bases = [_basis(x, labels == k, mask, noise) for k, mask in enumerate(groups.support)]
    return labels, certainty, groups.support, groups.common, bases, groups.evidence, trial


def _linear_run(
    x: np.ndarray,
    noise: float,
    active: np.ndarray,
    landmarks: np.ndarray,
    number: int | None,
    most: int,
    rng: np.random.Generator,
) -> Run:
    common = active.mean(axis=0) >= COMMON
    if common.all() or np.square(x[landmarks][:, ~common]).mean() <= 2 * noise:
        common[:] = False
    own = x[:, ~common]
    few, seed = own[landmarks], int(rng.integers(2**31))
    noise = max(noise, 1e-6 * float(np.square(few).mean()), float(np.finfo(np.float32).tiny))
    found, evidence = kernels_expression.group(few, number, most, noise, seed)
    labels, found = kernels_expression.k_subspaces(own, found, noise)
    scale = kernels_expression.mean_square(few)

    def trial(half: np.ndarray) -> tuple[np.ndarray, int]:
        other, _ = kernels_expression.group(few[half], number, most, noise, seed)
        return kernels_expression.assign(few, other, noise, scale)[0], len(other)

    bases, support = [], np.zeros((len(found), x.shape[1]), bool)
    for k, part in enumerate(found):
        whole = np.zeros((len(part), x.shape[1]))
        whole[:, ~common] = part
        bases.append(whole)
        if (labels == k).any():
            support[k, ~common] = np.square(own[labels == k]).mean(axis=0) > 4 * noise
    # No probability model compares the subspaces, and none of its answers is vouched for.
    return labels, np.full(len(x), np.nan), support, common, bases, evidence, trial


def _basis(x: np.ndarray, rows: np.ndarray, mask: np.ndarray, noise: float) -> np.ndarray:
    """Orthonormal basis on the support of as many dimensions as stand out of the noise.

    The noise is the error of measurement, or the median variance of the channels off the support if that is larger.
    An eigenvalue stands out when noise alone would exceed it once in a hundred times (Johnstone, 2001).
    """
    own = x[rows]
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
                inside += float(np.square(block @ bases[k].T, dtype=np.float64).sum())
                total += float(np.square(block[:, ~common], dtype=np.float64).sum())
    # Subspaces of all channels hold everything and tell nothing.
    if not total > 0 or expected >= 1:
        return 0.0
    return float(np.clip((inside / total - expected) / (1 - expected), 0, 1))


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
