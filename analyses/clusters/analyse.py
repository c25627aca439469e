"""Whether images form groups in φ, how many, and whether these are classes."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from scipy.stats import norm

from analyses import ground
from analyses.clusters import kernels_agreement, kernels_kmeans
from analyses.clusters.figure import plot, plot_embedding, sheet
from analyses.ground import check_numbers, variable
from probekit import checks, labels
from probekit.checks import resampling, seeded
from probekit.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["NUMBERS", "analyse", "compare", "embed", "main", "plot", "plot_embedding", "sheet"]

NUMBERS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 25, 32, 40, 50)
THRESHOLD = 0.8
MIN_IMAGES = 20
TEXTS: Mapping[str, str] = {
    "nmi": "normalised mutual information of clusters and classes",
    "ami": "mutual information of clusters and classes, adjusted for chance",
    "ari": "adjusted Rand index of clusters and classes",
    "purity": "share of images of their cluster's most frequent class",
}


def analyse(
    data: xr.Dataset,
    *,
    label: str | None = "label",
    n_clusters: int | Sequence[int] | None = None,
    threshold: float = THRESHOLD,
    splits: int = 4,
    n_init: int = 10,
    selection_images: int = 2000,
    resamples: int = 200,
    permutations: int = 199,
    level: float = 0.95,
    seed: int = 0,
) -> xr.Dataset:
    """Sort images into clusters by Euclidean distance in φ, at every tap and noise level.

    k-means; the number of clusters is the largest whose *prediction strength* (Tibshirani & Walther, J. Comput. Graph.
    Stat. 14, 2005) is at least `threshold` less a standard error over splits: images are split in halves, both are
    clustered, and of the pairs that are together in a half's own cluster at least this share is together under the
    other half's centres, in the worst cluster. Unlike the variance within clusters this does not improve by itself with
    more of them, and unlike silhouettes it can answer that there is but one. The whole curve is in the findings, as are
    silhouettes and the variance within.

    Parameters
    ----------
    data
        phi (image, sigma, channel) of at least 20 images.
    label
        Coordinate along `image` with classes to compare clusters with; None to leave this out.
    n_clusters
        Number of clusters; or numbers to choose from; by default 1 to 50 in steps, up to a tenth of the images.
    threshold
        Of prediction strength, in (0, 1]; 0.8 to 0.9 are its authors'.
    splits, n_init
        Random splits, and runs of k-means from fresh seeds, of which the best counts; ≥ 1.
    selection_images
        At most so many images, drawn at random, are used to choose the number.
    resamples, permutations, level
        Of the halves behind intervals, of permuted classes (≥ 99) behind chance levels, coverage in (0, 1).
    seed
        Of everything drawn.

    Returns
    -------
    Dataset
        `assignment` (image, sigma, block), its cluster, 0 having most images; `centre_distance`, Euclidean, in units
        of φ; `n_clusters` (sigma, block); `size` (sigma, block, cluster), 0 where there is no such cluster; `centre`
        (sigma, cluster, channel), NaN there. By `number` tried, (number, sigma, block): `strength`, `strength_se`,
        `silhouette` (of at most 1000 images) and `within` (share of the variance within clusters), where one was
        chosen. With classes, (sigma, block): `nmi`, `ami`, `ari`, `purity`, each with _low and _high over images by
        halves without replacement, the clusters being taken as they are; _chance, its mean under permuted classes,
        from which only ami and ari are free; and _p, the p-value against it.

    Raises
    ------
    InputError
        If classes are missing or one, ids occur twice, φ is constant, there are more clusters than different images, or
        an option is out of its range.

    Examples
    --------
    >>> from probekit.synthetic.subspaces import union_of_subspaces
    >>> data, truth = union_of_subspaces(200, n_channels=30, n_subspaces=3)
    >>> data = data.assign_coords(label=("image", truth.subspace.values.astype(str)))
    >>> findings = analyse(data, n_clusters=3)
    >>> bool(findings.ari > 0.9), bool(abs(findings.ari_chance) < 0.05)
    (True, True)
    """
    _check_phi(data)
    numbers = _numbers(n_clusters, data)
    _check(data, numbers, threshold, splits, n_init, selection_images, permutations)
    resampling(resamples, level, seed)
    # Everything is drawn in the order of ids, so that the order of images changes nothing.
    straight = np.argsort(labels.strings(data["image"].values))
    y = None if label is None else np.unique(labels.classes(data, label)[straight], return_inverse=True)[1]
    data = data[["phi"]].compute()
    options = {"resamples": resamples, "permutations": permutations, "level": level, "seed": seed}
    rng = np.random.default_rng(seed)
    sample = rng.permutation(len(straight))[:selection_images]
    parts = []
    for name, s, columns in _sites(data):
        x, centre, scale = kernels_kmeans.scaled(data["phi"].values[straight][:, s, columns].astype(np.float64))
        distinct = _distinct(x, max(numbers))
        if scale == 0 or max(numbers) > distinct:
            raise InputError(
                f"φ of {name} at σ = {data['sigma'].values[s]:g} has {distinct if scale else 1} different images: "
                f"{max(numbers)} clusters cannot be told apart; give fewer, or leave the tap out"
            )
        curves = None
        if len(numbers) > 1:
            curves = kernels_kmeans.curves(x[np.sort(sample)], numbers, splits=splits, seed=seed, n_init=n_init)
        k = min(numbers) if curves is None else kernels_kmeans.chosen(numbers, curves, threshold)
        found = kernels_kmeans.partition(x, k, seed=seed, n_init=n_init)
        agreed = None if y is None else kernels_agreement.agreement(found.cluster, y, **options)
        parts.append((columns, found, curves, agreed, found.centre * scale + centre, scale))
    made = _labelled(data, straight, parts)
    coords = _coords(data, numbers, max(len(part[1].centre) for part in parts))
    kept = {"threshold": threshold, "splits": splits, "n_init": n_init, "selection_images": selection_images}
    attrs = {"label": label, "level": level, "resamples": resamples, "permutations": permutations, "cluster_seed": seed}
    return ground.findings(made, data, analysis="clusters", coords=coords, **kept, **attrs)


def compare(
    first: xr.Dataset,
    second: xr.Dataset,
    *,
    label: str = "label",
    resamples: int = 200,
    level: float = 0.95,
    seed: int = 0,
) -> xr.Dataset:
    """Whether one representation's clusters are nearer to the classes than another's, on the same images.

    Parameters
    ----------
    first, second
        What `analyse` returned for both, on the same images in any order. Noise levels must be the same, unless
        `second` has one only, which is then compared with all.
    label
        Coordinate with the classes, which both must have, and the same.
    resamples, level, seed
        Of the halves of images, the same for both, whence differences are paired.

    Returns
    -------
    Dataset
        Over (sigma, block, other_block): `nmi`, `ami`, `ari`, `purity`, the first's less the second's, each with _low
        and _high. nmi and purity grow with the number of clusters: compare them at equal numbers.

    Raises
    ------
    InputError
        If these are no findings of `analyse`, lack the classes or differ in them, or are of different images or noise
        levels.

    Examples
    --------
    >>> from probekit.synthetic.subspaces import union_of_subspaces
    >>> data, truth = union_of_subspaces(100, n_channels=30, n_subspaces=3)
    >>> data = data.assign_coords(label=("image", truth.subspace.values.astype(str)))
    >>> three, two = analyse(data, n_clusters=3), analyse(data, n_clusters=2)
    >>> bool(compare(three, two).ami_low > 0)
    True
    """
    resampling(resamples, level, seed)
    classes = {}
    for name, given in (("first", first), ("second", second)):
        if not isinstance(given, xr.Dataset) or "assignment" not in given:
            raise InputError(f"{name} lacks `assignment`: give what clusters.analyse returned")
        if given["assignment"].dims != ("image", "sigma", "block"):
            raise InputError(
                f"assignment of {name} has dims {given['assignment'].dims}: keep image, sigma and block, e.g. select "
                "with a list"
            )
        labels.check_ids(given, of=name)
        classes[name] = labels.classes(given, label, of=name)
    orders = [np.argsort(labels.strings(given["image"].values)) for given in (first, second)]
    ids, others = (labels.strings(d["image"].values)[o] for d, o in zip((first, second), orders, strict=True))
    if not np.array_equal(ids, others):
        raise InputError("the two are of different images: cluster the same, so that they can be paired")
    one = second.sizes["sigma"] == 1
    if not one and not np.array_equal(first["sigma"].values, second["sigma"].values):
        raise InputError(f"noise levels {first['sigma'].values} and {second['sigma'].values} differ: select the same")
    own, other = (classes[name][order] for name, order in zip(("first", "second"), orders, strict=True))
    differ = np.flatnonzero(own != other)
    if len(differ):
        i = differ[0]
        raise InputError(
            f"{label} of {len(differ)} images differs between the two, such as {ids[i]}, {str(own[i])!r} in the first "
            f"and {str(other[i])!r} in the second: compare both with the same classes"
        )
    y = np.unique(own, return_inverse=True)[1]
    first, second = (d[["assignment"]].isel(image=o) for d, o in zip((first, second), orders, strict=True))
    chosen = kernels_agreement.halves(len(ids), resamples, seed)
    scored = [_scored(given["assignment"].values, y, chosen) for given in (first, second)]
    whole, half = (a[:, :, :, None] - b[:, :, None, :] for a, b in zip(*scored, strict=True))
    reach = norm.ppf((1 + level) / 2) * half.std(axis=0, ddof=1)
    dims = ("sigma", "block", "other_block")
    made = {}
    for m, name in enumerate(kernels_agreement.MEASURES):
        for end, values in (("", whole[0]), ("_low", whole[0] - reach), ("_high", whole[0] + reach)):
            made[name + end] = variable(dims, values[..., m], f"difference of {name}, first less second{end}")
    coords = {"other_block": ("other_block", second["block"].values, second["block"].attrs)}
    return ground.findings(made, first, analysis="clusters.compare", coords=coords, level=level, resamples=resamples)


def embed(data: xr.Dataset, *, max_images: int = 2000, perplexity: float = 30.0, seed: int = 0) -> xr.Dataset:
    """Map images in two dimensions so that neighbours in φ stay neighbours: t-SNE (van der Maaten & Hinton, 2008).

    For looking only: distances between groups and their sizes on the map mean nothing.

    Parameters
    ----------
    data
        phi (image, sigma, channel).
    max_images
        At most so many images, drawn at random, are kept.
    perplexity
        About how many neighbours count, > 0 and less than the number of images.
    seed
        Of the drawing and of the map.

    Returns
    -------
    Dataset
        `embedding` (image, sigma, block, component), two components.

    Raises
    ------
    InputError
        If φ cannot be used, ids occur twice, or an option is out of its range.

    Examples
    --------
    >>> from probekit.synthetic.subspaces import union_of_subspaces
    >>> dict(embed(union_of_subspaces(40).data, perplexity=5).embedding.sizes)
    {'image': 40, 'sigma': 1, 'block': 1, 'component': 2}
    """
    from sklearn.manifold import TSNE

    _check_phi(data)
    seeded(seed)
    count = min(checks.whole("max_images", max_images, least=2), data.sizes["image"])
    wanted = f"a positive number below that of images, which is {count}"
    perplexity = checks.number("perplexity", perplexity, wanted, good=lambda value: 0 < value < count)
    straight = np.argsort(labels.strings(data["image"].values))
    kept = straight[np.sort(np.random.default_rng(seed).permutation(len(straight))[:count])]
    data = data[["phi"]].isel(image=kept).compute()
    blocks = _blocks(data)
    values = np.empty((count, data.sizes["sigma"], len(blocks), 2), np.float32)
    for name, s, columns in _sites(data):
        x, _, scale = kernels_kmeans.scaled(data["phi"].values[:, s, columns].astype(np.float64))
        if scale == 0:
            raise InputError(f"φ of {name} at σ = {data['sigma'].values[s]:g} is the same for all images: leave it out")
        values[:, s, blocks.index(name)] = TSNE(perplexity=perplexity, init="pca", random_state=seed).fit_transform(x)
    dims = ("image", "sigma", "block", "component")
    made = {"embedding": variable(dims, values, "place of the image on a map by t-SNE")}
    coords = {"component": ("component", np.arange(2), {"long_name": "axis of the map"}), **_block_coord(data)}
    return ground.findings(made, data, analysis="clusters.embed", coords=coords, perplexity=perplexity, map_seed=seed)


def _scored(cluster: np.ndarray, y: np.ndarray, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Measures of all images and of halves, (1 or resamples, sigma, block, measure)."""
    _, sigmas, blocks = cluster.shape
    size = len(kernels_agreement.MEASURES)
    whole, half = np.empty((1, sigmas, blocks, size)), np.empty((len(chosen), sigmas, blocks, size))
    for s, b in np.ndindex(sigmas, blocks):
        own = cluster[:, s, b]
        shape = int(own.max()) + 1, int(y.max()) + 1
        whole[0, s, b] = kernels_agreement.measures(kernels_agreement.counts(own, y, shape))
        half[:, s, b] = kernels_agreement.half_samples(own, y, chosen)
    return whole, half


