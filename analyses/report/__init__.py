"""All claims on one set of images by one command, the demo, and the program `probekit`."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from analyses.report import claims
    from analyses.report.all_claims import main, run
    from analyses.report.claims import JUDGED
    from analyses.report.parts import PARTS, Compared, Measured, Sampling, Told

__all__ = ["JUDGED", "PARTS", "Compared", "Measured", "Sampling", "Told", "claims", "main", "run"]

# Loaded when they are asked for: the program starts without them.
PLACES = {
    "JUDGED": "claims",
    "PARTS": "parts",
    "Compared": "parts",
    "Measured": "parts",
    "Sampling": "parts",
    "Told": "parts",
    "claims": "",
    "main": "all_claims",
    "run": "all_claims",
}


def __getattr__(name: str) -> Any:
    if name not in PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = import_module(f"{__name__}.{PLACES[name] or name}")
    found = globals()[name] = getattr(module, name) if PLACES[name] else module
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
