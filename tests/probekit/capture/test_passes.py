"""Laws of many passes: each gives what the denoiser's own gives, whatever of its checks is not made again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import probekit
from probekit.capture.observer import Observer
from probekit.capture.passes import Passes
from probekit.denoising.denoiser import Denoiser, as_denoiser
from probekit.errors import InputError, TapError
from probekit.noise import standard_normal
from probekit.phi import measure

SIGMA = [0.1, 0.4]


def pictures(count: int = 7) -> Tensor:
    return torch.rand(count, 2, 6, 6, generator=torch.Generator().manual_seed(0))


class Layers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.mid, self.out = nn.Conv2d(2, 5, 3, padding=1), nn.Conv2d(5, 2, 3, padding=1)


class Blind(Layers):
    def forward(self, y: Tensor) -> Tensor:
        return self.out(self.mid(y).relu())


class Second(Layers):
    """Told what stands in its second argument."""

    def forward(self, y: Tensor, told: Tensor) -> Tensor:
        return self.out(self.mid(y * (1 + told.to(y.dtype).view(-1, 1, 1, 1))).relu())


class Tensors(Layers):
    def forward(self, y: Tensor, sigma: Tensor) -> Tensor:
        return self.out(self.mid(y * (1 + sigma.view(-1, 1, 1, 1))).relu())


class Numbers(Layers):
    def forward(self, y: Tensor, *, sigma: float) -> Tensor:
        return self.out(self.mid(y * (1 + sigma)).relu())


class Energy(Blind):
    """Differentiates inside: what it taps into is made with gradients."""

    def forward(self, y: Tensor) -> Tensor:
        with torch.enable_grad():
            y = y.detach().requires_grad_()
            energy = self.mid(F.silu(y)).square().sum()
            (down,) = torch.autograd.grad(energy, y)
        return self.out(self.mid(y - 0.1 * down))


def scaled(u: Tensor, s: Tensor) -> Tensor:
    return u / (1 + s.view(-1, 1, 1, 1))


DENOISERS: dict[str, Callable[[], nn.Module]] = {
    "blind": Blind,
    "of another range": lambda: Denoiser(Blind(), data_range=(-1, 1)),
    "that predicts noise": lambda: Denoiser(Blind(), predicts="noise"),
    "scaled": lambda: Denoiser(Blind(), scaling="vp", data_range=(-1, 1)),
    "scaled by a function": lambda: Denoiser(Blind(), scaling=scaled),
    "told σ": lambda: Denoiser(Second(), sigma_to="sigma"),
    "told log σ": lambda: Denoiser(Second(), sigma_to="log_sigma", data_range=(0, 2)),
    "told a timestep": lambda: Denoiser(Second(), sigma_to=[0.01, 0.1, 0.2, 0.5, 1.0], scaling="vp"),
    "that takes σ as a tensor": Tensors,
    "that takes σ as a number": Numbers,
    "that differentiates": Energy,
}


def one_by_one(model: nn.Module, sigma: Sequence[float], batch: int, x: Tensor) -> np.ndarray:
    """φ of one draw through the denoiser's own passes and a plain hook, (image, sigma, channel)."""
    denoiser = as_denoiser(model)
    network = model.network if isinstance(model, Denoiser) else model
    z = standard_normal(x.shape[1:], seed=0, ids=[str(k) for k in range(len(x))], draws=[0] * len(x))
    kept: list[Tensor] = []
    handle = network.get_submodule("mid").register_forward_hook(lambda _m, _i, a: kept.append(a.detach().mean((2, 3))))
    found = []
    with torch.no_grad():
        for level in sigma:
            kept_of_level = []
            for part in (x + level * z).split(batch):
                kept.clear()
                denoiser(part, level)
                kept_of_level.append(kept[0])
            found.append(torch.cat(kept_of_level))
    handle.remove()
    return torch.stack(found, dim=1).numpy()


@pytest.mark.parametrize("name", DENOISERS)
@pytest.mark.parametrize("batch", [1, 2, 3, 7, 100])
def test_passes_give_what_the_denoisers_own_give_to_the_last_bit(name: str, batch: int) -> None:
    model, x = DENOISERS[name](), pictures()
    call = "mid@0" if name == "that differentiates" else "mid"
    data = probekit.tap(model, call)(x, sigma=SIGMA, draws=1, batch_size=batch)
    np.testing.assert_array_equal(data.phi.values, one_by_one(model, SIGMA, batch, x))


@pytest.mark.parametrize("name", ["told σ", "that takes σ as a tensor"])
def test_a_network_that_writes_to_what_it_is_told_is_told_anew_in_every_pass(name: str) -> None:
    def spoiling(_: nn.Module, inputs: tuple[Any, ...]) -> None:
        inputs[1].add_(1)

    model = DENOISERS[name]()
    network = model.network if isinstance(model, Denoiser) else model
    with torch.no_grad():
        handle = network.register_forward_pre_hook(spoiling)
        data = probekit.tap(model, "mid")(pictures(), sigma=SIGMA, draws=1, batch_size=2)
        expected = one_by_one(model, SIGMA, 2, pictures())
        handle.remove()
    np.testing.assert_array_equal(data.phi.values, expected)