def _labelled(data: xr.Dataset, straight: np.ndarray, parts: list[tuple]) -> dict[str, Any]:
    sigmas, blocks = data.sizes["sigma"], len(_blocks(data))
    most = max(len(part[1].centre) for part in parts)
    images = len(straight)
    cluster, distance = np.empty((images, sigmas, blocks), int), np.empty((images, sigmas, blocks), np.float32)
    size, number = np.zeros((sigmas, blocks, most), int), np.empty((sigmas, blocks), int)
    centre = np.full((sigmas, most, data.sizes["channel"]), np.nan, np.float32)
    for place, (columns, found, _, _, middle, scale) in enumerate(parts):
        b, s = divmod(place, sigmas)
        cluster[straight, s, b], distance[straight, s, b] = found.cluster, found.distance * scale
        number[s, b] = len(middle)
        size[s, b] = np.bincount(found.cluster, minlength=most)
        centre[s, : len(middle), columns] = middle.T
    site, per_image = ("sigma", "block"), ("image", "sigma", "block")
    made = {
        "assignment": variable(per_image, cluster, "cluster of the image, 0 the largest"),
        "centre_distance": variable(per_image, distance, "distance of phi from the cluster's centre", "activation"),
        "n_clusters": variable(site, number, "number of clusters", "clusters"),
        "size": variable((*site, "cluster"), size, "images in the cluster", "images"),
        "centre": variable(("sigma", "cluster", "channel"), centre, "mean phi of the cluster", "activation"),
    }

    def grid(values: np.ndarray) -> np.ndarray:
        """(block, sigma, …), as parts come, to (…, sigma, block)."""
        return np.moveaxis(values.reshape(blocks, sigmas, -1), (0, 1, 2), (2, 1, 0))

    if parts[0][2] is not None:
        texts = ("prediction strength", "prediction strength: standard error over splits")
        texts = (*texts, "mean silhouette", "share of the variance within clusters")
        for i, (name, text) in enumerate(zip(kernels_kmeans.Curves._fields, texts, strict=True)):
            made[name] = variable(("number", *site), grid(np.stack([part[2][i] for part in parts])), text)
    if parts[0][3] is not None:
        ends = {"value": "", "low": "_low", "high": "_high", "chance": "_chance", "p_value": "_p"}
        for field, end in ends.items():
            values = grid(np.stack([getattr(part[3], field) for part in parts]))
            for m, name in enumerate(kernels_agreement.MEASURES):
                made[name + end] = variable(site, values[m], TEXTS[name] + (f": {field}" if end else ""))
    return made


