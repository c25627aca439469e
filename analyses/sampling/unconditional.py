"""Unconditional samples of any denoiser, which need no tap to look through."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from analyses.sampling import schedules
from analyses.sampling.samplers import Unconditional
from analyses.sampling.walk import Task, Walk
from probekit.denoising.denoiser import as_denoiser, clean_range
from probekit.machine.modes import evaluating
from probekit.noise import standard_normal

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["sample"]


def sample(
    denoiser: nn.Module,
    shape: Sequence[int],
    *,
    n_samples: int,
    sigmas: Sequence[float] | None = None,
    seed: int = 0,
    batch_size: int = 64,
) -> Tensor:
    """Unconditional samples of a denoiser's own prior, by the annealed Langevin dynamics of `analyses.sampling`.

    Parameters
    ----------
    denoiser
        Any module that keeps the contract, or a blind network.
    shape
        (bands, rows, cols) of a sample.
    n_samples
        How many.
    sigmas
        Noise levels, falling; by default 20 from 1 to 0.01.
    seed
        Of all noise, which is addressed by (seed, sample, level).
    batch_size
        Samples made together.

    Returns
    -------
    Tensor
        (n_samples, bands, rows, cols), in intensity units, not clipped, where the denoiser's parameters are.

    Raises
    ------
    ModelError
        If the denoiser gives NaN or infinite values.

    Examples
    --------
    >>> sample(torch.nn.Identity(), (1, 4, 4), n_samples=3).shape
    torch.Size([3, 1, 4, 4])
    """
    denoiser = as_denoiser(denoiser)
    place = next((t for kind in (denoiser.parameters(), denoiser.buffers()) for t in kind), torch.zeros(()))
    levels = schedules.geometric() if sigmas is None else schedules.check(sigmas)
    bounds = clean_range(denoiser)
    start = 0.0 if bounds is None else (bounds[0] + bounds[1]) / 2
    found = []
    with evaluating(denoiser):
        for begin in range(0, n_samples, batch_size):
            names = [f"sample {k}" for k in range(begin, min(begin + batch_size, n_samples))]

            def noise(rows: Sequence[int], draws: Sequence[int], names: list[str] = names) -> Tensor:
                z = standard_normal(shape, seed=seed, ids=[names[r] for r in rows], draws=draws)
                return z.to(device=place.device, dtype=place.dtype)

            nothing = torch.zeros((len(levels), len(names), 1), device=place.device, dtype=place.dtype)
            blank = torch.full((len(names), *shape), start, device=place.device, dtype=place.dtype)
            task = Task(
                denoise=lambda y, sigma: denoiser(y, sigma),
                features=lambda y, _sigma: y.new_zeros((len(y), 1)),
                sigmas=levels,
                target=nothing,
                spread=nothing,
                weight=nothing[0],
                start=blank,
                noise=noise,
                names=names,
            )
            found.append(Unconditional().run(Walk(task)))
    return torch.cat(found)
