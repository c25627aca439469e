"""All claims on one set of images by one command, the demo, and the program `probekit`."""

from __future__ import annotations

from importlib import import_module
from typing import Any

# Loaded when they are asked for: the program itself starts without them.
WHERE = {
    "Compared": "analyses.report.all_claims",
    "JUDGED": "analyses.report.claims",
    "PARTS": "analyses.report.all_claims",
    "Sampling": "analyses.report.conditional",
    "main": "analyses.report.all_claims",
    "run": "analyses.report.all_claims",
}

__all__ = ["JUDGED", "PARTS", "Compared", "Sampling", "main", "run"]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name not in WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(WHERE[name]), name)
    return found
