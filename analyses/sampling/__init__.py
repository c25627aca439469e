"""Stochastic reconstruction: images sampled from p(x | φ) by the network that φ was measured in."""

from typing import TYPE_CHECKING

from probekit.machine.on_demand import on_demand

if TYPE_CHECKING:
    from analyses.sampling.analyse import DEFAULT, SAMPLES, levels, reconstruct, schedule
    from analyses.sampling.conditions import Condition, centroid, interpolate, project
    from analyses.sampling.description import FINDINGS, SHARES, describe, shares
    from analyses.sampling.figure import plot
    from analyses.sampling.kernels import Goal, Guided
    from analyses.sampling.methods import Match, method_of, sampler
    from analyses.sampling.samplers import Guiding, sample
    from analyses.sampling.shell import main
    from analyses.sampling.walk import Walk

__all__ = [
    "DEFAULT",
    "FINDINGS",
    "SAMPLES",
    "SHARES",
    "Condition",
    "Goal",
    "Guided",
    "Guiding",
    "Match",
    "Walk",
    "centroid",
    "describe",
    "interpolate",
    "levels",
    "main",
    "method_of",
    "plot",
    "project",
    "reconstruct",
    "sample",
    "sampler",
    "schedule",
    "shares",
]

on_demand(__name__)
