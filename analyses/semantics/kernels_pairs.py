"""Distances between images, as matrices over a bounded number of images; numpy only."""

from __future__ import annotations

import numpy as np
from scipy.stats import rankdata

__all__ = ["METRICS", "STATISTICS", "centred", "distance_matrix", "prepared", "ranked", "u_centred"]

METRICS = {
    "euclidean": "‖a − b‖",
    "cosine": "1 − a·b/(‖a‖‖b‖)",
    "standardised": "‖(a − b)/s‖, s_c the standard deviation of channel c over images; constant channels left out",
}


def prepared(x: np.ndarray, metric: str, spread: np.ndarray | None = None) -> np.ndarray:
    """Features whose Euclidean distances order images as the metric does (half their square, for the cosine).

    Parameters
    ----------
    x
        (images, channels).
    metric
        A key of `METRICS`.
    spread
        Standard deviation of each channel, where images are to be compared with others; by default x's own.

    Returns
    -------
    ndarray
        float64; with NaN where the metric is undefined: for the cosine, images without any activity.
    """
    x = np.asarray(x, np.float64)
    if metric == "cosine":
        with np.errstate(invalid="ignore", divide="ignore"):
            peak = np.abs(x).max(axis=1, keepdims=True)
            x = x / peak
            return x / np.linalg.norm(x, axis=1, keepdims=True)
    if metric == "standardised":
        spread = deviations(x) if spread is None else spread
        return x[:, spread > 0] / spread[spread > 0]
    return x


def deviations(x: np.ndarray) -> np.ndarray:
    """Standard deviation of each channel over images, 0 where rounding is all that varies."""
    spread = x.std(axis=0, ddof=1, dtype=np.float64)
    return np.where(spread > 1e-12 * np.abs(x).max(axis=0, initial=0), spread, 0)


def distance_matrix(x: np.ndarray, metric: str) -> np.ndarray:
    """Distances (images, images) between all images: symmetric, float32, 0 on the diagonal.

    Parameters
    ----------
    x
        (images, channels).
    metric
        A key of `METRICS`.
    """
    x = prepared(x, metric)
    # About the mean, squares are no larger than the distances that are their differences.
    x = x - x.mean(axis=0)
    square = (x**2).sum(axis=1)
    d = x @ x.T
    d *= -2
    d += square[:, None]
    d += square
    np.maximum(d, 0, out=d)
    # What is left of identical images is rounding of the squares.
    d[d < 1e-14 * square.max(initial=0)] = 0
    if metric == "cosine":
        d /= 2
    else:
        np.sqrt(d, out=d)
    np.fill_diagonal(d, 0)
    d = d.astype(np.float32)
    return np.maximum(d, d.T)


def off_diagonal_mean(d: np.ndarray) -> float:
    return float(d.sum(dtype=np.float64) / (len(d) * (len(d) - 1)))


def centred(d: np.ndarray) -> np.ndarray:
    """Distances less their mean over pairs of different images, 0 on the diagonal, scaled to a largest of 1."""
    mean = off_diagonal_mean(d)
    out = (d - np.float64(mean)).astype(np.float32)
    np.fill_diagonal(out, 0)
    return scaled(out, float(np.abs(d).max(initial=0)))


def ranked(d: np.ndarray) -> np.ndarray:
    """Mid-ranks of distances among all pairs, as fractions less ½; 0 on the diagonal."""
    n = len(d)
    upper = np.triu_indices(n, 1)
    rank = rankdata(d[upper])
    rank -= (len(rank) + 1) / 2
    rank /= len(rank)
    out = np.zeros((n, n), np.float32)
    out[upper] = rank
    return out + out.T


def u_centred(d: np.ndarray) -> np.ndarray:
    """Distances less their row, column and grand means in the unbiased form of Székely & Rizzo (2014).

    A_ij = d_ij − d_i./(n − 2) − d_.j/(n − 2) + d../((n − 1)(n − 2)) for i ≠ j, 0 on the diagonal: rows sum to 0.
    """
    n = len(d)
    row = d.sum(axis=1, dtype=np.float64)
    effect = row / (n - 2) - row.sum() / (2 * (n - 1) * (n - 2))
    out = (d - effect[:, None] - effect).astype(np.float32)
    np.fill_diagonal(out, 0)
    return scaled(out, float(np.abs(d).max(initial=0)))


def scaled(out: np.ndarray, size: float) -> np.ndarray:
    """In units of the largest distance; exactly 0 where rounding is all that varies."""
    if not np.abs(out).max(initial=0) > 1e-5 * size:
        return np.zeros_like(out)
    out /= size
    return out


STATISTICS = {"pearson": centred, "spearman": ranked, "distance_correlation": u_centred}
