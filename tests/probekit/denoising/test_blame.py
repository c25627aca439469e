"""Whose fault a failure is said to be: the images' only where images of another kind, and nothing else, mend it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import probekit
from probekit.capture.survey import survey
from probekit.denoising.denoiser import Denoiser, as_denoiser
from probekit.errors import InputError


def images(count: int = 4, channels: int = 3, size: int = 16) -> Tensor:
    return torch.rand(count, channels, size, size, generator=torch.Generator().manual_seed(0))


class Halving(nn.Module):
    """Halves twice; fails where that leaves a remainder."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, y: Tensor) -> Tensor:
        coarse = F.avg_pool2d(self.body(y), 4)
        return y + F.interpolate(coarse, scale_factor=4)


class Failing(Halving):
    """Fails at some of its calls, whatever it is given."""

    def __init__(self, fails: Callable[[int], bool]) -> None:
        super().__init__()
        self.fails, self.calls = fails, 0

    def forward(self, y: Tensor) -> Tensor:
        self.calls += 1
        if self.fails(self.calls):
            raise RuntimeError("a random failure")
        return super().forward(y)


PATTERNS: dict[str, Callable[[int], bool]] = {
    "once": lambda n: n == 1,
    "twice": lambda n: n <= 2,
    "every other time": lambda n: n % 2 == 1,
    "two of three": lambda n: n % 3 != 0,
}


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("kind", ["size", "channels"])
def test_a_failure_that_comes_and_goes_is_passed_on(pattern: str, kind: str) -> None:
    network = Failing(PATTERNS[pattern])
    with pytest.raises(RuntimeError, match=r"^a random failure$"):
        Denoiser(network)(images(channels=3 if kind == "size" else 1), 0.1)


def raising(error: type[Exception], rows: int) -> Callable[[Tensor], Tensor]:
    """A reduction that fails on maps of so many rows."""

    def reduce(a: Tensor) -> Tensor:
        if a.shape[-2] == rows:
            raise error("the reduction's own mistake")
        return a.mean((2, 3))

    return reduce


class Reading:
    """A reduction as an object that can be called."""

    def __call__(self, a: Tensor) -> Tensor:
        return raising(RuntimeError, 16)(a)


@pytest.mark.parametrize("reduce", [raising(RuntimeError, 16), raising(TypeError, 16), Reading()], ids=["a", "b", "c"])
def test_a_reductions_mistake_is_the_reductions(reduce: Any) -> None:
    class Told(Halving):
        def forward(self, y: Tensor, sigma: Any = None) -> Tensor:
            del sigma
            return super().forward(y)

    for model in (Halving(), Told()):
        with pytest.raises((RuntimeError, TypeError), match=r"^the reduction's own mistake\n.*the reduction at 'body'"):
            probekit.tap(model, "body", reduce=reduce).features(images(), 0.1)


@pytest.mark.parametrize("error", [RuntimeError, TypeError])
def test_an_edits_mistake_is_the_edits(error: type[Exception]) -> None:
    def wrong(a: Tensor) -> Tensor:
        if a.shape[-2] == 16:
            raise error("the edit's own mistake")
        return a

    model = Halving()
    with (
        probekit.tap(model, "body").edit(wrong),
        pytest.raises(error, match=r"^the edit's own mistake\n.*the edit at 'body'"),
    ):
        Denoiser(model)(images(), 0.1)


class Conditioned(Halving):
    """Adds a map, or a number an image."""

    def forward(self, y: Tensor, sigma: Any = None, cond: Any = None) -> Tensor:
        del sigma
        return super().forward(y) + cond


CONDITIONS = {
    # Of a trial's two images, and as wide as a trial.
    "of two images": torch.ones(2, 1, 1, 1),
    "a map of a trial's size": torch.ones(4, 3, 96, 96),
    "a map one row too high": torch.ones(4, 3, 17, 16),
    "as many numbers as images": torch.ones(4),
}


@pytest.mark.parametrize("said", CONDITIONS)
@pytest.mark.parametrize("told", [True, False])
def test_a_condition_that_does_not_fit_is_not_put_down_to_the_images(said: str, told: bool) -> None:
    denoiser = as_denoiser(Conditioned()) if told else Denoiser(Conditioned(), sigma_to="sigma")
    with pytest.raises(RuntimeError, match="must match the size") as caught:
        denoiser(images(), 0.1, cond=CONDITIONS[said])
    assert not isinstance(caught.value, InputError)


