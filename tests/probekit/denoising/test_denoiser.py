"""The denoiser contract: forward(y, sigma) gives the clean estimate, and what cannot be used is refused clearly."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import nullcontext
from copy import deepcopy
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.parameter import is_lazy

from analyses import generalisation, noise_level, sampling
from probekit.denoising.denoiser import Denoiser, as_denoiser, clean_range
from probekit.errors import InputError, ModelError
from probekit.evaluation.psnr import psnr_curve
from probekit.images import load
from probekit.models.unet import UNet


class Halving(nn.Module):
    """A foreign UNet: max-pooling `depth` times, nearest enlargement, concatenation; fails raw on other sizes."""

    def __init__(self, depth: int, *, bands: int = 3, norm: type[nn.Module] | None = None) -> None:
        super().__init__()
        self.depth = depth
        self.inner = nn.Conv2d(bands, 4, 3, padding=1)
        self.norm = nn.Identity() if norm is None else norm(4)
        self.outer = nn.Conv2d(8, bands, 3, padding=1)

    def forward(self, y: Tensor) -> Tensor:
        h = k = self.inner(y)
        for _ in range(self.depth):
            k = F.max_pool2d(k, 2)
        k = self.norm(k)
        for _ in range(self.depth):
            k = F.interpolate(k, scale_factor=2)
        return self.outer(torch.cat([k, h], 1))


class Told(nn.Module):
    """Returns y·gain + σ, image by image, so that both arguments can be read off."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(1.0))

    def forward(self, y: Tensor, level: Tensor) -> Tensor:
        return y * self.gain + level.view(-1, 1, 1, 1)


