"""Is distance in φ semantic: does it keep images together over noise, and follow labels, gist, colour?"""

from analyses.semantics.analyse import analyse, class_distances, correlate, main, neighbours, plot, stability
from analyses.semantics.kernels_pairs import STATISTICS
from analyses.semantics.wordnet import class_table

__all__ = [
    "STATISTICS",
    "analyse",
    "class_distances",
    "class_table",
    "correlate",
    "main",
    "neighbours",
    "plot",
    "stability",
]