def test_a_size_is_still_blamed_where_a_map_of_the_same_size_goes_along() -> None:
    y = images(size=18)
    for denoiser in (as_denoiser(Conditioned()), Denoiser(Conditioned(), sigma_to="sigma")):
        with pytest.raises(InputError, match=r"images of 18×18 .* multiples of 4; crop to 16×16 or pad to 20×20"):
            denoiser(y, 0.1, cond=torch.ones(4, 3, 18, 18))


class AnySigma(Halving):
    """Takes σ as users give it, so that nothing is put around it."""

    takes_any_sigma = True

    def forward(self, y: Tensor, sigma: Any = None, gain: Any = 1.0) -> Tensor:
        return super().forward(y) + torch.as_tensor(sigma).view(-1, 1, 1, 1) * torch.as_tensor(gain).view(-1, 1, 1, 1)


@pytest.mark.parametrize("sigma", [torch.tensor([0.1, 0.2, 0.3]), [0.1, 0.2, 0.3], 0.1], ids=str)
def test_a_size_is_blamed_by_a_tap_on_a_network_itself_whatever_noise_levels_the_images_have(sigma: Any) -> None:
    tap, gain = probekit.tap(AnySigma(), "body"), torch.ones(3)
    assert tap.features(images(3), sigma, gain=gain).shape == (3, 3)
    with pytest.raises(InputError, match=r"images of 18×18 .* multiples of 4"):
        tap.features(images(3, size=18), sigma, gain=gain)
    with pytest.raises(InputError, match=r"images of 18×18 .* multiples of 4"):
        survey(tap.denoiser, images(3, size=18), sigma)


def test_a_type_that_does_not_fit_is_not_put_down_to_the_images() -> None:
    class Mixed(Halving):
        def __init__(self) -> None:
            super().__init__()
            self.late = nn.Conv2d(3, 3, 1).double()

        def forward(self, y: Tensor) -> Tensor:
            return self.late(super().forward(y))

    with pytest.raises(RuntimeError, match=r"(?i)double|type|dtype") as caught:
        Denoiser(Mixed())(images(size=12), 0.1)
    assert not isinstance(caught.value, InputError)


def test_images_that_are_too_small_are_not_said_to_be_divided_badly() -> None:
    class Wide(nn.Module):
        def forward(self, y: Tensor) -> Tensor:
            return F.pad(y, (20, 20, 20, 20), mode="reflect")[..., 20:-20, 20:-20]

    with pytest.raises(InputError, match=r"images of 16×16 are too small for this network, which takes \d+×\d+"):
        Denoiser(Wide())(images(), 0.1)


@pytest.mark.parametrize("declared", [True, False])
def test_channels_are_blamed_where_others_work(declared: bool) -> None:
    model = Halving()
    if declared:
        vars(model)["image_channels"] = 3
    with pytest.raises(InputError, match=r"takes images of 3 channels and was given 1 \(shape \(4, 1, 16, 16\)\)"):
        Denoiser(model)(images(channels=1), 0.1)


def test_what_fails_with_all_numbers_of_channels_is_passed_on() -> None:
    class Lost(Halving):
        image_channels = 3

        def forward(self, y: Tensor) -> Tensor:
            raise RuntimeError(f"lost {y.ndim}")

    with pytest.raises(RuntimeError, match=r"^lost 4$"):
        Denoiser(Lost())(images(channels=1), 0.1)


def test_a_type_error_inside_a_network_that_was_called_is_passed_on() -> None:
    class Supplied(Halving):
        """Its condition comes from a hook, so that its signature alone says it lacks one."""

        def forward(self, y: Tensor, *, label: int) -> Tensor:
            return super().forward(y) + len(label)  # pyright: ignore[reportArgumentType]

    model = Supplied()
    model.register_forward_pre_hook(lambda _m, a, k: (a, {**k, "label": 3}), with_kwargs=True)
    with pytest.raises(TypeError, match="has no len") as caught:
        Denoiser(model)(images(), 0.1)
    assert not isinstance(caught.value, InputError)
