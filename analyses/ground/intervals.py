"""Numpy kernels that the analyses share; no labels here."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr
from scipy.stats import t as student

from analyses.ground.checks import check_fraction
from probekit.errors import InputError

__all__ = [
    "check_resampling",
    "check_seed",
    "cluster_bootstrap_mean",
    "interval",
    "participation_ratio",
    "resampled_means",
    "widened",
]

# Resamples and columns taken at once: the weights and sums of one step stay within some ten MiB.
WEIGHTS, COLUMNS = 2_000_000, 64


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


def check_resampling(resamples: int, level: float, seed: int = 0) -> None:
    """Refuse a number of resamples or a coverage that makes no interval, and what seeds no generator.

    Raises
    ------
    InputError
        If there are fewer than 100 resamples, the level is not between 0 and 1, or the seed is no whole number ≥ 0.
    """
    check_seed(seed)
    if isinstance(resamples, bool) or not isinstance(resamples, int | np.integer) or resamples < 100:
        raise InputError(f"resamples={resamples!r}: give a whole number ≥ 100, so that the interval's ends are known")
    check_fraction("level", level, "the interval's coverage, between 0 and 1, e.g. 0.95")


def check_seed(seed: int) -> None:
    """Refuse what seeds no generator.

    Raises
    ------
    InputError
        If the seed is not a whole number of at least 0.
    """
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise InputError(f"seed={seed!r}: give a whole number ≥ 0")


def resampled_means(
    values: np.ndarray, *, clusters: np.ndarray | None = None, resamples: int = 1000, seed: int = 0
) -> np.ndarray:
    """Means over axis 0 of bootstrap resamples: images, or whole clusters, drawn with replacement.

    All columns share the resamples, so that differences between columns are paired over images.

    Parameters
    ----------
    values
        (images, ...); NaN values are left out of their column's mean.
    clusters
        One label per image; by default every image is its own cluster.
    resamples, seed
        Number of resamples, and seed of the drawing.

    Returns
    -------
    ndarray
        (resamples, ...); NaN where a resample holds no value.
    """
    values = np.asarray(values)
    flat = values.reshape(len(values), -1)
    members = None if clusters is None else np.unique(np.asarray(clusters, str), return_inverse=True)[1]
    count = len(values) if members is None else int(members.max()) + 1
    rng = np.random.default_rng(seed)
    means = np.empty((resamples, flat.shape[1]))
    step = max(1, WEIGHTS // count)
    for start in range(0, resamples, step):
        chosen = rng.integers(count, size=(min(step, resamples - start), count))
        drawn = np.stack([np.bincount(row, minlength=count) for row in chosen])
        weights = (drawn if members is None else drawn[:, members]).astype(np.float64)
        rows = slice(start, start + len(weights))
        for first in range(0, flat.shape[1], COLUMNS):
            part = flat[:, first : first + COLUMNS].astype(np.float64)
            missing = np.isnan(part)
            part[missing] = 0
            known = weights @ ~missing if missing.any() else weights.sum(axis=1, keepdims=True)
            with np.errstate(invalid="ignore"):
                means[rows, first : first + COLUMNS] = weights @ part / known
    return means.reshape(resamples, *values.shape[1:])


def interval(resampled: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Percentile interval of statistics (resamples, ...): lower and upper end, NaN where a statistic is."""
    tail = (1 - level) / 2
    low, high = np.quantile(resampled, [tail, 1 - tail], axis=0)
    return low, high


def widened(level: float, units: int) -> float:
    """The level at which a percentile interval of a mean is as wide as Student's t makes it.

    Resampling n units spreads their mean by √((n − 1)/n) of its standard error and takes that for known; the
    percentiles are moved outwards accordingly (Hesterberg, Am. Stat. 69, 371, 2015).
    """
    reach = student.ppf((1 + level) / 2, units - 1) * np.sqrt(units / (units - 1))
    return float(2 * ndtr(reach) - 1)


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
    return interval(resampled_means(values, clusters=clusters, resamples=resamples, seed=seed), level)
