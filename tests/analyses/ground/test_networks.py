"""An analysis of several networks finds of each what it finds of it alone."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

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


def alike(one: xr.Dataset, other: xr.Dataset) -> bool:
    """Whether findings have the same variables, sizes and coordinates."""
    same = one.sizes == other.sizes and set(one.variables) == set(other.variables)
    return same and all(one[key].identical(other[key]) for key in one.coords)


@pytest.mark.parametrize("name", ANALYSES)
@settings(max_examples=3)
@given(seeds=st.lists(st.integers(0, 99), min_size=2, max_size=3, unique=True))
def test_each_network_s_findings_are_those_of_it_alone(name: str, seeds: list[int]) -> None:
    parts = [phi(seed) for seed in seeds]
    expected = [alone(name, part) for part in parts]
    both = parts[0].probe.compare(*parts[1:])
    if not all(alike(expected[0], one) for one in expected):
        # Findings that differ in more than values do not stand side by side, and the error says how to go on.
        with pytest.raises(InputError, match=r"analyse each by itself.*by_network\(data\)"):
            alone(name, both)
        return
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


def test_findings_that_have_other_sizes_are_refused_with_the_way_out() -> None:
    both = phi(0).probe.compare(phi(1))

    def sized(data: xr.Dataset) -> xr.Dataset:
        count = 1 + int(data.attrs["weights_sha256"][-1])
        return xr.Dataset({"found": ("cluster", np.ones(count))}, attrs=dict(data.attrs))

    from analyses.ground.findings import _over_networks

    with pytest.raises(InputError, match=r"net0 has 1 along cluster and net1 2: analyse each by itself"):
        _over_networks(sized)(both)


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
