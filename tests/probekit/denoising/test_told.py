"""Networks of others that are told σ by a parameter of that name: what they are given, and what is said of them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import probekit
from probekit.capture.survey import network_of
from probekit.denoising.denoiser import Denoiser, as_denoiser, clean_range
from probekit.denoising.told import Told
from probekit.errors import InputError, ModelError, OutputError
from probekit.evaluation.psnr import psnr_curve
from probekit.images import load
from probekit.models.unet import SigmaUNet
from probekit.synthetic.patch_model import PatchModel


def images(count: int = 4, size: int = 16, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(count), dtype=dtype)


class Body(nn.Module):
    """A small UNet of planes in, planes out, moved by an embedding of one number an image."""

    def __init__(self, planes: int = 3, out: int = 3) -> None:
        super().__init__()
        self.encoder = nn.Conv2d(planes, 4, 3, padding=1)
        self.embed = nn.Linear(1, 4)
        self.middle = nn.Conv2d(4, 4, 3, padding=1)
        self.decoder = nn.Conv2d(8, out, 3, padding=1)

    def forward(self, x: Tensor, level: Tensor | None = None) -> Tensor:
        fine = self.encoder(x)
        if level is not None:
            fine = fine + self.embed(level[:, None])[:, :, None, None]
        coarse = self.middle(F.avg_pool2d(fine, 2))
        return self.decoder(torch.cat([fine, F.interpolate(coarse, scale_factor=2)], 1))


class EDM(nn.Module):
    """The preconditioning of Karras et al. 2022, written as their code is."""

    def __init__(self) -> None:
        super().__init__()
        self.sigma_data = 0.5
        self.model = Body()

    def forward(self, x: Tensor, sigma: Tensor, class_labels: Tensor | None = None, **model_kwargs: Any) -> Tensor:
        x = x.to(torch.float32)
        sigma = sigma.to(torch.float32).reshape(-1, 1, 1, 1)
        c_skip = self.sigma_data**2 / (sigma**2 + self.sigma_data**2)
        c_out = sigma * self.sigma_data / (sigma**2 + self.sigma_data**2).sqrt()
        c_in = 1 / (self.sigma_data**2 + sigma**2).sqrt()
        c_noise = sigma.log() / 4
        assert class_labels is None or class_labels.shape[0] == x.shape[0]
        return c_skip * x + c_out * self.model(c_in * x, c_noise.flatten(), **model_kwargs).to(torch.float32)


class Small(nn.Module):
    """As smalldiffusion calls its models."""

    def __init__(self) -> None:
        super().__init__()
        self.body = Body()

    def forward(self, x: Tensor, sigma: Tensor, cond: Tensor | None = None) -> Tensor:
        assert sigma.shape == (x.shape[0],), "sigma.shape == [] or [batches]!"
        level = sigma.log() / 2 if cond is None else sigma.log() / 2 + cond
        return x - sigma.view(-1, 1, 1, 1) * self.body(x, level)


class FFDNet(nn.Module):
    """Pixels regrouped, a map of the noise level beside them."""

    def __init__(self) -> None:
        super().__init__()
        self.model = nn.Sequential(nn.Conv2d(13, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 12, 3, padding=1))

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        h, w = x.shape[-2:]
        x = F.pixel_unshuffle(nn.ReplicationPad2d((0, w % 2, 0, h % 2))(x), 2)
        level = sigma.view(-1, 1, 1, 1).repeat(1, 1, x.shape[-2], x.shape[-1])
        return F.pixel_shuffle(self.model(torch.cat((x, level), 1)), 2)[..., :h, :w]


class DRUNet(nn.Module):
    """A plane of σ, as deepinv makes it of a number or a tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.body = Body(4)

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        plane = torch.ones(x.size(0), 1, x.size(2), x.size(3), device=x.device, dtype=x.dtype)
        return self.body(torch.cat((x, plane * sigma.view(x.size(0), 1, 1, 1)), 1))


class ByKeyword(Small):
    def forward(self, x: Tensor, *, sigma: Tensor, cond: Tensor | None = None) -> Tensor:
        return super().forward(x, sigma, cond)


class Later(Small):
    def forward(self, x: Tensor, cond: Tensor | None = None, sigma: Tensor | None = None) -> Tensor:
        return self.body(x) if sigma is None else super().forward(x, sigma, cond)


KINDS = [EDM, Small, FFDNet, DRUNet, ByKeyword, Later]


def made(kind: type[nn.Module]) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return kind().eval()


