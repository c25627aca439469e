"""How each claim is judged: its criteria, from the findings that it needs. A claim is one entry of `CLAIMS`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import xarray as xr

from analyses.ground import Estimate, interval, resampled_means
from analyses.report.criteria import LEVEL, Claim, Criterion, Given, check_level, difference_of, estimate_of
from probekit import labels
from probekit.errors import InputError

__all__ = ["CLAIMS", "LEAST_PAIRS", "STABLE_AT"]

LEAST_SHARE = 0.1
RANK = 4
NOT_DROPPING = ("enc2", "enc3")
STABLE_AT, STABLE = 0.3, 0.9
SEMANTIC = ("correlation: gist given colour", "correlation: label given gist and colour")
UNTRAINED = "the untrained network's"
MATCHED, COPIED = 0.05, 0.05
LEAST_PAIRS, RELATED = 200, 0.5


def sparser(given: Given) -> Iterator[Criterion]:
    """The participation ratio of ā drops at the middle block, more than untrained, and not in the encoder."""
    trained, untrained, block = given.trained["sparsity"], given.untrained["sparsity"], given.block
    vector = "draw" if "draw" in labels.strings(trained["vector"].values) else "phi"
    chosen = {"vector": vector, "measure": "participation_ratio"}
    for sigma in trained["sigma"].values:
        here, there = (f.sel(chosen).sel(sigma=sigma) for f in (trained, untrained))

        def changed(name: str, here: xr.Dataset = here, there: xr.Dataset = there) -> dict[str, Any]:
            return {
                "subject": f"participation ratio, output less input of {name}",
                "bound": 0.0,
                "estimate": estimate_of(here.sel(block=name), "change"),
                "control": there["change"].sel(block=name).item(),
            }

        yield Criterion(comparison="below", sigma=sigma, **changed(block))
        excess = _paired_changes(here, block) - _paired_changes(there, block)
        estimate = _resampled(excess, _members(trained))
        mine = changed(block) | {"estimate": estimate, "control": np.nan}
        yield Criterion(comparison="below", sigma=sigma, less=UNTRAINED, **mine)
        for name in NOT_DROPPING:
            if name in labels.strings(trained["block"].values) and str(here["input"].sel(block=name).item()):
                yield Criterion(comparison="not below", sigma=sigma, **changed(name))


def _resampled(values: np.ndarray, members: np.ndarray | None) -> Estimate:
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
    """Many selective and many common channels, the selective heavier-tailed, more of them than untrained."""
    trained, untrained = given.trained["selectivity"], given.untrained["selectivity"]
    for sigma in trained["sigma"].values:
        here, there = (f.sel(sigma=sigma, block=given.block) for f in (trained, untrained))
        for kind in ("selective", "common"):
            share = estimate_of(here.sel(kind=kind), "fraction")
            control = there["fraction"].sel(kind=kind).item()
            yield Criterion(f"share of {kind} channels", "at least", LEAST_SHARE, share, sigma, control)
        tails, control = estimate_of(here, "kurtosis_difference"), there["kurtosis_difference"].item()
        yield Criterion("median excess kurtosis, selective less common", "above", 0, tails, sigma, control)
        more = difference_of(here.sel(kind="selective"), there.sel(kind="selective"), "fraction")
        yield Criterion("share of selective channels", "above", 0, more, sigma, less=UNTRAINED)


def union_of_subspaces(given: Given) -> Iterator[Criterion]:
    """A union explains held-out φ better than one PCA, and active sets overlap more within clusters."""
    trained, untrained = given.trained["subspaces"], given.untrained["subspaces"]
    ranks = [int(rank) for rank in trained["rank"].values if rank <= RANK]
    for sigma in trained["sigma"].values:
        here, there = (f.sel(sigma=sigma, block=given.block) for f in (trained, untrained))
        for comparison in labels.strings(here["comparison"].values) if ranks else ():
            part, other = (f.sel(rank=max(ranks), comparison=comparison) for f in (here, there))
            union = f"union of {max(ranks)}-dimensional subspaces"
            subject = f"held-out variance explained, {union} less PCA of equal {comparison}"
            above = partial(Criterion, subject, "above", 0, sigma=sigma)
            counts = comparison == "parameters"
            yield above(estimate=estimate_of(part, "gain"), control=other["gain"].item(), counts=counts)
            if counts:
                over, control = estimate_of(part, "gain_over_shuffled"), other["gain_over_shuffled"].item()
                yield above(estimate=over, control=control, less="that of channel-shuffled φ")
                yield above(estimate=difference_of(part, other, "gain"), less=UNTRAINED)
        gap, control = estimate_of(here, "overlap_gap"), there["overlap_gap"].item()
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
    """The reference's number against a bound, and above that of every row that it is compared with."""
    sigma, groups = part["sigma"].item(), labels.strings(part["group"].values)
    untrained = part["value"].values[groups == "untrained"]
    mine = part.sel(row=_reference(given))
    comparison, bound, name = asked
    yield Criterion(
        subject,
        comparison,
        bound,
        Estimate(*(mine[end].item() for end in ("value", "low", "high"))),
        sigma,
        float(untrained.mean()) if len(untrained) else np.nan,
        bound_name=name,
    )
    for r, (row, group) in enumerate(zip(part["row"].values, groups, strict=True)):
        if group == "untrained" or row in descriptors:
            other = part.isel(row=r)
            more = Estimate(*(-other[end].item() for end in ("difference", "difference_high", "difference_low")))
            yield Criterion(subject, "above", 0, more, sigma, less=f"that of {row}")


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
    control = variants.isel(variant=list(names).index("untrained")) if "untrained" in names else None

    def numbers(measure: str) -> dict[str, Any]:
        here = first.sel(measure=measure)
        estimate = Estimate(*(here[end].item() for end in ("value", "low", "high")))
        other = np.nan if control is None else control["value"].sel(measure=measure).item()
        return {"estimate": estimate, "control": other}

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
    controls = {str(findings.attrs["measure"]): findings for findings in given.densities_untrained}
    for n, findings in enumerate(given.densities):
        check_level(findings)
        pairs, measure = findings.sizes["pair"], str(findings.attrs["measure"])
        if pairs < LEAST_PAIRS or "difference" not in findings:
            compared = "" if "difference" in findings else ", not compared with pixels"
            raise InputError(
                f"the densities are of {pairs} pairs{compared}: the criterion asks for {LEAST_PAIRS} pairs at least, "
                "and for the conditioning images as pixels"
            )
        here, control = findings.sel(feature="phi"), controls.get(measure)
        number, more = estimate_of(here, "correlation"), estimate_of(findings, "difference")
        other, less = (
            (np.nan, np.nan)
            if control is None
            else (control["correlation"].sel(feature="phi").item(), control["difference"].item())
        )
        subject = f"rank correlation of distances in φ and between laws ({measure.replace('_', ' ')}, {pairs} pairs)"
        counts = n == 0
        yield Criterion(subject, "at least", RELATED, number, control=other, counts=counts)
        yield Criterion(subject, "interval above", 0, number, control=other, counts=counts)
        yield Criterion(subject, "above", 0, more, control=less, less="that of pixels", counts=counts)


