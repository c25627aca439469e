"""Images found again by φ at another noise level, and neighbours that share a label: image by image, and on average."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypedDict, Unpack

import numpy as np
import xarray as xr

from analyses import ground
from analyses.ground import TAKEN_OFF, Estimate, Findings, Variable, check_options, estimated_mean, resampling, sites
from analyses.semantics.inputs import (
    ALONE,
    PLACE,
    PLACE_COORDS,
    QUERY_IMAGES,
    checked,
    dealt,
    defined,
    grouped,
    place_coords,
    tells_apart,
)
from analyses.semantics.kernels_nearest import Sides, among_all, found_again, harmonic, searched
from analyses.semantics.kernels_pairs import nearest, prepared, shared_labels, spreads
from analyses.semantics.kernels_pairs import noise_free as noise_taken_off
from analyses.semantics.reliability import halves_of_draws, sides_of
from probekit import checks, labels
from probekit.errors import InputError

__all__ = ["NEIGHBOURS", "PER_IMAGE", "STABILITY", "neighbours", "per_image", "stability"]

RESAMPLED = "images, or groups of them, resampled"
NOISE = {"noise": "noise of query and key"}
NEIGHBOR = {"neighbor": "number of the neighbour, 0 the nearest"}
CHANCES = {
    "top1_chance": Variable((), "top1 by chance, 1/N of N images searched"),
    "reciprocal_rank_chance": Variable((), "mean 1/rank by chance, Σ1/j /N"),
}
LISTED = {
    "neighbor_index": Variable(
        (*PLACE, "image", "neighbor"), "position of the neighbour along image, −1 where undefined"
    ),
    "neighbor_distance": Variable((*PLACE, "image", "neighbor"), "distance to the neighbour"),
}
BY_CHANCE = {"precision_chance": Variable((), "precision of neighbours drawn at random")}
SEARCHED = ("image", "noise", *PLACE)
PER_IMAGE = Findings(
    "semantics.per_image",
    {
        name: variable._replace(optional=True)
        for name, variable in {
            "group": Variable(("image",), "number of the group that the image is searched in, −1 if it is left out"),
            "top1": Variable(SEARCHED, "whether the image is at rank 1, in expectation over ties; NaN if left out"),
            "reciprocal_rank": Variable(SEARCHED, "1/rank, in expectation over ties"),
            "rank": Variable(SEARCHED, "rank of the image itself, the middle one of ties", "rank"),
            **CHANCES,
            **LISTED,
            "precision": Variable(("image", *PLACE), "share of the image's neighbours that have its label"),
            **BY_CHANCE,
        }.items()
    },
    coords=PLACE_COORDS | NOISE | NEIGHBOR,
)
STABILITY = Findings(
    "semantics.stability",
    {
        "top1": Variable(("noise", *PLACE), "share of images at rank 1", interval=RESAMPLED),
        "reciprocal_rank": Variable(("noise", *PLACE), "mean of 1/rank", interval=RESAMPLED),
        "median_rank": Variable(("noise", *PLACE), "median rank of the image itself", "rank"),
        **CHANCES,
    },
    coords=PLACE_COORDS | NOISE,
)
NEIGHBOURS = Findings(
    "semantics.neighbours",
    {
        **LISTED,
        "precision": Variable(
            PLACE, "share of neighbours that have the image's label", interval=RESAMPLED, optional=True
        ),
        **{name: variable._replace(optional=True) for name, variable in BY_CHANCE.items()},
    },
    coords=PLACE_COORDS | NEIGHBOR,
)


@PER_IMAGE.described
def per_image(
    data: xr.Dataset,
    *,
    reference: float | None = 0.1,
    among: int = 1000,
    k: int | None = 10,
    label: str | None = None,
    distances: Sequence[str] | None = None,
    noise_free: bool = False,
    query_images: int = QUERY_IMAGES,
    seed: int = 0,
) -> xr.Dataset:
    """Find each image again among others seen at another noise level, and its k nearest neighbours: image by image.

    `stability` and `neighbours` are means of these numbers, with intervals; differences of two representations of the
    same images, image by image, are paired.

    The rank of an image is 1 + the number of images whose φ at the reference noise level is nearer to φ(x_σ) than its
    own is: claim 2 of Kadkhodaie, Mallat & Simoncelli (arXiv:2506.01912) as retrieval. Equally near images share their
    ranks, as if ties were broken at random: a representation that tells nothing apart is at chance. Neighbours are
    exact, whatever the number of images; of equally near ones the first comes first.

    Parameters
    ----------
    data
        phi (image, sigma, channel) at the reference and at other noise levels; phi_draws where present.
    reference
        Noise level σ_ref of what is searched, one of the data's; None if images are not to be found again.
    among
        Number N of images that are searched, the right one among them. The images are dealt at random into groups
        of N; those left over are not used. With fewer images than N, all are searched.
    k
        Number of neighbours, at least 1 and below the number of images; None for none.
    label
        Coordinate along image; by default "label", where there is one.
    distances
        Some of "euclidean", "cosine", "standardised" (by the channels' standard deviations, at the reference where
        images are found again); default all.
    noise_free
        Whether squared distances are made unbiased by φ's noise over draws, which pushes images apart, each by its own:
        ‖φ_i − φ_j‖² − n_i − n_j, n the sum of phi_se². The cosine's norms are mended alike, and channels of
        which noise is more than half of the variance are left out of the standardised distance. Distances are signed
        roots: −√|d²| where d² < 0. Images are then found again with phi_draws only, of which 4 are needed: the
        noise that an image shares over σ is not independent.
    query_images
        At most so many images, drawn by id and seed, are found again among one another, and have their neighbours
        sought, among all images: what is held in memory are these, and time grows in proportion to their number times
        that of images. Others are left out, their neighbours −1.
    seed
        Of the images drawn and of the dealing.

    Returns
    -------
    Dataset
        What was asked for of:

        {findings}

        Dim `noise`: "shared" is of phi, whose noise is one z for all σ, which can make it easier to find an image
        again; "independent", with at least two phi_draws, searches φ of the odd draws for φ of the even ones and the
        reverse. Attrs `among` (N), `queries` (images that are found again), `k`, `label`,
        `query_images` (images that were drawn).

    Raises
    ------
    InputError
        If phi is missing or not finite, ids occur twice, φ lacks the reference level, k is not below the number of
        images, `label` is no coordinate, missing for some images, or the same for all, noise is to be taken off that is
        not known, or an option is out of its range.

    Warns
    -----
    RuntimeWarning
        Where a distance is undefined (NaN): cosine of an image without activity, or none beyond noise. Where φ is the
        same for all images, which are then found again at chance, and have no neighbours.

    Examples
    --------
    >>> from probekit.synthetic.subspaces import union_of_subspaces
    >>> found = per_image(union_of_subspaces(100, seed=1).data, reference=None, k=3)
    >>> found.neighbor_index.sizes["neighbor"]
    3
    """
    data, metrics = checked(data, distances, noise_free)
    seed = checks.seeded(seed)
    among = checks.whole("among", among, least=2)
    k = None if k is None else checks.whole("k", k, least=1)
    asked = _asked(data, query_images, seed)
    values: dict[str, Any] = {}
    coords: dict[str, Any] = {}
    options: dict[str, Any] = {}
    if reference is not None:
        level = _level(data, reference)
        part = data if asked is None else data.isel(image=asked).compute()
        group = dealt(part, among, seed)
        sides = halves_of_draws(part) if noise_free else sides_of(part)
        found = {"group": group} | _search(part, metrics, level, group, sides)
        values |= found if asked is None else among_all(found, asked, data.sizes["image"])
        coords["noise"] = list(sides)
        queries = int((group >= 0).sum())
        options |= {"reference_sigma": float(reference), "among": queries // int(group.max() + 1), "queries": queries}
    if k is not None:
        near, named = _nearest(data, metrics, k, label, asked=asked, subtract=noise_free)
        values |= near
        coords["neighbor"] = np.arange(k)
        options |= {"k": k, "label": named}
    if noise_free:
        options["noise_free"] = TAKEN_OFF
    options["query_images"] = data.sizes["image"] if asked is None else len(asked)
    return PER_IMAGE.label(values, data, coords=place_coords(data, metrics) | coords, **options, analysis_seed=seed)


class Queries(TypedDict, total=False):
    """Options of what is asked, which `per_image` explains."""

    query_images: int


def _asked(data: xr.Dataset, query_images: Any, seed: int) -> np.ndarray | None:
    """Positions of the images that are asked for, by id; None where they are all, as they are given."""
    most = checks.whole("query_images", query_images, least=2)
    return None if data.sizes["image"] <= most else ground.subsample(data, most, seed)


def _level(data: xr.Dataset, reference: float) -> int:
    """Position of the noise level that is searched."""
    levels = ", ".join(f"{s:g}" for s in data["sigma"].values)
    sought = checks.number("reference", reference, f"one of the noise levels {levels}")
    at = np.flatnonzero(np.isclose(data["sigma"].values, sought))
    if not len(at):
        raise InputError(
            f"{checks.given('reference', reference)} is not among the noise levels {levels}: give one of these"
        )
    return int(at[0])


def _search(
    data: xr.Dataset, metrics: Sequence[str], level: int, group: np.ndarray, sides: Mapping[str, Sides]
) -> dict[str, Any]:
    # The images of a group in the order that they are given in.
    groups = np.argsort(group, kind="stable")[(group < 0).sum() :].reshape(group.max() + 1, -1)
    shape = (len(group), len(sides), data.sizes["sigma"], len(labels.blocks(data)), len(metrics))
    scores = np.full((3, *shape), np.nan)
    for v, pairs in enumerate(sides.values()):
        for site in sites(data, "images found again"):
            for m, metric in enumerate(metrics):
                where = f"σ = {site.sigma:g}, block {site.name}"
                both = [
                    found_again(
                        query.at(site.level, site.channels), key.at(level, site.channels), groups, metric, where
                    )
                    for query, key in pairs
                ]
                scores[:, groups.ravel(), v, site.level, site.block, m] = np.mean(both, axis=0)
    n = groups.shape[1]
    chance = float(harmonic(np.zeros(1), np.full(1, n))[0] / n)
    searched = dict(zip(("top1", "reciprocal_rank", "rank"), scores, strict=True))
    return {**searched, "top1_chance": 1 / n, "reciprocal_rank_chance": chance}


def _nearest(
    data: xr.Dataset,
    metrics: Sequence[str],
    k: int,
    label: str | None,
    clusters: str | None = None,
    *,
    asked: np.ndarray | None,
    subtract: bool,
) -> tuple[dict[str, Any], str | None]:
    """Neighbours, of other groups where these are named, and how many have the label; and what the label is called."""
    named = "label" if label is None and "label" in data.coords else label
    classes = None if named is None else labels.classes(data, named)
    members = None if named == clusters else grouped(data, clusters)
    groups = None if members is None else np.unique(members, return_inverse=True)[1]
    n = data.sizes["image"]
    most = n - (1 if groups is None else int(np.bincount(groups).max()))
    if k > most:
        what = "one less than the images" if groups is None else "the images of other groups than the largest"
        raise InputError(f"k={k}: give a whole number of neighbours between 1 and {most}, {what}")
    shape = (data.sizes["sigma"], len(labels.blocks(data)), len(metrics), n, k)
    index, distance = np.full(shape, -1, np.int32), np.full(shape, np.nan, np.float32)
    if asked is not None:
        _by_parts(data, metrics, k, groups, asked, index, distance, subtract=subtract)
    for site in sites(data, "neighbours") if asked is None else ():
        at, noise = (slice(None), site.level, site.channels), None
        phi, se = data["phi"].values[at], data["phi_se"].values[at] if subtract else None
        spread = spreads(phi, se, groups)
        for m, metric in enumerate(metrics):
            if se is None:
                x = prepared(phi, metric, spread)
            else:
                x, noise = noise_taken_off(phi, se, metric, spread)
            if defined(x, f"σ = {site.sigma:g}, block {site.name}", metric, noise_free=subtract):
                here = site.level, site.block, m
                index[here], near = nearest(x, k, noise, groups)
                distance[here] = near * np.abs(near) / 2 if metric == "cosine" else near
    values: dict[str, Any] = {"neighbor_index": index, "neighbor_distance": distance}
    if classes is None:
        return values, named
    share, chance = shared_labels(index, np.unique(classes, return_inverse=True)[1], groups, asked)
    if groups is not None and not chance:
        raise InputError(
            "no label is of images of two groups of clusters, so that no neighbour of another group can share it: give "
            "another label, or clusters of the same name as label, for neighbours of the own group"
        )
    return {**values, "precision": np.moveaxis(share, -1, 0), "precision_chance": chance}, named


def _by_parts(
    data: xr.Dataset,
    metrics: Sequence[str],
    k: int,
    groups: np.ndarray | None,
    asked: np.ndarray,
    index: np.ndarray,
    distance: np.ndarray,
    *,
    subtract: bool,
) -> None:
    """Neighbours of the images asked for among all, which are read some at a time, put where they belong."""
    names = ("phi", "phi_se") if subtract else ("phi",)

    def parts() -> Iterator[tuple[np.ndarray, np.ndarray | None, slice]]:
        for rows, phi, *se in ground.image_blocks(data, *names):
            yield phi, se[0] if se else None, rows

    phi, *se = (data[name].isel(image=asked).values for name in names)
    every = list(labels.sites(data))
    queries = phi, se[0] if se else None, asked
    found = searched(parts, queries, [(s.level, s.channels) for s in every], metrics, k, groups)
    for site, at in zip(every, found, strict=True):
        where = f"σ = {site.sigma:g}, block {site.name}"
        for m, (metric, one) in enumerate(zip(metrics, at, strict=True)):
            if tells_apart(one[2:], where, metric, warn=True, noise_free=subtract):
                index[site.level, site.block, m, asked] = one.found
                near = one.distance
                distance[site.level, site.block, m, asked] = near * np.abs(near) / 2 if metric == "cosine" else near


@STABILITY.described
def stability(
    data: xr.Dataset,
    *,
    reference: float = 0.1,
    among: int = 1000,
    distances: Sequence[str] | None = None,
    noise_free: bool = False,
    clusters: str | None = None,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
    **further: Unpack[Queries],
) -> xr.Dataset:
    """Find each image again, by φ, among many others seen at another noise level.

    The means over images of what `per_image` finds, which says how.

    Parameters
    ----------
    data, reference, among, distances, noise_free
        See `per_image`.
    clusters
        Coordinate along `image` whose groups, 10 at least, are resampled whole: for images that are not independent, as
        crops of one photograph, among which, too, the right one is sought. By default images are independent.
    resamples, level, seed
        Of the bootstrap over images (percentiles moved outwards as Student's t asks; those searched held fixed): number
        ≥ 100, coverage in (0, 1); seed also of the dealing.
    further
        `query_images`; see `per_image`.

    Returns
    -------
    Dataset
        {findings}

        Attrs `among` (N) and `queries`.

    Raises
    ------
    InputError
        As `per_image` raises; also if groups are missing or too few.

    Warns
    -----
    RuntimeWarning
        As `per_image` warns.

    Examples
    --------
    >>> from probekit.synthetic.subspaces import union_of_subspaces
    >>> data = union_of_subspaces(100, seed=1).data
    >>> found = stability(data, reference=data.sigma.item())
    >>> found.top1.sel(distance="cosine", noise="shared").values.tolist()
    [[1.0]]
    """
    check_options("stability", further, Queries.__annotations__)
    data, _ = checked(data, distances, noise_free)
    resamples, level, seed = resampling(resamples, level, seed)
    if reference is None:
        _level(data, reference)
    members = grouped(data, clusters)
    # Findings have no dim image, so that whatever else the data say of images cannot be mistaken for theirs.
    alone = data.drop_vars([name for name, c in data.coords.items() if c.dims == ("image",) and name != "image"])
    how: dict[str, Any] = {"distances": distances, "noise_free": noise_free, "seed": seed, **further}
    found = per_image(alone, reference=reference, among=among, k=None, **how)
    used = found["group"].values >= 0
    how = {"resamples": resamples, "level": level, "seed": seed}
    values: dict[str, Any] = {name: _mean(found[name], members, used, **how) for name in ("top1", "reciprocal_rank")}
    values["median_rank"] = np.median(found["rank"].values[used], axis=0)
    values |= {name: found[name].item() for name in CHANCES}
    return STABILITY.label(
        values, found, clusters=clusters or ALONE, resamples=resamples, level=level, analysis_seed=seed
    )


def _mean(values: xr.DataArray, members: np.ndarray | None, used: np.ndarray | None = None, **how: Any) -> Estimate:
    """The mean over images that are used, or groups of them; resampled by id, so that their order changes nothing."""
    order = labels.by_id(values)
    order = order if used is None else order[used[order]]
    members = None if members is None else members[order]
    return estimated_mean(values.values[order], clusters=members, span=(0, 1), **how)


@NEIGHBOURS.described
def neighbours(
    data: xr.Dataset,
    *,
    k: int = 10,
    label: str | None = None,
    distances: Sequence[str] | None = None,
    noise_free: bool = False,
    clusters: str | None = None,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
    **further: Unpack[Queries],
) -> xr.Dataset:
    """Find each image's k nearest neighbours in φ, and how many of them have its label.

    The precision is the mean over images of what `per_image` finds.

    Parameters
    ----------
    data, k, label, distances, noise_free
        See `per_image`.
    clusters
        Coordinate along `image` whose groups, 10 at least, are resampled whole; by default images are independent.
        Neighbours are searched among images of other groups, and so is chance: crops of one photograph are near one
        another and have its label, whatever φ says of photographs. Of the same name as `label`, it is whether
        neighbours are of the image's own group that is asked, and all are searched.
    resamples, level, seed
        Of the bootstrap over query images (percentiles moved outwards as Student's t asks; those searched held fixed).
    further
        `query_images`; see `per_image`.

    Returns
    -------
    Dataset
        With a label, the precision too:

        {findings}

    Raises
    ------
    InputError
        As `per_image` raises; also if groups are missing or too few, or no two of them have a label in common.

    Warns
    -----
    RuntimeWarning
        As `per_image` warns.

    Examples
    --------
    >>> from probekit.synthetic.subspaces import union_of_subspaces
    >>> found = neighbours(union_of_subspaces(100, seed=1).data, k=3)
    >>> found.neighbor_index.sizes["neighbor"]
    3
    """
    check_options("neighbours", further, Queries.__annotations__)
    data, metrics = checked(data, distances, noise_free)
    resamples, level, seed = resampling(resamples, level, seed)
    k = checks.whole("k", k, least=1)
    asked = _asked(data, further.get("query_images", QUERY_IMAGES), seed)
    members = grouped(data, clusters)
    values, named = _nearest(data, metrics, k, label, clusters, asked=asked, subtract=noise_free)
    if "precision" in values:
        each = xr.DataArray(values["precision"], dims=("image", *PLACE), coords={"image": data["image"]})
        used = None if asked is None else np.isin(np.arange(len(each)), asked)
        values["precision"] = _mean(each, members, used, resamples=resamples, level=level, seed=seed)
    return NEIGHBOURS.label(
        values,
        data,
        coords=place_coords(data, metrics) | {"neighbor": np.arange(k)},
        k=k,
        label=named,
        query_images=data.sizes["image"] if asked is None else len(asked),
        noise_free=TAKEN_OFF if noise_free else None,
        clusters=clusters or ALONE,
        resamples=resamples,
        level=level,
        analysis_seed=seed,
    )
