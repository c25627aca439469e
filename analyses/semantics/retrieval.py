"""Images found again by φ at another noise level, and neighbours that share a label."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from scipy.special import digamma

from analyses import ground
from analyses.ground import interval, resampled_means, variable
from analyses.semantics import kernels_neighbours
from analyses.semantics.kernels_pairs import deviations, prepared
from analyses.semantics.labelled import ALONE, PLACE, blocks_of, checked, coords, defined, grouped, places, same, text
from probekit import checks, labels
from probekit.errors import InputError

__all__ = ["neighbours", "stability"]


def stability(
    data: xr.Dataset,
    *,
    reference: float = 0.1,
    among: int = 1000,
    distances: Sequence[str] | None = None,
    clusters: str | None = None,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> xr.Dataset:
    """Find each image again, by φ, among many others seen at another noise level.

    The rank of an image is 1 + the number of images whose φ at the reference noise level is nearer to φ(x_σ) than its
    own is: claim 2 of Kadkhodaie, Mallat & Simoncelli (arXiv:2506.01912) as retrieval. Equally near images share their
    ranks, as if ties were broken at random: a representation that tells nothing apart is at chance.

    Parameters
    ----------
    data
        phi (image, sigma, channel) at the reference and at other noise levels; phi_draws where present.
    reference
        Noise level σ_ref of what is searched, one of the data's.
    among
        Number N of images that are searched, the right one among them. The images are dealt at random into groups
        of N; those left over are not used. With fewer images than N, all are searched.
    distances
        Some of "euclidean", "cosine", "standardised" (by the channels' standard deviations at the reference);
        default all.
    clusters
        Coordinate along `image` whose groups, 10 at least, are resampled whole: for images that are not independent, as
        crops of one photograph. By default images are.
    resamples, level, seed
        Of the bootstrap over images (percentiles moved outwards as Student's t asks; those searched held fixed): number
        ≥ 100, coverage in (0, 1); seed also of the dealing.

    Returns
    -------
    Dataset
        Over (noise, sigma, block, distance): `top1`, the share of images at rank 1, `reciprocal_rank`, the mean of
        1/rank, both in [0, 1] with `_low` and `_high`, and `median_rank`. Dim `noise`: "shared" is of phi, whose
        noise is one z for all σ, which can make it easier to find an image again; "independent", with at least two
        phi_draws, searches φ of the odd draws for φ of the even ones and the reverse.
        `top1_chance` 1/N and `reciprocal_rank_chance` Σ1/j /N. Attrs `among` (N) and `queries`.

    Raises
    ------
    InputError
        If phi is missing or not finite, ids occur twice, φ lacks the reference level, groups are missing or too few, or
        an option is out of its range.

    Warns
    -----
    RuntimeWarning
        Where a distance is undefined (NaN): cosine of an image without activity. Where φ is the same for all images,
        which are then found again at chance.

    Examples
    --------
    >>> from probekit.synthetic.subspaces import union_of_subspaces
    >>> data = union_of_subspaces(100, seed=1).data
    >>> found = stability(data, reference=data.sigma.item())
    >>> found.top1.sel(distance="cosine", noise="shared").values.tolist()
    [[1.0]]
    """
    data, metrics = checked(data, distances, resamples, level, seed)
    checks.whole("among", among, least=2)
    members = grouped(data, clusters)
    levels = ", ".join(f"{s:g}" for s in data["sigma"].values)
    sought = checks.number("reference", reference, f"one of the noise levels {levels}")
    at = np.flatnonzero(np.isclose(data["sigma"].values, sought))
    if not len(at):
        raise InputError(f"reference={reference!r} is not among the noise levels {levels}: give one of these")
    groups = _dealt(data["image"].values, among, seed)
    pairs = [("shared", [(data["phi"], data["phi"])])]
    if data.sizes.get("draw", 0) > 1 and "phi_draws" in data:
        draws = data["phi_draws"]
        halves = [draws.isel(draw=slice(k, None, 2)).mean("draw") for k in (0, 1)]
        pairs.append(("independent", [(halves[0], halves[1]), (halves[1], halves[0])]))
    blocks = blocks_of(data)
    shape = (groups.size, 3, len(pairs), data.sizes["sigma"], len(blocks), len(metrics))
    scores = np.empty(shape)
    for v, (_, sides) in enumerate(pairs):
        for s, b, m, columns in places(data, blocks, metrics):
            where = f"σ = {data['sigma'].values[s]:g}, block {blocks[b]}"
            both = [
                _found_again(query.values[:, s, columns], key.values[:, at[0], columns], groups, metrics[m], where)
                for query, key in sides
            ]
            scores[:, :, v, s, b, m] = np.mean(both, axis=0)
    n = groups.shape[1]
    # Resampled in the order of ids, so that the order of images changes nothing.
    rows = groups.ravel()
    order = np.argsort(labels.strings(data["image"].values)[rows])
    low, high = _interval(scores[order, :2], None if members is None else members[rows[order]], resamples, level, seed)
    dims, percent = ("noise", *PLACE), f"{100 * level:g} % interval"
    found: dict[str, Any] = {
        "top1_chance": variable((), 1 / n, "top1 by chance"),
        "reciprocal_rank_chance": variable((), _harmonic(np.zeros(1), np.full(1, n))[0] / n, "mean 1/rank by chance"),
        "median_rank": variable(dims, np.median(scores[:, 2], axis=0), "median rank of the image itself", "rank"),
    }
    for k, (name, said) in enumerate((("top1", "share of images at rank 1"), ("reciprocal_rank", "mean of 1/rank"))):
        found[name] = variable(dims, scores[:, k].mean(axis=0), said)
        found[f"{name}_low"] = variable(dims, low[k], f"{name}: lower end of its {percent}")
        found[f"{name}_high"] = variable(dims, high[k], f"{name}: upper end of its {percent}")
    noise = text("noise", [name for name, _ in pairs], "noise of query and key")
    return ground.findings(
        found,
        data,
        analysis="semantics.stability",
        coords={**coords(blocks, metrics), "noise": noise},
        reference_sigma=sought,
        among=n,
        queries=groups.size,
        clusters=clusters or ALONE,
        resamples=resamples,
        level=level,
        bootstrap_seed=seed,
    )


def _dealt(ids: np.ndarray, among: int, seed: int) -> np.ndarray:
    """Random groups of images, (groups, images of a group): the same in whatever order they are given."""
    n = min(among, len(ids))
    order = np.argsort(labels.strings(ids))[np.random.default_rng(seed).permutation(len(ids))]
    return np.sort(order[: len(ids) // n * n].reshape(-1, n), axis=1)


def _interval(
    values: np.ndarray, members: np.ndarray | None, resamples: int, level: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Interval of means over axis 0, images or groups of them, being resampled."""
    units = len(values) if members is None else len(set(members))
    drawn = resampled_means(values, clusters=members, resamples=resamples, seed=seed)
    return interval(drawn, level, units=units)


def _found_again(query: np.ndarray, key: np.ndarray, groups: np.ndarray, metric: str, where: str) -> np.ndarray:
    """Top-1, 1/rank and rank (images, 3) of each image among its group, in expectation over ties."""
    spread = deviations(key)
    q, k = (prepared(side, metric, spread) for side in (query, key))
    if not (np.isfinite(q).all() and np.isfinite(k).all()):
        warnings.warn(
            f"at {where} the {metric} distance is undefined for images without any activity: findings there are NaN",
            RuntimeWarning,
            stacklevel=3,
        )
        return np.full((groups.size, 3), np.nan)
    if same(query) or same(key):
        warnings.warn(
            f"at {where} φ is the same for all images: they are found again at chance", RuntimeWarning, stacklevel=3
        )
    nearer, equal = np.concatenate([kernels_neighbours.ranks(q[rows], k[rows]) for rows in groups], axis=1)
    top1 = (nearer == 0) / (1 + equal)
    reciprocal = _harmonic(nearer, nearer + equal + 1) / (equal + 1)
    return np.stack([top1, reciprocal, 1 + nearer + equal / 2], axis=1)


def _harmonic(start: np.ndarray, stop: np.ndarray) -> np.ndarray:
    """Σ 1/j over start < j ≤ stop."""
    return digamma(stop + 1.0) - digamma(start + 1.0)


def neighbours(
    data: xr.Dataset,
    *,
    k: int = 10,
    label: str | None = None,
    distances: Sequence[str] | None = None,
    clusters: str | None = None,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> xr.Dataset:
    """Find each image's k nearest neighbours in φ, and how many of them have its label.

    Neighbours are exact, whatever the number of images; of equally near ones the first comes first.

    Parameters
    ----------
    data
        phi (image, sigma, channel).
    k
        Number of neighbours, at least 1 and below the number of images.
    label
        Coordinate along image; by default "label", where there is one.
    distances
        Some of "euclidean", "cosine", "standardised"; default all.
    clusters
        Coordinate along `image` whose groups, 10 at least, are resampled whole; by default images are independent.
    resamples, level, seed
        Of the bootstrap over query images (percentiles moved outwards as Student's t asks; those searched held fixed).

    Returns
    -------
    Dataset
        Over (sigma, block, distance): with dims image and `neighbor` (0 the nearest) `neighbor_index`, positions
        along image (−1 where undefined), and `neighbor_distance`. With labels `precision`, the mean share in [0, 1]
        of neighbours that have the image's label, `precision_low`, `precision_high`, and the scalar
        `precision_chance`, the same for neighbours drawn at random.

    Raises
    ------
    InputError
        If phi is missing or not finite, ids occur twice, k is not below the number of images, `label` is no coordinate,
        missing for some images, or the same for all, groups are missing or too few, or an option is out of its range.

    Warns
    -----
    RuntimeWarning
        Where neighbours are undefined (NaN): φ is constant, or, for the cosine, an image has no activity.

    Examples
    --------
    >>> from probekit.synthetic.subspaces import union_of_subspaces
    >>> found = neighbours(union_of_subspaces(100, seed=1).data, k=3)
    >>> found.neighbor_index.sizes["neighbor"]
    3
    """
    data, metrics = checked(data, distances, resamples, level, seed)
    n = data.sizes["image"]
    if checks.whole("k", k, least=1) >= n:
        raise InputError(f"k={k!r}: give a whole number of neighbours between 1 and {n - 1}, one less than the images")
    members = grouped(data, clusters)
    named = "label" if label is None and "label" in data.coords else label
    classes = None if named is None else labels.classes(data, named)
    blocks = blocks_of(data)
    place = (data.sizes["sigma"], len(blocks), len(metrics))
    index, distance = np.full((*place, n, k), -1, np.int32), np.full((*place, n, k), np.nan, np.float32)
    for s, b, m, columns in places(data, blocks, metrics):
        x = prepared(data["phi"].values[:, s, columns], metrics[m])
        if defined(x, f"σ = {data['sigma'].values[s]:g}, block {blocks[b]}", metrics[m]):
            index[s, b, m], near = kernels_neighbours.nearest(x, k)
            distance[s, b, m] = near**2 / 2 if metrics[m] == "cosine" else near
    dims = (*PLACE, "image", "neighbor")
    found = {
        "neighbor_index": variable(dims, index, "position of the neighbour along image, −1 where undefined"),
        "neighbor_distance": variable(dims, distance, "distance to the neighbour"),
    }
    if classes is not None:
        order = np.argsort(labels.strings(data["image"].values))
        found |= _precision(index, classes, order, members, resamples, level, seed)
    rank = {"neighbor": ("neighbor", np.arange(k), {"long_name": "number of the neighbour, 0 the nearest"})}
    return ground.findings(
        found,
        data,
        analysis="semantics.neighbours",
        coords={**coords(blocks, metrics), **rank},
        k=k,
        label=named,
        clusters=clusters or ALONE,
        resamples=resamples,
        level=level,
        bootstrap_seed=seed,
    )


def _precision(
    index: np.ndarray,
    classes: np.ndarray,
    order: np.ndarray,
    members: np.ndarray | None,
    resamples: int,
    level: float,
    seed: int,
) -> dict[str, Any]:
    codes, sizes = np.unique(classes, return_inverse=True, return_counts=True)[1:]
    share = (codes[index] == codes[:, None]).mean(axis=-1)
    share[index[..., 0] < 0] = np.nan
    # Resampled in the order of ids, so that the order of images changes nothing.
    values = np.moveaxis(share, -1, 0)[order]
    low, high = _interval(values, None if members is None else members[order], resamples, level, seed)
    chance = float((sizes * (sizes - 1)).sum() / (len(codes) * (len(codes) - 1)))
    percent = f"{100 * level:g} % interval"
    return {
        "precision": variable(PLACE, share.mean(axis=-1), "share of neighbours that have the image's label"),
        "precision_low": variable(PLACE, low, f"precision: lower end of its {percent}"),
        "precision_high": variable(PLACE, high, f"precision: upper end of its {percent}"),
        "precision_chance": variable((), chance, "precision of neighbours drawn at random"),
    }
