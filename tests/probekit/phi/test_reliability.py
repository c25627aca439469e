"""How reliable squared distances are: exact identities, closed forms of Gaussian noise, and draws chosen by them."""

import math
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import nn

import probekit
from probekit.errors import InputError
from probekit.phi import reliability


def noisy(mean: np.ndarray, sd: np.ndarray | float, draws: int, seed: int) -> np.ndarray:
    """Gaussian draws (image, draw, channel) about means (image, channel), of an sd for each image."""
    shape = (len(mean), draws, mean.shape[1])
    return mean[:, None] + np.reshape(sd, (-1, 1, 1)) * np.random.default_rng(seed).normal(size=shape)


def estimate(draws: np.ndarray) -> np.ndarray:
    mean, error = reliability.mean_and_error(draws)
    return reliability.squared_distances(mean, np.square(error).sum(axis=1))


def error_variance(square: float, channels: int, noise: float, draws: int) -> float:
    """Of ‖δ + e‖² − s_i − s_j, mean over pairs: e normal of variance 2τ²/h, s_i of h draws, both independent."""
    each = noise / draws
    return 8 * square * each + 8 * channels * each**2 + 4 * channels * each**2 / (draws - 1)


def test_the_estimate_is_the_mean_of_products_across_all_pairs_of_different_draws() -> None:
    draws = noisy(np.random.default_rng(0).normal(size=(5, 3)), 1.0, 4, 1)
    found = estimate(draws)
    different = [(a, b) for a in range(4) for b in range(4) if a != b]
    for i in range(5):
        for j in set(range(5)) - {i}:
            own = [np.mean([draws[k, a] @ draws[k, b] for a, b in different]) for k in (i, j)]
            across = np.mean([draws[i, a] @ draws[j, b] for a in range(4) for b in range(4)])
            assert found[i, j] == pytest.approx(sum(own) - 2 * across, rel=1e-12, abs=1e-12)


def test_the_estimate_is_the_crossnobis_product_averaged_over_pairings_of_the_two_images_draws() -> None:
    draws = noisy(np.random.default_rng(2).normal(size=(4, 3)), 1.0, 5, 3)
    found = estimate(draws)
    for i, j in ((0, 1), (2, 3), (3, 1)):
        products = []
        for shift in range(5):
            # As if draw a of one image and draw a + shift of the other were a measurement of both.
            apart = draws[i] - np.roll(draws[j], shift, axis=0)
            products.append(np.mean([apart[a] @ apart[b] for a in range(5) for b in range(5) if a != b]))
        assert found[i, j] == pytest.approx(np.mean(products), rel=1e-12, abs=1e-12)


def test_squared_distances_are_unbiased_under_noise_that_differs_between_images() -> None:
    mean, sd = np.random.default_rng(4).normal(size=(6, 3)), np.linspace(0.1, 3, 6)
    truth, repeats = reliability.squared_distances(mean), 4000
    found = np.stack([estimate(noisy(mean, sd, 4, seed)) for seed in range(repeats)])
    error = found.std(axis=0, ddof=1) / math.sqrt(repeats)
    upper = np.triu_indices(6, 1)
    assert (np.abs(found.mean(axis=0) - truth)[upper] < 5 * error[upper]).all()
    assert (found[:, *upper] < 0).any()
    plain = np.stack([reliability.squared_distances(noisy(mean, sd, 4, s).mean(axis=1)) for s in range(200)]).mean(
        axis=0
    )
    assert (plain - truth)[4, 5] > 20 * error[4, 5]


