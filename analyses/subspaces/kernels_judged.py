"""How much active sets overlap in subspaces, and how much of held-out images these explain; arrays only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from analyses.ground import resampled_means

__all__ = ["COMPARISONS", "Explained", "Overlap", "compare", "fractions", "gains", "overlap", "pairs", "pca_rank"]

COMPARISONS = ("parameters", "nonzeros", "coefficients")
SWEEPS = 5


@dataclass(frozen=True)
class Union:
    """Affine subspaces: means (subspaces, channels) and bases (subspaces, rank, channels), zero off their masks."""

    mean: np.ndarray
    basis: np.ndarray

    def residual(self, x: np.ndarray) -> np.ndarray:
        """Squared distance of images to each subspace, (images, subspaces)."""
        found = np.empty((len(x), len(self.mean)))
        for k, (mean, basis) in enumerate(zip(self.mean, self.basis, strict=True)):
            apart = x - mean
            found[:, k] = np.square(apart).sum(axis=1) - np.square(apart @ basis.T).sum(axis=1)
        return np.maximum(found, 0)


@dataclass(frozen=True)
class Explained:
    """What is left of images by a union and by PCAs.

    Attributes
    ----------
    union, pca
        (images, ranks, comparisons): squared residuals of the union and of the PCA it is compared with.
    total
        (images): squared distances from the mean.
    spent
        (ranks, comparisons): ranks of these PCAs.
    """

    union: np.ndarray
    pca: np.ndarray
    total: np.ndarray
    spent: np.ndarray


def pca_rank(comparison: str, *, subspaces: int, rank: int, channels: int, nonzeros: int) -> int:
    """Rank of the PCA that has as much to spend as a union of subspaces.

    - "parameters": k bases and means are k (r + 1) C numbers; a PCA of rank R and its mean are (R + 1) C,
      so R = k (r + 1) − 1. Such a PCA contains the union: in the images both were fitted to it always
      explains at least as much, and a union can only win by overfitting less.
    - "nonzeros": bases and means that vanish off the s_k active channels of their subspace are Σ_k (r + 1) s_k
      numbers; R = ⌊Σ_k (r + 1) s_k / C⌋ − 1, and at least the mean is given.
    - "coefficients": an image is given by r coefficients and its subspace, log₂ k bits, which are
      charged as one whole coefficient: R = r + 1.
    """
    ranks = {"parameters": subspaces * (rank + 1) - 1, "nonzeros": max((rank + 1) * nonzeros // channels - 1, 0)}
    return min(ranks.get(comparison, rank + 1), channels)


def fit_union(x: np.ndarray, labels: np.ndarray, masks: np.ndarray, rank: int) -> Union:
    """The subspaces of `rank` dimensions at most that lie nearest to their images on the masked channels."""
    means = np.zeros(masks.shape)
    basis = np.zeros((len(masks), rank, x.shape[1]))
    for k, mask in enumerate(masks):
        own = x[labels == k][:, mask].astype(np.float64)
        if not len(own) or not mask.any():
            continue
        means[k, mask] = own.mean(axis=0)
        apart = own - own.mean(axis=0)
        wide = len(apart) >= mask.sum()
        value, vector = np.linalg.eigh(apart.T @ apart if wide else apart @ apart.T)
        sound = np.flatnonzero(value > 1e-12 * max(value[-1], np.finfo(float).tiny))[::-1][:rank]
        top = vector[:, sound] if wide else apart.T @ vector[:, sound] / np.sqrt(value[sound])
        basis[k, : len(sound)][:, mask] = top.T
    return Union(means, basis)


def alternate(x: np.ndarray, labels: np.ndarray, masks: np.ndarray, rank: int) -> Union:
    """Fit subspaces and move images to the nearest one, in turns."""
    union = fit_union(x, labels, masks, rank)
    for _ in range(SWEEPS):
        moved = union.residual(x).argmin(axis=1)
        if np.array_equal(moved, labels):
            break
        labels = moved
        union = fit_union(x, labels, masks, rank)
    return union


def compare(
    train: np.ndarray, labels: np.ndarray, masks: np.ndarray, test: np.ndarray, ranks: tuple[int, ...]
) -> Explained:
    """Residuals of held-out images from a union of subspaces and from PCAs.

    Parameters
    ----------
    train, test
        (images, channels).
    labels
        Subspace of each image of `train`.
    masks
        (subspaces, channels): the channels that the sparse union may use.
    ranks
        Dimensions of each affine subspace.
    """
    mean = train.mean(axis=0, dtype=np.float64)
    apart = train - mean
    directions = np.linalg.eigh((apart.T @ apart).astype(np.float64))[1][:, ::-1]
    off = test - mean
    total = np.square(off).sum(axis=1)
    left = total[:, None] - np.c_[np.zeros(len(test)), np.cumsum(np.square(off @ directions), axis=1)]
    shape = (len(test), len(ranks), len(COMPARISONS))
    union, pca, spent = np.empty(shape), np.empty(shape), np.empty(shape[1:], int)
    for i, rank in enumerate(ranks):
        least = {
            dense: alternate(train, labels, np.ones_like(masks) if dense else masks, rank).residual(test).min(axis=1)
            for dense in (True, False)
        }
        for j, name in enumerate(COMPARISONS):
            union[:, i, j] = least[name != "nonzeros"]
            spent[i, j] = pca_rank(
                name, subspaces=len(masks), rank=rank, channels=train.shape[1], nonzeros=int(masks.sum())
            )
            pca[:, i, j] = np.maximum(left[:, spent[i, j]], 0)
    return Explained(union, pca, total, spent)


def fractions(residual: np.ndarray, total: np.ndarray) -> np.ndarray:
    """1 − Σ residual / Σ total over images; NaN where all images are equal."""
    whole = total.sum(axis=0)
    return 1 - residual.sum(axis=0) / (whole if whole > 0 else np.nan)


def gains(found: Explained, *, resamples: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Explained fraction of the union less that of the PCA, and the same in bootstrap samples of held-out images.

    Returns
    -------
    tuple of ndarray
        (ranks, comparisons), and (resamples, ranks, comparisons).
    """
    saved = found.pca - found.union
    together = np.c_[saved.reshape(len(saved), -1), found.total]
    # One call, so that numerator and denominator are of the same images.
    means = resampled_means(together, resamples=resamples, seed=seed)
    drawn = means[:, :-1] / np.where(means[:, -1:] > 0, means[:, -1:], np.nan)
    total = found.total.sum()
    return saved.sum(axis=0) / (total if total > 0 else np.nan), drawn.reshape(resamples, *saved.shape[1:])


class Overlap(NamedTuple):
    """Mean Jaccard index within and between subspaces, its resampled differences, and the fewest pairs of a kind."""

    within: float
    between: float
    gaps: np.ndarray
    pairs: int


def overlap(sets: np.ndarray, labels: np.ndarray, *, resamples: int, seed: int) -> Overlap | None:
    """Overlap of active sets in one subspace and in different ones; None with fewer than two pairs of a kind.

    Parameters
    ----------
    sets
        (images, channels), boolean.
    labels
        (images), the subspace of each.
    resamples, seed
        Of the pairs of each kind; seed of the pairing too.
    """
    rng = np.random.default_rng(seed)
    found = [jaccard(sets[pair[:, 0]], sets[pair[:, 1]]) for pair in pairs(labels, rng)]
    within, between = (values[~np.isnan(values)] for values in found)
    fewest = min(len(within), len(between))
    if fewest < 2:
        return None
    drawn = [
        resampled_means(values, resamples=resamples, seed=int(rng.integers(2**31))) for values in (within, between)
    ]
    return Overlap(float(within.mean()), float(between.mean()), drawn[0] - drawn[1], fewest)


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
