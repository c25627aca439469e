"""k-means on numbers without labels: partitions, and how many clusters repeat."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import silhouette_score

from analyses.clusters.kernels_agreement import counts

__all__ = ["Curves", "Partition", "chosen", "curves", "partition", "predicted", "scaled"]

# Beyond so many images, k-means takes them in batches.
WHOLE = 20_000
SILHOUETTE_IMAGES = 1000


class Partition(NamedTuple):
    """cluster (image), 0 the largest; centre (cluster, channel); distance (image) to the own centre."""

    cluster: np.ndarray
    centre: np.ndarray
    distance: np.ndarray


class Curves(NamedTuple):
    """By number of clusters: prediction strength, its standard error over splits, silhouette, variance left within."""

    strength: np.ndarray
    strength_se: np.ndarray
    silhouette: np.ndarray
    within: np.ndarray


def scaled(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Centred channels over one common scale, their root mean square; the centre and the scale, 0 where none varies."""
    centre = x.mean(axis=0, dtype=np.float64)
    moved = x - centre
    scale = float(np.sqrt(np.square(moved).mean()))
    # What is left of equal numbers of float32 after subtraction is rounding.
    if scale <= 1e-6 * float(np.abs(x).max(initial=0)):
        return np.zeros_like(moved, np.float32), centre, 0.0
    return (moved / scale).astype(np.float32), centre, scale


def partition(x: np.ndarray, k: int, *, seed: int, n_init: int) -> Partition:
    """The best of `n_init` runs of Lloyd's algorithm from k-means++ seeds; in batches for very many images.

    Of fewer than k different images some clusters are empty, and the last of these are.
    """
    kind: Any = KMeans if len(x) <= WHOLE else MiniBatchKMeans
    with warnings.catch_warnings():
        # A half of images may hold too few different ones though the whole does not: no number is chosen by it.
        warnings.simplefilter("ignore", ConvergenceWarning)
        found = kind(k, n_init=n_init, random_state=seed).fit(x)
    order = np.argsort(-np.bincount(found.labels_, minlength=k), kind="stable")
    centre: np.ndarray = found.cluster_centers_[order]
    cluster = np.argsort(order)[found.labels_]
    return Partition(cluster, centre, np.sqrt(np.square(x - centre[cluster]).sum(axis=1)))


def predicted(own: np.ndarray, foreign: np.ndarray, k: int) -> float:
    """Prediction strength of one split: the least, over own clusters, share of pairs that the foreign one keeps.

    Of a cluster of fewer than two images nothing is predicted: 0.
    """
    table = counts(own, foreign, (k, k)).astype(float)
    sizes = table.sum(axis=1)
    if sizes.min() < 2:
        return 0.0
    return float(((table * (table - 1)).sum(axis=1) / (sizes * (sizes - 1))).min())


def curves(x: np.ndarray, numbers: Sequence[int], *, splits: int, seed: int, n_init: int) -> Curves:
    """What speaks for each number of clusters.

    Prediction strength (Tibshirani & Walther, 2005): both halves of a random split are clustered; the centres of each
    predict the clusters of the other.
    """
    rng = np.random.default_rng(seed)
    orders = [rng.permutation(len(x)) for _ in range(splits)]
    sample = rng.permutation(len(x))[:SILHOUETTE_IMAGES]
    total = float(np.square(x).sum())
    rows = []
    for k in numbers:
        if k == 1:
            rows.append((1.0, 0.0, np.nan, 1.0))
            continue
        strengths = []
        for order in orders:
            halves = x[order[: len(x) // 2]], x[order[len(x) // 2 :]]
            fits = [partition(half, k, seed=seed, n_init=n_init) for half in halves]
            for half, own, other in ((0, fits[0], fits[1]), (1, fits[1], fits[0])):
                strengths.append(predicted(own.cluster, _nearest(halves[half], other.centre), k))
        whole = partition(x, k, seed=seed, n_init=n_init)
        within = float(np.square(whole.distance).sum()) / total
        # The two halves of a split are no independent answers: splits are.
        means = np.reshape(strengths, (splits, 2)).mean(axis=1)
        error = means.std(ddof=1) / np.sqrt(splits) if splits > 1 else 0.0
        rows.append((means.mean(), error, _silhouette(x[sample], whole.cluster[sample]), within))
    return Curves(*np.array(rows, float).T)


def chosen(numbers: Sequence[int], found: Curves, threshold: float) -> int:
    """The largest number whose prediction strength reaches the threshold within a standard error, else the least."""
    enough = [k for k, good in zip(numbers, found.strength + found.strength_se >= threshold, strict=True) if good]
    return max(enough, default=min(numbers))


def _nearest(x: np.ndarray, centre: np.ndarray) -> np.ndarray:
    return ((centre**2).sum(axis=1) - 2 * x @ centre.T).argmin(axis=1)


def _silhouette(x: np.ndarray, cluster: np.ndarray) -> float:
    present = len(np.unique(cluster))
    return float(silhouette_score(x, cluster)) if 1 < present < len(x) else np.nan
