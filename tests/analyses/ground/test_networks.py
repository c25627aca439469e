"""An analysis of several networks finds of each what it finds of it alone."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import probekit
from analyses import clusters, factors, probe, selectivity, semantics, sparsity, subspaces
from probekit import InputError
from probekit.networks import by_network


def phi(seed: int, *, name: str | None = None, images: int = 40, channels: int = 6) -> xr.Dataset:
    """φ of two classes, of which the first raises the first channels."""
    rng = np.random.default_rng(seed)
    values = rng.gamma(2.0, 0.1, (images, 2, channels))
    values[::2, :, : channels // 2] += 0.5
    errors = np.full(values.shape, 0.01)
    rest = np.full((2, channels), 0.05)
    return xr.Dataset(
        {
            "phi": (("image", "sigma", "channel"), values.astype(np.float32)),
            "phi_se": (("image", "sigma", "channel"), errors.astype(np.float32)),
            "rest": (("sigma", "channel"), rest.astype(np.float32)),
            "rest_se": (("sigma", "channel"), (0.1 * rest).astype(np.float32)),
        },
        coords={
            "image": [f"i{k}" for k in range(images)],
            "label": ("image", ["a", "b"] * (images // 2)),
            "size": ("image", np.linspace(0, 1, images)),
            "sigma": [0.1, 0.3],
            "channel": np.arange(channels),
            "tap": ("channel", ["mid"] * channels),
            "unit": ("channel", np.arange(channels)),
        },
        attrs={"denoiser": name or f"net{seed}", "weights_sha256": f"{seed:064x}", "draws": 4, "seed": 0},
    )


ANALYSES: dict[str, Callable[..., xr.Dataset]] = {
    "sparsity": lambda data: sparsity.analyse(data, resamples=100),
    "selectivity": lambda data: selectivity.analyse(data, resamples=100),
    "active_sets": lambda data: subspaces.active_sets(data),
    "neighbours": lambda data: semantics.neighbours(data, k=3),
    "semantics": lambda data: semantics.analyse(data, permutations=100, resamples=100),
    "clusters": lambda data: clusters.analyse(data, n_clusters=2, resamples=100),
    "separation": lambda data: clusters.separation(data),
    "factors": lambda data: factors.analyse(data, factor="size", scale="linear", bins=4, resamples=100),
    "probe": lambda data: probe.analyse(data, data.assign_coords(image=[f"t{k}" for k in range(40)]), resamples=100),
    "subspaces": lambda data: subspaces.analyse(data, n_subspaces=2, dimensions=False),
}


def alone(name: str, data: xr.Dataset) -> xr.Dataset:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ANALYSES[name](data)


@pytest.mark.parametrize("name", ANALYSES)
@settings(max_examples=3)
@given(seeds=st.lists(st.integers(0, 99), min_size=2, max_size=3, unique=True))
def test_each_network_s_findings_are_those_of_it_alone(name: str, seeds: list[int]) -> None:
    parts = [phi(seed) for seed in seeds]
    expected = [alone(name, part) for part in parts]
    both = parts[0].probe.compare(*parts[1:])
    found = alone(name, both)
    apart = by_network(found)
    assert list(apart) == [f"net{seed}" for seed in seeds]
    for one, own in zip(apart.values(), expected, strict=True):
        xr.testing.assert_identical(one, own)


def test_findings_of_one_network_are_as_they_were() -> None:
    found = sparsity.analyse(phi(0), resamples=100)
    assert "network" not in found.dims
    assert found.attrs["weights_sha256"] == f"{0:064x}"


def test_two_arguments_of_several_networks_go_together_by_name() -> None:
    train, test = phi(0).probe.compare(phi(1)), phi(0, images=20).probe.compare(phi(1, images=20))
    test = test.assign_coords(image=[f"t{k}" for k in range(20)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = probe.analyse(train, test, resamples=100)
        expected = probe.analyse(by_network(train)["net1"], by_network(test)["net1"], resamples=100)
    xr.testing.assert_identical(by_network(found)["net1"], expected)
    other = phi(0).probe.compare(phi(2))
    with pytest.raises(InputError, match="of different networks"):
        probe.analyse(train, other)


def sized(data: xr.Dataset) -> xr.Dataset:
    """Findings of as many clusters as the network's SHA-256 ends in, and one."""
    count = 1 + int(data.attrs["weights_sha256"][-1])
    values = {
        "found": ("cluster", np.arange(count) + 0.5),
        "images": (("sigma", "cluster"), np.arange(1, 2 * count + 1).reshape(2, count), {"units": "images"}),
        "stable": ("cluster", np.ones(count, bool)),
        "called": ("cluster", np.array([f"number {k}" for k in range(count)], object)),
        "of_all": ("sigma", [1, 2]),
    }
    coords = {
        "cluster": np.arange(count),
        "sigma": [0.1, 0.3],
        "colour": ("cluster", np.array([f"c{k}" for k in range(count)], object)),
    }
    return xr.Dataset(values, coords, {**data.attrs, "analysis": "clusters"})


