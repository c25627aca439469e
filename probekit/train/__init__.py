"""Training a denoiser: mean squared error of D(x + σz) against x, σ drawn anew for every image."""

from typing import TYPE_CHECKING

from probekit.machine.on_demand import on_demand

if TYPE_CHECKING:
    from probekit.train.loop import progress_of, train
    from probekit.train.processes import launched
    from probekit.train.recipe import Recipe
    from probekit.train.steps import at_step, steps_kept

__all__ = ["Recipe", "at_step", "launched", "progress_of", "steps_kept", "train"]

on_demand(__name__)
