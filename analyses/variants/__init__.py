"""What does each ingredient of conditional sampling do? The default method beside all that lacks one, in numbers."""

from typing import TYPE_CHECKING

from probekit.machine.on_demand import on_demand

if TYPE_CHECKING:
    from analyses.variants.analyse import FINDINGS, Settings, laws, table
    from analyses.variants.figure import plot, sheet
    from analyses.variants.recipes import RECIPES, Recipe, Variant
    from analyses.variants.shell import main

__all__ = ["FINDINGS", "RECIPES", "Recipe", "Settings", "Variant", "laws", "main", "plot", "sheet", "table"]

on_demand(__name__)
