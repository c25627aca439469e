"""Numbers of each variant's samples, image by image."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

import probekit
from analyses import sampling
from analyses.variants.kernels import COPIES
from analyses.variants.recipes import Made

__all__ = ["Comparison", "measured"]

FIRST, LAST = ("error of φ", "diversity", "diversity (SSIM)"), ("seconds", "gradients", "passes")


class Comparison(NamedTuple):
    """What samples are compared by.

    Attributes
    ----------
    blocks
        Taps in whose φ samples and conditions are compared.
    sigma
        Noise level at which they are.
    reference
        Training images, or None.
    quantile
        Share of pairs of different images that would count as copies.
    seed
        Of the noise, and of the choice of pairs.
    """

    blocks: Sequence[str]
    sigma: float
    reference: Any
    quantile: float
    seed: int


def measured(made: Sequence[Made], comparison: Comparison) -> tuple[list[str], np.ndarray]:
    """Names of measures, in the order in which they are read, and their numbers (variant, measure, image)."""
    free = {id(one.variant.network): one.samples for one in made if one.variant.method == "unconditional"}
    each = [per_image(one, free.get(id(one.variant.network)), comparison) for one in made]
    for name, shares in copies([one.samples for one in made], comparison).items():
        for numbers, share in zip(each, shares, strict=True):
            numbers[name] = share
    by_block = [f"{kind} in {block}" for kind in ("distance", "nearer") for block in comparison.blocks]
    names = [*FIRST, *(name for name in COPIES if name in each[0]), *by_block, *LAST]
    return names, np.array([[numbers[name] for name in names] for numbers in each])


def per_image(made: Made, free: xr.Dataset | None, comparison: Comparison) -> dict[str, np.ndarray]:
    """Numbers (image) of one variant, by measure, but for near copies.

    Parameters
    ----------
    made
        The variant and its samples of images.
    free
        Unconditional samples of the same network; without, what is nearer than they is NaN.
    comparison
        Blocks, noise level and seed.
    """
    samples = made.samples
    tap = probekit.tap(made.variant.network, *comparison.blocks, reduce=made.variant.reduce)
    with warnings.catch_warnings():
        # That samples leave the range of clean images a little is no fault of the caller's.
        warnings.filterwarnings("ignore", message="images of .* reach from")
        found = sampling.describe(samples, tap=tap, unconditional=free, sigma=comparison.sigma, seed=comparison.seed)
    numbers = {
        "error of φ": np.median(samples["match"].values, axis=1),
        "diversity": found["diversity"].values,
        "diversity (SSIM)": found["diversity_ssim"].values,
        "seconds": np.full(samples.sizes["image"], made.seconds),
        "gradients": samples["guidance_steps"].sum("level").mean("sample").values.astype(float),
        "passes": samples["evaluations"].mean("sample").values.astype(float),
    }
    for block in comparison.blocks:
        distance = found["distance_phi"].sel(block=block).mean("sample").values
        numbers[f"distance in {block}"] = distance
        of_free = np.nan if free is None else found["distance_phi_unconditional"].sel(block=block).values
        numbers[f"nearer in {block}"] = of_free - distance
    return numbers


def copies(samples: Sequence[xr.Dataset], comparison: Comparison) -> dict[str, np.ndarray]:
    """Shares of samples that are near copies, (variant, image), by one threshold for all variants."""
    first = samples[0]
    # One pass through the references, however many variants there are.
    joined = first[["condition"]].assign(
        {name: xr.concat([one[name] for one in samples], "sample") for name in ("samples", "match")}
    )
    reference = comparison.reference
    found = sampling.describe(joined, reference=reference, quantile=comparison.quantile, seed=comparison.seed)
    count = first.sizes["image"]
    names = COPIES if reference is not None else COPIES[:1]
    shares = {}
    for name, variable in zip(names, ("near_copy", "near_copy_reference"), strict=False):
        # A threshold needs two different images.
        known = variable in found
        shares[name] = (
            found[variable].values.reshape(count, len(samples), -1).mean(axis=2).T
            if known
            else np.full((len(samples), count), np.nan)
        )
    return shares
