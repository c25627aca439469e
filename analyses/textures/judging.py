"""Claim 9, "φ is a texture descriptor": the block that it is about, and whether it holds there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from analyses.ground import TWINS, outcome, verdict_of
from analyses.textures.analyse import PLACE, TABLE
from probekit import checks, labels
from probekit.errors import InputError

__all__ = ["RIVALS", "best_block", "verdict"]

# What claim 9 asks φ to be above.
RIVALS = (*TWINS, "colour moments", "Gabor bank")
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
    colour and on equalised grey, at each noise level.

    Parameters
    ----------
    findings
        What `table` returns, or `analyse` along dim `form` with "colour" and "grey"; of subsets "all".
    block
        The block, fixed on other photographs by `best_block`.
    rivals
        What the reference is to be above; by default what claim 9 names.
    distance, sigma
        The distance, and the noise level, that count; by default all noise levels.

    Returns
    -------
    str
        "holds" if all criteria are met, "partly" if some are and some are refuted, "does not hold" if none is and one
        at least is refuted, and else "undecided"; also if a form, a rival by default, or its number is not there.

    Raises
    ------
    InputError
        If these are no such findings, or there is no such block, distance or noise level, or no representation of the
        name of a rival that is none by default.
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
    forms = set(labels.strings(chosen["form"].values)) if "form" in chosen.dims else set()
    if set(wanted) - there.keys() or set(FORMS) - forms:
        return "undecided"
    here = chosen.sel(block=block, representation=list(wanted), form=list(FORMS))
    low, high = (here[f"difference_{end}"].values.ravel() for end in ("low", "high"))
    if not np.isfinite(low).all():
        return "undecided"
    return verdict_of(outcome(*ends) for ends in zip(low, high, strict=True))


def _chosen(findings: Any, distance: str, sigma: float | None) -> xr.Dataset:
    TABLE.check(findings, "rate", "difference", dims=PLACE, attrs=("reference",))
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
