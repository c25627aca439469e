"""φ as far as it is a function of descriptors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from analyses.descriptors.kernels_prediction import crossfitted, folds_of, solved
from analyses.ground import Findings, Variable, check_numbers, real_numbers, repeats, sites, varies
from probekit import checks, labels
from probekit.errors import InputError

__all__ = ["PREDICTED", "named", "predicted", "prepared"]

LEAST = 20
# Of a descriptor: squares of larger numbers, summed over images, may overflow.
LARGEST = 1e100
WANTED = "a DataArray (image, feature), or several by name"
PREDICTED = Findings(
    "descriptors.predicted",
    {
        "phi": Variable(("image", "sigma", "channel"), "φ predicted from descriptors of the image", "activation"),
        "explained": Variable(("sigma", "channel"), "share of φ's variance over images that is predicted"),
    },
)


@PREDICTED.described
def predicted(
    data: xr.Dataset,
    descriptors: xr.DataArray | Mapping[str, xr.DataArray],
    *,
    folds: int = 5,
    clusters: str | None = None,
    seed: int = 0,
) -> xr.Dataset:
    """Predict φ of each image from descriptors of it, by images of other folds.

    Kernel ridge regression with a Gaussian kernel of descriptors, each feature in units of its standard deviation, each
    descriptor of equal weight; width and penalty for each block and noise level by the error of the predictions.

    Were φ a function of the descriptors alone, it would be related to anything else nearly as its prediction is, which
    is smoother: beside φ in `semantics.correlate(…, controls={"gist": predicted(…)})` it says how much. Whether
    anything is left is asked by `beyond`.

    Parameters
    ----------
    data
        phi (image, sigma, channel).
    descriptors
        One, or several by name, (image, feature), of the same images in any order.
    folds
        Parts of the images, each predicted from the others.
    clusters
        Coordinate along `image` whose groups stay in one fold.
    seed
        Of the folds.

    Returns
    -------
    Dataset
        {findings}

        With the coordinates of the data.

    Raises
    ------
    InputError
        If there are fewer than 20 images, φ or a descriptor is missing, not finite, or of other images, or an option is
        out of its range.

    Examples
    --------
    >>> predicted(data, gist(images)).explained  # doctest: +SKIP
    """
    features, parts = prepared(data, descriptors, folds, clusters, seed)
    phi = data["phi"].transpose("image", "sigma", "channel").values
    places = list(sites(data, "predictions"))
    targets = [phi[:, site.level][:, site.channels] for site in places]
    made = np.full(phi.shape, np.nan)
    for site, one in zip(places, crossfitted(solved(features, parts), targets), strict=True):
        made[:, site.level, site.channels] = one.predicted
    spread = phi.var(axis=0)
    left = ((phi - made) ** 2).mean(axis=0)
    explained = 1 - np.divide(left, spread, out=np.full(spread.shape, np.nan), where=varies(phi))
    return PREDICTED.label(
        {"phi": made, "explained": explained},
        data,
        descriptors=", ".join(named(descriptors)),
        folds=folds,
        clusters=clusters or "each image",
        analysis_seed=seed,
    )


def prepared(
    data: xr.Dataset, descriptors: Any, folds: int, clusters: str | None, seed: int
) -> tuple[np.ndarray, list[tuple[np.ndarray, np.ndarray]]]:
    """Features of the images, and the folds."""
    labels.check(data, "phi")
    check_numbers(data, "phi")
    count = data.sizes["image"]
    if count < LEAST:
        raise InputError(f"phi is of {count} images: give {LEAST} at least, to predict some from others")
    folds, seed = repeats("folds", folds, least=2), checks.seeded(seed)
    if folds > count // 4:
        raise InputError(f"folds={folds} of {count} images: give {count // 4} at most")
    each = named(descriptors).items()
    features = np.concatenate([_standardised(name, one, data) for name, one in each], axis=1)
    groups = None if clusters is None else labels.classes(data, clusters, least=folds)
    # By ids, so that the order of images changes nothing.
    order = labels.by_id(data)
    parts = folds_of(count, folds, seed, None if groups is None else groups[order])
    return features, [(order[fitted], order[left]) for fitted, left in parts]


def named(descriptors: Any) -> dict[str, Any]:
    """Descriptors by name."""
    several = {"descriptor": descriptors} if isinstance(descriptors, xr.DataArray) else descriptors
    found = checks.mapping("descriptors", several, WANTED)
    if not found:
        raise InputError(f"descriptors is empty: give {WANTED}")
    return found


def _standardised(name: str, one: Any, data: xr.Dataset) -> np.ndarray:
    """Features of the data's images in its order, in units of their deviation, each descriptor of equal weight."""
    if not isinstance(one, xr.DataArray) or one.ndim != 2 or "image" not in one.dims or "image" not in one.coords:
        raise InputError(f"{checks.given(f'descriptors[{name!r}]', one)}: give {WANTED}")
    labels.check_ids(one, of=f"descriptors[{name!r}]")
    at = {image: i for i, image in enumerate(labels.strings(one["image"].values))}
    ids = labels.strings(data["image"].values)
    lacking = [image for image in ids if image not in at]
    if lacking:
        raise InputError(f"descriptors[{name!r}] lacks {len(lacking)} images, such as {lacking[0]}: give it of all")
    values = one.transpose("image", ...).values[[at[image] for image in ids]]
    values = real_numbers(f"descriptors[{name!r}]", values)
    if not np.isfinite(values).all():
        raise InputError(f"descriptors[{name!r}] holds NaN or infinite numbers: give finite ones")
    if (largest := np.abs(values).max(initial=0)) > LARGEST:
        raise InputError(
            f"descriptors[{name!r}] holds numbers as large as {largest:.3g}: give at most {LARGEST:g}, in other units"
        )
    kept = varies(values)
    if not kept.any():
        raise InputError(f"descriptors[{name!r}] is the same for all images: leave it out")
    scaled = (values[:, kept] - values[:, kept].mean(axis=0)) / values[:, kept].std(axis=0)
    return scaled / np.sqrt(kept.sum())
