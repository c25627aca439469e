"""How many channels share the activity of an image: sparsity along the network, and which measures agree on it."""

from typing import TYPE_CHECKING

from probekit.machine.on_demand import on_demand

if TYPE_CHECKING:
    from analyses.sparsity.analyse import FINDINGS, MIN_UNITS, analyse
    from analyses.sparsity.figure import plot
    from analyses.sparsity.kernels import participation_ratio
    from analyses.sparsity.shell import main

__all__ = ["FINDINGS", "MIN_UNITS", "analyse", "main", "participation_ratio", "plot"]

on_demand(__name__)
