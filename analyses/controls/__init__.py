"""Does it need training? The same numbers for the trained denoiser and all that it is compared with."""

from analyses.controls.analyse import Source, main, plot, table

__all__ = ["Source", "main", "plot", "table"]
