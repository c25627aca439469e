"""Networks of the diffusers library: the estimate and the taps equal calls of the same network written by hand."""

from __future__ import annotations

import warnings
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import probekit
from probekit import Denoiser
from probekit.errors import InputError, ModelError

with warnings.catch_warnings():
    # What importing it and what it imports says is not about this package.
    warnings.simplefilter("ignore")
    diffusers = pytest.importorskip("diffusers")
    from diffusers import DDIMScheduler, DDPMScheduler, UNet2DModel

PREDICTIONS = ["epsilon", "sample", "v_prediction"]


@pytest.fixture(scope="module")
def unet() -> Any:
    torch.manual_seed(0)
    return UNet2DModel(
        sample_size=16,
        in_channels=3,
        out_channels=3,
        block_out_channels=(8, 16),
        layers_per_block=1,
        norm_num_groups=4,
        attention_head_dim=4,
        down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D"),
    ).eval()


def scheduler(prediction: str) -> Any:
    return DDPMScheduler(num_train_timesteps=200, prediction_type=prediction, clip_sample=False)


def levels_of(schedule: Any) -> np.ndarray:
    """σ of every timestep in units of [0, 1] images: half of that in the network's frame of [−1, 1]."""
    share = schedule.alphas_cumprod.numpy().astype(float)
    return np.sqrt((1 - share) / share) / 2


