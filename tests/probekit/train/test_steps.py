"""Weights that a run keeps on its way, and the densities that its noise levels are drawn from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate

from probekit.denoising.denoiser import Denoiser
from probekit.errors import InputError, ModelError
from probekit.models.unet import UNet
from probekit.train import Recipe, at_step, steps_kept
from probekit.train.recipe import sigma_quantile
from tests.probekit.train.tiny import SHORT, Recording, checkpoint, network, noise_free, quietly, run_of, same


def test_weights_of_every_so_many_steps_are_those_of_runs_that_end_there(tmp_path: Path) -> None:
    trained = quietly(network(), out=tmp_path / "run", keep_every=3)
    assert steps_kept(tmp_path / "run") == [0, 3, 6]
    for step in (3, 6):
        stopped = quietly(network(), out=tmp_path / str(step), until=step)
        found = at_step(trained, tmp_path / "run", step)
        assert same(dict(found.model.state_dict()), dict(stopped.model.state_dict()))
        assert found.name == f"{trained.name}@{step}"
        assert not found.training
        last = at_step(trained, tmp_path / "run", step, averaged=False)
        there = checkpoint(tmp_path / str(step))
        assert same(
            dict(last.model.state_dict()), {k.removeprefix("model."): v for k, v in there.items() if "model." in k}
        )
    assert same(dict(at_step(trained, tmp_path / "run", 0).model.state_dict()), dict(network().state_dict()))
    whole = quietly(network(), out=tmp_path / "whole")
    assert same(checkpoint(tmp_path / "whole"), checkpoint(tmp_path / "run"))
    assert steps_kept(tmp_path / "whole") == []
    assert trained.name == whole.name


def test_a_run_in_parts_keeps_what_one_in_one_part_does(tmp_path: Path) -> None:
    trained = quietly(network(), out=tmp_path / "whole", keep_every=2)
    for stop in (3, 7, None):
        quietly(network(), out=tmp_path / "parts", keep_every=2, until=stop)
    assert steps_kept(tmp_path / "parts") == steps_kept(tmp_path / "whole") == [0, 2, 4, 6, 8]
    for step in steps_kept(tmp_path / "parts"):
        one, other = (at_step(trained, tmp_path / name, step) for name in ("parts", "whole"))
        assert same(dict(one.model.state_dict()), dict(other.model.state_dict()))


def test_what_was_not_kept_and_what_is_of_another_network_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="keep_every=2 keeps weights in a folder: give out"):
        quietly(network(), keep_every=2)
    trained = quietly(network(), out=tmp_path, keep_every=4)
    with pytest.raises(InputError, match=r"step=5: .* holds weights of 3 steps from 0 to 8: give one of them"):
        at_step(trained, tmp_path, 5)
    with pytest.raises(InputError, match=r"nowhere holds no checkpoint\.safetensors: train into it first"):
        at_step(trained, tmp_path / "nowhere", 5)
    quietly(network(), out=tmp_path / "none")
    with pytest.raises(InputError, match=r"step=5: .* holds weights of no step"):
        at_step(trained, tmp_path / "none", 5)
    with pytest.raises(InputError, match=r"of step 4 .* are those of another network"):
        at_step(Denoiser(UNet((6, 8))), tmp_path, 4)
    kept = tmp_path / "steps/00000004.safetensors"
    kept.write_bytes(kept.read_bytes()[:-100])
    with pytest.raises(ModelError, match="00000004"):
        at_step(trained, tmp_path, 4)


# Densities of σ


@given(
    power=st.floats(-3, 3) | st.sampled_from([0.0, 0.5, 1.0, 2.0]),
    low=st.floats(1e-3, 0.5),
    high=st.floats(0.6, 3),
    share=st.floats(0.01, 1),
)
def test_the_share_of_images_below_a_sigma_is_the_integral_of_the_density(
    power: float, low: float, high: float, share: float
) -> None:
    found = float(sigma_quantile(Recipe(sigma_power=power, sigma_min=low, sigma_max=high), torch.tensor([share])))
    assert low <= found <= high * (1 + 1e-6)
    below, all_ = (integrate.quad(lambda s: (s / high) ** -power, low, end, limit=200)[0] for end in (found, high))
    # σ is in single precision, whose rounding the density turns into one of the share.
    slack = 1e-5 + 4 * 2**-23 * found * (found / high) ** -power / all_
    assert below / all_ == pytest.approx(share, abs=slack)


@pytest.mark.parametrize(("power", "low"), [(0.0, 0.0), (0.5, 0.0), (1.0, 0.004), (2.0, 0.02)])
def test_noise_levels_of_a_run_follow_the_density(power: float, low: float) -> None:
    n = 4000
    recipe = Recipe(steps=1, batch_size=n, sigma_power=power, sigma_min=low)
    run = run_of(Recording(), recipe)
    run.advance(noise_free())
    sigma = np.sort(run.model.sigma.double().numpy())
    assert sigma[0] > 0
    share = (
        np.log(sigma / low) / np.log(1 / low)
        if power == 1
        else (sigma ** (1 - power) - low ** (1 - power)) / (1 - low ** (1 - power))
    )
    # Kolmogorov–Smirnov, off by 1.95/√n with probability 0.001.
    assert np.abs(share - np.arange(1, n + 1) / n).max() < 1.95 / n**0.5 + 1 / n


def test_the_uniform_density_is_bit_for_bit_what_it_was() -> None:
    u = 1 - torch.rand(1000, generator=torch.Generator().manual_seed(0))
    assert torch.equal(sigma_quantile(Recipe(sigma_max=3.0), u), 3.0 * u)


@pytest.mark.parametrize("power", [0.999, 0.99, 0.5])
def test_no_image_is_without_noise_however_steep_the_density(power: float) -> None:
    assert float(sigma_quantile(Recipe(sigma_power=power), torch.tensor([2.0**-24]))) > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sigma_min": -0.1}, r"sigma_min=-0.1 \(expected a number of at least 0\)"),
        ({"sigma_min": 1.0}, "sigma_min=1.0 is not below sigma_max=1.0"),
        ({"sigma_power": 11}, r"sigma_power=11 \(expected a number from -10 to 10\)"),
        ({"sigma_power": float("nan")}, r"sigma_power=nan \(expected"),
        ({"sigma_power": 1}, r"∝ σ\^−1 has no end at σ = 0: give a sigma_min above 0"),
        ({"sigma_power": 2.5}, r"∝ σ\^−2.5 has no end"),
    ],
)
def test_densities_that_are_none_are_refused(options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Recipe(**options)


def test_a_run_of_another_density_is_another_run(tmp_path: Path) -> None:
    quietly(network(), out=tmp_path, until=2)
    with pytest.raises(InputError, match=r"sigma_power: 0\.0 there, 0\.5 now"):
        quietly(network(), Recipe(**{**vars(SHORT), "sigma_power": 0.5}), out=tmp_path)
