"""Conditions of sampling: images, φ as it is and edited, and what of it is matched."""

from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from torch import Tensor, nn

import probekit
from analyses import sampling
from probekit.errors import InputError
from probekit.models.unet import UNet
from probekit.synthetic.patch_model import PatchModel
from tests.analyses.sampling.making import LEVELS, SHAPE, drawn, made, measured, patches


@pytest.fixture
def model() -> PatchModel:
    return patches()


@pytest.fixture
def images(model: PatchModel) -> xr.DataArray:
    return drawn(model)


@pytest.fixture
def phi(model: PatchModel, images: xr.DataArray) -> xr.Dataset:
    return measured(model, images)


def energies(model: PatchModel, samples: xr.Dataset) -> np.ndarray:
    flat = samples.samples.values.reshape(-1, *samples.samples.shape[2:])
    return model.phi(torch.from_numpy(flat), 0.0).numpy().reshape(*samples.samples.shape[:2], -1)


def test_a_phi_condition_gives_what_its_images_give(model: PatchModel, images: xr.DataArray) -> None:
    data = probekit.tap(model, "mid")(images, sigma=LEVELS)
    found = made(model, data, shape=(1, 8, 8))
    np.testing.assert_array_equal(found.samples, made(model, images).samples)
    assert "condition" not in found
    # Levels may come in any order, with others among them; one level serves for all.
    more = probekit.tap(model, "mid")(images, sigma=[0.03, 0.1, 0.2, 0.3, 1.0])
    np.testing.assert_allclose(made(model, more, shape=(1, 8, 8)).samples, found.samples, atol=1e-6)
    assert made(model, data.isel(sigma=[2]), shape=(1, 8, 8)).samples.shape == found.samples.shape


def test_phi_of_another_denoiser_or_tap_is_refused(model: PatchModel, images: xr.DataArray, unet: UNet) -> None:
    data = probekit.tap(model, "mid")(images, sigma=LEVELS)
    other = PatchModel([1.0], [[0.3, 0.05, 0.01, 0]]).double()
    with pytest.raises(InputError, match=r"another denoiser or tap .weights_sha256"):
        made(other, data, shape=(1, 8, 8))
    with pytest.raises(InputError, match=r"another denoiser or tap .taps: 'mid=square', not 'analysis=analysis'"):
        made(model, data, tap="analysis", shape=(1, 8, 8))
    with pytest.raises(InputError, match="keep its attrs"):
        made(model, data.drop_attrs(), shape=(1, 8, 8))
    with pytest.raises(InputError, match="the tap looks into another network"):
        sampling.reconstruct(unet, probekit.tap(model, "mid"), images)


def test_conditions_that_do_not_fit_are_refused(model: PatchModel, images: xr.DataArray) -> None:
    data = probekit.tap(model, "mid")(images, sigma=LEVELS)
    with pytest.raises(InputError, match="cannot be cut into 2×2 patches"):
        made(model, images.isel(row=slice(7)))
    with pytest.raises(InputError, match=r"network takes images of 1 channels and .* has 3"):
        made(model, np.zeros((1, 3, 8, 8), np.float32))
    with pytest.raises(InputError, match=r"give sampling.Condition.from_phi\(tap, phi, sigmas, shape="):
        sampling.reconstruct(model, probekit.tap(model, "mid"), data)
    with pytest.raises(InputError, match=r"not at 1 levels of the schedule, 0.05"):
        made(model, data, shape=(1, 8, 8), sigmas=[1, 0.3, 0.05])
    with pytest.raises(InputError, match="DataArray of φ"):
        made(model, data.phi)
    with pytest.raises(InputError, match="repeated ids"):
        made(model, data.isel(image=[0, 0]), shape=(1, 8, 8))


def test_conditions_are_not_changed(model: PatchModel, images: xr.DataArray) -> None:
    data = probekit.tap(model, "mid")(images, sigma=LEVELS)
    kept, copied = data.copy(deep=True), images.copy(deep=True)
    made(model, data, shape=(1, 8, 8), match=sampling.Match(top=2))
    made(model, images)
    xr.testing.assert_identical(data, kept)
    xr.testing.assert_identical(images, copied)


