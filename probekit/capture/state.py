"""What a network keeps outside its parameters, such as skips on an attribute or counters: seen, and put back."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from types import FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

__all__ = ["State", "preserved"]

# Containers and plain objects are followed so deep, as in self.cache.skips["down"]; longer ones are not.
DEPTH, LONGEST = 3, 10_000
# What torch itself keeps in a module's __dict__, its distributed states among them.
TORCHS = ("_parameters", "_modules", "_buffers", "training")
HOOKS = ("__", "_forward_", "_backward_", "_state_dict_", "_load_state_", "_is_full_backward", "_non_persistent")
SCALARS = (bool, int, float, complex, str, bytes, type(None))
LISTS = (list, deque, tuple)
# Of classes only what is plainly data is looked at.
DATA = (bool, int, float, complex, dict, *LISTS, set, np.ndarray, Tensor)
OPAQUE = (nn.Module, type, FunctionType, MethodType, ModuleType, dict, *LISTS, set, frozenset)


class State:
    """The attributes, buffers and parameters of a network's modules at one moment, to compare with and go back to."""

    def __init__(self, network: nn.Module) -> None:
        # Values are kept, not only their identities, which Python would give to others.
        self._modules = [
            (path, module, _attributes(module), _versions(module), _kept_buffers(module))
            for path, module in network.named_modules()
            if not isinstance(module, torch.jit.ScriptModule)
        ]
        classes = dict.fromkeys(own for _, module, *_ in self._modules for own in type(module).__mro__)
        self._classes = [
            (own, _data_of(own)) for own in classes if not own.__module__.startswith(("torch.", "builtins"))
        ]

    def changed(self) -> tuple[str, ...]:
        """Names of what is not as it was; of a parameter, that it is another or was written to, not what it holds."""
        found = []
        for path, module, attributes, parameters, buffers in self._modules:
            now = {k: v for k, v in vars(module).items() if _belongs(k)}
            names = [k for k, v in now.items() if k not in attributes or attributes[k].differs(v)]
            names += [k for k in attributes if k not in now]
            names += [k for k, kept in buffers.items() if kept.differs(module._buffers.get(k))]
            versions = _versions(module)
            names += [k for k, kept in parameters.items() if versions.get(k) != kept]
            found += [f"{path}.{name}".lstrip(".") for name in names]
        for own, kept in self._classes:
            found += [f"{own.__name__}.{name}" for name, value in kept.items() if value.differs(vars(own).get(name))]
        return tuple(found)

    def restore(self) -> None:
        """Put attributes and buffers back; parameters stay as they are."""
        for _, module, attributes, _, buffers in self._modules:
            for name in [k for k in vars(module) if _belongs(k) and k not in attributes]:
                del vars(module)[name]
            vars(module).update({name: kept.restored() for name, kept in attributes.items()})
            module._buffers.update({name: kept.restored() for name, kept in buffers.items()})
        for own, kept in self._classes:
            for name, value in kept.items():
                if value.differs(vars(own).get(name)):
                    setattr(own, name, value.restored())


@contextmanager
def preserved(network: nn.Module) -> Iterator[State]:
    """After the block, also where it fails, the network's attributes and buffers are as they were before it."""
    state = State(network)
    try:
        yield state
    finally:
        state.restore()