def images(n: int = 2) -> Tensor:
    return torch.rand(n, 3, 16, 16, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("sigma", [0.02, 0.3, 2.0, [0.05, 1.1]])
@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_the_estimate_is_that_of_a_call_written_by_hand(unet: Any, prediction: str, sigma: Any) -> None:
    schedule, y = scheduler(prediction), images()
    s = 2 * torch.as_tensor(sigma).expand(2).view(2, 1, 1, 1)
    nearest = [int(np.abs(np.log(2 * levels_of(schedule)) - np.log(float(v))).argmin()) for v in s.flatten()]
    share = 1 / (1 + s**2)
    u = 2 * y - 1
    with torch.no_grad():
        output = unet(share.sqrt() * u, torch.tensor(nearest)).sample
        if prediction == "epsilon":
            x = u - s * output
        elif prediction == "sample":
            x = output
        else:
            x = share * u - share.sqrt() * s * output
        clean = Denoiser.from_diffusers(unet, schedule)(y, sigma)
    torch.testing.assert_close(clean, (x + 1) / 2, rtol=0, atol=1e-5)


@pytest.mark.parametrize("timestep", [0, 1, 57, 199])
@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_at_a_timesteps_own_level_the_estimate_is_the_schedulers(unet: Any, prediction: str, timestep: int) -> None:
    schedule, y = scheduler(prediction), images(1)
    x_t = schedule.alphas_cumprod[timestep].sqrt() * (2 * y - 1)
    denoiser = Denoiser.from_diffusers(unet, schedule)
    with torch.no_grad():
        clean = denoiser(y, float(levels_of(schedule)[timestep]))
        theirs = schedule.step(unet(x_t, timestep).sample, timestep, x_t).pred_original_sample
    # The scheduler divides by √ᾱ, which is about 0.37 at the last of these timesteps, in single precision.
    torch.testing.assert_close(clean, (theirs + 1) / 2, rtol=0, atol=1e-4)


def test_double_precision_agrees_with_the_scheduler_far_closer(unet: Any) -> None:
    schedule, y = scheduler("v_prediction"), images(1).double()
    schedule.alphas_cumprod = schedule.alphas_cumprod.double()
    unet.double()
    try:
        x_t = schedule.alphas_cumprod[120].sqrt() * (2 * y - 1)
        with torch.no_grad():
            clean = Denoiser.from_diffusers(unet, schedule)(y, float(levels_of(schedule)[120]))
            theirs = schedule.step(unet(x_t, 120).sample, 120, x_t).pred_original_sample
        torch.testing.assert_close(clean, (theirs + 1) / 2, rtol=0, atol=1e-12)
    finally:
        unet.float()


@pytest.mark.parametrize("name", ["mid_block", "mid"])
def test_taps_equal_a_prefix_written_by_hand(unet: Any, name: str) -> None:
    schedule, y, sigma = scheduler("epsilon"), images(), 0.4
    denoiser = Denoiser.from_diffusers(unet, schedule)
    timestep = int(np.abs(np.log(levels_of(schedule)) - np.log(sigma)).argmin())
    with torch.no_grad():
        embedding = unet.time_embedding(unet.time_proj(torch.full((2,), timestep)))
        h = unet.conv_in((2 * y - 1) / np.sqrt(1 + (2 * sigma) ** 2))
        for block in unet.down_blocks:
            h, _ = block(hidden_states=h, temb=embedding)
        expected = unet.mid_block(h, embedding)
        features = probekit.tap(denoiser, name).features(y, sigma)
    torch.testing.assert_close(features, expected.mean((2, 3)), rtol=1e-5, atol=1e-6)


def test_a_tap_by_path_into_a_tuple_equals_what_a_hook_sees(unet: Any) -> None:
    denoiser, y = Denoiser.from_diffusers(unet, scheduler("epsilon")), images()
    seen: list[Tensor] = []
    handle = unet.down_blocks[0].register_forward_hook(lambda _m, _i, output: seen.append(output[0]))
    with torch.no_grad():
        denoiser(y, 0.4)
        handle.remove()
        assert torch.equal(probekit.tap(denoiser, "down_blocks.0[0]").features(y, 0.4), seen[0].mean((2, 3)))


def test_the_table_lists_what_can_be_tapped(unet: Any) -> None:
    table = probekit.taps(Denoiser.from_diffusers(unet, scheduler("epsilon")), (3, 16, 16)).set_index("name")
    middle = table.loc["mid_block"]
    assert (middle.channels, middle.rows, middle.cols, middle.calls) == (16, 8, 8, 1)
    assert 0 < table.cost["conv_in"] < middle.cost < table.cost["conv_out"] <= 1
    assert "down_blocks.0[0]" in table.index


def test_a_representation_can_be_measured(unet: Any) -> None:
    tap = probekit.tap(Denoiser.from_diffusers(unet, scheduler("v_prediction"), name="mine"), "mid")
    data = tap(images().numpy(), sigma=[0.0, 0.2], draws=2)
    assert dict(data.phi.sizes) == {"image": 2, "sigma": 2, "channel": 16}
    assert data.attrs["denoiser"] == "mine"


def test_class_labels_are_passed_through() -> None:
    torch.manual_seed(0)
    unet = UNet2DModel(
        sample_size=8,
        block_out_channels=(4, 8),
        norm_num_groups=2,
        layers_per_block=1,
        num_class_embeds=3,
        down_block_types=("DownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D"),
    ).eval()
    denoiser = Denoiser.from_diffusers(unet, scheduler("sample"))
    y, labels = torch.rand(2, 3, 8, 8), torch.tensor([0, 2])
    s = 2 * 0.3
    timestep = int(np.abs(np.log(2 * levels_of(scheduler("sample"))) - np.log(s)).argmin())
    with torch.no_grad():
        expected = unet((2 * y - 1) / np.sqrt(1 + s**2), timestep, class_labels=labels).sample
        torch.testing.assert_close(denoiser(y, 0.3, class_labels=labels), (expected + 1) / 2, rtol=1e-5, atol=1e-6)
        features = probekit.tap(denoiser, "mid_block").features(y, 0.3, class_labels=labels)
        assert not torch.equal(
            features, probekit.tap(denoiser, "mid_block").features(y, 0.3, class_labels=labels.flip(0))
        )
    table = probekit.taps(denoiser, (3, 8, 8), class_labels=labels[:1])
    assert "mid_block" in set(table.name)


def test_timesteps_of_pure_noise_are_left_out_of_the_table(unet: Any) -> None:
    schedule = DDIMScheduler(num_train_timesteps=50, rescale_betas_zero_snr=True, prediction_type="v_prediction")
    share = schedule.alphas_cumprod
    share[-1] = 0
    told = []
    handle = unet.register_forward_pre_hook(lambda _m, args: told.append(args[1].tolist()))
    with torch.no_grad():
        Denoiser.from_diffusers(unet, schedule)(images(), 1e6)
    handle.remove()
    assert told == [[48, 48]]


def test_a_scheduler_that_says_too_little_is_refused(unet: Any) -> None:
    with pytest.raises(InputError, match=r"SimpleNamespace has no alphas_cumprod, .* such as DDPMScheduler"):
        Denoiser.from_diffusers(unet, SimpleNamespace(config={"prediction_type": "epsilon"}))
    share = torch.linspace(0.9, 0.1, 5)
    for config in ({"prediction_type": "flow"}, SimpleNamespace(prediction_type="flow")):
        with pytest.raises(InputError, match=r"prediction_type is 'flow': it must be 'epsilon' or 'sample' or"):
            Denoiser.from_diffusers(unet, SimpleNamespace(alphas_cumprod=share, config=config))
    with pytest.raises(InputError, match=r"prediction_type is None"):
        Denoiser.from_diffusers(unet, SimpleNamespace(alphas_cumprod=share))


def test_only_a_constructor_for_diffusers_looks_inside_the_networks_output(unet: Any) -> None:
    with pytest.raises(ModelError, match=r"UNet2DModel returned UNet2DOutput for an input of .*wrap it"):
        Denoiser(unet, sigma_to=[0.1, 1.0])(images(), 0.4)
    with pytest.raises(ModelError, match=r"UNet2DModel returned tuple for an input of"):
        Denoiser.from_diffusers(unet, scheduler("epsilon"))(images(), 0.4, return_dict=False)


def test_a_module_of_another_library_serves_as_well_if_it_behaves_so() -> None:
    class Similar(nn.Module):
        def forward(self, sample: Tensor, timestep: Tensor) -> Any:
            return SimpleNamespace(sample=timestep.view(-1, 1, 1, 1) + 0 * sample)

    schedule = SimpleNamespace(alphas_cumprod=[0.8, 0.5, 0.2], config={"prediction_type": "sample"})
    denoiser = Denoiser.from_diffusers(Similar(), schedule)
    # σ of the three timesteps: √((1 − ᾱ)/ᾱ)/2 = 0.25, 0.5, 1.
    clean = denoiser(torch.zeros(3, 1, 2, 2), [1.0, 0.25, 0.5])
    assert clean[:, 0, 0, 0].tolist() == [1.5, 0.5, 1.0]