@pytest.mark.parametrize("draws", [4, 5, 6, 7, 12])
def test_halves_are_disjoint_of_one_size_and_all_different_where_there_are_few(draws: int) -> None:
    found = reliability.halves(draws)
    assert found.shape[1:] == (2, draws // 2)
    assert all(len(set(pair.ravel())) == 2 * (draws // 2) for pair in found)
    assert len({frozenset(map(frozenset, pair.tolist())) for pair in found}) == len(found)
    assert len(found) == (3 if draws == 4 else 8)
    np.testing.assert_array_equal(found, reliability.halves(draws))


@pytest.mark.parametrize(("draws", "noise"), [(4, 0.5), (8, 1.0), (20, 4.0)])
def test_the_correlation_of_halves_is_that_of_its_closed_form(draws: int, noise: float) -> None:
    channels, images, repeats = 10, 150, 12
    found, expected = [], []
    for seed in range(repeats):
        mean = np.random.default_rng(seed).normal(size=(images, channels))
        square = reliability.squared_distances(mean)[np.triu_indices(images, 1)]
        error = error_variance(square.mean(), channels, noise, draws // 2)
        expected.append(square.var() / (square.var() + error))
        found.append(reliability.split_half(noisy(mean, math.sqrt(noise), draws, 100 + seed)))
    off = np.array(found) - expected
    # The ratio of sample moments to that of their expectations: a bias of a few times 1/images beside five errors.
    assert abs(off.mean()) < 5 * off.std(ddof=1) / math.sqrt(repeats) + 3 / images


def test_the_prediction_for_more_draws_is_what_is_measured_with_them() -> None:
    mean = np.random.default_rng(7).normal(size=(200, 12))
    draws = noisy(mean, 1.0, 32, 8)
    half = reliability.split_half(draws[:, :16])
    measured = reliability.split_half(draws)
    predicted = float(reliability.spearman_brown(half, 2))
    square = reliability.squared_distances(mean)[np.triu_indices(200, 1)]
    eight, sixteen = (square.var() / (square.var() + error_variance(square.mean(), 12, 1.0, h)) for h in (8, 16))
    # What the formula leaves out, errors that fall as 1/draws², is what the closed forms differ by.
    left_out = sixteen - 2 * eight / (1 + eight)
    assert 0 < left_out < 0.02
    assert measured - predicted == pytest.approx(left_out, abs=0.02)


def test_draws_needed_are_those_at_which_the_prediction_reaches_the_target() -> None:
    for r in (0.1, 0.5, 0.9, 0.99):
        needed = int(reliability.draws_needed(r, 5))
        assert reliability.spearman_brown(r, needed / 5) >= 0.95 - 1e-9
        assert needed == 1 or reliability.spearman_brown(r, (needed - 1) / 5) < 0.95
    assert reliability.draws_needed(0.5, 1) == 19
    assert reliability.draws_needed([0.0, -0.2], 4).tolist() == [math.inf, math.inf]
    assert math.isnan(reliability.draws_needed(math.nan, 4))


class Means(nn.Module):
    """Channels are tiles of pixels, so that φ is their mean and its noise is σ²/tile."""

    tap_aliases: ClassVar[dict[str, str]] = {"mid": "tiles"}

    def __init__(self) -> None:
        super().__init__()
        self.tiles = nn.PixelUnshuffle(4)
        self.back = nn.PixelShuffle(4)
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, y: torch.Tensor) -> torch.Tensor:
        return self.back(self.tiles(y)) * self.weight


IMAGES = np.random.default_rng(0).uniform(0.2, 0.8, (120, 3, 8, 8)).astype(np.float32)
TAP = probekit.tap(probekit.Denoiser(Means()), "mid")


def predicted(sigma: float, draws: int) -> float:
    """In closed form, from the images themselves: 48 channels, each the mean of four pixels."""
    phi = TAP(IMAGES, sigma=0.0, draws=1).phi.values[:, 0]
    square = reliability.squared_distances(phi)[np.triu_indices(len(phi), 1)]
    half = square.var() / (square.var() + error_variance(square.mean(), 48, sigma**2 / 4, draws // 2))
    return 2 * half / (1 + half)


@pytest.mark.parametrize(("sigma", "wanted"), [(0.0, 4), (0.02, 4), (0.065, 8), (0.085, 16), (0.12, 32)])
def test_draws_are_those_at_which_the_closed_form_reaches_the_target(sigma: float, wanted: int) -> None:
    if wanted > 4:
        assert predicted(sigma, wanted // 2) < 0.94
    if sigma:
        assert predicted(sigma, wanted) > 0.955
    data = TAP(IMAGES, sigma=sigma, draws="auto")
    assert data.attrs["draws"] == wanted
    assert data.attrs["draws_chosen"] == "auto"
    assert data.attrs["draws_reliability"] >= 0.95
    assert data.attrs["draws_reliability_at"] == f"tap 'mid', σ = {sigma:g}"
    if sigma:
        # A standard error of the correlation over so many pairs is well below this.
        assert data.attrs["draws_reliability"] == pytest.approx(predicted(sigma, wanted), abs=0.02)
    given = TAP(IMAGES, sigma=sigma, draws=wanted)
    for name in given.data_vars:
        np.testing.assert_array_equal(data[name], given[name])
    assert "draws_chosen" not in given.attrs


def test_the_draws_are_those_of_the_worst_noise_level_and_the_same_in_any_order() -> None:
    ids = [f"image {i}" for i in range(120)]
    one = TAP(IMAGES, sigma=[0.02, 0.085], draws="auto", ids=ids)
    order = np.random.default_rng(1).permutation(120)
    other = TAP(IMAGES[order], sigma=[0.085, 0.02], draws="auto", ids=[ids[i] for i in order])
    assert one.attrs["draws"] == other.attrs["draws"] == 16
    assert one.attrs["draws_reliability"] == pytest.approx(other.attrs["draws_reliability"], abs=1e-6)


def test_too_much_noise_ends_at_the_most_draws_with_a_warning_that_names_where() -> None:
    with pytest.warns(RuntimeWarning, match=r"64 draws.*tap 'mid', σ = 3: 0\.\d\d\. Give draws="):
        data = TAP(IMAGES, sigma=[0.02, 3.0], draws="auto")
    assert data.attrs["draws"] == 64
    assert data.attrs["draws_reliability"] < 0.95


def test_an_estimate_tells_the_cost_of_the_draws_that_are_chosen() -> None:
    cost = TAP.estimate(IMAGES, sigma=0.085, draws="auto")
    assert cost.noisy_images == TAP.estimate(IMAGES, sigma=0.085, draws=16).noisy_images


def test_a_store_holds_the_number_and_a_second_call_takes_it_from_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = TAP(IMAGES, sigma=0.065, draws="auto", store=tmp_path / "phi.zarr").load()
    assert first.attrs["draws"] == 8
    monkeypatch.setattr(reliability, "chosen", lambda _: pytest.fail("the draws are in the plan"))
    again = TAP(IMAGES, sigma=0.065, draws="auto", store=tmp_path / "phi.zarr")
    assert again.identical(first)
    with pytest.raises(InputError, match=r"another plan|differ|begun"):
        TAP(IMAGES, sigma=0.2, draws="auto", store=tmp_path / "phi.zarr")


@pytest.mark.parametrize("draws", ["Auto", "", "8", "auto "])
def test_a_word_for_draws_other_than_auto_is_refused(draws: str) -> None:
    with pytest.raises(InputError, match=r'give a whole number from 1 to 10000000, or "auto"'):
        TAP(IMAGES, sigma=0.1, draws=draws)  # pyright: ignore[reportArgumentType]


class Added(Means):
    """Takes a plane of each image beside the noisy one."""

    def forward(self, y: torch.Tensor, plane: torch.Tensor | None = None) -> torch.Tensor:
        return super().forward(y if plane is None else y + plane)


def test_each_image_is_tried_under_its_own_condition_whatever_the_order() -> None:
    images = np.random.default_rng(3).uniform(0.4, 0.6, (300, 3, 8, 8)).astype(np.float32)
    planes = np.random.default_rng(4).uniform(-0.3, 0.3, (300, 3, 8, 8)).astype(np.float32)
    tap = probekit.tap(Added(), "mid")
    ids, order = [f"image {i}" for i in range(300)], np.random.default_rng(5).permutation(300)
    one = tap(images, sigma=0.04, draws="auto", ids=ids, conditions={"plane": planes})
    other = tap(
        images[order],
        sigma=0.04,
        draws="auto",
        ids=[ids[i] for i in order],
        conditions={"plane": planes[order]},
    )
    assert one.attrs["draws"] == other.attrs["draws"]
    assert one.attrs["draws_reliability"] == pytest.approx(other.attrs["draws_reliability"], abs=1e-6)
    # Without what planes add, images differ by less than the noise asks for.
    plain = TAP(images, sigma=0.04, draws="auto", ids=ids)
    assert plain.attrs["draws"] > one.attrs["draws"]


def test_few_images_are_no_ground_for_choosing_draws() -> None:
    with pytest.raises(InputError, match=r"19 images: give 20 images at least.*or a number of draws"):
        TAP(IMAGES[:19], sigma=0.1, draws="auto")
