"""How many clusters images form in φ at every tap and noise level, and how far these are classes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from analyses.clusters import kernels_agreement, kernels_kmeans
from analyses.ground import (
    TAKEN_OFF,
    Estimate,
    Findings,
    Variable,
    along,
    check_noise,
    check_numbers,
    check_options,
    image_blocks,
    repeats,
    resampling,
    sites,
    subsample,
)
from probekit import checks, labels
from probekit.errors import InputError
from probekit.labels import Site

__all__ = ["FINDINGS", "NUMBERS", "analyse", "check_phi"]

NUMBERS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 25, 32, 40, 50)
THRESHOLD = 0.8
MIN_IMAGES = 20
# Of more images, so many are clustered and the others put to the nearest centre.
FIT_IMAGES = 20_000
PLACE, PER_IMAGE, CURVE = ("sigma", "block"), ("image", "sigma", "block"), ("number", "sigma", "block")
# What is said of each measure of agreement.
TEXTS = {
    "nmi": "normalised mutual information of clusters and classes",
    "ami": "mutual information of clusters and classes, adjusted for chance",
    "ari": "adjusted Rand index of clusters and classes",
    "purity": "share of images of their cluster's most frequent class",
}
HALVES = "halves of the images without replacement, clusters taken as they are"


def _of_classes() -> dict[str, Variable]:
    found = {}
    for name, text in TEXTS.items():
        found[name] = Variable(PLACE, text, interval=HALVES, optional=True)
        found[f"{name}_chance"] = Variable(PLACE, f"{name}: mean under permuted classes", optional=True)
        found[f"{name}_p"] = Variable(PLACE, f"{name}: p-value against permuted classes", optional=True)
    return found


FINDINGS = Findings(
    "clusters",
    {
        "assignment": Variable(PER_IMAGE, "cluster of the image, 0 the largest", holds="counts"),
        "centre_distance": Variable(PER_IMAGE, "Euclidean distance of phi from the cluster's centre", "activation"),
        "n_clusters": Variable(PLACE, "number of clusters", "clusters", holds="counts"),
        "size": Variable(
            (*PLACE, "cluster"), "images in the cluster; 0 where there is no such", "images", holds="counts"
        ),
        "centre": Variable(
            ("sigma", "cluster", "channel"), "mean phi of the cluster; NaN where there is no such", "activation"
        ),
        "strength": Variable(CURVE, "prediction strength", optional=True),
        "strength_se": Variable(CURVE, "prediction strength: standard error over splits", optional=True),
        "silhouette": Variable(CURVE, "mean silhouette of at most 1000 images", optional=True),
        "within": Variable(CURVE, "share of the variance within clusters", optional=True),
        **_of_classes(),
    },
    coords={
        "block": "block, by the tap at its output",
        "cluster": "cluster",
        "number": "number of clusters tried",
    },
)


class Choice(NamedTuple):
    """How the number of clusters is chosen and k-means is run; see `analyse`."""

    threshold: float = THRESHOLD
    splits: int = 4
    n_init: int = 10
    selection_images: int = 2000
    fit_images: int = FIT_IMAGES


@FINDINGS.described
def analyse(
    data: xr.Dataset,
    *,
    label: str | None = "label",
    n_clusters: int | Sequence[int] | None = None,
    noise_free: bool = False,
    resamples: int = 200,
    permutations: int = 199,
    level: float = 0.95,
    seed: int = 0,
    **options: Any,
) -> xr.Dataset:
    """Sort images into clusters by Euclidean distance in φ, at every tap and noise level.

    k-means; the number of clusters is the largest whose *prediction strength* (Tibshirani & Walther, J. Comput. Graph.
    Stat. 14, 2005) is at least `threshold` less a standard error over splits: images are split in halves, both are
    clustered, and of the pairs that are together in a half's own cluster at least this share is together under the
    other half's centres, in the worst cluster. Unlike the variance within clusters this does not improve by itself with
    more of them, and unlike silhouettes it can answer that there is but one. The whole curve is in the findings, as are
    silhouettes and the variance within.

    An image's own noise is in the centre that it is compared with, and small clusters have the less of it in the
    variance within, so that noisy images become clusters of their own. `noise_free` takes this off: partitions are
    compared by Σ d²/2n over pairs of images of a cluster of n, with unbiased squared distances d² (phi_se² of both
    images off), and images go to the centre whose unbiased distance is least. Where noise is the same for all images,
    plain and noise-free distances order partitions into equally many clusters alike.

    Of more than `fit_images` images so many are clustered, and the others go to the nearest of the centres found, some
    at a time: curves, centres and what is within are then of the images clustered, assignments, distances, sizes and
    agreements of all. Time grows in proportion to images, and memory hardly. That finds planted clusters more often
    than k-means in small batches of all images does (docs/calibration.md).

    Parameters
    ----------
    data
        phi (image, sigma, channel) of at least 20 images; phi_se for `noise_free`.
    label
        Coordinate along `image` with classes to compare clusters with; None to leave this out.
    n_clusters
        Number of clusters; or numbers to choose from; by default 1 to 50 in steps, up to a tenth of the images.
    noise_free
        Take phi_se² off squared distances.
    resamples, permutations, level
        Of the halves behind intervals, of permuted classes (≥ 99) behind chance levels, coverage in (0, 1).
    seed
        Of everything drawn.
    options
        Of choosing the number and of k-means: `threshold` of prediction strength, in (0, 1] (0.8; its authors take 0.8
        to 0.9); `splits`, random ones (4); `n_init`, runs of k-means from fresh seeds, of which the best counts (10);
        `selection_images`, at most so many of the images clustered, drawn at random, choose the number (2,000);
        `fit_images`, at most so many images, 20 at least, are clustered, drawn by id and seed (20,000).

    Returns
    -------
    Dataset
        {findings}

        Curves over `number` are there where one was chosen, agreements where classes are. Only ami and ari are free of
        what chance gives. Attr `images_fitted` says how many images were clustered. With noise_free `centre_distance`
        is a signed root, below 0 where chance has it, and `within` NaN where φ varies by no more than its noise.

    Raises
    ------
    InputError
        If classes are missing or one, ids occur twice, φ is constant, its noise is not known, there are more clusters
        than different images, or an option is out of its range.

    Examples
    --------
    >>> from probekit.synthetic.subspaces import union_of_subspaces
    >>> data, truth = union_of_subspaces(200, n_channels=30, n_subspaces=3)
    >>> data = data.assign_coords(label=("image", truth.subspace.values.astype(str)))
    >>> findings = analyse(data, n_clusters=3)
    >>> bool(findings.ari > 0.9), bool(abs(findings.ari_chance) < 0.05)
    (True, True)
    """
    check_phi(data)
    if checks.flag("noise_free", noise_free):
        check_noise(data)
    check_options("analyse", options, Choice._fields)
    choice = Choice._make(map(checks.plain, Choice(**options)))
    count = min(data.sizes["image"], checks.whole("fit_images", choice.fit_images, least=MIN_IMAGES))
    numbers = _numbers(n_clusters, count)
    _check_sizes(count, numbers, choice.selection_images)
    strength = "a prediction strength in (0, 1], such as 0.8"
    checks.number("threshold", choice.threshold, strength, good=lambda v: 0 < v <= 1)
    repeats("splits", choice.splits, least=1)
    repeats("n_init", choice.n_init, least=1)
    permutations = repeats("permutations", permutations, least=99)
    resamples, level, seed = resampling(resamples, level, seed)
    order = labels.by_id(data)
    y = None if label is None else np.unique(labels.classes(data, label)[order], return_inverse=True)[1]
    data = data[["phi", "phi_se"] if noise_free else ["phi"]]
    # In the order of ids, as all images are.
    fitted = subsample(data, count, seed)
    part = data.isel(image=fitted).compute()
    drawn: dict[str, Any] = {"resamples": resamples, "permutations": permutations, "level": level, "seed": seed}
    sample = np.sort(np.random.default_rng(seed).permutation(count)[: choice.selection_images])
    fits = []
    for site in sites(data, "clusters"):
        x, centre, scale = kernels_kmeans.scaled(part["phi"].values[:, site.level, site.channels].astype(np.float64))
        _check_distinct(x, scale, max(numbers), site)
        noise, curves = _noise(part["phi_se"].values if noise_free else None, site, scale), None
        if len(numbers) > 1:
            off = None if noise is None else noise[sample]
            how = {"splits": choice.splits, "seed": seed, "n_init": choice.n_init}
            curves = kernels_kmeans.curves(x[sample], numbers, **how, noise=off)
        k = min(numbers) if curves is None else kernels_kmeans.chosen(numbers, curves, choice.threshold)
        found = kernels_kmeans.partition(x, k, seed=seed, n_init=choice.n_init, noise=noise)
        off = None if noise is None else kernels_kmeans.centre_noise(found.cluster, noise, k)
        fits.append(Fit(site, found, curves, centre, scale, off))
    if count < len(order):
        fits = _all_assigned(data, fits, fitted, order)
    sorted_ = []
    for fit in fits:
        found = fit.partition
        agreed = None if y is None else kernels_agreement.agreement(found.cluster, y, **drawn)
        back = found._replace(centre=found.centre * fit.scale + fit.middle, distance=found.distance * fit.scale)
        sorted_.append(Sorted(fit.site, back, fit.curves, agreed))
    blocks, most = labels.blocks(data), max(len(one.partition.centre) for one in sorted_)
    coords = {"block": along("block", blocks, FINDINGS.coords["block"]), "cluster": np.arange(most)}
    return FINDINGS.label(
        {**_partitions(data, order, sorted_), **_curves(sorted_, len(blocks)), **_agreements(sorted_, len(blocks))},
        data,
        coords={**coords, **({"number": np.array(numbers)} if len(numbers) > 1 else {})},
        label=label,
        noise_free=TAKEN_OFF if noise_free else None,
        threshold=choice.threshold,
        splits=choice.splits,
        n_init=choice.n_init,
        selection_images=choice.selection_images,
        images_fitted=count,
        resamples=resamples,
        permutations=permutations,
        level=level,
        analysis_seed=seed,
    )


class Fit(NamedTuple):
    """The clusters of images by id at a tap and noise level, as φ less its `middle` (channel) over `scale` shows them.

    `off` (cluster) is the expected squared length of the error of each centre, where noise is taken off.
    """

    site: Site
    partition: kernels_kmeans.Partition
    curves: kernels_kmeans.Curves | None
    middle: np.ndarray
    scale: float
    off: np.ndarray | None


def _noise(se: np.ndarray | None, site: Site, scale: float) -> np.ndarray | None:
    """Expected squared length (image) of the error of each image, in units of the scale; None without errors."""
    if se is None:
        return None
    return np.square(se[:, site.level, site.channels].astype(np.float64)).sum(axis=1) / scale**2


def _all_assigned(data: xr.Dataset, fits: list[Fit], fitted: np.ndarray, order: np.ndarray) -> list[Fit]:
    """Fits with all images, by id, in the clusters of the images at the positions `fitted`; by size of all anew."""
    count = data.sizes["image"]
    cluster, distance = np.empty((len(fits), count), int), np.empty((len(fits), count), np.float64)
    for rows, phi, *se in image_blocks(data, *map(str, data.data_vars)):
        for number, (site, found, _, middle, scale, off) in enumerate(fits):
            x = ((phi[:, site.level, site.channels] - middle) / scale).astype(np.float32)
            noise = _noise(se[0] if se else None, site, scale)
            cluster[number, rows], distance[number, rows] = kernels_kmeans.assigned(x, found.centre, noise, off)
    out = []
    for fit, own, far in zip(fits, cluster, distance, strict=True):
        # Of an image that a centre is the mean of, what it adds to its own error is known.
        own[fitted], far[fitted] = fit.partition.cluster, fit.partition.distance
        rank = np.argsort(-np.bincount(own, minlength=len(fit.partition.centre)), kind="stable")
        found = kernels_kmeans.Partition(np.argsort(rank)[own][order], fit.partition.centre[rank], far[order])
        out.append(fit._replace(partition=found))
    return out


class Sorted(NamedTuple):
    """The clusters at a tap and noise level, images by id, in units of φ, and what is known of them."""

    site: Site
    partition: kernels_kmeans.Partition
    curves: kernels_kmeans.Curves | None
    agreement: kernels_agreement.Agreement | None


def _partitions(data: xr.Dataset, order: np.ndarray, sorted_: list[Sorted]) -> dict[str, Any]:
    shape = data.sizes["sigma"], len(labels.blocks(data))
    most = max(len(one.partition.centre) for one in sorted_)
    cluster, distance = np.empty((len(order), *shape), int), np.empty((len(order), *shape), np.float32)
    size, number = np.zeros((*shape, most), int), np.empty(shape, int)
    centre = np.full((shape[0], most, data.sizes["channel"]), np.nan, np.float32)
    for (s, b, _, _, channels), found, _, _ in sorted_:
        cluster[order, s, b], distance[order, s, b] = found.cluster, found.distance
        number[s, b] = len(found.centre)
        size[s, b] = np.bincount(found.cluster, minlength=most)
        centre[s, : len(found.centre), channels] = found.centre.T
    return {
        "assignment": cluster,
        "centre_distance": distance,
        "n_clusters": number,
        "size": size,
        "centre": centre,
    }


def _curves(sorted_: list[Sorted], blocks: int) -> dict[str, Any]:
    found = [one.curves for one in sorted_ if one.curves is not None]
    if not found:
        return {}
    return {name: _grid([getattr(one, name) for one in found], blocks) for name in kernels_kmeans.Curves._fields}


def _agreements(sorted_: list[Sorted], blocks: int) -> dict[str, Any]:
    found = [one.agreement for one in sorted_ if one.agreement is not None]
    if not found:
        return {}
    value, low, high, chance, p = (
        _grid([getattr(one, field) for one in found], blocks) for field in kernels_agreement.Agreement._fields
    )
    values: dict[str, Any] = {}
    for m, name in enumerate(kernels_agreement.MEASURES):
        values[name] = Estimate(value[m], low[m], high[m])
        values[f"{name}_chance"], values[f"{name}_p"] = chance[m], p[m]
    return values


def _grid(values: list[np.ndarray], blocks: int) -> np.ndarray:
    """Values (…) of sites, which come tap by tap, as (…, sigma, block)."""
    stacked = np.stack(values)
    return np.moveaxis(stacked.reshape(blocks, -1, *stacked.shape[1:]), (0, 1), (-1, -2))


def check_phi(data: xr.Dataset) -> None:
    """Refuse φ that cannot be used, or images that are there twice."""
    check_numbers(data, "phi")
    labels.check(data, "phi")
    labels.check_ids(data)
    if not all(data["phi"].sizes.values()):
        raise InputError(f"phi has sizes {dict(data['phi'].sizes)}: give at least one image, noise level and channel")


def _numbers(n_clusters: int | Sequence[int] | None, images: int) -> tuple[int, ...]:
    if n_clusters is None:
        return tuple(k for k in NUMBERS if k <= max(images // 10, 2))
    found = checks.unwrapped(n_clusters)
    if isinstance(found, Iterable) and not isinstance(found, str | bytes) and getattr(found, "ndim", 1):
        tried = checks.counts("n_clusters", n_clusters)
    else:
        tried = [checks.whole("n_clusters", n_clusters, least=1)]
    if not tried or len(set(tried)) < len(tried):
        raise InputError(f"{checks.given('n_clusters', n_clusters)}: give a whole number ≥ 1, or different ones")
    return tuple(sorted(tried))


def _check_sizes(images: int, numbers: Sequence[int], selection_images: int) -> None:
    if images < MIN_IMAGES:
        raise InputError(f"phi is of {images} images: give {MIN_IMAGES} images at least")
    # A number is chosen on halves of a sample.
    checks.whole("selection_images", selection_images, least=2)
    room = images if len(numbers) == 1 else min(images, selection_images) // 2
    if max(numbers) > room:
        raise InputError(
            f"{max(numbers)} clusters of {images} images: give {room} at most"
            + ("" if len(numbers) == 1 else ", half of the images that the number is chosen on")
        )


def _check_distinct(x: np.ndarray, scale: float, wanted: int, site: Site) -> None:
    """Refuse fewer different images than clusters; they are counted no further than is needed."""
    part = len(np.unique(x[: 2 * wanted], axis=0))
    distinct = part if part >= wanted else len(np.unique(x, axis=0))
    if scale == 0 or wanted > distinct:
        raise InputError(
            f"φ of {site.name} at σ = {site.sigma:g} has {distinct if scale else 1} different images: "
            f"{wanted} clusters cannot be told apart; give fewer, or leave the tap out"
        )
