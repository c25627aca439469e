"""Whether distances between representations follow distances between the densities that they condition."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from analyses import ground
from analyses.densities.along_noise import along_noise, empirical_denoiser
from analyses.densities.kernels_distances import LEAST_SAMPLES, MEASURES, measured, tiles
from analyses.densities.kernels_ranks import chosen_pairs, distances, permutation_p, resampled_correlations, spearman
from analyses.ground import check_findings, interval, variable
from probekit import labels
from probekit.checks import resampling, seeded, whole
from probekit.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["along_noise", "analyse", "correlate", "distance", "empirical_denoiser", "main", "over_pairs", "plot"]

LEAST_CONDITIONS = 8
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

    With few samples of many pixels only the last is precise: of 8 samples of each of 24 conditional laws of the patch
    model on 32×32 pixels it ranks pairs as the exact W₂ does (Spearman > 0.99), where the others reach 0.7 at most. In
    many dimensions the first two see little beyond the laws' means and total variances, since distances between
    samples, and random projections, concentrate; the Gaussian ones see how variance is shared among directions.

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
    _check_measure(measure, projections)
    a, b = _flat(samples_a, "samples_a", measure), _flat(samples_b, "samples_b", measure)
    sizes = [{d: n for d, n in x.sizes.items() if d != "sample"} for x in (samples_a, samples_b)]
    if sizes[0] != sizes[1]:
        raise InputError(f"samples of sizes {sizes[0]} and {sizes[1]}: give samples of images of one size")
    attrs = {"long_name": MEASURES[measure], "measure": measure, "units": _units(measure)}
    return xr.DataArray(measured(a, b, measure, projections=projections, seed=seed), name="distance", attrs=attrs)


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
    """
    _check_measure(measure, projections)
    if not isinstance(samples, xr.DataArray):
        raise InputError(f"the samples are a {type(samples).__name__}: give a DataArray (image, sample, ...)")
    if "image" not in samples.dims or samples.sizes["image"] < 2:
        raise InputError(f"the samples have sizes {dict(samples.sizes)}: give dim image with two conditions at least")
    seeded(seed)
    if n_pairs is not None:
        whole("n_pairs", n_pairs, least=1)
    pairs = chosen_pairs(samples.sizes["image"], n_pairs, seed)
    flat = [_flat(samples.isel(image=i), "the samples", measure) for i in range(samples.sizes["image"])]
    values = [measured(flat[i], flat[j], measure, projections=projections, seed=seed) for i, j in pairs]
    ids = _ids(samples)
    return xr.DataArray(
        np.array(values),
        dims="pair",
        coords={
            "first": ("pair", ids[pairs[:, 0]], {"long_name": "id of the first condition"}),
            "second": ("pair", ids[pairs[:, 1]], {"long_name": "id of the second condition"}),
        },
        name="density_distance",
        attrs={"long_name": MEASURES[measure], "measure": measure, "units": _units(measure)},
    )


