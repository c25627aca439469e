"""The denoisers that are asked for σ, by name, and whether they are told it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from analyses.ground import as_network
from probekit import checks
from probekit.denoising.denoiser import Denoiser, refuse_lazy
from probekit.errors import InputError, ModelError
from probekit.machine.modes import evaluating
from probekit.machine.place import place_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

__all__ = ["denoising", "is_told", "networks_of"]

WANTED = "a denoiser, or a mapping from names to denoisers, e.g. {'blind': 'photo32', 'told': 'photo32-sigma'}"


def networks_of(denoisers: Any) -> dict[str, nn.Module]:
    """Denoisers by name; one alone is called after itself.

    Raises
    ------
    InputError
        If there is none, or one is no denoiser.
    """
    if isinstance(denoisers, str | Path | nn.Module):
        one = as_network(denoisers)
        return {str(getattr(one, "name", type(one).__name__)): one}
    if not isinstance(denoisers, Mapping):
        raise InputError(f"{checks.given('denoisers', denoisers)}: give {WANTED}")
    found = checks.mapping("denoisers", denoisers, WANTED)
    if not found:
        raise InputError(f"denoisers is empty: give {WANTED}")
    return {name: as_network(one) for name, one in found.items()}


def is_told(denoiser: nn.Module) -> bool:
    """Whether σ goes into it: into what keeps the contract itself, is told σ, or has its input scaled by σ."""
    if not isinstance(denoiser, Denoiser):
        return True
    return denoiser.sigma_to is not None or denoiser.scaling is not None


@contextmanager
def denoising(name: str, denoiser: nn.Module) -> Iterator[Callable[[Tensor, float], Tensor]]:
    """A function from noisy images, on the CPU, and σ to clean ones there; no gradients, evaluation mode.

    Raises
    ------
    ModelError
        If it has no weights yet, or what it gives is not finite.
    """
    refuse_lazy(denoiser)
    place = place_of(denoiser)

    def denoise(y: Tensor, sigma: float) -> Tensor:
        clean = denoiser(y.to(place.device, place.dtype), sigma).to(y)
        if not bool(torch.isfinite(clean).all()):
            raise ModelError(
                f"{name} gives NaN or infinite values at σ = {sigma:g}: look at its weights, or give noise levels that "
                "it was trained on"
            )
        return clean

    with ExitStack() as stack:
        stack.enter_context(evaluating(denoiser))
        stack.enter_context(torch.inference_mode())
        yield denoise
