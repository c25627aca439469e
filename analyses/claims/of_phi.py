"""Claims 1, 3 and 4, about φ alone: its sparsity, types of channel, and unions of subspaces."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import xarray as xr

from analyses.claims.criteria import LEVEL, UNKNOWN, Criterion, Given, beyond_each, difference_of, estimate_of, of_each
from analyses.ground import Estimate, interval, resampled_means
from analyses.sparsity import MIN_UNITS
from probekit import labels
from probekit.errors import InputError

__all__ = ["sparser", "two_types", "union_of_subspaces"]

LEAST_SHARE = 0.1
RANK = 4
# What union and PCA have equally many of, where the verdict rests on it.
COUNTS = "parameters"
# The noise levels that claim 1 is about, and by how much encoder blocks may lower the ratio and still not drop.
LEVELS, MARGIN = (0.1, 0.2, 0.5), 0.02
ENCODER = "enc"
ENDS = ("", "_low", "_high")
Twins = Mapping[str, xr.Dataset | None]


def sparser(given: Given) -> Iterator[Criterion]:
    """The participation ratio of ā drops at the middle block, more than in both controls, and not in the encoder.

    Of networks whose blocks before the middle are not called enc… nothing is asked there.
    """
    trained, untrained, block = given.trained["sparsity"], given.of_twins("sparsity"), given.block
    vector = "draw" if "draw" in labels.strings(trained["vector"].values) else "phi"
    chosen, members = {"vector": vector, "measure": "participation_ratio"}, _members(trained)
    levels, blocks = trained["sigma"].values, labels.strings(trained["block"].values).tolist()
    encoder = [name for name in blocks[: blocks.index(block)] if name.startswith(ENCODER)]
    fed = [name for name in encoder if str(trained["input"].sel(block=name).item())]
    said = f"participation ratio, output less input of {block}"
    for sigma in LEVELS:
        if not np.isclose(levels, sigma).any():
            yield Criterion(said, "below", 0.0, UNKNOWN, sigma, lacks=f"σ = {sigma:g}", core=True)
    for sigma in levels:
        at = chosen | {"sigma": sigma}
        here, there = trained.sel(at), _selected(untrained, at)
        counts = bool(np.isclose(LEVELS, sigma).any())

        def changed(name: str, here: xr.Dataset = here, there: Twins = there) -> dict[str, Any]:
            return {
                "subject": f"participation ratio, output less input of {name}",
                "estimate": estimate_of(here.sel(block=name), "change"),
                "control": of_each(there, lambda f: f["change"].sel(block=name)),
            }

        mine = changed(block)
        if np.isfinite(mine["estimate"].value) and not np.isfinite(mine["estimate"].low):
            yield Criterion(
                said, "below", 0.0, UNKNOWN, sigma, counts=counts, lacks=f"{MIN_UNITS} images, or groups", core=True
            )
            continue
        yield Criterion(comparison="below", bound=0.0, sigma=sigma, counts=counts, core=True, **mine)
        below = partial(Criterion, mine["subject"], "below", 0.0, sigma=sigma, counts=counts)
        changes = _paired_changes(here, block)

        def excess(twin: xr.Dataset, changes: np.ndarray = changes) -> Estimate:
            return _resampled(changes - _paired_changes(twin, block), members)

        yield from beyond_each(below, mine["estimate"].value, there, excess)
        for name in fed:
            yield Criterion(comparison="above", bound=-MARGIN, sigma=sigma, counts=counts, **changed(name))
        if encoder and not fed:
            what = f"participation ratio, output less input of {encoder[-1]}"
            lacks = "the block before an encoder block"
            yield Criterion(what, "above", -MARGIN, UNKNOWN, sigma, counts=counts, lacks=lacks)


def _selected(untrained: Twins, at: Mapping[str, Any]) -> dict[str, xr.Dataset | None]:
    return {name: None if found is None else found.sel(at) for name, found in untrained.items()}


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
    known = list(labels.strings(findings["block"].values))
    if fed_by not in known:
        raise InputError(
            f"the input of {block!r} is {fed_by or 'not tapped'!r}: judge findings in which one tap feeds it, "
            f"e.g. of {', '.join(known)} and the block before"
        )
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
        for kind in ("selective", "common"):
            share = estimate_of(here.sel(kind=kind), "fraction")
            control = of_each(there, lambda f, kind=kind: f["fraction"].sel(kind=kind))
            yield Criterion(f"share of {kind} channels", "at least", LEAST_SHARE, share, sigma, control)
        tails, control = estimate_of(here, "kurtosis_difference"), of_each(there, lambda f: f["kurtosis_difference"])
        yield Criterion("median excess kurtosis, selective less common", "above", 0, tails, sigma, control)
        above, mine = (
            partial(Criterion, "share of selective channels", "above", 0, sigma=sigma),
            here.sel(kind="selective"),
        )
        selective = _selected(there, {"kind": "selective"})
        yield from beyond_each(above, mine["fraction"].item(), selective, lambda f, m=mine: _apart(m, f, "fraction"))


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
            yield Criterion(subject, "above", 0.0, UNKNOWN, sigma, lacks=lacks)
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
        gap, control = estimate_of(here, "overlap_gap"), of_each(there, lambda f: f["overlap_gap"])
        above = partial(Criterion, "overlap of active sets, within less between subspaces", "above", 0, sigma=sigma)
        yield above(estimate=gap, control=control)
        shuffled = here.assign({f"overlap_gap{end}": here[f"overlap_gap_shuffled{end}"] for end in ENDS})
        over = difference_of(here, _in_one_group(shuffled), "overlap_gap")
        yield above(estimate=over, less="that of channel-shuffled φ")

        def excess(twin: xr.Dataset, here: xr.Dataset = here) -> Estimate:
            return difference_of(here, _in_one_group(twin), "overlap_gap")

        yield from beyond_each(above, gap.value, there, excess)


def _in_one_group(findings: xr.Dataset) -> xr.Dataset:
    """Findings of a control where one group is found, so that there is nothing between groups: the gap is 0 there."""
    alone = np.isnan(findings["overlap_gap"])
    return findings.assign({f"overlap_gap{end}": findings[f"overlap_gap{end}"].where(~alone, 0.0) for end in ENDS})