CLAIMS: Mapping[int, Claim] = {
    1: Claim(
        "Sparsity grows at the middle",
        "the participation ratio of ā is lower at the output of the middle block than at its input, more so than "
        "untrained, and encoder blocks do not lower it",
        "sparsity",
        sparser,
        beside="before",
    ),
    2: Claim(
        "φ is stable over σ",
        "at σ = 0.3 nine images of ten are nearest to themselves at the least σ among 1,000, more than untrained and "
        "in pixels",
        "controls",
        stable,
        ("stability",),
    ),
    3: Claim(
        "Two types of channel",
        "a tenth of the middle block's channels at least are selective and a tenth common, the selective have heavier "
        "tails, and there are more of them than untrained",
        "selectivity",
        two_types,
    ),
    4: Claim(
        "Union of subspaces",
        "a union of subspaces explains more of held-out images than one PCA of as many parameters, and active sets "
        "overlap more within its groups than between; more so than with channels shuffled, and than untrained",
        "subspaces",
        union_of_subspaces,
    ),
    5: Claim(
        "Euclidean distance in φ is semantic",
        "distance in φ is correlated with gist given colour, and with label given gist and colour, more than in "
        "pixels, their PCA and untrained",
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
        "a linear probe is above chance, and above pixels, their PCA and untrained",
        "controls",
        identity,
        ("accuracy",),
    ),
}
