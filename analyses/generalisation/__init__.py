"""Whether a denoiser has learnt images by heart: training against held-out PSNR, and copies among its samples."""

from analyses.generalisation.analyse import analyse, card_entry, main, plot, sample, sheet

__all__ = ["analyse", "card_entry", "main", "plot", "sample", "sheet"]
