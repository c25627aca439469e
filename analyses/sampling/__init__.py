"""Stochastic reconstruction: images sampled from p(x | φ) by the network that φ was measured in."""

from analyses.sampling.analyse import DEFAULT, centroid, interpolate, levels, main, plot, project, reconstruct, schedule
from analyses.sampling.conditions import same
from analyses.sampling.describe import describe
from analyses.sampling.samplers import method_of
from analyses.sampling.unconditional import sample

__all__ = [
    "DEFAULT",
    "centroid",
    "describe",
    "interpolate",
    "levels",
    "main",
    "method_of",
    "plot",
    "project",
    "reconstruct",
    "same",
    "sample",
    "schedule",
]
