"""Other libraries work through `tap.features`: torch.func's transforms and captum's attributions."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import jacrev, jvp, vjp, vmap

import probekit
from probekit.models.unet import UNet

# torch's own forward-mode derivatives still script a decomposition.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")


@pytest.fixture
def model() -> UNet:
    torch.manual_seed(0)
    return UNet((4, 8), encoder_convs=(1,), middle_convs=1, decoder_convs=(2,)).double().eval()


def written_out(model: UNet, y: torch.Tensor) -> torch.Tensor:
    return model.middle(nn.functional.avg_pool2d(model.encoder[0](y), 2)).mean((2, 3))


@pytest.mark.parametrize("surveyed", [False, True])
def test_jvp_vjp_and_jacobians_equal_those_of_the_network_written_out(model: UNet, surveyed: bool) -> None:
    tap = probekit.tap(model, "mid")
    y, direction = torch.rand(2, 3, 8, 8, dtype=torch.float64), torch.rand(2, 3, 8, 8, dtype=torch.float64)
    if surveyed:
        tap.features(y)
    mine, theirs = (jvp(f, (y,), (direction,)) for f in (tap.features, lambda y: written_out(model, y)))
    torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=1e-14)
    (mine,), (theirs,) = (
        vjp(f, y)[1](torch.ones(2, 8, dtype=torch.float64)) for f in (tap.features, lambda y: written_out(model, y))
    )
    torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(
        jacrev(tap.features)(y), jacrev(lambda y: written_out(model, y))(y), rtol=1e-12, atol=1e-14
    )


def test_vmap_over_images_equals_the_batch(model: UNet) -> None:
    tap = probekit.tap(model, "mid")
    y = torch.rand(3, 3, 8, 8, dtype=torch.float64)
    torch.testing.assert_close(vmap(lambda one: tap.features(one[None])[0])(y), tap.features(y), rtol=1e-12, atol=1e-14)


def test_captum_attributes_a_channel_to_pixels_completely(model: UNet) -> None:
    captum = pytest.importorskip("captum.attr")
    tap = probekit.tap(model, "mid")
    y, baseline = torch.rand(2, 3, 8, 8, dtype=torch.float64), torch.full((2, 3, 8, 8), 0.5, dtype=torch.float64)
    attribution = captum.IntegratedGradients(tap.features).attribute(y, baseline, target=3, n_steps=200)
    assert attribution.shape == y.shape
    total = attribution.sum((1, 2, 3))
    with torch.no_grad():
        difference = (tap.features(y) - tap.features(baseline))[:, 3]
    # Completeness: attributions add up to the difference. A Riemann sum of 200 steps over a piecewise smooth path
    # is off by the order of 1/200 of the path's variation, which is about the difference itself.
    np.testing.assert_allclose(total.numpy(), difference.numpy(), atol=0.02 * float(difference.abs().max()) + 1e-6)
    occluded = captum.Occlusion(tap.features).attribute(y, (3, 4, 4), strides=(3, 4, 4), target=3, baselines=0.5)
    assert occluded.shape == y.shape
    assert bool(occluded.abs().max() > 0)
