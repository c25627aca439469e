"""Distances between two laws from samples of each; plain arrays, no labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from probekit.errors import InputError

__all__ = ["LEAST_SAMPLES", "MEASURES", "TILE", "measured", "tiles"]

# Fewer samples than this leave nothing to average over.
LEAST_SAMPLES = 4

MEASURES: Mapping[str, str] = {
    "energy": "2 E‖X − Y‖ − E‖X − X'‖ − E‖Y − Y'‖, each sample's distance to itself left out: unbiased, may be below 0",
    "energy_plug_in": "the same with those distances counted: ≥ 0, biased upward by about (E‖X − X'‖ + E‖Y − Y'‖)/n",
    "sliced_wasserstein": "root of the mean over directions of W₂² between projections: biased upward, as √(1/n)",
    "gaussian_wasserstein": "W₂ between normal laws of the samples' means and covariances, a lower bound of W₂ between "
    "the laws (Gelbrich 1990): biased upward, much so where samples are fewer than dimensions",
    "gaussian_wasserstein_debiased": "W₂² between such normal laws of halves of the samples of two laws, less the "
    "mean of that between halves of each law: of mean 0 for one law, may be below 0",
    "patch_wasserstein": "W₂ between normal laws of tiles of 4×4 pixels, wherever in the image, times the root of "
    "their number: a lower bound of W₂ between the laws, precise from few samples",
}

# Side of the tiles: 48 numbers with three bands, whose covariance a few samples of many tiles determine.
TILE = 4


def energy(a: np.ndarray, b: np.ndarray, *, own: bool) -> float:
    """Energy distance of Székely & Rizzo (2013); `own` counts each sample's distance to itself, which is 0.

    By scipy's distances rather than dcor, whose import compiles for half a minute, and ends the interpreter now and
    then where two processes do so at once.
    """
    from scipy.spatial import distance

    across = distance.cdist(a, b).mean()
    # Each pair once, of n² or n(n − 1) ordered ones.
    within = sum(2 * distance.pdist(x).sum() / (len(x) * (len(x) - (not own))) for x in (a, b))
    return float(2 * across - within)


def sliced_wasserstein(a: np.ndarray, b: np.ndarray, *, projections: int, seed: int) -> float:
    """Sliced 2-Wasserstein distance of Bonneel et al. (2015), by POT; one seed gives one set of directions."""
    try:
        import ot
    except ImportError as error:
        raise InputError(
            "the sliced Wasserstein distance needs POT, which is not installed: "
            "pip install 'probekit-denoisers[analyses]'"
        ) from error
    found: Any = ot.sliced_wasserstein_distance(a, b, n_projections=projections, p=2, seed=seed)
    return float(found)


def gaussian_wasserstein(a: np.ndarray, b: np.ndarray) -> float:
    """Root of ‖m_a − m_b‖² + tr S_a + tr S_b − 2 tr (S_a^½ S_b S_a^½)^½, covariances as they are in the samples.

    The last trace is the nuclear norm of A Bᵀ/√(n_a n_b), A and B being samples less their means: no matrix
    (dimensions, dimensions) is made, as POT's `bures_wasserstein_distance` makes of covariances.
    """
    mean_a, mean_b = a.mean(axis=0), b.mean(axis=0)
    a, b = (_short((x - mean) / np.sqrt(len(x))) for x, mean in ((a, mean_a), (b, mean_b)))
    shared = np.linalg.svd(a @ b.T, compute_uv=False).sum()
    square = ((mean_a - mean_b) ** 2).sum() + (a**2).sum() + (b**2).sum() - 2 * shared
    return float(np.sqrt(max(square, 0)))


def _short(a: np.ndarray) -> np.ndarray:
    """A matrix of no more rows than columns, of the same aᵀa."""
    return np.asarray(np.linalg.qr(a, mode="r")) if len(a) > a.shape[1] else a


def tiles(samples: np.ndarray, side: int = TILE) -> np.ndarray:
    """Tiles (n, tiles, numbers) of samples (n, bands, rows, cols); what no whole tile covers is left out.

    Parameters
    ----------
    samples
        Images.
    side
        Of the tiles, in pixels; less where images are smaller.
    """
    n, bands, rows, cols = samples.shape
    side = min(side, rows, cols)
    whole = samples[:, :, : rows // side * side, : cols // side * side]
    parts = whole.reshape(n, bands, rows // side, side, cols // side, side)
    return parts.transpose(0, 2, 4, 1, 3, 5).reshape(n, -1, bands * side * side)


def patch_wasserstein(a: np.ndarray, b: np.ndarray) -> float:
    """√T times `gaussian_wasserstein` between tiles pooled over samples and places, T tiles in an image.

    W₂² of two laws is at least the sum over tiles of W₂² between the tiles' laws, since a coupling of images couples
    tiles; this is at least T times W₂² between the mean over places of the tiles' laws, W₂² being convex in both; and
    normal laws of the same means and covariances are no further apart (Gelbrich 1990).
    """
    count = a.shape[1] if a.ndim == 3 else 1
    return float(np.sqrt(count)) * gaussian_wasserstein(*(x.reshape(-1, x.shape[-1]) for x in (a, b)))


def debiased(a: np.ndarray, b: np.ndarray) -> float:
    """W₂² of `gaussian_wasserstein` between halves of different laws, less that between halves of each."""
    # Halves of one size: the bias, which depends on the numbers of samples, is then the same in all terms.
    n = min(len(a), len(b)) // 2
    halves = (a[:n], a[n : 2 * n]), (b[:n], b[n : 2 * n])
    across = [gaussian_wasserstein(x, y) ** 2 for x in halves[0] for y in halves[1]]
    return float(np.mean(across) - np.mean([gaussian_wasserstein(*half) ** 2 for half in halves]))


def measured(a: np.ndarray, b: np.ndarray, measure: str, *, projections: int, seed: int) -> float:
    """Distance between the laws of samples (n, dimensions) and (m, dimensions), or of `tiles` of them.

    Parameters
    ----------
    a, b
        Samples; for "patch_wasserstein" as `tiles` gives them, else each is one tile.
    measure
        A key of `MEASURES`.
    projections, seed
        Directions of the sliced distance.
    """
    if measure == "sliced_wasserstein":
        return sliced_wasserstein(a, b, projections=projections, seed=seed)
    if measure == "gaussian_wasserstein":
        return gaussian_wasserstein(a, b)
    if measure == "patch_wasserstein":
        return patch_wasserstein(a, b)
    if measure == "gaussian_wasserstein_debiased":
        return debiased(a, b)
    return energy(a, b, own=measure == "energy_plug_in")
