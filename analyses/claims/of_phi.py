"""Claims 1, 3 and 4, about φ alone: its sparsity, types of channel, and unions of subspaces."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import xarray as xr

from analyses.claims.criteria import (
    ENDS,
    LEVEL,
    UNKNOWN,
    Criterion,
    Given,
    beyond_each,
    difference_of,
    estimate_of,
    labelled,
    of_each,
    part_of,
)
from analyses.ground import Estimate, interval, resampled_means
from analyses.sparsity import MIN_UNITS
from probekit import labels
from probekit.errors import InputError

__all__ = ["sparser", "two_types", "union_of_subspaces"]

LEAST_SHARE = 0.1
KINDS = ("selective", "common")
RANK = 4
# What union and PCA have equally many of, where the verdict rests on it.
COUNTS = "parameters"
# The noise levels that claim 1 is about, and by how much encoder blocks may lower the ratio and still not drop.
LEVELS, MARGIN = (0.1, 0.2, 0.5), 0.02
RATIO, DRAW = "participation_ratio", "draw"
# Up to it the number of subspaces is no evidence of them: rectified channels of few dimensions have less than 0.1.
SURE = 0.9
NOT_TOLD = (
    "confidence of the number of subspaces: where it is low, overlap alone does not tell a union of subspaces from "
    "rectified channels of few dimensions"
)
Twins = Mapping[str, xr.Dataset | None]


def sparser(given: Given) -> Iterator[Criterion]:
    """The participation ratio of ā drops at the middle block, more than in both controls, and not in the encoder."""
    trained, untrained, block = given.trained["sparsity"], given.of_twins("sparsity"), given.block
    chosen = {"vector": DRAW if len(labelled(trained, "vector", DRAW)) else "phi", "measure": RATIO}
    members, levels = _members(trained), trained["sigma"].values
    said = _change_of(block)
    lacks = _input_lacking(given)
    if part_of(trained, **chosen) is None:
        lacks = RATIO.replace("_", " ")
    for sigma in LEVELS:
        if not np.isclose(levels, sigma).any():
            yield Criterion(said, "below", 0.0, UNKNOWN, sigma, lacks=f"σ = {sigma:g}", core=True)
    for sigma in levels:
        at = chosen | {"sigma": sigma}
        here, there = part_of(trained, **at), _selected(untrained, at)
        counts = bool(np.isclose(LEVELS, sigma).any())
        if here is None or lacks:
            yield Criterion(said, "below", 0.0, UNKNOWN, sigma, counts=counts, lacks=lacks, core=True)
        else:
            yield from _dropping(here, there, block, members, sigma, counts)
        for name, gone in _encoder(given).items():
            asked = partial(Criterion, _change_of(name), "above", -MARGIN, sigma=sigma, counts=counts)
            if here is None or gone:
                yield asked(estimate=UNKNOWN, lacks=gone or lacks)
            else:
                yield asked(**_change(here, there, name))


def _dropping(
    here: xr.Dataset, there: Twins, block: str, members: np.ndarray | None, sigma: float, counts: bool
) -> Iterator[Criterion]:
    """The ratio drops at the block, and more than in both controls."""
    mine, said = _change(here, there, block), _change_of(block)
    yield Criterion(said, "below", 0.0, sigma=sigma, counts=counts, core=True, **mine)
    if mine["lacks"]:
        return
    below = partial(Criterion, said, "below", 0.0, sigma=sigma, counts=counts)
    changes = _paired_changes(here, block)

    def excess(twin: xr.Dataset) -> Estimate:
        return _resampled(changes - _paired_changes(twin, block), members)

    yield from beyond_each(below, mine["estimate"].value, there, excess)


def _change(here: xr.Dataset, there: Twins, name: str) -> dict[str, Any]:
    """The change at a block, which lacks images where it has a value and no interval."""
    estimate = estimate_of(here.sel(block=name), "change")
    control = of_each(there, lambda f: f["change"].sel(block=name))
    few = np.isfinite(estimate.value) and not np.isfinite(estimate.low)
    lacks = f"{MIN_UNITS} images, or groups" if few else ""
    return {"estimate": UNKNOWN if few else estimate, "control": control, "lacks": lacks}


def _change_of(name: str) -> str:
    return f"participation ratio, output less input of {name}"


def _inputs(given: Given) -> dict[str, str]:
    """What feeds each block of the findings, "" where that was not tapped."""
    found = given.trained["sparsity"]
    return dict(zip(*(labels.strings(found[name].values).tolist() for name in ("block", "input")), strict=True))


def _input_lacking(given: Given) -> str:
    """What lacks for the change at the block: the block before it, or that it is compared with that one."""
    fed_by = _inputs(given)
    numbered = labels.encoders(given.blocks, given.block) and not given.block.startswith(labels.DECODER)
    before = labels.block_before(given.blocks, given.block) if numbered else fed_by[given.block]
    if "+" in fed_by[given.block]:
        raise InputError(
            f"the input of {given.block!r} is {fed_by[given.block]!r}: judge findings in which one tap feeds it, e.g. "
            f"of {', '.join(fed_by)} and the block before"
        )
    if before in fed_by and fed_by[given.block] == before:
        return ""
    return f"{before or 'the block'} before {given.block}"


def _encoder(given: Given) -> dict[str, str]:
    """Blocks that may not drop, and what lacks for that to be judged.

    All of enc2, enc3, … up to the last that any finding names, each fed by the one before it; what feeds enc1 is the
    image. In a network without such names every block on the way to the one that the claims are about, whose first has
    an input that was not measured.
    """
    fed_by, numbered = _inputs(given), labels.encoders(given.blocks, given.block)
    if not numbered:
        way, name = [], fed_by[given.block]
        while name in fed_by and name not in way:
            way, name = [name, *way], fed_by[name]
        first = f"the block before {way[0]}; the first block of an encoder is called {labels.ENCODER}1" if way else ""
        return {name: "" if fed_by[name] in fed_by else first for name in way}
    found = {}
    for n in range(2, max(2, *numbered) + 1):
        name, before = f"{labels.ENCODER}{n}", f"{labels.ENCODER}{n - 1}"
        needed = [one for one in (before, name) if one not in fed_by]
        apart = not needed and fed_by[name] != before
        found[name] = f"{before} as the input of {name}" if apart else " and ".join(needed)
    return found


def _selected(untrained: Twins, at: Mapping[str, Any]) -> dict[str, xr.Dataset | None]:
    return {name: part_of(found, **at) for name, found in untrained.items()}


def _resampled(values: np.ndarray, members: np.ndarray | None) -> Estimate:
    if not np.isfinite(values).any():
        return UNKNOWN
    drawn = resampled_means(values, clusters=members, resamples=2000, seed=0)
    units = len(values) if members is None else len(set(members))
    low, high = (float(end) for end in interval(drawn, LEVEL, units=units))
    return Estimate(float(np.nanmean(values)), low, high)


def _members(findings: xr.Dataset) -> np.ndarray | None:
    """Groups of images that the findings' own intervals resample whole."""
    name = str(findings.attrs.get("clusters", ""))
    return labels.strings(findings[name].values) if name in findings.coords else None


