"""What all rooms stand on."""

from analyses.ground.checks import check_errors, check_findings, check_fraction, check_numbers
from analyses.ground.findings import command, findings, keep, variable
from analyses.ground.intervals import (
    check_resampling,
    check_seed,
    interval,
    participation_ratio,
    resampled_means,
    widened,
)
from analyses.ground.keep import Pieces

__all__ = [
    "Pieces",
    "check_errors",
    "check_findings",
    "check_fraction",
    "check_numbers",
    "check_resampling",
    "check_seed",
    "command",
    "findings",
    "interval",
    "keep",
    "participation_ratio",
    "resampled_means",
    "variable",
    "widened",
]
