"""What looking into causes is given: a denoiser with its tap, and noisy images of each draw."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from analyses.ground import as_tap
from probekit.capture.survey import network_of
from probekit.denoising.denoiser import as_denoiser, clean_range
from probekit.errors import InputError
from probekit.phi.averages import clean_and_noise

if TYPE_CHECKING:
    from torch import Tensor, nn

    from probekit.images import ImageSet

__all__ = ["batches", "middle", "same_network"]


def same_network(denoiser: nn.Module, tap: Any) -> nn.Module:
    """The denoiser, if the tap is one of its network."""
    denoiser = as_denoiser(denoiser)
    if network_of(denoiser) is not network_of(as_tap(tap).denoiser):
        raise InputError(f"{tap} is not of this denoiser: make the tap of it, probekit.tap(denoiser, name)")
    return denoiser


def batches(
    source: ImageSet, draws: int, seed: int, size: int, place: Tensor
) -> Iterator[tuple[slice, Tensor, Tensor]]:
    """Positions, clean images and standard normal noise of each draw, so many images at a time."""
    for start in range(0, len(source), size):
        where = range(start, min(start + size, len(source)))
        for draw in range(draws):
            x, z = clean_and_noise(source, where, [draw] * len(where), seed=seed, place=place)
            yield slice(where.start, where.stop), x, z


def middle(denoiser: nn.Module) -> float:
    """Middle of the range of clean images; 0 where none is declared."""
    bounds = clean_range(denoiser)
    return 0.0 if bounds is None else (bounds[0] + bounds[1]) / 2
