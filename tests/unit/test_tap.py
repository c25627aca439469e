"""Bad input to taps, warnings, memory, edits that cannot be, and the labels of results."""

import numpy as np
import pytest
import torch
import xarray as xr
from torch import nn

import probekit
from probekit import memory
from probekit.errors import CapacityError, InputError, TapError
from probekit.models.unet import UNet


def pictures(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).random(shape or (2, 3, 8, 8), dtype=np.float32)


@pytest.mark.parametrize(
    ("images", "options", "says"),
    [
        (pictures(3, 8, 8), {}, r"shape \(3, 8, 8\): give \(N, C, H, W\); for one image write images\[None\]"),
        (pictures(2, 1, 8, 8), {}, "takes images of 3 channels and .* has 1"),
        (pictures(2, 8, 8, 3), {}, "takes images of 3 channels and .* has 8.*channels come first"),
        (pictures(2, 3, 10, 8), {}, "10×8 cannot be halved evenly.*multiples of 8; crop to 8×8 or pad to 16×8"),
        (pictures().astype(int), {}, "images are int64: give floats"),
        (np.full((1, 3, 8, 8), np.nan, np.float32), {}, "0 of ndarray.* NaN or infinite"),
        (pictures(), {"sigma": -0.1}, r"sigma holds \[-0.1\]"),
        (pictures(), {"sigma": []}, "sigma is empty"),
        (pictures(), {"sigma": [0.1, np.inf]}, r"sigma holds \[inf\]"),
        (pictures(), {"sigma": [0.1, 0.1]}, "names a noise level twice"),
        (pictures(), {"sigma": "loud"}, "sigma='loud'"),
        (pictures(), {"draws": 0}, "draws=0: give a whole number ≥ 1"),
        (pictures(), {"draws": 2.5}, "draws=2.5"),
        (pictures(), {"batch_size": 0}, "batch_size=0"),
        (pictures(), {"ids": ["a", "a"]}, "ids a of .* occur more than once"),
        (pictures(), {"ids": ["a"]}, "1 ids for 2 images"),
        (pictures(0, 3, 8, 8), {}, "there is nothing in them"),
        (3.0, {}, "cannot be read from a float"),
        ("nowhere", {}, "nowhere does not exist"),
    ],
)
def test_bad_input_gives_one_clear_error(unet: UNet, images, options: dict, says: str) -> None:
    with pytest.raises(InputError, match=says):
        probekit.tap(unet, "mid")(images, **{"sigma": [0.1], "draws": 1} | options)


def test_a_foreign_network_gets_the_same_clear_errors_as_the_packages_own() -> None:
    class Foreign(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.down, self.up = nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.ConvTranspose2d(4, 4, 2, stride=2)
            self.out = nn.Conv2d(7, 3, 1)

        def forward(self, y: torch.Tensor) -> torch.Tensor:
            return self.out(torch.cat([self.up(self.down(y)), y], dim=1))

    tap = probekit.tap(Foreign(), "down")
    with pytest.raises(InputError, match=r"multiples of 2; crop to 6×8 or pad to 8×8"):
        tap(pictures(1, 3, 7, 8), sigma=0.1)
    with pytest.raises(InputError, match=r"takes images of 3 channels and was given 5"):
        tap(pictures(1, 5, 8, 8), sigma=0.1)
    with pytest.raises(InputError, match=r"y has shape"):
        tap.features(torch.zeros(3, 8, 8))
    with pytest.raises(InputError, match=r"y is torch.float64 and the network computes in torch.float32"):
        tap.features(torch.zeros(1, 3, 8, 8, dtype=torch.float64))


def test_images_outside_the_denoisers_range_are_warned_of_unless_it_declares_none(unet: UNet) -> None:
    bright = 255 * pictures()
    with pytest.warns(UserWarning, match=r"reach from .* to 25\d.*was made for 0 to 1.*data_range=None"):
        probekit.tap(unet, "mid")(bright, sigma=0.1, draws=1)
    probekit.tap(probekit.Denoiser(unet, data_range=None), "mid")(bright, sigma=0.1, draws=1)
    probekit.tap(probekit.Denoiser(unet, data_range=(0, 255)), "mid")(bright, sigma=0.1, draws=1)


def test_work_that_cannot_fit_is_refused_before_it_begins(unet: UNet, monkeypatch: pytest.MonkeyPatch) -> None:
    tap = probekit.tap(unet, "mid")
    tap(pictures(), sigma=0.1, draws=1)
    monkeypatch.setattr(memory, "available_bytes", lambda *_: 1000)
    ran = []
    unet.register_forward_pre_hook(lambda *_: ran.append(1))
    with pytest.raises(CapacityError, match=r"needs about .* of memory \(results .*\) and 1000 B are free: give fewer"):
        tap(pictures(), sigma=0.1, draws=1)
    with pytest.raises(CapacityError, match="are free"):
        tap.maps(pictures(), sigma=0.1)
    assert ran == []


def test_a_single_sigma_keeps_its_dim_and_a_result_says_where_it_comes_from(unet: UNet) -> None:
    denoiser = probekit.Denoiser(unet, name="mine")
    images = xr.DataArray(pictures(), dims=("image", "band", "row", "col"), coords={"image": ["x", "y"]}, name="mine")
    data = probekit.tap(denoiser, "enc1", "mid")(images.assign_coords(label=("image", ["cat", "dog"])), sigma=0.1)
    assert data.phi.dims == ("image", "sigma", "channel")
    assert data.phi.dtype == np.float32
    assert data.image.values.tolist() == ["x", "y"]
    assert data.label.values.tolist() == ["cat", "dog"]
    assert data.channel.values.tolist() == list(range(20))
    assert data.unit.values.tolist() == [*range(4), *range(16)]
    assert data.attrs["taps"] == "enc1=encoder.0, mid=middle"
    assert data.attrs["denoiser"] == "mine"
    assert (data.attrs["draws"], data.attrs["seed"], data.attrs["reduce"]) == (10, 0, "mean")
    assert len(data.attrs["weights_sha256"]) == 64
    assert all(isinstance(v, str | int | float) for v in data.attrs.values())


def test_a_loaded_model_and_its_bare_network_are_the_same_to_a_tap() -> None:
    denoiser = probekit.load("photo32")
    x = pictures(2, 3, 32, 32)
    a, b = (probekit.tap(m, "mid")(x, sigma=0.2, draws=2) for m in (denoiser, denoiser.model))
    xr.testing.assert_equal(a, b)


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (lambda tap: tap.ablate(99), r"channels \[99\] do not exist here: the map has channels 0…15"),
        (lambda tap: tap.ablate([-1]), r"channels \[-1\] do not exist"),
        (lambda tap: tap.replace([0, 1], torch.zeros(3, 1, 1)), "does not fit 2 channels"),
        (lambda tap: tap.edit(lambda a: a[:, :2]), "made .* of a map .*: keep its shape"),
        (lambda tap: tap.edit(lambda _: None), "made NoneType of a map"),
    ],
)
def test_edits_that_cannot_be_say_so(unet: UNet, edit, says: str) -> None:
    with pytest.raises(TapError, match=says), edit(probekit.tap(unet, "mid")):
        unet(torch.zeros(1, 3, 8, 8))


