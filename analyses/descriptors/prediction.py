"""φ as far as it is a function of descriptors: what of a relation to φ is beyond theirs is told by the difference."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from analyses.descriptors.kernels_classes import probabilities
from analyses.descriptors.kernels_prediction import (
    Crossfit,
    Solved,
    crossfitted,
    error,
    flipped,
    folds_of,
    shared,
    solved,
)
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
from probekit.machine.warned import warned

__all__ = ["BEYOND", "PREDICTED", "Predictions", "beyond", "predicted"]

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
    for site, one in zip(places, crossfitted(solved(features, parts), targets), strict=True):
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
    made = Predictions(data, descriptors, label=label, against=against, folds=folds, clusters=clusters, seed=seed)
    return made.beyond(data, permutations=permutations, level=level)


class Missed(NamedTuple):
    """What descriptors leave of classes' indicators (images, classes), and the share of these that they explain."""

    rest: np.ndarray
    explained: float


class Predictions:
    """What descriptors predict of the classes of images, and of φ to compare with: made once for φ of many networks.

    ``Predictions(data, descriptors, …).beyond(data, …)`` is ``beyond(data, descriptors, …)``, to the last bit. What
    does not depend on a φ that is asked about is made when it is first needed, and kept: some 130 MB for 1,000 images,
    in proportion to the square of their number.

    Parameters
    ----------
    images
        Any φ of the images, for their ids and classes.
    descriptors, label, against, folds, clusters, seed
        As for `beyond`.

    Attributes
    ----------
    images
        (images), their ids, in order.

    Raises
    ------
    InputError
        As `beyond` raises.
    """

    def __init__(
        self,
        images: xr.Dataset,
        descriptors: xr.DataArray | Mapping[str, xr.DataArray],
        *,
        label: str = "label",
        against: xr.Dataset | None = None,
        folds: int = 5,
        clusters: str | None = None,
        seed: int = 0,
    ) -> None:
        labels.check(images, "phi")
        labels.check_ids(images)
        images = images.isel(image=labels.by_id(images))
        self.images, self._names = labels.strings(images["image"].values), labels.classes(images, label, least=2)
        self._seed = checks.seeded(seed)
        self._groups = None
        if clusters is not None:
            grouped = labels.classes(images, clusters, least=LEAST_GROUPS)
            self._groups = np.unique(grouped, return_inverse=True)[1]
        self._features, self._folds = _prepared(images, descriptors, folds, clusters, self._seed)
        _check_classes(self._names, self._groups)
        _warn_of_many(self._features)
        self._label, self._against = label, against
        self._theirs: dict[tuple[int, str], np.ndarray | None] = {}
        self._said = {
            "descriptors": ", ".join(_named(descriptors)),
            "label": label,
            "folds": folds,
            "clusters": clusters or "each image",
            "analysis_seed": self._seed,
        }

    def beyond(self, data: xr.Dataset, *, permutations: int = 999, level: float = 0.95) -> xr.Dataset:
        """Whether φ tells classes beyond what descriptors tell; see `descriptors.beyond`.

        Parameters
        ----------
        data
            phi (image, sigma, channel) of the same images, in any order.
        permutations, level
            As for `descriptors.beyond`.

        Raises
        ------
        InputError
            If phi is missing, not finite, or of other images or classes; if `against` is of other noise levels or taps;
            if an option is out of its range.
        """
        permutations = repeats("permutations", permutations, least=99)
        _, level, _ = resampling(100, level, self._seed)
        data = self._of_same_images(data)
        other = None if self._against is None else beside(self._against, data, "against")
        blocks, places = labels.blocks(data), list(sites(data, "remainders"))
        phi = data["phi"].transpose("image", "sigma", "channel").values
        targets = [phi[:, site.level][:, site.channels] for site in places]
        if other is not None and not self._theirs:
            self._compare({self._place(site): other(site) for site in places})
        shares = None if self._groups is None else np.bincount(self._groups) / len(self._groups)
        values = np.full((4, data.sizes["sigma"], len(blocks)), np.nan)
        less = np.full((3, *values.shape[1:]), np.nan)
        for site, target, fit in zip(places, targets, crossfitted(self._solved, targets), strict=True):
            at, where = (site.level, site.block), f"σ = {site.sigma:g}, block {site.name}"
            left = _remainder(target, fit)
            if left is None:
                _warn_of_constant(where)
                continue
            each, products = shared(left, self._classes.rest, self._groups, weights=fit.weights)
            low, high, of_interval = jackknifed_correlation(each, level, shares)
            # Rounded up to a share of the signs, as theirs is.
            signs = permutations + 1
            at_least = np.ceil(of_interval * signs) / signs if each[0] > 0 else 1.0
            p = np.maximum(flipped(products, permutations, self._seed), at_least)
            values[:, *at] = each[0], low, high, p
            if other is not None:
                theirs = self._theirs[self._place(site)]
                if theirs is None:
                    _warn_of_constant(f"{where} of against")
                else:
                    less[:, *at] = jackknifed(each - theirs, level, shares)
        found = {"correlation": Estimate(*values[:3]), "p_value": values[3]}
        found |= {"class_explained": self._classes.explained}
        found |= {} if other is None else {"difference": Estimate(*less)}
        how = {"permutations": permutations, "level": level}
        return BEYOND.label(found, data, coords={"block": blocks}, **self._said, **how)

    def _of_same_images(self, data: xr.Dataset) -> xr.Dataset:
        """φ in the order of ids, of the images and classes that predictions are of."""
        labels.check(data, "phi")
        labels.check_ids(data)
        check_numbers(data, "phi")
        data = data.isel(image=labels.by_id(data))
        if not np.array_equal(labels.strings(data["image"].values), self.images):
            raise InputError("phi is of other images than predictions were made for: give φ of the same")
        if self._label in data.coords and not np.array_equal(labels.classes(data, self._label), self._names):
            raise InputError(f"classes of {self._label!r} are others than predictions were made for: give the same")
        return data

    def _place(self, site: labels.Site) -> tuple[int, str]:
        """What of the φ to compare with stands beside a site: its noise level, and its tap where it has several."""
        assert self._against is not None
        return site.level, site.name if len(labels.blocks(self._against)) > 1 else ""

    def _compare(self, others: Mapping[tuple[int, str], np.ndarray]) -> None:
        """Keep what of the φ to compare with goes with what is left of classes; None where it is constant."""
        fits = crossfitted(self._solved, list(others.values()))
        for (place, phi), fit in zip(others.items(), fits, strict=True):
            left = _remainder(phi, fit)
            self._theirs[place] = (
                None if left is None else shared(left, self._classes.rest, self._groups, weights=fit.weights)[0]
            )

    @cached_property
    def _solved(self) -> list[list[Solved]]:
        return list(solved(self._features, self._folds))

    @cached_property
    def _classes(self) -> Missed:
        """By whichever regression errs less."""
        classes = np.unique(self._names, return_inverse=True)[1]
        indicators = np.eye(classes.max() + 1)[classes]
        (ridge,) = crossfitted(self._solved, [indicators])
        either = [ridge.predicted, probabilities(self._features, classes, self._folds)]
        missed = [float(error(indicators, one)) for one in either]
        return Missed(indicators - either[int(np.argmin(missed))], 1 - min(missed))


