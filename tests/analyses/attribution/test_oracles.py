"""Attributions and effects against closed forms: linear networks, and the patch model's quadratic energies and gate."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import probekit
from analyses import attribution
from probekit.errors import InputError
from probekit.noise import standard_normal
from probekit.synthetic.patch_model import PatchModel

SIGMA, SEED, DRAWS = 0.3, 5, 2


class Linear(nn.Module):
    """Two convolutions without anything between them."""

    data_range = None

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(2, 3, 3, padding=1)
        self.last = nn.Conv2d(3, 2, 1)

    def forward(self, y: Tensor, sigma: float | Tensor | None = None) -> Tensor:
        del sigma  # blind
        return self.last(self.first(y))


def linear() -> Linear:
    torch.manual_seed(0)
    return Linear().double().requires_grad_(False)


def images(bands: int = 2, n: int = 3) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(n, bands, 8, 8)).astype(np.float32)


def noise(bands: int, draw: int, n: int = 3) -> np.ndarray:
    return standard_normal((bands, 8, 8), seed=SEED, ids=list(map(str, range(n))), draws=[draw] * n).numpy()


def attributed(model: nn.Module, place: str, x: np.ndarray, **options):
    options = {"sigma": SIGMA, "seed": SEED, "draws": DRAWS, **options}
    return attribution.attribute(model, probekit.tap(model, place), x, **options)


@pytest.mark.parametrize("options", [{"method": "integrated_gradients"}, {"method": "occlusion", "window": 1}])
@pytest.mark.parametrize("baseline", [0.0, 0.4])
def test_of_a_linear_channel_mean_every_map_is_gradient_times_input(options: dict, baseline: float) -> None:
    model, x = linear(), images()
    if options["method"] == "occlusion":
        # One pixel and band at a time would be gradient times input; all bands of a pixel share their sum.
        x = x[:, :1].repeat(2, axis=1)
    found = attributed(model, "first", x, channels=[0, 2], baseline=baseline, **options)
    ones = torch.ones(1, 1, 8, 8, dtype=torch.float64) / 64
    for c, channel in enumerate((0, 2)):
        gradient = F.conv_transpose2d(ones, model.first.weight[channel : channel + 1], padding=1)[0].numpy()
        if options["method"] == "occlusion":
            gradient = gradient.mean(axis=0, keepdims=True).repeat(2, axis=0)
        np.testing.assert_allclose(
            found.attribution.isel(sigma=0, channel=c), gradient * (x - baseline), rtol=1e-4, atol=1e-6
        )
    assert found.completeness_error.max() < 1e-5


def patch_model() -> PatchModel:
    return PatchModel([0.4, 0.6], [[0.5, 0.2, 0.05, 0], [0.5, 0, 0.1, 0.3]]).double()


def energies(model: PatchModel, x: np.ndarray, j: int) -> np.ndarray:
    """A_jᵀ A_j x: the part of the images that component j makes."""
    basis = model.mixture.basis[j]
    blocks = x[:, 0].reshape(len(x), 4, 2, 4, 2)
    c = np.einsum("nrakb,ab->nrk", blocks, basis)
    return np.einsum("nrk,ab->nrakb", c, basis).reshape(x.shape)


def closed_form(model: PatchModel, x: np.ndarray, baseline: float, j: int) -> np.ndarray:
    """(x − b) · A_jᵀA_j (x + b + 2σz)/P: integrated gradients of mean c_j² along the path, mean over draws."""
    b = np.full_like(x, baseline)
    paths = [energies(model, x + b + 2 * SIGMA * noise(1, d), j) for d in range(DRAWS)]
    return (x - b) * np.mean(paths, axis=0) / 16


def maps_are_the_closed_form(baseline: float) -> None:
    model, x = patch_model(), images(1)
    found = attributed(model, "mid", x, channels=[1, 3], baseline=baseline, n_steps=4)
    for c, j in enumerate((1, 3)):
        np.testing.assert_allclose(
            found.attribution.isel(sigma=0, channel=c), closed_form(model, x, baseline, j), rtol=1e-4, atol=1e-6
        )
    assert found.completeness_error.max() < 1e-5


@pytest.mark.parametrize("baseline", [0.0, -0.7])
def test_integrated_gradients_of_a_quadratic_energy_are_the_closed_form(baseline: float) -> None:
    maps_are_the_closed_form(baseline)


def occlusion_takes_the_energy_of_a_patch() -> None:
    model, x = patch_model(), images(1)
    found = attributed(model, "mid", x, channels=2, method="occlusion", window=2)
    expected = np.zeros_like(x)
    for d in range(DRAWS):
        z = SIGMA * noise(1, d)
        # ‖A_jᵀA_j y‖² over a patch is c_j²; over 16 positions, shared out among 4 pixels.
        square = energies(model, x + z, 2) ** 2 - energies(model, z, 2) ** 2
        patch = square.reshape(len(x), 1, 4, 2, 4, 2).sum(axis=(3, 5)) / 16 / 4 / DRAWS
        expected += np.kron(patch, np.ones((2, 2)))
    np.testing.assert_allclose(found.attribution.isel(sigma=0, channel=0), expected, rtol=1e-4, atol=1e-6)
    # An energy adds up over windows that are patches.
    assert found.completeness_error.max() < 1e-5


def test_occluding_a_patch_takes_away_the_energy_that_it_has_beyond_noise() -> None:
    occlusion_takes_the_energy_of_a_patch()


def effects(model: nn.Module, place: str, x: np.ndarray, **options):
    options = {"sigma": SIGMA, "seed": SEED, "draws": DRAWS, "resamples": 100, **options}
    return attribution.effects(model, probekit.tap(model, place), x, **options)


@pytest.mark.parametrize("factor", [0.0, 0.5, 2.0])
def test_scaling_channels_of_a_linear_network_changes_the_image_by_what_they_write(factor: float) -> None:
    model, x = linear(), images()
    found = effects(model, "first", x, groups={"one": [1], "two": [0, 2]}, factor=factor)
    for name, group in (("one", [1]), ("two", [0, 2])):
        change, error = np.zeros((2, 3))
        for d in range(DRAWS):
            y = torch.from_numpy(x + np.float32(SIGMA) * noise(2, d)).double()
            a, w = model.first(y), model.last.weight[:, :, 0, 0]
            missing = (factor - 1) * torch.einsum("bg,ngrc->nbrc", w[:, group], a[:, group]).numpy()
            change += (missing**2).mean(axis=(1, 2, 3)) / DRAWS
            error += ((model(y).numpy() + missing - x) ** 2).mean(axis=(1, 2, 3)) / DRAWS
        part = found.sel(group=name).isel(sigma=0)
        np.testing.assert_allclose(part.per_image_change, change, rtol=1e-5)
        np.testing.assert_allclose(part.per_image_error_change, error - found.error.isel(sigma=0), rtol=1e-5, atol=1e-7)
        psnr = -10 * np.log10(error / found.error.isel(sigma=0).values)
        assert part.psnr_change.item() == pytest.approx(psnr.mean(), rel=1e-5)


def silencing_is_the_gate_without_the_energy() -> None:
    model, x = patch_model(), images(1)
    found = effects(model, "mid", x, groups={"gone": [1]})
    variances, prior = model.mixture.variances, model.mixture.weights
    total = variances + SIGMA**2
    change = np.zeros(3)
    for d in range(DRAWS):
        y = x + SIGMA * noise(1, d)
        parts = np.stack([energies(model, y, j) for j in range(4)], axis=1)
        energy = (parts**2).sum(axis=(2, 3, 4)) / 16
        gains = []
        for silent in ([], [1]):
            seen = energy.copy()
            seen[:, silent] = 0
            logs = np.log(prior) - 8 * (np.log(total) + seen[:, None] / total).sum(axis=2)
            weights = np.exp(logs - logs.max(axis=1, keepdims=True))
            gains.append(weights / weights.sum(axis=1, keepdims=True) @ (variances / total))
        moved = np.einsum("nj,njbrc->nbrc", gains[1] - gains[0], parts)
        change += (moved**2).mean(axis=(1, 2, 3)) / DRAWS
    np.testing.assert_allclose(found.per_image_change.isel(group=0, sigma=0), change, rtol=1e-4, atol=1e-10)
    assert change.max() > 1e-4


def test_silencing_a_channel_of_the_patch_model_is_the_gate_without_its_energy() -> None:
    silencing_is_the_gate_without_the_energy()


def test_a_read_out_beside_the_way_to_the_image_causes_nothing() -> None:
    model = PatchModel([1.0], [[0.5, 0.2, 0.05, 0.1]], pool=[[0, 1], [2, 3]])
    found = effects(model, "mid", images(1), groups={"first": [0], "all": [0, 1]})
    assert (found.per_image_change == 0).all()
    assert (found.per_image_error_change == 0).all()


def test_the_excess_is_the_change_less_the_mean_of_the_controls() -> None:
    groups = {"a": [0], "b": [1], "c": [2]}
    found = effects(linear(), "first", images(), groups=groups, controls={"a": ["b", "c"]})
    change = found.change.isel(sigma=0)
    expected = change.sel(group="a") - change.sel(group=["b", "c"]).mean()
    assert found.excess.sel(group="a").item() == pytest.approx(expected.item())
    assert found.excess.sel(group=["b", "c"]).isnull().all()
    assert (found.excess_low.sel(group="a") <= found.excess.sel(group="a")).all()


class Scaled(nn.Module):
    """What the first convolution gives, times a number of the image."""

    data_range = None

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(2, 2, 1, bias=False)
        nn.init.eye_(self.first.weight[:, :, 0, 0])

    def forward(self, y: Tensor, sigma: float | Tensor | None = None, *, times: Tensor) -> Tensor:
        del sigma  # blind
        return self.first(y) * times[:, None, None, None]


@pytest.mark.parametrize("batch_size", [1, 2, 3])
def test_effects_of_a_network_given_more_are_under_what_belongs_to_each_image(batch_size: int) -> None:
    """Without its second channel, the image loses half of its pixels: times² of their mean square, halved."""
    model, x, times = Scaled().requires_grad_(False), images(), np.array([1.0, 3.0, 5.0])
    options = {"groups": {"second": [1]}, "sigma": 0.0, "batch_size": batch_size}
    tap = probekit.tap(model, "first")
    for values in (times, {"2": 5.0, "0": 1.0, "1": 3.0}):
        found = attribution.effects(model, tap, x, **options, conditions={"times": values})
        expected = times**2 * np.square(x[:, 1]).mean(axis=(1, 2)) / 2
        np.testing.assert_allclose(found.per_image_change.values[:, 0, 0], expected, rtol=1e-5)
    with pytest.raises(InputError, match="'times' must be given"):
        attribution.effects(model, tap, x, **options)
    with pytest.raises(InputError, match="'times' must be given"):
        attribution.attribute(model, tap, x, channels=[0], sigma=0.1)
