"""Work given to the workers of a Dask cluster."""

from typing import TYPE_CHECKING

from probekit.machine.on_demand import on_demand

if TYPE_CHECKING:
    from probekit.distribute.workers import Workers, as_workers

__all__ = ["Workers", "as_workers"]

on_demand(__name__)
