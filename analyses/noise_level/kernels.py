"""The noise level that a residual says, and the spread of numbers over images; arrays and tensors only."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from analyses.ground import Estimate, interval, resampled_means

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["deviation", "estimated_spread", "walked"]


def deviation(residual: Tensor) -> Tensor:
    """‖r‖/√N of residuals (n, C, H, W) of N = C·H·W numbers each, (n,), in double precision."""
    return residual.double().square().flatten(1).mean(dim=1).sqrt()


def walked(
    denoise: Callable[[Tensor, float], Tensor], start: Tensor, sigmas: Sequence[float], noise: Callable[[int], Tensor]
) -> Iterator[Tensor]:
    """σ̂ at each level of Algorithm 1's score steps: y = x + σ_t z, σ̂ = ‖D(y) − y‖/√N, x = D(y).

    Parameters
    ----------
    denoise
        From noisy images (n, C, H, W) and their noise level to clean ones.
    start
        x at the beginning.
    sigmas
        σ_1 > … > σ_T.
    noise
        From t = 0, 1, … to z.

    Yields
    ------
    Tensor
        (n,) for each level.
    """
    x = start
    for t, sigma in enumerate(sigmas):
        y = x + sigma * noise(t)
        x = denoise(y, sigma)
        yield deviation(x - y)


def estimated_spread(values: np.ndarray, *, resamples: int, level: float, seed: int) -> Estimate:
    """Standard deviation over axis 0, n − 1 in the denominator, with its interval from images resampled."""
    n = len(values)
    if n < 2:
        return Estimate(*np.full((3, *values.shape[1:]), np.nan))
    # About the mean, so that squares lose no digits.
    centred = values - values.mean(axis=0)
    both = resampled_means(np.stack([centred, centred**2], axis=-1), resamples=resamples, seed=seed)
    drawn = np.sqrt(np.maximum(0, both[..., 1] - both[..., 0] ** 2) * n / (n - 1))
    return Estimate(values.std(axis=0, ddof=1), *interval(drawn, level, units=n))
