"""What all rooms stand on: findings by specification, intervals, kept results, pictures, the command line."""

from analyses.ground.activity import as_activity, refuse_signed, sites
from analyses.ground.alike import by_channel, by_image, check_same_network, same_attr, same_channels
from analyses.ground.checks import (
    check_errors,
    check_measured,
    check_numbers,
    check_options,
    noise_level,
    real_numbers,
    repeats,
    resampling,
)
from analyses.ground.figures import GUIDE, PALETTE, block_colours, level_colours, picture, shown_range
from analyses.ground.findings import Estimate, Findings, Variable, along
from analyses.ground.intervals import estimated_mean, holm, interval, jackknife_deviation, resampled_means, wilson
from analyses.ground.keep import Kept, fingerprint, folder_called, folder_of, read, saved
from analyses.ground.markup import Code, Text, marked, table_row
from analyses.ground.samples import (
    SampleSettings,
    as_network,
    block_names,
    chosen_channels,
    drawn_images,
    labels_of,
    untrained_twin,
)
from analyses.ground.shell import OF_TEST, OUT, Clusters, Data, Level, Permutations, Resamples, run

__all__ = [
    "GUIDE",
    "OF_TEST",
    "OUT",
    "PALETTE",
    "Clusters",
    "Code",
    "Data",
    "Estimate",
    "Findings",
    "Kept",
    "Level",
    "Permutations",
    "Resamples",
    "SampleSettings",
    "Text",
    "Variable",
    "along",
    "as_activity",
    "as_network",
    "block_colours",
    "block_names",
    "by_channel",
    "by_image",
    "check_errors",
    "check_measured",
    "check_numbers",
    "check_options",
    "check_same_network",
    "chosen_channels",
    "drawn_images",
    "estimated_mean",
    "fingerprint",
    "folder_called",
    "folder_of",
    "holm",
    "interval",
    "jackknife_deviation",
    "labels_of",
    "level_colours",
    "marked",
    "noise_level",
    "picture",
    "read",
    "real_numbers",
    "refuse_signed",
    "repeats",
    "resampled_means",
    "resampling",
    "run",
    "same_attr",
    "same_channels",
    "saved",
    "shown_range",
    "sites",
    "table_row",
    "untrained_twin",
    "wilson",
]
