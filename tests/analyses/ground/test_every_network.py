"""Every function that analyses φ takes several networks, and finds of each what it finds of it alone."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from importlib import import_module

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from analyses import descriptors, selectivity, semantics, sparsity, subspaces
from analyses.clusters import embed
from analyses.report.shell import ANALYSES as ROOMS
from probekit.networks import by_network
from tests.analyses.ground import test_networks

CODES = xr.DataArray(
    np.random.default_rng(9).normal(size=(40, 3)),
    dims=("image", "feature"),
    coords={"image": [f"i{k}" for k in range(40)]},
    name="codes",
)


def phi(seed: int) -> xr.Dataset:
    """φ with every draw kept, of two classes."""
    data = test_networks.phi(seed)
    noise = np.random.default_rng(seed).normal(0, 0.02, (40, 2, 4, 6))
    draws = data.phi.values[:, :, None] + noise - noise.mean(axis=2, keepdims=True)
    kept = xr.DataArray(np.maximum(draws, 0).astype(np.float32), dims=("image", "sigma", "draw", "channel"))
    return data.assign(phi_draws=kept, phi=kept.mean("draw")).assign_coords(draw=np.arange(4))


def fitted(data: xr.Dataset) -> xr.Dataset:
    return subspaces.fit(data, n_subspaces=1, method="coordinate", splits=0)


MORE: dict[str, Callable[[xr.Dataset], xr.Dataset]] = {
    "selectivity.power_curve": lambda data: selectivity.power_curve(data, numbers=(20, 40)),
    "subspaces.fit": fitted,
    "subspaces.intrinsic_dimension": lambda data: subspaces.intrinsic_dimension(data),
    "subspaces.explained_variance": lambda data: subspaces.explained_variance(data, fitted(data), resamples=100),
    "subspaces.overlap": lambda data: subspaces.overlap(data, fitted(data)),
    "semantics.correlate": lambda data: semantics.correlate(data, {"codes": CODES}, permutations=100),
    "semantics.per_image": lambda data: semantics.per_image(data, label="label"),
    "semantics.stability": lambda data: semantics.stability(data),
    "semantics.reliability": lambda data: semantics.reliability(data),
    "clusters.embed": lambda data: embed(data, perplexity=5),
    "descriptors.predicted": lambda data: descriptors.predicted(data, {"codes": CODES}),
    "descriptors.beyond": lambda data: descriptors.beyond(data, {"codes": CODES}),
}
# Of samples rather than of φ as a tap gives it.
ASIDE = {"densities.analyse"}


def quietly(function: Callable[[xr.Dataset], xr.Dataset], data: xr.Dataset) -> xr.Dataset:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(data)


@pytest.mark.parametrize("name", MORE)
@settings(max_examples=2)
@given(seeds=st.lists(st.integers(0, 99), min_size=2, max_size=2, unique=True))
def test_each_network_s_findings_are_those_of_it_alone(name: str, seeds: list[int]) -> None:
    parts = [phi(seed) for seed in seeds]
    found = quietly(MORE[name], parts[0].probe.compare(parts[1]))
    assert found.network.values.tolist() == [f"net{seed}" for seed in seeds]
    for one, part in zip(by_network(found).values(), parts, strict=True):
        xr.testing.assert_identical(one, quietly(MORE[name], part))


def several_taken() -> set[str]:
    """Public functions of the rooms that take φ of several networks."""
    found = set()
    for room in ROOMS:
        door = import_module(f"analyses.{room}")
        own = {name: thing for name in door.__all__ if inspect.isfunction(thing := getattr(door, name))}
        found |= {f"{room}.{name}" for name, thing in own.items() if hasattr(thing, "__wrapped__")}
    return found


def test_every_function_that_takes_several_networks_is_tried() -> None:
    tried = set(MORE) | ASIDE
    names = {"active_sets": "subspaces", "neighbours": "semantics", "separation": "clusters"}
    tried |= {f"{names[name]}.{name}" if name in names else f"{name}.analyse" for name in test_networks.ANALYSES}
    assert several_taken() == tried


@given(st.integers(0, 99))
@settings(max_examples=3)
def test_a_network_selected_of_several_is_analysed_as_it_is_alone(seed: int) -> None:
    own = phi(seed)
    both = phi(100).probe.compare(own, names=["other", "own"])
    alone = sparsity.analyse(own, resamples=100)
    xr.testing.assert_identical(sparsity.analyse(both.sel(network="own"), resamples=100), alone)
    listed = sparsity.analyse(both.sel(network=["own"]), resamples=100)
    assert listed.network.values.tolist() == ["own"]
    xr.testing.assert_identical(by_network(listed)["own"], alone)


def test_names_of_networks_need_not_be_those_of_the_denoisers() -> None:
    both = phi(0).probe.compare(phi(0), names=["a", "b"])
    found = sparsity.analyse(both, resamples=100)
    assert found.denoiser.values.tolist() == ["net0", "net0"]
    assert found.network.values.tolist() == ["a", "b"]
