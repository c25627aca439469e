"""Which channels respond to nearly every image and which to few: types of channel, under false-discovery control."""

from analyses.selectivity.analyse import FALSE_ALARM, FEW, KINDS, NEARLY_NONE, RARE, analyse, main, plot

__all__ = ["FALSE_ALARM", "FEW", "KINDS", "NEARLY_NONE", "RARE", "analyse", "main", "plot"]
