"""What a tap captures is what the network computes there, bit for bit, and the network never notices."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from networks import DiffusersStyle, Drawn, drawn_networks, state_of
from torch import Tensor, nn

import probekit
from probekit.models.unet import UNet
from probekit.noise import standard_normal

IDS = ["a", "b"]


def noisy(images: np.ndarray, sigma: float, seed: int = 0) -> Tensor:
    return torch.from_numpy(images) + sigma * standard_normal(images.shape[1:], seed=seed, ids=IDS, draws=[0, 0])


def pictures(bands: int = 3, rows: int = 8, cols: int = 16) -> np.ndarray:
    return np.random.default_rng(0).random((2, bands, rows, cols), dtype=np.float32)


def unet_prefix(model: UNet, y: Tensor, alias: str) -> Tensor:
    """The paper's forward pass, written out as far as one block."""
    skips = []
    for scale, block in enumerate(model.encoder, start=1):
        y = block(y)
        if alias == f"enc{scale}":
            return y
        skips.append(y)
        y = nn.functional.avg_pool2d(y, 2)
    y = model.middle(y)
    if alias == "mid":
        return y
    for scale in range(len(skips), 0, -1):
        y = model.decoder[scale - 1](torch.cat([model.up[scale - 1](y), skips[scale - 1]], dim=1))
        if alias == f"dec{scale}":
            return y
    raise AssertionError(alias)


@pytest.mark.parametrize("alias", ["enc1", "enc2", "enc3", "mid", "dec3", "dec2"])
@pytest.mark.parametrize("sigma", [0.0, 0.3])
def test_every_tap_of_the_unet_equals_an_explicit_run_of_its_prefix(unet: UNet, alias: str, sigma: float) -> None:
    x = pictures()
    maps = probekit.tap(unet, alias).maps(x, sigma=sigma, ids=IDS)
    with torch.no_grad():
        expected = unet_prefix(unet, noisy(x, sigma), alias)
    np.testing.assert_array_equal(maps.values[:, 0], expected.numpy())


@pytest.mark.parametrize(
    ("name", "select"),
    [
        ("mid", lambda net, y: net.mid_block(net.encode(y)[0])),
        ("mid_block", lambda net, y: net.mid_block(net.encode(y)[0])),
        (
            "mid_block.attentions.0",
            lambda net, y: net.mid_block.attentions[0](net.mid_block.resnets[0](net.encode(y)[0])),
        ),
        ("down_blocks.1[0]", lambda net, y: net.encode(y)[0]),
        ("down_blocks.0.downsamplers.0", lambda net, y: net.encode(y)[1][2]),
        ("conv_out", lambda net, y: net(y)),
    ],
)
def test_taps_of_a_diffusers_style_unet_equal_an_explicit_run_of_its_prefix(name, select) -> None:
    torch.manual_seed(0)
    net = DiffusersStyle()
    x = pictures()
    maps = probekit.tap(net, name).maps(x, sigma=0.2, ids=IDS)
    with torch.no_grad():
        expected = select(net, noisy(x, 0.2))
    np.testing.assert_array_equal(maps.values[:, 0], expected.numpy())


@given(drawn_networks(), st.sampled_from([0.0, 0.5]))
def test_taps_of_drawn_networks_equal_an_explicit_run_of_their_prefix(drawn: tuple[Drawn, int], sigma: float) -> None:
    net, position = drawn
    x = pictures(rows=4, cols=5)
    maps = probekit.tap(net, net.place_of(position)).maps(x, sigma=sigma, ids=IDS)
    with torch.no_grad():
        expected = net.values(noisy(x, sigma), net.steps[: position + 1])[-1]
    np.testing.assert_array_equal(maps.values[:, 0], expected.numpy())