def _blocks(data: xr.Dataset) -> list[str]:
    return list(dict.fromkeys(map(str, data["tap"].values)))


def _sites(data: xr.Dataset) -> Iterator[tuple[str, int, np.ndarray]]:
    """(block, position of the noise level, positions of channels) of every tap and noise level."""
    taps = labels.strings(data["tap"].values)
    for block in _blocks(data):
        for s in range(data.sizes["sigma"]):
            yield block, s, np.flatnonzero(taps == block)


def _block_coord(data: xr.Dataset) -> dict[str, Any]:
    return {"block": ("block", np.array(_blocks(data), dtype=object), {"long_name": "block, by the tap at its output"})}


def _coords(data: xr.Dataset, numbers: Sequence[int], most: int) -> dict[str, Any]:
    made = {**_block_coord(data), "cluster": ("cluster", np.arange(most), {"long_name": "cluster"})}
    if len(numbers) > 1:
        made["number"] = ("number", np.array(numbers), {"long_name": "number of clusters tried"})
    return made


def _distinct(x: np.ndarray, enough: int) -> int:
    """Number of different rows, counted no further than is needed."""
    part = len(np.unique(x[: 2 * enough], axis=0))
    return part if part >= enough else len(np.unique(x, axis=0))


def _numbers(n_clusters: int | Sequence[int] | None, data: xr.Dataset) -> tuple[int, ...]:
    if n_clusters is None:
        return tuple(k for k in NUMBERS if k <= max(data.sizes["image"] // 10, 2))
    wanted = "a whole number ≥ 1, different ones to choose from, or None"
    one = isinstance(n_clusters, int | np.integer)
    given = [n_clusters] if one else checks.listed("n_clusters", n_clusters, wanted)
    whole = all(isinstance(k, int | np.integer) and not isinstance(k, bool) and k >= 1 for k in given)
    if not given or not whole or len(set(given)) < len(given):
        raise InputError(f"{checks.given('n_clusters', n_clusters)}: give {wanted}")
    return tuple(sorted(int(k) for k in given))


def _check_phi(data: xr.Dataset) -> None:
    check_numbers(data, "phi")
    labels.check(data, "phi")
    labels.check_ids(data)
    if not all(data["phi"].sizes.values()):
        raise InputError(f"phi has sizes {dict(data['phi'].sizes)}: give at least one image, noise level and channel")


def _check(
    data: xr.Dataset,
    numbers: Sequence[int],
    threshold: float,
    splits: int,
    n_init: int,
    selection_images: int,
    permutations: int,
) -> None:
    if data.sizes["image"] < MIN_IMAGES:
        raise InputError(f"phi is of {data.sizes['image']} images: give {MIN_IMAGES} images at least")
    # A number is chosen on halves of a sample.
    checks.whole("selection_images", selection_images, least=2)
    room = data.sizes["image"] if len(numbers) == 1 else min(data.sizes["image"], selection_images) // 2
    if max(numbers) > room:
        raise InputError(
            f"{max(numbers)} clusters of {data.sizes['image']} images: give {room} at most"
            + ("" if len(numbers) == 1 else ", half of the images that the number is chosen on")
        )
    wanted = "a prediction strength in (0, 1], such as 0.8"
    checks.number("threshold", threshold, wanted, good=lambda value: 0 < value <= 1)
    for name, value, least in (("splits", splits, 1), ("n_init", n_init, 1), ("permutations", permutations, 99)):
        checks.whole(name, value, least=least)


def main(arguments: list[str] | None = None) -> int:
    """Run from the shell: ``python -m analyses.clusters phi.zarr -o out/``."""

    def options(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--n-clusters", type=int, nargs="+", help="number, or numbers to choose from")
        parser.add_argument("--no-labels", dest="label", action="store_const", const=None, default="label")
        parser.add_argument("--threshold", type=float, default=THRESHOLD, help="of prediction strength (default: 0.8)")
        parser.add_argument("--seed", type=int, default=0, help="of everything drawn (default: 0)")

    return ground.legacy_run(
        analyse,
        plot,
        name="clusters",
        description="Whether images form groups in φ, how many, and whether these are classes.",
        options=options,
        arguments=arguments,
    )


if __name__ == "__main__":
    sys.exit(main())
