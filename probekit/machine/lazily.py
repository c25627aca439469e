"""Variables made of others: at once of what is in memory, of else when they are used."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from xarray.backends import BackendArray
from xarray.core import indexing

from probekit.machine.blocks import elsewhere

__all__ = ["less", "stacked"]


def less(whole: xr.Variable, part: xr.Variable) -> xr.Variable:
    """A variable less another of some of its dims, of its own dims in their order; without attributes."""
    if not elsewhere(whole) or whole.chunks is not None:
        return xr.Variable(whole.dims, (whole - part).transpose(*whole.dims).data)
    return xr.Variable(whole.dims, indexing.LazilyIndexedArray(_Less(whole, part.compute())))


def stacked(variables: Sequence[xr.Variable], dim: str) -> xr.Variable:
    """Variables of the same dims and sizes along a new first dim; with the attributes that they share."""
    first = variables[0]
    attrs = {k: v for k, v in first.attrs.items() if all(_same(one.attrs.get(k), v) for one in variables)}
    away, dims = [one for one in variables if elsewhere(one)], (dim, *first.dims)
    if any(one.chunks is None for one in away):
        return xr.Variable(dims, indexing.LazilyIndexedArray(_Stacked(variables)), attrs)
    if away:
        return xr.Variable(dims, xr.Variable.concat(variables, dim).data, attrs)
    values = [one.values for one in variables]
    # As objects texts keep their lengths.
    texts = any(one.dtype.kind in "OUT" for one in values)
    return xr.Variable(dims, np.stack([one.astype(object) if texts else one for one in values]), attrs)


def _same(one: Any, other: Any) -> bool:
    try:
        return bool(np.array_equal(one, other))
    except Exception:
        # Of values of others that cannot be compared nothing is known.
        return False


class _Less(BackendArray):
    """A variable that is read when it is used, less one in memory."""

    def __init__(self, whole: xr.Variable, part: xr.Variable) -> None:
        self.whole, self.part = whole, part
        self.shape, self.dtype = whole.shape, np.result_type(whole.dtype, part.dtype)

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.OUTER, self._read)

    def _read(self, key: tuple[Any, ...]) -> Any:
        at = dict(zip(self.whole.dims, key, strict=True))
        read = self.whole[key]
        return (read - self.part[tuple(at[dim] for dim in self.part.dims)]).transpose(*read.dims).values


class _Stacked(BackendArray):
    """Variables of one shape beside one another, each read when it is used."""

    def __init__(self, variables: Sequence[xr.Variable]) -> None:
        self.variables = list(variables)
        self.shape = (len(variables), *variables[0].shape)
        self.dtype = np.result_type(*(one.dtype for one in variables))

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.OUTER, self._read)

    def _read(self, key: tuple[Any, ...]) -> Any:
        which, within = np.arange(len(self.variables))[key[0]], key[1:]
        if which.ndim == 0:
            return self.variables[int(which)][within].values
        read = [self.variables[k][within].values for k in which.tolist()]
        return np.stack(read) if read else np.empty((0, *self.variables[0][within].shape), self.dtype)