class Returning(nn.Module):
    """Returns whatever a function makes of the image."""

    def __init__(self, make: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.make = make

    def forward(self, y: Tensor) -> Any:
        return self.make(y)


def log_of(s: Tensor) -> Tensor:
    return s.log()


def images(n: int = 2, bands: int = 3, rows: int = 8, cols: int = 8, *, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.rand(n, bands, rows, cols, dtype=dtype, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("sigma", [None, 0, 0.3, torch.tensor([0.1, 0.2])])
def test_a_blind_network_is_called_with_the_image_alone(unet: UNet, sigma: Any) -> None:
    y = images()
    assert torch.equal(Denoiser(unet)(y, sigma), unet(y))


@given(st.floats(0, 100))
def test_a_network_told_sigma_gets_a_number_as_one_level_per_image(sigma: float) -> None:
    y = images(3)
    expected = y + torch.tensor(sigma, dtype=torch.float32)
    assert torch.equal(Denoiser(Told(), sigma_to="sigma")(y, sigma), expected)


@pytest.mark.parametrize("kind", [torch.tensor, np.array, list, tuple])
def test_a_network_told_sigma_gets_each_images_own_level(kind: Callable[[list[float]], Any]) -> None:
    y, levels = images(2), [0.25, 1.5]
    x = Denoiser(Told(), sigma_to="sigma")(y, kind(levels))
    assert torch.equal(x, y + torch.tensor(levels).view(2, 1, 1, 1))


@pytest.mark.parametrize("sigma", [0.5, np.float32(0.5), np.float64(0.5), torch.tensor(0.5), torch.tensor([0.5, 0.5])])
def test_every_way_of_writing_one_level_means_the_same(sigma: Any) -> None:
    y = images()
    assert torch.equal(Denoiser(Told(), sigma_to="sigma")(y, sigma), y + 0.5)


def test_sigma_is_given_in_the_images_own_floating_type() -> None:
    y = images(dtype=torch.float64)
    # 0.1 in float32 differs from 0.1 in float64 by 1.5e-9: an equality in float64 sees a detour through float32.
    expected = y + torch.tensor(0.1, dtype=torch.float64)
    for sigma in (0.1, [0.1, 0.1], np.array([0.1, 0.1])):
        assert torch.equal(Denoiser(Told().double(), sigma_to="sigma")(y, sigma), expected)


def test_a_network_told_sigma_must_be_given_one() -> None:
    with pytest.raises(InputError, match=r"Told is told the noise level: pass sigma, a number or a tensor \(N,\)"):
        Denoiser(Told(), sigma_to="sigma")(images())


@pytest.mark.parametrize("sigma_to", [None, "sigma"])
@pytest.mark.parametrize(
    ("sigma", "message"),
    [
        (-0.1, r"sigma=-0.1: .* finite number ≥ 0"),
        (float("nan"), r"sigma=nan: .* finite number ≥ 0"),
        (float("inf"), r"sigma=inf: .* finite number ≥ 0"),
        (torch.tensor([0.1, -0.1]), r"negative or not finite: .* ≥ 0"),
        (torch.tensor([0.1, torch.nan]), r"negative or not finite: .* ≥ 0"),
        (torch.tensor(-0.1), r"negative or not finite: .* ≥ 0"),
        ([0.1, 0.2, 0.3], r"shape \(3,\) for a batch of 2: give one number or one per image"),
        (torch.ones(2, 1), r"shape \(2, 1\) for a batch of 2: give one number or one per image"),
        (torch.ones(1), r"shape \(1,\) for a batch of 2: give one number or one per image"),
        ("0.1", r"sigma='0.1'.* number"),
        ([0.1, "x"], r"sigma=\[0.1, 'x'\].* number"),
    ],
)
def test_levels_that_are_no_standard_deviations_are_refused(sigma_to: Any, sigma: Any, message: str) -> None:
    denoiser = Denoiser(Told() if sigma_to else Halving(1), sigma_to=sigma_to)
    with pytest.raises(InputError, match=message):
        denoiser(images(), sigma)


@given(sigma=st.floats(0.01, 10), gain=st.floats(-2, 2))
def test_the_score_is_the_residual_over_the_variance(sigma: float, gain: float) -> None:
    model = Told().double()
    model.gain.data.fill_(gain)
    y = images(dtype=torch.float64)
    # D(y) = gain·y + σ, so the score is ((gain − 1) y + σ)/σ².
    expected = ((gain - 1) * y + sigma) / sigma**2
    # The subtraction D(y) − y cancels numbers of size |gain y| + σ: rounding below 4·2⁻⁵² of those over σ².
    tolerance = 4 * 2**-52 * (2 + sigma) / sigma**2
    torch.testing.assert_close(Denoiser(model, sigma_to="sigma").score(y, sigma), expected, rtol=1e-14, atol=tolerance)


def test_the_score_divides_each_image_by_its_own_variance() -> None:
    y = images(2)
    score = Denoiser(Returning(lambda y: y + 1)).score(y, torch.tensor([0.5, 2.0]))
    # x̂ − y = 1 up to the rounding of y + 1, which the division by σ² = 0.25 makes four times larger.
    torch.testing.assert_close(score, torch.tensor([4.0, 0.25]).view(2, 1, 1, 1).expand_as(y), rtol=0, atol=4 * 2**-22)


@pytest.mark.parametrize("sigma", [0, 0.0, None, torch.tensor([0.1, 0.0])])
def test_the_score_is_refused_where_it_is_not_defined(sigma: Any) -> None:
    with pytest.raises(InputError, match=r"the score needs sigma > 0 everywhere, not .*σ = 0"):
        Denoiser(Halving(1)).score(images(), sigma)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.zeros((2, 3, 8, 8), np.float32), r"y is a ndarray: give a float tensor \(N, C, H, W\)"),
        (torch.zeros(3, 8, 8), r"shape \(3, 8, 8\): give a batch \(N, C, H, W\); for one image write y\[None\]"),
        (torch.zeros(8, 8), r"shape \(8, 8\): give a batch \(N, C, H, W\)$"),
        (torch.zeros(1, 2, 3, 8, 8), r"shape \(1, 2, 3, 8, 8\): give a batch"),
        (torch.zeros(2, 3, 8, 8, dtype=torch.uint8), r"y is torch.uint8 and .* torch.float32: .*y.to\(torch.float32\)"),
        (torch.zeros(2, 3, 8, 8, dtype=torch.float64), r"y is torch.float64 and the network computes in torch.float32"),
        (torch.zeros(2, 3, 8, 8, dtype=torch.float16), r"y is torch.float16 and the network computes in torch.float32"),
    ],
)
def test_what_is_not_a_batch_of_the_networks_type_is_refused(y: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Denoiser(Halving(1))(y, 0.1)


def test_a_network_without_parameters_takes_any_floating_type() -> None:
    for dtype in (torch.float32, torch.float64):
        y = images(dtype=dtype)
        assert torch.equal(Denoiser(nn.Identity())(y, 0.1), y)
    with pytest.raises(InputError, match=r"y is torch\.int64"):
        Denoiser(nn.Identity())(torch.zeros(1, 3, 8, 8, dtype=torch.int64))


@pytest.mark.parametrize("bands", [1, 4])
def test_images_of_other_planes_than_the_networks_are_refused_with_both_numbers(unet: UNet, bands: int) -> None:
    for model in (Halving(1), unet):
        with pytest.raises(InputError, match=rf"takes images of 3 channels and was given {bands} .*convert"):
            Denoiser(model)(images(bands=bands), 0.1)


@given(depth=st.integers(1, 4), rows=st.integers(16, 40), cols=st.integers(16, 40))
def test_a_foreign_network_that_cannot_halve_a_size_is_given_a_multiple_and_sizes_that_work(
    depth: int, rows: int, cols: int
) -> None:
    model, multiple = Halving(depth), 2**depth
    y = torch.zeros(1, 3, rows, cols)
    if rows % multiple == 0 and cols % multiple == 0:
        assert Denoiser(model)(y, 0.1).shape == y.shape
        return
    with pytest.raises(InputError, match=rf"images of {rows}×{cols} .* multiples of {multiple};") as caught:
        Denoiser(model)(y, 0.1)
    assert isinstance(caught.value.__cause__, RuntimeError)
    a, b, c, d = map(int, re.search(r"crop to (\d+)×(\d+) or pad to (\d+)×(\d+)", str(caught.value)).groups())
    for size in ((a, b), (c, d)):
        assert model(torch.zeros(1, 3, *size)).shape[2:] == size


def test_a_size_error_is_clear_where_the_network_refuses_tiny_images_by_another_exception() -> None:
    # Instance normalisation raises ValueError on 1×1 maps, which 8×8 images become here.
    with pytest.raises(InputError, match=r"images of 7×7 .* multiples of 8"):
        Denoiser(Halving(3, norm=nn.InstanceNorm2d))(images(rows=7, cols=7), 0.1)


def test_a_size_error_does_not_break_on_a_network_that_returns_a_tuple() -> None:
    class Pair(Halving):
        def forward(self, y: Tensor) -> Any:
            return super().forward(y), y

    with pytest.raises((RuntimeError, InputError), match=r"Sizes of tensors must match|multiples of 2"):
        Denoiser(Pair(1))(images(rows=7, cols=7), 0.1)


def test_an_odd_size_is_not_blamed_on_the_channels_of_a_network_that_regroups_pixels_first() -> None:
    class Regrouped(nn.Module):
        """FFDNet's layout: 2×2 pixels become channels before the first convolution."""

        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(12, 12, 3, padding=1)

        def forward(self, y: Tensor) -> Tensor:
            return F.pixel_shuffle(self.conv(F.pixel_unshuffle(y, 2)), 2)

    denoiser = Denoiser(Regrouped())
    assert denoiser(images(), 0.1).shape == (2, 3, 8, 8)
    with pytest.raises(InputError, match=r"images of 7×8 .* multiples of 2"):
        denoiser(images(rows=7), 0.1)


def test_a_failure_that_another_size_would_not_cure_is_passed_on() -> None:
    class Broken(nn.Module):
        """Forgets that σ has one dim, so that it works for a batch of one or as wide as the image only."""

        def forward(self, y: Tensor, level: Tensor) -> Tensor:
            return y + level

    with pytest.raises(RuntimeError, match="must match the size of tensor") as caught:
        Denoiser(Broken(), sigma_to="sigma")(images(3), 0.1)
    assert not isinstance(caught.value, InputError)


def test_a_failure_on_a_size_that_every_multiple_divides_is_passed_on() -> None:
    def fail(_: Tensor) -> Tensor:
        raise RuntimeError("lost")

    with pytest.raises(RuntimeError, match=r"^lost$"):
        Denoiser(Returning(fail))(images(rows=64, cols=128), 0.1)


@pytest.mark.parametrize(
    ("make", "got"),
    [
        (lambda y: y[:, :, :-1], r"\(2, 3, 7, 8\)"),
        (lambda y: y[:1], r"\(1, 3, 8, 8\)"),
        (lambda y: y.mean((2, 3)), r"\(2, 3\)"),
        (lambda y: (y, y), "tuple"),
        (lambda y: {"sample": y}, "dict"),
        (lambda _: None, "NoneType"),
    ],
    ids=["rows", "batch", "rank", "tuple", "dict", "none"],
)
def test_a_network_that_returns_no_clean_image_is_a_model_error(make: Callable[[Tensor], Any], got: str) -> None:
    with pytest.raises(ModelError, match=rf"Returning returned {got} for an input of \(2, 3, 8, 8\): .* wrap"):
        Denoiser(Returning(make))(images(), 0.1)


class TakesTwo(nn.Module):
    def forward(self, y: Tensor, other: Tensor) -> Tensor:
        return y + other


class TakesKeyword(nn.Module):
    def forward(self, y: Tensor, *, t: Tensor) -> Tensor:
        return y + t


@pytest.mark.parametrize(
    ("model", "sigma_to", "call"),
    [(TakesTwo(), None, r"\(y\)"), (TakesKeyword(), "sigma", r"\(y, sigma\)"), (Halving(1), "sigma", r"\(y, sigma\)")],
    ids=["second argument", "keyword argument", "no second argument"],
)
def test_a_network_whose_forward_cannot_be_called_so_is_refused_at_once(
    model: nn.Module, sigma_to: Any, call: str
) -> None:
    with pytest.raises(ModelError, match=rf"{type(model).__name__}\.forward\(.*cannot be called with {call}: .*wrap"):
        Denoiser(model, sigma_to=sigma_to)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sigma_to": "noise"}, r"sigma_to='noise': give None .* or \"sigma\""),
        ({"sigma_to": 3}, r"sigma_to=3: give None .*\"log_sigma\", a function of σ, or a table"),
        ({"sigma_to": b"sigma"}, r"sigma_to=b'sigma': give None"),
        ({"sigma_to": ["a", "b"]}, r"sigma_to=\['a', 'b'\]: give None"),
        ({"sigma_to": {0.1: 0}}, r"sigma_to=\{0.1: 0\}: give None"),
        ({"sigma_to": []}, r"table of shape \(0,\).* at least two noise levels"),
        ({"sigma_to": [0.1]}, r"table of shape \(1,\).* at least two noise levels"),
        ({"sigma_to": np.ones((2, 3))}, r"table of shape \(2, 3\).* \(T,\), strictly rising or strictly falling"),
        ({"sigma_to": [0.1, 0.3, 0.2]}, r"not all in order: give .* strictly rising or strictly falling"),
        ({"sigma_to": torch.tensor([0.1, 0.1, 0.2])}, r"not all in order"),
        ({"sigma_to": [0.1, float("nan"), 0.2]}, r"not all in order"),
        ({"sigma_to": [0.0, 0.1]}, r"from 0 to 0.1, and they must be positive and finite: leave such ends out"),
        ({"sigma_to": (-0.1, 0.1)}, r"from -0.1 to 0.1, and they must be positive"),
        ({"sigma_to": [0.1, float("inf")]}, r"from 0.1 to inf, and they must be positive and finite"),
        ({"interpolate": True}, r"interpolate=True is for a table .* sigma_to=None is none: leave it out"),
        ({"interpolate": True, "sigma_to": "sigma"}, r"interpolate=True is for a table .* sigma_to='sigma'"),
        ({"interpolate": True, "sigma_to": torch.log}, r"interpolate=True is for a table"),
        ({"predicts": "score"}, r"predicts='score': give one of 'clean', 'noise', 'residual', 'v'"),
        ({"predicts": None}, r"predicts=None: give one of"),
        ({"scaling": "ve"}, r"scaling='ve': give None, 'vp', 'edm', or a function \(u, s\)"),
        ({"scaling": 2.0}, r"scaling=2.0: give None"),
        ({"scaling": "edm", "predicts": "noise"}, r"predicts='noise' with scaling=\"edm\": .* leave predicts at"),
        ({"scaling": "edm", "sigma_data": 0.0}, r"sigma_data=0.0: give .* a finite number > 0"),
        ({"sigma_data": float("inf")}, r"sigma_data=inf: give"),
        ({"sigma_data": "0.5"}, r"sigma_data='0.5': give"),
        ({"data_range": 255}, r"data_range=255: give \(lowest, highest\)"),
        ({"data_range": (0, float("inf"))}, r"data_range=\(0, inf\): give"),
        ({"data_range": ("0", "1")}, r"data_range=\('0', '1'\): give"),
        ({"data_range": (1, 0)}, r"data_range=\(1, 0\): give \(lowest, highest\)"),
        ({"data_range": (0, 0)}, r"data_range=\(0, 0\): give \(lowest, highest\)"),
        ({"data_range": (0, 1, 2)}, r"data_range=\(0, 1, 2\): give .* or None"),
    ],
)
def test_options_that_mean_nothing_are_refused(options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Denoiser(Halving(1), **options)


def test_what_is_not_a_module_is_a_model_error() -> None:
    with pytest.raises(ModelError, match=r"torch.nn.Module, not function: wrap it in a module"):
        Denoiser(images)


def test_results_call_a_denoiser_by_the_networks_class_or_the_name_given() -> None:
    assert Denoiser(Halving(1)).name == "Halving"
    assert Denoiser(Halving(1), name="mine").name == "mine"


@pytest.mark.parametrize("training", [True, False])
def test_wrapping_and_calling_leave_the_network_as_it_is(training: bool) -> None:
    model = Halving(1, norm=nn.BatchNorm2d).train(training)
    model.outer.requires_grad_(False)
    model.inner.eval()
    state = deepcopy(model.state_dict())
    modes = [m.training for m in model.modules()]
    gradients = [p.requires_grad for p in model.parameters()]
    identities = [id(p) for p in model.parameters()]
    denoiser = Denoiser(model)
    assert denoiser.network is model
    with torch.no_grad():
        expected = deepcopy(model)(images())
        with pytest.warns(UserWarning, match="training mode") if training else nullcontext():
            assert torch.equal(denoiser(images(), 0.1), expected)
    assert [m.training for m in model.modules()] == modes
    assert [p.requires_grad for p in model.parameters()] == gradients
    assert [id(p) for p in model.parameters()] == identities
    learned = {k for k, _ in model.named_parameters()} | (set() if training else set(state))
    assert all(torch.equal(model.state_dict()[k], state[k]) for k in learned)
    assert not any(m._forward_hooks or m._forward_pre_hooks or m._backward_hooks for m in model.modules())


def test_finding_a_size_that_works_leaves_running_statistics_as_they_were() -> None:
    class Refusing(nn.Module):
        """Refuses odd sizes before anything else, so that only a trial can reach the batch normalisation."""

        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.BatchNorm2d(3)

        def forward(self, y: Tensor) -> Tensor:
            return self.norm(F.pixel_shuffle(F.pixel_unshuffle(y, 2), 2))

    model = Refusing().train()
    state = deepcopy(model.state_dict())
    with (
        pytest.warns(UserWarning, match="training mode"),
        pytest.raises(InputError, match=r"images of 7×8 .* multiples of 2"),
    ):
        Denoiser(model)(images(rows=7), 0.1)
    assert model.training
    assert all(torch.equal(v, state[k]) for k, v in model.state_dict().items())


def test_a_denoiser_is_in_the_mode_of_its_network() -> None:
    assert Denoiser(Halving(1).train()).training
    assert not Denoiser(Halving(1).eval()).training


def test_gradients_flow_through_a_denoiser() -> None:
    y = images().requires_grad_()
    model = Halving(1)
    Denoiser(model)(y, 0.1).sum().backward()
    through = y.grad.clone()
    y.grad = None
    model(y).sum().backward()
    assert torch.equal(y.grad, through)
    assert bool(through.any())


@pytest.mark.parametrize("data_range", [(0, 1), (-1, 1), [0, 255], None])
def test_users_images_are_in_the_unit_range_unless_none_is_declared(data_range: Any) -> None:
    denoiser = Denoiser(nn.Identity(), data_range=data_range)
    assert denoiser.clean_range == clean_range(denoiser) == (None if data_range is None else (0, 1))


def test_a_module_that_keeps_the_contract_states_its_own_range() -> None:
    module = nn.Identity()
    assert clean_range(module) == (0, 1)
    module.data_range = (-1, 2)
    assert clean_range(module) == (-1, 2)
    module.data_range = None
    assert clean_range(module) is None


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"predicts": "noise"}, "predicts 'noise', which only σ makes a clean image of"),
        ({"predicts": "v"}, "predicts 'v', which only σ makes a clean image of"),
        ({"scaling": "vp"}, "has its input scaled by the noise level"),
        ({"scaling": "edm"}, "has its input scaled by the noise level"),
        ({"scaling": lambda u, s: u / s}, "has its input scaled by the noise level"),
    ],
)
def test_a_blind_network_that_needs_sigma_all_the_same_says_why(options: dict, why: str) -> None:
    with pytest.raises(InputError, match=rf"Halving {why}: pass sigma, a number or a tensor \(N,\)"):
        Denoiser(Halving(1), **options)(images())


