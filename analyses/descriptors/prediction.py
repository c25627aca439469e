"""φ as far as it is a function of descriptors: what of a relation to φ is beyond theirs is told by the difference."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from analyses.descriptors.kernels_classes import probabilities
from analyses.descriptors.kernels_prediction import Crossfit, crossfitted, error, flipped, folds_of, shared
from analyses.ground import (
    Estimate,
    Findings,
    Variable,
    beside,
    check_numbers,
    jackknifed,
    jackknifed_correlation,
    real_numbers,
    repeats,
    resampling,
    sites,
    varies,
)
from probekit import checks, labels
from probekit.errors import InputError

__all__ = ["BEYOND", "PREDICTED", "beyond", "predicted"]

LEAST, LEAST_GROUPS, LEAST_OF_CLASS = 20, 10, 3
# Of a descriptor: squares of larger numbers, summed over images, may overflow.
LARGEST = 1e100
# Directions that descriptors vary in, as a share of images, beyond which a function of theirs is not learned.
MANY = 0.35
WANTED = "a DataArray (image, feature), or several by name"
PREDICTED = Findings(
    "descriptors.predicted",
    {
        "phi": Variable(("image", "sigma", "channel"), "φ predicted from descriptors of the image", "activation"),
        "explained": Variable(("sigma", "channel"), "share of φ's variance over images that is predicted"),
    },
)
BEYOND = Findings(
    "descriptors.beyond",
    {
        "correlation": Variable(
            ("sigma", "block"),
            "correlation over pairs of inner products of what descriptors leave of φ and of the class",
            interval="jackknife over images",
        ),
        "p_value": Variable(
            ("sigma", "block"), "p-value of no covariance: the larger of random signs' and of the interval's"
        ),
        "class_explained": Variable((), "share of the class's variance over images that descriptors predict"),
        "difference": Variable(
            ("sigma", "block"),
            "correlation less that of the other φ",
            interval="paired jackknife over images",
            optional=True,
        ),
    },
    coords={"block": "block, by its tap"},
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
    features, parts = _prepared(data, descriptors, folds, clusters, seed)
    phi = data["phi"].transpose("image", "sigma", "channel").values
    places = list(sites(data, "predictions"))
    targets = [phi[:, site.level][:, site.channels] for site in places]
    made = np.full(phi.shape, np.nan)
    for site, one in zip(places, crossfitted(features, targets, parts), strict=True):
        made[:, site.level, site.channels] = one.predicted
    spread = phi.var(axis=0)
    left = ((phi - made) ** 2).mean(axis=0)
    explained = 1 - np.divide(left, spread, out=np.full(spread.shape, np.nan), where=varies(phi))
    return PREDICTED.label(
        {"phi": made, "explained": explained},
        data,
        descriptors=", ".join(_named(descriptors)),
        folds=folds,
        clusters=clusters or "each image",
        analysis_seed=seed,
    )


@BEYOND.described
def beyond(
    data: xr.Dataset,
    descriptors: xr.DataArray | Mapping[str, xr.DataArray],
    *,
    label: str = "label",
    against: xr.Dataset | None = None,
    folds: int = 5,
    clusters: str | None = None,
    permutations: int = 999,
    level: float = 0.95,
    seed: int = 0,
) -> xr.Dataset:
    """Whether φ tells classes beyond what descriptors tell: what these leave of φ against what they leave of the class.

    φ and the classes, an indicator each, are predicted from the descriptors by images of other folds (`predicted`;
    classes by logistic regression too, where it errs less); the remainders are compared over pairs of images by their
    inner products, less what two images have in common by being predicted from the same others. A class that is told by
    descriptors alone gives 0, as far as one regression finds how: only the product of what both miss is left, squared
    (as in the generalised covariance measure of Shah & Peters, Annals of Statistics 2020). No test can be safe against
    all functions; docs/calibration.md has those it was measured on, and where it fails. A partial correlation of
    distances fails on most of them.

    Parameters
    ----------
    data
        phi (image, sigma, channel).
    descriptors, folds
        As for `predicted`.
    label
        Coordinate along `image` with the class, of 3 images each at least.
    against
        Other phi of the same images and noise levels, of the same taps or of one, such as an untrained network's.
    clusters
        Coordinate along `image` whose groups, 10 at least and 3 in each class, stay in one fold, are left out whole by
        the jackknife, and are not compared within.
    permutations
        Random signs of the test. The p-value is never below the interval's: at most 1 − level only where that excludes
        0.
    level, seed
        Coverage of the jackknife's interval over images, on Fisher's scale; seed of folds and signs.

    Returns
    -------
    Dataset
        {findings}

    Raises
    ------
    InputError
        As `predicted` raises; if there are fewer than two classes, or three images of one; if `against` is of other
        images, noise levels or taps; if an option is out of its range.

    Warns
    -----
    RuntimeWarning
        Where φ is the same for all images (NaN); where descriptors vary in more than 0.35 directions an image, by
        (Σλ)²/Σλ² of the eigenvalues λ of their covariance: even linear functions are not learned then.

    Examples
    --------
    >>> found = beyond(data, {"gist": gist(images), "colour": colour(images)})  # doctest: +SKIP
    """
    labels.check(data, "phi")
    labels.check_ids(data)
    data = data.isel(image=labels.by_id(data))
    names = labels.classes(data, label, least=2)
    permutations = repeats("permutations", permutations, least=99)
    _, level, seed = resampling(100, level, seed)
    classes = np.unique(names, return_inverse=True)[1]
    groups = None
    if clusters is not None:
        groups = np.unique(labels.classes(data, clusters, least=LEAST_GROUPS), return_inverse=True)[1]
    features, parts = _prepared(data, descriptors, folds, clusters, seed)
    _check_classes(names, groups)
    _warn_of_many(features)
    other = None if against is None else beside(against, data, "against")
    shares = None if groups is None else np.bincount(groups) / len(groups)
    blocks, places = labels.blocks(data), list(sites(data, "remainders"))
    phi = data["phi"].transpose("image", "sigma", "channel").values
    targets = [phi[:, site.level][:, site.channels] for site in places]
    others = [] if other is None else [other(site) for site in places]
    indicators = np.eye(classes.max() + 1)[classes]
    told, *fits = crossfitted(features, [indicators, *targets, *others], parts)
    either = [told.predicted, probabilities(features, classes, parts)]
    missed = [float(error(indicators, one)) for one in either]
    rest = indicators - either[int(np.argmin(missed))]
    values = np.full((4, data.sizes["sigma"], len(blocks)), np.nan)
    less = np.full((3, *values.shape[1:]), np.nan)
    for s, site in enumerate(places):
        at, where = (site.level, site.block), f"σ = {site.sigma:g}, block {site.name}"
        left = _remainder(targets[s], fits[s], where)
        if left is None:
            continue
        each, products = shared(left, rest, groups, weights=fits[s].weights)
        low, high, of_interval = jackknifed_correlation(each, level, shares)
        # Rounded up to a share of the signs, as theirs is.
        at_least = np.ceil(of_interval * (permutations + 1)) / (permutations + 1) if each[0] > 0 else 1.0
        p = np.maximum(flipped(products, permutations, seed), at_least)
        values[:, *at] = each[0], low, high, p
        fit = fits[len(places) + s] if others else None
        theirs = None if fit is None else _remainder(others[s], fit, f"{where} of against")
        if fit is not None and theirs is not None:
            also, _ = shared(theirs, rest, groups, weights=fit.weights)
            less[:, *at] = jackknifed(each - also, level, shares)
    found = {"correlation": Estimate(*values[:3]), "p_value": values[3], "class_explained": 1 - min(missed)}
    return BEYOND.label(
        found if other is None else found | {"difference": Estimate(*less)},
        data,
        coords={"block": blocks},
        descriptors=", ".join(_named(descriptors)),
        label=label,
        folds=folds,
        clusters=clusters or "each image",
        permutations=permutations,
        level=level,
        analysis_seed=seed,
    )


def _remainder(phi: np.ndarray, fit: Crossfit, where: str) -> np.ndarray | None:
    """What is not predicted, in units of each channel's deviation, of channels that vary; None where there are none."""
    kept = varies(phi)
    if not kept.any():
        warnings.warn(f"at {where} φ is the same for all images: findings there are NaN", RuntimeWarning, stacklevel=3)
        return None
    return (phi - fit.predicted)[:, kept] / phi.std(axis=0)[kept]


