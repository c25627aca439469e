"""Claims 9 to 12, this package's own: φ of textures, texture against shape, the noise level, reliability."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from analyses import cues, noise_level, textures
from analyses.claims.criteria import (
    ROUNDING,
    UNKNOWN,
    Criterion,
    Given,
    beyond,
    check_level,
    estimate_of,
    labelled,
    of_each,
    part_of,
)
from analyses.ground import TWINS
from probekit import checks, labels
from probekit.errors import InputError

__all__ = ["RELIABLE", "blocks_of_cues", "descriptor_of_textures", "knows_sigma", "reliable", "texture_over_shape"]

FORMS = {"colour": "in colour", "grey": "in equalised grey"}
# From the best to the worst.
SEVERITY = ("holds", "undecided", "does not hold")
RELIABLE = 0.95


def descriptor_of_textures(given: Given) -> Iterator[Criterion]:
    """Patches of one photograph lie together, nearer than by untrained twins and by descriptors of texture."""
    found = given.further["textures"]
    check_level(found)
    name, less = str(found.attrs["reference"]), "that of untrained networks and of other descriptors"
    if not len(labelled(found, "representation", name)):
        raise InputError(f"the findings of textures lost {name!r}, with which all are compared: keep it")
    if "block" not in found.attrs:
        subject, lacks = (
            "rate at which the nearest patch in φ is of the same photograph",
            "a block chosen on training photographs",
        )
        yield Criterion(subject, "above", 0.0, UNKNOWN, less=less, lacks=lacks)
        return
    block = str(found.attrs["block"])
    subject = f"rate at which the nearest patch in φ of {block} is of the same photograph"
    least = found.attrs.get("patches_least", 0)
    if checks.number("patches_least of textures", least, "number of patches of each photograph") < textures.PATCHES:
        yield Criterion(subject, "above", 0.0, UNKNOWN, lacks=f"{textures.PATCHES} patches of each photograph")
    at = {"block": block, "subset": "all", "distance": str(found.attrs["verdict_distance"])}
    gone = [f"{dim} {label!r}" for dim, label in at.items() if not len(labelled(found, dim, label))]
    if gone:
        yield Criterion(subject, "above", 0.0, UNKNOWN, less=less, lacks=" and ".join(gone))
        return
    here = found.sel(at)
    for form, said in FORMS.items():
        subject = f"rate at which the nearest patch in φ of {block} is of the same photograph, {said}"
        if not len(labelled(found, "form", form)):
            yield Criterion(subject, "above", 0.0, UNKNOWN, less=less, lacks=f"patches {said}")
            continue
        for sigma in here["sigma"].values:
            part = here.sel(form=form, sigma=sigma)
            own = estimate_of(part.sel(representation=name), "rate")
            twins = {twin: part_of(part, representation=twin) for twin in given.untrained}
            control, chance = of_each(twins, lambda f: f["rate"]), float(part["chance"])
            yield Criterion(subject, "above", chance, own, sigma, control, bound_name="chance", counts=False)
            above = partial(Criterion, subject, "above", 0.0, sigma=sigma)
            for rival in (*given.untrained, *(one for one in textures.RIVALS if one not in TWINS)):
                other = part_of(part, representation=rival)
                more = None if other is None else estimate_of(other, "difference")
                yield beyond(above, rival, own.value, more, f"that of {rival}")


def blocks_of_cues(blocks: list[str], block: str) -> list[str]:
    """Where claim 10 is judged: at the block that feeds the one that the claims are about, and at this one.

    The encoder block of the largest number, in whichever order they are given; see `labels.block_before`.
    """
    before = labels.block_before(blocks, block)
    return [before, block] if before else [block]


def _places(given: Given, measured: list[str], taps: str) -> dict[str, str]:
    """Blocks at which claim 10 is judged, and what lacks for that; `taps` are the network's, from the findings."""
    known = [name for name in (*taps.split(", "), *measured, *given.blocks) if name]
    found = blocks_of_cues(list(dict.fromkeys(known)), given.block)
    if len(found) == 1:
        before = f"the block before {given.block}"
        return {before: before, given.block: "" if given.block in measured else given.block}
    return {name: "" if name in measured else name for name in found}


