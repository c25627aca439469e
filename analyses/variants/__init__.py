"""What does each ingredient of conditional sampling do? The default method beside all that lacks one, in numbers."""

from analyses.variants.analyse import Variant, laws, main, plot, sheet, table
from analyses.variants.rows import chosen, folder_of, network, schedule

__all__ = ["Variant", "chosen", "folder_of", "laws", "main", "network", "plot", "schedule", "sheet", "table"]
