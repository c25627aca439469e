"""Conditions of sampling: images, φ as it is and edited, and what of it is matched."""

from pathlib import Path
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


def ends(model: PatchModel, images: xr.DataArray, shares: list[float]) -> xr.Dataset:
    data = measured(model, images)
    return sampling.interpolate(data.isel(image=[0]), data.isel(image=[1]), shares)


@pytest.mark.parametrize("method", ["langevin", "algorithm1"])
@pytest.mark.parametrize("size", [None, 12])
def test_samples_at_the_ends_of_an_interpolation_are_those_of_the_ends(
    method: str, size: int | None, model: PatchModel, images: xr.DataArray
) -> None:
    mixed = made(model, ends(model, images, [0, 0.5, 1]), shape=SHAPE, size=size, method=method)
    whole = made(model, measured(model, images), shape=SHAPE, size=size, method=method)
    assert mixed.share.values.tolist() == [0, 0.5, 1]
    assert mixed.image.values.tolist() == ["0→1/0", "0→1/0.5", "0→1/1"]
    # Alike but for the order in which a batch of other rows is summed.
    np.testing.assert_allclose(mixed.samples[[0, 2]], whole.samples[:2], atol=1e-6)
    np.testing.assert_allclose(mixed.match[[0, 2]], whole.match[:2], atol=1e-6)
    alone = made(model, ends(model, images, [1]), shape=SHAPE, size=size, method=method)
    lone = made(model, measured(model, images).isel(image=[1]), shape=SHAPE, size=size, method=method)
    np.testing.assert_array_equal(alone.samples, lone.samples)


def test_samples_between_two_conditions_have_the_mean_of_their_phi_and_noise_of_their_own(
    model: PatchModel, images: xr.DataArray
) -> None:
    shares = [0.0, 0.25, 0.5, 0.75, 1.0]
    found = made(model, ends(model, images, shares), shape=SHAPE, n_samples=20, sigmas=LEVELS)
    wanted = model.phi(torch.from_numpy(images.values), 0.0).numpy()
    line = np.array([(1 - s) * wanted[0] + s * wanted[1] for s in shares])
    # A draw's standard deviation at the last level, 0.03, is √((4σ²ē + 2σ⁴)/16); targets are means of 2 draws, clean
    # estimates of 4, and of the tolerance √0.4 times the spread seen, which 2 draws show at most 4 times too large.
    spread = np.sqrt((4 * 0.03**2 * line + 2 * 0.03**4) / 16)
    slack = (4 * np.sqrt(0.4) + 6 / np.sqrt(2) + 6 / 2) * np.maximum(spread, 0.1 * spread.max())
    away = np.abs(energies(model, found) - line[:, None])
    assert (away <= slack[:, None])[..., line.min(axis=0) > 0].all()
    # No two share noise.
    flat = found.samples.values.reshape(5, 20, -1)
    flat = flat - flat.mean(axis=(1, 2), keepdims=True)
    for i, j in ((0, 1), (1, 2), (2, 4)):
        r = np.einsum("np,np->n", flat[i], flat[j]) / np.linalg.norm(flat[i], axis=1) / np.linalg.norm(flat[j], axis=1)
        # 20 cosines of independent directions in R^48 or fewer, of standard deviation at most 1/√16.
        assert abs(r.mean()) < 4 / np.sqrt(16 * 20)


def test_mixtures_of_mixtures_and_of_many_pairs_keep_the_noise_of_their_ends(
    model: PatchModel, images: xr.DataArray
) -> None:
    data = measured(model, images)
    one, two, three = (data.isel(image=[k]) for k in range(3))
    again = sampling.interpolate(sampling.interpolate(one, two, [1]), three, [0, 0.5])
    assert again.noise_id.values.tolist() == ["1", "0→1/1→2/0.5"]
    pairs = xr.concat([sampling.interpolate(one, two, [0, 0.5]), sampling.interpolate(two, three, [0.5, 1])], "image")
    found = made(model, pairs, shape=SHAPE)
    assert found.share.values.tolist() == [0, 0.5, 0.5, 1]
    np.testing.assert_allclose(found.samples[3], made(model, three, shape=SHAPE).samples[0], atol=1e-6)


def test_a_store_of_mixtures_tells_whose_noise_they_have(
    model: PatchModel, images: xr.DataArray, tmp_path: Path
) -> None:
    mixed = ends(model, images, [0, 0.5])
    made(model, mixed, shape=SHAPE, store=tmp_path)
    with pytest.raises(InputError, match=r"another plan .noise_ids"):
        made(model, mixed.drop_vars("noise_id"), shape=SHAPE, store=tmp_path)


def test_coordinates_of_phi_called_share_must_be_numbers(model: PatchModel, images: xr.DataArray) -> None:
    data = measured(model, images)
    with pytest.raises(InputError, match="share"):
        made(model, data.assign_coords(share=("image", ["a", "b", "c"])), shape=SHAPE)
