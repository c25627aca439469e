"""Bad options of everything public in subspaces: one clear error each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import xarray as xr

from analyses import subspaces
from probekit.errors import InputError
from probekit.synthetic.subspaces import union_of_subspaces

MADE = union_of_subspaces(90, n_channels=24, n_subspaces=3, support=4)
DATA = MADE.data
FIT = subspaces.fit(DATA, splits=0)
NARROW = DATA.isel(channel=[0])


def analysed(**options: Any) -> xr.Dataset:
    return subspaces.analyse(DATA, **options)


def fitted(**options: Any) -> xr.Dataset:
    return subspaces.fit(DATA, **options)


def explained(**options: Any) -> xr.Dataset:
    return subspaces.explained_variance(DATA, FIT, **options)


def without(findings: xr.Dataset, name: str) -> xr.Dataset:
    return findings.drop_attrs(deep=False).assign_attrs({k: v for k, v in findings.attrs.items() if k != name})


BAD: list[tuple[Callable[[], Any], str]] = [
    (lambda: subspaces.analyse(3), "the data is a int: give the Dataset"),  # pyright: ignore[reportArgumentType]
    (lambda: subspaces.analyse(NARROW), "a tap has 1 channel"),
    (lambda: analysed(n_subspaces=0), "n_subspaces=0: give a whole number from 1 to 45"),
    (lambda: analysed(n_subspaces=46), "n_subspaces=46: give a whole number from 1 to 45"),
    (lambda: analysed(n_subspaces=2.7), "n_subspaces=2.7: give a whole number"),
    (lambda: analysed(n_subspaces=True), "n_subspaces=True: give a whole number"),
    (lambda: analysed(method="kmeans"), "method='kmeans': give one of coordinate, linear"),
    (lambda: analysed(max_subspaces=0), "max_subspaces=0: give a whole number ≥ 1"),
    (lambda: analysed(max_subspaces=2.5), "max_subspaces=2.5: give a whole number ≥ 1"),
    (lambda: analysed(fit_images=19), "fit_images=19: give a whole number ≥ 20"),
    (lambda: fitted(fit_images=20.5), "fit_images=20.5: give a whole number ≥ 20"),
    (lambda: fitted(fit_images=30, n_subspaces=16), "n_subspaces=16: give a whole number from 1 to 15"),
    (lambda: subspaces.active_sets(DATA, fit_images=0), "fit_images=0: give a whole number ≥ 20"),
    (lambda: subspaces.active_sets(DATA, seed=-1), "seed=-1: give a whole number ≥ 0"),
    (
        lambda: subspaces.overlap(DATA, FIT.assign_attrs(images_fitted=3)),
        "images_fitted of the findings=3: give a whole number ≥ 20",
    ),
    (
        lambda: subspaces.overlap(DATA, without(FIT.assign_attrs(images_fitted=30), "analysis_seed")),
        "the findings lost their attribute analysis_seed",
    ),
    (lambda: analysed(splits=-1), "splits=-1: give a whole number ≥ 0"),
    (lambda: analysed(splits=1.5), "splits=1.5: give a whole number ≥ 0"),
    (lambda: analysed(rate=1.0), "rate=1.0: give a false discovery rate between 0 and 1"),
    (lambda: analysed(rate="a"), "rate='a': give a false discovery rate"),
    (lambda: analysed(rate=float("nan")), "rate=nan: give a false discovery rate"),
    (lambda: analysed(ranks=[24]), "ranks=[24]: give dimensions from 1 to 23"),
    (lambda: analysed(ranks=()), "ranks=(): give dimensions from 1 to 23"),
    (lambda: analysed(ranks=3), "ranks=3: give whole numbers"),
    (lambda: analysed(ranks=(1.5,)), "ranks=1.5: give a whole number"),
    (lambda: analysed(resamples=0), "resamples=0: give a whole number ≥ 100"),
    (lambda: analysed(resamples=-1), "resamples=-1: give a whole number ≥ 100"),
    (lambda: analysed(resamples=100.5), "resamples=100.5: give a whole number ≥ 100"),
    (lambda: analysed(dimensions=1), "dimensions=1: give True or False"),
    (lambda: analysed(seed=-1), "seed=-1: give a whole number ≥ 0"),
    (lambda: subspaces.active_sets(DATA, rate=0), "rate=0: give a false discovery rate"),
    (lambda: fitted(n_subspaces=46), "n_subspaces=46: give a whole number from 1 to 45"),
    (lambda: fitted(method=3), "method=3: give one of coordinate, linear"),
    (lambda: fitted(max_subspaces=True), "max_subspaces=True"),
    (lambda: fitted(splits="a"), "splits='a'"),
    (lambda: fitted(rate=True), "rate=True"),
    (lambda: fitted(seed=0.5), "seed=0.5"),
    (lambda: subspaces.overlap(DATA, DATA), "no subspaces: give what"),
    (lambda: subspaces.overlap(DATA, FIT, seed=-1), "seed=-1"),
    (lambda: subspaces.explained_variance(DATA, DATA), "no subspaces: give what"),
    (lambda: explained(ranks="a"), "ranks='a': give whole numbers"),
    (lambda: explained(resamples=99), "resamples=99"),
    (lambda: explained(seed="a"), "seed='a'"),
    (lambda: subspaces.intrinsic_dimension(DATA, images=19), "images=19: give a whole number ≥ 20"),
    (lambda: subspaces.intrinsic_dimension(DATA, images=True), "images=True"),
    (lambda: subspaces.intrinsic_dimension(DATA, seed=-1), "seed=-1"),
    (lambda: subspaces.score(DATA, MADE.truth), "no subspaces: give what"),
    (lambda: subspaces.score(FIT, DATA), "the truth lacks subspace, support: give what"),
    (lambda: subspaces.score(FIT, MADE.truth, data=DATA.isel(image=np.arange(80))), "differ along image"),
    (lambda: subspaces.plot(3), "the findings are a int"),  # pyright: ignore[reportArgumentType]
    (lambda: subspaces.plot(FIT), "the findings lack explained"),
]


@pytest.mark.parametrize(("call", "words"), BAD, ids=[f"{i}: {words}" for i, (_, words) in enumerate(BAD)])
def test_a_bad_option_is_one_clear_error(call: Callable[[], Any], words: str) -> None:
    with pytest.raises(InputError) as raised:
        call()
    assert words in str(raised.value)
