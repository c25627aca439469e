"""Whether selective channels are concepts: hold what excites one, and see whether samples show the rest of it."""

from analyses.concepts.analyse import analyse, main, most_selective, plot
from analyses.concepts.held import concept, hold_concept

__all__ = ["analyse", "concept", "hold_concept", "main", "most_selective", "plot"]