def correlate(
    density: xr.DataArray,
    phi: xr.DataArray,
    *,
    pixels: xr.DataArray | None = None,
    least_pairs: int = 200,
    permutations: int = 999,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> xr.Dataset:
    """Rank correlation of distances between conditional densities with distances between what they are conditioned on.

    Spearman's ρ over pairs. Pairs that share a condition are not independent, so the bootstrap resamples
    conditions, and a permutation deals φ out among conditions, never among pairs.

    Parameters
    ----------
    density
        (pair), with the conditions' ids as coordinates ``first`` and ``second``, as `over_pairs` gives.
    phi
        Dim `image`, whose ids include those of the conditions, and others, e.g. `channel`.
    pixels
        The conditioning images, with dim `image` and others; compared with in the same way.
    least_pairs
        Fewer pairs than this are refused; the paper's claim is judged by 200.
    permutations, resamples, level, seed
        Number of permutations and of resamples, ≥ 100; coverage of the percentile intervals; seed.

    Returns
    -------
    Dataset
        Over `feature` ("phi", "pixels"): `correlation`, its interval `correlation_low`, `correlation_high`,
        one-sided `p` of a permutation test against no relation, ≥ 1/(1 + permutations); NaN, with a warning, where all
        pairs are equally far apart. With pixels `difference`, φ's
        correlation less theirs, paired, and `difference_low`, `difference_high`. Over `pair`: `density_distance`, and
        `feature_distance` (feature, pair), Euclidean.

    Raises
    ------
    InputError
        If pairs or conditions are too few, an id is unknown or in a pair with itself, values are not finite, or an
        option is out of its range.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=(30, 50, 3)) + 3 * rng.normal(size=(30, 1, 3))
    >>> x = xr.DataArray(x, dims=("image", "sample", "col"))
    >>> found = correlate(over_pairs(x), x.mean("sample"))
    >>> bool(found.correlation_low.item() > 0.9), found.p.item()
    (True, 0.001)
    """
    resampling(resamples, level, seed)
    whole("permutations", permutations, least=100)
    whole("least_pairs", least_pairs, least=1)
    pairs, ids = _checked_pairs(density, least_pairs)
    target = np.asarray(density.values, float)
    rows = {"phi": _rows(phi, ids, "phi")} | ({} if pixels is None else {"pixels": _rows(pixels, ids, "pixels")})
    found = [distances(x, pairs) for x in rows.values()]
    drawn = resampled_correlations(found, target, pairs, resamples=resamples, seed=seed)
    values = np.array([spearman(d, target) for d in found])
    _warn_of_constants({**dict(zip(rows, found, strict=True)), "density": target})
    low, high = interval(drawn, level, units=len(ids))
    percent = f"{100 * level:g} % interval, conditions resampled"
    p = [permutation_p(x, target, pairs, permutations=permutations, seed=seed) for x in rows.values()]
    variables = {
        "correlation": variable("feature", values, "Spearman correlation with distances between densities"),
        "correlation_low": variable("feature", low, f"lower end of its {percent}"),
        "correlation_high": variable("feature", high, f"upper end of its {percent}"),
        "p": variable("feature", p, "one-sided p-value, conditions permuted"),
        "density_distance": variable("pair", target, "distance between conditional laws", "intensity"),
        "feature_distance": variable(("feature", "pair"), np.stack(found), "Euclidean distance", "activation"),
    }
    if pixels is not None:
        ends = interval(drawn[:, 0] - drawn[:, 1], level, units=len(ids))
        names = ("difference", "difference_low", "difference_high")
        words = ("correlation of φ less that of pixels", f"lower end of its {percent}", f"upper end of its {percent}")
        for name, value, said in zip(names, (values[0] - values[1], *ends), words, strict=True):
            variables[name] = variable((), value, said)
    return xr.Dataset(
        variables,
        coords={"feature": list(rows), "first": density["first"], "second": density["second"]},
        attrs={
            "analysis": "densities",
            "measure": str(density.attrs.get("measure", "")),
            "conditions": len(ids),
            "permutations": permutations,
            "resamples": resamples,
            "level": level,
            "seed": seed,
        },
    )


def analyse(
    data: xr.Dataset,
    *,
    measure: str = "energy",
    n_pairs: int | None = None,
    projections: int = 200,
    **options: Any,
) -> xr.Dataset:
    """Distances between sampled conditional laws, and their correlation with distances in φ and in pixels.

    Parameters
    ----------
    data
        ``samples`` (image, sample, band, row, col); ``phi`` (image, ...), what each was conditioned on;
        ``condition`` (image, band, row, col), the conditioning images, if pixels are to be compared with. What
        `analyses.sampling.reconstruct` returns has the first and the last: ``samples.assign(phi=tap(…).phi)``.
    measure, n_pairs, projections
        As for `over_pairs`.
    options
        Of `correlate`; its seed serves both.

    Returns
    -------
    Dataset
        What `correlate` returns.

    Raises
    ------
    InputError
        If a variable is missing; as for `over_pairs` and `correlate`.
    """
    missing = [name for name in ("samples", "phi") if name not in data]
    if missing:
        raise InputError(
            f"the Dataset has no {' and no '.join(missing)}: give samples and the φ they are conditioned on"
        )
    seed = options.get("seed", 0)
    density = over_pairs(data["samples"], measure=measure, n_pairs=n_pairs, projections=projections, seed=seed)
    found = correlate(density, data["phi"], pixels=data.get("condition"), **options)
    found.attrs = {**data.attrs, **found.attrs, "samples": data.sizes["sample"]}
    return found


def plot(findings: xr.Dataset) -> Figure:
    """Draw distances between densities against distances in φ, and in pixels where they were compared.

    Parameters
    ----------
    findings
        What `correlate` or `analyse` returns.

    Returns
    -------
    Figure

    Raises
    ------
    InputError
        If these are other findings.
    """
    check_findings(
        findings, "densities", ["correlation", "feature_distance"], dims=["feature", "pair"], attrs=["conditions"]
    )
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5 * findings.sizes["feature"], 4.5), layout="constrained")
    axes = figure.subplots(1, findings.sizes["feature"], squeeze=False, sharey=True)[0]
    for axis, name in zip(axes, findings["feature"].values, strict=True):
        part = findings.sel(feature=name)
        axis.plot(part["feature_distance"], part["density_distance"], "o", ms=2.5, alpha=0.5)
        axis.set_xlabel(f"distance in {'φ' if name == 'phi' else name}")
        axis.set_title(
            f"ρ = {part['correlation'].item():.2f} [{part['correlation_low'].item():.2f}, "
            f"{part['correlation_high'].item():.2f}], p = {part['p'].item():.2g}",
            fontsize=10,
        )
    axes[0].set_ylabel(f"distance between conditional laws ({findings.attrs.get('measure', '').replace('_', ' ')})")
    count = findings.sizes["pair"]
    figure.suptitle(f"{count} pairs of {findings.attrs['conditions']} conditions", fontsize=10)
    return figure


