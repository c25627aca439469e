"""σ̂ of denoisers whose residual is known, to the last digit where it can be, else within derived bounds."""

from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from scipy.special import gammaln

from analyses import noise_level
from analyses.noise_level.kernels import estimated_spread
from probekit.noise import standard_normal
from probekit.synthetic.patch_model import PatchModel
from tests.analyses.noise_level.making import Blurred, Scaled, Shifted

SIGMA = [0.05, 0.2, 1.0]
OPTIONS: dict[str, Any] = {"sigma": SIGMA, "n_images": None, "resamples": 100, "progress": False}
IMAGES = np.random.default_rng(0).random((300, 1, 8, 8)).astype(np.float32)
SIZE = 64
# Beyond five standard errors lies one mean in two million.
MOST = 5


def noisy(sigma: float) -> np.ndarray:
    ids = [str(i) for i in range(len(IMAGES))]
    z = standard_normal((1, 8, 8), seed=0, ids=ids, draws=[0] * len(ids)).numpy()
    return IMAGES.astype(float) + sigma * z


def by_id(found: xr.Dataset) -> np.ndarray:
    """σ̂ (image, sigma) of the only network, in the order of IMAGES."""
    return found["sigma_hat"].isel(network=0).sel(image=[str(i) for i in range(len(IMAGES))]).values


def test_what_gives_the_noisy_image_back_says_no_noise() -> None:
    found = noise_level.analyse(Scaled(1), IMAGES, **OPTIONS)
    assert (found["sigma_hat"] == 0).all()
    assert (found["relative_bias"] == -1).all()
    assert (found["sd"] == 0).all()
    np.testing.assert_allclose(found["bias"].values[0], [-s for s in SIGMA])


def the_residual_is_that_of_the_images(gain: float) -> None:
    found = noise_level.analyse(Scaled(gain), IMAGES, **OPTIONS)
    for k, sigma in enumerate(SIGMA):
        y = noisy(sigma).reshape(len(IMAGES), -1)
        expected = (1 - gain) * np.sqrt((y**2).mean(axis=1))
        np.testing.assert_allclose(by_id(found)[:, k], expected, rtol=1e-5)
        here = found.isel(network=0, sigma=k)
        np.testing.assert_allclose(here["mean"], expected.mean(), rtol=1e-5)
        np.testing.assert_allclose(here["bias"], expected.mean() - sigma, atol=1e-5)
        np.testing.assert_allclose(here["relative_bias"], expected.mean() / sigma - 1, atol=1e-4)
        np.testing.assert_allclose(here["sd"], expected.std(ddof=1), rtol=1e-4)
        error = np.sqrt(((gain * y - IMAGES.reshape(len(IMAGES), -1)) ** 2).mean())
        np.testing.assert_allclose(here["error"], error, rtol=1e-5)


@pytest.mark.parametrize("gain", [0.0, 0.5])
def test_all_numbers_are_those_of_the_images_one_by_one(gain: float) -> None:
    the_residual_is_that_of_the_images(gain)


@pytest.mark.parametrize("gain", [0.0, 0.7])
def test_a_gain_leaves_what_it_takes_off_noise_and_image(gain: float) -> None:
    found = noise_level.analyse(Scaled(gain), IMAGES, **OPTIONS)
    power = (IMAGES.astype(float) ** 2).mean(axis=(1, 2, 3))
    for k, sigma in enumerate(SIGMA):
        # Of a mean of N squares of y = x + σ z: expectation σ² + x̄², variance (2σ⁴ + 4σ² x̄²)/N.
        expected = (1 - gain) ** 2 * (sigma**2 + power)
        error = (1 - gain) ** 2 * np.sqrt(((2 * sigma**4 + 4 * sigma**2 * power) / SIZE).mean() / len(IMAGES))
        assert abs((by_id(found)[:, k] ** 2 - expected).mean()) <= MOST * error


