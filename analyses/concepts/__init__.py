"""Whether selective channels are concepts: hold what excites one, and see whether samples show the rest of it."""

from typing import TYPE_CHECKING

from probekit.machine.on_demand import on_demand

if TYPE_CHECKING:
    from analyses.concepts.analyse import FINDINGS, Settings, analyse, most_selective
    from analyses.concepts.figure import plot
    from analyses.concepts.held import HELD, Significance, concept, hold_concept
    from analyses.concepts.shell import main

__all__ = [
    "FINDINGS",
    "HELD",
    "Settings",
    "Significance",
    "analyse",
    "concept",
    "hold_concept",
    "main",
    "most_selective",
    "plot",
]

on_demand(__name__)
