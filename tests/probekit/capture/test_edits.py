"""Edits: each fires, in every pass, on the calls that its name says, with the right gradients; or says so."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

import probekit
from probekit.errors import InputError, TapError
from probekit.models.unet import UNet


def conv(planes: int = 3) -> nn.Conv2d:
    return nn.Conv2d(planes, planes, 3, padding=1)


class Listed(nn.Module):
    """A list that is never called, a module that is not, one that is called by .forward(), and one called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.parts = nn.ModuleList([conv(), conv()])
        self.unused, self.forwarded, self.twice = conv(), conv(), conv()

    def forward(self, y: Tensor) -> Tensor:
        for part in self.parts:
            y = part(y).relu()
        return self.twice(self.twice(self.forwarded.forward(y)).relu())


class Attending(nn.Module):
    """Attention uses its output projection's weights and never calls it."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.attention = conv(4), nn.MultiheadAttention(4, 2, batch_first=True)

    def forward(self, y: Tensor) -> Tensor:
        h = self.first(y)
        tokens = h.flatten(2).mT
        return h + self.attention(tokens, tokens, tokens, need_weights=False)[0].mT.reshape(h.shape)


@pytest.fixture
def small() -> UNet:
    """Eight channels at 4×4 for images of 8×8."""
    torch.manual_seed(0)
    return UNet((4, 8), encoder_convs=(1,), middle_convs=1, decoder_convs=(2,)).eval()


class Guided(nn.Module):
    """Two passes of one network, as in classifier-free guidance."""

    def __init__(self) -> None:
        super().__init__()
        self.unet = UNet((4, 8), encoder_convs=(1,), middle_convs=1, decoder_convs=(2,))

    def forward(self, y: Tensor) -> Tensor:
        return 2 * self.unet(y) - self.unet(0.5 * y)


@pytest.mark.parametrize(
    ("net", "name", "says"),
    [
        (Listed(), "parts", "'parts' did not fire: parts was not called"),
        (Listed(), "unused", "'unused' did not fire: unused was not called"),
        (Listed(), "forwarded", r"'forwarded' did not fire: .* only through \.forward"),
        (Listed(), "twice@7", r"'twice@7' did not fire: twice was called 2 times .* counted from @0"),
        (Attending(), "attention.out_proj", "'attention.out_proj' is a .* channels are the last dim"),
        (Listed(), "twice", r'does not say which call of twice .* "twice@0" .* "twice@\*"'),
        (Guided(), "unet.middle", r'which call of unet.middle .* "unet.middle@\*"'),
    ],
)
def test_an_edit_that_changes_nothing_or_not_everything_is_an_error_that_names_it(net, name: str, says: str) -> None:
    planes = 4 if isinstance(net, Attending) else 3
    before = len(list(net.modules()))
    with pytest.raises(TapError, match=says), probekit.tap(net, name).ablate([0]):
        net(torch.rand(2, planes, 16, 16))
    assert all(not m._forward_hooks and not m._forward_pre_hooks for m in net.modules())
    assert len(list(net.modules())) == before


def test_a_layer_whose_weights_are_used_and_that_is_never_called_cannot_be_edited() -> None:
    net = Attending()
    edit = probekit.tap(net, "attention.out_proj").edit(torch.zeros_like)
    with pytest.raises(TapError, match=r"'attention.out_proj' did not fire"), edit:
        net(torch.rand(2, 4, 8, 8))


def test_a_block_without_a_pass_is_an_error_and_an_error_in_it_is_not_masked(unet: UNet) -> None:
    tap = probekit.tap(unet, "mid")
    with (
        pytest.raises(TapError, match=r"edit at 'mid' never fired.*no forward pass of the network was made"),
        tap.ablate(0),
    ):
        pass
    with pytest.raises(ZeroDivisionError), tap.ablate(0):
        raise ZeroDivisionError
    with pytest.raises(TapError, match="never fired"), tap.ablate(0):
        unet.encoder[0](torch.rand(1, 3, 8, 8))


def test_a_part_or_a_forward_method_that_is_called_directly_is_edited(unet: UNet) -> None:
    y = torch.rand(2, 3, 8, 8)
    with torch.no_grad(), probekit.tap(unet, "mid").edit(lambda a: a + 1):
        edited = unet(y)
        assert torch.equal(unet.forward(y), edited)
        assert torch.equal(unet.forward(y), edited)
    listed = Listed()
    edit = probekit.tap(listed, "twice@1").ablate(0)
    with pytest.raises(TapError, match=r"edit at 'twice@1' is of one call .*outside of one"), edit:
        listed.forward(torch.rand(1, 3, 8, 8))


def test_an_edit_behind_the_last_tap_that_is_read_says_that_it_never_fired(unet: UNet) -> None:
    x = torch.rand(2, 3, 8, 8)
    early, late = probekit.tap(unet, "enc1"), probekit.tap(unet, "mid")
    plain = early(x, sigma=0.1, draws=1)
    with pytest.warns(UserWarning, match=r"edit at 'mid' never fired.*before middle was called"), late.ablate(0):
        again = early(x, sigma=0.1, draws=1)
    xr.testing.assert_equal(plain, again)


@given(names=st.sampled_from(["unet.middle@0", "unet.middle@1", "unet.middle@*"]), count=st.integers(1, 3))
def test_one_call_or_every_call_is_edited_as_in_passes_written_out(names: str, count: int) -> None:
    torch.manual_seed(0)
    net = Guided()
    y = torch.rand(count, 3, 8, 8)

    def unet(y: Tensor, edited: bool) -> Tensor:
        enc = net.unet.encoder[0](y)
        mid = net.unet.middle(nn.functional.avg_pool2d(enc, 2))
        mid = torch.cat([0 * mid[:, :1], mid[:, 1:]], dim=1) if edited else mid
        return net.unet.decoder[0](torch.cat([net.unet.up[0](mid), enc], dim=1))

    with torch.no_grad():
        first, second = names[-1] in "0*", names[-1] in "1*"
        expected = 2 * unet(y, first) - unet(0.5 * y, second)
        with probekit.tap(net, names).ablate([0]):
            assert torch.equal(net(y), expected)
            assert torch.equal(net(y), expected)


def test_every_call_can_be_edited_and_not_read() -> None:
    with pytest.raises(TapError, match=r"'unet.middle@\*' means every call, which can be edited and not read.*@0"):
        probekit.tap(Guided(), "unet.middle@*")(torch.rand(1, 3, 8, 8), sigma=0.1)


def test_a_network_that_calls_itself_is_one_pass() -> None:
    class Averaging(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = conv()

        def forward(self, y: Tensor, flip: bool = True) -> Tensor:
            return (self(y, False) + self(y.flip(-1), False).flip(-1)) / 2 if flip else self.conv(y)

    net, y = Averaging(), torch.rand(1, 3, 8, 8)
    keep = torch.tensor([1.0, 0.0, 1.0]).view(1, 3, 1, 1)
    with torch.no_grad():
        plain, flipped = net.conv(y), net.conv(y.flip(-1)).flip(-1)
        for name, first, second in (("conv@0", keep, 1), ("conv@1", 1, keep), ("conv@*", keep, keep)):
            with probekit.tap(net, name).ablate([1]):
                torch.testing.assert_close(net(y), (plain * first + flipped * second) / 2)
        with pytest.raises(TapError, match="does not say which call of conv"), probekit.tap(net, "conv").ablate([1]):
            net(y)


def test_after_a_pass_that_was_cut_short_the_next_is_edited_as_ever(unet: UNet) -> None:
    y = torch.rand(1, 3, 8, 8)
    early, tap = probekit.tap(unet, "enc1"), probekit.tap(unet, "mid")
    with torch.no_grad(), tap.ablate([0]):
        early.features(y)
        with pytest.raises(RuntimeError):
            unet(torch.rand(1, 5, 8, 8))
        assert bool((unet.middle(torch.rand(1, 12, 2, 2))[:, 0] == 0).all())
        assert bool((tap.features(y)[:, 0] == 0).all())


def test_an_edit_of_a_module_that_works_in_place_reaches_what_the_network_goes_on_with() -> None:
    class InPlace(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.act, self.out = conv(), nn.ReLU(inplace=True), conv()

        def forward(self, y: Tensor) -> Tensor:
            h = self.conv(y)
            self.act(h)
            return self.out(h)

    net, y = InPlace(), torch.rand(1, 3, 8, 8)
    with torch.no_grad():
        expected = net.out(net.conv(y).relu() + 1)
        with probekit.tap(net, "act").edit(lambda a: a + 1):
            assert torch.equal(net(y), expected)
    with pytest.raises(TapError, match="act works in place"), probekit.tap(net, "act").ablate([0]):
        net(y)


def test_an_edit_is_of_the_thread_that_made_it(unet: UNet) -> None:
    from concurrent.futures import ThreadPoolExecutor

    y = torch.rand(1, 3, 8, 8)
    with torch.no_grad():
        plain = unet(y)
        with ThreadPoolExecutor(1) as pool, probekit.tap(unet, "mid").edit(lambda a: a + 1):
            assert not torch.equal(unet(y), plain)
            assert torch.equal(pool.submit(torch.no_grad()(unet), y).result(), plain)


# Which channels


@pytest.mark.parametrize(
    "make",
    [
        np.asarray,
        torch.tensor,
        list,
        tuple,
        lambda m: xr.DataArray(m, dims="channel"),
        lambda m: [np.bool_(v) for v in m],
    ],
)
@given(mask=st.lists(st.booleans(), min_size=8, max_size=8))
def test_a_mask_chooses_the_channels_at_which_it_is_true(
    small: UNet, make: Callable[..., Any], mask: list[bool]
) -> None:
    y = torch.rand(2, 3, 8, 8)
    tap = probekit.tap(small, "mid")
    with torch.no_grad():
        with tap.ablate(make(mask)):
            masked = tap.features(y)
        plain = tap.features(y)
    keep = ~torch.tensor(mask)
    assert torch.equal(masked, plain * keep)


@pytest.mark.parametrize(
    "channels",
    [3, np.int64(3), np.asarray(3), torch.tensor(3), [3], np.asarray([3]), (torch.tensor(3),), range(3, 4), iter([3])],
)
def test_whole_numbers_of_every_kind_choose_channels(small: UNet, channels: Any) -> None:
    y = torch.rand(1, 3, 8, 8)
    tap = probekit.tap(small, "mid")
    with torch.no_grad():
        expected = tap.features(y) * (torch.arange(8) != 3)
        with tap.ablate(channels):
            assert torch.equal(tap.features(y), expected)


@pytest.mark.parametrize(
    ("channels", "says"),
    [
        ([0.9], "channels=0.9: give a whole number"),
        (np.asarray([0.9, 1.0]), "channels=0.9"),
        (torch.tensor([1.0]), "channels=1.0"),
        ("12", "channels='12' is no channel of this tap: give whole numbers, names such as"),
        (["1"], "channels='1'"),
        (True, "channels=True: give whole numbers, or a boolean mask"),
        (np.bool_(True), "channels=.*True_?: give whole numbers"),
        ([1, True], "channels=True"),
        (None, "channels=None"),
        ({1: 2}, r"channels=\{1: 2\}"),
        ([[0, 1]], r"channels=\[0, 1\]"),
        (np.zeros((2, 2), int), "channels is a ndarray: give whole numbers, or a boolean mask"),
        ([2, 2], r"channels=\[2, 2\] names a channel twice"),
        (np.nan, "channels=nan"),
    ],
)
@pytest.mark.parametrize("how", ["ablate", "scale", "replace"])
def test_what_is_no_channel_is_refused(unet: UNet, how: str, channels: Any, says: str) -> None:
    tap = probekit.tap(unet, "mid")
    with pytest.raises(InputError, match=says):
        getattr(tap, how)(channels, *([] if how == "ablate" else [1.0]))


def test_a_mask_of_another_length_is_refused(small: UNet) -> None:
    edit = probekit.tap(small, "mid").ablate([True] * 5)
    with pytest.raises(TapError, match="mask of channels has 5 entries and the map has 8 channels"), edit:
        small(torch.rand(1, 3, 8, 8))


class Counting(nn.Module):
    """Its middle gives whole numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.levels, self.last = Levels(), conv()

    def forward(self, y: Tensor) -> Tensor:
        return self.last(self.levels(y).to(y.dtype))


