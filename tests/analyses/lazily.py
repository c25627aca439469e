"""Data that are read when they are used, and what was read of them at once and in all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from xarray.backends import BackendArray
from xarray.core import indexing

import probekit.machine.blocks as blocks

__all__ = ["Log", "blocks_of", "everywhere", "lazily"]

PER_IMAGE = ("phi", "phi_se", "phi_draws")


@dataclass
class Log:
    """How many numbers were read at once, at most, and in all."""

    largest: int = 0
    total: int = 0


class _Read(BackendArray):
    def __init__(self, values: np.ndarray, log: Log) -> None:
        self.values, self.log = values, log
        self.shape, self.dtype = values.shape, values.dtype

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.OUTER, self._read)

    def _read(self, key: tuple[Any, ...]) -> np.ndarray:
        places = [np.arange(n)[k] for n, k in zip(self.shape, key, strict=True)]
        found = self.values[np.ix_(*map(np.atleast_1d, places))].reshape(
            [len(place) for place in places if np.ndim(place)]
        )
        self.log.largest = max(self.log.largest, found.size)
        self.log.total += found.size
        return found


def lazily(data: xr.Dataset, log: Log | None = None) -> xr.Dataset:
    """The data with what is of images in no memory."""
    log = Log() if log is None else log
    lazy = {
        name: (data[name].dims, indexing.LazilyIndexedArray(_Read(data[name].values, log)), data[name].attrs)
        for name in PER_IMAGE
        if name in data
    }
    return data.assign({name: xr.Variable(*one) for name, one in lazy.items()})


def everywhere(data: xr.Dataset, chunk: int) -> list[xr.Dataset]:
    """The data read when used, and in chunks of so many images."""
    return [lazily(data), data.chunk(image=chunk)]


def blocks_of(monkeypatch: Any, numbers: int) -> None:
    """Blocks of so many numbers, and data of no more kept in memory."""
    monkeypatch.setattr(blocks, "AT_ONCE", numbers)
    monkeypatch.setattr(blocks, "IN_MEMORY", 0)
