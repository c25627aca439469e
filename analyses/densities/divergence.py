"""How far one law is from another, by how their denoisers differ along noise levels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from analyses.densities.kernels_distances import LEAST_SAMPLES
from analyses.ground import Findings, Variable, repeats
from probekit import checks
from probekit.errors import InputError

__all__ = ["DIVERGENCE", "along_noise", "divergence_terms", "empirical_denoiser"]

ConditionalDenoiser = Callable[[Tensor, float], Tensor]
DIVERGENCE = Findings(
    "densities.along_noise",
    {
        "squared_difference": Variable(
            ("sigma",), "mean of ‖D_a(y) − D_b(y)‖², summed over pixels", "squared intensity"
        ),
        "divergence": Variable((), "∫ E‖D_a − D_b‖² σ⁻³ dσ between the cut-offs", "nats"),
        "divergence_se": Variable((), "standard error of the divergence over samples", "nats"),
        "beyond": Variable(
            (), "½ E‖D_a − D_b‖²/σ² at the upper cut-off: what higher levels add if the difference stays", "nats"
        ),
    },
    coords={"sigma": "noise standard deviation"},
)


@DIVERGENCE.described
def along_noise(
    denoise_a: ConditionalDenoiser,
    denoise_b: ConditionalDenoiser,
    samples_a: Tensor,
    *,
    sigma: Sequence[float],
    draws: int = 1,
    seed: int = 0,
    batch_size: int = 256,
) -> xr.Dataset:
    """Divergence of one law from another by how their denoisers differ along noise levels.

    KL(p_a ‖ p_b) = ½ ∫ E‖D_a(y) − D_b(y)‖² d(1/σ²) = ∫ E‖D_a(y) − D_b(y)‖² σ⁻³ dσ, with y = x + σz, x ~ p_a
    (Verdú 2010, from the I-MMSE relation and de Bruijn's identity). Between a lower and an upper cut-off the integral
    is the divergence of the laws blurred by the first less that of those blurred by the second: finite where laws lie
    on different subspaces, whose own divergence is infinite. It needs denoisers that are each exact for their
    conditional law; an unconditional denoiser gives 0.

    Parameters
    ----------
    denoise_a, denoise_b
        From noisy images (n, ...) and σ to the posterior mean under each law.
    samples_a
        (n, ...), samples of the first law, at least 4. If `denoise_a` was made of samples, others.
    sigma
        Noise levels > 0, at least 3, in any order: the least is the lower cut-off, the largest the upper. Between
        neighbours a factor of 1.3 or less keeps the trapezoidal rule's error below some per cent.
    draws, seed
        Noise draws for each sample, and seed.
    batch_size
        Noisy images denoised together.

    Returns
    -------
    Dataset
        {findings}

    Raises
    ------
    InputError
        If samples are too few or not finite, or levels too few, repeated or not positive; if a denoiser returns
        another shape.

    Examples
    --------
    Of N(0, 1) from N(0, 4), in one dimension, it is ln 2 − 3/8 = 0.318:

    >>> def posterior_mean(variance):
    ...     return lambda y, sigma: y * variance / (variance + sigma**2)
    >>> x = torch.randn(4000, 1, generator=torch.Generator().manual_seed(0))
    >>> found = along_noise(posterior_mean(1), posterior_mean(4), x, sigma=np.geomspace(0.02, 50, 60))
    >>> round(float(found.divergence + found.beyond), 2)
    0.32
    """
    for name, denoise in (("denoise_a", denoise_a), ("denoise_b", denoise_b)):
        if not callable(denoise):
            raise InputError(f"{checks.given(name, denoise)}: give a function of noisy images and a noise level")
    levels = _levels(sigma)
    _check_samples("samples_a", samples_a, LEAST_SAMPLES)
    draws = repeats("draws", draws, least=1)
    batch_size = checks.whole("batch_size", batch_size, least=1)
    seed = checks.seeded(seed)
    squares = np.zeros((len(samples_a), len(levels)))
    rng = np.random.default_rng(seed)
    with torch.no_grad():
        for start in range(0, len(samples_a), batch_size):
            x = samples_a[start : start + batch_size]
            for _ in range(draws):
                # One z for all levels, so that the integrand is smooth.
                z = torch.from_numpy(rng.standard_normal(x.shape)).to(x)
                for s, level in enumerate(levels):
                    y = x + level * z
                    difference = _called(denoise_a, y, level) - _called(denoise_b, y, level)
                    squares[start : start + len(x), s] += difference.double().square().flatten(1).sum(1).cpu().numpy()
    squares /= draws
    each = divergence_terms(squares, levels)
    mean = squares.mean(axis=0)
    values = {
        "squared_difference": mean,
        "divergence": each.mean(),
        "divergence_se": each.std(ddof=1) / np.sqrt(len(each)),
        "beyond": mean[-1] / (2 * levels[-1] ** 2),
    }
    return DIVERGENCE.label(values, xr.Dataset(), coords={"sigma": levels}, draws=draws, seed=seed)


def empirical_denoiser(samples: Tensor) -> Callable[[Tensor, float], Tensor]:
    """The posterior mean under the law that puts equal weight on each sample.

    D(y) = Σ_i w_i x_i with w_i ∝ exp(−‖y − x_i‖²/2σ²): exact for that law, and for the law that the samples are
    of only where σ is no smaller than the distances between neighbouring samples.

    Parameters
    ----------
    samples
        (n, ...).

    Returns
    -------
    callable
        From y (m, ...) and σ > 0 to (m, ...).

    Raises
    ------
    InputError
        If the samples are no tensor, none or not finite.

    Examples
    --------
    >>> denoise = empirical_denoiser(torch.tensor([[0.0], [1.0]]))
    >>> denoise(torch.tensor([[0.9]]), 0.1)
    tensor([[1.]])
    """
    _check_samples("samples", samples, 1)
    flat = samples.flatten(1)
    square = (flat**2).sum(dim=1)

    def denoise(y: Tensor, sigma: float) -> Tensor:
        # The square of y is the same for every sample, and drops out of the weights.
        logs = (y.flatten(1) @ flat.T - square / 2) / sigma**2
        return (torch.softmax(logs, dim=1) @ flat).view_as(y)

    return denoise


def divergence_terms(differences: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """∫ σ⁻³ d(σ) dσ of each row of squared differences (samples, levels), in log σ by the trapezoidal rule.

    Parameters
    ----------
    differences
        (samples, levels), d at each level.
    levels
        (levels), rising, > 0.

    Returns
    -------
    ndarray
        (samples).
    """
    return np.asarray(np.trapezoid(differences / levels**2, np.log(levels), axis=1))


def _levels(sigma: Sequence[float]) -> np.ndarray:
    wanted = "at least 3 different finite noise levels > 0"
    found = [checks.number("sigma", one, wanted, good=lambda v: v > 0) for one in checks.listed("sigma", sigma, wanted)]
    if len(set(found)) < max(len(found), 3):
        raise InputError(f"sigma={found}: give {wanted}")
    return np.sort(found)


def _check_samples(name: str, samples: Any, least: int) -> None:
    if not isinstance(samples, torch.Tensor) or samples.ndim < 2 or len(samples) < least:
        got = tuple(samples.shape) if isinstance(samples, torch.Tensor) else type(samples).__name__
        raise InputError(f"{name} is {got}: give a tensor (n, ...) of at least {least} samples")
    if not samples.is_floating_point() or samples.layout is not torch.strided or samples.is_meta:
        kind = f"{samples.dtype}, {samples.layout}, on {samples.device}"
        raise InputError(f"{name} is a tensor of {kind}: give floating-point numbers, dense, e.g. samples.float()")
    if not bool(torch.isfinite(samples).all()):
        raise InputError(f"{name} holds NaN or infinite values: remove or mend those samples")


def _called(denoise: ConditionalDenoiser, y: Tensor, sigma: float) -> Tensor:
    clean = denoise(y, sigma)
    if not isinstance(clean, torch.Tensor) or clean.shape != y.shape:
        got = tuple(clean.shape) if isinstance(clean, torch.Tensor) else type(clean).__name__
        raise InputError(f"a denoiser made {got} of images {tuple(y.shape)}: it must return a tensor of their shape")
    return clean