def passes_of(
    model: nn.Module, *, batch: int | None = 2, quickly: bool = True, done: Callable[[int], None] = lambda _: None
) -> tuple[Passes, list[str]]:
    """Passes whose runs are counted, and how each was made: by the denoiser, or its network alone."""
    denoiser, made = as_denoiser(model).eval(), []

    def run(forward: Callable[[], Any]) -> list[Tensor]:
        made.append("network")
        return [forward().mean((2, 3))]

    passes = Passes(denoiser, run, lambda _, values: values, batch=batch, quickly=quickly, done=done)
    real = type(denoiser).forward

    def forward(y: Tensor, *args: Any, **conditions: Any) -> Tensor:
        made[-1] = "denoiser"
        return real(denoiser, y, *args, **conditions)

    denoiser.forward = forward
    return passes, made


def test_only_the_first_pass_of_each_size_and_noise_level_is_the_denoisers_own() -> None:
    passes, made = passes_of(Blind())
    for level in (0.1, 0.1, 0.2):
        passes(pictures(), level, {})
    own, quick = "denoiser", "network"
    assert made == [own, quick, quick, own, *[quick] * 4, own, quick, quick, own]


def test_whoever_waits_is_told_of_every_pass() -> None:
    seen: list[int] = []
    passes, _ = passes_of(Blind(), batch=3, done=seen.append)
    passes(pictures(), 0.1, {})
    passes(pictures(2), 0.1, {})
    assert seen == [3, 3, 1, 2]


def test_a_network_that_differentiates_inside_fails_quickly_once_and_no_more() -> None:
    passes, made = passes_of(Energy(), batch=1)
    values = torch.cat([passes(part, 0.1, {})[0] for part in pictures(5).split(1)])
    # The second pass is tried, fails, and is made again; from then on all are the denoiser's.
    assert made == ["denoiser", "network", *["denoiser"] * 4]
    with torch.no_grad():
        expected = torch.cat([as_denoiser(Energy().eval())(part, 0.1).mean((2, 3)) for part in pictures(5).split(1)])
    torch.testing.assert_close(values, expected, rtol=0, atol=0)


def test_a_denoiser_with_a_hook_or_a_forward_of_its_own_is_called_itself_in_every_pass() -> None:
    class Own(Denoiser):
        calls = 0

        def forward(self, y: Tensor, sigma: Any = None, **conditions: Any) -> Tensor:
            Own.calls += 1
            return super().forward(0.5 * y, sigma, **conditions)

    halved = probekit.tap(Own(Blind()), "mid")(pictures(), sigma=0.1, draws=1, batch_size=1)
    assert Own.calls >= 8  # seven images and the constant one
    denoiser = Denoiser(Blind())
    denoiser.register_forward_pre_hook(lambda _, inputs: (0.5 * inputs[0], *inputs[1:]))
    hooked = probekit.tap(denoiser, "mid")(pictures(), sigma=0.1, draws=1, batch_size=1)
    np.testing.assert_array_equal(halved.phi.values, hooked.phi.values)
    plain = probekit.tap(Blind(), "mid")(pictures(), sigma=0.1, draws=1, batch_size=1)
    assert not np.allclose(plain.phi, hooked.phi)


class Failing(Blind):
    """Fails at images that are brighter than the others."""

    def forward(self, y: Tensor, bias: Tensor | None = None) -> Tensor:
        if float(y.mean()) > 5:
            raise RuntimeError("too bright")
        return super().forward(y if bias is None else y + bias.view(-1, 1, 1, 1))


def test_what_goes_wrong_in_a_later_pass_is_told_as_the_denoiser_tells_it() -> None:
    x = pictures()
    x[5] += 10
    with pytest.raises(RuntimeError, match="too bright"), pytest.warns(UserWarning, match="reach from"):
        probekit.tap(Failing(), "mid")(x, sigma=0.1, draws=1, batch_size=1)
    # In the denoiser's words: that it is the size of these images which the network cannot take.
    passes, _ = passes_of(probekit.models.unet.UNet((4, 8), image_channels=2), batch=1)
    passes(pictures(), 0.1, {})
    with pytest.raises(InputError, match="7×7 cannot be halved evenly"):
        passes(torch.zeros(1, 2, 7, 7), 0.1, {})


