"""Which version of the package, or of another, is installed."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

__all__ = ["DISTRIBUTION", "UNKNOWN", "installed_version", "version_of"]

# What pip calls the package that is imported as probekit.
DISTRIBUTION = "probekit-denoisers"
UNKNOWN = "0+unknown"


def installed_version() -> str:
    """The version that is installed; "0+unknown" where the package runs from a folder and is not."""
    return version_of(DISTRIBUTION) or UNKNOWN


def version_of(distribution: str) -> str | None:
    """The version of what pip calls by this name; None where it is not installed."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None
