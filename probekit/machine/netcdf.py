"""netCDF files of results: numbers with checksums, whole or not at all."""

from __future__ import annotations

import warnings
from pathlib import Path

import xarray as xr

from probekit.machine.files import whole
from probekit.machine.reading import reading

__all__ = ["read", "write"]


def write(data: xr.Dataset, path: Path) -> None:
    """Write a Dataset whole or not at all; a bit that flips in its numbers later is an error when they are read.

    Raises
    ------
    CapacityError
        If it cannot be written; what was there before is then still there.
    """
    # What was read from another file would be written as wide as it was there, and longer words be cut.
    plain = data.drop_encoding()
    numbers = [name for name, values in plain.variables.items() if values.size and values.ndim]
    summed = {name: {"fletcher32": True} for name in numbers if plain[name].dtype.kind in "fiub"}
    with whole(path) as unfinished:
        plain.to_netcdf(unfinished, engine="h5netcdf", encoding=summed)


def read(path: Path, wanted: str = "give what this package has written, or make it again") -> xr.Dataset:
    """The Dataset of a file, in memory; the file is closed.

    Raises
    ------
    InputError
        If it is no netCDF file, or is damaged; `wanted` says what to do.
    """
    with reading(path, wanted), warnings.catch_warnings(action="ignore"):
        # Warnings are of oddities in files of others; what cannot be read is an error.
        return xr.load_dataset(path, engine="h5netcdf")
