"""A widened network is the same function, and can become another one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import probekit
from probekit.denoising.denoiser import Denoiser
from probekit.errors import InputError
from probekit.models.dncnn import DnCNN
from probekit.models.unet import SigmaUNet, UNet
from probekit.models.widening import widened

CONVS: dict[str, Any] = {"encoder_convs": (1, 2), "middle_convs": 2, "decoder_convs": (3, 2)}
KINDS = ("layer", "instance", "batch")


def pictures(bands: int = 3) -> torch.Tensor:
    return torch.rand(2, bands, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def narrow(kind: str, norm: Any, bands: int = 3) -> Denoiser:
    """A network whose running statistics, gains and biases are not those it begins with."""
    if kind == "dncnn":
        model = DnCNN(4, 3, image_channels=bands, norm=norm)
    else:
        model = (UNet if kind == "unet" else SigmaUNet)((3, 4, 5), image_channels=bands, norm=norm, **CONVS)
    for values in (*model.parameters(), *model.buffers()):
        if values.ndim == 1:
            values.data.uniform_(0.5, 1.5)
    return Denoiser(model.double().eval(), sigma_to="sigma" if kind == "sigma-unet" else None, name="narrow")


@pytest.mark.parametrize("kind", ["unet", "sigma-unet", "dncnn"])
@given(
    norm=st.sampled_from(KINDS), factors=st.lists(st.integers(1, 3), min_size=3, max_size=3), seed=st.integers(0, 99)
)
def test_it_is_the_same_function_and_its_phi_the_same_repeated(
    kind: str, norm: str, factors: list[int], seed: int
) -> None:
    torch.manual_seed(seed)
    before = narrow(kind, norm, bands=1 + seed % 3)
    widths = [3] if kind == "dncnn" else [3, 4, 5]
    # Within a layer normalisation all channels are repeated as often, so that its deviation is the same.
    after = widened(before, [w * f for w, f in zip(widths, factors, strict=False)])
    y = pictures(1 + seed % 3)
    with torch.no_grad():
        # Some hundred float64 roundings of numbers of order 1.
        torch.testing.assert_close(after(y, 0.3), before(y, 0.3), rtol=1e-10, atol=1e-10)
        if kind != "dncnn":
            for place, factor in zip(("enc1", "enc2", "mid"), factors, strict=True):
                one, other = (probekit.tap(d, place).features(y, 0.3) for d in (before, after))
                torch.testing.assert_close(other, one.repeat_interleave(factor, 1), rtol=1e-10, atol=1e-10)
    assert (after.name, after.settings) == (before.name, before.settings)
    assert not after.training


@pytest.mark.parametrize("norm", KINDS)
def test_copies_learn_different_things(norm: str) -> None:
    torch.manual_seed(0)
    wide = widened(narrow("unet", norm), [6, 8, 10])
    optimiser = torch.optim.SGD(wide.parameters(), lr=0.01)
    (wide(pictures()) - 0.5).square().mean().backward()
    optimiser.step()
    for place in ("enc1", "enc2", "mid"):
        phi = probekit.tap(wide, place).features(pictures()).detach().numpy()
        one, other = phi[:, ::2], phi[:, 1::2]
        alive = np.abs(one).max(axis=0) > 0
        assert alive.any()
        assert (np.abs(one - other)[:, alive].max(axis=0) > 1e-9).all()


def test_weights_keep_the_variance_that_fan_in_asks_for() -> None:
    torch.manual_seed(0)
    before = Denoiser(UNet((32, 64), encoder_convs=(2,), decoder_convs=(3,)))
    after = widened(before, [64, 128])
    for name in ("middle.0.weight", "decoder.0.3.weight"):
        old, new = (d.model.state_dict()[name] for d in (before, after))
        # 2/fan-in of Kaiming's rule: five standard errors of the variance of the old weights, which it follows.
        assert float(new.var()) * new[0].numel() / 2 == pytest.approx(1, abs=5 * (2 / old.numel()) ** 0.5)


@pytest.mark.parametrize("channels", [[6, 8], [6, 8, 12], [2, 4, 5], [0, 4, 5], [6, 8, 10, 20]])
def test_numbers_that_are_no_multiples_are_refused(channels: list[int]) -> None:
    with pytest.raises(InputError, match=r"a network of \[3, 4, 5\] is widened"):
        widened(narrow("unet", "layer"), channels)


def test_the_narrow_network_is_left_as_it_was() -> None:
    before = narrow("unet", "batch")
    state = {key: value.clone() for key, value in before.state_dict().items()}
    widened(before, [6, 8, 10])
    assert all(torch.equal(value, state[key]) for key, value in before.state_dict().items())
