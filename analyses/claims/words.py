"""What was judged, in words: verdicts, criteria as cells of a table, what is not as claimed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr

from analyses.claims.criteria import ABSENT, COMPARED, JUDGED
from analyses.claims.listed import claim_of
from analyses.ground import TWINS, marked, rounded
from probekit import checks, labels
from probekit.errors import InputError

__all__ = [
    "CONTROLS",
    "HEADER",
    "anchor",
    "cells",
    "failing",
    "joined",
    "markdown",
    "met",
    "rows_of",
    "undecided",
    "unjudged",
    "verdict_table",
    "verdicts",
]

HEADER = ("measured", "σ", "value", "95 % interval", *TWINS, "as claimed")
SAID = {"holds": "yes", "does not hold": "no", "undecided": "undecided", "not judged": "not judged"}
CONTROLS = ("control", "control_paper_gains")
NEEDED = ("of_claim", "outcome", "counts", "verdict")
# Criteria named in words; the table holds all.
MOST = 6


def verdicts(judged: xr.Dataset) -> dict[int, str]:
    """The verdict on each claim, by its number, of what `table` returns; a claim that is none is refused."""
    judged = JUDGED.taken(judged, *NEEDED)
    for claim in np.unique(np.concatenate([judged["claim"].values, judged["of_claim"].values])):
        claim_of(claim)
    return {int(c): str(v) for c, v in zip(judged["claim"].values, judged["verdict"].values, strict=True)}


def cells(judged: xr.Dataset, claim: int) -> list[list[str]]:
    """The criteria of a claim as text, a row each, under `HEADER`."""
    rows = rows_of(judged, claim)
    found, before = [], ("", "")
    for i in range(rows.sizes["criterion"]):
        row = rows.isel(criterion=i)
        ends = [row[name].item() for name in ("low", "high")]
        spread = f"{rounded(ends[0], 3)} to {rounded(ends[1], 3)}" if np.isfinite(ends).all() else "–"
        holds = SAID[str(row["outcome"].item())] if row["counts"] else "reported only"
        numbers = [_number(row[name]) for name in ("sigma", "value", *CONTROLS)]
        subject, less, asked = (str(row[name].item()) for name in ("subject", "less", "asked"))
        what = joined("the same" if (subject, numbers[0]) == before else subject, less, asked)
        found.append([what, *numbers[:2], spread, *numbers[2:], holds])
        before = subject, numbers[0]
    return found


def failing(judged: xr.Dataset, claim: int) -> str:
    """What of a claim is not as claimed, in words, with the noise levels at which it is not; empty where all is."""
    return _of_outcome(judged, claim, "does not hold")


def undecided(judged: xr.Dataset, claim: int) -> str:
    """What of a claim is neither shown nor refuted, as `failing` says what is refuted."""
    return _of_outcome(judged, claim, "undecided")


def met(judged: xr.Dataset, claim: int) -> str:
    """How many criteria of a claim hold, do not, and are not judged, in words."""
    rows = rows_of(judged, claim)
    counts, outcomes = rows["counts"].values.astype(bool), labels.strings(rows["outcome"].values)
    held, against, lacking = (
        int(((outcomes == one) & counts).sum()) for one in ("holds", "does not hold", "not judged")
    )
    return f"{held} of {counts.sum()}, {against} against" + (f"; {lacking} not judged" if lacking else "")


def rows_of(judged: xr.Dataset, claim: int) -> xr.Dataset:
    """The criteria of a claim."""
    return judged.isel(criterion=judged["of_claim"].values == claim)


def _of_outcome(judged: xr.Dataset, claim: int, outcome: str) -> str:
    rows = rows_of(judged, claim)
    return _named(rows, rows["counts"].values.astype(bool) & (labels.strings(rows["outcome"].values) == outcome))


def unjudged(judged: xr.Dataset, claim: int) -> str:
    """What of a claim is not judged, and what it lacks, as `failing` says what is not as claimed."""
    rows = rows_of(judged, claim)
    return _named(rows, rows["counts"].values.astype(bool) & (labels.strings(rows["lacks"].values) != ""))


def _named(rows: xr.Dataset, chosen: np.ndarray) -> str:
    """Some criteria in words, with their noise levels."""
    found: dict[str, list[float]] = {}
    for what, lacks, sigma in zip(*(rows[name].values[chosen] for name in ("what", "lacks", "sigma")), strict=True):
        said = f"{what}, which lacks {lacks}" if lacks else str(what)
        # A level that is lacking is named already.
        found.setdefault(said, []).append(np.nan if lacks == f"σ = {sigma:g}" else float(sigma))
    named = [what + _at(levels) for what, levels in found.items()]
    more = [f"and {len(named) - MOST} more"] if len(named) > MOST else []
    return "; ".join(named[:MOST] + more)


def markdown(judged: xr.Dataset) -> str:
    """What `table` returns as Markdown: for each claim its verdict and its criteria."""
    judged = JUDGED.taken(judged, *JUDGED.variables)
    lines = []
    for claim, verdict in verdicts(judged).items():
        lines += [f"**Claim {claim}. {claim_of(claim).title}: {verdict}.**", ""]
        rows = ["| " + " | ".join(row) + " |" for row in (HEADER, *cells(judged, claim))]
        lines += [rows[0], "|" + "---|" * len(HEADER), *rows[1:], ""]
    return "\n".join(lines)


def verdict_table(compared: xr.Dataset, links: Mapping[str, Mapping[int, str]] | None = None) -> str:
    """The table as Markdown, a row a claim.

    Parameters
    ----------
    compared
        What `side_by_side` returns.
    links
        Where the numbers of a network are told, by its name and the claim's number.

    Raises
    ------
    InputError
        If these are no such findings, or links are of networks that are not among them.
    """
    compared = COMPARED.taken(compared, *COMPARED.variables)
    names = labels.strings(compared["network"].values).tolist()
    wanted = 'links by claim, by network, e.g. {"photo32": {1: "results.md"}}'
    given = checks.mapping("links", {} if links is None else links, wanted)
    for name, of in given.items():
        checks.choice("links", name, names)
        if not isinstance(of, Mapping):
            raise InputError(f"{checks.given('links', links)}: give {wanted}")
    lines = ["| claim | " + " | ".join(f"`{name}`" for name in names) + " |", "|" + " --- |" * (1 + len(names))]
    for claim in compared["claim"].values:
        cells = []
        for name in names:
            one = compared.sel(claim=claim, network=name)
            verdict = str(one["verdict"].item())
            target = given.get(name, {}).get(int(claim))
            said = f"[{verdict}]({target})" if target and verdict != ABSENT else verdict
            of = f", {one['met'].item()} of {one['criteria'].item()}, {one['against'].item()} against"
            cells.append(said + (of if verdict != ABSENT else ""))
        lines.append(f"| {claim}. {marked(claim_of(claim).title)} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def anchor(judged: xr.Dataset, claim: int) -> str:
    """The anchor of a claim's heading in the report's Markdown page, as GitHub and others make it of the heading."""
    title, said = claim_of(claim).title, verdicts(judged)
    if claim not in said:
        raise InputError(f"claim {claim} is not judged here: give one of {', '.join(map(str, said))}")
    heading = f"Claim {claim}. {title}: {said[claim]}"
    return "#" + re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def joined(subject: str, less: str, asked: str) -> str:
    """A criterion in words: what is measured, what is taken off it, what is asked."""
    return f"{subject}{f' less {less}' if less else ''}, {asked}"


def _at(levels: Sequence[float]) -> str:
    known = [f"{level:g}" for level in levels if np.isfinite(level)]
    return f" (σ = {', '.join(known)})" if known else ""


def _number(value: xr.DataArray) -> str:
    return rounded(value.item(), 3) if np.isfinite(value) else "–"