@pytest.mark.parametrize("options", [{}, {"predicts": "residual"}, {"data_range": (-1, 1)}])
def test_a_blind_network_needs_no_sigma_where_its_estimate_follows_from_the_image(options: dict) -> None:
    denoiser = Denoiser(Halving(1), **options)
    assert torch.equal(denoiser(images()), denoiser(images(), 0.3))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("options", [{"predicts": "noise"}, {"predicts": "v", "scaling": "vp"}, {"scaling": "edm"}])
def test_the_estimate_and_the_score_are_of_the_images_own_type(options: dict, dtype: torch.dtype) -> None:
    y = images(dtype=torch.float64).to(dtype)
    for sigma_to in ("sigma", "log_sigma", lambda s: s.log() / 4):
        model = Told().to(dtype)
        denoiser = Denoiser(model, sigma_to=sigma_to, data_range=(-1, 1), **options)
        assert denoiser(y, 0.5).dtype == denoiser.score(y, 0.5).dtype == dtype


def test_what_a_scaling_makes_must_be_a_tensor() -> None:
    with pytest.raises(InputError, match=r"scaling made a tuple of the noisy images: it must return .* a tensor"):
        Denoiser(Halving(1), scaling=lambda u, s: (u, s))(images(), 0.1)


def test_a_scaling_may_add_planes_and_a_wrong_size_is_still_explained() -> None:
    class Planes(Halving):
        def __init__(self) -> None:
            super().__init__(2)
            self.inner = nn.Conv2d(4, 4, 3, padding=1)

    def with_plane(u: Tensor, s: Tensor) -> Tensor:
        return torch.cat([u, s.view(-1, 1, 1, 1).expand(-1, 1, *u.shape[2:])], 1)

    model, y = Planes(), images()
    denoiser = Denoiser(model, scaling=with_plane)
    expected = model(torch.cat([y, torch.full((2, 1, 8, 8), 0.25)], 1))
    assert torch.equal(denoiser(y, 0.25), expected)
    with pytest.raises(InputError, match=r"images of 10×8 .* multiples of 4"):
        denoiser(images(rows=10), [0.1, 0.2])


