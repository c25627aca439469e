"""How much of held-out images a union of affine subspaces explains, against one PCA; numpy only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["COMPARISONS", "Explained", "compare", "fractions", "gains", "pca_rank"]

COMPARISONS = ("parameters", "nonzeros", "coefficients")
SWEEPS = 5


@dataclass(frozen=True)
class Union:
    """Affine subspaces: means (subspaces, channels) and bases (subspaces, rank, channels), zero off their masks."""

    mean: np.ndarray
    basis: np.ndarray

    def residual(self, x: np.ndarray) -> np.ndarray:
        """Squared distance of images to each subspace, (images, subspaces)."""
        # All at once as products of matrices; squares of what is far from 0 would leave only rounding of differences.
        middle = self.mean.mean(axis=0)
        apart, means = x - middle, self.mean - middle
        count, rank, channels = self.basis.shape
        along = (apart @ self.basis.reshape(-1, channels).T).reshape(len(x), count, rank)
        along -= np.einsum("krc,kc->kr", self.basis, means)
        found = np.square(apart).sum(axis=1)[:, None] - 2 * apart @ means.T + np.square(means).sum(axis=1)
        found -= np.einsum("nkr,nkr->nk", along, along)
        return np.maximum(found, 0)


@dataclass(frozen=True)
class Explained:
    """Squared residuals (images, ranks, comparisons) of the union and of the PCA it is compared with, and totals."""

    union: np.ndarray
    pca: np.ndarray
    total: np.ndarray


def pca_rank(comparison: str, *, subspaces: int, rank: int, channels: int, nonzeros: int) -> int:
    """Rank of the PCA that has as much to spend as a union of subspaces.

    - "parameters": k bases and means are k (r + 1) C numbers; a PCA of rank R and its mean are (R + 1) C,
      so R = k (r + 1) − 1. Such a PCA contains the union: in the images both were fitted to it always
      explains at least as much, and a union can only win by overfitting less.
    - "nonzeros": bases and means that vanish off the s_k active channels of their subspace are Σ_k (r + 1) s_k
      numbers; R = ⌊Σ_k (r + 1) s_k / C⌋ − 1, and at least the mean is given.
    - "coefficients": an image is told by r coefficients and its subspace, log₂ k bits, which are
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
    union, pca = np.empty(shape), np.empty(shape)
    for i, rank in enumerate(ranks):
        least = {
            dense: alternate(train, labels, np.ones_like(masks) if dense else masks, rank).residual(test).min(axis=1)
            for dense in (True, False)
        }
        for j, name in enumerate(COMPARISONS):
            union[:, i, j] = least[name != "nonzeros"]
            spent = pca_rank(name, subspaces=len(masks), rank=rank, channels=train.shape[1], nonzeros=int(masks.sum()))
            pca[:, i, j] = np.maximum(left[:, spent], 0)
    return Explained(union, pca, total)


def fractions(residual: np.ndarray, total: np.ndarray) -> np.ndarray:
    """1 − Σ residual / Σ total over images; NaN where all images are equal."""
    whole = total.sum()
    return 1 - residual.sum(axis=0) / (whole if whole > 0 else np.nan)


def gains(
    found: Explained, *, resamples: int, seed: int, members: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Explained fraction of the union less that of the PCA, and the same in bootstrap samples of held-out images.

    Groups of images, `members` (images) from 0, are drawn whole.

    Returns
    -------
    tuple of ndarray
        (ranks, comparisons), and (resamples, ranks, comparisons).
    """
    saved = found.pca - found.union
    n = len(saved)
    units = n if members is None else int(members.max()) + 1
    weight = np.random.default_rng(seed).multinomial(units, np.full(units, 1 / units), size=resamples)
    weight = (weight if members is None else weight[:, members]).astype(np.float64)
    whole = weight @ found.total
    drawn = (weight @ saved.reshape(n, -1)) / np.where(whole > 0, whole, np.nan)[:, None]
    total = found.total.sum()
    return saved.sum(axis=0) / (total if total > 0 else np.nan), drawn.reshape(resamples, *saved.shape[1:])