def test_a_reduction_that_writes_to_the_map_is_refused_in_whichever_pass_it_does() -> None:
    calls = 0

    def reduce(a: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        if calls > 5:
            a.mul_(2)
        return a.mean((2, 3))

    with pytest.raises(TapError, match="changed the map in place"):
        probekit.tap(Blind(), "mid", reduce=reduce)(pictures(), sigma=0.1, draws=1, batch_size=1)


def test_a_reduction_of_ones_own_may_differentiate_in_every_pass() -> None:
    def steepness(a: Tensor) -> Tensor:
        with torch.enable_grad():
            a = a.detach().clone().requires_grad_()
            (slope,) = torch.autograd.grad(a.square().sum(), a)
        return slope.mean((2, 3))

    found = probekit.tap(Blind(), "mid", reduce=steepness)(pictures(), sigma=0.1, draws=1, batch_size=1)
    plain = probekit.tap(Blind(), "mid")(pictures(), sigma=0.1, draws=1, batch_size=1)
    np.testing.assert_allclose(found.phi, 2 * plain.phi, rtol=1e-5)


def test_a_network_that_makes_other_numbers_of_rows_in_a_later_pass_is_refused() -> None:
    class Splitting(Blind):
        def forward(self, y: Tensor) -> Tensor:
            return super().forward(y if float(y.mean()) < 5 else torch.cat([y, y]))[: len(y)]

    x = pictures()
    x[3] += 10
    denoiser = Denoiser(Splitting(), data_range=None)
    with pytest.raises(TapError, match="gives 8 maps for 7 images"):
        probekit.tap(denoiser, "mid")(x, sigma=0.1, draws=1, batch_size=1)


def test_conditions_of_each_image_go_with_it_whatever_the_batch() -> None:
    x, bias = pictures(), np.linspace(-1, 1, 7).astype(np.float32)
    tap = probekit.tap(Failing(), "mid")
    whole = tap(x, sigma=SIGMA, draws=2, conditions={"bias": bias})
    for batch in (1, 2, 3, 5):
        parts = tap(x, sigma=SIGMA, draws=2, batch_size=batch, conditions={"bias": bias})
        np.testing.assert_allclose(parts.phi, whole.phi, rtol=1e-4, atol=1e-6)
    other = tap(x, sigma=SIGMA, draws=2, conditions={"bias": bias[::-1].copy()})
    assert not np.allclose(other.phi, whole.phi, atol=1e-2)


class Keeping(Blind):
    def forward(self, y: Tensor) -> Tensor:
        self.last = self.mid(y)
        return self.out(self.last.relu())


class Sharded(Blind):
    """Says of itself what torch's fully_shard makes of a module."""

    def set_reshard_after_forward(self, _: bool) -> None: ...


@pytest.mark.filterwarnings("ignore:.*changes what it holds")
@pytest.mark.parametrize(("kind", "quick"), [(Blind, True), (Keeping, False), (Sharded, False)])
def test_what_a_network_keeps_from_a_pass_can_have_gradients_later(kind: type[nn.Module], quick: bool) -> None:
    model, seen = kind(), []
    tap = probekit.tap(model, "mid")
    tap(pictures(1), sigma=0.1, draws=1)
    model.mid.register_forward_hook(lambda _m, _i, a: seen.append(a.is_inference()))
    tap(pictures(), sigma=0.1, draws=1, batch_size=1)
    assert not seen[0]
    assert any(seen) == quick


def test_nothing_of_a_quick_pass_is_left_in_the_network() -> None:
    model = Keeping()
    with pytest.warns(UserWarning, match="changes what it holds"):
        probekit.tap(model, "mid")(pictures(), sigma=0.1, draws=1, batch_size=1)
    assert not hasattr(model, "last")
    model(pictures()).sum().backward()
    assert model.mid.weight.grad is not None


def test_a_bar_is_told_of_each_pass_of_the_images_and_of_the_constant_one(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[int] = []

    class Told(measure.Bar):
        def update(self, count: int = 1) -> None:
            told.append(count)

    monkeypatch.setattr(measure.Measurement, "bar", lambda *_: Told())
    probekit.tap(Blind(), "mid")(pictures(), sigma=SIGMA, draws=3, batch_size=4)
    assert sum(told) == 2 * 3 * 8
    assert max(told) == 4


def test_many_passes_are_as_many_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    # Whatever is made at once: blocks of noisy images, ragged at their ends and of one image.
    x = pictures()
    expected = probekit.tap(Blind(), "mid")(x, sigma=SIGMA, draws=3, batch_size=1)
    for group in (1, 2, 5, 1000):
        monkeypatch.setattr("probekit.phi.averages.GROUP", group)
        found = probekit.tap(Blind(), "mid")(x, sigma=SIGMA, draws=3, batch_size=1)
        np.testing.assert_array_equal(found.phi.values, expected.phi.values)


def test_an_observer_reads_as_many_images_as_it_is_given_at_once() -> None:
    observer = Observer(as_denoiser(Blind()), probekit.tap(Blind(), "mid")._observer.points)
    y = pictures()
    with observer.reading(lambda a: a.mean((2, 3))) as read:
        whole = read(y, 0.1, {})[0]
    with observer.reading(lambda a: a.mean((2, 3)), batch=2) as read:
        parts = read(y, 0.1, {})[0]
    torch.testing.assert_close(parts, whole, rtol=1e-5, atol=1e-6)
