"""Whether distances between representations follow distances between the densities that they condition."""

from analyses.densities.analyse import (
    along_noise,
    analyse,
    correlate,
    distance,
    empirical_denoiser,
    main,
    over_pairs,
    plot,
)
from analyses.densities.kernels_distances import LEAST_SAMPLES

__all__ = [
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
