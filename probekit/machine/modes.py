"""Modes of a network or of the processor, set for a while and put back exactly as they were."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

__all__ = ["evaluating", "flushed_denormals"]


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Every module in evaluation mode inside the block, in its own earlier mode afterwards.

    The flags are set directly: a network's own ``train`` or ``eval`` may do more than that.
    """
    training = [module for module in model.modules() if module.training]
    for module in training:
        module.training = False
    try:
        yield
    finally:
        for module in training:
            module.training = True


@contextmanager
def flushed_denormals() -> Iterator[None]:
    """Numbers too small for full precision count as 0 inside the block: on CPUs they cost many times as much."""
    # Whether they were flushed before can be seen only by making one.
    before = bool(torch.tensor([1e-42]) * 1 == 0)
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)
