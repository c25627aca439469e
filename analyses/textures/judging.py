"""Claim 9, "φ is a texture descriptor": the block that it is about, and whether it holds there."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
import xarray as xr

from analyses.ground import TWINS, asked_twins, outcome, verdict_of
from analyses.textures.analyse import PLACE, TABLE
from probekit import checks, labels
from probekit.errors import InputError

__all__ = ["PATCHES", "RIVALS", "best_block", "verdict"]

# What claim 9 asks φ to be above.
RIVALS = (*TWINS, "colour moments", "Gabor bank")
# Of each photograph, at least.
PATCHES = 8
FORMS = ("colour", "grey")


def best_block(findings: xr.Dataset, *, distance: str = "euclidean", sigma: float | None = None) -> str:
    """The block of the reference with the highest rate; to be asked of training photographs, and used on others.

    Parameters
    ----------
    findings
        What `analyse` returns, or several of them along further dims, such as `form`, over which rates are averaged.
    distance
        The distance that counts.
    sigma
        The noise level that counts; by default the mean over all.

    Returns
    -------
    str
        Of equally good blocks the first.

    Raises
    ------
    InputError
        If these are no such findings, or there is no such distance or noise level.
    """
    rates = _chosen(findings, distance, sigma)["rate"].sel(representation=findings.attrs["reference"])
    mean = rates.mean([dim for dim in rates.dims if dim != "block"]).values
    if not np.isfinite(mean).any():
        raise InputError("the reference has no rate at any block: give findings of what tells patches apart")
    return str(findings["block"].values[int(np.nanargmax(mean))])


def verdict(
    findings: xr.Dataset,
    block: str,
    *,
    rivals: Sequence[str] = RIVALS,
    distance: str = "euclidean",
    sigma: float | None = None,
) -> str:
    """Whether φ is a texture descriptor at a block: claim 9 by the criteria that were fixed before the results.

    Each criterion is that the whole interval of the reference's rate less a rival's lies above 0, for each rival, in
    colour and on equalised grey, at each noise level; and that there are 8 patches of each photograph at least. One is
    not judged where a form, a rival or its number is not there, or there are fewer patches.

    Parameters
    ----------
    findings
        What `table` returns, or `analyse` along dim `form` with "colour" and "grey"; of subsets "all".
    block
        The block, fixed on other photographs by `best_block`.
    rivals
        What the reference is to be above; by default what claim 9 names. Untrained networks that there cannot be, by
        the attr `twins` of the findings, are left out.
    distance, sigma
        The distance, and the noise level, that count; by default all noise levels.

    Returns
    -------
    str
        "holds" if all criteria are met, "partly" if some are and some are refuted, "does not hold" if none is and one
        at least is refuted; else "not judged" if one is not, or "undecided".

    Raises
    ------
    InputError
        If these are no such findings, they lost the reference, or there is no such block, distance or noise level, or
        no representation of the name of a rival that is none by default.
    """
    chosen = _chosen(findings, distance, sigma)
    checks.choice("block", block, labels.strings(chosen["block"].values))
    wanted = checks.names("rivals", rivals, f"names of representations, such as {RIVALS[0]!r}")
    if not wanted:
        raise InputError("rivals is empty: give the names of what the reference is compared with")
    if "subset" in chosen.dims:
        chosen = chosen.sel(subset="all")
    there = dict.fromkeys(labels.strings(chosen["representation"].values))
    for one in wanted:
        checks.choice("rivals", one, tuple(there | dict.fromkeys(RIVALS)))
    possible = asked_twins(findings)
    asked = [one for one in wanted if one not in TWINS or one in possible]
    if not asked:
        raise InputError(f"{checks.given('rivals', rivals)}: the network has only {', '.join(possible)} to be above")
    reference = str(findings.attrs["reference"])
    if reference not in there:
        raise InputError(f"the findings lost {reference!r}, with which all are compared: keep it")
    least = findings.attrs.get("patches_least", 0)
    few = checks.number("patches_least", least, "number of patches of each photograph") < PATCHES
    return verdict_of(["not judged"] * few + _outcomes(chosen.sel(block=block), asked, reference))


def _outcomes(chosen: xr.Dataset, rivals: Sequence[str], reference: str) -> list[str]:
    """Of each form and rival, at each noise level."""
    outcomes: list[str] = []
    forms = set(labels.strings(chosen["form"].values)) if "form" in chosen.dims else set()
    for form, rival in product(FORMS, rivals):
        if form not in forms:
            outcomes.append("not judged")
            continue
        here = chosen.sel(form=form)
        # Of a rival that is not there all numbers are NaN.
        own, other = (here.reindex(representation=[one]).isel(representation=0) for one in (reference, rival))
        lacks = np.isnan(other["difference"].values) & np.isfinite(own["rate"].values)
        ends = zip(other["difference_low"].values, other["difference_high"].values, lacks, strict=True)
        outcomes += ["not judged" if gone else outcome(low, high) for low, high, gone in ends]
    return outcomes


def _chosen(findings: Any, distance: str, sigma: float | None) -> xr.Dataset:
    findings = TABLE.taken(findings, "rate", "difference", dims=PLACE, attrs=("reference",))
    checks.choice("distance", distance, labels.strings(findings["distance"].values))
    chosen = findings.sel(distance=distance)
    if sigma is None:
        return chosen
    levels = findings["sigma"].values
    said = f"one of the noise levels {', '.join(f'{s:g}' for s in levels)}"
    near = np.flatnonzero(np.isclose(levels, checks.number("sigma", sigma, said)))
    if not len(near):
        raise InputError(f"{checks.given('sigma', sigma)}: give {said}")
    return chosen.isel(sigma=near[:1])
