"""Where a model's numbers are: its device and dtype."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["place_of", "zeros_for"]


def place_of(model: nn.Module, otherwise: Tensor | None = None) -> Tensor:
    """A parameter or buffer of floating point, whose device and dtype are the model's.

    Where it has none, `otherwise`, by default a float32 zero on the CPU.
    """
    numbers = (t for kind in (model.parameters(), model.buffers()) for t in kind)
    found = next((t for t in numbers if t.is_floating_point()), otherwise)
    return torch.zeros(()) if found is None else found


def zeros_for(model: nn.Module, *shape: int) -> Tensor:
    """A tensor of zeros that the model can compute with: of its dtype and on its device."""
    place = place_of(model)
    return torch.zeros(shape, dtype=place.dtype, device=place.device)
