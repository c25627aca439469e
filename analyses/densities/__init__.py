"""Whether distances between representations follow distances between the densities that they condition."""

from typing import TYPE_CHECKING

from probekit.machine.on_demand import on_demand

if TYPE_CHECKING:
    from analyses.densities.analyse import FINDINGS, analyse, correlate
    from analyses.densities.distances import distance, over_pairs
    from analyses.densities.divergence import DIVERGENCE, along_noise, empirical_denoiser
    from analyses.densities.figure import plot
    from analyses.densities.kernels_distances import LEAST_SAMPLES
    from analyses.densities.shell import main

__all__ = [
    "DIVERGENCE",
    "FINDINGS",
    "LEAST_SAMPLES",
    "along_noise",
    "analyse",
    "correlate",
    "distance",
    "empirical_denoiser",
    "main",
    "over_pairs",
    "plot",
]

on_demand(__name__)
