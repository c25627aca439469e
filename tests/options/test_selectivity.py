"""Bad options of everything public in selectivity: one clear error each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import xarray as xr

from analyses import selectivity
from probekit.errors import InputError
from probekit.synthetic.subspaces import union_of_subspaces


def data() -> xr.Dataset:
    return union_of_subspaces(24, seed=0).data


BAD: list[tuple[Callable[[], Any], str]] = [
    (lambda: selectivity.analyse(3), "give the Dataset"),  # pyright: ignore[reportArgumentType]
    (lambda: selectivity.analyse(data().isel(image=slice(5))), "need 20 at least"),
    (lambda: selectivity.analyse(data(), fdr=0), "fdr=0: give a false discovery rate"),
    (lambda: selectivity.analyse(data(), fdr="a"), "fdr='a'"),  # pyright: ignore[reportArgumentType]
    (lambda: selectivity.analyse(data(), fdr_method="holm"), "fdr_method='holm': give one of bh, by"),
    (lambda: selectivity.analyse(data(), top=0), "top=0: give a whole number ≥ 1"),
    (lambda: selectivity.analyse(data(), top=True), "top=True"),
    (lambda: selectivity.analyse(data(), resamples=1), "resamples=1: give a whole number ≥ 100"),
    (lambda: selectivity.analyse(data(), level=95), "level=95: give the interval's coverage"),
    (lambda: selectivity.analyse(data(), seed=-1), "seed=-1: give a whole number ≥ 0"),
    (lambda: selectivity.plot(data()), "the findings lack type"),
    (lambda: selectivity.plot(3), "the findings are a int"),  # pyright: ignore[reportArgumentType]
]


@pytest.mark.parametrize(("call", "words"), BAD, ids=[f"{i}: {words}" for i, (_, words) in enumerate(BAD)])
def test_a_bad_option_is_one_clear_error(call: Callable[[], Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        call()
