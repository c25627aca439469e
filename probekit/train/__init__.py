"""Training a denoiser: mean squared error of D(x + σz) against x, σ drawn anew for every image."""

from probekit.train.loop import progress_of, train
from probekit.train.processes import launched
from probekit.train.recipe import Recipe
from probekit.train.steps import at_step, steps_kept

__all__ = ["Recipe", "at_step", "launched", "progress_of", "steps_kept", "train"]
