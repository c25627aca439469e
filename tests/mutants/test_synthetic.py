"""Broken on purpose: each fault in the synthetic truth is seen by a law."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

from probekit.synthetic import patch_draws
from probekit.synthetic.patch_gate import Gate
from probekit.synthetic.patch_laws import EnergyLaw
from probekit.synthetic.patch_model import PatchModel
from probekit.synthetic.shape_distances import distance
from probekit.synthetic.shape_factors import FACTORS
from probekit.synthetic.shapes import draw_settings, render
from tests.probekit.synthetic.test_patch_model_oracles import (
    TAPPED,
    dense_error,
    draw_p_values,
    noisy,
    rejected,
    sphere_p_values,
    split_p_value,
)
from tests.probekit.synthetic.test_shapes import (
    GRADED,
    Render,
    another,
    assert_expressed,
    assert_gradual,
    assert_means_what_it_says,
    assert_separates,
    some_value,
)


def likeliest_only(gate: Gate, energy: torch.Tensor, sigma: torch.Tensor, positions: int) -> torch.Tensor:
    found = gate.log_weights(energy, sigma, positions).argmax(dim=1)
    return torch.nn.functional.one_hot(found, len(gate.log_prior)).double()


def without_determinants(gate: Gate, energy: torch.Tensor, sigma: torch.Tensor, positions: int) -> torch.Tensor:
    total = gate.variances + sigma[:, None, None] ** 2
    return torch.softmax(gate.log_prior - positions / 2 * (energy[:, None] / total).sum(dim=2), dim=1)


def without_priors(gate: Gate, energy: torch.Tensor, sigma: torch.Tensor, positions: int) -> torch.Tensor:
    return torch.softmax(gate.log_weights(energy, sigma, positions) - gate.log_prior, dim=1)


@pytest.mark.parametrize("posterior", [likeliest_only, without_determinants, without_priors])
def test_the_comparison_rejects_a_gate_that_is_not_quite_the_posterior(
    posterior: Callable[..., torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = PatchModel([0.3, 0.7], [[0.2, 0.05, 0, 0], [0.2, 0, 0.1, 0]]).double()
    y = noisy(model, 0.5, 1, foreign=False)
    assert dense_error(model, y, 0.5) < 1e-9
    monkeypatch.setattr(Gate, "posterior", posterior)
    assert dense_error(model, y, 0.5) > 1e-4


@pytest.mark.parametrize("pool", TAPPED.values(), ids=TAPPED)
def test_draws_of_a_network_with_filters_five_percent_too_strong_are_rejected(pool: list[list[int]] | None) -> None:
    model = PatchModel([0.4, 0.6], [[0.2, 0.05, 0, 0], [0.2, 0.1, 0.1, 0]], pool=pool)
    model.analysis.weight.mul_(1.05)
    assert rejected(draw_p_values(model))


def gaussian(energies: Any, *, positions: int, rng: np.random.Generator) -> np.ndarray:
    return np.sqrt(energies)[..., None] * rng.standard_normal((*energies.shape, positions))


def one_direction(energies: Any, *, positions: int, rng: np.random.Generator) -> np.ndarray:
    z = rng.standard_normal(positions)
    return np.sqrt(positions * energies)[..., None] * z / np.linalg.norm(z)


def direction_shared_by_components(energies: Any, *, positions: int, rng: np.random.Generator) -> np.ndarray:
    z = rng.standard_normal((*energies.shape[:-1], 1, positions))
    return np.sqrt(positions * energies)[..., None] * z / np.linalg.norm(z, axis=-1, keepdims=True)


def positive(energies: Any, *, positions: int, rng: np.random.Generator) -> np.ndarray:
    z = np.abs(rng.standard_normal((*energies.shape, positions)))
    return np.sqrt(positions * energies)[..., None] * z / np.linalg.norm(z, axis=-1, keepdims=True)


def corners(energies: Any, *, positions: int, rng: np.random.Generator) -> np.ndarray:
    return np.sqrt(energies)[..., None] * rng.choice([-1.0, 1.0], (*energies.shape, positions))


def leaking(energies: Any, *, positions: int, rng: np.random.Generator) -> np.ndarray:
    z = rng.standard_normal((*energies.shape, positions))
    return np.sqrt(positions * (energies + 1e-6))[..., None] * z / np.linalg.norm(z, axis=-1, keepdims=True)


@pytest.mark.parametrize(
    "sampler", [gaussian, one_direction, direction_shared_by_components, positive, corners, leaking]
)
def test_draws_that_are_not_uniform_on_independent_spheres_are_rejected(
    sampler: Callable[..., np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patch_draws, "on_spheres", sampler)
    assert rejected(sphere_p_values((2, 4)))


def shares_of(first: np.ndarray) -> np.ndarray:
    return np.stack([first, 1 - first], axis=1)


@pytest.mark.parametrize(
    "share",
    [
        lambda n, rng: rng.random(n),
        lambda n, rng: rng.beta(32, 32, n),
        lambda n, rng: rng.normal(0.2209, 0.0051, n) / 0.25,
        lambda n, _: np.full(n, 0.1997 / 0.25),
    ],
    ids=["uniform", "without the prior", "as Algorithm 1 does", "always the mean"],
)
def test_draws_that_split_a_pooled_energy_otherwise_are_rejected(
    share: Callable[[int, np.random.Generator], np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    def split(law: EnergyLaw, total: np.ndarray, *, rng: np.random.Generator) -> np.ndarray:
        if len(law.variances) == 1:
            return total[:, None]
        return total[:, None] * shares_of(share(len(total), rng))

    monkeypatch.setattr(EnergyLaw, "split", split)
    assert rejected([split_p_value()])


def blind_to(name: str) -> Render:
    def blind(settings: Any, **options: Any) -> xr.DataArray:
        return render({**settings, name: some_value(name)}, **options)

    return blind


@pytest.mark.parametrize("name", FACTORS)
def test_an_image_made_without_regard_to_a_factor_is_caught(name: str) -> None:
    settings = draw_settings(1, seed=6, **{name: some_value(name, 0.9)})
    assert_means_what_it_says(render, settings)
    with pytest.raises(AssertionError):
        assert_means_what_it_says(blind_to(name), settings)


@pytest.mark.parametrize("name", FACTORS)
def test_a_renderer_that_ignores_a_factor_does_not_express_it(name: str) -> None:
    settings = draw_settings(1, seed=7)
    other = another(name, settings[name].values[0], 0.5)
    assert_expressed(render, settings, name, other)
    with pytest.raises(AssertionError):
        assert_expressed(blind_to(name), settings, name, other)


@pytest.mark.parametrize("name", GRADED)
def test_a_renderer_with_steps_is_not_gradual(name: str) -> None:
    factor = FACTORS[name]
    width = factor.high - factor.low

    def stepped(settings: Any, **options: Any) -> xr.DataArray:
        rounded = factor.low + width * np.floor((np.asarray(settings[name]) - factor.low) / width * 64) / 64
        return render({**settings, name: rounded}, **options)

    settings, step = draw_settings(1, seed=9), 1e-6 * width
    edge = factor.low + width / 2 - step / 2
    assert_gradual(render, settings, name, edge, step)
    with pytest.raises(AssertionError):
        assert_gradual(stepped, settings, name, edge, step)


@pytest.mark.parametrize("name", FACTORS)
def test_a_distance_that_ignores_a_factor_does_not_separate(name: str) -> None:
    settings = draw_settings(1, seed=10)
    other = another(name, settings[name].values[0], 0.5)

    def blind(a: Any, b: Any) -> xr.DataArray:
        return distance(a, b, factors=[factor for factor in FACTORS if factor != name])

    assert_separates(distance, settings, name, other)
    with pytest.raises(AssertionError):
        assert_separates(blind, settings, name, other)
