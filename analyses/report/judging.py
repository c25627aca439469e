"""How each claim is judged: its criteria, from the findings that it needs. A claim is one entry of `CLAIMS`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import xarray as xr

from analyses.ground import TWINS, Estimate, interval, resampled_means
from analyses.report.criteria import (
    LEVEL,
    UNKNOWN,
    Claim,
    Criterion,
    Given,
    beyond,
    beyond_each,
    check_level,
    difference_of,
    estimate_of,
    of_each,
)
from probekit import labels
from probekit.errors import InputError

__all__ = ["CLAIMS", "LEAST_PAIRS", "STABLE_AT"]

LEAST_SHARE = 0.1
RANK = 4
NOT_DROPPING = ("enc2", "enc3")
STABLE_AT, STABLE = 0.3, 0.9
SEMANTIC = ("correlation: gist given colour", "correlation: label given gist and colour")
MATCHED, COPIED = 0.05, 0.05
LEAST_PAIRS, RELATED = 200, 0.5
Twins = Mapping[str, xr.Dataset | None]


def sparser(given: Given) -> Iterator[Criterion]:
    """The participation ratio of ā drops at the middle block, more than in both controls, and not in the encoder."""
    trained, untrained, block = given.trained["sparsity"], given.of_twins("sparsity"), given.block
    vector = "draw" if "draw" in labels.strings(trained["vector"].values) else "phi"
    chosen, members = {"vector": vector, "measure": "participation_ratio"}, _members(trained)
    for sigma in trained["sigma"].values:
        at = chosen | {"sigma": sigma}
        here, there = trained.sel(at), _selected(untrained, at)

        def changed(name: str, here: xr.Dataset = here, there: Twins = there) -> dict[str, Any]:
            return {
                "subject": f"participation ratio, output less input of {name}",
                "bound": 0.0,
                "estimate": estimate_of(here.sel(block=name), "change"),
                "control": of_each(there, lambda f: f["change"].sel(block=name)),
            }

        mine = changed(block)
        yield Criterion(comparison="below", sigma=sigma, **mine)
        below = partial(Criterion, mine["subject"], "below", 0.0, sigma=sigma)
        changes = _paired_changes(here, block)

        def excess(twin: xr.Dataset, changes: np.ndarray = changes) -> Estimate:
            return _resampled(changes - _paired_changes(twin, block), members)

        yield from beyond_each(below, mine["estimate"].value, there, excess)
        for name in NOT_DROPPING:
            if name in labels.strings(trained["block"].values) and str(here["input"].sel(block=name).item()):
                yield Criterion(comparison="not below", sigma=sigma, **changed(name))


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
    """Many selective and many common channels, the selective heavier-tailed, more of them than in both controls."""
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
        yield from beyond_each(
            above, mine["fraction"].item(), selective, lambda f, m=mine: difference_of(m, f, "fraction")
        )


def union_of_subspaces(given: Given) -> Iterator[Criterion]:
    """A union explains held-out φ better than one PCA, and active sets overlap more within clusters."""
    trained, untrained = given.trained["subspaces"], given.of_twins("subspaces")
    ranks = [int(rank) for rank in trained["rank"].values if rank <= RANK]
    for sigma in trained["sigma"].values:
        at = {"sigma": sigma, "block": given.block}
        here, there = trained.sel(at), _selected(untrained, at)
        for comparison in labels.strings(here["comparison"].values) if ranks else ():
            at = {"rank": max(ranks), "comparison": comparison}
            part, other = here.sel(at), _selected(there, at)
            union = f"union of {max(ranks)}-dimensional subspaces"
            subject = f"held-out variance explained, {union} less PCA of equal {comparison}"
            above = partial(Criterion, subject, "above", 0, sigma=sigma)
            counts = comparison == "parameters"
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
        yield Criterion("overlap of active sets, within less between subspaces", "above", 0, gap, sigma, control)


def stable(given: Given) -> Iterator[Criterion]:
    """An image is found again at another noise level."""
    for part in _measured(given, "stability"):
        if np.isclose(part["sigma"].item(), STABLE_AT):
            subject = "rate at which an image is nearest to itself at the least σ"
            yield from _beside(part, given, subject, ("at least", STABLE, ""), ("pixels",))


def semantic(given: Given) -> Iterator[Criterion]:
    """Distance in φ follows gist, and the label beyond gist and colour."""
    parts = [(name, part) for name in SEMANTIC for part in _measured(given, name)]
    for name, part in sorted(parts, key=lambda one: one[1]["sigma"].item()):
        subject = name.replace(": ", " of distances with ")
        yield from _beside(part, given, subject, ("above", 0.0, ""), ("pixels", "pca"))


def identity(given: Given) -> Iterator[Criterion]:
    """A linear probe reads the class."""
    for part in _measured(given, "accuracy"):
        chance = part["chance"].sel(row=_reference(given)).item()
        yield from _beside(part, given, "accuracy of a linear probe", ("above", chance, "chance"), ("pixels", "pca"))


def _reference(given: Given) -> str:
    assert given.controls is not None
    reference = str(given.controls.attrs["reference"])
    if not reference.endswith(f" {given.block}"):
        raise InputError(f"the controls are compared with {reference!r}, and the claims are about {given.block!r}")
    return reference


def _measured(given: Given, measure: str) -> Iterator[xr.Dataset]:
    """One measure of the table of controls, at each noise level; nothing where it was not measured."""
    _reference(given)
    assert given.controls is not None
    if measure in labels.strings(given.controls["measure"].values):
        for sigma in given.controls["sigma"].values:
            yield given.controls.sel(measure=measure, sigma=sigma)


def _beside(
    part: xr.Dataset, given: Given, subject: str, asked: tuple[Any, float, str], descriptors: tuple[str, ...]
) -> Iterator[Criterion]:
    """The reference's number against a bound, and above that of every row of a control that it is compared with."""
    sigma, names = part["sigma"].item(), labels.strings(part["row"].values)
    groups = labels.strings(part["group"].values)
    values = [part["value"].values[groups == twin] for twin in TWINS]
    control = tuple(float(value.mean()) if len(value) else np.nan for value in values)
    mine = part.sel(row=_reference(given))
    comparison, bound, name = asked
    number = Estimate(*(mine[end].item() for end in ("value", "low", "high")))
    yield Criterion(subject, comparison, bound, number, sigma, control, bound_name=name)
    above = partial(Criterion, subject, "above", 0, sigma=sigma)
    compared = {twin: groups == twin for twin in TWINS} | {name: names == name for name in descriptors}
    for name, chosen in compared.items():
        if not chosen.any():
            yield beyond(above, name, number.value, None, f"that of {name}")
        for r in np.flatnonzero(chosen):
            other = part.isel(row=r)
            more = Estimate(*(-other[end].item() for end in ("difference", "difference_high", "difference_low")))
            yield beyond(above, name, number.value, more, f"that of {names[r]}")


