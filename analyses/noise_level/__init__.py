"""Whether a denoiser knows how much noise there is, told or not: on held-out images, and along a sampler's path."""

from typing import TYPE_CHECKING

from probekit.machine.on_demand import on_demand

if TYPE_CHECKING:
    from analyses.noise_level.analyse import FINDINGS, PATH, along, analyse
    from analyses.noise_level.figure import plot
    from analyses.noise_level.networks import is_told
    from analyses.noise_level.shell import main
    from analyses.noise_level.verdict import ON_IMAGES, ON_PATH, PARTS, VERDICT, in_range, lacking, verdict

__all__ = [
    "FINDINGS",
    "ON_IMAGES",
    "ON_PATH",
    "PARTS",
    "PATH",
    "VERDICT",
    "along",
    "analyse",
    "in_range",
    "is_told",
    "lacking",
    "main",
    "plot",
    "verdict",
]

on_demand(__name__)
