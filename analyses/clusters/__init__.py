"""Whether images form groups in φ, how many, and whether these are classes."""

from analyses.clusters.analyse import NUMBERS, analyse, compare, embed, main, plot, plot_embedding, sheet

__all__ = ["NUMBERS", "analyse", "compare", "embed", "main", "plot", "plot_embedding", "sheet"]
