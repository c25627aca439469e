"""Claims 9 to 12, this package's own: φ of textures, texture against shape, the noise level, reliability."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from analyses.claims.criteria import UNKNOWN, Criterion, Given, beyond, check_level, estimate_of, of_each
from probekit import labels
from probekit.errors import InputError

__all__ = ["RELIABLE", "blocks_of_cues", "descriptor_of_textures", "knows_sigma", "reliable", "texture_over_shape"]

RIVALS = ("colour moments", "Gabor bank")
PATCHES = 8
# The noise levels that claim 11 is about, from and to, and how many at least.
RANGE, LEVELS = (0.1, 1.0), 3
# From the best to the worst.
SEVERITY = ("holds", "undecided", "does not hold")
ROUNDING = 1e-9
FORMS = {"colour": "in colour", "grey": "in equalised grey"}
RELIABLE = 0.95
PATH = "sampler's path"


def descriptor_of_textures(given: Given) -> Iterator[Criterion]:
    """Patches of one photograph lie together, nearer than by untrained twins and by descriptors of texture."""
    found = given.further["textures"]
    check_level(found)
    if "block" not in found.attrs:
        raise InputError(
            "the findings of textures say no block: give what textures.table returns with train=, photographs on which "
            "it is chosen"
        )
    block, name = str(found.attrs["block"]), str(found.attrs["reference"])
    here = found.sel(block=block, subset="all", distance=found.attrs["verdict_distance"])
    if found.attrs.get("patches_least", found.attrs.get("patches_each", 0)) < PATCHES:
        subject = f"rate at which the nearest patch in φ of {block} is of the same photograph"
        yield Criterion(subject, "above", 0.0, UNKNOWN, lacks=f"{PATCHES} patches of each photograph")
    there = labels.strings(here["representation"].values)
    for form, said in FORMS.items():
        for sigma in here["sigma"].values:
            part = here.sel(form=form, sigma=sigma)
            subject = f"rate at which the nearest patch in φ of {block} is of the same photograph, {said}"
            own = estimate_of(part.sel(representation=name), "rate")
            twins = {twin: part.sel(representation=twin) if twin in there else None for twin in given.untrained}
            control, chance = of_each(twins, lambda f: f["rate"]), float(part["chance"])
            yield Criterion(subject, "above", chance, own, sigma, control, bound_name="chance", counts=False)
            above = partial(Criterion, subject, "above", 0.0, sigma=sigma)
            for rival in (*given.untrained, *RIVALS):
                more = estimate_of(part.sel(representation=rival), "difference") if rival in there else None
                yield beyond(above, rival, own.value, more, f"that of {rival}")


def blocks_of_cues(blocks: list[str], block: str) -> list[str]:
    """Where claim 10 is judged: at the block that the claims are about, and at the one before it."""
    at = blocks.index(block)
    return blocks[max(0, at - 1) : at + 1]


def texture_over_shape(given: Given) -> Iterator[Criterion]:
    """Where texture and shape disagree, the nearest neighbour shares the texture, more so than untrained."""
    found = given.further["cues"]
    check_level(found)
    names = labels.strings(found["block"].values).tolist()
    if given.block not in names:
        raise InputError(f"the findings of cues lack the block {given.block!r}: they have {', '.join(names)}")
    here = found.sel(distance=labels.strings(found["distance"].values)[0])
    rows = labels.strings(here["representation"].values)
    # Where a texture has more candidates than a shape, neighbours drawn at random are above 0.
    by_chance = float(found["texture_chance"] - found["shape_chance"])
    bound, said = (by_chance, "chance") if by_chance > ROUNDING else (0.0, "")
    for treatment in labels.strings(here["treatment"].values):
        for block in blocks_of_cues(names, given.block):
            for sigma in here["sigma"].values:
                part = here.sel(treatment=treatment, block=block, sigma=sigma)
                twins = {twin: part.sel(representation=twin) if twin in rows else None for twin in given.untrained}
                subject = f"neighbours in φ of {block} of the same texture less of the same shape, {treatment}"
                own = estimate_of(part.sel(representation=str(found.attrs["reference"])), "difference")
                control = of_each(twins, lambda f: f["difference"])
                yield Criterion(subject, "above", bound, own, sigma, control, bound_name=said)
                above = partial(Criterion, subject, "above", 0.0, sigma=sigma)
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
    parts = labels.strings(found["part"].values)
    images = found["sigma"].values[parts != PATH]
    if len(images) < LEVELS or not np.isclose([images.min(), images.max()], RANGE).all():
        lacks = f"{LEVELS} levels of σ from {RANGE[0]:g} to {RANGE[1]:g}"
        yield Criterion("relative bias of σ̂ on held-out images", "within", 0.05, UNKNOWN, lacks=lacks)
    if PATH not in parts:
        yield Criterion(f"relative mismatch of σ̂ along the {PATH}", "within", 0.1, UNKNOWN, lacks="the path")
    for part in dict.fromkeys(parts):
        rows = found.isel(criterion=parts == part)
        on_path = part == PATH
        # One row of the path stands for all: of those that refute the criterion, or else leave it open, or else meet
        # it, the level at which the interval reaches furthest from 0.
        furthest = np.maximum(np.abs(rows["value_low"].values), np.abs(rows["value_high"].values))
        severity = np.array([SEVERITY.index(one) for one in labels.strings(rows["outcome"].values)])
        worst = np.lexsort((furthest, severity))[-1]
        chosen: list[Any] = [int(worst)] if on_path else list(range(rows.sizes["criterion"]))
        for row in (rows.isel(criterion=i) for i in chosen):
            subject = f"relative bias of σ̂ on {part}"
            if on_path:
                subject = f"relative mismatch of σ̂ along the {part}, at the worst of {len(furthest)} levels"
            yield Criterion(subject, "within", row["bound"].item(), estimate_of(row, "value"), row["sigma"].item())


def reliable(given: Given) -> Iterator[Criterion]:
    """Distances in φ from two halves of the draws agree."""
    trained, untrained = given.trained["reliability"], given.of_twins("reliability")
    check_level(trained)
    at = {"estimator": "noise_free", "block": given.block, "distance": labels.strings(trained["distance"].values)[0]}
    for sigma in trained["sigma"].values:
        here = trained.sel(at | {"sigma": sigma})
        there = {t: None if one is None else one.sel(at | {"sigma": sigma}) for t, one in untrained.items()}
        control = of_each(there, lambda f: f["reliability"])
        subject = f"reliability of noise-free distances at {trained.attrs['draws_split']} draws"
        yield Criterion(subject, "above", RELIABLE, estimate_of(here, "reliability"), sigma, control)