def test_findings_of_other_sizes_have_what_no_network_lacks_and_come_apart_as_they_were(tmp_path: Path) -> None:
    from analyses.ground.findings import _over_networks

    parts = [phi(seed) for seed in (1, 0, 2)]
    found = _over_networks(sized)(parts[0].probe.compare(*parts[1:]))
    assert found.places_along_cluster.values.tolist() == [2, 1, 3]
    assert found.cluster.values.tolist() == [0, 1, 2]
    np.testing.assert_array_equal(found.found.sel(network="net1"), [0.5, 1.5, np.nan])
    assert found.images.sel(network="net0").values.tolist() == [[1, 0, 0], [2, 0, 0]]
    assert found.stable.sel(network="net0").values.tolist() == [True, False, False]
    assert found.called.sel(network="net0").values.tolist() == ["number 0", "", ""]
    found.to_netcdf(tmp_path / "found.nc", engine="h5netcdf")
    found.to_zarr(tmp_path / "found.zarr", consolidated=False)
    for read in (found, probekit.open(tmp_path / "found.nc"), probekit.open(tmp_path / "found.zarr")):
        for one, own in zip(by_network(read).values(), map(sized, parts), strict=True):
            xr.testing.assert_identical(one.load(), own)
        xr.testing.assert_identical(by_network(read.sel(network="net0"))["net0"].load(), sized(parts[1]))
        assert list(by_network(read.isel(network=[0, 1]))) == ["net1", "net0"]


def test_findings_of_other_places_are_refused_with_the_way_out() -> None:
    from analyses.ground.findings import _over_networks

    def other(data: xr.Dataset) -> xr.Dataset:
        # Other clusters, not more of the same.
        found = sized(data)
        return found.assign_coords(colour=("cluster", [data.attrs["denoiser"]] * found.sizes["cluster"]))

    both = phi(0).probe.compare(phi(1))
    with pytest.raises(InputError, match=r"net0 has 1 along cluster and net1 2: analyse each by itself.*by_network"):
        _over_networks(other)(both)


def test_what_is_said_of_one_network_alone_is_kept_beside_it() -> None:
    from analyses.ground.findings import _over_networks

    def said(data: xr.Dataset) -> xr.Dataset:
        kind: dict[str, Any] = {
            "fallback": data.attrs["denoiser"],
            "number": len(data.attrs["denoiser"]),
            "all": "same",
        }
        return xr.Dataset({"found": ((), 1.0)}, attrs={**data.attrs, **kind})

    found = _over_networks(said)(phi(0, name="a").probe.compare(phi(1, name="long")))
    assert found.attrs["all"] == "same"
    assert found.number.values.tolist() == [1, 4]
    apart = by_network(found)
    assert (apart["a"].attrs["fallback"], apart["long"].attrs["number"]) == ("a", 4)


def test_warnings_name_the_line_that_asked() -> None:
    data = phi(0)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        semantics.neighbours(data.assign(phi=data.phi * 0 + 1), k=3)
    assert {one.filename for one in told if issubclass(one.category, RuntimeWarning)} == {__file__}
