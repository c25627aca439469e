"""Training a denoiser: mean squared error of D(x + σz) against x, σ drawn anew for every image."""

from probekit.train.loop import progress_of, train
from probekit.train.processes import launched
from probekit.train.recipe import Recipe

__all__ = ["Recipe", "launched", "progress_of", "train"]
