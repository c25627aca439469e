"""φ as a texture descriptor: whether patches of one photograph of a texture lie together, and nearer than by rivals."""

from typing import TYPE_CHECKING

from probekit.machine.on_demand import on_demand

if TYPE_CHECKING:
    from analyses.descriptors import equalised
    from analyses.textures.analyse import CURVE, FINDINGS, TABLE, analyse, curve
    from analyses.textures.excited import EXCITED, excited, sheet
    from analyses.textures.figure import plot, plot_curves
    from analyses.textures.judging import PATCHES, RIVALS, best_block, verdict
    from analyses.textures.patches import patches, photographs_sha256
    from analyses.textures.shell import main
    from analyses.textures.table import Settings, representations, table

__all__ = [
    "CURVE",
    "EXCITED",
    "FINDINGS",
    "PATCHES",
    "RIVALS",
    "TABLE",
    "Settings",
    "analyse",
    "best_block",
    "curve",
    "equalised",
    "excited",
    "main",
    "patches",
    "photographs_sha256",
    "plot",
    "plot_curves",
    "representations",
    "sheet",
    "table",
    "verdict",
]

on_demand(__name__)
