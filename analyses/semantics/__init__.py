"""Is distance in φ semantic: does it keep images together over noise, and follow labels, gist, colour?"""

from typing import TYPE_CHECKING

from probekit.machine.on_demand import on_demand

if TYPE_CHECKING:
    from analyses.semantics.analyse import CORRELATIONS, FINDINGS, analyse, correlate
    from analyses.semantics.figure import plot, plot_reliability
    from analyses.semantics.inputs import class_distances, class_table
    from analyses.semantics.kernels_pairs import STATISTICS
    from analyses.semantics.reliability import RELIABILITY, reliability
    from analyses.semantics.retrieval import NEIGHBOURS, PER_IMAGE, STABILITY, neighbours, per_image, stability
    from analyses.semantics.shell import main

__all__ = [
    "CORRELATIONS",
    "FINDINGS",
    "NEIGHBOURS",
    "PER_IMAGE",
    "RELIABILITY",
    "STABILITY",
    "STATISTICS",
    "analyse",
    "class_distances",
    "class_table",
    "correlate",
    "main",
    "neighbours",
    "per_image",
    "plot",
    "plot_reliability",
    "reliability",
    "stability",
]

on_demand(__name__)