class Levels(nn.Module):
    def forward(self, y: Tensor) -> Tensor:
        return (4 * y).round().long()


def test_values_that_the_maps_type_cannot_hold_are_refused() -> None:
    net, y = Counting(), torch.rand(1, 3, 8, 8)
    tap = probekit.tap(net, "levels")
    with torch.no_grad():
        whole = net.levels(y)
        for edit, by in ((tap.scale(0, 3), 3), (tap.scale(0, 2.0), 2), (tap.ablate(0), 0)):
            expected = net.last(torch.cat([by * whole[:, :1], whole[:, 1:]], dim=1).float())
            with edit:
                assert torch.equal(net(y), expected)
    for edit in (tap.scale(0, 0.3), tap.replace(0, 0.5), tap.replace(0, torch.full((1, 1, 1, 1), 1j))):
        with pytest.raises(TapError, match=r"does not fit a map of torch.int64"), edit:
            net(y)
    with (
        pytest.raises(TapError, match=r"complex64 does not fit a map of torch.float32"),
        probekit.tap(net, "last").replace(0, torch.full((1, 1, 1, 1), 1j)),
    ):
        net(y)


# Gradients


class Checkpointed(nn.Module):
    """Its middle is computed anew for gradients, or not."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.first, self.middle, self.last = conv(), nn.Sequential(conv(), nn.ReLU(), conv()), conv()
        self.how = how

    def forward(self, y: Tensor) -> Tensor:
        h = self.first(y)
        if self.how == "plain":
            h = self.middle(h)
        elif self.how == "own":
            h = Recomputed.apply(self.middle, h)
        else:
            h = checkpoint(self.middle, h, use_reentrant=self.how == "reentrant")
        return self.last(h)


class Recomputed(torch.autograd.Function):
    """Checkpointing as many repositories write it for themselves."""

    @staticmethod
    def forward(ctx: Any, module: nn.Module, h: Tensor) -> Tensor:
        ctx.module = module
        ctx.save_for_backward(h)
        return module(h)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        (h,) = ctx.saved_tensors
        with torch.enable_grad():
            h = h.detach().requires_grad_()
            return None, torch.autograd.grad(ctx.module(h), h, grad)[0]


@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad")
@pytest.mark.parametrize("how", ["reentrant", "saved", "own"])
@pytest.mark.parametrize("name", ["middle", "middle.0"])
def test_activation_checkpointing_is_refused_where_gradients_are_recorded_and_right_where_not(
    how: str, name: str
) -> None:
    torch.manual_seed(0)
    net, plain = Checkpointed(how), Checkpointed("plain")
    plain.load_state_dict(net.state_dict())
    y = torch.rand(2, 3, 8, 8)
    tap, same = probekit.tap(net, name, reduce="energy"), probekit.tap(plain, name, reduce="energy")
    with torch.no_grad(), tap.scale([0], 3.0), same.scale([0], 3.0):
        assert torch.equal(net(y), plain(y))
        assert torch.equal(tap.features(y), same.features(y))
    with (
        pytest.raises(TapError, match=f"'{name}' lies where the network records no gradients or computes"),
        tap.ablate([0]),
    ):
        net(y.clone().requires_grad_())
    with pytest.raises(TapError, match=r"checkpointing off, or make the pass under torch.no_grad"):
        tap.features(y.clone().requires_grad_())
    # Outside the recomputed part all is as ever.
    first, other = probekit.tap(net, "first"), probekit.tap(plain, "first")
    grads = []
    for model, edit in ((net, first), (plain, other)):
        given = y.clone().requires_grad_()
        with edit.scale([1], 2.0):
            model(given).square().sum().backward()
        grads.append(given.grad)
    torch.testing.assert_close(*grads)


def test_the_gradient_of_a_pass_made_before_the_block_is_that_of_the_pass() -> None:
    torch.manual_seed(0)
    net = Checkpointed("saved")
    y = torch.rand(1, 3, 8, 8, requires_grad=True)
    expected = torch.autograd.grad(net(y).sum(), y)[0]
    out = net(y)
    with probekit.tap(net, "middle.0").scale([0], 5.0):
        found = torch.autograd.grad(out.sum(), y)[0]
        with torch.no_grad():
            net(y)
    torch.testing.assert_close(found, expected)


class GradientStep(nn.Module):
    """x̂ = y − ∇g(y), of a potential whose network is checkpointed or not."""

    def __init__(self, how: str = "plain") -> None:
        super().__init__()
        self.potential = Checkpointed(how)

    def forward(self, y: Tensor) -> Tensor:
        with torch.enable_grad():
            y = y.detach().requires_grad_()
            return y - torch.autograd.grad(0.5 * self.potential(y).square().sum(), y)[0]


def test_a_network_that_differentiates_inside_is_tapped_and_edited() -> None:
    torch.manual_seed(0)
    net = GradientStep()
    x = torch.rand(2, 3, 8, 8)
    tap = probekit.tap(net, "potential.middle.0")
    with torch.no_grad():
        np.testing.assert_array_equal(
            tap.maps(x, sigma=0)[:, 0], net.potential.middle[0](net.potential.first(x)).detach().numpy()
        )
        plain = net(x)
        with tap.scale([0], 1.0):
            assert torch.equal(net(x), plain)
        with tap.scale([0], 2.0):
            assert not torch.equal(net(x), plain)
    assert tap(x, sigma=[0, 0.1], draws=2).phi.notnull().all()
    inside = ["first", "middle.0", "middle.1", "middle.2", "middle", "last"]
    assert probekit.taps(net, (3, 8, 8)).name.tolist() == [*(f"potential.{name}" for name in inside), "potential"]


def test_a_checkpointed_network_that_differentiates_inside_is_edited_rightly_or_refused() -> None:
    """Torch's kind is seen and refused; a function of one's own computes anew within the pass, and is edited there."""
    torch.manual_seed(0)
    y = torch.rand(1, 3, 8, 8)
    for how in ("saved", "own"):
        net, plain = GradientStep(how), GradientStep()
        plain.load_state_dict(net.state_dict())
        with torch.no_grad(), probekit.tap(plain, "potential.middle.0").scale([0], 3.0):
            expected = plain(y)
        edit = probekit.tap(net, "potential.middle.0").scale([0], 3.0)
        if how == "saved":
            with pytest.raises(TapError, match="computes activations anew"), torch.no_grad(), edit:
                net(y)
        else:
            with torch.no_grad(), edit:
                assert torch.equal(net(y), expected)


# Whose fault


@pytest.mark.parametrize("error", [RuntimeError, ValueError, KeyError])
@pytest.mark.parametrize("wrapped", [False, True])
def test_a_users_function_that_fails_is_named_and_not_the_images(
    unet: UNet, wrapped: bool, error: type[Exception]
) -> None:
    def fails(a: Tensor) -> Tensor:
        if a.shape[-2:] == (4, 4) and a.abs().sum() > 0:
            raise error("of its own")
        return a.mean((2, 3))

    denoiser = probekit.Denoiser(nn.Sequential(conv()) if wrapped else unet)
    name, size = ("0", 4) if wrapped else ("mid", 32)
    with pytest.raises(error, match=rf"of its own(?s:.*)raised by the reduction at '{name}'"):
        probekit.tap(denoiser, name, reduce=fails)(torch.rand(1, 3, size, size), sigma=0.1)
    edit = probekit.tap(denoiser, name).edit(fails)
    with pytest.raises(error, match=rf"of its own(?s:.*)raised by the edit at '{name}'"), edit:
        denoiser(torch.rand(1, 3, size, size), 0.1)


def test_a_reduction_that_changes_the_map_is_refused(unet: UNet) -> None:
    tap = probekit.tap(unet, "enc1", "mid", reduce=lambda a: a.mul_(2).mean((2, 3)))
    with pytest.raises(TapError, match="reduction at 'enc1' changed the map in place"):
        tap(torch.rand(1, 3, 8, 8), sigma=0.1)


def test_an_edit_keeps_the_maps_type(unet: UNet) -> None:
    edit = probekit.tap(unet, "mid").edit(lambda a: a.double())
    with pytest.raises(TapError, match=r"made torch.float64 of a map of torch.float32: keep its type"), edit:
        unet(torch.rand(1, 3, 8, 8))