def test_only_chosen_channels_are_matched(model: PatchModel, images: xr.DataArray) -> None:
    doubled = xr.DataArray(images.values * 2, dims=images.dims)
    held = energies(model, made(model, doubled, match=sampling.Match(channels=[0]), n_samples=20))
    wanted = model.phi(torch.from_numpy(doubled.values), 0.0).numpy()
    # One standard deviation of a draw's features at the last level is 2σ/√(Pē) of ē, 7 % or less of energies over 0.2.
    assert np.abs(held[..., 0] / wanted[:, None, 0] - 1).max() < 0.25
    # The other channels are free, and follow the prior: λ = 0.05 with 16 positions, not 4 times that.
    assert np.abs(held[..., 1].mean() - 0.05) < 4 * 0.05 * np.sqrt(2 / 16 / 60) + 0.005
    mask = [True, False, False, False]
    for match in (sampling.Match(top=1), sampling.Match(weights=[1, 0, 0, 0]), sampling.Match(channels=mask)):
        np.testing.assert_array_equal(energies(model, made(model, doubled, n_samples=20, match=match)), held)


def test_within_a_basis_only_its_span_is_matched(model: PatchModel, images: xr.DataArray) -> None:
    found = energies(model, made(model, images, match=sampling.Match(basis=[[1, 1, 0, 0]]), n_samples=10))
    wanted = model.phi(torch.from_numpy(images.values), 0.0).numpy()
    total, aim = found[..., :2].sum(axis=2), wanted[:, None, :2].sum(axis=2)
    assert np.abs(total / aim - 1).max() < 0.25
    assert (found[..., 0].std(axis=1) > 0.001).all()


def test_centroids_interpolations_and_projections_of_phi(model: PatchModel, images: xr.DataArray) -> None:
    data = probekit.tap(model, "mid")(images, sigma=LEVELS)
    mean = sampling.centroid(data)
    np.testing.assert_allclose(mean.phi.values[0], data.phi.values.mean(axis=0), rtol=1e-6)
    mixed = sampling.interpolate(data.isel(image=[0]), data.isel(image=[1]), [0, 0.25, 1])
    np.testing.assert_allclose(mixed.phi.values[1], 0.75 * data.phi.values[0] + 0.25 * data.phi.values[1], rtol=1e-6)
    centre = np.array([0.1, 0, 0, 0])
    flat = sampling.project(data, [[1, 1, 0, 0]], centre=centre)
    along = np.array([1, 1, 0, 0]) / np.sqrt(2)
    np.testing.assert_allclose(
        flat.phi.values, centre + ((data.phi.values - centre) @ along)[..., None] * along, atol=1e-6
    )
    for edited in (mean, mixed, flat):
        assert made(model, edited, shape=(1, 8, 8)).sizes["image"] == edited.sizes["image"]
    with pytest.raises(InputError, match="give one on each side"):
        sampling.interpolate(data, data, [0.5])
    with pytest.raises(InputError, match="other denoisers, taps, draws or noise levels"):
        sampling.interpolate(data.isel(image=[0]), data.isel(image=[1], sigma=[0]), [0.5])


class Idle(nn.Module):
    """A denoiser of unit-variance images, with a block of one energy, a constant, and a dead channel."""

    image_channels = 1
    data_range = None

    def __init__(self) -> None:
        super().__init__()
        self.block = Summed()

    def forward(self, y: Tensor, sigma: Any = None) -> Tensor:
        self.block(y)
        return y / (1 + torch.as_tensor(sigma).view(-1, 1, 1, 1) ** 2)


class Summed(nn.Module):
    def forward(self, y: Tensor) -> Tensor:
        return torch.cat([y.square(), torch.full_like(y, 3), torch.relu(-1 - y.square())], dim=1)