def by_hand(model: nn.Module, y: Tensor, levels: Tensor) -> Tensor:
    return model(y, sigma=levels)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sigma", [0.3, np.float32(0.3), torch.tensor(0.3), [0.1, 0.2, 0.3, 0.4]], ids=str)
def test_sigma_goes_in_as_one_number_an_image_however_it_is_given(kind: type[nn.Module], sigma: Any) -> None:
    model, y = made(kind), images()
    levels = torch.as_tensor(sigma, dtype=torch.float32).expand(4)
    assert torch.equal(as_denoiser(model)(y, sigma), by_hand(model, y, levels))


@pytest.mark.parametrize("kind", KINDS)
def test_such_a_network_is_tapped_measured_edited_and_judged_by_its_own_paths(kind: type[nn.Module]) -> None:
    model, y = made(kind), images()
    path = next(p for p, m in model.named_modules() if p.endswith(("middle", "model.2")) and isinstance(m, nn.Conv2d))
    tap = probekit.tap(model, path)
    assert repr(tap) == f"tap({kind.__name__}, {path!r}, reduce='mean')"
    assert network_of(tap.denoiser) is model
    assert path in set(probekit.taps(model, (3, 16, 16)).name)
    kept: list[Tensor] = []
    with model.get_submodule(path).register_forward_hook(lambda _m, _i, o: kept.append(o.mean((2, 3)))):
        by_hand(model, y, torch.full((4,), 0.25))
    np.testing.assert_allclose(tap(y, sigma=[0.0, 0.25], draws=1).phi.shape, (4, 2, kept[0].shape[1]))
    torch.testing.assert_close(tap.features(y, 0.25), kept[0])
    curve = psnr_curve(model, load(y), sigma=[0.1, 0.2])
    assert bool(np.isfinite(curve).all())
    with tap.ablate(0):
        assert not torch.equal(as_denoiser(model)(y, 0.25), by_hand_unedited(kind, y))


def by_hand_unedited(kind: type[nn.Module], y: Tensor) -> Tensor:
    return by_hand(made(kind), y, torch.full((len(y),), 0.25))


def test_the_middle_of_such_a_network_is_found() -> None:
    assert probekit.tap(made(EDM), "mid").paths == {"mid": "model.middle"}


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_sigma_is_of_the_images_type(dtype: torch.dtype) -> None:
    model, y = made(DRUNet).to(dtype), images(dtype=torch.float64).to(dtype)
    found = as_denoiser(model)(y, 0.3)
    assert found.dtype == dtype
    assert torch.equal(found, model(y, torch.full((4,), 0.3, dtype=dtype)))


def test_conditions_go_on_by_name_and_lacking_ones_are_named() -> None:
    y, levels = images(), torch.full((4,), 0.3)
    for kind in (Small, ByKeyword, Later):
        model = made(kind)
        cond = torch.tensor([0.0, 1.0, 2.0, 3.0])
        assert torch.equal(as_denoiser(model)(y, 0.3, cond=cond), model(y, sigma=levels, cond=cond))
        path = "body.middle"
        assert probekit.tap(model, path).features(y, 0.3, cond=cond).shape == (4, 4)
        with pytest.raises(InputError, match=r"forward\(x.* cannot be called with the image and σ and label"):
            as_denoiser(model)(y, 0.3, label=3)


def test_no_sigma_stays_none_where_there_is_a_default_and_is_asked_for_where_not() -> None:
    model, y = made(Later), images()
    assert torch.equal(as_denoiser(model)(y), model(y))
    with pytest.raises(InputError, match=r"Small is told the noise level: pass sigma, a number or a tensor \(N,\)"):
        as_denoiser(made(Small))(y)


@pytest.mark.parametrize("sigma", [True, "0.3", -0.1, math.nan, [0.1, 0.2], torch.ones(4, dtype=torch.bool), 1j])
def test_what_is_no_sigma_is_refused(sigma: Any) -> None:
    for denoiser in (as_denoiser(made(Small)), Denoiser(made(Small), sigma_to="sigma")):
        with pytest.raises(InputError, match="sigma"):
            denoiser(images(), sigma)


def test_a_denoiser_tells_by_keyword_where_the_network_takes_sigma_so() -> None:
    y = images()
    for kind in (ByKeyword, Later):
        model = made(kind)
        denoiser = Denoiser(model, sigma_to="sigma")
        assert torch.equal(denoiser(y, 0.3), by_hand(model, y, torch.full((4,), 0.3)))
        position, keyword = denoiser.arguments(y, torch.full((4,), 0.3))
        assert (len(position), list(keyword)) == (1, ["sigma"])
    with pytest.raises(ModelError, match=r"cannot be called with \(y\): .*'sigma'; .*sigma_to=\"sigma\""):
        Denoiser(made(ByKeyword))


