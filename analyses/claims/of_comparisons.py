"""Claims 2, 5 and 8, by the table of controls; 6 and 7, by samples."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import xarray as xr

from analyses.claims.criteria import UNKNOWN, Criterion, Given, beyond, check_level, estimate_of, of_each, part_of
from analyses.ground import TWINS, Estimate
from probekit import checks, labels
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
# Draws of each image at either noise level: of fewer, it is their noise that sets the rate.
LEAST_DRAWS = 10
# The noise level that claim 8 is about, 50 of 255, as it is asked for: 0.2.
READ_AT, NEAR, CHANCE = 0.2, 0.01, "chance"
# What is measured, and what criteria call it.
BEYOND = "correlation: label beyond gist and colour"
SEMANTIC = {
    "correlation: gist given colour": "correlation of distances with gist given colour",
    BEYOND: "correlation of what gist and colour leave of φ and of the label",
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
    draws = checks.number("stability_draws", how.get("stability_draws", 0), "number of draws a side")
    sides = f", of {draws:g} draw{'s' * (draws != 1)} a side" if "stability_draws" in how else ""
    subject = f"rate at which an image is nearest to itself at σ = {REFERENCE:g}{sides}"
    lacks = []
    if not np.isclose(how.get("stability_sigma", np.nan), REFERENCE):
        lacks.append(f"σ = {REFERENCE:g}")
    if how.get("stability_among") != AMONG:
        lacks.append(f"{AMONG:,} images to find it among")
    if not any(np.isclose(part["sigma"].item(), STABLE_AT) for part in parts):
        lacks.append(f"σ = {STABLE_AT:g}")
    if how.get("stability_noise") != INDEPENDENT:
        lacks.append("independent noise, of 2 draws at least")
    if draws < LEAST_DRAWS:
        lacks.append(f"{LEAST_DRAWS} draws a side")
    if lacks:
        yield Criterion(subject, "at least", STABLE, UNKNOWN, STABLE_AT, lacks=" and ".join(lacks))
        return
    for part in parts:
        if np.isclose(part["sigma"].item(), STABLE_AT):
            yield from _beside(part, given, subject, ("at least", STABLE, ""), ("pixels",))


def semantic(given: Given) -> Iterator[Criterion]:
    """Distance in φ follows gist, and φ tells of the label what gist and colour do not."""
    parts = [(name, part) for name in SEMANTIC for part in _measured(given.controls, given, name)]
    for name in SEMANTIC:
        if parts and name not in dict(parts):
            yield Criterion(SEMANTIC[name], "above", 0.0, UNKNOWN, lacks=f'the measure "{name}"')
    for name, part in sorted(parts, key=lambda one: one[1]["sigma"].item()):
        if name == BEYOND and part["value"].isnull().all():
            # Of no row at all: classes are too small, and it is not φ that does not vary.
            sigma = part["sigma"].item()
            yield Criterion(SEMANTIC[name], "above", 0.0, UNKNOWN, sigma, lacks="3 images of each class")
            continue
        yield from _beside(part, given, SEMANTIC[name], ("above", 0.0, ""), ("pixels", "pca"))


def identity(given: Given) -> Iterator[Criterion]:
    """A linear probe at σ = 0.2 reads the class better than from controls; chance and other levels are reported."""
    parts = list(_measured(given.controls, given, "accuracy"))
    subject = "accuracy of a linear probe"
    if parts and not any(_is_read_at(part) for part in parts):
        less = "that of pixels, of their PCA and of untrained networks"
        yield Criterion(subject, "above", 0.0, UNKNOWN, READ_AT, less=less, lacks=f"σ = {READ_AT:g}")
    for part in parts:
        chance = part["chance"].sel(row=_reference(part, given)).item()
        rows = _beside(part, given, subject, ("above", chance, CHANCE), ("pixels", "pca"))
        at_level = _is_read_at(part)
        yield from (one._replace(counts=at_level and one.bound_name != CHANCE) for one in rows)


def _is_read_at(part: xr.Dataset) -> bool:
    return bool(np.isclose(part["sigma"].item(), READ_AT, atol=NEAR))


def _reference(found: xr.Dataset, given: Given) -> str:
    reference = str(found.attrs["reference"])
    if not reference.endswith(f" {given.block}"):
        raise InputError(f"the controls are compared with {reference!r}, and the claims are about {given.block!r}")
    if reference not in labels.strings(found["row"].values):
        raise InputError(f"the controls lost their row {reference!r}, with which all are compared: keep it")
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
    if not len(names):
        raise InputError("the variants have no row: give what variants.table returns")
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

    def judged(measure: str, subject: str, comparison: Any, bound: float, **more: Any) -> Criterion:
        if measure in measures:
            return Criterion(subject, comparison, bound, **numbers(measure), **more)
        return Criterion(subject, comparison, bound, UNKNOWN, lacks=f'the measure "{measure}"', **more)

    yield judged("error of φ", "median relative error of φ", "at most", MATCHED)
    copies = "share of samples that are near copies of"
    yield judged("near copies", f"{copies} the condition", "at most", COPIED)
    if "near copies of references" in measures:
        yield judged("near copies of references", f"{copies} a training image", "at most", COPIED, counts=False)
    sigma = float(variants.attrs["phi_sigma"])
    if f"distance in {block}" in measures:
        # φ is matched at the last noise level; at others it is as near as the images are alike.
        subject = f"relative distance to the condition's φ of {block}"
        yield judged(f"distance in {block}", subject, "at most", MATCHED, sigma=sigma, counts=False)
    others = [name for name in str(variants.attrs["held_out"]).split(", ") if name and name != block]
    if not others:
        subject = "distance to the condition's φ of other blocks, unconditional samples' less samples'"
        yield Criterion(subject, "above", 0, UNKNOWN, sigma, lacks="other blocks to compare in")
    for name in others:
        subject = f"distance to the condition's φ of {name}, unconditional samples' less samples'"
        yield judged(f"nearer in {name}", subject, "above", 0, sigma=sigma)


def laws_follow(given: Given) -> Iterator[Criterion]:
    """Distances in φ rank pairs as distances between conditional laws do, and better than pixels."""
    by_measure = {
        twin: {str(findings.attrs["measure"]): findings for findings in several}
        for twin, several in given.densities_untrained.items()
    }
    for n, findings in enumerate(given.densities):
        check_level(findings)
        pairs, measure = findings.sizes.get("pair", 0), str(findings.attrs["measure"])
        here = part_of(findings, feature="phi")
        if here is None:
            raise InputError("the densities are not compared with phi: give what densities.analyse returns")
        twins = {twin: of.get(measure) for twin, of in by_measure.items()}
        few = f"{LEAST_PAIRS} pairs" if pairs < LEAST_PAIRS else ""
        alone = "" if "difference" in findings else "the conditioning images as pixels"
        number = UNKNOWN if few else estimate_of(here, "correlation")
        more = UNKNOWN if few or alone else estimate_of(findings, "difference")
        other = of_each(twins, lambda f: f["correlation"].sel(feature="phi"))
        less = of_each(twins, lambda f: f["difference"])
        subject = f"rank correlation of distances in φ and between laws ({measure.replace('_', ' ')}, {pairs} pairs)"
        asked = partial(Criterion, subject, counts=n == 0)
        yield asked("at least", RELATED, number, control=other, lacks=few)
        yield asked("interval above", 0, number, control=other, lacks=few)
        lacks = " and ".join(one for one in (few, alone) if one)
        yield asked("above", 0, more, control=less, less="that of pixels", lacks=lacks)