def _warn_of_many(features: np.ndarray) -> None:
    inner = features @ features.T
    directions, count = np.trace(inner) ** 2 / (inner**2).sum(), len(features)
    if directions > MANY * count:
        warnings.warn(
            f"descriptors vary in {directions:.0f} directions over {count} images: their functions cannot be learned, "
            "and what is left of φ may be one of these; give more images or fewer features",
            RuntimeWarning,
            stacklevel=3,
        )


def _check_classes(names: np.ndarray, groups: np.ndarray | None) -> None:
    """Refuse classes of which no other image, or group of them, is left when one is predicted and one compared with."""
    what = "images" if groups is None else "groups of images"
    for name in np.unique(names):
        mine = np.flatnonzero(names == name)
        count = len(mine if groups is None else np.unique(groups[mine]))
        if count < LEAST_OF_CLASS:
            raise InputError(
                f"{name} has {count} {what}: give {LEAST_OF_CLASS} of each class at least, or leave it out"
            )


def _prepared(
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
    named = _named(descriptors)
    features = np.concatenate([_standardised(name, one, data) for name, one in named.items()], axis=1)
    groups = None if clusters is None else labels.classes(data, clusters, least=folds)
    # By ids, so that the order of images changes nothing.
    order = labels.by_id(data)
    parts = folds_of(count, folds, seed, None if groups is None else groups[order])
    return features, [(order[fitted], order[left]) for fitted, left in parts]


def _named(descriptors: Any) -> dict[str, Any]:
    several = {"descriptor": descriptors} if isinstance(descriptors, xr.DataArray) else descriptors
    named = checks.mapping("descriptors", several, WANTED)
    if not named:
        raise InputError(f"descriptors is empty: give {WANTED}")
    return named


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
