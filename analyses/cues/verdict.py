"""Claim 10 judged: does training turn a layout code into a texture code?"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
import xarray as xr

from analyses.cues.table import TABLE, TREATMENTS
from analyses.ground import Estimate, Findings, Variable, asked_twins, outcome, verdict_of
from probekit import checks, labels
from probekit.errors import InputError

__all__ = ["VERDICT", "verdict"]

MIDDLE = "mid"
VERDICT = Findings(
    "cues.verdict",
    {
        "value": Variable(("criterion",), "what must be above 0", interval="textures and shapes resampled"),
        "outcome": Variable(("criterion",), "holds, does not hold, undecided, or not judged", holds="names"),
    },
    coords={
        "criterion": "number of the criterion",
        "treatment": "what was done to the images",
        "block": "block, by the tap at its output",
        "sigma": "noise level",
        "less": "untrained network whose number is taken off, or none",
    },
)


@VERDICT.described
def verdict(findings: xr.Dataset, *, blocks: Sequence[str] | None = None, distance: str = "euclidean") -> xr.Dataset:
    """Judge whether training turns a layout code into a texture code: claim 10 of this package.

    Criteria, at every noise level, in images as they are and in equalised grey, at each block: the texture share less
    the shape share is above 0, and above that of each untrained network; a criterion holds where the interval lies
    above 0, does not hold where it lies at or below 0, and is undecided in between. It is not judged where a treatment,
    a block or an untrained network is lacking, of those that the attr `twins` of the findings says there can be, and of
    both where it says nothing.

    Parameters
    ----------
    findings
        What `table` returns.
    blocks
        Blocks that the claim is judged at; by default "mid" and the one before it, which is the encoder block of the
        largest number.
    distance
        One of the findings' distances.

    Returns
    -------
    Dataset
        {findings}

        Attr `verdict`: "holds" if all criteria do; "partly" if some do and some do not; "does not hold" if none does
        and one at least does not; else "not judged" if a criterion is not, or "undecided".

    Raises
    ------
    InputError
        If these are no findings of `table`, they have no untrained network, or lack the reference, a block or a
        distance.

    Examples
    --------
    >>> from analyses import cues
    >>> cues.verdict(cues.table("cue-conflict.zip")).attrs["verdict"]  # doctest: +SKIP
    'holds'
    """
    wanted = "names of blocks, e.g. ('mid', 'enc3')"
    given = None if blocks is None else checks.names("blocks", blocks, wanted)
    if given is not None and not given:
        raise InputError(f"blocks is empty: give {wanted}")
    findings = TABLE.taken(
        findings, "difference", "gain", "texture_chance", "shape_chance", attrs=("reference", "level")
    )
    known = labels.strings(findings["block"].values).tolist()
    for name in [MIDDLE] if given is None else given:
        checks.choice("blocks", name, tuple(known))
    names = _asked(findings, known) if given is None else given
    if "group" not in findings.coords:
        raise InputError("the findings lost their coordinate group: give what cues.table returns")
    checks.choice("distance", distance, tuple(labels.strings(findings["distance"].values)))
    if "untrained" not in labels.strings(findings["group"].values):
        raise InputError("the findings have no untrained network: give what cues.table returns")
    reference = str(findings.attrs["reference"])
    if reference not in labels.strings(findings["representation"].values):
        raise InputError(f"the findings lost {reference!r}, with which all are compared: keep it")
    rows = _rows(findings.sel(distance=distance), names, reference)
    *where, value, low, high, outcomes = zip(*rows, strict=True)
    coords = {
        name: ("criterion", np.array(one, float if name == "sigma" else object))
        for name, one in zip(("treatment", "block", "sigma", "less"), where, strict=True)
    }
    return VERDICT.label(
        {"value": Estimate(value, low, high), "outcome": np.array(outcomes, object)},
        xr.Dataset(attrs=findings.attrs),
        coords={"criterion": np.arange(len(rows)), **coords},
        level=findings.attrs["level"],
        verdict=verdict_of(outcomes),
        distance=distance,
        blocks=", ".join(name for name in names if name in known),
    )


def _asked(findings: xr.Dataset, known: list[str]) -> list[str]:
    """The middle and the block before it, of the network's own taps where the findings still tell them."""
    taps = str(findings.attrs.get("taps", "")).split(", ")
    before = labels.block_before(taps if MIDDLE in taps else known, MIDDLE)
    return [before or f"the block before {MIDDLE}", MIDDLE]


def _rows(here: xr.Dataset, names: list[str], reference: str) -> list[tuple[Any, ...]]:
    """Of each criterion where it is, what is taken off, the number with its interval, and its outcome."""
    twins = asked_twins(here)
    # Where a texture has more candidates than a shape, neighbours drawn at random are above 0.
    by_chance = max(0.0, float(here["texture_chance"] - here["shape_chance"]))
    treatments, blocks = (labels.strings(here[name].values) for name in ("treatment", "block"))
    rows: list[tuple[Any, ...]] = []
    for treatment, block, sigma in product(TREATMENTS, names, here["sigma"].values):
        at = treatment, block, sigma
        if treatment not in treatments or block not in blocks:
            rows += [(*at, less, *[np.nan] * 3, "not judged") for less in ("none", *twins)]
            continue
        place = here.sel(treatment=treatment, block=block, sigma=sigma)
        own = _ends(place, "difference", reference)
        rows.append((*at, "none", *own, outcome(own.low, own.high, by_chance)))
        for twin in twins:
            more = _ends(place, "gain", twin)
            lacks = np.isnan(more.value) and np.isfinite(own.value)
            rows.append((*at, twin, *more, "not judged" if lacks else outcome(more.low, more.high)))
    return rows


def _ends(place: xr.Dataset, name: str, row: str) -> Estimate:
    if row not in labels.strings(place["representation"].values):
        return Estimate(*[np.nan] * 3)
    return Estimate(*(float(place[name + end].sel(representation=row)) for end in ("", "_low", "_high")))
