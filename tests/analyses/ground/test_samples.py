"""How samples are made: what the settings refuse, before anything is sampled."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from analyses.ground import SampleSettings, block_names, drawn_images, untrained_twin, untrained_twins
from probekit import images
from probekit.denoising.denoiser import Denoiser
from probekit.errors import InputError
from probekit.models import zoo
from probekit.models.dncnn import DnCNN
from probekit.models.normalisation import UncentredBatchNorm, UncentredNorm
from probekit.models.unet import UNet


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


class Normalised(nn.Module):
    """A network of nobody's package with this package's normalisations."""

    def __init__(self) -> None:
        super().__init__()
        norms = UncentredNorm(64, (1, 2, 3)), UncentredBatchNorm(64)
        self.layers = nn.Sequential(nn.Conv2d(3, 64, 1), *norms, nn.Conv2d(64, 3, 1))
        for tensor in (*norms[0].parameters(), *norms[1].parameters(), *norms[1].buffers()):
            nn.init.constant_(tensor, 5)

    def forward(self, y: torch.Tensor) -> torch.Tensor:
        return self.layers(y)


@pytest.mark.parametrize(
    "make", [Normalised, lambda: UNet((3, 4, 6)), lambda: DnCNN(width=4, depth=4)], ids=["own", "UNet", "DnCNN"]
)
def test_both_controls_have_the_same_convolutions_and_gains_of_their_own(make: Any) -> None:
    torch.manual_seed(0)
    network = Denoiser(make(), name="net")
    twins = untrained_twins(network, seed=3)
    assert [twin.name for twin in twins.values()] == ["net-untrained", "net-untrained-paper-gains"]
    assert list(twins) == ["untrained", "untrained, paper's gains"]
    one, paper = map(weights, twins.values())
    gains = [name for name in one if name.endswith("gain")]
    assert gains
    for name in one:
        if name in gains:
            assert bool((one[name] == 1).all())
            assert float(paper[name].abs().max()) <= 0.025
            assert bool((paper[name] != 0).any())
        else:
            assert torch.equal(one[name], paper[name])
            assert not name.endswith("running_std") or bool((one[name] == 1).all())


def test_gains_of_the_paper_are_refused_where_there_are_none_and_the_one_control_is_left() -> None:
    for network in (Own(), Denoiser(Own()), Denoiser(DnCNN(width=4, depth=2))):
        assert list(untrained_twins(network)) == ["untrained"]
        with pytest.raises(InputError, match=r"gains='paper': the network has no normalisation .*: give gains='one'"):
            untrained_twin(network, gains="paper")
    with pytest.raises(InputError, match="gains='paper': DnCNN has no normalisation"):
        zoo.untrained(Denoiser(DnCNN(width=4, depth=2)), gains="paper")
    with pytest.raises(InputError, match="gains='two': give one of one, paper"):
        untrained_twin(Own(), gains="two")


def test_a_network_whose_weights_cannot_be_drawn_anew_has_neither_control() -> None:
    network = Normalised()
    network.scale = nn.Parameter(torch.ones(()))
    with pytest.raises(InputError, match="the weights of Normalised cannot be drawn anew"):
        untrained_twins(network)
