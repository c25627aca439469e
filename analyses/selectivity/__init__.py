"""Which channels respond to nearly every image and which to few: types of channel, under false-discovery control."""

from typing import TYPE_CHECKING

from probekit.machine.on_demand import on_demand

if TYPE_CHECKING:
    from analyses.selectivity.analyse import (
        CRITERIA,
        FALSE_ALARM,
        FAR_OUT,
        FEW,
        FINDINGS,
        KINDS,
        NEARLY_NONE,
        RARE,
        analyse,
    )
    from analyses.selectivity.figure import plot
    from analyses.selectivity.power import POWER, plot_power, power_curve
    from analyses.selectivity.shell import main

__all__ = [
    "CRITERIA",
    "FALSE_ALARM",
    "FAR_OUT",
    "FEW",
    "FINDINGS",
    "KINDS",
    "NEARLY_NONE",
    "POWER",
    "RARE",
    "analyse",
    "main",
    "plot",
    "plot_power",
    "power_curve",
]

on_demand(__name__)
