"""Whether a representation puts images of one texture together, or of one shape, where these two disagree."""

from typing import TYPE_CHECKING

from probekit.machine.on_demand import on_demand

if TYPE_CHECKING:
    from analyses.cues.analyse import FINDINGS, analyse
    from analyses.cues.exemplars import named
    from analyses.cues.figure import plot
    from analyses.cues.shell import main
    from analyses.cues.table import TABLE, TREATMENTS, Settings, table
    from analyses.cues.verdict import VERDICT, verdict
    from analyses.descriptors import equalised

__all__ = [
    "FINDINGS",
    "TABLE",
    "TREATMENTS",
    "VERDICT",
    "Settings",
    "analyse",
    "equalised",
    "main",
    "named",
    "plot",
    "table",
    "verdict",
]

on_demand(__name__)
