"""Intervals, tests and verdicts that all rooms share: resampling, Student's widening, jackknife, Wilson, Holm."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal

import numpy as np
from scipy.special import ndtr
from scipy.stats import norm
from scipy.stats import t as student

from analyses.ground.findings import Estimate
from probekit import checks

__all__ = [
    "estimated_mean",
    "holm",
    "interval",
    "jackknife_deviation",
    "jackknifed",
    "jackknifed_correlation",
    "levelled",
    "outcome",
    "resampled_means",
    "unlike",
    "verdict_of",
    "wilson",
]

# Weights and columns taken at once, which stay within some ten MiB; of very many images so many resamples together,
# whose numbers, and those of columns, stay within some hundred.
WEIGHTS, COLUMNS, TOGETHER, NUMBERS = 2_000_000, 64, 8, 24_000_000
Outcome = Literal["holds", "does not hold", "undecided"]
# Beyond a bound by less than this is no evidence: numbers that are equal by construction differ by rounding.
ROUNDING = 1e-9
COMPARISONS = "above", "within"


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
    step = max(1, WEIGHTS // count, min(TOGETHER, NUMBERS // count))
    parts = _columns(flat)
    for start in range(0, resamples, step):
        chosen = rng.integers(count, size=(min(step, resamples - start), count))
        drawn = np.stack([np.bincount(row, minlength=count) for row in chosen])
        weights = (drawn if members is None else drawn[:, members]).astype(np.float64)
        for columns, part, missing in parts():
            known = weights.sum(axis=1, keepdims=True) if missing is None else weights @ ~missing
            with np.errstate(invalid="ignore"):
                means[start : start + len(weights), columns] = weights @ part / known
    return means.reshape(resamples, *values.shape[1:])


def _columns(flat: np.ndarray) -> Callable[[], Iterable[tuple[slice, np.ndarray, np.ndarray | None]]]:
    """Some columns at a time: where they are, values with 0 for NaN, and which are NaN; None for none.

    Columns that fit in together are made ready once, more each time that they are asked for.
    """
    width = max(1, min(COLUMNS, NUMBERS // max(len(flat), 1)))

    def ready(first: int) -> tuple[slice, np.ndarray, np.ndarray | None]:
        columns = slice(first, first + width)
        part = flat[:, columns].astype(np.float64)
        missing = np.isnan(part)
        if not missing.any():
            return columns, part, None
        part[missing] = 0
        return columns, part, missing

    starts = range(0, flat.shape[1], width)
    kept = [ready(first) for first in starts] if flat.size <= NUMBERS else None
    return lambda: map(ready, starts) if kept is None else kept


def interval(resampled: np.ndarray, level: float, *, units: int) -> tuple[np.ndarray, np.ndarray]:
    """Percentile interval of resampled statistics, moved outwards as Student's t asks.

    Resampling n units spreads their mean by √((n − 1)/n) of its standard error and takes that for known; the
    percentiles are moved outwards accordingly (Hesterberg, Am. Stat. 69, 371, 2015).

    Parameters
    ----------
    resampled
        (resamples, ...).
    level
        Coverage, in (0, 1).
    units
        Number n of what was resampled, images or whole clusters of them; of fewer than two nothing is known.

    Returns
    -------
    tuple of ndarray
        Lower and upper end, NaN where a statistic is.
    """
    if units < 2:
        return tuple(np.full((2, *np.shape(resampled)[1:]), np.nan))  # pyright: ignore[reportReturnType]
    reach = student.ppf((1 + level) / 2, units - 1) * np.sqrt(units / (units - 1))
    tail = float(ndtr(-reach))
    low, high = np.quantile(resampled, [tail, 1 - tail], axis=0)
    return low, high


def estimated_mean(
    values: np.ndarray,
    *,
    clusters: np.ndarray | None = None,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
    span: tuple[float, float] | None = None,
) -> Estimate:
    """The mean over axis 0, images, with its interval; see `resampled_means` and `interval`.

    NaN values are left out of their column's mean; where a column holds nothing else, it is NaN. `span` says between
    which ends any value lies, as of rates: see `unlike`.
    """
    values = np.asarray(values)
    known = (~np.isnan(values)).sum(axis=0)
    mean = np.nansum(values, axis=0, dtype=np.float64) / np.where(known, known, np.nan)
    units = len(values) if clusters is None else len(set(np.asarray(clusters, str)))
    drawn = resampled_means(values, clusters=clusters, resamples=resamples, seed=seed)
    found = Estimate(mean, *interval(drawn, level, units=units))
    return found if span is None else unlike(found, span, level, units=units)


def unlike(found: Estimate, span: tuple[float, float], level: float, *, units: int) -> Estimate:
    """Means of values that are alike, so that resampling shows no spread, with what others of their span could change.

    If a share s of all units is unlike these n, none of them is there with probability (1 − s)ⁿ, which is (1 − level)/2
    at the largest such share. The interval reaches as far as such units at either end of the span move the mean.

    Parameters
    ----------
    found
        Means with their intervals; those of any width stay as they are.
    span
        The least and the largest value that there can be.
    level
        Coverage, in (0, 1).
    units
        Number n of images, or whole groups of them.
    """
    share = 1 - ((1 - level) / 2) ** (1 / units)
    alike = np.asarray(found.high) - np.asarray(found.low) <= ROUNDING
    ends = (
        np.where(alike, (1 - share) * found.value + share * end, own) for end, own in zip(span, found[1:], strict=True)
    )
    return Estimate(found.value, *ends)


def jackknife_deviation(without: np.ndarray) -> np.ndarray:
    """Jackknife standard error from values (groups, ...) without each group: √((k − 1)/k Σ (θ₋ᵢ − θ̄)²)."""
    k = len(without)
    return np.sqrt((k - 1) / k * ((without - without.mean(axis=0)) ** 2).sum(axis=0))


def levelled(values: np.ndarray, group_shares: np.ndarray | None) -> np.ndarray:
    """Values (groups, ...) without each group, moved so that the jackknife holds for groups of unlike sizes too.

    Leaving out a share s moves a mean by s/(1 − s) times what sets the group apart, which adds s times that to the
    mean's error: the move counts (1 − s), in units of the 1 − 1/n that it is for n equal groups.

    Parameters
    ----------
    values
        (1 + groups, ...), of all images, then without each group.
    group_shares
        (groups), each group's share of the images; None where all are alike.
    """
    if group_shares is None:
        return values[1:]
    n = len(group_shares)
    weights = ((1 - group_shares) * n / (n - 1)).reshape(-1, *[1] * (values.ndim - 1))
    return values[0] + weights * (values[1:] - values[0])


def jackknifed(values: np.ndarray, level: float, group_shares: np.ndarray | None = None) -> Estimate:
    """Numbers of all images with their intervals, from what they are without each image or group of them.

    error² = (n − 1)/n Σ (θ₍ᵢ₎ − mean)², Student's t with n − 1 degrees of freedom. No image is ever paired with a copy
    of itself, as resampling with replacement would pair it.

    Parameters
    ----------
    values, group_shares
        As for `levelled`.
    level
        Coverage.
    """
    reach = student.ppf((1 + level) / 2, len(values) - 2) * jackknife_deviation(levelled(values, group_shares))
    return Estimate(values[0], values[0] - reach, values[0] + reach)


def jackknifed_correlation(
    values: np.ndarray, level: float, group_shares: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ends of a correlation's interval, and the two-sided p-value of none, each (...): `jackknifed` on Fisher's scale.

    z = artanh r; a correlation of ±1 has no finite z.
    """
    z = np.arctanh(np.clip(values, -1 + 1e-12, 1 - 1e-12))
    error = jackknife_deviation(levelled(z, group_shares))
    reach = student.ppf((1 + level) / 2, len(z) - 2) * error
    with np.errstate(invalid="ignore", divide="ignore"):
        p = 2 * student.sf(np.abs(z[0]) / error, len(z) - 2)
    return np.tanh(z[0] - reach), np.tanh(z[0] + reach), p


