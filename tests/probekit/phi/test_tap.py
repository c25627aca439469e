"""Bad input to taps, warnings, memory, edits that cannot be, and the labels of results."""

import numpy as np
import pytest
import torch
import xarray as xr
from torch import nn

import probekit
from probekit.capture.names import resolve
from probekit.capture.observer import Observer
from probekit.errors import CapacityError, InputError, TapError
from probekit.machine import memory
from probekit.models.unet import UNet
from probekit.phi import measure
from probekit.phi.measure import batch_size_for, busy_batch


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
        (pictures(), {"draws": 0}, "draws=0: give a whole number from 1"),
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
    with pytest.warns(UserWarning, match=r"reach from .* to 25\d.*clean images for UNet are 0 to 1: .*data_range=None"):
        probekit.tap(unet, "mid")(bright, sigma=0.1, draws=1)
    probekit.tap(probekit.Denoiser(unet, data_range=None), "mid")(bright, sigma=0.1, draws=1)


def test_images_are_in_the_unit_range_whatever_range_the_network_was_made_for(unet: UNet) -> None:
    tap = probekit.tap(probekit.Denoiser(unet, data_range=(0, 255)), "mid")
    with pytest.warns(UserWarning, match=r"clean images for UNet are 0 to 1"):
        tap(255 * pictures(), sigma=0.1, draws=1)
    given = tap(pictures(), sigma=0.1, draws=1)
    seen = probekit.tap(probekit.Denoiser(unet, data_range=None), "mid")(255 * pictures(), sigma=25.5, draws=1)
    # float32 rounding, through the network, of y times 255 instead of the sum of x times 255 and z times 25.5
    np.testing.assert_allclose(given.phi.values[0], seen.phi.values[0], rtol=1e-4)


def test_a_module_that_keeps_the_contract_says_itself_what_its_range_is(unet: UNet) -> None:
    class Keeps(nn.Module):
        data_range = (0, 255)

        def __init__(self) -> None:
            super().__init__()
            self.inner = unet

        def forward(self, y: torch.Tensor, sigma: float | None = None) -> torch.Tensor:  # noqa: ARG002
            return self.inner(y)

    tap = probekit.tap(Keeps(), "inner.middle")
    data = tap(255 * pictures(), sigma=0.0)
    grey = tap.maps(np.full((1, 3, 8, 8), 127.5, np.float32), sigma=0.0).mean(("row", "col"))
    np.testing.assert_allclose(data.rest, grey.isel(image=0), rtol=1e-5)


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


