"""Distances between images: as matrices over a bounded number of them, nearest neighbours, retrieval ranks."""

from __future__ import annotations

import numpy as np
from scipy.stats import rankdata
from sklearn.neighbors import NearestNeighbors

__all__ = [
    "METRICS",
    "STATISTICS",
    "centred",
    "deviations",
    "distance_matrix",
    "nearest",
    "prepared",
    "ranked",
    "ranks",
    "same",
    "u_centred",
]

# Distances held at once: some 64 MiB in double precision.
ELEMENTS = 2**23
# Candidates beyond the neighbours asked for, which show that none was missed.
SPARE = 8

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


def same(x: np.ndarray) -> bool:
    """Whether all images (images, channels) are alike, rounding aside."""
    return x.size == 0 or not np.ptp(x, axis=0).max(initial=0) > 1e-12 * np.abs(x).max(initial=0)


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


def centred(d: np.ndarray) -> np.ndarray:
    """Distances less their mean over pairs of different images, 0 on the diagonal, scaled to a largest of 1."""
    mean = float(d.sum(dtype=np.float64) / (len(d) * (len(d) - 1)))
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


def nearest(x: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k nearest other rows of each row, by Euclidean distance, exactly.

    scikit-learn finds a few candidates more than k by |a|² − 2a·b + |b|², whose rounding is relative to the norms;
    their distances are computed again as norms of differences. A row is searched whole unless its k-th distance lies
    below the last candidate's by more than that rounding.

    Parameters
    ----------
    x
        (images, channels), finite.
    k
        Number of neighbours, below the number of images.

    Returns
    -------
    tuple of ndarray
        Indices and distances, (images, k); nearest first, of equal ones the lower index first.
    """
    n, channels = x.shape
    x = np.asarray(x, np.float64) - x.mean(axis=0, dtype=np.float64)
    few = min(k + SPARE, n - 1)
    last, candidates = NearestNeighbors(n_neighbors=few, algorithm="brute").fit(x).kneighbors()
    exact = _distances(x, candidates)
    order = np.lexsort((candidates, exact))[:, :k]
    index, distance = (np.take_along_axis(values, order, axis=1) for values in (candidates, exact))
    if few < n - 1:
        # Sums of C products and of three squares, each of at most the largest norm's; twice that, for both sides.
        error = 8 * (channels + 4) * 2.0**-53 * (x**2).sum(axis=1).max()
        for i in np.flatnonzero(distance[:, -1] ** 2 >= last[:, -1] ** 2 - error):
            index[i], distance[i] = _nearest_of_all(x, int(i), k)
    return index, distance


def _distances(x: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Distances (rows, m) to the rows that `others` (rows, m) names, some rows at a time."""
    out = np.empty(others.shape)
    step = max(1, ELEMENTS // (4 * others.shape[1] * x.shape[1]))
    for start in range(0, len(others), step):
        part = slice(start, start + step)
        apart = x[part][:, None] - x[others[part]]
        out[part] = np.sqrt(np.einsum("ijc,ijc->ij", apart, apart))
    return out


def _nearest_of_all(x: np.ndarray, i: int, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Neighbours of one row by all its distances, of equal ones the lower index first."""
    pieces = np.array_split(x, -(-4 * x.size // ELEMENTS))
    d = np.concatenate([np.linalg.norm(piece - x[i], axis=1) for piece in pieces])
    d[i] = np.inf
    within = np.flatnonzero(d <= np.partition(d, k - 1)[k - 1])
    order = within[np.lexsort((within, d[within]))][:k]
    return order, d[order]


def ranks(queries: np.ndarray, references: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How many references are nearer to each query than its own, and how many others are as near.

    A kernel of its own: libraries list neighbours, and here those nearer than a given one are counted, with ties up to
    rounding apart.

    Parameters
    ----------
    queries, references
        (images, channels); the i-th reference is the i-th query's own.

    Returns
    -------
    tuple of ndarray
        Numbers (images) of nearer references, and of other references that are equally near up to rounding.
    """
    n = len(queries)
    centre = references.mean(axis=0)
    q, r = queries - centre, references - centre
    own = ((q - r) ** 2).sum(axis=1)
    square = (r**2).sum(axis=1)
    nearer, equal = np.empty(n, np.int64), np.empty(n, np.int64)
    step = max(1, ELEMENTS // (2 * n))
    for start in range(0, n, step):
        rows = slice(start, start + step)
        d = square - 2 * q[rows] @ r.T
        d += (q[rows] ** 2).sum(axis=1)[:, None] - own[rows, None]
        # Rounding of sums of products in double precision, relative to the squares that were summed.
        slack = 1e-12 * ((q[rows] ** 2).sum(axis=1) + square.max())[:, None]
        inside = np.arange(len(d))
        d[inside, start + inside] = np.inf
        nearer[rows] = (d < -slack).sum(axis=1)
        equal[rows] = (np.abs(d) <= slack).sum(axis=1)
    return nearer, equal


STATISTICS = {"pearson": centred, "spearman": ranked, "distance_correlation": u_centred}