def _paired_changes(findings: xr.Dataset, block: str) -> np.ndarray:
    """Output less input of the block, image by image."""
    fed_by = str(findings["input"].sel(block=block).item())
    per_image = findings["per_image"]
    return (per_image.sel(block=block) - per_image.sel(block=fed_by)).values


def two_types(given: Given) -> Iterator[Criterion]:
    """Many selective and many common channels, the selective heavier-tailed, more of them than in both controls.

    Channels that images push below rest are suppressed, and count as neither.
    """
    trained, untrained = given.trained["selectivity"], given.of_twins("selectivity")
    for sigma in trained["sigma"].values:
        at = {"sigma": sigma, "block": given.block}
        here, there = trained.sel(at), _selected(untrained, at)
        for kind in KINDS:
            one, subject = part_of(here, kind=kind), f"share of {kind} channels"
            if one is None:
                yield Criterion(subject, "at least", LEAST_SHARE, UNKNOWN, sigma, lacks=f"{kind} channels")
                continue
            control = of_each(there, lambda f, kind=kind: f["fraction"].sel(kind=kind))
            yield Criterion(subject, "at least", LEAST_SHARE, estimate_of(one, "fraction"), sigma, control)
        tails, control = estimate_of(here, "kurtosis_difference"), of_each(there, lambda f: f["kurtosis_difference"])
        yield Criterion("median excess kurtosis, selective less common", "above", 0, tails, sigma, control)
        above = partial(Criterion, "share of selective channels", "above", 0, sigma=sigma)
        selective, mine = {"kind": KINDS[0]}, part_of(here, kind=KINDS[0])
        if mine is None:
            yield above(estimate=UNKNOWN, less="those of untrained networks", lacks=f"{KINDS[0]} channels")
            continue
        twins = _selected(there, selective)
        yield from beyond_each(above, mine["fraction"].item(), twins, lambda f, m=mine: _apart(m, f, "fraction"))


