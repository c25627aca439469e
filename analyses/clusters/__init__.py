"""Whether images form groups in φ, how many, and whether these are classes."""

from typing import TYPE_CHECKING

from probekit.machine.on_demand import on_demand

if TYPE_CHECKING:
    from analyses.clusters.analyse import FINDINGS, NUMBERS, analyse
    from analyses.clusters.comparison import COMPARED, compare
    from analyses.clusters.embedding import MAP, embed
    from analyses.clusters.figure import plot, plot_embedding, sheet
    from analyses.clusters.separation import SEPARATION, separation
    from analyses.clusters.shell import main

__all__ = [
    "COMPARED",
    "FINDINGS",
    "MAP",
    "NUMBERS",
    "SEPARATION",
    "analyse",
    "compare",
    "embed",
    "main",
    "plot",
    "plot_embedding",
    "separation",
    "sheet",
]

on_demand(__name__)