def _warn_of_constants(distances: Mapping[str, np.ndarray]) -> None:
    same = [name for name, d in distances.items() if np.ptp(d) == 0]
    if same:
        warnings.warn(
            f"all pairs are equally far apart in {', '.join(same)}: there are no ranks to correlate, and what needs "
            "them is NaN",
            stacklevel=3,
        )


def _check_measure(measure: str, projections: int) -> None:
    if not isinstance(measure, str) or measure not in MEASURES:
        raise InputError(f"measure={measure!r}: give one of {', '.join(MEASURES)}")
    whole("projections", projections, least=1)


def _units(measure: str) -> str:
    return "squared intensity" if measure.endswith("debiased") else "intensity"


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


def _ids(data: xr.DataArray) -> np.ndarray:
    given = data["image"].values if "image" in data.coords else np.arange(data.sizes["image"])
    ids = np.array(list(map(str, given)), dtype=object)
    if len(set(ids)) < len(ids):
        raise InputError("two images have one id: give each its own, so that pairs can be told apart")
    return ids


def _checked_pairs(density: Any, least: int) -> tuple[np.ndarray, np.ndarray]:
    """Pairs (pairs, 2) as positions among the ids of the conditions."""
    if not isinstance(density, xr.DataArray) or density.dims != ("pair",):
        got = density.dims if isinstance(density, xr.DataArray) else type(density).__name__
        raise InputError(f"density: got {got}: give a DataArray over pair, as over_pairs returns")
    if "first" not in density.coords or "second" not in density.coords:
        raise InputError("density lacks the coordinates first and second: give the ids of each pair's conditions")
    if not np.isfinite(density.values).all():
        raise InputError("density holds NaN or infinite distances: leave those pairs out, e.g. .dropna('pair')")
    named = np.stack([labels.strings(density["first"].values), labels.strings(density["second"].values)], axis=1)
    ids, positions = np.unique(named, return_inverse=True)
    pairs = positions.reshape(named.shape)
    if (pairs[:, 0] == pairs[:, 1]).any():
        raise InputError("a condition is paired with itself: give pairs of different conditions")
    if len(pairs) < least or len(ids) < LEAST_CONDITIONS:
        raise InputError(
            f"{len(pairs)} pairs of {len(ids)} conditions: give at least {least} pairs (least_pairs) of at least "
            f"{LEAST_CONDITIONS} conditions"
        )
    return pairs, ids


def _rows(features: Any, ids: np.ndarray, name: str) -> np.ndarray:
    """Features (conditions, numbers) of the named conditions."""
    if not isinstance(features, xr.DataArray) or "image" not in features.dims or features.ndim < 2:
        got = features.dims if isinstance(features, xr.DataArray) else type(features).__name__
        raise InputError(f"{name}: got {got}: give a DataArray with dim image and others")
    place = {image: i for i, image in enumerate(_ids(features))}
    unknown = [image for image in ids if image not in place]
    if unknown:
        raise InputError(
            f"{name} has no image {str(unknown[0])!r}, which is in a pair: give every condition of the pairs"
        )
    chosen = features.transpose("image", ...).isel(image=[place[image] for image in ids])
    values = np.asarray(chosen.values, np.float64).reshape(len(ids), -1)
    if not np.isfinite(values).all():
        raise InputError(f"{name} holds NaN or infinite values: leave those conditions out of the pairs")
    return values


def main(arguments: list[str] | None = None) -> int:
    """Run from the shell: ``python -m analyses.densities samples.nc -o out/``."""

    def options(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--measure", choices=list(MEASURES), default="energy", help="default: energy")
        parser.add_argument("--n-pairs", type=int, help="pairs of conditions (default: all)")
        parser.add_argument("--least-pairs", type=int, default=200, help="refuse fewer (default: 200)")
        parser.add_argument("--permutations", type=int, default=999, help="of conditions (default: 999)")
        parser.add_argument("--resamples", type=int, default=1000, help="of the bootstrap (default: 1000)")
        parser.add_argument("--level", type=float, default=0.95, help="coverage of intervals (default: 0.95)")
        parser.add_argument("--seed", type=int, default=0, help="of everything drawn (default: 0)")

    return ground.legacy_run(
        analyse,
        plot,
        name="densities",
        description="Whether distances in φ follow distances between the conditional densities.",
        options=options,
        arguments=arguments,
    )


if __name__ == "__main__":
    sys.exit(main())
