"""How samples are made: what the settings refuse, before anything is sampled."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from analyses.ground import SampleSettings, block_names, drawn_images, untrained_twin
from probekit import images
from probekit.denoising.denoiser import Denoiser
from probekit.errors import InputError


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ({"n_images": 0}, "n_images=0: give a whole number ≥ 1"),
        ({"n_samples": 0}, "n_samples=0: give a whole number ≥ 1"),
        ({"sigmas": "a"}, "sigma='a'"),
        ({"levels": 1}, "levels=1: give a whole number ≥ 2"),
        ({"draws": 0}, "draws=0: give a whole number ≥ 1"),
        ({"seed": -1}, "seed=-1: give a whole number ≥ 0"),
        ({"batch_size": 0}, "batch_size=0: give a whole number ≥ 1"),
        ({"store": 5}, "store=5: give the path of a folder"),
        ({"progress": "no"}, "progress='no': give True or False"),
    ],
)
def test_settings_out_of_range_are_refused(option: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        SampleSettings(**{"n_images": 3, "n_samples": 2, **option})


def test_settings_in_range_are_kept_and_have_defaults(tmp_path: Path) -> None:
    kept = SampleSettings(n_images=None, n_samples=2, sigmas=[1, 0.1], batch_size=3, store=tmp_path, progress=False)
    assert (kept.n_images, kept.sigmas, kept.store, kept.progress) == (None, [1, 0.1], tmp_path, False)
    plain = SampleSettings(n_images=1, n_samples=1)
    assert (plain.levels, plain.draws, plain.seed, plain.batch_size, plain.store) == (20, 10, 0, None, None)


def test_a_seed_that_draws_no_images_is_refused() -> None:
    with pytest.raises(InputError, match="seed=-1"):
        drawn_images(images.load(np.zeros((2, 1, 4, 4), np.float32)), 1, -1)


class Own(nn.Module):
    """A network of nobody's package."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Conv2d(4, 3, 3, padding=1))

    def forward(self, y: torch.Tensor) -> torch.Tensor:
        return self.layers(y)


def weights(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def test_the_untrained_twin_of_ones_own_network_follows_from_the_seed_alone_and_leaves_the_network() -> None:
    torch.manual_seed(5)
    network = Denoiser(Own())
    network.model.layers[1].running_mean += 1  # pyright: ignore
    before, state = weights(network), torch.get_rng_state()
    twins = [weights(untrained_twin(network, seed=seed)) for seed in (0, 0, 1)]
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(before[name], tensor) for name, tensor in weights(network).items())
    assert all(torch.equal(twins[0][name], twins[1][name]) for name in before)
    for name in ("model.layers.0.weight", "model.layers.2.bias"):
        assert not torch.equal(twins[0][name], before[name])
        assert not torch.equal(twins[0][name], twins[2][name])
    # What a layer has learnt of its inputs is forgotten, too.
    assert not twins[0]["model.layers.1.running_mean"].any()
    assert untrained_twin(network).name == "Own-untrained"
    assert block_names(network) == ("mid",)


def test_a_network_without_weights_that_can_be_drawn_anew_has_no_untrained_twin() -> None:
    network = Own()
    network.gain = nn.Parameter(torch.ones(()))
    with pytest.raises(InputError, match="the weights of Own cannot be drawn anew: give the modules"):
        untrained_twin(network)
    with pytest.raises(InputError, match="the network has no weights"):
        untrained_twin(nn.Identity())
    with pytest.raises(InputError, match="seed=-1"):
        untrained_twin(Own(), seed=-1)
