"""Modes of a network or of the processor, set for a while and put back exactly as they were."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from threading import RLock
from typing import Any

import torch
from torch import nn

from probekit.machine.memory import keep_freed

__all__ = [
    "evaluating",
    "every_module",
    "flushed_denormals",
    "flushing_denormals",
    "frozen",
    "on_trial",
    "threaded",
    "trying",
    "uncompiled",
]


def every_module(network: nn.Module) -> list[nn.Module]:
    """Each of a network's modules once, itself the first: those of `modules`, several times as fast."""
    found = [network]
    known = {id(network)}
    for module in found:
        for child in module._modules.values():
            if child is not None and id(child) not in known:
                known.add(id(child))
                found.append(child)
    return found


# How many open blocks keep a module out of training mode, by its id: those blocks hold it.
_EVALUATED: dict[int, int] = {}
# An open block may be ended by the collection of garbage, in the midst of a change.
_CHANGING = RLock()


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Every module in evaluation mode inside the block, in its own earlier mode once no thread is in such a block.

    The flags are set directly: a network's own ``train`` or ``eval`` may do more than that.
    """
    # Passes are about to be made, and take the same memory each.
    keep_freed()
    with _CHANGING:
        training = [module for module in every_module(model) if module.training or id(module) in _EVALUATED]
        for module in training:
            module.training = False
            _EVALUATED[id(module)] = _EVALUATED.get(id(module), 0) + 1
    try:
        yield
    finally:
        with _CHANGING:
            for module in training:
                _EVALUATED[id(module)] -= 1
                if not _EVALUATED[id(module)]:
                    del _EVALUATED[id(module)]
                    module.training = True


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """Parameters ask for no gradients inside the block, so that these are of images only; as before after it."""
    asked = [p for p in network.parameters() if p.requires_grad]
    for parameter in asked:
        parameter.requires_grad = False
    try:
        yield
    finally:
        for parameter in asked:
            parameter.requires_grad = True


_TRYING: ContextVar[bool] = ContextVar("trying", default=False)


@contextmanager
def trying() -> Iterator[None]:
    """Passes inside the block only find out what a network takes: whoever observes or edits it leaves them alone."""
    token = _TRYING.set(True)
    try:
        yield
    finally:
        _TRYING.reset(token)


# Whether this is inside a block of `trying`; asked for in every pass.
on_trial: Callable[[], bool] = _TRYING.get


def uncompiled() -> AbstractContextManager[Any]:
    """Whatever torch.compile has made of modules and functions runs as it was written inside the block."""
    # Importing the compiler takes seconds, and where nobody has there is nothing compiled.
    return torch.compiler.set_stance("force_eager") if "torch._dynamo" in sys.modules else nullcontext()


@contextmanager
def threaded(count: int | None) -> Iterator[None]:
    """As many threads of the CPU inside the block, which decide the last bits of sums; None for those there are."""
    before = torch.get_num_threads()
    torch.set_num_threads(before if count is None else count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def flushing_denormals() -> bool:
    """Whether numbers too small for full precision count as 0 in this thread; it can be seen only by making one."""
    return bool(torch.tensor([1e-42]) * 1 == 0)


@contextmanager
def flushed_denormals() -> Iterator[None]:
    """Numbers too small for full precision count as 0 inside the block: on CPUs they cost many times as much."""
    # Whoever computes so much that denormals matter takes the same memory many times, too.
    keep_freed()
    before = flushing_denormals()
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)