def test_a_linear_filter_leaves_what_its_transfer_function_takes_off() -> None:
    kernel = torch.zeros(1, 1, 8, 8)
    kernel[0, 0, 0, :3] = torch.tensor([0.5, 0.3, 0.2])
    found = noise_level.analyse(Blurred(kernel), IMAGES, **OPTIONS)
    left = np.abs(1 - np.fft.fft2(kernel[0, 0].numpy())) ** 2
    powers = np.abs(np.fft.fft2(IMAGES[:, 0].astype(float))) ** 2 / SIZE
    for k, sigma in enumerate(SIGMA):
        # E ‖(1 − K) y‖²/N = Σ_f |1 − K_f|² (σ² + |X_f|²/N)/N; its variance is that of σ²-weighted squares.
        expected = (left * (sigma**2 + powers)).mean(axis=(1, 2))
        spread = (left**2 * (2 * sigma**4 + 4 * sigma**2 * powers)).mean(axis=(1, 2)) / SIZE
        error = np.sqrt(spread.mean() / len(IMAGES))
        assert abs((by_id(found)[:, k] ** 2 - expected).mean()) <= MOST * error


def nothing_given_back_of_nothing_is_the_noise() -> None:
    found = noise_level.analyse(Scaled(0), np.zeros((400, 1, 8, 8)), **OPTIONS).isel(network=0)
    # σ̂ √N/σ is χ of N degrees of freedom.
    mean = np.sqrt(2 / SIZE) * np.exp(gammaln((SIZE + 1) / 2) - gammaln(SIZE / 2))
    sd = np.sqrt(1 - mean**2)
    for sigma in SIGMA:
        here = found.sel(sigma=sigma)
        assert abs(here["relative_bias"] - (mean - 1)) <= MOST * sd / np.sqrt(400)
        # The standard error of a standard deviation of 400 numbers that are nearly normal.
        assert abs(here["sd"] / sigma - sd) <= MOST * sd / np.sqrt(2 * 399)
        assert here["sd_low"] / sigma < sd * 1.02
        assert here["sd_high"] / sigma > sd * 0.98


def test_what_says_that_all_is_noise_knows_the_noise_where_there_is_nothing_else() -> None:
    nothing_given_back_of_nothing_is_the_noise()


def test_the_exact_denoiser_of_a_gaussian_law_says_what_wiener_leaves() -> None:
    model = PatchModel([1.0], [[0.2, 0.05, 0.01, 0]])
    images = model.draw(400, rows=16, cols=16, seed=0).images
    found = noise_level.analyse(model, images, **OPTIONS).isel(network=0)
    lam = np.array([0.2, 0.05, 0.01, 0])
    for sigma in SIGMA:
        # Each coefficient's residual is σ²/(λ + σ²) times y of variance λ + σ².
        squares = sigma**4 / (lam + sigma**2)
        assert squares.mean() == pytest.approx(sigma**2 - model.wiener_error(sigma)[0])
        # 64 independent coefficients of each kind, of variance 2 squares² of their squares.
        error = np.sqrt(2 * (squares**2).mean() / 256 / 400)
        assert abs((found["sigma_hat"].sel(sigma=sigma) ** 2).mean() - squares.mean()) <= MOST * error
        # Of a variance of N = 256 numbers the root's mean is lower by about 1/(4N) at most: a thousandth.
        assert abs(found["relative_bias"].sel(sigma=sigma) - (np.sqrt(squares.mean()) / sigma - 1)) < 0.01
        assert abs(found["exact_bias"].sel(sigma=sigma) - (np.sqrt(squares.mean()) / sigma - 1)) < 0.01


