"""Which pixels drive a channel, and what a channel causes."""

from typing import TYPE_CHECKING

from probekit.machine.on_demand import on_demand

if TYPE_CHECKING:
    from analyses.attribution.analyse import ATTRIBUTION, METHODS, attribute
    from analyses.attribution.effects import EFFECTS, effects
    from analyses.attribution.figure import plot
    from analyses.attribution.groups import Matched, matched_groups
    from analyses.attribution.shell import main

__all__ = ["ATTRIBUTION", "EFFECTS", "METHODS", "Matched", "attribute", "effects", "main", "matched_groups", "plot"]

on_demand(__name__)
