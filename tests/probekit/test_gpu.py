"""A GPU changes no result: φ, maps, gradients, edits, samples and attributions agree with those of the CPU.

Everything runs in float64, where a GPU's convolutions keep all bits and sums differ only in their order, so that 1e-9
is far above rounding (some 1e4 additions of relative error 1e-16) and far below any mistake.
"""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from torch import nn

import probekit
from analyses import attribution, sampling
from probekit.models.unet import UNet
from probekit.synthetic.patch_model import PatchModel

pytestmark = pytest.mark.gpu
DEVICE = "cuda"
CLOSE = {"rtol": 1e-9, "atol": 1e-12}
# What the package stores is float32, and so is noise, whose logarithms and cosines each device rounds in its own way:
# a few 1e-7 of numbers of order 1.
STORED = {"rtol": 2e-5, "atol": 2e-6}


def pictures(n: int = 3) -> torch.Tensor:
    return torch.rand(n, 3, 16, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.fixture
def twins(unet: UNet) -> tuple[UNet, UNet]:
    """One network on the CPU and the same on the GPU."""
    here = unet.double()
    return here, copy.deepcopy(here).to(DEVICE)


def alike(of: Callable[[UNet], xr.Dataset | xr.DataArray], twins: tuple[UNet, UNet]) -> None:
    xr.testing.assert_allclose(*map(of, twins), **STORED)


def test_phi_its_errors_rest_and_draws(twins) -> None:
    alike(lambda net: probekit.tap(net, "enc1", "mid")(pictures(), sigma=[0, 0.3], draws=3, keep_draws=True), twins)


class Given(nn.Module):
    """Takes an image and a class beside the noisy image."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.classes = nn.Conv2d(6, 4, 3, padding=1), nn.Embedding(9, 4)
        self.last = nn.Conv2d(4, 3, 1)

    def forward(self, y: torch.Tensor, sigma: Any = None, *, given: torch.Tensor, kind: torch.Tensor) -> torch.Tensor:
        del sigma  # blind
        return self.last(self.conv(torch.cat([y, given], dim=1)) + self.classes(kind)[:, :, None, None])


def test_what_else_a_network_is_given_of_each_image() -> None:
    here = Given().double()
    given = {"given": pictures(7).flip(3).float(), "kind": np.arange(7, dtype=np.uint8)}
    options = {"draws": 3, "batch_size": 4, "conditions": given}
    alike(
        lambda net: probekit.tap(net, "last")(pictures(7), sigma=[0, 0.3], **options),
        (here, copy.deepcopy(here).to(DEVICE)),  # pyright: ignore[reportArgumentType]
    )


@pytest.mark.parametrize("reduce", ["mean", "relu_mean", "max", "std", "energy"])
def test_every_reduction(twins, reduce: str) -> None:
    alike(lambda net: probekit.tap(net, "mid", reduce=reduce)(pictures(), sigma=0.2, draws=2), twins)


def test_whole_maps(twins) -> None:
    alike(lambda net: probekit.tap(net, "enc2").maps(pictures(), sigma=0.1), twins)


def test_phi_streamed_into_a_store(twins, tmp_path) -> None:
    streamed = [
        probekit.tap(net, "mid")(pictures(8), sigma=[0.1, 0.3], draws=2, store=tmp_path / f"{i}.zarr", batch_size=3)
        for i, net in enumerate(twins)
    ]
    xr.testing.assert_allclose(streamed[0].load(), streamed[1].load(), **STORED)


def test_features_and_the_gradient_that_flows_through_them(twins) -> None:
    found = []
    for net in twins:
        y = pictures().to(next(net.parameters()).device).requires_grad_()
        features = probekit.tap(net, "mid").features(y)
        features.square().sum().backward()
        found.append((features.detach().cpu(), y.grad.cpu()))  # pyright: ignore[reportOptionalMemberAccess]
    for cpu, gpu in zip(*found, strict=True):
        torch.testing.assert_close(gpu, cpu, **CLOSE)


def test_edits(twins) -> None:
    found = []
    for net in twins:
        y = pictures().to(next(net.parameters()).device)
        with probekit.tap(net, "mid").scale([1, 4], 0.3), torch.no_grad():
            found.append(net(y).cpu())
    torch.testing.assert_close(found[1], found[0], **CLOSE)


@pytest.mark.parametrize("method", ["langevin", "algorithm1", "unconditional", "particles"])
def test_samples_of_the_same_seeds(method: str) -> None:
    made = []
    options: dict[str, Any] = {"particles": 8} if method == "particles" else {}
    for device in ("cpu", DEVICE):
        model = PatchModel([1.0], [[0.2, 0.05, 0, 0]], pool=[[0, 1], [2, 3]]).double().to(device)
        images = PatchModel([1.0], [[0.2, 0.05, 0, 0]]).double().draw(2, rows=8, cols=8, seed=0).images
        made.append(
            sampling.reconstruct(
                model,
                probekit.tap(model, "mid"),
                images,
                n_samples=3,
                sigmas=np.geomspace(1, 0.03, 6),
                method=method,
                seed=1,
                **options,
            )
        )
    # A walk of some hundred steps, each of which amplifies rounding no more than tenfold at the curved places.
    np.testing.assert_allclose(made[1].samples, made[0].samples, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(made[1].match, made[0].match, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("method", ["integrated_gradients", "occlusion"])
def test_attributions(twins, method: str) -> None:
    def attributed(net: UNet) -> xr.Dataset:
        tap = probekit.tap(net, "mid")
        return attribution.attribute(net, tap, pictures(2), channels=[0, 3], sigma=0.2, method=method, n_steps=20)

    alike(attributed, twins)


def test_effects_of_silenced_channels(twins) -> None:
    def caused(net: UNet) -> xr.Dataset:
        return attribution.effects(net, probekit.tap(net, "mid"), pictures(), groups={"a": [0, 1]}, sigma=[0.2])

    alike(caused, twins)