def reconstruction(given: Given) -> Iterator[Criterion]:
    """Samples match φ, are no copies, and are nearer to their condition in other blocks than free ones are."""
    variants, block = given.variants, given.block
    assert variants is not None
    names, networks = (labels.strings(variants[name].values) for name in ("variant", "network"))
    measures = labels.strings(variants["measure"].values)
    first = variants.isel(variant=0)
    if first["block"].item() != block or networks[0] != "trained":
        raise InputError(
            f"the first row, {names[0]!r}, holds {first['block'].item()} of the {networks[0]} network, and the claims "
            f"are about {block!r} of the trained: give what variants.table(block={block!r}) returns"
        )
    check_level(variants)
    controls = {twin: variants.isel(variant=list(names).index(twin)) if twin in names else None for twin in TWINS}

    def numbers(measure: str) -> dict[str, Any]:
        here = first.sel(measure=measure)
        estimate = Estimate(*(here[end].item() for end in ("value", "low", "high")))
        return {"estimate": estimate, "control": of_each(controls, lambda f: f["value"].sel(measure=measure))}

    yield Criterion("median relative error of φ", "at most", MATCHED, **numbers("error of φ"))
    for measure, of in (("near copies", "the condition"), ("near copies of references", "a training image")):
        if measure in measures:
            subject, counts = f"share of samples that are near copies of {of}", measure == "near copies"
            yield Criterion(subject, "at most", COPIED, counts=counts, **numbers(measure))
    sigma = float(variants.attrs["phi_sigma"])
    if f"distance in {block}" in measures:
        # φ is matched at the last noise level; at others it is as near as the images are alike.
        subject, found = f"relative distance to the condition's φ of {block}", numbers(f"distance in {block}")
        yield Criterion(subject, "at most", MATCHED, sigma=sigma, counts=False, **found)
    others = [name for name in str(variants.attrs["held_out"]).split(", ") if name and name != block]
    if not others:
        raise InputError("the variants were compared in no other block: give variants.table the taps held_out=")
    for name in others:
        subject = f"distance to the condition's φ of {name}, unconditional samples' less samples'"
        yield Criterion(subject, "above", 0, sigma=sigma, **numbers(f"nearer in {name}"))