def test_edits_and_maps_need_a_single_tap(unet: UNet) -> None:
    both = probekit.tap(unet, "enc1", "mid")
    with pytest.raises(TapError, match="one tap at a time, not at enc1, mid"):
        both.ablate(0)
    with pytest.raises(TapError, match="one tap at a time"):
        both.maps(pictures(), sigma=0.1)


@pytest.mark.parametrize("reduce", ["median", 3])
def test_an_unknown_reduction_names_the_known_ones(unet: UNet, reduce) -> None:
    with pytest.raises(InputError, match="give one of mean, max, std, energy, or a function"):
        probekit.tap(unet, "mid", reduce=reduce)


def test_a_reduction_that_returns_no_table_is_an_error(unet: UNet) -> None:
    with pytest.raises(TapError, match=r"the reduction made \(1, 16, 1\) of a map"):
        probekit.tap(unet, "mid", reduce=lambda a: a.mean(3))(pictures(), sigma=0.1)


def test_outputs_that_are_no_maps_need_a_reduction_of_their_own() -> None:
    class Tokens(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.mix = nn.Linear(3, 3)

        def forward(self, y: torch.Tensor) -> torch.Tensor:
            return self.mix(y.flatten(2).transpose(1, 2)).transpose(1, 2).reshape(y.shape)

    x = pictures()
    with pytest.raises(TapError, match=r"shape \(1, 64, 3\), which is no map"):
        probekit.tap(Tokens(), "mix")(x, sigma=0.1)
    with pytest.raises(TapError, match="which is no map"):
        probekit.tap(Tokens(), "mix").maps(x, sigma=0.1)
    data = probekit.tap(Tokens(), "mix", reduce=lambda a: a.mean(1))(x, sigma=0.1, draws=1)
    assert data.sizes["channel"] == 3


def test_the_progress_bar_shows_on_request_and_is_silent_otherwise(unet: UNet, capsys: pytest.CaptureFixture) -> None:
    tap = probekit.tap(unet, "mid")
    tap(pictures(), sigma=0.1, draws=1)
    assert capsys.readouterr().err == ""
    tap(pictures(), sigma=0.1, draws=1, progress=True)
    assert "img/s" in capsys.readouterr().err


@pytest.mark.gpu
def test_results_on_a_gpu_agree_with_those_on_the_cpu(unet: UNet) -> None:
    x = pictures()
    on_cpu = probekit.tap(unet, "enc1", "mid")(x, sigma=[0.0, 0.3], draws=3)
    on_gpu = probekit.tap(unet.cuda(), "enc1", "mid")(x, sigma=[0.0, 0.3], draws=3)
    # tf32 convolutions keep ten bits of each factor
    np.testing.assert_allclose(on_gpu.phi, on_cpu.phi, rtol=2e-2, atol=1e-3)
