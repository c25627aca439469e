"""netCDF files of results: numbers with checksums, whole or not at all."""

from __future__ import annotations

from pathlib import Path

import xarray as xr

from probekit.errors import InputError
from probekit.machine.files import whole

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


def read(path: Path) -> xr.Dataset:
    """The Dataset of a file, in memory.

    Raises
    ------
    InputError
        If it is no netCDF file, or damaged.
    """
    try:
        return xr.load_dataset(path, engine="h5netcdf")
    except FileNotFoundError:
        raise InputError(f"{path} does not exist: give a netCDF file that this package has written") from None
    except Exception as error:
        # Whatever HDF5 and its readers make of damaged bytes.
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"{path} is no netCDF file that can be read, or is damaged ({first[:200]}): give what this package has "
            "written, or make it again"
        ) from error
