"""Does it need training? The same numbers for the trained denoiser and all that it is compared with."""

from typing import TYPE_CHECKING

from probekit.machine.on_demand import on_demand

if TYPE_CHECKING:
    from analyses.controls.analyse import table
    from analyses.controls.figure import plot
    from analyses.controls.rows import FINDINGS, MEASURES, Settings
    from analyses.controls.shell import main
    from analyses.controls.sources import Source

__all__ = ["FINDINGS", "MEASURES", "Settings", "Source", "main", "plot", "table"]

on_demand(__name__)
