"""Large arrays a block at a time: some images, or all images of some channels, wherever their values lie.

Values may be in memory, in a store that is read when they are used, or in chunks of dask: blocks are the same, and so
are numbers that are made of them, to the last bit. Nothing is held beyond the block.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import numpy as np
import xarray as xr
from xarray.backends import BackendArray
from xarray.core import indexing

__all__ = [
    "AT_ONCE",
    "HELD",
    "IN_MEMORY",
    "at_hand",
    "channel_blocks",
    "elsewhere",
    "image_blocks",
    "leading_blocks",
    "mapped",
    "steps",
]

# Numbers of a block.
AT_ONCE = 4_000_000
# Images that stores keep together, of which blocks of more are made.
TOGETHER = 1024
# Bytes of variables that are loaded once and for all, and of channels that are held for all images while a store is
# read through.
IN_MEMORY = HELD = 2**29

Data = TypeVar("Data", xr.Dataset, xr.DataArray)


def at_hand(data: Any, *names: str) -> Any:
    """The data, with values in memory if these are not large, and all coordinates in any case.

    Analyses call it on entry: small data are read once, large ones block by block.

    Parameters
    ----------
    data
        A Dataset or DataArray; anything else, which checks will refuse, is given back.
    names
        Variables of the Dataset that will be used; by default all. Others stay where they are.

    Returns
    -------
    Dataset or DataArray
        A new one; the one that was given is not loaded.
    """
    if not isinstance(data, xr.Dataset | xr.DataArray):
        return data
    if isinstance(data, xr.DataArray):
        return data.compute() if elsewhere(data.variable) and data.nbytes <= IN_MEMORY else _coordinates_loaded(data)
    away = [str(n) for n in names or data.data_vars if n in data.data_vars and elsewhere(data[n].variable)]
    if sum(data[name].nbytes for name in away) <= IN_MEMORY:
        data = data.assign({name: data[name].variable.compute() for name in away})
    return _coordinates_loaded(data)


def _coordinates_loaded(data: Data) -> Data:
    away = {name: one.variable.compute() for name, one in data.coords.items() if elsewhere(one.variable)}
    return data.assign_coords(away) if away else data


def elsewhere(variable: xr.Variable) -> bool:
    """Whether values are not in memory, so far as xarray tells."""
    return not getattr(variable, "_in_memory", False)


def steps(count: int, size: int) -> Iterator[slice]:
    """Consecutive slices of so many; of at least one."""
    size = max(1, size)
    return (slice(start, min(start + size, count)) for start in range(0, count, size))


def image_blocks(data: xr.Dataset | xr.DataArray, *names: str, at_once: int | None = None) -> Iterator[tuple[Any, ...]]:
    """Values, some images at a time.

    Parameters
    ----------
    data
        A Dataset, or a DataArray, with dim `image`.
    names
        Variables of the Dataset, all along `image`.
    at_once
        Numbers of a block, of all variables together; by default `AT_ONCE`. Which images are in a block depends on it
        and on sizes, not on where values lie.

    Yields
    ------
    tuple
        Positions of the images, a slice, and the values of each variable as an ndarray of its own dims: a view of what
        is in memory, which is not to be written to.
    """
    variables = [data.variable] if isinstance(data, xr.DataArray) else [data[name].variable for name in names]
    count = data.sizes["image"]
    each = sum(math.prod(one.shape) // max(count, 1) for one in variables)
    together = (AT_ONCE if at_once is None else at_once) // max(each, 1)
    if together > TOGETHER:
        together -= together % TOGETHER
    for rows in steps(count, together):
        yield rows, *(one.isel(image=rows).values for one in variables)


def leading_blocks(variable: xr.Variable) -> Iterator[np.ndarray]:
    """All values in their order, some along the first dim at a time: at once of what is in memory."""
    if not (variable.ndim and variable.size and elsewhere(variable)):
        yield variable.values
        return
    together = AT_ONCE // max(variable[0].size, 1)
    for rows in steps(len(variable), together - together % TOGETHER or together):
        yield variable[rows].values


def channel_blocks(data: xr.Dataset, *names: str, at_once: int | None = None) -> Iterator[tuple[Any, ...]]:
    """Values of all images, some channels at a time.

    What is not in memory is read through once for as many channels as `HELD` bytes take.

    Parameters
    ----------
    data
        A Dataset with dims `image` and `channel`.
    names
        Its variables, all along both, `channel` last.
    at_once
        Numbers of a block, of the first variable; by default `AT_ONCE`. Which channels are in a block depends on it and
        on sizes, not on where values lie.

    Yields
    ------
    tuple
        Positions of the channels, a slice, and the values of each variable as an ndarray of its own dims, in the type
        in which it is kept; not to be written to.
    """
    channels, variables = data.sizes["channel"], [data[name].variable for name in names]
    width = max(1, (AT_ONCE if at_once is None else at_once) // max(math.prod(variables[0].shape) // channels, 1))
    if not any(map(elsewhere, variables)):
        for columns in steps(channels, width):
            yield columns, *(one.values[..., columns] for one in variables)
        return
    bytes_each = sum(one.nbytes for one in variables) // channels
    held = max(1, HELD // max(bytes_each * width, 1)) * width
    for group in steps(channels, held):
        parts = [_gathered(one.isel(channel=group)) for one in variables]
        for own in steps(group.stop - group.start, width):
            columns = slice(group.start + own.start, group.start + own.stop)
            # Copies: who keeps the last would keep the whole group while the next is read.
            yield columns, *(part[..., own].copy() for part in parts)
        del parts


def _gathered(variable: xr.Variable) -> np.ndarray:
    """All values of a part of what is large as a whole."""
    found = np.empty(variable.shape, variable.dtype)
    place = variable.dims.index("image")
    count, whole = variable.shape[place], math.prod(variable.shape)
    for rows in steps(count, TOGETHER * max(1, AT_ONCE * count // max(whole, 1) // TOGETHER)):
        found[(*[slice(None)] * place, rows)] = variable.isel(image=rows).values
    return found


def mapped(variable: xr.Variable, function: Callable[[np.ndarray], np.ndarray]) -> xr.Variable:
    """A function of each value by itself, of the same type: at once of what is in memory, of else when it is used."""
    if not elsewhere(variable):
        return xr.Variable(variable.dims, function(variable.values), variable.attrs)
    if variable.chunks is not None:
        found = xr.apply_ufunc(function, variable, dask="parallelized", output_dtypes=[variable.dtype])
        return xr.Variable(variable.dims, found.data, variable.attrs)
    return xr.Variable(variable.dims, indexing.LazilyIndexedArray(_Mapped(variable, function)), variable.attrs)


class _Mapped(BackendArray):
    """A function of an array that is read when it is used."""

    def __init__(self, variable: xr.Variable, function: Callable[[np.ndarray], np.ndarray]) -> None:
        self.variable, self.function = variable, function
        self.shape, self.dtype = variable.shape, variable.dtype

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.OUTER, self._read)

    def _read(self, key: tuple[Any, ...]) -> Any:
        return self.function(self.variable[key].values)
