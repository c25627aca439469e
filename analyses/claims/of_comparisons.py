"""Claims 2, 5 and 8, by the table of controls; 6 and 7, by samples."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import xarray as xr

from analyses.claims.criteria import UNKNOWN, Criterion, Given, beyond, check_level, estimate_of, of_each
from analyses.ground import TWINS, Estimate
from probekit import labels
from probekit.errors import InputError

__all__ = [
    "AMONG",
    "FOUND_AT",
    "LEAST_PAIRS",
    "SEMANTIC",
    "identity",
    "laws_follow",
    "reconstruction",
    "semantic",
    "stable",
]

STABLE_AT, STABLE, REFERENCE, AMONG = 0.3, 0.9, 0.1, 1000
FOUND_AT = (REFERENCE, STABLE_AT)
INDEPENDENT = "independent"
# The noise level that claim 8 is about, 50 of 255, as it is asked for: 0.2.
READ_AT = 0.2
# What is measured, and what criteria call it.
SEMANTIC = {
    "correlation: gist given colour": "correlation of distances with gist given colour",
    "correlation: label beyond gist and colour": "correlation of what gist and colour leave of φ and of the label",
}
MATCHED, COPIED = 0.05, 0.05
LEAST_PAIRS, RELATED = 200, 0.5


def stable(given: Given) -> Iterator[Criterion]:
    """An image is found again at another noise level."""
    found = given.further.get("stability", given.controls)
    assert found is not None
    parts, how = list(_measured(found, given, "stability")), found.attrs
    if not parts:
        raise InputError('further["stability"] has no measure "stability": give what controls.table returns with it')
    check_level(found)
    subject = f"rate at which an image is nearest to itself at σ = {REFERENCE:g}"
    lacks = []
    if not np.isclose(how.get("stability_sigma", np.nan), REFERENCE):
        lacks.append(f"σ = {REFERENCE:g}")
    if how.get("stability_among") != AMONG:
        lacks.append(f"{AMONG:,} images to find it among")
    if not any(np.isclose(part["sigma"].item(), STABLE_AT) for part in parts):
        lacks.append(f"σ = {STABLE_AT:g}")
    if how.get("stability_noise", INDEPENDENT) != INDEPENDENT:
        lacks.append("independent noise, of 2 draws at least")
    if lacks:
        yield Criterion(subject, "at least", STABLE, UNKNOWN, STABLE_AT, lacks=" and ".join(lacks))
        return
    for part in parts:
        if np.isclose(part["sigma"].item(), STABLE_AT):
            yield from _beside(part, given, subject, ("at least", STABLE, ""), ("pixels",))


def semantic(given: Given) -> Iterator[Criterion]:
    """Distance in φ follows gist, and φ tells of the label what gist and colour do not."""
    parts = [(name, part) for name in SEMANTIC for part in _measured(given.controls, given, name)]
    for name, part in sorted(parts, key=lambda one: one[1]["sigma"].item()):
        yield from _beside(part, given, SEMANTIC[name], ("above", 0.0, ""), ("pixels", "pca"))


def identity(given: Given) -> Iterator[Criterion]:
    """A linear probe reads the class."""
    parts = list(_measured(given.controls, given, "accuracy"))
    if parts and not any(np.isclose(part["sigma"].item(), READ_AT, atol=0.01) for part in parts):
        yield Criterion("accuracy of a linear probe", "above", np.nan, UNKNOWN, READ_AT, lacks=f"σ = {READ_AT:g}")
    for part in parts:
        chance = part["chance"].sel(row=_reference(part, given)).item()
        yield from _beside(part, given, "accuracy of a linear probe", ("above", chance, "chance"), ("pixels", "pca"))


def _reference(found: xr.Dataset, given: Given) -> str:
    reference = str(found.attrs["reference"])
    if not reference.endswith(f" {given.block}"):
        raise InputError(f"the controls are compared with {reference!r}, and the claims are about {given.block!r}")
    return reference


def _measured(found: xr.Dataset | None, given: Given, measure: str) -> Iterator[xr.Dataset]:
    """One measure of a table of controls, at each noise level; nothing where it was not measured."""
    assert found is not None
    _reference(found, given)
    if measure in labels.strings(found["measure"].values):
        for sigma in found["sigma"].values:
            yield found.sel(measure=measure, sigma=sigma)


def _beside(
    part: xr.Dataset, given: Given, subject: str, asked: tuple[Any, float, str], descriptors: tuple[str, ...]
) -> Iterator[Criterion]:
    """The reference's number against a bound, and above that of every row of a control that it is compared with."""
    sigma, names = part["sigma"].item(), labels.strings(part["row"].values)
    groups = labels.strings(part["group"].values)
    values = [part["value"].values[groups == twin] for twin in TWINS]
    control = tuple(float(value.mean()) if len(value) else np.nan for value in values)
    mine = part.sel(row=_reference(part, given))
    comparison, bound, name = asked
    number = Estimate(*(mine[end].item() for end in ("value", "low", "high")))
    yield Criterion(subject, comparison, bound, number, sigma, control, bound_name=name)
    above = partial(Criterion, subject, "above", 0, sigma=sigma)
    compared = {twin: groups == twin for twin in given.untrained} | {name: names == name for name in descriptors}
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
    controls = {
        twin: variants.isel(variant=list(names).index(twin)) if twin in names else None for twin in given.untrained
    }

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
        here, twins = findings.sel(feature="phi"), {twin: of.get(measure) for twin, of in by_measure.items()}
        number, more = estimate_of(here, "correlation"), estimate_of(findings, "difference")
        other = of_each(twins, lambda f: f["correlation"].sel(feature="phi"))
        less = of_each(twins, lambda f: f["difference"])
        subject = f"rank correlation of distances in φ and between laws ({measure.replace('_', ' ')}, {pairs} pairs)"
        counts = n == 0
        yield Criterion(subject, "at least", RELATED, number, control=other, counts=counts)
        yield Criterion(subject, "interval above", 0, number, control=other, counts=counts)
        yield Criterion(subject, "above", 0, more, control=less, less="that of pixels", counts=counts)
