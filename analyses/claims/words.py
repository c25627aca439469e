"""What was judged, in words: verdicts, criteria as cells of a table, what is not as claimed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr

from analyses.claims.criteria import ABSENT, COMPARED, JUDGED, LESS
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
    "sentence",
    "undecided",
    "unjudged",
    "verdict_table",
    "verdicts",
]

HEADER = ("measured", "σ", "value", "95 % interval", *TWINS, *(f"less {twin}" for twin in TWINS), "as claimed")
# Differences from these stand in the row of the number itself, in these columns.
FOLDED = {less: len(HEADER) - 1 - len(TWINS) + k for k, less in enumerate(LESS.values())}
REPORTED = "reported only"
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
    """The criteria of a claim as text under `HEADER`: a row for each number, and in it what it is less its controls.

    What is taken off otherwise, such as the same of pixels, stands in a row of its own under it.
    """
    rows = rows_of(judged, claim)
    found: list[list[str]] = []
    before = ("", "")
    for i in range(rows.sizes["criterion"]):
        row = rows.isel(criterion=i)
        subject, less, asked = (str(row[name].item()) for name in ("subject", "less", "asked"))
        holds = SAID[str(row["outcome"].item())] if row["counts"] else REPORTED
        sigma, value, *controls = [_number(row[name]) for name in ("sigma", "value", *CONTROLS)]
        under = (subject, sigma) == before
        column = FOLDED.get(less)
        if under and column is not None and found[-1][column] == "–":
            found[-1][column] = f"{_with_interval(row)}, {asked}: {holds}"
            continue
        what = f"↳ less {less}, {asked}" if under and less else joined(subject, less, asked)
        found.append([what, sigma, value, _spread(row), *controls, "–", "–", holds])
        before = subject, sigma
    return found


def sentence(judged: xr.Dataset, claim: int) -> str:
    """The verdict on a claim and what decided it, in one sentence: what holds, what is against, what is left open.

    Of several criteria of a kind the first stands for all, and how many more there are is said.
    """
    rows, verdict = rows_of(judged, claim), verdicts(judged)[claim]
    counts, outcomes = rows["counts"].values.astype(bool), labels.strings(rows["outcome"].values)
    of = {one: np.flatnonzero(counts & (outcomes == one)) for one in ("holds", "does not hold", "undecided")}
    lacking = [str(one) for one in rows["lacks"].values[counts] if one]
    as_claimed = _stands(rows, of["holds"], "is as claimed", "are")
    against = _stands(rows, of["does not hold"], "is the opposite", "are")
    open_ = _stands(rows, of["undecided"], "leaves open which it is", "do")
    if verdict == "holds":
        because = as_claimed
    elif verdict == "partly":
        because = f"{as_claimed}, but {against or open_}" if as_claimed else against or open_
    elif verdict == "does not hold":
        because = against + (f", while {as_claimed}" if as_claimed else "")
    elif verdict == "undecided":
        because = open_ + (f", while {as_claimed}" if as_claimed else "")
    else:
        because = f"{lacking[0]} was not measured" if lacking else ""
    said = f"{verdict[:1].upper()}{verdict[1:]}"
    return f"{said}, because {because}." if because else f"{said}."


def _stands(rows: xr.Dataset, chosen: np.ndarray, what: str, more: str) -> str:
    """The first of some criteria with its number, what that is, and how many more there are."""
    if not len(chosen):
        return ""
    row = rows.isel(criterion=int(chosen[0]))
    subject, less, asked = (str(row[name].item()) for name in ("subject", "less", "asked"))
    sigma = row["sigma"].item()
    at = f" at σ = {sigma:g}" if np.isfinite(sigma) else ""
    value = _with_interval(row)
    named = f"{subject}{f' less {less}' if less else ''}"
    told = f"{named} is {value}{at} (asked: {asked})" if value != "–" else f"{named} has no number{at} (asked: {asked})"
    others = len(chosen) - 1
    # One more is in the singular.
    verb = {"are": "is", "do": "does"}[more] if others == 1 else more
    beside = f", as {verb} {others} more criteri{'on' if others == 1 else 'a'}" if others else ""
    return f"{told}, which {what}{beside}"


def _spread(row: xr.Dataset) -> str:
    ends = [row[name].item() for name in ("low", "high")]
    return f"{rounded(ends[0], 3)} to {rounded(ends[1], 3)}" if np.isfinite(ends).all() else "–"


def _with_interval(row: xr.Dataset) -> str:
    value, spread = _number(row["value"]), _spread(row)
    return value if spread == "–" else f"{value} [{spread.replace(' to ', ', ')}]"


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
