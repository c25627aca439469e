"""Labelled data as nobody means to give it: what can go wrong with any Dataset or DataArray, by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

__all__ = ["NAMES", "odd_data"]

# Names that a file, pandas or a slip may leave among an image's, one in place of the first.
NAMES: dict[str, Any] = {
    "None": None,
    "nan": float("nan"),
    "pd.NA": pd.NA,
    "NaT": pd.NaT,
    "empty": "",
    "blank": " ",
    "bytes": b"class 0",
    "int": 1,
    "bool": True,
    "float": 0.5,
    "tuple": ("a", 1),
    "numpy nan": np.float32("nan"),
}
# Types that a whole variable or coordinate may come in.
KINDS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "float16": lambda v: v.astype(np.float16),
    "float64": lambda v: v.astype(np.float64),
    "int32": lambda v: v.astype(np.int32),
    "uint8": lambda v: v.astype(np.uint8),
    "bool": lambda v: v.astype(bool),
    "complex": lambda v: v.astype(complex),
    "object": lambda v: v.astype(object),
    "str": lambda v: v.astype(str),
    "bytes": lambda v: np.array([str(one).encode() for one in v.ravel()], object).reshape(v.shape),
    "datetime": lambda v: np.full(v.shape, np.datetime64("2020-01-01", "ns")),
    "timedelta": lambda v: np.full(v.shape, np.timedelta64(1, "ns")),
    "NaN": lambda v: np.full(v.shape, np.nan),
    "inf": lambda v: np.full(v.shape, np.inf),
    "negative": lambda v: -1.0 - np.arange(v.size).reshape(v.shape),
    "zero": lambda v: np.zeros(v.shape),
    "one value": lambda v: np.ones(v.shape),
    "huge": lambda v: np.full(v.shape, 1e300) * (1 + np.arange(v.size).reshape(v.shape)),
    "tiny": lambda v: np.full(v.shape, 1e-320) * (1 + np.arange(v.size).reshape(v.shape)),
    "None": lambda v: np.full(v.shape, None, object),
    "mixed": lambda v: np.array([1, "a", None, 0.5, b"b"] * (v.size // 5 + 1), object)[: v.size].reshape(v.shape),
    "first NaN": lambda v: _first(v, np.nan),
    "first inf": lambda v: _first(v, -np.inf),
    "first of objects None": lambda v: _first(v.astype(object), None),
    "first of objects a text": lambda v: _first(v.astype(object), "a"),
}


def odd_data(data: xr.Dataset | xr.DataArray, *, only: tuple[str, ...] = ()) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Every odd form of some data, by name, each made when it is called.

    Parameters
    ----------
    data
        Good data.
    only
        Variables and coordinates that other types are tried on; by default all.
    """
    yield from _whole(data)
    for dim in map(str, data.dims):
        for said, make in _of_dim(data, dim):
            yield f"{dim}: {said}", make
    variables = [*data.data_vars, *data.coords] if isinstance(data, xr.Dataset) else list(data.coords)
    for name in map(str, variables):
        if only and name not in only:
            continue
        yield f"without {name}", partial(data.drop_vars, name)
        for kind, make in KINDS.items():
            yield f"{name} as {kind}", partial(_with, data, name, make)
        for said, value in NAMES.items():
            if name in data.coords and data[name].ndim == 1:
                yield f"{name} first {said}", partial(_named, data, name, value)
    if isinstance(data, xr.DataArray):
        for kind, make in KINDS.items():
            yield f"values as {kind}", partial(_values, data, make)


def _whole(data: Any) -> Iterator[tuple[str, Callable[[], Any]]]:
    dims = list(data.dims)
    yield "dims reversed", lambda: data.transpose(*dims[::-1])
    yield "an extra dim", lambda: data.expand_dims("extra")
    yield "an extra dim of two", lambda: data.expand_dims(extra=2)
    yield "dims of other names", lambda: data.rename({d: f"x{d}" for d in dims})
    yield "no attributes", data.drop_attrs
    yield "odd attributes", lambda: data.assign_attrs(denoiser=None, sigma=[1], seed="a", level="a", method=5, taps=3)
    yield "no coordinates", lambda: data.drop_vars(list(data.coords))
    yield "no indexes", lambda: data.drop_indexes(list(data.indexes))
    yield "dask", lambda: data.chunk()
    yield "dask, chunks of one", lambda: data.chunk(dict.fromkeys(dims, 1))
    yield "another variable", lambda: data.assign_coords(other=("elsewhere", [1, 2]))
    yield "pandas", lambda: data.to_dataframe() if isinstance(data, xr.Dataset) else data.to_series()
    yield "a dict", data.to_dict
    yield "numpy", lambda: np.asarray(data) if isinstance(data, xr.DataArray) else np.zeros(3)
    yield "none of it", type(data)
    if isinstance(data, xr.Dataset):
        yield "no variables", lambda: data[[]]
        yield "one array of it", data.to_dataarray
        yield "its first variable", lambda: data[next(iter(data.data_vars))]
    else:
        yield "a Dataset of it", lambda: data.to_dataset(name="given")


def _of_dim(data: Any, dim: str) -> Iterator[tuple[str, Callable[[], Any]]]:
    count = data.sizes[dim]
    yield "squeezed", lambda: data.isel({dim: 0})
    yield "squeezed and dropped", lambda: data.isel({dim: 0}, drop=True)
    yield "none", lambda: data.isel({dim: []})
    yield "one", lambda: data.isel({dim: [0]})
    yield "two", lambda: data.isel({dim: [0, 1 % count]})
    yield "one twice", lambda: data.isel({dim: [0, *range(count)]})
    yield "one for all", lambda: data.isel({dim: [0] * count})
    yield "backwards", lambda: data.isel({dim: slice(None, None, -1)})
    yield "unsorted", lambda: data.isel({dim: [*range(1, count), 0]})
    yield "of another name", lambda: data.rename({dim: "elsewhere"})
    yield "a MultiIndex", lambda: _multi(data, dim)
    yield "a mean", lambda: data.mean(dim)
    yield "its length, all coordinates lost", lambda: data.drop_vars([c for c in data.coords if dim in data[c].dims])


def _multi(data: Any, dim: str) -> Any:
    count = data.sizes[dim]
    index = pd.MultiIndex.from_arrays([np.arange(count) % 2, np.arange(count)], names=["one", "two"])
    return data.drop_vars(dim, errors="ignore").assign_coords(xr.Coordinates.from_pandas_multiindex(index, dim))


def _with(data: Any, name: str, make: Callable[[np.ndarray], np.ndarray]) -> Any:
    variable = data[name].variable
    made = xr.Variable(variable.dims, make(np.asarray(variable.values)), variable.attrs)
    return data.assign_coords({name: made}) if name in data.coords else data.assign({name: made})


def _values(data: xr.DataArray, make: Callable[[np.ndarray], np.ndarray]) -> xr.DataArray:
    return data.copy(data=make(data.values))


def _named(data: Any, name: str, value: Any) -> Any:
    names = np.empty(data[name].size, object)
    names[:] = list(data[name].values)
    if names.size:
        names[0] = value
    return data.assign_coords({name: (data[name].dims, names)})


def _first(values: np.ndarray, value: Any) -> np.ndarray:
    made = values.astype(object if values.dtype == object or isinstance(value, str) else float).copy()
    made.ravel()[:1] = value
    return made