@pytest.mark.parametrize("kind", [k for k in KINDS if k is not FFDNet])
@pytest.mark.parametrize("sigma", [torch.tensor([0.1, 0.2, 0.3]), [0.1, 0.2, 0.3], 0.1], ids=str)
def test_a_size_that_cannot_be_halved_is_explained_whatever_noise_levels_the_images_have(
    kind: type[nn.Module], sigma: Any
) -> None:
    model, y = made(kind), images(3, 8)[:, :, :7]
    for denoiser in (as_denoiser(model), Denoiser(model, sigma_to="sigma")):
        with pytest.raises(InputError, match=r"images of 7×8 .* multiples of 2"):
            denoiser(y, sigma)


class Number(nn.Module):
    """Takes σ as a number, and cannot take more."""

    def forward(self, y: Tensor, sigma: Any) -> Tensor:
        return y / (1 + math.exp(sigma))


class Annotated(Number):
    def forward(self, y: Tensor, sigma: float) -> Tensor:
        assert isinstance(sigma, float)
        return super().forward(y, sigma)


class Optional(Annotated):
    def forward(self, y: Tensor, sigma: float | None = None) -> Tensor:
        return y if sigma is None else super().forward(y, sigma)


class Broadcasting(nn.Module):
    def forward(self, y: Tensor, sigma: Any) -> Tensor:
        return y - sigma * y.mean()


def test_a_module_that_takes_a_number_says_so_or_is_told_to() -> None:
    y = images()
    for kind in (Annotated, Optional):
        assert torch.equal(as_denoiser(kind())(y, np.float32(0.5)), kind()(y, 0.5))
    for kind in (Number, Broadcasting):
        with pytest.raises(ModelError, match=r"tensor \(4,\), .* number only \(.*\): lay it out.*sigma: float"):
            as_denoiser(kind())(y, 0.3)


def test_modules_that_take_any_sigma_are_left_alone() -> None:
    sigma_unet = SigmaUNet((4, 8), encoder_convs=(1,), middle_convs=1, decoder_convs=(2,))
    for model in (sigma_unet, PatchModel([1.0], [[0.2, 0.05, 0, 0]])):
        assert as_denoiser(model) is model


def test_the_range_and_the_name_are_the_modules_own() -> None:
    model = made(Small)
    told = as_denoiser(model)
    assert isinstance(told, Told)
    assert (told.name, clean_range(told)) == ("Small", (0, 1))
    model.data_range, model.name = None, "mine"  # pyright: ignore
    assert (told.name, clean_range(told)) == ("mine", None)
    assert as_denoiser(told) is told


def test_gradients_flow_and_edits_of_the_module_show() -> None:
    model, y = made(EDM), images().requires_grad_()
    as_denoiser(model)(y, 0.3).sum().backward()
    assert y.grad is not None
    assert bool(y.grad.any())


class Twice(Small):
    """Returns a learned variance too."""

    def forward(self, x: Tensor, sigma: Tensor, cond: Tensor | None = None) -> Tensor:
        return super().forward(x, sigma, cond).repeat(1, 2, 1, 1)


CALLS: list[int] = []


class Blind(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = Body(3, 6)

    def forward(self, x: Tensor) -> Tensor:
        CALLS.append(1)
        return self.body(x)


def test_twice_the_planes_are_an_output_error_that_says_how_to_slice_and_nothing_else_is_tried() -> None:
    says = r"returned \(4, 6, 16, 16\) for an input of \(4, 3, 16, 16\).*returns output\[:, :3\]"
    for denoiser in (as_denoiser(made(Twice)), Denoiser(made(Twice), sigma_to="sigma"), Denoiser(made(Blind))):
        with pytest.raises(OutputError, match=says):
            denoiser(images(), 0.3)
    CALLS.clear()
    with pytest.raises(OutputError, match=r"returns output\[:, :3\]"):
        probekit.taps(made(Blind), (3, 30, 30))
    assert len(CALLS) == 1


def test_a_denoiser_that_would_never_tell_its_network_sigma_says_so() -> None:
    class Optional(Body):
        def forward(self, x: Tensor, sigma: Tensor | None = None) -> Tensor:
            return super().forward(x) * (1 if sigma is None else sigma.view(-1, 1, 1, 1))

    with pytest.warns(UserWarning, match=r"Optional.forward takes sigma and would never be told it: give sigma_to="):
        Denoiser(made(lambda: Optional(3, 3)))
    Denoiser(made(lambda: Optional(3, 3)), sigma_to="sigma")
