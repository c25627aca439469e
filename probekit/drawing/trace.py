"""One forward pass written down: which module was called within which, what each took of the work, what fed what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from probekit.capture.items import tensors_of
from probekit.capture.survey import Operations, tappable

if TYPE_CHECKING:
    from torch import nn

__all__ = ["Call", "Operation", "Trace", "tracing"]

# Dims of a batch of maps: (image, channel, row, col).
MAP_DIMS = 4


class Operation(NamedTuple):
    """One tensor operation: its name, and the memory that it read and wrote, by identity."""

    name: str
    read: tuple[int, ...]
    written: tuple[int, ...]


@dataclass(eq=False)
class Call:
    """One call of a module in the pass.

    Attributes
    ----------
    path, index
        Which module, and which of its calls, from 0.
    parent : Call or None
        The call within which it was made; None for the network's own.
    started, ended : int
        Operations before it and until its end, of the whole pass.
    work : float
        Arithmetic in it, in floating-point operations, as far as they are counted.
    given, returned : tuple of int
        Memory of the maps that it was given and of the tensors that it returned.
    shape : tuple of int
        Of the first batch of maps that it returned; empty where there is none.
    children : list of Call
        The calls made within it, in order.
    """

    path: str
    index: int
    parent: Call | None
    started: int
    given: tuple[int, ...]
    ended: int = -1
    work: float = 0.0
    returned: tuple[int, ...] = ()
    shape: tuple[int, ...] = ()
    children: list[Call] = field(default_factory=list)


@dataclass
class Trace:
    """The last forward pass seen: the network's own call, within which all others are, and every operation."""

    root: Call | None = None
    operations: list[Operation] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    open: list[Call] = field(default_factory=list)


@contextmanager
def tracing(network: nn.Module) -> Iterator[Trace]:
    """Write down the forward passes of the network while the block runs; of several, the last.

    Memory is told apart rather than tensors, so that views and operations in place are followed too.
    """
    trace = Trace()
    paths = tappable(network)

    def enter(module: nn.Module, given: tuple[Any, ...], named: dict[str, Any]) -> None:
        if module is network:
            trace.counts.clear()
            trace.operations.clear()
            trace.open.clear()
        path = paths[module]
        parent = trace.open[-1] if trace.open else None
        maps = [t for t in _tensors((given, named)) if t.ndim == MAP_DIMS]
        call = Call(path, trace.counts[path], parent, len(trace.operations), _memory(maps))
        call.work = -float(operations.total)
        trace.counts[path] += 1
        trace.open.append(call)
        if parent is None:
            trace.root = call
        else:
            parent.children.append(call)

    def leave(_module: nn.Module, _given: Any, output: Any) -> None:
        call = trace.open.pop()
        call.ended = len(trace.operations)
        call.work += float(operations.total)
        call.returned = _memory(output)
        call.shape = next((tuple(t.shape) for t in _tensors(output) if t.ndim == MAP_DIMS), ())

    with ExitStack() as stack:
        operations = stack.enter_context(Operations())
        stack.enter_context(_Recording(trace.operations))
        for module in paths:
            stack.callback(module.register_forward_pre_hook(enter, with_kwargs=True).remove)
            stack.callback(module.register_forward_hook(leave).remove)
        yield trace


class _Recording(TorchDispatchMode):
    """Appends every operation to a list."""

    def __init__(self, operations: list[Operation]) -> None:
        super().__init__()
        self.operations = operations

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        made = func(*args, **kwargs)
        name = str(func).split(".")[1]
        self.operations.append(Operation(name, _memory((args, kwargs)), _memory(made)))
        return made


def _memory(value: Any) -> tuple[int, ...]:
    """The memory of the tensors in a value, each once; what has no memory of its own is passed over."""
    found: dict[int, None] = {}
    for tensor in _tensors(value):
        try:
            found[tensor.untyped_storage()._cdata] = None
        except (NotImplementedError, RuntimeError):
            continue
    return tuple(found)


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    yield from tensors_of(value).values()
