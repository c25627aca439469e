"""Textures whose answer is known: Gaussian random fields, whose energies in bands of frequency follow Gamma laws."""

from itertools import pairwise

import numpy as np
import pytest
import torch
import xarray as xr
from torch import nn

import probekit
from analyses import textures

SIZE, EDGES = 16, (1.0, 2.5, 4.5, 8.0)
PHOTOGRAPHS, EACH = 24, 6


def bands() -> np.ndarray:
    """Indicators (band, row, col) of rings of frequencies on a torus, without those that are their own conjugates."""
    down, across = np.meshgrid(*[np.fft.fftfreq(SIZE, 1 / SIZE)] * 2, indexing="ij")
    radius = np.hypot(down, across)
    return np.stack([(radius >= low) & (radius < high) for low, high in pairwise(EDGES)])


class Bands(nn.Module):
    """Images split into rings of frequencies: the maps' mean squares are the energies of the rings."""

    def __init__(self) -> None:
        super().__init__()
        self.split = _Split()
        self.tap_aliases = {"split": "split"}

    def forward(self, y: torch.Tensor) -> torch.Tensor:
        self.split(y)
        return y


class _Split(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("rings", torch.from_numpy(bands().astype(np.float32)))

    def forward(self, y: torch.Tensor) -> torch.Tensor:
        return torch.fft.ifft2(torch.fft.fft2(y) * self.get_buffer("rings")).real


def heights(seed: int = 0) -> np.ndarray:
    """Mean energy (photograph, band): textures that overlap, so that neighbours are mistaken at times."""
    return np.random.default_rng(seed).lognormal(0, 0.5, (PHOTOGRAPHS, len(EDGES) - 1))


def fields(levels: np.ndarray, seed: int) -> np.ndarray:
    """Gaussian random fields (patch, 1, row, col), whose ring j has mean energy levels[photograph, j]."""
    rings = bands()
    # White noise has energy |ring|/P in a ring; each is scaled to its own.
    white = np.random.default_rng(seed).normal(size=(PHOTOGRAPHS, EACH, SIZE, SIZE))
    gain = np.sqrt(levels * SIZE**2 / rings.sum(axis=(1, 2)))
    transfer = np.einsum("tj,jrc->trc", gain, rings)
    made = np.fft.ifft2(np.fft.fft2(white) * transfer[:, None]).real
    return made.reshape(-1, 1, SIZE, SIZE)


def independent(levels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Features by their law alone: a ring of 2m frequencies holds m independent ones, so energy is level·Γ(m)/m."""
    m = bands().sum(axis=(1, 2)) / 2
    return (levels[:, None] * rng.gamma(m, 1 / m, (PHOTOGRAPHS, EACH, len(m)))).reshape(-1, len(m))


def rate(x: np.ndarray) -> float:
    """The share of same-photograph neighbours, written out."""
    d = ((x[:, None] - x[None]) ** 2).sum(axis=2)
    np.fill_diagonal(d, np.inf)
    photograph = np.repeat(np.arange(PHOTOGRAPHS), EACH)
    return float((photograph[d.argmin(axis=1)] == photograph).mean())


def measured(seed: int) -> xr.Dataset:
    names = [f"texture {k:02d}" for k in range(PHOTOGRAPHS) for _ in range(EACH)]
    images = probekit.images.load(fields(heights(), seed), labels=names)
    return probekit.tap(probekit.Denoiser(Bands(), data_range=None), "split", reduce="energy")(images, sigma=[0.0])


def test_the_mean_energies_of_gaussian_fields_are_as_far_apart_as_their_law_says() -> None:
    levels, m = heights(), bands().sum(axis=(1, 2)) / 2
    phi = np.concatenate([measured(seed).phi.values[:, 0].reshape(PHOTOGRAPHS, EACH, -1) for seed in range(8)], axis=1)
    first, second = phi[:, ::2], phi[:, 1::2]
    # E‖a − b‖² = Σ (s − t)² + (s² + t²)/m; the sample mean's own deviation bounds its error.
    for other in (0, 1, 7):
        apart = ((first - np.roll(second, other, axis=0)) ** 2).sum(axis=2)
        s, t = levels, np.roll(levels, other, axis=0)
        expected = ((s - t) ** 2 + (s**2 + t**2) / m).sum(axis=1).mean()
        error = apart.std() / np.sqrt(apart.size)
        assert abs(apart.mean() - expected) < 4.5 * error


def test_the_rate_of_gaussian_textures_is_what_an_independent_simulation_of_their_features_gives() -> None:
    rng = np.random.default_rng(7)
    simulated = np.array([rate(independent(heights(), rng)) for _ in range(200)])
    found = [
        textures.analyse({"energies": measured(seed)}, resamples=100).rate.sel(distance="euclidean").item()
        for seed in range(6)
    ]
    # Both are means of draws of one law, whose deviation the simulation tells.
    error = simulated.std() * np.sqrt(1 / len(found) + 1 / len(simulated))
    assert 0.1 < simulated.mean() < 0.9
    assert abs(np.mean(found) - simulated.mean()) < 4.5 * error


def test_a_representation_that_hears_one_ring_alone_is_worse_by_what_the_simulation_says() -> None:
    rng = np.random.default_rng(8)
    pairs = [(x := independent(heights(), rng), rate(x) - rate(x[:, :1]))[1] for _ in range(200)]
    found = []
    for seed in range(4):
        data = measured(seed)
        alone = xr.DataArray(data.phi.values[:, 0, :1], {"image": data.image}, ("image", "feature"))
        differences = textures.analyse({"all": data, "one ring": alone}, resamples=200)
        assert differences.difference_low.sel(representation="one ring", distance="euclidean").item() > 0
        found.append(differences.difference.sel(representation="one ring", distance="euclidean").item())
    error = np.std(pairs) * np.sqrt(1 / len(found) + 1 / len(pairs))
    assert abs(np.mean(found) - np.mean(pairs)) < 4.5 * error


@pytest.mark.parametrize("distance", ["euclidean", "standardised"])
def test_what_is_the_label_is_always_right_and_noise_is_at_chance(distance: str) -> None:
    data = measured(0)
    photograph = np.repeat(np.arange(PHOTOGRAPHS), EACH)
    noise = np.random.default_rng(0).normal(size=(len(photograph), 5))
    arrays = {
        "label": np.eye(PHOTOGRAPHS)[photograph],
        "noise": noise,
        "nothing": np.ones((len(photograph), 2)),
    }
    made = {n: xr.DataArray(x, {"image": data.image}, ("image", "feature")) for n, x in arrays.items()}
    found = textures.analyse({"energies": data, **made}, resamples=100).sel(distance=distance)
    chance = (EACH - 1) / (len(photograph) - 1)
    assert found.chance.item() == pytest.approx(chance)
    assert found.rate.sel(representation="label").item() == 1
    assert found.rate.sel(representation="nothing").item() == pytest.approx(chance)
    # Hits of patches that are each other's neighbours go together: at most twice the variance of independent ones.
    spread = np.sqrt(2 * chance * (1 - chance) / len(photograph))
    assert abs(found.rate.sel(representation="noise").item() - chance) < 4.5 * spread