def texture_over_shape(given: Given) -> Iterator[Criterion]:
    """Where texture and shape disagree, the nearest neighbour shares the texture, more so than untrained."""
    found = given.further["cues"]
    check_level(found)
    names = labels.strings(found["block"].values).tolist()
    reference = str(found.attrs["reference"])
    if not len(labelled(found, "representation", reference)):
        raise InputError(f"the findings of cues lost {reference!r}, with which all are compared: keep it")
    here = found.sel(distance=labels.strings(found["distance"].values)[0])
    # Where a texture has more candidates than a shape, neighbours drawn at random are above 0.
    by_chance = float(found["texture_chance"] - found["shape_chance"])
    bound, said = (by_chance, "chance") if by_chance > ROUNDING else (0.0, "")
    at = labels.strings(here["treatment"].values)
    for treatment in (*cues.TREATMENTS, *(one for one in at if one not in cues.TREATMENTS)):
        counts = treatment in cues.TREATMENTS
        for block, gone in _places(given, names, str(found.attrs.get("taps", ""))).items():
            subject = f"neighbours in φ of {block} of the same texture less of the same shape, {treatment}"
            if gone or treatment not in at:
                lacks = " and ".join(one for one in (gone, treatment if treatment not in at else "") if one)
                for less in ("", "that of untrained networks"):
                    yield Criterion(subject, "above", 0.0, UNKNOWN, less=less, counts=counts, lacks=lacks)
                continue
            for sigma in here["sigma"].values:
                part = here.sel(treatment=treatment, block=block, sigma=sigma)
                twins = {twin: part_of(part, representation=twin) for twin in given.untrained}
                own = estimate_of(part.sel(representation=reference), "difference")
                control = of_each(twins, lambda f: f["difference"])
                yield Criterion(subject, "above", bound, own, sigma, control, bound_name=said, counts=counts)
                above = partial(Criterion, subject, "above", 0.0, sigma=sigma, counts=counts)
                for twin, other in twins.items():
                    more = None if other is None else estimate_of(other, "gain")
                    yield beyond(above, twin, own.value, more, f"that of {twin}")


def knows_sigma(given: Given) -> Iterator[Criterion]:
    """The residual of a blind denoiser says σ, on images and along the sampler's path."""
    found = given.further["noise_level"]
    check_level(found)
    networks = set(labels.strings(found["network"].values))
    if len(networks) > 1:
        raise InputError(
            f"the noise level is judged of {', '.join(sorted(networks))}: give verdict(…, networks=) of one"
        )
    on_images, on_path = noise_level.PARTS
    biased, off = f"relative bias of σ̂ on {on_images}", f"relative mismatch of σ̂ along the {on_path}"
    if "told" in found.variables and found["told"].values.any():
        for subject, bound in ((biased, noise_level.ON_IMAGES), (off, noise_level.ON_PATH)):
            yield Criterion(subject, "within", bound, UNKNOWN, lacks="a blind network")
        return
    parts, levels = labels.strings(found["part"].values), found["sigma"].values
    inside = noise_level.in_range(levels)
    images, path = np.flatnonzero(parts == on_images), np.flatnonzero(parts == on_path)
    few, short = noise_level.lacking(levels[images], levels[path])
    if few:
        yield Criterion(biased, "within", noise_level.ON_IMAGES, UNKNOWN, lacks=few)
    for i in images:
        estimate = estimate_of(found.isel(criterion=i), "value")
        yield Criterion(biased, "within", noise_level.ON_IMAGES, estimate, float(levels[i]), counts=bool(inside[i]))
    if short:
        yield Criterion(off, "within", noise_level.ON_PATH, UNKNOWN, lacks=short)
    if not len(path):
        return
    off += f", at the worst of {len(path)} level{'s' * (len(path) > 1)}"
    judged = partial(Criterion, off, "within", noise_level.ON_PATH)
    rows = [judged(estimate_of(found.isel(criterion=i), "value"), float(levels[i])) for i in path]
    # One row of the path stands for all: of those that refute the criterion, or else leave it open, or else meet it,
    # the level at which the interval reaches furthest from 0.
    yield max(rows, key=lambda row: (SEVERITY.index(row.outcome), np.nan_to_num(np.abs(row.estimate[1:])).max()))


def reliable(given: Given) -> Iterator[Criterion]:
    """Distances in φ from two halves of the draws agree, at each block that is read."""
    trained, untrained = given.trained["reliability"], given.of_twins("reliability")
    distance = labels.strings(trained["distance"].values)[0]
    for block in labels.strings(trained["block"].values).tolist():
        at = {"estimator": "noise_free", "block": block, "distance": distance}
        subject = f"reliability of noise-free distances in φ of {block} at {trained.attrs['draws_split']} draws"
        for sigma in trained["sigma"].values:
            here = part_of(trained, **at, sigma=sigma)
            if here is None:
                yield Criterion(subject, "at least", RELIABLE, UNKNOWN, sigma, lacks='the estimator "noise_free"')
                continue
            there = {twin: part_of(one, **at, sigma=sigma) for twin, one in untrained.items()}
            control = of_each(there, lambda f: f["reliability"])
            yield Criterion(subject, "at least", RELIABLE, estimate_of(here, "reliability"), sigma, control)