class Conditioned(nn.Module):
    """Two convolutions with a map for each image added between them; odd rows are refused on request."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 1, 3, padding=1)

    def forward(self, y: torch.Tensor, maps: torch.Tensor | None = None, even: bool = False) -> torch.Tensor:
        if even:
            y = nn.functional.pixel_shuffle(nn.functional.pixel_unshuffle(y, 2), 2)
        return self.second(self.first(y) + (0 if maps is None else maps))


def test_features_pass_conditioning_inputs_through_for_every_batch_size() -> None:
    torch.manual_seed(0)
    net = Conditioned()
    tap = probekit.tap(net, "second")
    for count in (3, 2, 5):
        y, maps = torch.rand(count, 1, 14, 9), torch.rand(count, 4, 14, 9)
        with torch.no_grad():
            expected = net(y, maps).mean((2, 3))
            assert torch.equal(tap.features(y, 0.2, maps=maps), expected)
            assert not torch.equal(tap.features(y, 0.2), expected)
    table = probekit.taps(net, (1, 14, 9), maps=torch.rand(1, 4, 14, 9)).set_index("name")
    assert (table.rows["second"], table.cols["second"]) == (14, 9)


def test_features_take_one_level_for_each_image_as_a_list_too() -> None:
    class Told(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Conv2d(1, 2, 1)

        def forward(self, y: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
            return self.inner(y * torch.as_tensor(sigma).view(-1, 1, 1, 1)).mean(1, keepdim=True)

    tap, y = probekit.tap(probekit.Denoiser(Told(), sigma_to="sigma"), "inner"), torch.rand(3, 1, 4, 4)
    levels = [0.1, 0.2, 0.3]
    assert torch.equal(tap.features(y, levels), tap.features(y, torch.tensor(levels)))


@pytest.mark.parametrize("settings", [{"data_range": (-1, 1)}, {"data_range": None}])
def test_a_store_begun_with_other_settings_of_the_denoiser_is_not_gone_on_with(unet: UNet, tmp_path, settings) -> None:
    path = tmp_path / "phi.zarr"
    probekit.tap(unet, "mid")(pictures(), sigma=0.1, draws=1, store=path)
    with pytest.raises(InputError, match=r"denoiser_settings \(.*data_range=\(0, 1\).* there, .* now\)"):
        probekit.tap(probekit.Denoiser(unet, **settings), "mid")(pictures(), sigma=0.1, draws=1, store=path)


def test_a_pass_that_fails_once_observed_gives_an_error_and_never_the_features_of_a_trial() -> None:
    tap, y = probekit.tap(Conditioned(), "first"), torch.rand(3, 1, 7, 8)
    assert tap.features(y, even=False).shape == (3, 4)
    with pytest.raises((RuntimeError, InputError), match=r"pixel_unshuffle|multiples of 2"):
        tap.features(y, even=True)


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
    with pytest.raises(
        InputError, match=r"give one of mean, relu_mean, max, std, energy, mean_inside, .*, or a function"
    ):
        probekit.tap(unet, "mid", reduce=reduce)


def test_a_reduction_that_returns_no_table_is_an_error(unet: UNet) -> None:
    with pytest.raises(TapError, match=r"the reduction made \(1, 16, 1\) of a map"):
        probekit.tap(unet, "mid", reduce=lambda a: a.mean(3))(pictures(), sigma=0.1)


@pytest.mark.parametrize("reduce", [lambda a: a[:, :, 0, 0], lambda a: a[:, :, 0, 0].clone()])
def test_a_reduction_that_returns_a_view_is_not_changed_by_what_follows_in_place(reduce) -> None:
    class InPlace(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Conv2d(3, 3, 1), nn.Identity()

        def forward(self, y: torch.Tensor) -> torch.Tensor:
            return self.last(self.first(y).mul_(0))

    model = InPlace()
    with torch.no_grad():
        expected = model.first(torch.full((1, 3, 8, 8), 0.5))[0, :, 0, 0]
    data = probekit.tap(model, "first", "last", reduce=reduce)(np.full((1, 3, 8, 8), 0.5, np.float32), sigma=0, draws=1)
    np.testing.assert_allclose(data.phi.values.ravel(), [*expected.tolist(), 0, 0, 0], rtol=1e-6)


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


@pytest.mark.parametrize(("device", "batch"), [("cpu", 16), ("meta", 512)])
def test_batches_are_as_large_as_keeps_the_device_busy(device: str, batch: int) -> None:
    # A device without memory of its own stands for one that is no CPU: 2²⁷ elements of 64 maps of 64×64.
    model = probekit.Denoiser(UNet((64, 128, 256, 512)).to(device))
    reached = Observer(model, resolve(model, ["mid"])).reach((3, 64, 64))
    assert reached.largest == 64 * 64 * 64
    assert busy_batch(reached.largest, torch.device(device)) == batch


def test_a_batch_takes_at_most_half_of_the_memory_that_is_free(unet: UNet, monkeypatch: pytest.MonkeyPatch) -> None:
    denoiser = probekit.Denoiser(unet)
    observer = Observer(denoiser, resolve(denoiser, ["mid"]))
    reached = observer.reach((3, 8, 8))
    monkeypatch.setattr(measure, "available_bytes", lambda _: 7 * observer.image_bytes(reached))
    assert batch_size_for(observer, reached, 10_000) == 3
    assert batch_size_for(observer, reached, 2) == 2
    assert batch_size_for(observer, reached, 2, given=5) == 5
