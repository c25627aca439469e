"""Claim 10 judged: does training turn a layout code into a texture code?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from analyses.cues.table import TABLE, TREATMENTS
from analyses.ground import Estimate, Findings, Variable, outcome, verdict_of
from probekit import checks, labels
from probekit.errors import InputError

__all__ = ["VERDICT", "verdict"]

MIDDLE = "mid"
VERDICT = Findings(
    "cues.verdict",
    {
        "value": Variable(("criterion",), "what must be above 0", interval="textures and shapes resampled"),
        "outcome": Variable(("criterion",), "holds, does not hold, or undecided", holds="names"),
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
    above 0, does not hold where it lies at or below 0, and is undecided in between.

    Parameters
    ----------
    findings
        What `table` returns.
    blocks
        Blocks that the claim is judged at; by default "mid" and the one before it, which is the encoder block of the
        largest number. Where that was not tapped, or images of one treatment are lacking, the claim is "not judged",
        unless it is refuted.
    distance
        One of the findings' distances.

    Returns
    -------
    Dataset
        {findings}

        Attr `verdict`: "holds" if all criteria do; "partly" if some do and some do not; "does not hold" if none does
        and one at least does not; else "undecided".

    Raises
    ------
    InputError
        If these are no findings of `table`, they have no untrained network, or lack a block or distance.

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
    TABLE.check(findings, "difference", "gain", "texture_chance", "shape_chance", attrs=("reference", "level"))
    known = labels.strings(findings["block"].values).tolist()
    for name in [MIDDLE] if given is None else given:
        checks.choice("blocks", name, tuple(known))
    # Of the network's own taps, where the findings still tell them: those measured may be fewer.
    taps = str(findings.attrs.get("taps", "")).split(", ")
    before = labels.block_before(taps if MIDDLE in taps else known, MIDDLE) if given is None else ""
    before = before if before in known else ""
    names = [name for name in (before, MIDDLE) if name] if given is None else given
    if "group" not in findings.coords:
        raise InputError("the findings lost their coordinate group: give what cues.table returns")
    checks.choice("distance", distance, tuple(labels.strings(findings["distance"].values)))
    groups, rows = (labels.strings(findings[name].values) for name in ("group", "representation"))
    untrained = rows[groups == "untrained"].tolist()
    if not untrained:
        raise InputError("the findings have no untrained network: give what cues.table returns")
    here = findings.sel(distance=distance)
    sides = [("difference", str(findings.attrs["reference"]), "none"), *(("gain", name, name) for name in untrained)]
    found: list[tuple[Any, ...]] = []
    for treatment in here["treatment"].values:
        for block in names:
            for sigma in here["sigma"].values:
                place = here.sel(treatment=treatment, block=block, sigma=sigma)
                for variable, row, less in sides:
                    one = place.sel(representation=row)
                    numbers = [float(one[variable + end]) for end in ("", "_low", "_high")]
                    found.append((treatment, block, sigma, less, *numbers))
    *where, value, low, high = zip(*found, strict=True)
    # Where a texture has more candidates than a shape, neighbours drawn at random are above 0.
    by_chance = max(0.0, float(findings["texture_chance"] - findings["shape_chance"]))
    bounds = [by_chance if less == "none" else 0.0 for less in where[3]]
    outcomes = [outcome(*three) for three in zip(low, high, bounds, strict=True)]
    said = verdict_of(outcomes)
    lacking = (given is None and not before) or set(TREATMENTS) - set(labels.strings(here["treatment"].values))
    coords = {
        name: ("criterion", np.array(one, float if name == "sigma" else object))
        for name, one in zip(("treatment", "block", "sigma", "less"), where, strict=True)
    }
    return VERDICT.label(
        {"value": Estimate(value, low, high), "outcome": np.array(outcomes, object)},
        xr.Dataset(attrs=findings.attrs),
        coords={"criterion": np.arange(len(found)), **coords},
        level=findings.attrs["level"],
        # What was not measured could still refute the claim.
        verdict="not judged" if lacking and said in ("holds", "undecided") else said,
        distance=distance,
        blocks=", ".join(names),
    )
