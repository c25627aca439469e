"""What training does to a block: sparsity, types of channel, robustness and neighbours at every step that was kept."""

from typing import TYPE_CHECKING

from probekit.machine.on_demand import on_demand

if TYPE_CHECKING:
    from analyses.training.analyse import FINDINGS, Settings, analyse
    from analyses.training.figure import plot
    from analyses.training.shell import main

__all__ = ["FINDINGS", "Settings", "analyse", "main", "plot"]

on_demand(__name__)
