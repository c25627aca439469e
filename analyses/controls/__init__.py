"""Does it need training? The same numbers for the trained denoiser and all that it is compared with."""

from analyses.controls.analyse import table
from analyses.controls.figure import plot
from analyses.controls.rows import FINDINGS, MEASURES, Settings
from analyses.controls.shell import main
from analyses.controls.sources import Source

__all__ = ["FINDINGS", "MEASURES", "Settings", "Source", "main", "plot", "table"]
