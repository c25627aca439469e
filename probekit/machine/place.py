"""Where a model's numbers are: its device and dtype."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch.nn.modules.conv import _ConvNd

from probekit.machine.memory import refuse_array

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["place_of", "zeros_for"]


def place_of(model: nn.Module, otherwise: Tensor | None = None) -> Tensor:
    """A parameter or buffer of floating point, whose device and dtype are those that the model computes images with.

    A weight of the first convolution, since what stands before it (a scale, an embedding of labels) may be of
    another type; else the first parameter, else the first buffer. What is on the meta device, as weights are that
    are loaded only when they are needed, decides where there is nothing else. Where the model has no such number,
    `otherwise`, by default a float32 zero on the CPU.
    """
    elsewhere = None
    # Asked for at every pass, and answered by the first convolution of most networks.
    for number in _numbers(model):
        if number.is_floating_point() and not number.is_meta:
            return number
        if number.is_floating_point() and elsewhere is None:
            elsewhere = number
    held = otherwise if elsewhere is None else elsewhere
    return torch.zeros(()) if held is None else held


def _numbers(model: nn.Module) -> Iterator[Tensor]:
    """Parameters and buffers, kernels of convolutions before all others."""
    for convolution in (m for m in model.modules() if isinstance(m, _ConvNd)):
        kernel = convolution._parameters.get("weight")
        if kernel is not None:
            yield kernel
        # A reparametrised kernel is held by a submodule, behind the bias.
        yield from sorted(convolution.parameters(), key=lambda p: p.ndim, reverse=True)
    # Of classes that are not torch's own, as in EDM's code.
    named = (m for m in model.modules() if "conv" in type(m).__name__.lower())
    yield from (p for m in named for p in m.parameters(recurse=False) if p.ndim >= 4)
    yield from model.parameters()
    yield from model.buffers()


def zeros_for(model: nn.Module, *shape: int) -> Tensor:
    """A tensor of zeros that the model can compute with: of its dtype and on its device.

    Raises
    ------
    CapacityError
        If it does not fit in memory.
    """
    place = place_of(model)
    refuse_array(shape, place.dtype.itemsize, device=place.device, hint="give smaller images")
    return torch.zeros(shape, dtype=place.dtype, device=place.device)