class _Kept:
    """One value as it was: itself, and what it held where that can change in place."""

    def __init__(self, value: Any, depth: int = DEPTH) -> None:
        self.value = value
        self.content: Any = None
        # Most attributes by far: plain numbers, flags and names, which nothing can change in place.
        if type(value) in SCALARS:
            return
        if isinstance(value, Tensor):
            self.content = value.detach().clone()
        elif isinstance(value, np.ndarray):
            self.content = value.copy()
        elif depth and isinstance(value, dict) and len(value) <= LONGEST:
            self.content = {k: _Kept(v, depth - 1) for k, v in value.items()}
        elif depth and isinstance(value, LISTS) and len(value) <= LONGEST:
            self.content = [_Kept(v, depth - 1) for v in value]
        elif isinstance(value, set) and len(value) <= LONGEST:
            self.content = set(value)
        elif depth > 1 and _plain(value):
            # Of an object within an object only the containers are followed, not all that they lead to.
            self.content = {k: _Kept(v, depth - 2) for k, v in vars(value).items()}

    def differs(self, now: Any) -> bool:
        """Whether `now` is another value, or holds something else than this did."""
        if now is self.value and self.content is None:
            return False
        if isinstance(self.value, Tensor):
            return not _alike(now, self.content)
        if isinstance(self.value, np.ndarray):
            return not (isinstance(now, np.ndarray) and now.dtype == self.content.dtype and _same(now, self.content))
        if now is not self.value:
            return not (isinstance(now, SCALARS) and type(now) is type(self.value) and now == self.value)
        if isinstance(self.content, dict):
            held = now if isinstance(now, dict) else vars(now)
            return held.keys() != self.content.keys() or any(k.differs(held[n]) for n, k in self.content.items())
        if isinstance(self.content, list):
            pairs = zip(self.content, now, strict=False)
            return len(now) != len(self.content) or any(kept.differs(value) for kept, value in pairs)
        return isinstance(self.content, set) and now != self.content

    def restored(self) -> Any:
        """The value, holding again what it held."""
        if self.content is None:
            return self.value
        if isinstance(self.value, Tensor):
            if not _alike(self.value, self.content):
                with torch.no_grad():
                    self.value.copy_(self.content)
        elif not self.differs(self.value):
            pass
        elif isinstance(self.value, np.ndarray):
            self.value[...] = self.content
        elif isinstance(self.content, dict):
            into = self.value if isinstance(self.value, dict) else vars(self.value)
            _refill(into, {k: kept.restored() for k, kept in self.content.items()})
        elif isinstance(self.content, list):
            held = [kept.restored() for kept in self.content]
            if not isinstance(self.value, tuple):
                self.value.clear()
                self.value.extend(held)
        elif isinstance(self.content, set):
            _refill(self.value, self.content)
        return self.value


def _attributes(module: nn.Module) -> dict[str, _Kept]:
    return {name: _Kept(value) for name, value in vars(module).items() if _belongs(name)}


def _versions(module: nn.Module) -> dict[str, tuple[int, int | None]]:
    """Which parameters there are, and how often torch has counted changes in place; copies would take their memory."""
    held = {k: p for k, p in module._parameters.items() if p is not None}
    return {k: (id(p), None if p.is_inference() else p._version) for k, p in held.items()}


def _kept_buffers(module: nn.Module) -> dict[str, _Kept]:
    return {name: _Kept(buffer) for name, buffer in module._buffers.items() if buffer is not None}


def _data_of(own: type) -> dict[str, _Kept]:
    return {k: _Kept(v) for k, v in vars(own).items() if isinstance(v, DATA) and not k.startswith("__")}


def _same(a: np.ndarray, b: np.ndarray) -> bool:
    return a.shape == b.shape and bool(((a == b) | ((a != a) & (b != b))).all())


@lru_cache(4096)
def _belongs(name: str) -> bool:
    return name not in TORCHS and not name.startswith(HOOKS)


def _plain(value: Any) -> bool:
    return not isinstance(value, OPAQUE) and isinstance(getattr(value, "__dict__", None), dict)


def _refill(container: Any, content: Any) -> None:
    container.clear()
    container.update(content)


def _alike(a: Any, b: Tensor) -> bool:
    """Whether `a` is a tensor of the same numbers, NaN counting as itself."""
    if not isinstance(a, Tensor) or a.shape != b.shape or a.dtype != b.dtype or a.device != b.device:
        return False
    return a.is_meta or bool(((a == b) | ((a != a) & (b != b))).all())
