"""How much of the class a linear classifier reads from φ, fitted on some images and tested on others."""

from analyses.probe.analyse import PENALTIES, analyse, compare, main, plot
from analyses.probe.checks import check_tuning, penalties_of
from analyses.probe.kernels import subset

__all__ = ["PENALTIES", "analyse", "check_tuning", "compare", "main", "penalties_of", "plot", "subset"]
