"""What does each ingredient of conditional sampling do? The default method beside all that lacks one, in numbers."""

from analyses.variants.analyse import Variant, laws, main, plot, sheet, table

__all__ = ["Variant", "laws", "main", "plot", "sheet", "table"]
