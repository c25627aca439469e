"""How far the means of classes lie apart in φ, apart from how far the images of each scatter."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

from analyses.clusters.kernels_separation import Sums, p_of_jackknife, p_value, scatters, separated, worth
from analyses.ground import (
    Estimate,
    Findings,
    Variable,
    beside,
    check_numbers,
    jackknifed,
    repeats,
    resampling,
    sites,
    subsample,
    varies,
)
from probekit import checks, labels
from probekit.errors import InputError
from probekit.machine.warned import warned

__all__ = ["SEPARATION", "separation"]

LEAST, LEAST_GROUPS = 3, 10
# The jackknife holds some twenty numbers a channel and image.
MOST = 20_000
# Of a class, for a p-value: of fewer, signs carry its mean less far than chance does.
LEAST_SIGNED = 20
# Images' worth of scatter in each class, below which the error of its mean is not known.
LEAST_WORTH = 2
SEPARATION = Findings(
    "clusters.separation",
    {
        "separation": Variable(
            ("sigma", "block"), "share of φ's variance between means of classes", interval="jackknife over images"
        ),
        "p_value": Variable(
            ("sigma", "block"),
            "one-sided p-value of equal means, the larger of random signs' and the jackknife's; NaN with a class of "
            "fewer than 20",
        ),
        "scatter": Variable(("sigma", "block", "class"), "mean squared distance of images to the mean of their class"),
        "difference": Variable(
            ("sigma", "block"),
            "separation less that of the other φ",
            interval="paired jackknife over images",
            optional=True,
        ),
    },
    coords={"block": "block, by its tap", "class": "class"},
)


@SEPARATION.described
def separation(
    data: xr.Dataset,
    *,
    label: str = "label",
    standardised: bool = False,
    against: xr.Dataset | None = None,
    clusters: str | None = None,
    max_images: int = MOST,
    permutations: int = 999,
    level: float = 0.95,
    seed: int = 0,
) -> xr.Dataset:
    """How far the means of classes lie apart, whatever the scatter of their images.

    The correlation of distances with the class (`semantics.correlate`) grows with both: images of a class that scatters
    little are near one another, also where all classes have one mean. Here the variance between means is an intraclass
    correlation: half the mean over pairs of classes of ‖m_a − m_b‖² − v_a − v_b, with v the unbiased variance of each
    mean, as a share of itself plus the mean scatter. It is 0 in expectation where means are equal, and may lie below.

    Random signs reject too often where φ is skewed and a small class scatters more than a large one, which the
    jackknife notices: `p_value` is the larger of both tests'. The interval is wider than either where means are equal.
    Where the scatter of a class comes of fewer than two images, as of selective channels that hardly any of them
    excites, the error of its mean is not known, and neither interval nor p-value is given: the number of images is
    (Σ q)²/Σ q², q being their squared distances from the mean. How often tests reject is in docs/calibration.md.

    Parameters
    ----------
    data
        phi (image, sigma, channel) of at least 3 images of each class.
    label
        Coordinate along `image` with the class.
    standardised
        Whether channels are divided by their standard deviations over images first.
    against
        Other phi of the same images and noise levels, of the same taps or of one, such as an untrained network's.
    clusters
        Coordinate along `image` whose groups, 10 at least and 3 in each class, are dependent, as crops of one
        photograph are: left out whole, with one sign.
    max_images
        At most so many images are used, drawn by id and seed.
    permutations
        Random signs of the test: deviations of images from the mean of their class, with signs, have the law of the
        means where these are equal, whatever the scatter of each class, from some 20 images, or groups, of each on.
    level, seed
        Coverage of the jackknife's interval over images; seed of the images drawn and of the signs.

    Returns
    -------
    Dataset
        {findings}

        Attr `images` says how many were used.

    Raises
    ------
    InputError
        If phi is missing or not finite, there are fewer than two classes or three images of one, `against` is of other
        images, noise levels or taps, or an option is out of its range.

    Warns
    -----
    RuntimeWarning
        Where φ is the same for all images (NaN), or the scatter of a class comes of fewer than two of its images (ends
        of the interval and p-value are NaN).

    Examples
    --------
    >>> from probekit.synthetic.subspaces import union_of_subspaces
    >>> data, truth = union_of_subspaces(100, n_channels=30, n_subspaces=3)
    >>> found = separation(data.assign_coords(label=("image", truth.subspace.values.astype(str))))
    >>> bool((found.separation_low > 0).all())
    True
    """
    check_numbers(data, "phi")
    labels.check(data, "phi")
    labels.check_ids(data)
    checks.flag("standardised", standardised)
    permutations = repeats("permutations", permutations, least=99)
    _, level, seed = resampling(100, level, seed)
    max_images = checks.whole("max_images", max_images, least=2 * LEAST)
    used = subsample(data, max_images, seed)
    against, data = _of_the_same(against, data, used), data.isel(image=used)
    names, classes = np.unique(labels.classes(data, label, least=2), return_inverse=True)
    groups = np.arange(len(classes))
    if clusters is not None:
        grouped = labels.classes(data, clusters, option="clusters", least=LEAST_GROUPS)
        groups = np.unique(grouped, return_inverse=True)[1]
    fewest = _check_classes(names, classes, groups, "images" if clusters is None else "groups of images")
    blocks = labels.blocks(data)
    other = None if against is None else beside(against, data, "against")
    shares = None if clusters is None else np.bincount(groups) / len(groups)
    values = np.full((4, data.sizes["sigma"], len(blocks)), np.nan)
    less = np.full((3, *values.shape[1:]), np.nan)
    scatter = np.full((*values.shape[1:], len(names)), np.nan)
    phi = data["phi"].transpose("image", "sigma", "channel").values
    for site in sites(data, "separation of classes"):
        at, where = (site.level, site.block), f"σ = {site.sigma:g}, block {site.name}"
        x = _features(phi[:, site.level][:, site.channels], standardised, where)
        if x is None:
            continue
        sums = Sums(x, classes, groups)
        own, scatter[at] = separated(sums), scatters(sums.of_class)[2]
        known = _known(sums, names, where)
        values[:3, *at] = _ends(own, level, shares, known)
        if known and fewest >= LEAST_SIGNED:
            values[3, *at] = max(p_value(sums, permutations, seed), p_of_jackknife(own, shares))
        y = None if other is None else _features(other(site), standardised, f"{where} of against")
        if y is not None:
            others = Sums(y, classes, groups)
            known &= _known(others, names, f"{where} of against")
            less[:, *at] = _ends(own - separated(others), level, shares, known)
    found = {"separation": Estimate(*values[:3]), "p_value": values[3], "scatter": scatter}
    return SEPARATION.label(
        found if other is None else found | {"difference": Estimate(*less)},
        data,
        coords={"block": blocks, "class": names},
        label=label,
        standardised=standardised,
        clusters=clusters or "each image",
        images=len(classes),
        permutations=permutations,
        level=level,
        analysis_seed=seed,
    )


def _of_the_same(against: xr.Dataset | None, data: xr.Dataset, used: np.ndarray) -> xr.Dataset | None:
    """The images of other φ that are used of the data, by id; all where it is of other images, which is refused."""
    if not isinstance(against, xr.Dataset) or "image" not in against.coords or len(used) == data.sizes["image"]:
        return against
    ids, others = (pd.Index(labels.strings(one["image"].values)) for one in (data, against))
    if not others.is_unique or set(ids) != set(others):
        return against
    return against.isel(image=others.get_indexer(ids[used]))


def _features(phi: np.ndarray, standardised: bool, where: str) -> np.ndarray | None:
    """(images, channels) about the mean, without constant channels; None where there are no others."""
    x = phi - phi.mean(axis=0, dtype=np.float64)
    kept = varies(phi)
    if not kept.any():
        warned(f"at {where} φ is the same for all images: findings there are NaN", RuntimeWarning)
        return None
    return x[:, kept] / (x[:, kept].std(axis=0) if standardised else 1)


def _known(sums: Sums, names: np.ndarray, where: str) -> bool:
    """Whether the scatter of each class comes of enough images for its mean to have a known error."""
    found = worth(sums)
    few = int(found.argmin())
    if found[few] < LEAST_WORTH:
        warned(
            f"at {where} the scatter of {names[few]} comes of {found[few]:.2g} of its images, and {LEAST_WORTH} at "
            "least are needed: there is no interval and no p-value; give more images of each class",
            RuntimeWarning,
        )
    return bool(found[few] >= LEAST_WORTH)


def _ends(values: np.ndarray, level: float, shares: np.ndarray | None, known: bool) -> Estimate:
    """The value with its jackknife's interval, where this is known."""
    found = jackknifed(values, level, shares)
    return found if known else found._replace(low=np.nan, high=np.nan)


def _check_classes(names: np.ndarray, classes: np.ndarray, groups: np.ndarray, what: str) -> int:
    """How many the smallest class has, at least `LEAST`."""
    pairs = np.unique(np.stack([classes, groups]), axis=1)
    counts = np.bincount(pairs[0])
    if counts.min() < LEAST:
        one = names[int(counts.argmin())]
        raise InputError(f"{one} has {counts.min()} {what}: give {LEAST} of each class at least, or leave it out")
    return int(counts.min())