def _apart(here: xr.Dataset, there: xr.Dataset, name: str) -> Estimate:
    """Difference of two numbers, of which each may lie anywhere between its bounds."""
    own, other = estimate_of(here, name), estimate_of(there, name)
    return Estimate(own.value - other.value, own.low - other.high, own.high - other.low)


def union_of_subspaces(given: Given) -> Iterator[Criterion]:
    """A union explains held-out φ better than one PCA, and active sets overlap more within clusters."""
    trained, untrained = given.trained["subspaces"], given.of_twins("subspaces")
    ranks = [int(rank) for rank in trained["rank"].values if rank <= RANK]
    comparisons = labels.strings(trained["comparison"].values) if ranks else []
    for sigma in trained["sigma"].values:
        at = {"sigma": sigma, "block": given.block}
        here, there = trained.sel(at), _selected(untrained, at)
        if COUNTS not in comparisons:
            lacks = f"a rank of at most {RANK}" if not ranks else f"PCA of equal {COUNTS}"
            subject = f"held-out variance explained, union of subspaces less PCA of equal {COUNTS}"
            for less in ("", "that of channel-shuffled φ", "those of untrained networks"):
                yield Criterion(subject, "above", 0.0, UNKNOWN, sigma, less=less, lacks=lacks)
        for comparison in comparisons:
            at = {"rank": max(ranks), "comparison": comparison}
            part, other = here.sel(at), _selected(there, at)
            union = f"union of {max(ranks)}-dimensional subspaces"
            subject = f"held-out variance explained, {union} less PCA of equal {comparison}"
            above = partial(Criterion, subject, "above", 0, sigma=sigma)
            counts = comparison == COUNTS
            gain = estimate_of(part, "gain")
            yield above(estimate=gain, control=of_each(other, lambda f: f["gain"]), counts=counts)
            if counts:
                over, control = (
                    estimate_of(part, "gain_over_shuffled"),
                    of_each(other, lambda f: f["gain_over_shuffled"]),
                )
                yield above(estimate=over, control=control, less="that of channel-shuffled φ")
                yield from beyond_each(above, gain.value, other, lambda f, part=part: difference_of(part, f, "gain"))
        overlap = list(_overlap(here, there, sigma))
        yield from overlap
        sure = here["confidence"].item()
        if all(one.holds for one in overlap) and not sure >= SURE:
            number, control = Estimate(sure, np.nan, np.nan), of_each(there, lambda f: f["confidence"])
            yield Criterion(NOT_TOLD, "at least", SURE, number, sigma, control, counts=False)


def _overlap(here: xr.Dataset, there: Twins, sigma: float) -> Iterator[Criterion]:
    """Active sets overlap more within groups than between, than with channels shuffled, and than in both controls."""
    gap, control = estimate_of(here, "overlap_gap"), of_each(there, lambda f: f["overlap_gap"])
    above = partial(Criterion, "overlap of active sets, within less between subspaces", "above", 0, sigma=sigma)
    yield above(estimate=gap, control=control)
    shuffled = here.assign({f"overlap_gap{end}": here[f"overlap_gap_shuffled{end}"] for end in ENDS})
    over = difference_of(here, _in_one_group(shuffled), "overlap_gap")
    yield above(estimate=over, less="that of channel-shuffled φ")

    def excess(twin: xr.Dataset) -> Estimate:
        return difference_of(here, _in_one_group(twin), "overlap_gap")

    yield from beyond_each(above, gap.value, there, excess)


def _in_one_group(findings: xr.Dataset) -> xr.Dataset:
    """Findings of a control where one group is found, so that there is nothing between groups: the gap is 0 there."""
    alone = np.isnan(findings["overlap_gap"])
    return findings.assign({f"overlap_gap{end}": findings[f"overlap_gap{end}"].where(~alone, 0.0) for end in ENDS})