def wilson(share: np.ndarray, n: int, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Wilson's interval of a mean of n independent numbers in [0, 1].

    Their variance is at most p(1 − p), that of a binomial share, so that the interval is rather too wide than too
    narrow; resampling numbers that are all 0 would give no width at all.
    """
    z2 = norm.isf((1 - level) / 2) ** 2
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = np.sqrt(z2 * (share * (1 - share) / n + z2 / (4 * n * n))) / (1 + z2 / n)
    return middle - half, middle + half


def holm(p: np.ndarray) -> np.ndarray:
    """p-values after Holm's step-down correction over axis 0 (Holm 1979); NaN stay so and do not count."""
    out = np.full(p.shape, np.nan)
    flat, into = p.reshape(len(p), -1), out.reshape(len(p), -1)
    for c in range(flat.shape[1]):
        known = np.flatnonzero(np.isfinite(flat[:, c]))
        order = known[np.argsort(flat[known, c], kind="stable")]
        factors = np.arange(len(order), 0, -1)
        into[order, c] = np.minimum(1, np.maximum.accumulate(factors * flat[order, c]))
    return out


def outcome(low: float, high: float, bound: float = 0.0, comparison: Literal["above", "within"] = "above") -> Outcome:
    """What an interval says of one criterion: "holds", "does not hold" or "undecided".

    Parameters
    ----------
    low, high
        Ends of the interval. One that is NaN decides nothing.
    bound
        What the number is to be above, or no further than from 0.
    comparison
        "above": holds where the interval lies above the bound, does not hold where it lies at or below it. "within":
        holds where it lies in [−bound, bound], does not hold where all of it lies beyond one of these. By less than
        10⁻⁹ nothing is above or beyond.

    Raises
    ------
    InputError
        If there is no such comparison.
    """
    checks.choice("comparison", comparison, COMPARISONS)
    if np.isnan([low, high]).any():
        return "undecided"
    reach = bound + ROUNDING
    if comparison == "above":
        return "holds" if low > reach else "does not hold" if high <= reach else "undecided"
    if low >= -reach and high <= reach:
        return "holds"
    return "does not hold" if low > reach or high < -reach else "undecided"


def verdict_of(outcomes: Iterable[str]) -> str:
    """The verdict on a claim from the outcomes of its criteria.

    One criterion that is refuted refutes the claim, whatever else is open: "partly" if another holds, else "does not
    hold". Otherwise "not judged" if one is not, "holds" if all do, else "undecided", as where there is no criterion.
    """
    kinds = set(outcomes)
    if "does not hold" in kinds:
        return "partly" if "holds" in kinds else "does not hold"
    if "not judged" in kinds:
        return "not judged"
    return "holds" if kinds == {"holds"} else "undecided"
