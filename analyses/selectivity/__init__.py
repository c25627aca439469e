"""Which channels respond to nearly every image and which to few: types of channel, under false-discovery control."""

from analyses.selectivity.analyse import FALSE_ALARM, FEW, FINDINGS, KINDS, NEARLY_NONE, RARE, analyse
from analyses.selectivity.figure import plot
from analyses.selectivity.shell import main

__all__ = ["FALSE_ALARM", "FEW", "FINDINGS", "KINDS", "NEARLY_NONE", "RARE", "analyse", "main", "plot"]
