"""Means, medians and shares of variants over images, and their intervals; arrays only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from analyses.ground import Estimate, interval, resampled_means, wilson

__all__ = ["COPIES", "resampled_medians", "summary"]

# Measures that are shares of samples.
COPIES = ("near copies", "near copies of references")


def resampled_medians(values: np.ndarray, *, resamples: int, seed: int) -> np.ndarray:
    """Medians (resamples, variant) over all samples of resampled images; values (variant, image, sample).

    Medians are no means of images, which `ground.resampled_means` takes.
    """
    rng = np.random.default_rng(seed)
    out = np.empty((resamples, len(values)))
    for r in range(resamples):
        out[r] = np.median(values[:, rng.integers(values.shape[1], size=values.shape[1])], axis=(1, 2))
    return out


def summary(
    numbers: np.ndarray, match: np.ndarray, measures: Sequence[str], *, resamples: int, level: float, seed: int
) -> tuple[Estimate, Estimate]:
    """The value of each measure, and its difference from the first variant, with their intervals (variant, measure).

    Parameters
    ----------
    numbers
        (variant, measure, image).
    match
        (variant, image, sample), errors of φ: the first measure is their median over all samples.
    measures
        Names; the interval of one of `COPIES` is Wilson's, and "seconds" have none: one time was measured for all
        images.
    resamples, level, seed
        Of the bootstrap over images.
    """
    units = numbers.shape[2]
    value = numbers.mean(axis=2)
    value[:, 0] = np.median(match, axis=(1, 2))
    drawn = resampled_means(np.moveaxis(numbers, 2, 0), resamples=resamples, seed=seed)
    drawn[:, :, 0] = resampled_medians(match, resamples=resamples, seed=seed)
    ends = np.array(interval(drawn, level, units=units))
    if units > 1:
        for m in (m for m, name in enumerate(measures) if name in COPIES):
            ends[:, :, m] = wilson(value[:, m], units, level)
    # All variants share the resamples, so that differences are paired over images.
    of_difference = np.array(interval(drawn - drawn[:, :1], level, units=units))
    for m in (m for m, name in enumerate(measures) if name == "seconds"):
        ends[:, :, m] = of_difference[:, :, m] = np.nan
    return Estimate(value, *ends), Estimate(value - value[:1], *of_difference)
