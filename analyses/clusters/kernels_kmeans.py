"""k-means on numbers without labels: partitions, how many clusters repeat, and the bias by noise taken off both."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import numpy as np
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import silhouette_score

from analyses.clusters.kernels_agreement import counts
from probekit.phi.reliability import signed_root, squared_distances

__all__ = ["Curves", "Partition", "assigned", "chosen", "curves", "partition", "predicted", "scaled"]

SILHOUETTE_IMAGES = 1000
# Steps of Lloyd's algorithm, as in scikit-learn.
STEPS = 300


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
    if scale <= 1e-6 * float(np.abs(x).max()):
        return np.zeros_like(moved, np.float32), centre, 0.0
    return (moved / scale).astype(np.float32), centre, scale


def partition(x: np.ndarray, k: int, *, seed: int, n_init: int, noise: np.ndarray | None = None) -> Partition:
    """The best of `n_init` runs of Lloyd's algorithm from k-means++ seeds.

    Of fewer than k different images some clusters are empty, and the last of these are. With `noise` (image), the
    expected squared length of each image's error, see `noise_free_partition`.
    """
    if noise is not None:
        return noise_free_partition(x, noise, k, seed=seed, n_init=n_init)
    with warnings.catch_warnings():
        # A half of images may hold too few different ones though the whole does not: no number is chosen by it.
        warnings.simplefilter("ignore", ConvergenceWarning)
        found: Any = KMeans(k, n_init=cast(Any, n_init), random_state=seed).fit(x)
    order = np.argsort(-np.bincount(found.labels_, minlength=k), kind="stable")
    centre: np.ndarray = found.cluster_centers_[order]
    cluster = np.argsort(order)[found.labels_]
    return Partition(cluster, centre, np.sqrt(np.square(x - centre[cluster]).sum(axis=1)))


def assigned(
    x: np.ndarray, centre: np.ndarray, noise: np.ndarray | None = None, off: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Nearest cluster and distance to its centre, (image) each, of images that were not fitted.

    Parameters
    ----------
    x
        (images, channels).
    centre
        (cluster, channel), of images fitted.
    noise, off
        (images), (cluster): expected squared lengths of the errors of these images and of centres, both taken off
        squared distances; distances are then signed roots. By default nothing.
    """
    cluster = _nearest(x, centre, off)
    square = np.square(x - centre[cluster]).sum(axis=1)
    if noise is None or off is None:
        return cluster, np.sqrt(square)
    return cluster, signed_root(square - noise - off[cluster])


def noise_free_partition(x: np.ndarray, noise: np.ndarray, k: int, *, seed: int, n_init: int) -> Partition:
    """The best of `n_init` runs of Lloyd's algorithm on unbiased squared distances, from seeds drawn by these.

    Errors of images are independent of mean 0, and n_i is the expected square of image i's. The squared distance to the
    mean of another cluster B of b images is too large by n_i + Σ_B n_j/b²; to that of the own cluster A of a images by
    n_i(1 − 2/a) + Σ_A n_j/a²; and the sum of squares within A by Σ_A n_i(1 − 1/a). All are taken off. What is made
    small, the sum over clusters of what is left, is Σ_A Σ_{i,j ∈ A} d²_ij/2a with unbiased d²_ij = ‖x_i − x_j‖² − n_i −
    n_j, whose minimum for equal noise is that of k-means. Distances to the own centre are signed roots.
    """
    x, noise = np.asarray(x, np.float64), np.asarray(noise, np.float64)
    rng = np.random.default_rng(seed)
    best, least = np.zeros(len(x), int), np.inf
    for _ in range(n_init):
        cluster = _seeded(x, noise, k, rng)
        within = left_within(x, cluster, noise, k)
        for _ in range(STEPS):
            moved = _to_centres(x, cluster, noise, k).argmin(axis=1)
            left = left_within(x, moved, noise, k)
            # An image's move changes the centres of others, so that a step may lead up: then there is no better.
            if not left < within:
                break
            cluster, within = moved, left
        if within < least:
            best, least = cluster, within
    order = np.argsort(-np.bincount(best), kind="stable")
    cluster = np.argsort(order)[best]
    own = _to_centres(x, cluster, noise, k)[np.arange(len(x)), cluster]
    return Partition(cluster, _centres(x, cluster, k), signed_root(own))


def left_within(x: np.ndarray, cluster: np.ndarray, noise: np.ndarray, k: int) -> float:
    """Sum of squares within clusters, less what noise is expected to add to it: Σ_A (1 − 1/a) Σ_A n_i."""
    sizes = np.bincount(cluster)
    squares = float(np.square(x - _centres(x, cluster, k)[cluster]).sum())
    return squares - float((noise * (1 - 1 / sizes[cluster])).sum())


def centre_noise(cluster: np.ndarray, noise: np.ndarray, k: int) -> np.ndarray:
    """Expected squared length (cluster) of the error of each centre, Σ n_i/a²; −∞ of empty ones: nothing is near."""
    sizes = np.bincount(cluster, minlength=k)
    with np.errstate(invalid="ignore"):
        return np.where(sizes, np.bincount(cluster, noise, minlength=k) / sizes**2, -np.inf)


def _centres(x: np.ndarray, cluster: np.ndarray, k: int) -> np.ndarray:
    """Means (cluster, channel); 0, the mean of all, of a cluster that is empty."""
    member = np.eye(k)[cluster]
    return member.T @ x / np.maximum(member.sum(axis=0), 1)[:, None]