class Conditioned(nn.Module):
    """Adds its conditions, one number and one map an image, to the image."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Conv2d(3, 3, 1)

    def forward(self, y: Tensor, level: Tensor, gain: Tensor, *, maps: Tensor | float = 0.0) -> Tensor:
        if y.shape[-2] % 2:
            raise RuntimeError("odd rows")
        return self.inner(y) * gain.view(-1, 1, 1, 1) + maps + level.view(-1, 1, 1, 1)


def test_conditioning_inputs_reach_the_network_as_they_are() -> None:
    model, y, gain, maps = Conditioned(), images(3), torch.rand(3), torch.rand(3, 3, 8, 8)
    denoiser = Denoiser(model, sigma_to="sigma")
    expected = model(y, torch.full((3,), 0.5), gain, maps=maps)
    assert torch.equal(denoiser(y, 0.5, gain=gain, maps=maps), expected)
    assert torch.equal(denoiser.score(y, 0.5, gain=gain, maps=maps), (expected - y) / 0.25)


@pytest.mark.parametrize(
    ("conditions", "says"),
    [
        ({}, r"with the image and σ and nothing else: missing a required argument: 'gain'"),
        ({"gain": torch.ones(2), "label": 3}, r"with the image and σ and gain, label: got an unexpected .* 'label'"),
        ({"level": 3}, r"with the image and σ and level: multiple values for argument 'level'"),
    ],
)
def test_conditioning_inputs_that_are_missing_or_unknown_are_named(conditions: dict, says: str) -> None:
    with pytest.raises(InputError, match=rf"Conditioned\.forward\(.* cannot be called {says}; pass .* by the names"):
        Denoiser(Conditioned(), sigma_to="sigma")(images(), 0.5, **conditions)


def test_a_mistake_inside_a_conditioned_network_is_passed_on() -> None:
    with pytest.raises(TypeError, match="unsupported operand") as caught:
        Denoiser(Conditioned(), sigma_to="sigma")(images(), 0.5, gain=torch.ones(2), maps="many")
    assert not isinstance(caught.value, InputError)


def test_a_size_is_explained_for_a_conditioned_network_too() -> None:
    with pytest.raises(InputError, match=r"images of 7×8 .* multiples of 2"):
        Denoiser(Conditioned(), sigma_to="sigma")(images(5, rows=7), 0.5, gain=torch.ones(5))


def test_a_network_told_sigma_may_need_conditions_and_a_blind_one_may_need_those_it_takes_by_name_only() -> None:
    class ByName(nn.Module):
        def forward(self, y: Tensor, *, offset: float) -> Tensor:
            return y + offset

    assert torch.equal(Denoiser(ByName())(images(), None, offset=2.0), images() + 2.0)
    assert Denoiser(Conditioned(), sigma_to="sigma").model.forward is not None
    with pytest.raises(ModelError, match=r"cannot be called with \(y\): missing a required argument: 'level'"):
        Denoiser(Conditioned())


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"predicts": "v", "sigma_to": "log_sigma", "scaling": "vp", "data_range": (-1, 1)},
        {"scaling": "edm", "sigma_to": lambda s: s.log() / 4, "sigma_data": 0.3, "data_range": None},
        {"predicts": "noise", "sigma_to": [5.0, 1.0, 0.2], "interpolate": True},
    ],
)
def test_the_settings_of_a_denoiser_make_the_same_one_of_another_network(options: dict) -> None:
    model, y = Told(), images()
    denoiser = Denoiser(model, **({"sigma_to": "sigma"} | options))
    again = Denoiser(deepcopy(model), **denoiser.settings)
    assert torch.equal(denoiser(y, 0.7), again(y, 0.7))
    assert again.settings == denoiser.settings


def test_a_printed_denoiser_shows_its_settings() -> None:
    shown = repr(Denoiser(Told(), predicts="noise", sigma_to=[0.1, 1, 20], interpolate=True, data_range=(-1, 1)))
    assert "predicts='noise', sigma_to=<3 noise levels from 0.1 to 20, interpolated>, scaling=None" in shown
    assert "data_range=(-1, 1)" in shown
    assert "sigma_data=0.3" in repr(Denoiser(Halving(1), scaling="edm", sigma_data=0.3))
    # No address, which would differ from process to process.
    assert "sigma_to=<log_of>, scaling=None" in repr(Denoiser(Told(), sigma_to=log_of))
    assert "sigma_to=<Sequential>" in repr(Denoiser(Told(), sigma_to=nn.Sequential()))


def test_a_denoiser_can_be_copied_and_moved_to_another_type() -> None:
    denoiser = Denoiser(Told(), predicts="v", sigma_to=[0.1, 1, 20], scaling="vp", data_range=(-1, 1))
    copied = deepcopy(denoiser).double()
    y = images()
    torch.testing.assert_close(copied(y.double(), 0.4).float(), denoiser(y, 0.4), rtol=1e-5, atol=1e-6)


def test_a_module_that_keeps_the_contract_is_told_sigma_and_any_other_is_taken_as_blind() -> None:
    class Keeps(nn.Module):
        def forward(self, y: Tensor, sigma: Any) -> Tensor:
            return y * sigma

    class Keeping(Keeps):
        takes_any_sigma = True

    keeps, keeping, wrapped, blind = Keeps(), Keeping(), Denoiser(Halving(1)), Halving(1)
    told = as_denoiser(keeps)
    assert not isinstance(told, Denoiser)
    assert told.network is keeps
    assert as_denoiser(told) is told
    assert as_denoiser(keeping) is keeping
    assert as_denoiser(wrapped) is wrapped
    found = as_denoiser(blind)
    assert isinstance(found, Denoiser)
    assert (found.model, found.sigma_to) == (blind, None)
    with pytest.raises(ModelError, match=r"forward.* cannot be called with \(y\)"):
        as_denoiser(TakesTwo())


@pytest.mark.parametrize(
    "measure",
    [
        lambda net: psnr_curve(net, load(np.zeros((2, 1, 4, 4), np.float32)), sigma=[0.1]),
        lambda net: generalisation.analyse(net, np.zeros((12, 1, 4, 4)), np.zeros((12, 1, 4, 4)), share=0.2),
        lambda net: noise_level.analyse(net, np.zeros((12, 1, 4, 4)), sigma=[0.1]),
        lambda net: sampling.sample(net, (1, 4, 4), n_samples=1),
    ],
    ids=["psnr_curve", "generalisation", "noise_level", "sample"],
)
@pytest.mark.parametrize("wrapped", [False, True])
def test_a_network_without_weights_yet_is_refused_and_left_as_it_is(
    measure: Callable[[nn.Module], object], wrapped: bool
) -> None:
    net = nn.LazyConv2d(1, 1)
    with pytest.raises(ModelError, match=r"has lazy layers.*call it once on a batch of its images first"):
        measure(Denoiser(net) if wrapped else net)
    assert is_lazy(net.weight)
