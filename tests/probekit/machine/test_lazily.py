"""Differences and stacks have the values of plain ones, whatever is selected, and read no more than that."""

from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from xarray.backends import BackendArray
from xarray.core import indexing

from probekit.machine.lazily import less, stacked

VALUES = np.random.default_rng(0).normal(size=(5, 2, 3)).astype(np.float32)
REST = np.random.default_rng(1).normal(size=(2, 3)).astype(np.float32)
DIMS, OF_REST = ("image", "sigma", "channel"), ("sigma", "channel")


class Counted(BackendArray):
    """An array in a file, as it were, that counts the numbers that are read of it."""

    def __init__(self, values: np.ndarray) -> None:
        self.values, self.shape, self.dtype, self.read = values, values.shape, values.dtype, 0

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.OUTER, self._get)

    def _get(self, key: tuple[Any, ...]) -> Any:
        found = xr.Variable([f"d{k}" for k in range(self.values.ndim)], self.values)[key].values
        self.read += found.size
        return found


def counted(values: np.ndarray, dims: tuple[str, ...] = DIMS) -> tuple[xr.Variable, Counted]:
    made = Counted(values)
    return xr.Variable(dims, indexing.LazilyIndexedArray(made), {"units": "activation"}), made


def slices(size: int) -> st.SearchStrategy[slice]:
    """Those that hold something: xarray itself fails at empty ones that go backwards."""
    return st.slices(size).filter(lambda one: bool(range(size)[one]))


AT = st.one_of(st.integers(0, 1), slices(2), st.lists(st.integers(0, 1), max_size=2, unique=True))


@given(st.one_of(st.integers(0, 4), slices(5), st.lists(st.integers(0, 4), max_size=4, unique=True)), AT, AT)
def test_a_difference_is_the_plain_one_at_any_selection(image: Any, sigma: Any, channel: Any) -> None:
    plain = xr.Variable(DIMS, VALUES) - xr.Variable(OF_REST, REST)
    whole, read = counted(VALUES)
    found = less(whole, xr.Variable(OF_REST, REST))
    assert (found.dims, found.shape, found.dtype, read.read) == (DIMS, VALUES.shape, np.dtype(np.float32), 0)
    at = {"image": image, "sigma": sigma, "channel": channel}
    xr.testing.assert_equal(found.isel(at), plain.isel(at))
    assert read.read == plain.isel(at).size


@given(st.one_of(st.integers(0, 1), slices(2), st.lists(st.integers(0, 1), max_size=2, unique=True)), AT)
def test_a_stack_is_the_plain_one_at_any_selection(network: Any, sigma: Any) -> None:
    plain = xr.Variable(("network", *DIMS), np.stack([VALUES, -VALUES]))
    parts = [counted(VALUES), counted(-VALUES)]
    found = stacked([one for one, _ in parts], "network")
    assert (found.dims, found.shape, found.attrs) == (plain.dims, plain.shape, {"units": "activation"})
    at = {"network": network, "sigma": sigma}
    xr.testing.assert_equal(found.isel(at), plain.isel(at))
    assert sum(read.read for _, read in parts) == plain.isel(at).size


@pytest.mark.parametrize("dims", [OF_REST, OF_REST[::-1], ("channel",), ()])
def test_what_is_taken_off_may_have_any_of_the_dims(dims: tuple[str, ...]) -> None:
    part = xr.Variable(OF_REST, REST).transpose() if dims == OF_REST[::-1] else xr.Variable(OF_REST, REST)
    part = part.isel({dim: 0 for dim in OF_REST if dim not in dims})
    plain = (xr.Variable(DIMS, VALUES) - part).transpose(*DIMS)
    for whole in (xr.Variable(DIMS, VALUES), counted(VALUES)[0], xr.Variable(DIMS, VALUES).chunk({"image": 2})):
        xr.testing.assert_equal(less(whole, part).compute(), plain)


def test_chunks_of_dask_stay_chunks() -> None:
    whole = xr.Variable(DIMS, VALUES).chunk({"image": 2})
    assert less(whole, xr.Variable(OF_REST, REST)).chunks is not None
    both = stacked([whole, whole], "network")
    assert both.chunks is not None
    np.testing.assert_array_equal(both.values, np.stack([VALUES, VALUES]))


def test_texts_of_any_length_and_attributes_that_differ() -> None:
    one, two = xr.Variable("x", np.array(["a", "b"]), {"units": "1", "of": "one"}), xr.Variable("x", ["long one", ""])
    two.attrs = {"units": "1", "of": "two"}
    found = stacked([one, two], "network")
    assert found.values.tolist() == [["a", "b"], ["long one", ""]]
    assert found.attrs == {"units": "1"}