def _to_centres(x: np.ndarray, cluster: np.ndarray, noise: np.ndarray, k: int) -> np.ndarray:
    """Unbiased squared distances (image, cluster) of images to centres, the own and others; infinite to empty ones."""
    centre, sizes = _centres(x, cluster, k), np.bincount(cluster)
    far = np.square(x).sum(axis=1)[:, None] - 2 * x @ centre.T + np.square(centre).sum(axis=1)
    far -= noise[:, None] + centre_noise(cluster, noise, k)
    far[np.arange(len(x)), cluster] += 2 * noise / sizes[cluster]
    return far


def _seeded(x: np.ndarray, noise: np.ndarray, k: int, rng: np.random.Generator) -> np.ndarray:
    """Clusters about k images, each drawn in proportion to its unbiased squared distance from those before."""
    square, near = np.square(x).sum(axis=1), np.full(len(x), np.inf)
    cluster, chances = np.zeros(len(x), int), np.ones(len(x))
    for c in range(k):
        if not chances.sum() > 0:
            break
        one = int(rng.choice(len(x), p=chances / chances.sum()))
        far = square - 2 * x @ x[one] + square[one] - noise - noise[one]
        # A seed stays its own cluster's, and is not drawn again.
        far[one] = -np.inf
        nearer = far < near
        cluster[nearer], near[nearer] = c, far[nearer]
        chances = np.maximum(near, 0)
    return cluster


def predicted(own: np.ndarray, foreign: np.ndarray, k: int) -> float:
    """Prediction strength of one split: the least, over own clusters, share of pairs that the foreign one keeps.

    Of a cluster of fewer than two images nothing is predicted: 0.
    """
    table = counts(own, foreign, (k, k)).astype(float)
    sizes = table.sum(axis=1)
    if sizes.min() < 2:
        return 0.0
    return float(((table * (table - 1)).sum(axis=1) / (sizes * (sizes - 1))).min())


def curves(
    x: np.ndarray,
    numbers: Sequence[int],
    *,
    splits: int,
    seed: int,
    n_init: int,
    noise: np.ndarray | None = None,
) -> Curves:
    """What speaks for each number of clusters.

    Prediction strength (Tibshirani & Walther, 2005): both halves of a random split are clustered; the centres of each
    predict the clusters of the other. With `noise` (image) all is as in `noise_free_partition`; silhouettes, and the
    share of the variance within, are of signed roots and of what is left of the variance, NaN where nothing is.
    """
    rng = np.random.default_rng(seed)
    orders = [rng.permutation(len(x)) for _ in range(splits)]
    sample = rng.permutation(len(x))[:SILHOUETTE_IMAGES]
    total = float(np.square(x).sum()) if noise is None else left_within(x, np.zeros(len(x), int), noise, 1)
    rows = []
    for k in numbers:
        if k == 1:
            rows.append((1.0, 0.0, np.nan, 1.0))
            continue
        strengths = []
        for order in orders:
            parts = order[: len(x) // 2], order[len(x) // 2 :]
            errors = [None if noise is None else noise[part] for part in parts]
            fits = [
                partition(x[part], k, seed=seed, n_init=n_init, noise=error)
                for part, error in zip(parts, errors, strict=True)
            ]
            for half, other in ((0, 1), (1, 0)):
                error = errors[other]
                off = None if error is None else centre_noise(fits[other].cluster, error, k)
                strengths.append(predicted(fits[half].cluster, _nearest(x[parts[half]], fits[other].centre, off), k))
        whole = partition(x, k, seed=seed, n_init=n_init, noise=noise)
        if noise is None:
            left = float(np.square(whole.distance).sum())
            silhouette = _silhouette(x[sample], whole.cluster[sample])
        else:
            left = left_within(x, whole.cluster, noise, k)
            silhouette = _noise_free_silhouette(x[sample], whole.cluster[sample], noise[sample])
        within = left / total if total > 0 else np.nan
        # The two halves of a split are no independent answers: splits are.
        means = np.reshape(strengths, (splits, 2)).mean(axis=1)
        error = means.std(ddof=1) / np.sqrt(splits) if splits > 1 else 0.0
        rows.append((means.mean(), error, silhouette, within))
    return Curves(*np.array(rows, float).T)


def chosen(numbers: Sequence[int], found: Curves, threshold: float) -> int:
    """The largest number whose prediction strength reaches the threshold within a standard error, else the least."""
    enough = [k for k, good in zip(numbers, found.strength + found.strength_se >= threshold, strict=True) if good]
    return max(enough, default=min(numbers))


def _nearest(x: np.ndarray, centre: np.ndarray, off: np.ndarray | None = None) -> np.ndarray:
    square = (centre**2).sum(axis=1) - 2 * x @ centre.T
    return (square if off is None else square - off).argmin(axis=1)


def _silhouette(x: np.ndarray, cluster: np.ndarray) -> float:
    present = len(np.unique(cluster))
    return float(silhouette_score(x, cluster)) if 1 < present < len(x) else np.nan


def _noise_free_silhouette(x: np.ndarray, cluster: np.ndarray, noise: np.ndarray) -> float:
    """Mean of (b − a)/max(a, b) in [−1, 1], a and b mean signed distances within and to the nearest other cluster.

    0 of images alone in their cluster, as is usual, and where neither is above 0. Not scikit-learn's, which refuses
    distances below 0.
    """
    present, cluster = np.unique(cluster, return_inverse=True)
    if not 1 < len(present) < len(x):
        return np.nan
    d, member = signed_root(squared_distances(x, noise)), np.eye(len(present))[cluster]
    sizes, rows = member.sum(axis=0), np.arange(len(x))
    to = d @ member
    others = to / sizes
    others[rows, cluster] = np.inf
    inside, outside = to[rows, cluster] / np.maximum(sizes[cluster] - 1, 1), others.min(axis=1)
    largest = np.maximum(inside, outside)
    known = (sizes[cluster] > 1) & (largest > 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return float(np.where(known, np.clip((outside - inside) / largest, -1, 1), 0).mean())
