"""Where a model's numbers are: its device and dtype."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["place_of"]


def place_of(model: nn.Module) -> Tensor:
    """A parameter or buffer of floating point, whose device and dtype are the model's; else a zero on the CPU."""
    numbers = (t for kind in (model.parameters(), model.buffers()) for t in kind)
    return next((t for t in numbers if t.is_floating_point()), torch.zeros(()))
