"""Data and findings as nobody means to give them: a result, or an error of the package's own kinds."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import xarray as xr

from analyses import clusters, descriptors, factors, probe, sampling, selectivity, semantics, sparsity, subspaces
from probekit.errors import InputError, ProbeError
from tests.odd import EVERY_PAIR
from tests.odd_data import odd_data
from tests.options import odd_analyses as made
from tests.options import odd_factors

DATA, TEST = made.DATA, made.TEST
QUICK = {"distances": ["euclidean"], "resamples": 100}
TAKERS: dict[str, tuple[Callable[[Any], Any], Any]] = {
    "selectivity": (lambda d: selectivity.analyse(d, resamples=100), DATA),
    "sparsity": (lambda d: sparsity.analyse(d, clusters="source", resamples=100), DATA),
    "active sets": (subspaces.active_sets, DATA),
    "overlap": (lambda d: subspaces.overlap(d, made.FITTED), DATA),
    "overlap of findings": (lambda d: subspaces.overlap(DATA, d), made.FITTED),
    "explained": (lambda d: subspaces.explained_variance(DATA, d, ranks=(1,), resamples=100), made.FITTED),
    "clusters": (
        lambda d: clusters.analyse(d, n_clusters=3, splits=1, n_init=1, resamples=100, permutations=99),
        DATA,
    ),
    "clusters.compare": (lambda d: clusters.compare(d, made.CLUSTERED, resamples=100), made.CLUSTERED),
    "train": (lambda d: probe.analyse(d, TEST, resamples=100, penalties=[0.1]), DATA),
    "test": (lambda d: probe.analyse(DATA, d, resamples=100, penalties=[0.1]), TEST),
    "factors": (lambda d: factors.analyse(d, factor="aspect", folds=2, resamples=100), odd_factors.DATA),
    "factors.compare": (lambda d: factors.compare(d, odd_factors.FOUND, resamples=100), odd_factors.FOUND),
    "probe.compare": (lambda d: probe.compare(d, made.PROBED, resamples=100), made.PROBED),
    "per_image": (lambda d: semantics.per_image(d, distances=["euclidean"], k=3, label="label"), DATA),
    "stability": (lambda d: semantics.stability(d, **QUICK), DATA),
    "neighbours": (lambda d: semantics.neighbours(d, k=3, label="label", clusters="source", **QUICK), DATA),
    "correlate": (
        lambda d: semantics.correlate(DATA, {"gist": d}, distances="euclidean", statistics="pearson", permutations=0),
        made.GIST,
    ),
    "as_representation": (descriptors.as_representation, made.GIST.assign_coords(label=DATA.label)),
    "centroid": (sampling.centroid, DATA),
    "interpolate": (lambda d: sampling.interpolate(d, DATA.isel(image=[0]), [0.0, 0.5]), DATA.isel(image=[1])),
    "project": (lambda d: sampling.project(d, np.eye(3)[:1]), DATA),
}
# One in so many forms, each function beginning one further on, so that as many functions in a row take all of them.
SHARED = 4 if EVERY_PAIR else 8


@pytest.mark.parametrize("name", TAKERS)
def test_odd_data_are_analysed_or_refused_in_words(name: str) -> None:
    take, good = TAKERS[name]
    take(good)
    raw = []
    for said, make in list(odd_data(good))[list(TAKERS).index(name) % SHARED :: SHARED]:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                data = make()
        except Exception:
            # xarray itself has no such data.
            continue
        try:
            with warnings.catch_warnings():
                # Of φ without variance the package warns; what is wrong otherwise is an error.
                warnings.simplefilter("ignore", RuntimeWarning)
                take(data)
        except ProbeError:
            pass
        except Exception as error:
            raw.append(f"{said}: {type(error).__name__} {str(error)[:80]}")
    assert not raw, "\n".join(raw[:30])


def test_every_form_of_phi_is_given_to_some_function() -> None:
    turns = {turn % SHARED for turn, (_, good) in enumerate(TAKERS.values()) if good is DATA}
    assert turns == set(range(SHARED))


def twice(dim: str) -> xr.Dataset:
    return DATA.isel({dim: [0, *range(DATA.sizes[dim])]})


def first(name: str, value: Any) -> xr.Dataset:
    values = DATA[name].values.astype(object)
    values[0] = value
    return DATA.assign_coords({name: (DATA[name].dims, values)})


BY_HALVES = made.FITTED.assign(common=made.FITTED.common.astype(int), support=made.FITTED.support.astype(int))
# Each of these had a number for an answer, and no word.
SILENT: dict[str, tuple[Callable[[], Any], str]] = {
    "an image twice narrowed intervals of selectivity": (
        lambda: selectivity.analyse(twice("image"), resamples=100),
        "ids of images occur more than once",
    ),
    "an image twice narrowed intervals of sparsity": (
        lambda: sparsity.analyse(twice("image"), resamples=100),
        "ids of images occur more than once",
    ),
    "an image twice counted twice in its subspace": (
        lambda: subspaces.active_sets(twice("image")),
        "ids of images occur more than once",
    ),
    "a channel twice counted twice": (
        lambda: sparsity.analyse(twice("channel"), resamples=100),
        "unit 0 of tap 'mid' occurs more than once",
    ),
    "a noise level twice was two": (
        lambda: selectivity.analyse(twice("sigma"), resamples=100),
        "sigma holds a noise level twice",
    ),
    "a noise level below 0 was one": (
        lambda: sparsity.analyse(DATA.assign_coords(sigma=[-0.1, 0.1]), resamples=100),
        "sigma holds [-0.1]",
    ),
    "a noise level of NaN was one": (
        lambda: clusters.embed(DATA.assign_coords(sigma=[np.nan, 0.1]), perplexity=3),
        "sigma holds [nan]",
    ),
    "an unknown source was a source of its own": (
        lambda: sparsity.analyse(first("source", None), clusters="source", resamples=100),
        "source is missing for 1 images",
    ),
    "an unknown tap was a tap of its own": (
        lambda: sparsity.analyse(first("tap", np.nan), resamples=100),
        "tap is missing or no name in 1 places",
    ),
    "an image without id was named None": (
        lambda: selectivity.analyse(first("image", None), resamples=100),
        "image is missing or no name in 1 places",
    ),
    "a MultiIndex named images by tuples": (
        lambda: sampling.centroid(first("image", ("a", 1))),
        "image is missing or no name in 1 places",
    ),
    "whole numbers for flags were inverted to −2": (
        lambda: subspaces.overlap(DATA, BY_HALVES),
        "holds something else than True and False",
    ),
    "figures without noise levels were drawn at 0, 1, …": (
        lambda: probe.plot(made.PROBED.drop_vars("sigma")),
        "lost their coordinates sigma",
    ),
    "squares that overflow made distances infinite": (
        lambda: sparsity.analyse(DATA.assign(phi=DATA.phi.astype(float) * 1e200), resamples=100),
        "the square of which no number of double precision holds",
    ),
    "a boolean was an activity": (
        lambda: sparsity.participation_ratio(np.array([True, False])),
        "give real numbers",
    ),
    "shares were True and False": (
        lambda: sampling.interpolate(DATA.isel(image=[0]), DATA.isel(image=[1]), np.array([True, False])),
        "give real numbers",
    ),
}


@pytest.mark.parametrize("said", SILENT)
def test_what_had_a_wrong_number_for_an_answer_is_refused(said: str) -> None:
    call, words = SILENT[said]
    with pytest.raises(InputError) as refused:
        call()
    assert words in str(refused.value)


@pytest.mark.parametrize("scale", [2.0**-60, 2.0**60])
def test_numbers_far_from_one_lose_nothing(scale: float) -> None:
    expected = sparsity.analyse(DATA, resamples=100).sparsity
    found = sparsity.analyse(DATA.assign(phi=DATA.phi * np.float32(scale)), resamples=100).sparsity
    xr.testing.assert_allclose(found, expected, rtol=1e-6)


def test_interpolation_pairs_channels_by_position_where_joined_taps_number_them_alike() -> None:
    joined = DATA.assign_coords(channel=[0, 1, 0], tap=("channel", np.array(["a", "a", "b"], object)))
    joined = joined.assign_coords(unit=("channel", [0, 1, 0]))
    one, two = joined.isel(image=[0]), joined.isel(image=[1])
    mixed = sampling.interpolate(one, two, [0.5])
    np.testing.assert_allclose(mixed.phi.values, (one.phi.values + two.phi.values) / 2, rtol=1e-6)
