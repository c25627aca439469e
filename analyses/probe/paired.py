"""Whether one representation is read better than another, image by image."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from scipy.stats import binomtest

from analyses.ground import Findings, Variable, estimated_mean, resampling
from analyses.probe.analyse import FINDINGS, PER_IMAGE
from probekit import labels
from probekit.errors import InputError

__all__ = ["DIFFERENCES", "compare"]

PAIR = ("sigma", "block", "other_block")
RESAMPLED = "test images resampled"
DIFFERENCES = Findings(
    "probe.compare",
    {
        **{
            name: Variable(PAIR, f"difference of {name}, first less second", units, interval=RESAMPLED)
            for name, units in (("accuracy", "1"), ("top_accuracy", "1"), ("log_loss", "nat"))
        },
        "only_first": Variable(PAIR, "images that only the first got right", "images"),
        "only_second": Variable(PAIR, "images that only the second got right", "images"),
        "p_value": Variable(PAIR, "McNemar's exact p-value, two-sided, of both being equally probable"),
    },
    coords={"other_block": "block of the second"},
)


@DIFFERENCES.described
def compare(
    first: xr.Dataset, second: xr.Dataset, *, resamples: int = 1000, level: float = 0.95, seed: int = 0
) -> xr.Dataset:
    """Whether one representation is read better than another, on the same test images.

    Differences are paired: bootstrap over test images, and McNemar's exact test of the images that only one got right.
    The classifiers are taken as they are; that other training images would give others is left out.

    Parameters
    ----------
    first, second
        What `analyse` returned for both, on the same test images in any order. Noise levels must be the same, unless
        `second` has one only, which is then compared with all.
    resamples, level, seed
        Of the bootstrap.

    Returns
    -------
    Dataset
        {findings}

    Raises
    ------
    InputError
        If these are no findings of `analyse`, or their test images, these images' classes or noise levels differ.

    Examples
    --------
    >>> from analyses.probe import analyse
    >>> from probekit.synthetic.subspaces import union_of_subspaces
    >>> data, truth = union_of_subspaces(200, n_channels=30, n_subspaces=3)
    >>> data = data.assign_coords(label=("image", truth.subspace.values.astype(str)))
    >>> findings = analyse(data.isel(image=slice(100)), data.isel(image=slice(100, None)), penalties=[0.01])
    >>> compare(findings, findings).p_value.item()
    1.0
    """
    resamples, level, seed = resampling(resamples, level, seed)
    first, second = _answers("first", first), _answers("second", second)
    if not np.array_equal(labels.strings(first["image"].values), labels.strings(second["image"].values)):
        raise InputError("the two were tested on different images: test both on the same, so that they can be paired")
    _check_same_classes(first, second)
    if second.sizes["sigma"] > 1 and not np.array_equal(first["sigma"].values, second["sigma"].values):
        raise InputError(f"noise levels {first['sigma'].values} and {second['sigma'].values} differ: select the same")
    # One noise level of the second stands beside all of the first.
    difference = {
        name: _values(first, of)[..., None] - _values(second, of)[:, :, None] for name, of in PER_IMAGE.items()
    }
    options = {"resamples": resamples, "level": level, "seed": seed}
    values: dict[str, Any] = {
        name: estimated_mean(each, span=None if name == "log_loss" else (-1, 1), **options)
        for name, each in difference.items()
    }
    alone = [(sign * difference["accuracy"] > 0).sum(axis=0) for sign in (1, -1)]
    values |= {"only_first": alone[0], "only_second": alone[1], "p_value": np.vectorize(_mcnemar)(*alone)}
    coords = {"other_block": second["block"].values}
    return DIFFERENCES.label(values, first, coords=coords, level=level, resamples=resamples, analysis_seed=seed)


def _answers(name: str, given: xr.Dataset) -> xr.Dataset:
    """What was found of each image, in memory and in the order of ids, so that the order of images changes nothing."""
    try:
        given = FINDINGS.taken(given, *PER_IMAGE.values())
    except InputError as error:
        raise InputError(f"{name}: {error}") from error
    labels.check_ids(given, of=name)
    return given[list(PER_IMAGE.values())].isel(image=labels.by_id(given)).compute()


def _values(answers: xr.Dataset, name: str) -> np.ndarray:
    return answers[name].transpose("image", "sigma", "block").values.astype(float)


def _check_same_classes(first: xr.Dataset, second: xr.Dataset) -> None:
    names = [given.attrs.get("label") for given in (first, second)]
    if any(not isinstance(n, str) or n not in d.coords for n, d in zip(names, (first, second), strict=True)):
        return
    own, other = (labels.strings(d[n].values) for n, d in zip(names, (first, second), strict=True))
    differ = np.flatnonzero(own != other)
    if len(differ):
        i = differ[0]
        raise InputError(
            f"classes of {len(differ)} images differ between the two, such as {first['image'].values[i]}, "
            f"{str(own[i])!r} in the first and {str(other[i])!r} in the second: compare both with the same classes"
        )


def _mcnemar(first: int, second: int) -> float:
    return float(binomtest(int(first), int(first + second)).pvalue) if first + second else 1.0
