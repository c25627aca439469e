"""Telling functions and networks apart by what they do, beyond their weights."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Mapping
from functools import partial
from types import MethodType, ModuleType
from typing import Any

import torch
from torch import nn

from probekit.checks import given
from probekit.errors import InputError
from probekit.machine import scripted
from probekit.machine.walk import NOTES, PLAIN, Walk, short
from probekit.machine.weights import weights_sha256

__all__ = ["identity", "modules_of", "named"]

LENGTH = 12
# What every module has, of torch's own, and what torch.compile adds.
TORCHS = frozenset(vars(nn.Module())) | {"_compiled_call_impl", "_is_torch_compile"}
HOOKS = ("_forward_pre_hooks", "_forward_hooks")
# Where torch keeps hooks of all modules.
EVERYWHERE = sys.modules["torch.nn.modules.module"]


def identity(value: Any) -> str:
    """A short hash of what decides what a value does: the same in every process, another for one that acts otherwise.

    Of functions and of objects' classes it covers the code, without comments, docstrings, annotations and layout,
    with defaults, closures and what they refer to; whatever belongs to Python, an installed package or this one counts
    by its name, so that an upgrade changes nothing. Of tensors and arrays it covers type, shape and content, of
    networks structure and weights. What a function writes to itself (a counter, a cache) is its history, and left
    out. A class with a tuple `identified_by` of names of attributes counts by these alone.

    Raises
    ------
    InputError
        If something is reached whose behaviour cannot be seen, such as a generator or an open file.

    Examples
    --------
    >>> identity(lambda a: a.mean((2, 3))) == identity(lambda a: a.mean(  (2, 3)  ))
    True
    >>> identity(lambda a: a.mean((2, 3))) == identity(lambda a: a.mean((2, 2)))
    False
    """
    return _guarded(walk := _Walk(), lambda: walk.text(value))


def modules_of(network: nn.Module, without: Collection[str] | None = None) -> dict[str, str]:
    """What each module of a network does, apart from its weights and buffers: class and hash, by module path.

    The hash covers the class (its code where it is no installed one's), the attributes, the hooks of the forward pass,
    and which modules it holds; modules that torch.compile made are seen as what they were made of.

    Parameters
    ----------
    network
        The network; nothing of it is changed, and no weights are read.
    without
        Dotted names of attributes that do not count, such as counters and caches, which a pass changes; of a class,
        ``"Net.calls"``. None where no pass was seen: then nothing counts that a pass may set.

    Examples
    --------
    >>> list(modules_of(nn.Sequential(nn.Conv2d(1, 1, 3), nn.ReLU())))
    ['', '0', '1']
    """
    modules = _modules(network)
    walk = _Walk(
        paths={id(module): path for path, _, made in modules for module in made},
        without=None if without is None else frozenset(name.replace("_orig_mod.", "") for name in without),
        strict=False,
    )
    texts = {}
    for path, module, made in modules:
        own = walk.afresh()
        texts[path] = f"{_shown(module)} {_guarded(own, partial(own.module, module, made))}"
    return texts


def named(function: Callable[..., Any]) -> str:
    """The name of a function and its identity, such as "mypkg.measures.top_mean 1a2b3c4d5e6f".

    Raises
    ------
    InputError
        If it is a lambda, a functools.partial or another callable without a name of its own, no callable, or its
        identity cannot be told.
    """
    if not callable(function):
        raise InputError(f"{given('function', function)}: give a function")
    own = function.__func__ if isinstance(function, MethodType) else function
    own = own if hasattr(own, "__qualname__") else type(own)
    name = getattr(own, "__qualname__", "")
    if own is partial or isinstance(function, partial):
        raise InputError(
            "a functools.partial has no name that results could be kept under: write def NAME(maps): return "
            "FUNCTION(maps, ...) in a module and give NAME"
        )
    if not name.rpartition(".")[2].isidentifier():
        raise InputError(
            f"{name or given('function', function)} has no name that results could be kept under: write "
            "def NAME(maps): ... in a module and give NAME"
        )
    module = getattr(own, "__module__", None)
    return f"{f'{module}.' if module else ''}{name} {identity(function)}"


def _guarded(walk: _Walk, make: Callable[[], str]) -> str:
    try:
        text = make()
    except RecursionError:
        raise InputError(
            f"{walk.place(first=3)} is nested too deeply to be told apart: give what it needs as numbers, "
            "arrays or tensors"
        ) from None
    return short(text)[:LENGTH]


class _Walk(Walk):
    """A walk that goes into networks."""

    def network(self, network: nn.Module) -> str:
        """A network outside the one that is looked at: its structure and weights."""
        number, strict = self.number(network), self.strict
        modules = _modules(network)
        self.paths |= {id(m): f"{number}.{path}" for path, _, made in modules for m in made if id(m) not in self.paths}
        self.strict = False
        try:
            texts = [f"{path} {self.module(module, made)}" for path, module, made in modules]
        finally:
            self.strict = strict
        state = dict(network.named_buffers()) | network.state_dict()
        return short("network", *texts, weights_sha256(state))

    def module(self, module: nn.Module, made: list[nn.Module]) -> str:
        """One module without its weights and children; `made` are the wrappers of torch.compile, and itself."""
        kind, path = type(module), self.paths[id(module)]
        hooks = [text for one in made for text in self._hooks(one)]
        if not path:
            hooks += self._hooks(EVERYWHERE, "_global")
        if isinstance(module, torch.jit.ScriptModule):
            return short("script", scripted.graph(module), self.text(scripted.attributes(module)), *hooks)
        graph = module.code if isinstance(module, torch.fx.GraphModule) else ""
        attributes = {
            name: value
            for name, value in self._lasting(kind, vars(module)).items()
            if name not in TORCHS
            and not name.startswith("__")
            and f"{path}.{name}".lstrip(".") not in (self.without or ())
            and not (graph and name in ("_graph", "_code"))
        }
        children = {name: None if c is None else self.paths[id(c)] for name, c in module._modules.items()}
        with self.inside(path or kind.__qualname__):
            # Hashed once for all modules of the class, whatever they hold.
            if kind not in self.classes:
                self.classes[kind] = self.afresh().kind(kind)
            return short(self.classes[kind], graph, self.text(attributes), self.text(list(children.items())), *hooks)

    def _lasting(self, kind: type, attributes: Mapping[str, Any]) -> dict[str, Any]:
        """Attributes that count: where what a pass changes is known, all numbers and texts but these do.

        What a pass may set and is a tensor or a container is a cache, and is there or not as passes went before.
        """
        kept = self.lasting(kind, attributes)
        if self.without is None:
            return kept
        return kept | {k: v for k, v in attributes.items() if v is not None and isinstance(v, PLAIN) and k not in NOTES}

    def _hooks(self, module: nn.Module | ModuleType, prefix: str = "") -> list[str]:
        found = []
        for kind in HOOKS:
            for key, hook in getattr(module, prefix + kind, {}).items():
                options = [
                    key in getattr(module, f"{prefix}{kind}_{how}", {}) for how in ("with_kwargs", "always_called")
                ]
                found += [kind, str(options), self.text(hook)]
        return found


def _modules(network: nn.Module) -> list[tuple[str, nn.Module, list[nn.Module]]]:
    """Path, module and what torch.compile made of it, then itself; each module once."""
    made: dict[str, list[nn.Module]] = {}
    for path, module in network.named_modules():
        plain = ".".join(part for part in path.split(".") if part != "_orig_mod")
        made.setdefault(plain, []).append(module)
    return [(path, several[-1], several) for path, several in made.items()]


def _shown(module: nn.Module) -> str:
    return getattr(module, "original_name", None) or type(module).__name__
