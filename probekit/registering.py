"""Every Dataset has `data.probe` once this package is imported, whoever imports xarray, and when."""

from __future__ import annotations

from typing import Any

from probekit.machine.after import after_import

__all__ = ["accessor_offered"]


def accessor_offered() -> None:
    """Register the accessor as soon as there is an xarray to have it."""
    after_import("xarray", _registered)


def _registered() -> None:
    from xarray import register_dataset_accessor

    register_dataset_accessor("probe")(_probe)


def _probe(data: Any) -> Any:
    from probekit.accessor import Probe

    return Probe(data)
