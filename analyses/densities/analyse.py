"""Whether distances between representations follow distances between the densities that they condition."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict, Unpack

import numpy as np
import xarray as xr

from analyses.densities.distances import ids_of, over_pairs
from analyses.densities.kernels_ranks import feature_distances, permutation_p, resampled_correlations, spearman
from analyses.ground import TAKEN_OFF, Estimate, Findings, Variable, check_options, interval, repeats, resampling
from probekit import checks, labels
from probekit.errors import InputError
from probekit.machine.warned import warned

__all__ = ["FINDINGS", "analyse", "correlate"]

LEAST_CONDITIONS = 8
RESAMPLED = "conditions resampled"
FINDINGS = Findings(
    "densities",
    {
        "correlation": Variable(
            ("feature",), "Spearman's correlation with distances between densities", interval=RESAMPLED
        ),
        "p": Variable(("feature",), "one-sided p-value against no relation, conditions permuted; never 0"),
        "difference": Variable((), "correlation of φ less that of pixels, paired", interval=RESAMPLED, optional=True),
        "density_distance": Variable(("pair",), "distance between conditional laws", "intensity"),
        "feature_distance": Variable(("feature", "pair"), "Euclidean distance", "activation"),
    },
    coords={"feature": "what is compared with the densities: φ, or the conditioning images"},
)


@FINDINGS.described
def correlate(
    density: xr.DataArray,
    phi: xr.DataArray | xr.Dataset,
    *,
    pixels: xr.DataArray | None = None,
    noise_free: bool = False,
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
        Dim `image`, whose ids include those of the conditions, and others, e.g. `channel`; or a Dataset of ``phi`` and,
        of the same dims, ``phi_se``, its standard error over draws.
    pixels
        The conditioning images, with dim `image` and others; compared with in the same way.
    noise_free
        Take phi_se² off squared distances in φ, which are too large by the noise of both conditions: unbiased, and
        their signed roots below 0 where chance has it. Noise that differs between conditions orders pairs wrongly; the
        permutation p-value is approximate then, since such conditions are not exchangeable.
    least_pairs
        Fewer pairs than this are refused; the paper's claim is judged by 200.
    permutations, resamples, level, seed
        Number of permutations and of resamples, ≥ 100; coverage of the intervals; seed.

    Returns
    -------
    Dataset
        {findings}

        `feature` is "phi" and, with pixels, "pixels"; `difference` needs both. NaN, with a warning, where all pairs
        are equally far apart.

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
    resamples, level, seed = resampling(resamples, level, seed)
    permutations = repeats("permutations", permutations, least=100)
    least_pairs = checks.whole("least_pairs", least_pairs, least=1)
    pairs, ids = _checked_pairs(density, least_pairs)
    target = np.asarray(density.values, float)
    of_phi, errors = _phi(phi, checks.flag("noise_free", noise_free))
    given = {"phi": of_phi} | ({} if pixels is None else {"pixels": pixels})
    features = {name: _features(one, ids, name) for name, one in given.items()}
    noise: dict[str, np.ndarray] = {}
    if errors is not None:
        noise["phi"] = _noise(errors, of_phi, ids)
    found = [feature_distances(x, pairs, noise.get(name)) for name, x in features.items()]
    _warn_of_constants({**dict(zip(features, found, strict=True)), "density": target})
    value = spearman(np.stack(found), target)
    drawn = resampled_correlations(found, target, pairs, resamples=resamples, seed=seed)
    values: dict[str, Any] = {
        "correlation": Estimate(value, *interval(drawn, level, units=len(ids))),
        "p": [
            permutation_p(x, target, pairs, permutations=permutations, seed=seed, noise=noise.get(name))
            for name, x in features.items()
        ],
        "density_distance": target,
        "feature_distance": np.stack(found),
    }
    if pixels is not None:
        ends = interval(drawn[:, 0] - drawn[:, 1], level, units=len(ids))
        values["difference"] = Estimate(value[0] - value[1], *ends)
    return FINDINGS.label(
        values,
        xr.Dataset(coords=density.coords),
        coords={"feature": list(features)},
        measure=str(density.attrs.get("measure", "")),
        conditions=len(ids),
        noise_free=TAKEN_OFF if noise else None,
        permutations=permutations,
        resamples=resamples,
        level=level,
        analysis_seed=seed,
    )


class Options(TypedDict, total=False):
    """Options of `correlate` that `analyse` passes on."""

    noise_free: bool
    least_pairs: int
    permutations: int
    resamples: int
    level: float


@FINDINGS.described
def analyse(
    data: xr.Dataset,
    *,
    measure: str = "energy",
    n_pairs: int | None = None,
    projections: int = 200,
    seed: int = 0,
    **options: Unpack[Options],
) -> xr.Dataset:
    """Distances between sampled conditional laws, and their correlation with distances in φ and in pixels.

    Parameters
    ----------
    data
        ``samples`` (image, sample, band, row, col); ``phi`` (image, ...), what each was conditioned on;
        ``phi_se``, of the same dims, to take noise off; ``condition`` (image, band, row, col), the conditioning images,
        if pixels are to be compared with. What `analyses.sampling.reconstruct` returns has the first and the last:
        ``samples.assign(phi=tap(…).phi)``.
    measure, n_pairs, projections
        As for `over_pairs`.
    seed
        Of both.
    options
        As for `correlate`: noise_free, least_pairs, permutations, resamples, level.

    Returns
    -------
    Dataset
        {findings}

        See `correlate`.

    Raises
    ------
    InputError
        If a variable is missing; as for `over_pairs` and `correlate`.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> phi = rng.normal(size=(22, 3))
    >>> samples = phi[:, None] + 0.1 * rng.normal(size=(22, 20, 3))
    >>> data = xr.Dataset({"samples": (("image", "sample", "col"), samples), "phi": (("image", "channel"), phi)})
    >>> bool(analyse(data).correlation > 0.9)
    True
    """
    missing = [name for name in ("samples", "phi") if not isinstance(data, xr.Dataset) or name not in data]
    if missing:
        raise InputError(
            f"the Dataset has no {' and no '.join(missing)}: give samples and the φ they are conditioned on"
        )
    check_options("analyse", options, Options.__annotations__)
    # What cannot be compared is said before anything is measured.
    _phi(data, checks.flag("noise_free", options.get("noise_free", False)))
    density = over_pairs(data["samples"], measure=measure, n_pairs=n_pairs, projections=projections, seed=seed)
    found = correlate(
        density,
        data[[name for name in ("phi", "phi_se") if name in data]],
        pixels=data.get("condition"),
        seed=seed,
        **options,
    )
    return found.assign_attrs({**data.attrs, **found.attrs, "samples": data.sizes["sample"]})


def _warn_of_constants(distances: Mapping[str, np.ndarray]) -> None:
    same = [name for name, d in distances.items() if np.ptp(d) == 0]
    if same:
        warned(
            f"all pairs are equally far apart in {', '.join(same)}: there are no ranks to correlate, and what needs "
            "them is NaN",
        )


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


def _phi(given: Any, noise_free: bool) -> tuple[Any, xr.DataArray | None]:
    """φ, and its standard errors where noise is to be taken off."""
    if not isinstance(given, xr.Dataset):
        phi, errors = given, None
    elif "phi" in given:
        phi, errors = given["phi"], given.get("phi_se")
    else:
        raise InputError("phi is a Dataset without phi: give what a tap returns, or one DataArray")
    if not noise_free:
        return phi, None
    how = "measure with draws=2 or more and give a Dataset of phi and phi_se, or noise_free=False"
    if errors is None:
        raise InputError(f"noise_free=True needs phi_se, the standard error of φ over draws, which is not there: {how}")
    if isinstance(phi, xr.DataArray) and dict(errors.sizes) != dict(phi.sizes):
        raise InputError(f"phi_se has sizes {dict(errors.sizes)} and phi {dict(phi.sizes)}: give both of the same dims")
    if errors.dtype.kind not in "fiu" or not (np.isfinite(errors.values) & (errors.values >= 0)).all():
        raise InputError(f"noise_free=True needs phi_se ≥ 0, and it is NaN, as of one draw, or no such number: {how}")
    return phi, errors


def _noise(errors: xr.DataArray, phi: xr.DataArray, ids: np.ndarray) -> np.ndarray:
    """Expected squared length (conditions) of the error of each condition's φ."""
    return np.square(_features(errors.transpose(*phi.dims), ids, "phi_se")).sum(axis=1)


def _features(given: Any, ids: np.ndarray, name: str) -> np.ndarray:
    """Features (conditions, numbers) of the named conditions."""
    if not isinstance(given, xr.DataArray) or "image" not in given.dims or given.ndim < 2:
        got = given.dims if isinstance(given, xr.DataArray) else type(given).__name__
        raise InputError(f"{name}: got {got}: give a DataArray with dim image and others")
    place = {image: i for i, image in enumerate(ids_of(given))}
    unknown = [image for image in ids if image not in place]
    if unknown:
        raise InputError(
            f"{name} has no image {str(unknown[0])!r}, which is in a pair: give every condition of the pairs"
        )
    of_conditions = given.transpose("image", ...).isel(image=[place[image] for image in ids])
    values = np.asarray(of_conditions.values, np.float64).reshape(len(ids), -1)
    if not np.isfinite(values).all():
        raise InputError(f"{name} holds NaN or infinite values: leave those conditions out of the pairs")
    return values
