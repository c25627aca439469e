"""Distances between laws of images, from samples of each."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from analyses.densities.kernels_distances import LEAST_SAMPLES, MEASURES, measured, tiles
from analyses.densities.kernels_ranks import chosen_pairs
from analyses.ground import repeats
from probekit import checks, labels
from probekit.errors import InputError

__all__ = ["distance", "ids_of", "over_pairs"]

IMAGE = ("band", "row", "col")


def distance(
    samples_a: xr.DataArray, samples_b: xr.DataArray, *, measure: str = "energy", projections: int = 200, seed: int = 0
) -> xr.DataArray:
    """Distance between two laws of images, from samples of each.

    - "energy" (Székely & Rizzo 2013): 2 E‖X − Y‖ − E‖X − X'‖ − E‖Y − Y'‖ as a U-statistic, unbiased, so that it
      can fall below 0; "energy_plug_in" is the V-statistic, never below 0 and biased upward;
    - "sliced_wasserstein" (Bonneel et al. 2015): root of the mean of W₂² between projections, biased upward;
    - "gaussian_wasserstein": W₂ between normal laws of the same means and covariances, a lower bound of W₂ between
      the laws (Gelbrich 1990), with equality for two laws of one elliptical family; of samples it is biased upward,
      the more so the fewer samples there are for the dimensions;
    - "gaussian_wasserstein_debiased": the square of that between halves of the samples of the two laws, less the same
      between halves of each law: its mean is 0 for one law, so that it can fall below 0;
    - "patch_wasserstein": W₂ between normal laws of tiles of 4×4 pixels, pooled over places, times the root of their
      number: a lower bound of W₂ too, and near it where laws are the same everywhere in an image and reach no further.

    With few samples of many pixels only the last is precise (docs/calibration.md says how precise). In many dimensions
    the first two see little beyond the laws' means and total variances, since distances between samples, and random
    projections, concentrate; the Gaussian ones see how variance is shared among directions.

    Parameters
    ----------
    samples_a, samples_b
        Dim `sample` and any others, which both share, e.g. (sample, band, row, col), of at least 4 samples each;
        numbers of samples may differ.
    measure
        One of these names.
    projections, seed
        Random directions of the sliced distance: their number ≥ 1, and seed.

    Returns
    -------
    DataArray
        0-dimensional `distance`, in the samples' units, the debiased one in their square; of images as vectors, not
        per pixel.

    Raises
    ------
    InputError
        If samples are too few, not finite, or of different shapes; if an option is not one of the above; if the
        library that computes the measure is not installed.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> a, b = (xr.DataArray(rng.normal(m, 1, (500, 2)), dims=("sample", "col")) for m in (0, 2))
    >>> round(float(distance(a, b, measure="gaussian_wasserstein")), 1)
    2.9
    """
    projections, seed = checks.plain(projections), checks.plain(seed)
    _check_options(measure, projections, seed)
    a, b = _flat(samples_a, "samples_a", measure), _flat(samples_b, "samples_b", measure)
    sizes = [{d: n for d, n in x.sizes.items() if d != "sample"} for x in (samples_a, samples_b)]
    if sizes[0] != sizes[1]:
        raise InputError(f"samples of sizes {sizes[0]} and {sizes[1]}: give samples of images of one size")
    found = measured(a, b, measure, projections=projections, seed=seed)
    return xr.DataArray(found, name="distance", attrs=_attrs(measure))


def over_pairs(
    samples: xr.DataArray, *, measure: str = "energy", n_pairs: int | None = None, projections: int = 200, seed: int = 0
) -> xr.DataArray:
    """Distances between the laws of pairs of conditions, from samples of each condition.

    Parameters
    ----------
    samples
        (image, sample, ...), samples of each condition.
    measure, projections
        As for `distance`; all pairs share the directions.
    n_pairs
        Number of pairs drawn without replacement; by default all.
    seed
        Of the drawing and of the directions.

    Returns
    -------
    DataArray
        (pair), with the conditions' ids as coordinates ``first`` and ``second``.

    Raises
    ------
    InputError
        As for `distance`; if there are fewer than two conditions.

    Examples
    --------
    >>> samples = xr.DataArray(np.random.default_rng(0).normal(size=(3, 8, 2)), dims=("image", "sample", "col"))
    >>> dict(over_pairs(samples).sizes)
    {'pair': 3}
    """
    projections, seed = checks.plain(projections), checks.plain(seed)
    _check_options(measure, projections, seed)
    if not isinstance(samples, xr.DataArray):
        raise InputError(f"the samples are a {type(samples).__name__}: give a DataArray (image, sample, ...)")
    if "image" not in samples.dims or samples.sizes["image"] < 2:
        raise InputError(f"the samples have sizes {dict(samples.sizes)}: give dim image with two conditions at least")
    if n_pairs is not None:
        n_pairs = checks.whole("n_pairs", n_pairs, least=1)
    pairs, ids = chosen_pairs(samples.sizes["image"], n_pairs, seed), ids_of(samples)
    flat = [_flat(samples.isel(image=i), "the samples", measure) for i in range(samples.sizes["image"])]
    values = [measured(flat[i], flat[j], measure, projections=projections, seed=seed) for i, j in pairs]
    coords = {
        "first": ("pair", ids[pairs[:, 0]], {"long_name": "id of the first condition"}),
        "second": ("pair", ids[pairs[:, 1]], {"long_name": "id of the second condition"}),
    }
    return xr.DataArray(np.array(values), coords, "pair", "density_distance", _attrs(measure))


def ids_of(data: xr.DataArray) -> np.ndarray:
    """The ids of the conditions, or their numbers where they have none.

    Raises
    ------
    InputError
        If two are the same.
    """
    ids = labels.strings(data["image"].values if "image" in data.coords else np.arange(data.sizes["image"]))
    if len(set(ids)) < len(ids):
        raise InputError("two images have one id: give each its own, so that pairs can be told apart")
    return ids


def _check_options(measure: str, projections: int, seed: int) -> None:
    checks.choice("measure", measure, MEASURES)
    repeats("projections", projections, least=1)
    checks.seeded(seed)


def _attrs(measure: str) -> dict[str, str]:
    units = "squared intensity" if measure.endswith("debiased") else "intensity"
    return {"long_name": MEASURES[measure], "measure": measure, "units": units}


def _flat(samples: Any, name: str, measure: str) -> np.ndarray:
    """Samples (n, dimensions) in double precision; for the measure of tiles (n, tiles, numbers)."""
    if not isinstance(samples, xr.DataArray) or "sample" not in samples.dims or samples.ndim < 2:
        got = samples.dims if isinstance(samples, xr.DataArray) else type(samples).__name__
        raise InputError(f"{name}: got {got}, which is no DataArray with dim sample and others: name the dims")
    if samples.sizes["sample"] < LEAST_SAMPLES:
        raise InputError(f"{name}: {samples.sizes['sample']} samples of a law: give at least {LEAST_SAMPLES}")
    if samples.dtype.kind not in "fiu" or not samples.size:
        raise InputError(f"{name}: {samples.size} values of type {samples.dtype}: give real numbers, one at least")
    if measure == "patch_wasserstein":
        if not set(IMAGE) <= set(samples.dims):
            raise InputError(f"{name}: dims {samples.dims}: {measure} is of images, give dims {', '.join(IMAGE)}")
        samples = samples.transpose("sample", *IMAGE, ...)
    values = np.asarray(samples.transpose("sample", ...).values, np.float64)
    if not np.isfinite(values).all():
        raise InputError(f"{name}: NaN or infinite values: leave those samples out, e.g. .dropna('sample')")
    return tiles(values) if measure == "patch_wasserstein" else values.reshape(len(values), -1)