def the_exact_denoiser_is_short_of_its_own_error() -> None:
    model = PatchModel([0.4, 0.6], [[0.2, 0.05, 0, 0], [0.2, 0, 0.1, 0]]).double()
    images = model.draw(400, rows=8, cols=8, seed=0).images
    found = noise_level.analyse(model, images, **OPTIONS).isel(network=0)
    ids = [str(one) for one in images["image"].values]
    z = standard_normal((1, 8, 8), seed=0, ids=ids, draws=[0] * len(ids)).double()
    for sigma in SIGMA:
        y = torch.from_numpy(images.values).double() + sigma * z
        left = model.posterior_variance(y, sigma).numpy()
        # E(σ̂² + posterior variance) = σ², whatever the law, since the residual and the error are uncorrelated.
        short = found["sigma_hat"].sel(sigma=sigma, image=ids).values ** 2 + left - sigma**2
        assert abs(short.mean()) <= MOST * short.std(ddof=1) / np.sqrt(len(short))
        assert abs(found["error"].sel(sigma=sigma) ** 2 - left.mean()) <= MOST * left.mean() / np.sqrt(400)


def test_the_exact_denoiser_of_a_mixture_says_the_noise_less_its_own_error() -> None:
    the_exact_denoiser_is_short_of_its_own_error()


def test_the_spread_is_that_of_resamples_written_out() -> None:
    values = np.random.default_rng(0).normal(size=(20, 2)) + 1e4
    found = estimated_spread(values, resamples=200, level=0.9, seed=3)
    np.testing.assert_allclose(found.value, values.std(axis=0, ddof=1))
    chosen = np.random.default_rng(3).integers(20, size=(200, 20))
    drawn = values[chosen].std(axis=1) * np.sqrt(20 / 19)
    low, high = np.quantile(drawn, [0.05, 0.95], axis=0)
    # Student's t and √(n/(n − 1)) move the ends outwards.
    assert (found.low <= low).all()
    assert (found.high >= high).all()
    assert (found.low >= drawn.min(axis=0)).all()


def path_by_hand(gain: float, sigmas: list[float], count: int, colour: float) -> np.ndarray:
    x = np.full((count, SIZE), colour)
    names = [f"sample {i}" for i in range(count)]
    found = []
    for t, sigma in enumerate(sigmas):
        z = standard_normal((1, 8, 8), seed=0, ids=names, draws=[t] * count).numpy().reshape(count, SIZE)
        y = x + sigma * z
        x = gain * y
        found.append(np.sqrt(((x - y) ** 2).mean(axis=1)))
    return np.array(found).T


def the_path_is_walked(gain: float) -> None:
    sigmas = [1.0, 0.5, 0.2, 0.1]
    found = noise_level.along(Scaled(gain), IMAGES, sigmas=sigmas, n_samples=5, resamples=100, progress=False)
    expected = path_by_hand(gain, sigmas, 5, float(IMAGES.mean(dtype=float)))
    np.testing.assert_allclose(found["sigma_hat"].values[0], expected, rtol=1e-5)
    np.testing.assert_allclose(found["mismatch"].values[0], expected.mean(axis=0) / sigmas - 1, atol=1e-5)


@pytest.mark.parametrize("gain", [0.0, 0.5, 0.9])
def test_the_path_is_that_of_a_loop_by_hand(gain: float) -> None:
    the_path_is_walked(gain)


@pytest.mark.parametrize("share", [0.5, 1.0, 1.2])
def test_a_denoiser_that_takes_off_a_share_of_what_it_is_told_says_that_share(share: float) -> None:
    found = noise_level.analyse(Shifted(share), IMAGES, **OPTIONS)
    path = noise_level.along(Shifted(share), IMAGES, sigmas=[1, 0.3, 0.1], n_samples=3, resamples=100, progress=False)
    np.testing.assert_allclose(found["relative_bias"], share - 1, atol=1e-5)
    np.testing.assert_allclose(path["mismatch"], share - 1, atol=1e-5)
    assert found["told"].item()


def test_the_spread_about_a_large_mean_keeps_its_digits_beside_one_about_0() -> None:
    values = np.random.default_rng(0).normal(size=(40, 2))
    values[:, 1] = values[:, 0] + 1e8
    found = estimated_spread(values, resamples=200, level=0.95, seed=0)
    for end in found:
        np.testing.assert_allclose(end[1], end[0], rtol=1e-6)
