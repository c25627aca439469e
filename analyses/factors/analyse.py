"""How a numeric factor of images lies in φ: correlations of mean φ over its values, how well it is read, neighbours."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from analyses.factors import kernels
from analyses.factors.groups import SCALES, Groups, grouped, values_of
from analyses.ground import (
    Estimate,
    Findings,
    Variable,
    check_measured,
    estimated_mean,
    interval,
    resampled_means,
    resampling,
    sites,
)
from probekit import checks, labels
from probekit.errors import InputError

__all__ = ["FINDINGS", "analyse", "estimates"]

PLACE = ("sigma", "block")
MATRIX = (*PLACE, "value", "other_value")
RESAMPLED = "images resampled, fits taken as they are"
# Each number that is estimated, and what of every image it is made of: a mean, or 1 less a ratio of means.
MEANS = {"same_share": "same", "mirror_share": "mirrored"}
RATIOS = {"r2": ("error", "spread"), "r2_size": ("error_size", "spread_size")}
FINDINGS = Findings(
    "factors",
    {
        "correlation": Variable(MATRIX, "correlation over channels of the mean φ of images of two values"),
        "centred_correlation": Variable(MATRIX, "cosine between the same less the mean over all values"),
        "nearest": Variable(MATRIX, "share of the images of a value whose nearest other image is of another value"),
        "r2": Variable(PLACE, "R² of the factor as ridge regression reads it, cross-validated", interval=RESAMPLED),
        "same_share": Variable(
            PLACE, "share of images whose nearest other image is of the same value", interval=RESAMPLED
        ),
        "same_chance": Variable((), "the same if neighbours had nothing to do with values"),
        "r2_size": Variable(PLACE, "R² of the factor's distance from `mirror`", interval=RESAMPLED, optional=True),
        "mirror_share": Variable(
            PLACE,
            "share of images whose nearest other image is of the mirrored value",
            interval=RESAMPLED,
            optional=True,
        ),
        "mirror_chance": Variable((), "the same if neighbours had nothing to do with values", optional=True),
        "group": Variable(("image",), "which of the values the image is counted to", holds="counts"),
        "error": Variable(("image", *PLACE), "squared error of the prediction, on the scale"),
        "spread": Variable(("image",), "squared error of the mean of the images fitted on"),
        "same": Variable(("image", *PLACE), "whether the nearest other image is of the same value", holds="flags"),
        "error_size": Variable(("image", *PLACE), "squared error for the distance from `mirror`", optional=True),
        "spread_size": Variable(("image",), "squared error of its mean", optional=True),
        "mirrored": Variable(
            ("image", *PLACE),
            "1 where the nearest other image is of the mirrored value, NaN where there is no such value",
            optional=True,
        ),
    },
    coords={"value": "value of the factor", "other_value": "value of the factor", "block": "block, by its tap"},
)


@FINDINGS.described
def analyse(
    data: xr.Dataset,
    *,
    factor: str = "label",
    scale: str = "log",
    mirror: float | None = None,
    bins: int | None = None,
    folds: int = 5,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> xr.Dataset:
    """Look for one numeric factor of the images, such as the aspect of ovals, in φ of every tap and noise level.

    Correlations are of means over images, and noise that is left in these draws them towards 0, or, plain ones, towards
    what all images share. Distances between images are Euclidean, in φ as it is.

    Parameters
    ----------
    data
        phi (image, sigma, channel), as a tap returns it.
    factor
        Coordinate along `image` with the factor's values: numbers, or texts of numbers such as labels.
    scale
        "log", where values are positive and ratios matter, or "linear".
    mirror
        A value about which others are mirror images, such as 1 for aspects a and 1/a; for distances from it and
        confusions of mirror images. Some values must be of both sides.
    bins
        Number of groups, of equally many images, that values are sorted into where each occurs a few times only; a
        group stands at its mean on the scale. By default every value is a group.
    folds
        Of the cross-validation, at least 2.
    resamples, level, seed
        Of the bootstrap over images, its coverage, and the seed of folds and bootstrap.

    Returns
    -------
    Dataset
        {findings}

    Raises
    ------
    InputError
        If the factor is no coordinate of numbers, has fewer than two values, too many, or one that a single image has;
        if values do not suit the scale or the mirror, or an option is out of its range.

    Examples
    --------
    >>> from probekit.synthetic.subspaces import union_of_subspaces
    >>> data, _ = union_of_subspaces(60, n_channels=30, n_subspaces=3)
    >>> values = np.resize([0.5, 1.0, 2.0], 60)
    >>> data = data.assign_coords(aspect=("image", values))
    >>> data["phi"] = data.phi + xr.DataArray(np.log(values), dims="image")
    >>> findings = analyse(data, factor="aspect", mirror=1)
    >>> dict(findings.correlation.sizes)["value"], float(findings.mirror_chance.round(3))
    (3, 0.339)
    """
    check_measured(data)
    labels.check_ids(data)
    resamples, level, seed = resampling(resamples, level, seed)
    scale = checks.choice("scale", scale, SCALES)
    folds = checks.whole("folds", folds, least=2)
    order = labels.by_id(data)
    sorted_ = data[["phi"]].isel(image=order).compute()
    values = values_of(sorted_, factor)
    found = grouped(values, scale=scale, factor=factor, bins=bins, mirror=mirror)
    if folds > len(values):
        raise InputError(f"folds={folds}: give at most as many as images, {len(values)}")
    per_image = _measured(sorted_, found, folds, seed)
    matrices = {name: per_image.pop(name) for name in ("correlation", "centred_correlation", "nearest")}
    options = {"resamples": resamples, "level": level, "seed": seed}
    results: dict[str, Any] = {**matrices, **per_image, **estimates(per_image, **options), **found.chances()}
    findings = FINDINGS.label(
        {**results, "group": found.group},
        sorted_,
        coords={"value": found.values, "other_value": found.values, "block": labels.blocks(sorted_)},
        factor=factor,
        scale=scale,
        mirror=None if mirror is None else float(checks.unwrapped(mirror)),
        folds=folds,
        level=level,
        resamples=resamples,
        analysis_seed=seed,
    )
    return findings.isel(image=np.argsort(order))


def estimates(per_image: dict[str, np.ndarray], *, resamples: int, level: float, seed: int) -> dict[str, Estimate]:
    """R² and shares with their intervals, from what was found of each image (image, ...)."""
    made = {
        name: estimated_mean(per_image[of], resamples=resamples, level=level, seed=seed)
        for name, of in MEANS.items()
        if of in per_image
    }
    for name, (of, against) in RATIOS.items():
        if of not in per_image:
            continue
        error, spread = per_image[of], per_image[against][:, None, None]
        drawn = kernels.r_squared(*(resampled_means(each, resamples=resamples, seed=seed) for each in (error, spread)))
        low, high = interval(drawn, level, units=len(error))
        made[name] = Estimate(kernels.r_squared(error.mean(axis=0), spread.mean(axis=0)), low, high)
    return made


def _measured(data: xr.Dataset, groups: Groups, folds: int, seed: int) -> dict[str, np.ndarray]:
    """What is found at each noise level and tap, by variable."""
    n, place, k = len(groups.group), (data.sizes["sigma"], len(labels.blocks(data))), len(groups.values)
    targets = [groups.places]
    if groups.middle is not None:
        targets.append(np.abs(groups.places - groups.middle))
    fold = kernels.fold_numbers(n, folds, seed)
    errors = np.empty((len(targets), n, *place))
    made = {name: np.empty((*place, k, k)) for name in ("correlation", "centred_correlation", "nearest")}
    same, mirrored = np.empty((n, *place), bool), np.empty((n, *place))
    spreads = np.empty((n, len(targets)))
    partner = groups.partner[groups.group]
    for site in sites(data, "reads the factor"):
        x = data["phi"].values[:, site.level, site.channels].astype(np.float64)
        at = (..., site.level, site.block)
        each = kernels.means(x, groups.group, k)
        here = site.level, site.block
        made["correlation"][here] = kernels.correlations(each)
        made["centred_correlation"][here] = kernels.cosines(each - each.mean(axis=0), largest=np.abs(each).max())
        found, spreads = kernels.read_out(x, np.stack(targets, axis=1), fold)
        errors[at] = found.T
        near = groups.group[kernels.nearest_others(x)]
        counts = np.zeros((k, k))
        np.add.at(counts, (groups.group, near), 1)
        made["nearest"][here] = counts / counts.sum(axis=1, keepdims=True)
        same[at] = near == groups.group
        mirrored[at] = np.where(partner < 0, np.nan, near == partner)
    made |= {"error": errors[0], "spread": spreads[:, 0], "same": same}
    if groups.middle is not None:
        made |= {"error_size": errors[1], "spread_size": spreads[:, 1], "mirrored": mirrored}
    return made
