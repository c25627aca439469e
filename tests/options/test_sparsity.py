"""Bad options of everything public in sparsity: one clear error each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import xarray as xr

from analyses import sparsity
from probekit.errors import InputError
from probekit.synthetic.subspaces import union_of_subspaces


def data() -> xr.Dataset:
    return union_of_subspaces(24, seed=0).data


BAD: list[tuple[Callable[[], Any], str]] = [
    (lambda: sparsity.analyse(3), "give the Dataset"),  # pyright: ignore[reportArgumentType]
    (lambda: sparsity.analyse(-data()), "negative at"),
    (lambda: sparsity.analyse(data(), block_inputs={"middle": "a"}), "'middle' is no tap"),
    (lambda: sparsity.analyse(data(), block_inputs=3), "give a mapping"),  # pyright: ignore[reportArgumentType]
    (lambda: sparsity.analyse(data(), clusters="tap"), "clusters='tap' is no coordinate along image"),
    (lambda: sparsity.analyse(data(), resamples=1), "resamples=1: give a whole number ≥ 100"),
    (lambda: sparsity.analyse(data(), level=95), "level=95: give the interval's coverage"),
    (lambda: sparsity.analyse(data(), seed=1.5), "seed=1.5"),  # pyright: ignore[reportArgumentType]
    (lambda: sparsity.plot(data()), "the findings lack sparsity"),
    (lambda: sparsity.plot(3), "the findings are a int"),  # pyright: ignore[reportArgumentType]
]


@pytest.mark.parametrize(("call", "words"), BAD, ids=[f"{i}: {words}" for i, (_, words) in enumerate(BAD)])
def test_a_bad_option_is_one_clear_error(call: Callable[[], Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        call()
