"""Whether a denoiser has learnt images by heart: training against held-out PSNR, and copies among its samples."""

from typing import TYPE_CHECKING

from probekit.machine.on_demand import on_demand

if TYPE_CHECKING:
    from analyses.generalisation.analyse import FINDINGS, analyse, card_entry
    from analyses.generalisation.figure import plot, sheet
    from analyses.generalisation.shell import main
    from analyses.sampling import sample

__all__ = ["FINDINGS", "analyse", "card_entry", "main", "plot", "sample", "sheet"]

on_demand(__name__)
