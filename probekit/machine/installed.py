"""Which version of the package is running."""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError, version

__all__ = ["DISTRIBUTION", "UNKNOWN", "installed_version"]

# What pip calls the package that is imported as probekit.
DISTRIBUTION = "probekit-denoisers"
UNKNOWN = "0+unknown"


@cache
@cache
def installed_version() -> str:
    """The version that is installed; "0+unknown" where the package runs from a folder and is not."""
    try:
        return version(DISTRIBUTION)
    except PackageNotFoundError:
        return UNKNOWN
