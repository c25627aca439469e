"""How many channels share the activity of an image: sparsity along the network, and which measures agree on it."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from itertools import combinations, product
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr

from analyses.ground import (
    Estimate,
    Findings,
    Variable,
    along,
    as_activity,
    at_hand,
    check_numbers,
    image_blocks,
    interval,
    resampled_means,
    resampling,
)
from analyses.sparsity.dimensions import MIN_IMAGES, dimensions, together
from analyses.sparsity.kernels import MEASURES, kendall, measures
from probekit import checks, labels
from probekit.errors import InputError
from probekit.labels import strings
from probekit.machine.extents import Extent
from probekit.machine.progress import at_work_on

__all__ = ["FINDINGS", "MIN_UNITS", "analyse"]

ORIENTATION = np.array([direction for direction, _ in MEASURES.values()])
# Images or clusters that an interval of a mean needs: among fewer, one in ten that is unlike the rest is often missing.
MIN_UNITS = 30
Inputs = Mapping[str, str | Sequence[str] | None]
PLACE = ("vector", "sigma", "block", "measure")
PAIRS, PAIRS_OVER_SIGMA = (("vector", kept, "measure", "other_measure") for kept in ("sigma", "block"))
RESAMPLED = "images, or clusters of them, resampled"
FINDINGS = Findings(
    "sparsity",
    {
        "per_image": Variable(("image", *PLACE), "sparsity measure of each image; NaN without any activity"),
        "sparsity": Variable(PLACE, "sparsity measure, mean over images", interval=RESAMPLED),
        "change": Variable(
            PLACE, "measure of the block's output less that of its input; NaN without input", interval=RESAMPLED
        ),
        "zero_vectors": Variable(PLACE[:3], "images without any activity, which means leave out", "images"),
        "dimension": Variable(
            ("sigma", "block"),
            "(Σλ)²/Σλ² of the covariance over images, sums estimated without bias; NaN with fewer than 4 images",
            interval="jackknife over images, skewness taken out; NaN with fewer than 200 images, or under clusters",
        ),
        "dimension_plain": Variable(("sigma", "block"), "(Σλ)²/Σλ² of the sample covariance, biased low by few images"),
        "agreement": Variable(PAIRS, "Kendall's τ between two measures' rankings of blocks"),
        "contradictions": Variable(
            PAIRS, "pairs of blocks that two measures order oppositely, both significantly", "pairs"
        ),
        "agreement_over_sigma": Variable(
            PAIRS_OVER_SIGMA, "Kendall's τ between two measures' rankings of noise levels"
        ),
        "contradictions_over_sigma": Variable(
            PAIRS_OVER_SIGMA, "pairs of noise levels that two measures order oppositely, both significantly", "pairs"
        ),
    },
    coords={
        "vector": "what is measured: φ, or each draw's ā, then averaged",
        "block": "block, by the tap at its output",
        "input": "taps that feed the block",
        "channels": "number of channels",
        "measure": "measure of sparsity",
        "other_measure": "measure of sparsity",
        "sparser_when": "values that mean sparser",
    },
)


@FINDINGS.described
def analyse(
    data: xr.Dataset,
    *,
    block_inputs: Inputs | None = None,
    clusters: str | None = None,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> xr.Dataset:
    """Measure how sparse each image's channel averages are, at every tap and noise level, and how blocks change it.

    For a non-negative a in R^C: the participation ratio PR = (Σa)²/(C Σa²) of Kadkhodaie, Mallat &
    Simoncelli (arXiv:2506.01912); Hoyer's, Gini's and Treves & Rolls' sparseness; the effective number by
    entropy exp(H)/C. PR and the effective number lie in [1/C, 1] and are *smaller* for sparser vectors; the
    others lie in [0, 1] and are *larger*. Of one vector, Hoyer's is (1 − √PR) √C/(√C − 1) and Treves & Rolls'
    (1 − PR)/(1 − 1/C), so these can rank differently from PR only by averaging over images or between blocks of
    different C; Gini's and the entropy's carry information of their own. The exact formulas stand in the attrs
    of `sparsity`.

    The dimension of a block is (Σλ)²/Σλ² of the eigenvalues λ of φ's covariance over images, the two
    sums estimated without bias (Himeno & Yamada 2014), so that it does not shrink with few images as the plain
    ratio does. It counts linear dimensions, measurement error of φ included.

    Parameters
    ----------
    data
        phi (image, sigma, channel), non-negative, of one or several taps; phi_draws where the sparsity of
        ā of single noise draws is wanted too.
    block_inputs
        From a tap to its block's input, a tap or several that are concatenated, e.g.
        ``{"mid": "enc3", "dec3": ("mid", "enc3")}``; by default, or where it is None, the tap before it in the data.
        Average pooling between blocks keeps channel averages, so enc3's are those of mid's input. A decoder block is
        fed by an up-convolution and an encoder block: say so here where both are to count.
    clusters
        Coordinate along `image`, such as "label", whose groups are resampled whole: for images that are not
        independent, as crops of one photograph. By default images are.
    resamples, level, seed
        Of the bootstrap over images: number ≥ 100, coverage in (0, 1), seed ≥ 0.

    Returns
    -------
    Dataset
        Over `vector`, "phi" and, with phi_draws, "draw": the mean over draws of each ā's measure.

        {findings}

        The attribute `disagreement` says in words which measures contradict each other. Intervals of means are NaN for
        fewer than 30 images or clusters; how often they cover is in docs/calibration.md. Images are resampled by
        their ids, so their order changes nothing but `per_image`'s.

    Raises
    ------
    InputError
        If phi is missing, mislabelled, not finite or negative, a block or coordinate is unknown, or an option
        is out of its range.

    Examples
    --------
    >>> from probekit.synthetic.subspaces import union_of_subspaces
    >>> findings = analyse(union_of_subspaces(200, seed=1).data)
    >>> float(findings.sparsity.sel(measure="participation_ratio", vector="phi").item()) < 0.6
    True
    """
    resamples, level, seed = resampling(resamples, level, seed)
    data = at_hand(data, "phi", "phi_draws")
    data = as_activity(data, "phi", "phi_draws", known=_check(data))
    groups = _clusters(data, clusters)
    order = _scattered(data["image"].values)
    units = data.sizes["image"] if groups is None else len(np.unique(groups))
    taps = tuple(labels.blocks(data))
    inputs = _inputs(taps, block_inputs)
    fed = {name: inputs[name] for name in taps if inputs[name]}
    singles = [(name,) for name in taps]
    joined = [several for several in dict.fromkeys(fed.values()) if several not in singles]
    per_block, zero = _measured(data, [*singles, *joined])
    per_image = per_block[:, :, :, : len(taps)]

    # Of measures and changes at once, by the same resamples: drawing them takes longest where images are many.
    both = np.full((data.sizes["image"], 2, *per_image.shape[1:]), np.nan, np.float32)
    both[:, 0] = per_image[order]
    for name, names in fed.items():
        output, source = taps.index(name), [*singles, *joined].index(names)
        both[:, 1, :, :, output] = (per_block[:, :, :, output] - per_block[:, :, :, source])[order]
    members = None if groups is None else groups[order]
    drawn = resampled_means(both, clusters=members, resamples=resamples, seed=seed)
    mean, boot = _mean(both), Bootstrap(drawn[:, 0], drawn[:, 1], level, units)
    del both
    values = {
        "per_image": np.ascontiguousarray(per_image),
        "sparsity": Estimate(mean[0], *boot.interval(boot.means)),
        "change": Estimate(mean[1], *boot.interval(boot.changes)),
        "zero_vectors": zero[:, :, : len(taps)],
        **_agreements(mean[0], boot),
    }
    del per_block, per_image
    found = dimensions(data, level if groups is None and len(data["image"]) >= MIN_IMAGES else None)
    values |= {"dimension": Estimate(*found[:3]), "dimension_plain": found[3]}
    formulas = {name: formula for name, (_, formula) in MEASURES.items()}
    findings = FINDINGS.label(
        values,
        data,
        coords=_coords(data, mean.shape[1], taps, inputs),
        attrs={"per_image": formulas, "sparsity": formulas},
        clusters=clusters or "none: images are independent",
        resamples=resamples,
        level=level,
        analysis_seed=seed,
    )
    return findings.assign_attrs(disagreement=_disagreement(findings))


class Bootstrap(NamedTuple):
    """Resampled means of values and of changes, (resamples, vector, sigma, block, measure)."""

    means: np.ndarray
    changes: np.ndarray
    level: float
    units: int

    def interval(self, resampled: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if self.units < MIN_UNITS:
            unknown = np.full(resampled.shape[1:], np.nan)
            return unknown, unknown
        return interval(resampled, self.level, units=self.units)


def _scattered(ids: np.ndarray) -> np.ndarray:
    """An order of images that depends on their ids alone, and on nothing that ids may be sorted by."""
    names = list(map(str, ids))
    sums = np.fromiter((zlib.crc32(name.encode()) for name in names), np.int64, len(names))
    # The few whose sums are equal go by their names.
    equal = np.flatnonzero(pd.Index(sums).duplicated(keep=False)).tolist()
    places = np.zeros(len(names), np.int64)
    places[sorted(equal, key=lambda i: names[i])] = np.arange(len(equal))
    return np.lexsort((places, sums))


def _check(data: xr.Dataset) -> dict[str, Extent]:
    check_numbers(data, "phi", "phi_draws")
    known = labels.check(data, "phi", *(["phi_draws"] if isinstance(data, xr.Dataset) and "phi_draws" in data else []))
    labels.check_ids(data)
    if not all(data["phi"].sizes.values()):
        raise InputError(f"phi has sizes {dict(data['phi'].sizes)}: give at least one image, noise level and channel")
    return known


def _clusters(data: xr.Dataset, name: str | None) -> np.ndarray | None:
    if name is None:
        return None
    return labels.classes(data, name, option="clusters", least=1)


def _inputs(taps: tuple[str, ...], given: Inputs | None) -> dict[str, tuple[str, ...]]:
    """The taps that feed each block; () for the first, which nothing measured feeds."""
    inputs = {name: taps[max(k - 1, 0) : k] for k, name in enumerate(taps)}
    wanted = 'a mapping from a tap to its input, e.g. {"mid": "enc3"}'
    for block, fed_by in ({} if given is None else checks.mapping("block_inputs", given, wanted)).items():
        if fed_by is None and block in inputs:
            continue
        if not isinstance(fed_by, str | Sequence | None) or not all(isinstance(name, str) for name in fed_by or ()):
            raise InputError(f"block_inputs: {checks.shown(fed_by)} feeds {block!r}: name a tap, or several in a tuple")
        names = () if fed_by is None else (fed_by,) if isinstance(fed_by, str) else tuple(fed_by)
        unknown = [name for name in (block, *names) if name not in taps]
        if unknown or not names:
            what = f"{unknown[0]!r} is no tap of the data" if unknown else f"nothing feeds {block!r}"
            raise InputError(f"block_inputs: {what}: name taps among {', '.join(taps)}")
        inputs[block] = names
    return inputs


def _measured(data: xr.Dataset, blocks: Sequence[tuple[str, ...]]) -> tuple[np.ndarray, np.ndarray]:
    """Measures (image, vector, sigma, block, measure) and numbers of zero vectors (vector, sigma, block).

    A block of several taps is their concatenation.
    """
    vectors = ["phi", *(["phi_draws"] if "phi_draws" in data else [])]
    taps = strings(data["tap"].values)
    columns = [together(np.flatnonzero(np.isin(taps, block))) for block in blocks]
    sizes = (data.sizes["image"], len(vectors), data.sizes["sigma"], len(blocks))
    found, zero = np.empty((*sizes, len(MEASURES)), np.float32), np.zeros(sizes[1:], np.int64)
    for v, name in enumerate(vectors):
        for rows, activity in image_blocks(data[name]):
            with at_work_on(f"sparsity: image {rows.start + 1} of {sizes[0]}"):
                for s, b in product(range(sizes[2]), range(sizes[3])):
                    # In one order in memory, wherever it lay: sums go by it.
                    own = activity[:, s][..., columns[b]].astype(np.float64, order="C")
                    found[rows, v, s, b], silent = _of_vectors(own, of_draws=name == "phi_draws")
                    zero[v, s, b] += silent.sum()
    return found, zero


def _of_vectors(a: np.ndarray, *, of_draws: bool) -> tuple[np.ndarray, np.ndarray]:
    """Measures (image, measure) of activities (image, [draw,] channel), and which images have none."""
    with np.errstate(invalid="ignore"):
        values = measures(a)
    silent = (a == 0).all(axis=-1)
    if not of_draws:
        return values, silent
    # Draws without activity are left out, as images are; an image without any active draw is NaN.
    active = (~silent).sum(axis=1)
    values = np.where(silent[..., None], 0, values).sum(axis=1)
    return values / np.where(active, active, np.nan)[:, None], active == 0


def _mean(values: np.ndarray) -> np.ndarray:
    there = ~np.isnan(values)
    known = there.sum(axis=0)
    # Without a copy of all of it, as nansum makes.
    return np.sum(values, axis=0, dtype=np.float64, where=there) / np.where(known, known, np.nan)


def _agreements(mean: np.ndarray, boot: Bootstrap) -> dict[str, Any]:
    """How two measures rank blocks at each noise level, and noise levels at each block."""
    mean, resampled = mean * ORIENTATION, boot.means * ORIENTATION
    values: dict[str, Any] = {}
    for axis, suffix in ((2, ""), (1, "_over_sigma")):
        pairs = list(combinations(range(mean.shape[axis]), 2))
        first, second = np.array(pairs, int).reshape(-1, 2).T
        order = np.sign(mean.take(first, axis) - mean.take(second, axis))
        low, high = boot.interval(resampled.take(first, axis + 1) - resampled.take(second, axis + 1))
        sure = np.where(low > 0, 1, np.where(high < 0, -1, 0))
        order, sure = (np.moveaxis(signs, axis, -2) for signs in (order, sure))
        values[f"agreement{suffix}"] = kendall(np.nan_to_num(order))
        values[f"contradictions{suffix}"] = (sure[..., :, None] * sure[..., None, :] < 0).sum(axis=-3)
    return values


def _coords(
    data: xr.Dataset, vectors: int, taps: tuple[str, ...], inputs: dict[str, tuple[str, ...]]
) -> dict[str, Any]:
    names = list(MEASURES)
    sparser = ["smaller" if direction < 0 else "larger" for direction, _ in MEASURES.values()]
    channels = [int((strings(data["tap"].values) == name).sum()) for name in taps]

    return {
        "vector": ["phi", "draw"][:vectors],
        "block": list(taps),
        "input": ("block", ["+".join(inputs[name]) for name in taps]),
        "channels": along("block", channels, FINDINGS.coords["channels"], units="channels"),
        "measure": names,
        "other_measure": names,
        "sparser_when": ("measure", sparser),
    }


def _disagreement(findings: xr.Dataset) -> str:
    """Which measures contradict each other, in words."""
    said = []
    phi = findings.sel(vector="phi")
    for suffix, over in (("", "blocks"), ("_over_sigma", "noise levels")):
        counts = phi[f"contradictions{suffix}"].sum("block" if suffix else "sigma")
        said += [
            f"{a} and {b} order {int(counts.sel(measure=a, other_measure=b))} pairs of {over} oppositely"
            for a, b in combinations(MEASURES, 2)
            if int(counts.sel(measure=a, other_measure=b))
        ]
    return "; ".join(said) or "no two measures order any two blocks or noise levels oppositely beyond doubt"
