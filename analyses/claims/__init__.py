"""The claims: what each asks, how it is judged, and several networks beside one another."""

from typing import TYPE_CHECKING

from probekit.machine.on_demand import on_demand

if TYPE_CHECKING:
    from analyses.claims.criteria import COMPARED, JUDGED, LEVEL, Criterion
    from analyses.claims.figure import plot
    from analyses.claims.judge import side_by_side, table
    from analyses.claims.listed import CLAIMS
    from analyses.claims.of_comparisons import AMONG, FOUND_AT, LEAST_PAIRS
    from analyses.claims.of_textures import blocks_of_cues
    from analyses.claims.shell import main
    from analyses.claims.words import (
        HEADER,
        anchor,
        cells,
        failing,
        markdown,
        met,
        sentence,
        undecided,
        unjudged,
        verdict_table,
        verdicts,
    )

__all__ = [
    "AMONG",
    "CLAIMS",
    "COMPARED",
    "FOUND_AT",
    "HEADER",
    "JUDGED",
    "LEAST_PAIRS",
    "LEVEL",
    "Criterion",
    "anchor",
    "blocks_of_cues",
    "cells",
    "failing",
    "main",
    "markdown",
    "met",
    "plot",
    "sentence",
    "side_by_side",
    "table",
    "undecided",
    "unjudged",
    "verdict_table",
    "verdicts",
]

on_demand(__name__)
