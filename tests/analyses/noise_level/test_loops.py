"""Residuals, walks and spreads against plain loops over single images and over resamples written out."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from analyses.noise_level import kernels


def root_mean_square(numbers: np.ndarray) -> float:
    return math.sqrt(sum(float(x) ** 2 for x in numbers.ravel()) / numbers.size)


@pytest.mark.parametrize("shape", [(4, 3, 2, 5), (1, 1, 1, 1), (3, 1, 4, 4)])
def test_a_residuals_deviation_is_the_root_of_each_images_mean_square(shape: tuple[int, ...]) -> None:
    # Squares of such numbers overflow single precision.
    residual = 1e25 * torch.randn(shape, generator=torch.Generator().manual_seed(0))
    found = kernels.deviation(residual)
    assert found.dtype == torch.float64
    np.testing.assert_allclose(found, [root_mean_square(one) for one in residual.numpy()])


def noise_at(t: int) -> Tensor:
    return torch.randn(3, 2, 4, 4, generator=torch.Generator().manual_seed(t), dtype=torch.float64)


def denoised(y: Tensor, sigma: float) -> Tensor:
    return torch.tanh(y) / (1 + sigma)


@pytest.mark.parametrize("sigmas", [[1.0, 0.5, 0.1], [0.3], []])
@pytest.mark.parametrize("denoise", [denoised, lambda y, sigma: y - sigma])
def test_a_walk_adds_noise_of_each_level_to_what_the_last_denoising_gave(
    sigmas: list[float], denoise: Callable[[Tensor, float], Tensor]
) -> None:
    x = noise_at(100)
    found = list(kernels.walked(denoise, x, sigmas, noise_at))
    assert len(found) == len(sigmas)
    for t, sigma in enumerate(sigmas):
        y = x + sigma * noise_at(t)
        x = denoise(y, sigma)
        np.testing.assert_allclose(found[t], [root_mean_square(one) for one in (x - y).numpy()])


def widened(drawn: np.ndarray, n: int, level: float) -> list[float]:
    """Percentiles as many normal deviations out as Student's t of n − 1 degrees is, times √(n/(n − 1))."""
    tail = stats.norm.cdf(stats.t.ppf((1 - level) / 2, n - 1) * math.sqrt(n / (n - 1)))
    return [float(np.quantile(drawn, share)) for share in (tail, 1 - tail)]


@pytest.mark.parametrize("n", [2, 3, 12])
@pytest.mark.parametrize(("resamples", "level", "seed"), [(50, 0.9, 3), (80, 0.5, 0)])
def test_a_spread_is_that_of_the_images_with_an_interval_of_that_of_images_drawn(
    n: int, resamples: int, level: float, seed: int
) -> None:
    rng = np.random.default_rng(n)
    scale = np.array([[1e-3, 0.1, 1.0], [0.3, 5.0, 0.0]])
    # Squares of the largest have sixteen digits before what differs.
    middle = np.array([[1e4, 1e8, -1e8], [0.0, 3.0, 0.1]])
    values = middle + scale * rng.normal(size=(n, 2, 3))
    found = kernels.estimated_spread(values, resamples=resamples, level=level, seed=seed)
    chosen = np.random.default_rng(seed).integers(n, size=(resamples, n))
    for at in np.ndindex(2, 3):
        column = values[(slice(None), *at)]
        # About the first image, so that differences alone are squared.
        drawn = np.array([np.std(column[one] - column[0], ddof=1) for one in chosen])
        expected = [np.std(column - column[0], ddof=1), *widened(drawn, n, level)]
        # Of the numbers, and of their squares under the root where one image was drawn again and again.
        rounding = 2.0**-50 * abs(middle[at]) + 2.0**-24 * scale[at]
        np.testing.assert_allclose([one[at] for one in found], expected, rtol=1e-6, atol=rounding)


@pytest.mark.parametrize("dims", [(), (2,), (2, 3)])
def test_one_image_has_no_spread(dims: tuple[int, ...]) -> None:
    found = kernels.estimated_spread(np.ones((1, *dims)), resamples=10, level=0.9, seed=0)
    assert [np.shape(one) for one in found] == [dims] * 3
    assert all(np.isnan(one).all() for one in found)
