"""What all rooms stand on: findings by specification, intervals, kept results, pictures, the command line."""

from typing import TYPE_CHECKING

from probekit.machine.on_demand import on_demand

if TYPE_CHECKING:
    from analyses.ground.activity import as_activity, refuse_signed, sites, varies
    from analyses.ground.alike import beside, by_channel, by_image, check_same_network, same_attr, same_channels
    from analyses.ground.checks import (
        TAKEN_OFF,
        check_errors,
        check_measured,
        check_noise,
        check_numbers,
        check_options,
        noise_level,
        real_numbers,
        repeats,
        resampling,
    )
    from analyses.ground.figures import GUIDE, PALETTE, block_colours, level_colours, picture, shown_range
    from analyses.ground.findings import Estimate, Findings, Variable, along
    from analyses.ground.intervals import (
        estimated_mean,
        holm,
        interval,
        jackknife_deviation,
        jackknifed,
        jackknifed_correlation,
        levelled,
        outcome,
        resampled_means,
        unlike,
        verdict_of,
        wilson,
    )
    from analyses.ground.keep import Kept, fingerprint, folder_called, folder_of, read, saved
    from analyses.ground.markup import Code, Text, marked, rounded, table_row
    from analyses.ground.samples import (
        TWINS,
        SampleSettings,
        as_network,
        asked_twins,
        block_names,
        chosen_channels,
        drawn_images,
        labels_of,
        untrained_twin,
        untrained_twins,
    )
    from analyses.ground.shell import OF_TEST, OUT, Clusters, Data, Level, Permutations, Resamples, run

__all__ = [
    "GUIDE",
    "OF_TEST",
    "OUT",
    "PALETTE",
    "TAKEN_OFF",
    "TWINS",
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
    "asked_twins",
    "beside",
    "block_colours",
    "block_names",
    "by_channel",
    "by_image",
    "check_errors",
    "check_measured",
    "check_noise",
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
    "jackknifed",
    "jackknifed_correlation",
    "labels_of",
    "level_colours",
    "levelled",
    "marked",
    "noise_level",
    "outcome",
    "picture",
    "read",
    "real_numbers",
    "refuse_signed",
    "repeats",
    "resampled_means",
    "resampling",
    "rounded",
    "run",
    "same_attr",
    "same_channels",
    "saved",
    "shown_range",
    "sites",
    "table_row",
    "unlike",
    "untrained_twin",
    "untrained_twins",
    "varies",
    "verdict_of",
    "wilson",
]

on_demand(__name__)
