"""What is warned of, once: training mode that makes a difference, and statistics of the batch in evaluation."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import probekit
from probekit.denoising.denoiser import Denoiser, as_denoiser
from probekit.denoising.dependence import differ_in_training, vary_in_evaluation
from probekit.images import load
from probekit.models.normalisation import UncentredBatchNorm
from probekit.train.loop import train
from probekit.train.recipe import Recipe


class Frozen(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("running_mean", torch.zeros(3))


class FrozenBatchNorm2d(Frozen):
    pass


class OwnNorm(Frozen):
    pass


DIFFERENT: dict[str, Callable[[], nn.Module]] = {
    "BatchNorm2d": lambda: nn.BatchNorm2d(3),
    "BatchNorm2d of no mean": lambda: nn.BatchNorm2d(3, affine=False),
    "SyncBatchNorm": lambda: nn.SyncBatchNorm(3),
    "LazyBatchNorm2d": nn.LazyBatchNorm2d,
    "InstanceNorm2d": lambda: nn.InstanceNorm2d(3, track_running_stats=True),
    "Dropout": lambda: nn.Dropout(0.1),
    "Dropout2d": lambda: nn.Dropout2d(0.1),
    "AlphaDropout": lambda: nn.AlphaDropout(0.1),
    "FeatureAlphaDropout": lambda: nn.FeatureAlphaDropout(0.1),
    "RReLU": nn.RReLU,
    "MultiheadAttention": lambda: nn.MultiheadAttention(4, 1, dropout=0.1),
    "LSTM": lambda: nn.LSTM(3, 3, num_layers=2, dropout=0.1),
    "spectral norm": lambda: nn.utils.parametrizations.spectral_norm(nn.Conv2d(3, 3, 1)),
    "UncentredBatchNorm": lambda: UncentredBatchNorm(3),
    "OwnNorm": OwnNorm,
    "StochasticDepth": lambda: type("StochasticDepth", (nn.Module,), {"p": 0.1})(),
}
SAME: dict[str, Callable[[], nn.Module]] = {
    "BatchNorm2d of the batch": lambda: nn.BatchNorm2d(3, track_running_stats=False),
    "InstanceNorm2d": lambda: nn.InstanceNorm2d(3),
    "GroupNorm": lambda: nn.GroupNorm(1, 3),
    "Dropout of nothing": lambda: nn.Dropout(0.0),
    "RReLU of one slope": lambda: nn.RReLU(0.2, 0.2),
    "MultiheadAttention": lambda: nn.MultiheadAttention(4, 1),
    "LSTM": lambda: nn.LSTM(3, 3),
    "Conv2d": lambda: nn.Conv2d(3, 3, 1),
    "FrozenBatchNorm2d": FrozenBatchNorm2d,
}


@pytest.mark.parametrize("name", DIFFERENT)
def test_modules_that_act_differently_in_training_are_known(name: str) -> None:
    module = DIFFERENT[name]()
    assert differ_in_training(nn.Sequential(module))
    assert not differ_in_training(nn.Sequential(module).eval())


@pytest.mark.parametrize("name", SAME)
def test_modules_that_act_the_same_are_not_taken_for_them(name: str) -> None:
    assert not differ_in_training(nn.Sequential(SAME[name]()))


class Normed(nn.Module):
    def __init__(self, norm: nn.Module | None = None) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, padding=1)
        self.norms = nn.Sequential(*(nn.BatchNorm2d(4) for _ in range(3)), nn.Dropout(0.1), norm or nn.Identity())
        self.last = nn.Conv2d(4, 3, 3, padding=1)

    def forward(self, y: Tensor, *_: Any) -> Tensor:
        return self.last(self.norms(self.first(y)))


class Told(Normed):
    def forward(self, y: Tensor, sigma: Any = None) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        del sigma
        return super().forward(y)


Y = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("make", [lambda: Denoiser(Normed()), lambda: as_denoiser(Told())])
def test_a_call_in_training_mode_is_warned_of_once_by_the_names_of_modules_and_where_it_was_made(make: Any) -> None:
    denoiser = make()
    with pytest.warns(UserWarning, match=r"training mode, and 3 BatchNorm2d, 1 Dropout act .*call \.eval\(\)") as told:
        denoiser(Y, 0.1)
    assert told[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        denoiser(Y, 0.1)
        Denoiser(denoiser.model)(Y, 0.1) if isinstance(denoiser, Denoiser) else None


def test_nothing_is_warned_of_in_evaluation_mode_or_where_the_mode_makes_no_difference() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Denoiser(Normed().eval())(Y, 0.1)
        Denoiser(nn.Conv2d(3, 3, 1).train())(Y, 0.1)
        model = Normed().train()
        tap = probekit.tap(model, "first")
        tap(Y, sigma=0.1, draws=1)
        tap.features(Y, 0.1)
        probekit.taps(model, (3, 8, 8))


def test_one_module_in_training_mode_is_enough() -> None:
    model = Normed().eval()
    model.norms[3].train()
    with pytest.warns(UserWarning, match="and 1 Dropout act"):
        Denoiser(model)(Y, 0.1)


def test_the_packages_own_training_is_no_reason_to_warn() -> None:
    torch.manual_seed(0)
    network = Normed()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        images = load(torch.rand(4, 3, 8, 8))
        train(network, images, recipe=Recipe(steps=2, batch_size=2), held_out=images, progress=False)


def of_the_batch() -> nn.Module:
    return nn.BatchNorm2d(4, track_running_stats=False)


@pytest.mark.parametrize(
    "use",
    [
        lambda model: Denoiser(model, sigma_to="sigma" if isinstance(model, Told) else None)(Y, 0.1),
        lambda model: probekit.tap(model, "first"),
        lambda model: as_denoiser(model)(Y, 0.1),
    ],
    ids=["denoised", "tapped", "told"],
)
@pytest.mark.parametrize("kind", [Normed, Told])
def test_statistics_of_the_batch_in_evaluation_are_warned_of_once(use: Any, kind: type[Normed]) -> None:
    model = kind(of_the_batch()).eval()
    with pytest.warns(UserWarning, match=r"1 BatchNorm2d normalise over the batch in evaluation too .*batch_size"):
        use(model)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        use(model)


def test_such_statistics_make_an_image_depend_on_the_others() -> None:
    network = nn.Sequential(nn.BatchNorm2d(3, track_running_stats=False)).eval()
    assert vary_in_evaluation(network)
    alone, among = network(Y[:1]), network(torch.cat([Y[:1], Y[1:] + 1]))[:1]
    assert not torch.allclose(alone, among)


def test_pooling_at_random_is_warned_of() -> None:
    class Pooled(Normed):
        def forward(self, y: Tensor, *_: Any) -> Tensor:
            return nn.functional.interpolate(super().forward(y), size=y.shape[-2:])

    with pytest.warns(UserWarning, match="1 FractionalMaxPool2d pool at random in evaluation too"):
        Denoiser(Pooled(nn.FractionalMaxPool2d(2, output_size=4)).eval())(Y, 0.1)