@pytest.mark.parametrize("draws", [1, 10])
@pytest.mark.parametrize("asked", [[1.5, 3.0, 0.0], [1.5, 2.99, 0.01]])
def test_channels_that_nothing_moves_do_not_keep_others_from_being_matched(asked: list[float], draws: int) -> None:
    x = np.random.default_rng(0).standard_normal((1, 1, 8, 8)).astype(np.float32)
    levels = [1.0, 0.5, 0.2, 0.1, 0.03]
    # Of one draw no spread is known. The constant is never 2.99, and the dead channel never 0.01.
    data = probekit.tap(Idle(), "block")(x, sigma=levels, draws=draws)
    data["phi"][...] = asked
    found = made(Idle(), data, tap="block", shape=(1, 8, 8), sigmas=levels, n_samples=4)
    energy = np.square(found.samples.values.astype(float)).mean(axis=(2, 3, 4))
    # A draw's standard deviation at the last level is 2σ√(ē/64) = 0.009, and of 4 draws' mean half of that; the
    # spread of 10 draws is at most 1.8 times the true one, and the tolerance √0.3 of it; the presumed one is 0.03.
    assert np.abs(energy - 1.5).max() < 6 * 0.009 / 2 + max(1.8 * 0.009, 0.03) * 0.3**0.5 + 0.03**2


def test_phi_whose_channels_were_reordered_is_refused(model: PatchModel, phi: xr.Dataset) -> None:
    with pytest.raises(InputError, match="other channels, or in another order"):
        made(model, phi.isel(channel=[1, 0, 2, 3]), shape=SHAPE)
    with pytest.raises(InputError, match="other denoisers, taps"):
        sampling.interpolate(phi.isel(image=[0]), phi.isel(image=[1], channel=[1, 0, 2, 3]), [0.5])


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda d: d.assign(phi_se=-d.phi_se), "phi_se is negative or infinite"),
        (lambda d: d.assign(phi_se=d.phi_se * np.inf), "phi_se is negative or infinite"),
        (lambda d: d.assign(phi=d.phi.where(d.phi > 1)), "phi holds NaN"),
        (lambda d: d.assign(phi=d.phi.astype(str)), "phi is of type"),
        (lambda d: d.assign(phi=d.phi.astype(complex)), "phi is of type complex128"),
        (lambda d: d.assign_attrs(draws="ten"), "the attr draws of φ='ten'"),
        (lambda d: d.assign_attrs(draws=0), "the attr draws of φ=0"),
        (lambda d: d.isel(image=[]), "φ of 0 images"),
        (lambda d: d.isel(sigma=[]), "at 0 levels"),
    ],
)
def test_phi_that_cannot_be_held_is_refused(edit: Any, words: str, model: PatchModel, phi: xr.Dataset) -> None:
    with pytest.raises(InputError, match=words):
        made(model, edit(phi), shape=SHAPE)


def test_a_condition_made_beforehand_gives_what_its_images_give(model: PatchModel, images: xr.DataArray) -> None:
    tap = probekit.tap(model, "mid")
    condition = sampling.Condition.from_images(tap, images, LEVELS)
    # Its noise levels are the schedule unless others are given, which must then be the same.
    found = sampling.reconstruct(model, tap, condition, n_samples=2, progress=False)
    xr.testing.assert_identical(found, made(model, images))
    xr.testing.assert_identical(made(model, condition), found)
    with pytest.raises(InputError, match=r"noise levels, 4 from 1 to 0\.03, and sigmas are others, 2 from 1 to 0\.1"):
        made(model, condition, sigmas=[1, 0.1])
    with pytest.raises(InputError, match=r"condition is of another denoiser or tap .taps: 'mid=square', not 'analysis"):
        made(model, condition, tap="analysis")
    named = sampling.Condition.from_images(tap, images.values, LEVELS, ids=["a", "b", "c"])
    assert made(model, named).image.values.tolist() == ["a", "b", "c"]


def test_the_part_of_one_tap_of_a_φ_of_several_is_a_condition_for_it() -> None:
    torch.manual_seed(0)
    network = UNet((4, 6), encoder_convs=(1,), middle_convs=1, decoder_convs=(2,)).eval()
    x = torch.rand(1, 3, 8, 8)
    both = probekit.tap(network, "enc1", "mid")(x, sigma=[0.1], draws=2)
    mid = both.isel(channel=both["tap"].values == "mid")
    tap = probekit.tap(network, "mid")
    options: dict[str, Any] = {"shape": (3, 8, 8), "n_samples": 1, "sigmas": [0.1, 0.05]}
    found = made(network, mid, **options)
    np.testing.assert_array_equal(found.samples, made(network, tap(x, sigma=[0.1], draws=2), **options).samples)
    with pytest.raises(InputError, match="another denoiser or tap"):
        made(network, both.isel(channel=both["tap"].values == "enc1"), **options)
