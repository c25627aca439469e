"""All claims on one set of images by one command, the demo, and the program `probekit`."""

from typing import TYPE_CHECKING

from probekit.machine.on_demand import on_demand

if TYPE_CHECKING:
    from analyses.report.all_claims import of_phi, run
    from analyses.report.commands import main
    from analyses.report.parts import PARTS
    from analyses.report.settings import Compared, Measured, Sampling, Told

__all__ = ["PARTS", "Compared", "Measured", "Sampling", "Told", "main", "of_phi", "run"]

on_demand(__name__)
