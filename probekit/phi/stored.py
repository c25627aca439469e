"""Stores and other files of results looked at: opened lazily, and checked."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from xarray.backends import BackendArray
from xarray.core import indexing

from probekit.errors import InputError
from probekit.labels import VARIABLES
from probekit.machine.reading import reading
from probekit.machine.storage import fsspec_store, place
from probekit.phi import layout

if TYPE_CHECKING:
    import zarr

__all__ = ["Checked", "check", "open"]

AT_ONCE_BYTES = 2**30


def open(path: str | Path) -> xr.Dataset:
    """The Dataset in a file of this package, read lazily: values come from disk when they are used.

    Parameters
    ----------
    path
        What was given as ``store=``; or a netCDF file or Zarr folder of φ, samples or findings, written
        by this package or by ``to_netcdf`` or ``to_zarr`` of a Dataset of its.

    Returns
    -------
    Dataset
        As a tap or an analysis returned it; in memory where it comes from a netCDF file of up to 1 GiB.
        Units of a store that are not done yet, or whose chunks are missing, are NaN, with a warning that
        says how many; call the tap again with the same arguments to have them measured.

    Raises
    ------
    InputError
        If there is no such file, or it is damaged; of a damaged chunk only once its values are used.
    """
    path = place("path", path, "the path of a store or of a netCDF file")
    if not path.exists():
        raise InputError(f"{path} does not exist: give the path of a store or of a netCDF file")
    if path.is_file():
        return _ours(_netcdf(path), path)
    return _store(path) if layout.is_store(path) else _ours(_zarr(path), path)


@dataclass(frozen=True)
class Checked:
    """What `check` found of a store.

    Attributes
    ----------
    path : Path
        Of the store.
    images, units, unit : int
        How many images and units, and how many images a unit holds.
    done : int
        Units that are done and whole.
    damaged : dict[int, str]
        Units that are marked as done and are not whole, by their number, with what is wrong.
    changed : tuple[str, ...]
        Files other than units' that are not as they were written.
    summed : bool
        Whether there are checksums; in stores of format 1 there are none, and only missing files are found.
    """

    path: Path
    images: int
    units: int
    unit: int
    done: int
    damaged: dict[int, str] = field(default_factory=dict)
    changed: tuple[str, ...] = ()
    summed: bool = True

    @property
    def whole(self) -> bool:
        """Whether all is done and nothing damaged."""
        return self.done == self.units and not self.damaged and not self.changed

    def __str__(self) -> str:
        lines = [
            f"{self.path}: {self.done} of {self.units} units of {min(self.unit, self.images)} images are done and whole"
            + (", as is all else" if self.whole else "")
        ]
        for number, why in self.damaged.items():
            last = min((number + 1) * self.unit, self.images) - 1
            lines.append(f"images {number * self.unit} to {last}: {why}")
        lines += [f"{name}: not as it was written" for name in self.changed]
        if not self.summed:
            lines[0] = lines[0].replace(" and whole, as is all else", "").replace(" and whole", "")
            lines.append("it was written by an earlier version, without checksums: only files that lack are found")
        elif not self.whole:
            lines.append("the call that wrote it, made again, measures what is missing or damaged")
        return "\n".join(lines)


def check(path: str | Path) -> Checked:
    """Read a store through, and say what of it is whole.

    Every chunk is compared with its checksum, every other file with its SHA-256.

    Parameters
    ----------
    path
        What was given as ``store=``.

    Returns
    -------
    Checked

    Raises
    ------
    InputError
        If there is no store, or its plan cannot be read.
    """
    path = place("path", path, layout.FOLDER)
    plan = layout.plan_of(path)
    changed = tuple(layout.unsealed(path)) if plan["format"] > 1 else ()
    if changed:
        # Which units there are cannot be known for certain.
        return Checked(path, 0, 0, plan["unit"], 0, {}, changed)
    group = layout.opened(path)
    marked = layout.done_units(path, group)
    damaged = layout.faults(path, group, marked, read=True)
    return Checked(
        path,
        images=layout.array(group, "image").shape[0],
        units=layout.array(group, layout.DONE).shape[0],
        unit=plan["unit"],
        done=len(marked) - len(damaged),
        damaged=damaged,
        summed=plan["format"] > 1,
    )


def _store(path: Path) -> xr.Dataset:
    plan = layout.plan_of(path)
    group = layout.opened(path)
    marked = layout.done_units(path, group)
    lost = layout.faults(path, group, marked, read=False)
    units = layout.array(group, layout.DONE).shape[0]
    if len(marked) - len(lost) < units:
        also = f", and {len(lost)} of those that were done have lost chunks" if lost else ""
        warnings.warn(
            f"{path} is unfinished: {len(marked) - len(lost)} of {units} units are done, the others read as NaN{also}; "
            "call the tap again with the same arguments to finish it",
            stacklevel=3,
        )
    with reading(path, "restore it from a copy, or measure into another path"):
        data = xr.open_zarr(fsspec_store(path), chunks=None).drop_encoding()
    there = frozenset(marked) - frozenset(lost) if plan["format"] > 1 else frozenset()
    for name, values in layout.measured(group).items():
        lazy = indexing.LazilyIndexedArray(_Units(path, values, there))
        data[name] = xr.Variable(data[name].dims, lazy, data[name].attrs)
    return _with_objects(data)


class _Units(BackendArray):
    """An array of a store, read when it is used: what should be there and is not, or is damaged, is an error."""

    def __init__(self, path: Path, values: zarr.Array, there: frozenset[int]) -> None:
        self.path, self.values, self.there = path, values, there
        self.shape, self.dtype = values.shape, values.dtype

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.OUTER, self._read)

    def _read(self, key: tuple[Any, ...]) -> Any:
        try:
            outer = any(isinstance(part, np.ndarray) for part in key)
            found = self.values.oindex[key] if outer else self.values[key]
        except Exception as error:
            raise self._lost(layout.described(error)) from error
        units = {int(u) for u in np.unique(np.arange(self.shape[0])[key[0]] // self.values.chunks[0])}
        if any(not layout.chunk(self.path, self.values, u).is_file() for u in units & self.there):
            raise self._lost("a chunk is missing")
        return found

    def _lost(self, why: str) -> InputError:
        return InputError(
            f"{self.values.basename} of {self.path} cannot be read ({why}): `probekit check {self.path}` says what is "
            "whole; call the tap again with the same arguments to have the rest measured again"
        )


def _netcdf(path: Path) -> xr.Dataset:
    """A netCDF file, read at once where it is not large: then what is damaged shows here."""
    with reading(path, "give a netCDF file that this package has written"):
        data = xr.open_dataset(path, engine="h5netcdf")
        if data.nbytes > AT_ONCE_BYTES:
            return data
        with data:
            return data.load()


def _zarr(path: Path) -> xr.Dataset:
    what = "it is not a store that this package wrote, nor another Zarr folder; give another path"
    with reading(path, what), warnings.catch_warnings(action="ignore"):
        return xr.open_zarr(fsspec_store(path), chunks=None)


def _ours(data: xr.Dataset, path: Path) -> xr.Dataset:
    """The Dataset, if it is one of this package's."""
    known = {"probekit_version", "analysis"} & set(data.attrs)
    if not known and not set(VARIABLES) & set(map(str, data.data_vars)):
        data.close()
        raise InputError(
            f"{path} holds nothing that this package wrote, only {', '.join(map(str, data.variables)) or 'nothing'}: "
            "open it with xarray, or give another path"
        )
    return _with_objects(data)


def _with_objects(data: xr.Dataset) -> xr.Dataset:
    """Strings as Python's own, whatever kind a file gave them back as."""
    strings = {
        name: data[name].astype(object) for name in data.coords if data[name].dtype.kind in "TU" and data[name].ndim
    }
    for name, values in strings.items():
        values.attrs = data[name].attrs
    return data.assign_coords(strings)