def _remainder(phi: np.ndarray, fit: Crossfit) -> np.ndarray | None:
    """What is not predicted, in units of each channel's deviation, of channels that vary; None where there are none."""
    kept = varies(phi)
    return (phi - fit.predicted)[:, kept] / phi.std(axis=0)[kept] if kept.any() else None


def _warn_of_constant(where: str) -> None:
    warned(f"at {where} φ is the same for all images: findings there are NaN", RuntimeWarning)


def _warn_of_many(features: np.ndarray) -> None:
    inner = features @ features.T
    directions, count = np.trace(inner) ** 2 / (inner**2).sum(), len(features)
    if directions > MANY * count:
        warned(
            f"descriptors vary in {directions:.0f} directions over {count} images: their functions cannot be learned, "
            "and what is left of φ may be one of these; give more images or fewer features",
            RuntimeWarning,
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
    each = _named(descriptors).items()
    features = np.concatenate([_standardised(name, one, data) for name, one in each], axis=1)
    groups = None if clusters is None else labels.classes(data, clusters, least=folds)
    # By ids, so that the order of images changes nothing.
    order = labels.by_id(data)
    parts = folds_of(count, folds, seed, None if groups is None else groups[order])
    return features, [(order[fitted], order[left]) for fitted, left in parts]


def _named(descriptors: Any) -> dict[str, Any]:
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
