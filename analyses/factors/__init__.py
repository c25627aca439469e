"""How a numeric factor of images lies in φ: correlations of mean φ over its values, how well it is read, neighbours."""

from typing import TYPE_CHECKING

from probekit.machine.on_demand import on_demand

if TYPE_CHECKING:
    from analyses.factors.analyse import FINDINGS, analyse
    from analyses.factors.controls import CONTROLS, controls
    from analyses.factors.figure import plot
    from analyses.factors.paired import DIFFERENCES, compare
    from analyses.factors.shell import main

__all__ = ["CONTROLS", "DIFFERENCES", "FINDINGS", "analyse", "compare", "controls", "main", "plot"]

on_demand(__name__)
