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


def paired() -> xr.Dataset:
    return data().assign_coords(pair=("image", [f"pair {i // 2}" for i in range(24)]))


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
    (lambda: selectivity.analyse(data(), clusters="photograph"), "clusters='photograph' is no coordinate along image"),
    (lambda: selectivity.analyse(paired(), clusters="pair"), "24 images in 12 groups are worth 12 independent ones"),
    (lambda: selectivity.power_curve(data(), numbers=[19]), "numbers=19: give a whole number ≥ 20"),
    (lambda: selectivity.power_curve(data(), numbers=[25]), "give numbers of images from 20 to 24"),
    (lambda: selectivity.power_curve(data(), numbers=[]), "give numbers of images from 20 to 24"),
    (lambda: selectivity.power_curve(3), "give the Dataset"),  # pyright: ignore[reportArgumentType]
    (lambda: selectivity.power_curve(paired(), clusters="pair"), "are worth 12 independent ones"),
    (lambda: selectivity.plot_power(data()), "the findings lack fraction"),
    (lambda: selectivity.plot(data()), "the findings lack type"),
    (lambda: selectivity.plot(3), "the findings are a int"),  # pyright: ignore[reportArgumentType]
]


@pytest.mark.parametrize(("call", "words"), BAD, ids=[f"{i}: {words}" for i, (_, words) in enumerate(BAD)])
def test_a_bad_option_is_one_clear_error(call: Callable[[], Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        call()
