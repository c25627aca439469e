"""All claims on one set of images by one command, the demo, and the program `probekit`."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from analyses.report.all_claims import main, run
    from analyses.report.parts import PARTS
    from analyses.report.settings import Compared, Measured, Sampling, Told

__all__ = ["PARTS", "Compared", "Measured", "Sampling", "Told", "main", "run"]

# Loaded when they are asked for: the program starts without them.
PLACES = {
    "PARTS": "parts",
    "Compared": "settings",
    "Measured": "settings",
    "Sampling": "settings",
    "Told": "settings",
    "main": "all_claims",
    "run": "all_claims",
}


def __getattr__(name: str) -> Any:
    if name not in PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(f"{__name__}.{PLACES[name]}"), name)
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
