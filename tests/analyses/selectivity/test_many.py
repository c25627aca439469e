"""Types of channel over many images, some channels at a time: equality wherever φ lies, and what is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import probekit
import probekit.machine.blocks as blocks
from analyses import selectivity
from probekit import labels
from probekit.synthetic.stores import write_union_of_subspaces
from tests.analyses.lazily import Log, blocks_of, everywhere, lazily

TAPS = {"a": 5, "b": 7}
CHANNELS = sum(TAPS.values())
HOW: dict[str, Any] = {"resamples": 100, "top": 3}
LEVEL = 0.2


def made(images: int = 60, seed: int = 0, *, sigmas: int = 2, draws: int = 4) -> xr.Dataset:
    """Channels of every kind: of normal and of heavy-tailed activity, above and below rest, and of noise alone."""
    rng = np.random.default_rng(seed)
    shape = (images, sigmas, CHANNELS)
    kinds = (
        lambda: 2 + rng.normal(0, 0.3, shape[:2]),
        lambda: rng.laplace(0, 1, shape[:2]).clip(0),
        lambda: -1.5 + rng.normal(0, 0.1, shape[:2]),
        lambda: np.zeros(shape[:2]),
    )
    activity = np.stack([kinds[k % 4]() for k in range(CHANNELS)], axis=-1)
    drawn = (3 + activity[:, :, None] + LEVEL * rng.normal(size=(images, sigmas, draws, CHANNELS))).clip(0)
    drawn = drawn.astype(np.float32)
    return labels.representation(
        {
            "phi": drawn.mean(axis=2),
            "phi_se": drawn.std(axis=2, ddof=1) / np.sqrt(draws),
            "phi_draws": drawn,
            "rest": np.full(shape[1:], 3) + LEVEL / np.sqrt(draws) * rng.normal(size=shape[1:]),
            "rest_se": LEVEL / np.sqrt(draws) * np.sqrt(rng.chisquare(draws - 1, shape[1:]) / (draws - 1)),
        },
        ids=[f"im{i:05d}" for i in rng.permutation(images)],
        labels=[f"c{k}" for k in rng.integers(40, size=images)],
        sigma=[0.1 * (s + 1) for s in range(sigmas)],
        channels=TAPS,
        attrs={"denoiser": "none", "draws": draws},
    )


def without(data: xr.Dataset, *names: str) -> xr.Dataset:
    return data.drop_vars(list(names))


# What there is besides φ: everything, or less and less.
LACKING = [(), ("phi_draws",), ("rest_se",), ("phi_se", "rest_se"), ("phi_se", "rest_se", "rest", "phi_draws")]


# One channel at once, or a few.
@pytest.mark.parametrize("channels", [1, 5])
@given(st.integers(0, 1000), st.sampled_from(LACKING), st.sampled_from([None, "label"]))
@settings(max_examples=5)
def test_findings_are_the_same_wherever_phi_lies(
    channels: int, seed: int, lacking: tuple[str, ...], clusters: str | None
) -> None:
    data = without(made(80, seed), *lacking)
    with pytest.MonkeyPatch.context() as patch:
        blocks_of(patch, 80 * 2 * channels)
        # Read through for a few channels at a time.
        patch.setattr(blocks, "HELD", 80 * 2 * 4 * 6 * 5)
        whole = selectivity.analyse(data, clusters=clusters, **HOW)
        for other in everywhere(data, 7):
            xr.testing.assert_identical(selectivity.analyse(other, clusters=clusters, **HOW), whole)


def test_findings_are_the_same_however_phi_lies_in_memory() -> None:
    data = made()
    turned = data.assign(
        {n: (data[n].dims, np.asfortranarray(data[n].values), data[n].attrs) for n in ("phi", "phi_se")}
    )
    xr.testing.assert_identical(selectivity.analyse(turned, **HOW), selectivity.analyse(data, **HOW))


def test_errors_known_at_one_noise_level_are_used_there_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    data = made()
    data.phi_se[:, 1] = np.nan
    whole = selectivity.analyse(data, **HOW)
    assert whole.reliability.notnull().any("channel").values.tolist() == [True, False]
    blocks_of(monkeypatch, 60 * 2 * 5)
    for other in everywhere(data, 7):
        xr.testing.assert_identical(selectivity.analyse(other, **HOW), selectivity.analyse(data, **HOW))


def test_channels_at_a_time_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    data = made(2000)
    one = selectivity.analyse(data, **HOW)
    # All errors at once, some channels at a time: nothing is summed over channels but the error of rest.
    blocks_of(monkeypatch, 2000 * 2 * CHANNELS)
    xr.testing.assert_identical(selectivity.analyse(data, **HOW), one)
    blocks_of(monkeypatch, 2000 * 2 * 5)
    few = selectivity.analyse(data, **HOW)
    assert set(few.type.values.ravel()) >= {"common", "selective", "suppressed"}
    for name in few:
        if few[name].dtype.kind == "f":
            # Sums of 2000 terms of one sign each, in another order.
            np.testing.assert_allclose(few[name], one[name], rtol=1e-9)
        else:
            assert (few[name].values == one[name].values).all()


def test_findings_of_a_store_that_probekit_opens_are_those_of_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocks_of(monkeypatch, 1500 * 5)
    write_union_of_subspaces(tmp_path / "phi.zarr", 1500, n_channels=24, n_subspaces=3, taps=["a", "b"])
    opened = probekit.open(tmp_path / "phi.zarr").drop_vars("type")
    loaded = opened.load()
    loaded.to_netcdf(tmp_path / "phi.nc")
    whole, curve = selectivity.analyse(loaded, **HOW), selectivity.power_curve(loaded, numbers=[50, 1500])
    for other in (
        probekit.open(tmp_path / "phi.zarr").drop_vars("type"),
        xr.open_zarr(tmp_path / "phi.zarr", chunks={}).drop_vars("type"),
        probekit.open(tmp_path / "phi.nc"),
    ):
        xr.testing.assert_identical(selectivity.analyse(other, **HOW), whole)
        xr.testing.assert_identical(selectivity.power_curve(other, numbers=[50, 1500]), curve)


@given(st.integers(0, 1000), st.sampled_from([None, "label"]))
@settings(max_examples=3)
def test_what_fewer_images_decide_is_the_same_wherever_phi_lies(seed: int, clusters: str | None) -> None:
    data = made(120, seed)
    with pytest.MonkeyPatch.context() as patch:
        blocks_of(patch, 120 * 2 * 5)
        whole = selectivity.power_curve(data, numbers=[100, 120], clusters=clusters)
        for other in everywhere(data, 7):
            found = selectivity.power_curve(other, numbers=[100, 120], clusters=clusters)
            xr.testing.assert_identical(found, whole)


@pytest.mark.parametrize("images", [300, 1200])
def test_some_channels_are_held_and_everything_is_read_a_few_times(
    images: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, log = without(made(images), "phi_draws"), Log()
    numbers = images * 2 * 2
    blocks_of(monkeypatch, numbers)
    monkeypatch.setattr(blocks, "TOGETHER", 10)
    # Of both variables, in single precision: fewer than all channels.
    monkeypatch.setattr(blocks, "HELD", data.phi.nbytes + data.phi_se.nbytes - 4 * numbers)
    found = selectivity.analyse(lazily(data, log), **HOW)
    assert found.histogram.sum("bin").values.tolist() == np.full((2, CHANNELS), images).tolist()
    assert log.largest <= numbers
    # Checked, gone through for channels, and errors once more for the error of rest.
    assert log.total == 5 * data.phi.size
