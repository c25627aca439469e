"""Is distance in φ semantic: does it keep images together over noise, and follow labels, gist, colour?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict, Unpack

import numpy as np
import pandas as pd
import xarray as xr

from analyses.ground import (
    TAKEN_OFF,
    Estimate,
    Findings,
    Variable,
    check_noise,
    jackknifed,
    jackknifed_correlation,
    repeats,
    resampling,
    sites,
)
from analyses.semantics.inputs import (
    ALONE,
    MIN_IMAGES,
    PLACE,
    PLACE_COORDS,
    Other,
    checked,
    class_distances,
    defined,
    given_sets,
    grouped,
    matrices,
    place_coords,
    representation,
    selected,
    subsample,
)
from analyses.semantics.kernels_correlation import Comparison, permutations_of, transformed
from analyses.semantics.kernels_pairs import STATISTICS, distance_matrix, prepared, spreads
from analyses.semantics.kernels_pairs import noise_free as noise_taken_off
from analyses.semantics.retrieval import NEIGHBOURS, STABILITY, neighbours, stability
from probekit import checks, labels
from probekit.errors import InputError
from probekit.machine.warned import warned
from probekit.phi.reliability import LEAST_DRAWS

__all__ = ["CORRELATIONS", "FINDINGS", "analyse", "correlate"]

Given = Sequence[str | Sequence[str]]
Control = xr.Dataset | xr.DataArray
COMPARED = (*PLACE, "statistic", "other", "given")
# Representations whose images are permuted at once: each holds a matrix of 4 max_images² bytes, and permuting costs
# about as much for several as for one.
PERMUTED_TOGETHER = 8
CORRELATIONS = Findings(
    "semantics.correlate",
    {
        "correlation": Variable(
            COMPARED, "correlation of distances in φ with other distances, over pairs", interval="jackknife over images"
        ),
        "p_jackknife": Variable(COMPARED, "p-value of no correlation, by the jackknife, two-sided"),
        "p_permutation": Variable(
            COMPARED, "p-value of no relation, Mantel's permutations, two-sided; noise-free, not below p_jackknife"
        ),
        "control_correlation": Variable(
            ("control", *COMPARED), "correlation of distances in the control", optional=True
        ),
        "difference": Variable(
            ("control", *COMPARED),
            "correlation of φ less that of the control",
            interval="paired jackknife over images",
            optional=True,
        ),
    },
    coords={
        **PLACE_COORDS,
        "statistic": "correlation of pairs' distances",
        "other": "what distances in φ are compared with",
        "given": "what is held fixed",
        "control": "another representation of the images",
    },
)
# What `analyse` returns of these depends on what it is given.
FINDINGS = Findings(
    "semantics",
    {
        name: variable._replace(optional=True)
        for part in (STABILITY, NEIGHBOURS, CORRELATIONS)
        for name, variable in part.variables.items()
    },
    coords=STABILITY.coords | NEIGHBOURS.coords | CORRELATIONS.coords,
)


@CORRELATIONS.described
def correlate(
    data: xr.Dataset,
    others: Mapping[str, Other],
    *,
    given: Given = (),
    label: str | None = None,
    distances: Sequence[str] | None = None,
    statistics: Sequence[str] | None = None,
    controls: Mapping[str, Control] | None = None,
    noise_free: bool = False,
    clusters: str | None = None,
    permutations: int = 999,
    max_images: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> xr.Dataset:
    """Correlate distances in φ with other distances between the same images, over all pairs of images.

    Three statistics: Pearson's and Spearman's correlation of the n(n − 1)/2 pairs' distances, and the bias-corrected
    distance correlation of Székely & Rizzo (2013), on the scale of its square and 0 in expectation for independent
    images. *Given* others, each is what remains after linear regression of the distances, their ranks, or the U-centred
    distances (Székely & Rizzo 2014) on those others': a relation that is not linear is not taken out exactly.

    Intervals and `p_jackknife` come from the jackknife over images on Fisher's scale, which never pairs an image with
    its copy as the bootstrap does; images count as drawn independently, or groups of them where `clusters` names these.
    Then pairs of one group do not count: crops of one photograph are alike in φ and in all else, which says nothing of
    photographs. Images given several times, with `clusters` naming whose copies they are, correlate as they do once.

    `p_permutation` is Mantel's test: images of φ are permuted, rows and columns of its distances together, and
    p = (1 + b)/(1 + m), never 0. Given others it permutes what remains of φ's distances after regression on them
    (Freedman & Lane 1983): permuting φ itself breaks its tie to what is held fixed. Both p-values are two-sided.
    Permutations take images as exchangeable, which unequal noise makes untrue; with `noise_free` `p_permutation` is
    therefore never below `p_jackknife`. How often intervals cover and tests reject is in docs/calibration.md.

    Parameters
    ----------
    data
        phi (image, sigma, channel) of at least 20 images.
    others
        By name, other distances: the name of a coordinate along image (0 within a class, 1 between; its numbers, too,
        are names of classes); a DataArray (image, feature, …), such as descriptors or pixels, or φ of one noise level,
        or (image) of numbers, such as ``data["size"]`` (Euclidean distance); a square table
        between classes, such as `class_distances` gives; a DataArray (image, other_image) of distances; a function from
        image ids (n) to distances (n, n). Arrays are matched by image id, or by order if they have none.
    given
        Names, or sets of names, among `others` that are held fixed, each in turn: ``("gist", ("gist", "colour"))``.
    label
        Coordinate of the classes that tables between classes refer to; default "label".
    distances
        Some of "euclidean" (the paper's), "cosine", "standardised" (channels divided by their standard deviations);
        default all.
    statistics
        Some of "pearson", "spearman", "distance_correlation"; default all.
    controls
        By name, other representations to compare φ with: a Dataset with phi of the same noise levels, and of the same
        taps or of one, such as the untrained network's, or a DataArray (image, feature, …) such as pixels, the same
        beside all.
    clusters
        Coordinate along `image` whose groups, 10 at least, are subsampled and left out by the jackknife whole: for
        images that are not independent, as crops of one photograph. Only pairs of images of different groups count.
        Permutations then exchange whole groups with others of the same size; where few are of one size, p cannot be
        small.
    permutations
        Number m ≥ 99 of permutations; 0 for none.
    max_images
        More images than this are subsampled at random, in whole groups where these are named; memory is about
        10 max_images² bytes for each of the others, and 60 max_images² beside.
    level, seed
        Coverage in (0, 1) of intervals; seed of subsampling and permutations.

    Returns
    -------
    Dataset
        {findings}

        `given` starts with "nothing"; names of a set are joined by "+"; what is held fixed is NaN. What is of `control`
        is there with controls. Attr `images` says how many were used, `images_given` of how many.

    Raises
    ------
    InputError
        If phi is missing or not finite, ids occur twice, images or groups are too few, something lacks an image or a
        class, is no distance or is the same for all pairs that count, or an option is out of its range.

    Warns
    -----
    RuntimeWarning
        Where distances are undefined (NaN): φ is constant, or, for the cosine, an image has no activity. Where a
        correlation is undefined without one image or group, so that the jackknife is: the only one of its class.

    Examples
    --------
    >>> from probekit.synthetic.subspaces import union_of_subspaces
    >>> data, truth = union_of_subspaces(100, seed=1)
    >>> data = data.assign_coords(subspace=truth.subspace)
    >>> found = correlate(data, {"subspace": "subspace"}, distances=["cosine"], permutations=99)
    >>> bool((found.correlation_low > 0.2).all())
    True
    """
    data, metrics = checked(data, distances, noise_free)
    if label is not None:
        labels.classes(data, label)
    _, level, seed = resampling(100, level, seed)
    kinds = selected("statistics", statistics, STATISTICS)
    permutations, max_images = checks.plain(permutations), checks.plain(max_images)
    _check_sizes(data, permutations, max_images)
    beside: dict[str, Control] = {}
    if controls is not None:
        beside = checks.mapping("controls", controls, "a mapping, e.g. {'pixels': pixels}, or None")
    for name, one in beside.items() if noise_free else ():
        if isinstance(one, xr.Dataset) and "phi" in one:
            check_noise(one, f"controls[{name!r}]")
    members = grouped(data, clusters)
    used = subsample(data, max_images, seed, members)
    groups = group_shares = None
    if members is not None:
        _, groups, counts = np.unique(members[used], return_inverse=True, return_counts=True)
        group_shares = counts / len(used)
    tables = matrices(others, data, used, label, groups)
    sets = given_sets(given, list(tables))
    orders = permutations_of(len(used), permutations, seed, groups)
    blocks, part = labels.blocks(data), data[["phi", "phi_se"] if noise_free else ["phi"]].isel(image=used).compute()
    shape = (data.sizes["sigma"], len(blocks), len(metrics), len(kinds), len(tables), len(sets))
    own, against = np.full((5, *shape), np.nan), np.full((4, len(beside), *shape), np.nan)
    alone: dict[tuple[str, str], int] = {}
    for s, statistic in enumerate(kinds):
        comparison = Comparison(tables, statistic, list(sets.values()), orders, groups)
        waiting: dict[tuple[int, ...], np.ndarray] = {}
        for site in sites(data, f"{statistic} correlations"):
            names = ("phi", "phi_se") if noise_free else ("phi",)
            sides = {"φ": [part[name].values[:, site.level][:, site.channels] for name in names]}
            sides |= {name: _features(name, one, names, data, used, site) for name, one in beside.items()}
            for m, metric in enumerate(metrics):
                phi, *others_phi = _distances(sides, metric, site, groups, warn=s == 0)
                if phi is None:
                    continue
                here = site.level, site.block, m, s
                side = transformed(phi, statistic, groups)
                values = comparison.correlations(side)
                low, high, p = jackknifed_correlation(values, level, group_shares)
                for k, g in np.argwhere(np.isfinite(values[0]) & ~np.isfinite(values).all(axis=0)):
                    alone.setdefault((list(tables)[k], list(sets)[g]), int(np.isnan(values[1:, k, g]).argmax()))
                own[:4, *here] = values[0], low, high, p
                waiting[here] = side.matrix
                if len(waiting) == PERMUTED_TOGETHER:
                    _permute(comparison, waiting, own)
                for c, other in enumerate(others_phi):
                    if other is not None:
                        control = comparison.correlations(transformed(other, statistic, groups))
                        less = jackknifed(values - control, level, group_shares)
                        against[:, c, *here] = [control[0], *less]
        _permute(comparison, waiting, own)
    if noise_free:
        # Images whose noise differs cannot be exchanged, also once it is taken off distances.
        own[4] = np.maximum(own[4], own[3])
    left_out = labels.strings(data["image"].values)[used] if members is None else np.unique(members[used])
    for (name, fixed), place in alone.items():
        warned(
            f"without {clusters or 'image'} {left_out[place]} the correlation with {name}, given {fixed}, is "
            "undefined: there is no interval and no p_jackknife; give more that differ from the rest",
            RuntimeWarning,
        )
    found: dict[str, Any] = {"correlation": Estimate(*own[:3]), "p_jackknife": own[3], "p_permutation": own[4]}
    coords = place_coords(data, metrics) | {"statistic": kinds, "other": list(tables), "given": list(sets)}
    if beside:
        found |= {"control_correlation": against[0], "difference": Estimate(*against[1:])}
        coords["control"] = list(beside)
    return CORRELATIONS.label(
        found,
        data,
        coords=coords,
        images=len(used),
        images_given=data.sizes["image"],
        clusters=clusters or ALONE,
        noise_free=TAKEN_OFF if noise_free else None,
        permutations=permutations,
        level=level,
        analysis_seed=seed,
    )


def _permute(comparison: Comparison, waiting: dict[tuple[int, ...], np.ndarray], own: np.ndarray) -> None:
    """Mantel's p-values of the representations that wait, by their places, put where they belong."""
    if waiting:
        places = tuple(np.array(list(waiting)).T)
        own[4][places] = comparison.p_values(list(waiting.values()), own[0][places])
        waiting.clear()


def _distances(
    sides: Mapping[str, list[np.ndarray]], metric: str, site: labels.Site, groups: np.ndarray | None, *, warn: bool
) -> list[np.ndarray | None]:
    """Distances between the images used, in φ and then in each control; None where undefined."""
    found = []
    for name, (x, *se) in sides.items():
        where = f"σ = {site.sigma:g}, block {site.name}" + ("" if name == "φ" else f", control {name}")
        error = se[0] if se else None
        spread = spreads(x, error, groups)
        features = prepared(x, metric, spread) if error is None else noise_taken_off(x, error, metric, spread)[0]
        good = defined(features, where, metric, warn=warn, noise_free=bool(se))
        found.append(distance_matrix(x, metric, error, spread) if good else None)
    return found


def _features(
    name: str, control: Control, names: Sequence[str], data: xr.Dataset, used: np.ndarray, site: labels.Site
) -> list[np.ndarray]:
    """A control's features beside φ of a noise level and block, and their standard errors where these are named."""
    if not (isinstance(control, xr.Dataset) and "phi" in control):
        return [representation(name, control, data, used, site)]
    return [representation(name, control.assign(phi=control[one]), data, used, site) for one in names]


def _check_sizes(data: xr.Dataset, permutations: int, max_images: int) -> None:
    if data.sizes["image"] < MIN_IMAGES:
        raise InputError(f"phi is of {data.sizes['image']} images: correlations over pairs need {MIN_IMAGES} at least")
    checks.whole("max_images", max_images, least=MIN_IMAGES)
    check_permutations("permutations", permutations)


def check_permutations(name: str, permutations: int) -> None:
    """Refuse numbers of permutations that no test can be made of."""
    if 0 < repeats(name, permutations, least=0) < 99:
        raise InputError(f"{name}={permutations}: give 99 or more, so that p can be 0.01, or 0 for no test")


class Further(TypedDict, total=False):
    """Options of single parts of `analyse`, which their functions explain."""

    k: int
    reference: float | None
    among: int
    query_images: int
    given: Given | None
    statistics: Sequence[str] | None
    controls: Mapping[str, Control] | None
    noise_free: bool
    permutations: int
    max_images: int


@FINDINGS.described
def analyse(
    data: xr.Dataset,
    *,
    label: str | None = None,
    classes: xr.DataArray | pd.DataFrame | str | Path | None = None,
    others: Mapping[str, Other] | None = None,
    distances: Sequence[str] | None = None,
    clusters: str | None = None,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
    **further: Unpack[Further],
) -> xr.Dataset:
    """Measure what distance in φ means: stability over noise, neighbours, correlations with other distances.

    `stability`, `neighbours` and `correlate` in one: claims 2 and 5 of Kadkhodaie, Mallat & Simoncelli
    (arXiv:2506.01912) with numbers. See these three for the definitions.

    Parameters
    ----------
    data
        phi (image, sigma, channel); phi_draws where present.
    label
        Coordinate along image with the classes; by default "label", where there is one. With `clusters` of the same
        name distances in φ are not correlated with it, since only pairs of different groups count.
    classes
        Distances between classes: a square table, or a file that `class_distances` takes; called "classes".
    others
        Further distances to compare with; see `correlate`.
    distances, clusters
        See `correlate`.
    resamples, level, seed
        Of all intervals.
    further
        Options of the three by name: `k` of `neighbours`; `reference` and `among` of `stability`; `query_images` of
        both; `given`, `statistics`, `controls`, `permutations` and `max_images` of `correlate`; `noise_free` of all
        three. But held fixed (`given`) are, by default, each of `others`, and all of them together; and searched
        (`reference`) is noise level 0.1 where the data has it, else the least above 0.

    Returns
    -------
    Dataset
        All variables of the three. Stability is left out if there is one noise level and no phi_draws, or, noise-free,
        if there are fewer than 4 of these; correlations if there is neither a label nor another.

        {findings}

    Raises
    ------
    InputError
        As the three raise.
    TypeError
        If an option is none of the three's.

    Examples
    --------
    >>> from probekit.synthetic.subspaces import union_of_subspaces
    >>> data, truth = union_of_subspaces(100, seed=1)
    >>> found = analyse(data.assign_coords(label=truth.subspace), permutations=99, distances=["cosine"])
    >>> bool((found.precision_low > found.precision_chance).all())
    True
    """
    unknown = sorted(set(further) - set(Further.__annotations__))
    if unknown:
        raise TypeError(
            f"analyse() has no option {checks.shown(unknown[0])}: give those of neighbours, stability and correlate"
        )
    free = checks.flag("noise_free", further.get("noise_free", False))
    data, metrics = checked(data, distances, free)
    resamples, level, seed = resampling(resamples, level, seed)
    compared = _compared(data, label, classes, others)
    named = compared.get("label")
    if isinstance(clusters, str) and isinstance(named, str) and named == clusters:
        del compared["label"]
    options: dict[str, Any] = dict(further)
    if options.get("given") is None:
        names = list(others or {})
        options["given"] = [*names, *([tuple(names)] if len(names) > 1 else [])]
    if options.get("reference") is None:
        options["reference"] = _reference(data["sigma"].values)
    shared = {"level": level, "seed": seed, "distances": metrics, "clusters": clusters, "noise_free": free}

    def of(*names: str) -> dict[str, Any]:
        return shared | {name: options[name] for name in names if name in options}

    parts = [neighbours(data, label=label, resamples=resamples, **of("k", "query_images"))]
    kept = data.sizes.get("draw", 0) if "phi_draws" in data else 0
    if kept >= LEAST_DRAWS if free else data.sizes["sigma"] > 1 or data.sizes.get("draw", 0) > 1:
        parts.append(stability(data, resamples=resamples, **of("reference", "among", "query_images")))
    if compared:
        how = of("given", "statistics", "controls", "permutations", "max_images")
        parts.append(correlate(data, compared, label=label, **how))
    # What one part keeps of the data may have the name of what another found.
    parts = [FINDINGS.distinct(part) for part in parts]
    found = xr.merge(parts, combine_attrs="drop_conflicts", join="exact", compat="equals")
    return found.assign_attrs(analysis=FINDINGS.analysis)


def _compared(data: xr.Dataset, label: str | None, classes: Any, others: Any) -> dict[str, Other]:
    """What distances in φ are compared with, by name."""
    compared: dict[str, Other] = {}
    if label is not None or "label" in data.coords:
        compared["label"] = "label" if label is None else label
        labels.classes(data, compared["label"])
    if classes is not None:
        square = isinstance(classes, xr.DataArray | pd.DataFrame)
        compared["classes"] = classes if square else class_distances(classes)
    if others is None:
        return compared
    more = checks.mapping("others", others, "a mapping, e.g. {'gist': gist}, or None")
    twice = sorted(set(more) & set(compared))
    if twice:
        raise InputError(f"others: the name {twice[0]!r} is taken by the labels: give another one")
    return compared | more


def _reference(sigma: np.ndarray) -> float:
    paper = np.isclose(sigma, 0.1)
    return float(sigma[paper][0] if paper.any() else min(sigma[sigma > 0], default=sigma[0]))