@given(drawn_networks())
def test_a_drawn_network_is_the_same_after_every_kind_of_call(drawn: tuple[Drawn, int]) -> None:
    net, position = drawn
    x = pictures(rows=4, cols=5)
    y = noisy(x, 0.1)
    before, clean = state_of(net), net(y.clone()).detach()
    tap = probekit.tap(net, net.place_of(position))
    tap(x, sigma=[0.0, 0.1], draws=2)
    tap.maps(x, sigma=0.1)
    tap.features(y)
    with tap.scale(0, 2.0), tap.ablate([1, 2]):
        tap(x, sigma=0.1, draws=1)
    assert state_of(net) == before
    assert torch.equal(net(y.clone()), clean)


class Fragile(nn.Module):
    """Raises in the middle of the pass when told to."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)
        self.broken = False

    def forward(self, y: Tensor) -> Tensor:
        y = self.first(y)
        if self.broken:
            raise ZeroDivisionError("inside the network")
        return self.second(y)


@pytest.mark.parametrize("training", [True, False])
def test_the_network_is_unchanged_when_it_raises_also_inside_nested_edits(training: bool) -> None:
    net = Fragile().train(training)
    net.first.register_forward_hook(lambda *_: None)
    net.second.requires_grad_(False)
    first, second = probekit.tap(net, "first"), probekit.tap(net, "first", "second")
    x = pictures()
    second(x, sigma=0.1, draws=1)
    before = state_of(net)
    net.broken = True
    for call in (
        lambda: second(x, sigma=0.1, draws=1),
        lambda: probekit.tap(net, "second").maps(x, sigma=0.1),
        lambda: second.features(torch.from_numpy(x)),
    ):
        with pytest.raises(ZeroDivisionError), first.ablate(0), first.scale(1, 3.0):
            call()
        assert state_of(net) == before


def test_an_error_inside_an_edit_removes_the_edit(unet: UNet) -> None:
    before = state_of(unet)
    tap = probekit.tap(unet, "mid")
    with pytest.raises(RuntimeError, match="mine"), tap.ablate(0), tap.edit(lambda a: a + 1):
        raise RuntimeError("mine")
    assert state_of(unet) == before


def test_the_users_own_hooks_survive_and_are_seen(unet: UNet) -> None:
    calls = []

    def double(_module: nn.Module, _inputs: object, output: Tensor) -> Tensor:
        calls.append(1)
        return 2 * output

    x = pictures()
    plain = probekit.tap(unet, "mid").maps(x, sigma=0)
    handle = unet.middle.register_forward_hook(double)
    doubled = probekit.tap(unet, "mid").maps(x, sigma=0)
    np.testing.assert_array_equal(doubled.values, 2 * plain.values)
    assert list(unet.middle._forward_hooks) == [handle.id]
    calls.clear()
    unet(torch.from_numpy(x))
    assert calls == [1]


def test_training_mode_is_restored_module_by_module_and_evaluation_mode_is_used() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3), nn.Dropout(0.5), nn.Conv2d(3, 3, 1))
    net.train()
    net[3].eval()
    x = pictures()
    before = state_of(net)
    first, again = (probekit.tap(net, "2").maps(x, sigma=0.0).values for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert state_of(net) == before


def test_nothing_beyond_the_last_tap_is_computed(unet: UNet) -> None:
    tap = probekit.tap(unet, "enc2", "mid")
    x = pictures()
    tap(x, sigma=0.1, draws=1)
    reached = []
    for path, module in unet.named_modules():
        module.register_forward_hook(lambda *_, path=path: reached.append(path))
    tap(x, sigma=0.1, draws=1)
    assert "middle" in reached
    assert not [path for path in reached if path.startswith(("up", "decoder"))]


def test_a_network_that_catches_exceptions_does_not_swallow_the_early_exit() -> None:
    class Cautious(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)

        def forward(self, y: Tensor) -> Tensor:
            try:
                return self.b(self.a(y))
            except Exception:
                raise AssertionError("the network saw the early exit") from None

    assert probekit.tap(Cautious(), "a").maps(pictures(), sigma=0).shape == (2, 1, 3, 8, 16)
