"""Criteria of the claims about samples: stochastic reconstruction, and distances between conditional laws."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from analyses.ground import Estimate
from analyses.report.criteria import Claim, Criterion, Given, check_level, estimate_of
from probekit import labels
from probekit.errors import InputError

__all__ = ["LEAST_PAIRS", "OF_SAMPLES"]

MATCHED, COPIED = 0.05, 0.05
LEAST_PAIRS, RELATED = 200, 0.5


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

    def numbers(measure: str) -> dict[str, Estimate | float]:
        here = first.sel(measure=measure)
        estimate = Estimate(*(here[end].item() for end in ("value", "low", "high")))
        other = np.nan if control is None else control["value"].sel(measure=measure).item()
        return {"estimate": estimate, "control": other}

    yield Criterion("median relative error of φ", "at most", MATCHED, **numbers("error of φ"))  # pyright: ignore
    for measure, of in (("near copies", "the condition"), ("near copies of references", "a training image")):
        if measure in measures:
            subject, counts = f"share of samples that are near copies of {of}", measure == "near copies"
            yield Criterion(subject, "at most", COPIED, counts=counts, **numbers(measure))  # pyright: ignore
    sigma = float(variants.attrs["phi_sigma"])
    if f"distance in {block}" in measures:
        # φ is matched at the last noise level; at others it is as near as the images are alike.
        subject, found = f"relative distance to the condition's φ of {block}", numbers(f"distance in {block}")
        yield Criterion(subject, "at most", MATCHED, sigma=sigma, counts=False, **found)  # pyright: ignore
    others = [name for name in str(variants.attrs["held_out"]).split(", ") if name and name != block]
    if not others:
        raise InputError("the variants were compared in no other block: give variants.table the taps held_out=")
    for name in others:
        subject = f"distance to the condition's φ of {name}, unconditional samples' less samples'"
        yield Criterion(subject, "above", 0, sigma=sigma, **numbers(f"nearer in {name}"))  # pyright: ignore


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
        yield Criterion(subject, "above", 0, number, control=other, counts=counts)
        yield Criterion(subject, "above", 0, more, control=less, less="that of pixels", counts=counts)


OF_SAMPLES = {
    6: Claim(
        "Stochastic reconstruction",
        "the median relative error of φ is 5 % at most, near copies of the condition are 5 % at most, and samples are "
        "nearer to their condition in φ of other blocks than unconditional samples are",
        "variants",
        reconstruction,
    ),
    7: Claim(
        "Distances between φ's follow distances between conditional densities",
        "the rank correlation of distances in φ with distances between conditional laws is 0.5 at least over 200 "
        "pairs, and above that of pixels",
        "densities",
        laws_follow,
    ),
}
