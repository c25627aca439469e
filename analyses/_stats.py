"""Numpy kernels that the analyses share; no labels here."""

from __future__ import annotations

import numpy as np

__all__ = ["cluster_bootstrap_mean", "participation_ratio"]


def participation_ratio(a: np.ndarray, axis: int = -1) -> np.ndarray:
    """How many channels share the activity, as a fraction: (Σ a_c)² / (C Σ a_c²).

    1 where all channels are equally active, 1/C where one is; NaN where none is. The measure of
    Kadkhodaie, Mallat & Simoncelli (arXiv:2506.01912) for non-negative a.

    Parameters
    ----------
    a
        Non-negative activities.
    axis
        Axis of the C channels, which the result lacks.
    """
    a = np.asarray(a, np.float64)
    # The ratio does not depend on the scale; dividing it out keeps squares of tiny numbers from vanishing.
    peak = a.max(axis=axis, keepdims=True)
    with np.errstate(invalid="ignore"):
        a = a / peak
        return a.sum(axis=axis) ** 2 / (a.shape[axis] * (a**2).sum(axis=axis))


def cluster_bootstrap_mean(
    values: np.ndarray, clusters: np.ndarray, *, resamples: int = 1000, level: float = 0.95, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Percentile interval of the mean over axis 0, whole clusters being resampled.

    Images of one source are not independent; resampling sources keeps what they share.

    Parameters
    ----------
    values
        (images, ...).
    clusters
        One label per image.
    resamples, level, seed
        Number of resamples, coverage in (0, 1), seed of the resampling.

    Returns
    -------
    tuple of ndarray
        Lower and upper end, each of the shape of ``values.mean(0)``.
    """
    names, members = np.unique(np.asarray(clusters, str), return_inverse=True)
    sums = np.stack([values[members == k].sum(axis=0) for k in range(len(names))])
    sizes = np.bincount(members)
    chosen = np.random.default_rng(seed).integers(len(names), size=(resamples, len(names)))
    counts = sizes[chosen].sum(axis=1)
    means = sums[chosen].sum(axis=1) / counts.reshape(-1, *[1] * (values.ndim - 1))
    tail = (1 - level) / 2
    low, high = np.quantile(means, [tail, 1 - tail], axis=0)
    return low, high
