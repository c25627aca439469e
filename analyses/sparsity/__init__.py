"""How many channels share the activity of an image: sparsity along the network, and which measures agree on it."""

from analyses.sparsity.analyse import analyse, main, plot

__all__ = ["analyse", "main", "plot"]
