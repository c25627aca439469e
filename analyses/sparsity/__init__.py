"""How many channels share the activity of an image: sparsity along the network, and which measures agree on it."""

from analyses.sparsity.analyse import FINDINGS, MIN_UNITS, analyse
from analyses.sparsity.figure import plot
from analyses.sparsity.kernels import participation_ratio
from analyses.sparsity.shell import main

__all__ = ["FINDINGS", "MIN_UNITS", "analyse", "main", "participation_ratio", "plot"]
