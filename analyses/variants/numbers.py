"""Numbers of each variant, image by image, and their means, medians and intervals over images."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from torch import nn

import probekit
from analyses.ground import interval, resampled_means, wilson
from analyses.sampling import describe

__all__ = ["COPIES", "copies", "per_image", "resampled_medians", "summary"]

COPIES = ("near copies", "near copies of references")


def per_image(
    samples: xr.Dataset, *, network: nn.Module, blocks: Sequence[str], free: xr.Dataset | None, sigma: float, seed: int
) -> dict[str, np.ndarray]:
    """Numbers (image) of one variant's samples, by measure.

    Parameters
    ----------
    samples
        What `reconstruct` returns for images.
    network, blocks
        In which φ of samples and conditions is compared.
    free
        Unconditional samples of the same network, compared with; without, what is nearer than they is not known.
    sigma
        At which φ is compared.
    seed
        Of the noise.
    """
    with warnings.catch_warnings():
        # That samples leave the range of clean images a little is no fault of the caller's.
        warnings.filterwarnings("ignore", message="images of .* reach from")
        found = describe(samples, tap=probekit.tap(network, *blocks), unconditional=free, sigma=sigma, seed=seed)
    numbers = {
        "error of φ": np.median(samples["match"].values, axis=1),
        "diversity": found["diversity"].values,
        "diversity (SSIM)": found["diversity_ssim"].values,
    }
    count = samples.sizes["image"]
    for block in blocks:
        distance = found["distance_phi"].sel(block=block).mean("sample").values
        numbers[f"distance in {block}"] = distance
        numbers[f"nearer in {block}"] = (
            np.full(count, np.nan)
            if free is None
            else found["distance_phi_unconditional"].sel(block=block).values - distance
        )
    numbers["gradients"] = samples["guidance_steps"].sum("level").mean("sample").values.astype(float)
    numbers["passes"] = samples["evaluations"].mean("sample").values.astype(float)
    return numbers


def copies(made: Mapping[str, xr.Dataset], reference: Any, quantile: float, seed: int) -> dict[str, np.ndarray]:
    """Share of each variant's samples (variant, image) that are near copies, by one threshold for all variants."""
    first = next(iter(made.values()))
    # One pass through the references, however many variants there are.
    joined = first[["condition"]].assign(
        {name: xr.concat([one[name] for one in made.values()], "sample") for name in ("samples", "match")}
    )
    found = describe(joined, reference=reference, quantile=quantile, seed=seed)
    shape = (first.sizes["image"], len(made), -1)
    shares = {}
    for name, of in zip(COPIES, ("near_copy", "near_copy_reference"), strict=True):
        known = of in found
        shares[name] = (
            found[of].values.reshape(shape).mean(axis=2).T if known else np.full((len(made), shape[0]), np.nan)
        )
    return shares


def resampled_medians(values: np.ndarray, *, resamples: int, seed: int) -> np.ndarray:
    """Medians (resamples, variant) over all samples of resampled images; values (variant, image, sample)."""
    rng = np.random.default_rng(seed)
    out = np.empty((resamples, len(values)))
    for r in range(resamples):
        out[r] = np.median(values[:, rng.integers(values.shape[1], size=values.shape[1])], axis=(1, 2))
    return out


def summary(
    numbers: np.ndarray, match: np.ndarray, measures: Sequence[str], *, resamples: int, level: float, seed: int
) -> dict[str, np.ndarray]:
    """Value, interval, and difference from the first variant with its interval, each (variant, measure).

    Parameters
    ----------
    numbers
        (variant, measure, image).
    match
        (variant, image, sample), errors of φ: the first measure is their median over all samples.
    measures
        Their names.
    resamples, level, seed
        Of the bootstrap over images.
    """
    value = numbers.mean(axis=2)
    value[:, 0] = np.median(match, axis=(1, 2))
    drawn = resampled_means(np.moveaxis(numbers, 2, 0), resamples=resamples, seed=seed)
    drawn[:, :, 0] = resampled_medians(match, resamples=resamples, seed=seed)
    low, high = interval(drawn, level, units=numbers.shape[2])
    for m, name in enumerate(measures):
        if name in COPIES:
            low[:, m], high[:, m] = wilson(value[:, m], numbers.shape[2], level)
    # All variants share the resamples, so that differences are paired over images.
    ends = interval(drawn - drawn[:, :1], level, units=numbers.shape[2])
    if numbers.shape[2] == 1:
        low, high = np.full((2, *value.shape), np.nan)
        ends = np.full((2, *value.shape), np.nan)
    return {
        "value": value,
        "low": low,
        "high": high,
        "difference": value - value[:1],
        "difference_low": ends[0],
        "difference_high": ends[1],
    }
