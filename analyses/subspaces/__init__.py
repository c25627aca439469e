"""Whether φ lies in a union of subspaces: sparse sets of channels that depend on the image."""

from typing import TYPE_CHECKING

from probekit.machine.on_demand import on_demand

if TYPE_CHECKING:
    from analyses.subspaces.analyse import (
        DIMENSIONS,
        EXPLAINED,
        FINDINGS,
        OVERLAP,
        analyse,
        explained_variance,
        intrinsic_dimension,
        overlap,
    )
    from analyses.subspaces.figure import plot
    from analyses.subspaces.fitting import ACTIVE, FITTED, SCORES, active_sets, fit, score
    from analyses.subspaces.shell import main

__all__ = [
    "ACTIVE",
    "DIMENSIONS",
    "EXPLAINED",
    "FINDINGS",
    "FITTED",
    "OVERLAP",
    "SCORES",
    "active_sets",
    "analyse",
    "explained_variance",
    "fit",
    "intrinsic_dimension",
    "main",
    "overlap",
    "plot",
    "score",
]

on_demand(__name__)
