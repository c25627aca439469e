"""Whether a factor lies otherwise in one representation than in another, on the same images."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from analyses.factors.analyse import FINDINGS, MEANS, RATIOS
from analyses.factors.kernels import r_squared
from analyses.ground import Estimate, Findings, Variable, check_numbers, interval, resampled_means, resampling
from probekit import labels
from probekit.errors import InputError

__all__ = ["DIFFERENCES", "compare"]

PAIR = ("sigma", "block", "other_block")
TEXTS = {"r2": "R² of the factor", "same_share": "share of nearest images of the same value"}
MIRRORED = {"r2_size": "R² of the distance from `mirror`", "mirror_share": "share of nearest images of mirrored value"}
# What both must have been asked alike.
ASKED = ("factor", "scale", "mirror")
DIFFERENCES = Findings(
    "factors.compare",
    {
        name: Variable(
            PAIR, f"{text}, first less second", interval="images resampled, the same of both", optional=name in MIRRORED
        )
        for name, text in {**TEXTS, **MIRRORED}.items()
    },
    coords={"block": "block of the first, by its tap", "other_block": "block of the second"},
)


@DIFFERENCES.described
def compare(
    first: xr.Dataset, second: xr.Dataset, *, resamples: int = 1000, level: float = 0.95, seed: int = 0
) -> xr.Dataset:
    """Whether a factor lies otherwise in one representation than in another, on the same images.

    Parameters
    ----------
    first, second
        What `analyse` returned for both, of the same factor and images, these in any order. Noise levels must be the
        same, unless `second` has one only, which is then compared with all.
    resamples, level, seed
        Of the bootstrap over images.

    Returns
    -------
    Dataset
        {findings}

    Raises
    ------
    InputError
        If these are no findings of `analyse`, or their images, these images' values, or noise levels differ.

    Examples
    --------
    >>> from analyses.factors import analyse
    >>> from probekit.synthetic.subspaces import union_of_subspaces
    >>> data, _ = union_of_subspaces(60, n_channels=30, n_subspaces=3)
    >>> findings = analyse(data.assign_coords(aspect=("image", np.resize([0.5, 1.0, 2.0], 60))), factor="aspect")
    >>> compare(findings, findings).r2.item()
    0.0
    """
    resamples, level, seed = resampling(resamples, level, seed)
    own, other = _checked("first", first), _checked("second", second)
    _check_alike(own, other)
    values: dict[str, Any] = {}
    for name, of in {**MEANS, **RATIOS}.items():
        needed = (of,) if isinstance(of, str) else of
        if not all(part in found for part in needed for found in (own, other)):
            continue
        whole, resampled = zip(*(_estimated(found, needed, resamples, seed) for found in (own, other)), strict=True)
        difference = resampled[0][..., None] - resampled[1][..., None, :]
        low, high = interval(difference, level, units=own.sizes["image"])
        values[name] = Estimate(whole[0][..., None] - whole[1][..., None, :], low, high)
    coords = {"other_block": other["block"].values}
    return DIFFERENCES.label(values, own, coords=coords, level=level, resamples=resamples, analysis_seed=seed)


def _estimated(found: xr.Dataset, needed: tuple[str, ...], resamples: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A mean, or R² of two means, over all images (sigma, block), and over resamples (resample, sigma, block)."""
    place = ("image", "sigma", "block")
    each = found[needed[0]].transpose(*place).values.astype(float)
    mean, means = np.nanmean(each, axis=0), resampled_means(each, resamples=resamples, seed=seed)
    if len(needed) == 1:
        return mean, means
    spread = found[needed[1]].values[:, None, None]
    return r_squared(mean, spread.mean(axis=0)), r_squared(
        means, resampled_means(spread, resamples=resamples, seed=seed)
    )


def _checked(name: str, given: xr.Dataset) -> xr.Dataset:
    """What was found of each image, in memory and in the order of ids, so that the order of images changes nothing."""
    needed = ("error", "spread", "same", "group", "value")
    try:
        given = FINDINGS.taken(
            given, *needed[:-1], dims=("image", "sigma", "block", "value"), attrs=("factor", "scale")
        )
        check_numbers(given, "value")
    except InputError as error:
        raise InputError(f"{name}: {error}") from error
    labels.check_ids(given, of=name)
    names = [part for of in (*MEANS.values(), *RATIOS.values()) for part in ((of,) if isinstance(of, str) else of)]
    kept = [n for n in dict.fromkeys((*needed[:-1], *names)) if n in given]
    found = given[kept].assign_coords(value=given["value"]).isel(image=labels.by_id(given)).compute()
    if int(found["group"].max()) >= found.sizes["value"]:
        raise InputError(f"{name} counts images to values that it does not have: give what factors.analyse returned")
    return found


def _check_alike(first: xr.Dataset, second: xr.Dataset) -> None:
    ids, others = (labels.strings(found["image"].values) for found in (first, second))
    if not np.array_equal(ids, others):
        raise InputError("the two are of different images: analyse the same, so that they can be paired")
    differ = [name for name in ASKED if str(first.attrs.get(name)) != str(second.attrs.get(name))]
    own, other = (found["value"].values[found["group"].values] for found in (first, second))
    if differ or not np.allclose(own, other):
        what = ", ".join(differ) or "values of the factor"
        raise InputError(f"the two differ in {what}: analyse both with the same factor, scale, mirror and bins")
    if second.sizes["sigma"] > 1 and not np.array_equal(first["sigma"].values, second["sigma"].values):
        raise InputError(f"noise levels {first['sigma'].values} and {second['sigma'].values} differ: select the same")