def laws_follow(given: Given) -> Iterator[Criterion]:
    """Distances in φ rank pairs as distances between conditional laws do, and better than pixels."""
    by_measure = {
        twin: {str(findings.attrs["measure"]): findings for findings in several}
        for twin, several in given.densities_untrained.items()
    }
    for n, findings in enumerate(given.densities):
        check_level(findings)
        pairs, measure = findings.sizes["pair"], str(findings.attrs["measure"])
        if pairs < LEAST_PAIRS or "difference" not in findings:
            compared = "" if "difference" in findings else ", not compared with pixels"
            raise InputError(
                f"the densities are of {pairs} pairs{compared}: the criterion asks for {LEAST_PAIRS} pairs at least, "
                "and for the conditioning images as pixels"
            )
        here, twins = findings.sel(feature="phi"), {twin: by_measure[twin].get(measure) for twin in TWINS}
        number, more = estimate_of(here, "correlation"), estimate_of(findings, "difference")
        other = of_each(twins, lambda f: f["correlation"].sel(feature="phi"))
        less = of_each(twins, lambda f: f["difference"])
        subject = f"rank correlation of distances in φ and between laws ({measure.replace('_', ' ')}, {pairs} pairs)"
        counts = n == 0
        yield Criterion(subject, "at least", RELATED, number, control=other, counts=counts)
        yield Criterion(subject, "interval above", 0, number, control=other, counts=counts)
        yield Criterion(subject, "above", 0, more, control=less, less="that of pixels", counts=counts)


CLAIMS: Mapping[int, Claim] = {
    1: Claim(
        "Sparsity grows at the middle",
        "the participation ratio of ā is lower at the output of the middle block than at its input, more so than "
        "untrained with gains of 1 and with the paper's, and encoder blocks do not lower it",
        "sparsity",
        sparser,
        beside="before",
    ),
    2: Claim(
        "φ is stable over σ",
        "at σ = 0.3 nine images of ten are nearest to themselves at the least σ among 1,000, more than untrained "
        "with gains of 1 and with the paper's, and in pixels",
        "controls",
        stable,
        ("stability",),
    ),
    3: Claim(
        "Two types of channel",
        "a tenth of the middle block's channels at least are selective and a tenth common, the selective have heavier "
        "tails, and there are more of them than untrained with gains of 1 and with the paper's",
        "selectivity",
        two_types,
    ),
    4: Claim(
        "Union of subspaces",
        "a union of subspaces explains more of held-out images than one PCA of as many parameters, and active sets "
        "overlap more within its groups than between; more so than with channels shuffled, and than untrained "
        "with gains of 1 and with the paper's",
        "subspaces",
        union_of_subspaces,
    ),
    5: Claim(
        "Euclidean distance in φ is semantic",
        "distance in φ is correlated with gist given colour, and with label given gist and colour, more than in "
        "pixels, their PCA and untrained with gains of 1 and with the paper's",
        "controls",
        semantic,
        SEMANTIC,
    ),
    6: Claim(
        "Stochastic reconstruction",
        "the median relative error of φ is 5 % at most, near copies of the condition are 5 % at most, and samples are "
        "nearer to their condition in φ of other blocks than unconditional samples are",
        "variants",
        reconstruction,
        beside="other",
    ),
    7: Claim(
        "Distances between φ's follow distances between conditional densities",
        "the rank correlation of distances in φ with distances between conditional laws is 0.5 at least over 200 "
        "pairs, and above that of pixels",
        "densities",
        laws_follow,
    ),
    8: Claim(
        "Object identity is partly linear in φ",
        "a linear probe is above chance, and above pixels, their PCA and untrained with gains of 1 and with "
        "the paper's",
        "controls",
        identity,
        ("accuracy",),
    ),
}
