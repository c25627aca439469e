"""Which pixels drive a channel, what a channel causes, and whether holding a few channels holds a pattern."""

from analyses.attribution.analyse import Matched, attribute, effects, main, matched_groups, plot
from analyses.attribution.inputs import check_count, chosen_channels, labels_of

__all__ = [
    "Matched",
    "attribute",
    "check_count",
    "chosen_channels",
    "effects",
    "labels_of",
    "main",
    "matched_groups",
    "plot",
]
