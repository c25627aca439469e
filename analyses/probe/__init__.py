"""How much of the class a linear classifier reads from φ, fitted on some images and tested on others."""

from typing import TYPE_CHECKING

from probekit.machine.on_demand import on_demand

if TYPE_CHECKING:
    from analyses.probe.analyse import FINDINGS, PENALTIES, analyse
    from analyses.probe.checks import check_tuning, penalties_of
    from analyses.probe.figure import plot
    from analyses.probe.kernels import subset
    from analyses.probe.paired import DIFFERENCES, compare
    from analyses.probe.shell import main

__all__ = [
    "DIFFERENCES",
    "FINDINGS",
    "PENALTIES",
    "analyse",
    "check_tuning",
    "compare",
    "main",
    "penalties_of",
    "plot",
    "subset",
]

on_demand(__name__)
