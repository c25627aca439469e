"""Sparsity of many images, some at a time: equality wherever φ lies, what is read, and the cost of resampling."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import probekit
from analyses import sparsity
from analyses.ground import intervals, resampled_means
from probekit import labels
from probekit.synthetic.stores import write_union_of_subspaces
from tests.analyses.lazily import Log, blocks_of, everywhere, lazily

TAPS = {"a": 5, "b": 7, "c": 4}
CHANNELS = sum(TAPS.values())
# A block's input may be several taps that do not lie beside one another.
HOW: dict[str, Any] = {"resamples": 100, "block_inputs": {"b": ("a", "c"), "c": ("c", "a")}}


def made(images: int = 60, seed: int = 0, *, sigmas: int = 2, draws: int = 0) -> xr.Dataset:
    """Images of skewed activity, some of which have none in a tap."""
    rng = np.random.default_rng(seed)
    phi = rng.gamma(0.5, size=(images, sigmas, max(draws, 1), CHANNELS)) * (rng.random(CHANNELS) < 0.8)
    phi[rng.random(images) < 0.1, ..., : TAPS["a"]] = 0
    phi = phi.astype(np.float32)
    arrays = {"phi": phi.mean(axis=2), **({"phi_draws": phi} if draws else {})}
    return labels.representation(
        arrays,
        ids=[f"im{i:05d}" for i in rng.permutation(images)],
        labels=[f"c{k}" for k in rng.integers(40, size=images)],
        sigma=[0.1 * (s + 1) for s in range(sigmas)],
        channels=TAPS,
        attrs={"denoiser": "none", "draws": max(draws, 1)},
    )


# One image at once, or a few.
@pytest.mark.parametrize("images", [1, 7])
@given(st.integers(0, 1000), st.sampled_from([60, 203]), st.booleans(), st.sampled_from([None, "label"]))
@settings(max_examples=4)
def test_findings_are_the_same_wherever_phi_lies(
    images: int, seed: int, count: int, draws: bool, clusters: str | None
) -> None:
    data = made(count, seed, draws=3 * draws)
    with pytest.MonkeyPatch.context() as patch:
        blocks_of(patch, 2 * CHANNELS * images)
        whole = sparsity.analyse(data, clusters=clusters, **HOW)
        for other in everywhere(data, 7):
            xr.testing.assert_identical(sparsity.analyse(other, clusters=clusters, **HOW), whole)


def test_findings_are_the_same_however_phi_lies_in_memory() -> None:
    data = made(203)
    turned = data.assign(phi=(data.phi.dims, np.asfortranarray(data.phi.values), data.phi.attrs))
    xr.testing.assert_identical(sparsity.analyse(turned, **HOW), sparsity.analyse(data, **HOW))


def test_findings_of_a_store_that_probekit_opens_are_those_of_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocks_of(monkeypatch, 24 * 100)
    write_union_of_subspaces(tmp_path / "phi.zarr", 1500, n_channels=24, n_subspaces=3, taps=["a", "b"])
    opened = probekit.open(tmp_path / "phi.zarr")
    loaded = opened.load()
    loaded.to_netcdf(tmp_path / "phi.nc")
    whole = sparsity.analyse(loaded, resamples=100)
    for other in (
        probekit.open(tmp_path / "phi.zarr"),
        xr.open_zarr(tmp_path / "phi.zarr", chunks={}),
        probekit.open(tmp_path / "phi.nc"),
    ):
        xr.testing.assert_identical(sparsity.analyse(other, resamples=100), whole)


def test_blocks_change_nothing_but_the_rounding_of_the_dimension(monkeypatch: pytest.MonkeyPatch) -> None:
    data = made(400, draws=2)
    one = sparsity.analyse(data, **HOW)
    blocks_of(monkeypatch, 2 * CHANNELS * 11)
    two = sparsity.analyse(data, **HOW)
    summed = [name for name in one if str(name).startswith("dimension")]
    xr.testing.assert_identical(one.drop_vars(summed), two.drop_vars(summed))
    # Sums of 400 products, each rounded to 2⁻⁵³ of sums of magnitudes: these are some ten times the sums about the
    # mean here, and moments are differences of such, n times for the jackknife.
    for name in summed:
        np.testing.assert_allclose(two[name], one[name], rtol=400**2 * 10 * 2.0**-53)


@pytest.mark.parametrize("images", [300, 1200])
def test_a_block_is_read_at_once_and_everything_five_times(images: int, monkeypatch: pytest.MonkeyPatch) -> None:
    data, log = made(images), Log()
    blocks_of(monkeypatch, 2 * CHANNELS * 50)
    found = sparsity.analyse(lazily(data, log), **HOW)
    assert found.per_image.sizes["image"] == images
    assert log.largest <= 2 * CHANNELS * 50
    # Checked, measured, and thrice for the dimension.
    assert log.total == 5 * data.phi.size


@given(st.integers(1, 400), st.integers(1, 9), st.booleans(), st.integers(1, 40))
@settings(max_examples=30)
def test_resampled_means_do_not_depend_on_how_much_is_taken_at_once(
    images: int, columns: int, missing: bool, numbers: int
) -> None:
    rng = np.random.default_rng(images)
    values = rng.normal(size=(images, columns))
    values[rng.random(values.shape) < 0.2 * missing] = np.nan
    one = resampled_means(values, resamples=50, seed=1)
    with pytest.MonkeyPatch.context() as patch:
        for name, size in {"WEIGHTS": 3 * images, "COLUMNS": 2, "TOGETHER": 2, "NUMBERS": numbers * 10}.items():
            patch.setattr(intervals, name, size)
        two = resampled_means(values, resamples=50, seed=1)
    # Weights come to the number of images, and terms are below 6: each sum errs by so many roundings of that at most.
    np.testing.assert_allclose(two, one, rtol=0, atol=6 * images * 2.0**-52)


def test_resampled_means_of_very_many_images_hold_a_few_resamples_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    images = 20_000
    monkeypatch.setattr(intervals, "WEIGHTS", images)
    monkeypatch.setattr(intervals, "NUMBERS", 2 * images)
    values = np.ones(images)
    tracemalloc.start()
    try:
        resampled_means(values, resamples=100)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # Of two resamples: what is drawn, how often each image is (once more while it is put together), and weights; and
    # values in double precision, with which are missing. All 100 resamples would be 800 numbers of each image.
    assert peak < 12 * 8 * images
