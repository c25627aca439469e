"""One walk through a value and all that it refers to, to say in short what it does."""

from __future__ import annotations

import copyreg
import hashlib
import json
import logging
import random
import weakref
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from enum import Enum
from functools import cached_property
from pathlib import PurePath
from types import (
    BuiltinFunctionType,
    CodeType,
    FrameType,
    FunctionType,
    MappingProxyType,
    MethodType,
    ModuleType,
)
from typing import Any, Self, cast

import numpy as np
import torch
from torch import Tensor, nn

from probekit.errors import InputError
from probekit.machine import scripted
from probekit.machine.code import Code, of_function
from probekit.machine.origin import (
    imported,
    is_generated,
    is_importable,
    is_in_a_package,
    is_installed,
    is_installed_class,
    is_installed_code,
    put_in,
)
from probekit.machine.weights import weights_sha256

__all__ = ["Walk", "short"]

SAID = (torch.dtype, torch.device, torch.layout, torch.memory_format, type(Ellipsis), type(NotImplemented), range)
RANDOM = (torch.Generator, np.random.Generator, np.random.RandomState, np.random.BitGenerator, random.Random)
PLAIN = (type(None), bool, int, float, complex, str, bytes)
DATA = (*PLAIN, list, deque, tuple, dict, set, frozenset, np.ndarray, Tensor)
# What functools.update_wrapper copies.
NOTES = {"__module__", "__name__", "__qualname__", "__doc__", "__annotations__", "__type_params__"}
MAKING = {"__init__", "__post_init__"}
WRAPPED = ("__func__", "fget", "fset", "fdel", "func")
MISSING = object()


class Walk:
    """One walk through a value and all that it refers to, each function, class and object described once.

    Parameters
    ----------
    paths
        Paths of a network's modules by id: they are named, not described.
    without
        Dotted names of attributes that do not count.
    strict
        Whether what cannot be seen is refused, or counts by its class.
    """

    def __init__(
        self, paths: Mapping[int, str] | None = None, without: frozenset[str] | None = None, strict: bool = True
    ) -> None:
        self.paths = dict(paths or {})
        self.without = without
        self.strict = strict
        # The values are kept, since Python would give their ids to others.
        self._numbers: dict[tuple[str, int], tuple[int, Any]] = {}
        self._tensors: dict[int, tuple[str, Any]] = {}
        self._codes: dict[CodeType, Code] = {}
        self._open: list[int] = []
        self._where: list[str] = []
        # Of classes, what a fresh walk says of them.
        self.classes: dict[type, str] = {}
        # Methods by which objects are called.
        self._entries = frozenset({"__call__", "forward"})
        self._histories: dict[tuple[type, frozenset[str]], tuple[set[str], set[str]]] = {}

    def afresh(self) -> Self:
        """Another walk, which shares what does not depend on the way taken."""
        other = type(self)(self.paths, self.without, self.strict)
        other._codes, other._histories, other._tensors = self._codes, self._histories, self._tensors
        other.classes = self.classes
        return other

    def place(self, first: int | None = None) -> str:
        """Where the walk is, or how it began."""
        return " › ".join(self._where[:first]) or "the value"

    def text(self, value: Any) -> str:
        """A short text of one value."""
        kind = type(value)
        if kind is int:
            # Python refuses to write out long ones in decimals.
            return f"int {value:x}"
        if kind in PLAIN:
            return f"{kind.__name__} {value!r}"
        if isinstance(value, SAID):
            return f"{kind.__name__} {value}"
        if isinstance(value, np.generic):
            return f"numpy {value.dtype.str} {value.tobytes().hex()}"
        if isinstance(value, PurePath):
            return f"path {value}"
        if isinstance(value, Tensor):
            return self._tensor(value)
        if isinstance(value, np.ndarray):
            return self._array(value)
        if isinstance(value, nn.Module) and id(value) in self.paths:
            return f"module {self.paths[id(value)]}"
        if kind in (list, tuple, dict, set, frozenset, MappingProxyType, bytearray, slice, torch.Size):
            return self._container(value)
        return self._numbered(value)

    def _numbered(self, value: Any) -> str:
        """What may be reached by several ways, or from itself: described the first time, then referred to."""
        if isinstance(value, MethodType):
            self._entries |= {value.__func__.__name__}
            with self.inside(value.__func__.__qualname__):
                return short("method", self.text(value.__func__), self.text(value.__self__))
        if (again := self._again("", value)) is not None:
            return again
        if isinstance(value, type):
            return self._class(value)
        if isinstance(value, FunctionType):
            with self.inside(value.__qualname__):
                return self._function(value)
        if isinstance(value, ModuleType):
            return self._python_module(value)
        if isinstance(value, nn.Module):
            return self.network(value)
        return self._object(value)

    def _again(self, how: str, value: Any) -> str | None:
        """What is said of a value that was met before; None the first time."""
        if (how, id(value)) in self._numbers:
            return f"the {self._numbers[how, id(value)][0]}th{how}"
        self._numbers[how, id(value)] = len(self._numbers), value
        return None

    def number(self, value: Any) -> int:
        """As how many-th a value was met."""
        return self._numbers["", id(value)][0]

    def network(self, network: nn.Module) -> str:
        """A network that is not named by a path."""
        raise NotImplementedError

    # Numbers

    def _tensor(self, value: Tensor) -> str:
        if id(value) not in self._tensors:
            plain = value.detach()
            plain = plain.to_dense() if plain.layout != torch.strided else plain
            self._tensors[id(value)] = weights_sha256({"": plain.resolve_conj().resolve_neg()}), value
        shape = f" {value.dtype} {tuple(value.shape)}" if value.is_meta else ""
        return f"tensor {self._tensors[id(value)][0]}{shape}"

    def _array(self, value: np.ndarray) -> str:
        if value.dtype.hasobject:
            return short(
                "array", str(value.dtype.descr), str(value.shape), *[self.text(one) for one in value.ravel().tolist()]
            )
        # The byte order is the machine's, or the file's that it was read from.
        value = value.astype(value.dtype.newbyteorder("<"), copy=False)
        mask = self._array(np.ma.getmaskarray(value)) if isinstance(value, np.ma.MaskedArray) else ""
        content = hashlib.sha256(np.ascontiguousarray(value).reshape(-1).view(np.uint8).data).hexdigest()
        # A matrix multiplies otherwise than an array; whether a file is mapped makes no difference.
        kind = "" if isinstance(value, np.memmap) else type(value).__name__
        return short("array", kind, str(value.dtype.descr), str(value.shape), content, mask)

    def _container(self, value: Any) -> str:
        if id(value) in self._open:
            return f"the {self._open.index(id(value))}th around"
        self._open.append(id(value))
        try:
            if isinstance(value, set | frozenset):
                return short(type(value).__name__, *self._ordered(value))
            if isinstance(value, dict | MappingProxyType):
                return short("dict", *self._items(value))
            if isinstance(value, slice):
                value = (value.start, value.stop, value.step)
            return short(type(value).__name__, *self._each(value))
        finally:
            self._open.pop()

    def _each(self, values: Iterable[Any]) -> list[str]:
        found = []
        for k, one in enumerate(values):
            with self.inside(f"[{k}]"):
                found.append(self.text(one))
        return found

    def _ordered(self, values: Iterable[Any]) -> list[str]:
        """Of what has no order of its own, in one that is the same in every process."""
        pairs = sorted(((self._alone(one), k, one) for k, one in enumerate(values)), key=lambda pair: pair[:2])
        return [self.text(one) for _, _, one in pairs]

    def _items(self, mapping: Mapping[Any, Any]) -> Iterator[str]:
        for _, key in sorted(((self._alone(key), key) for key in mapping), key=lambda pair: pair[0]):
            with self.inside(f"[{key!r}]" if type(key) is str else "[…]"):
                yield self.text(key)
                yield self.text(mapping[key])

    def _alone(self, value: Any) -> str:
        return self.text(value) if type(value) in PLAIN else self.afresh().text(value)

    # Code

    def _function(self, function: FunctionType) -> str:
        original = getattr(function, "_torchdynamo_orig_callable", None)
        if original is not None:
            return self.text(original)
        installed = is_installed_code(function)
        if installed and is_importable(function):
            return f"function {function.__module__}.{function.__qualname__}"
        # Lambdas of one place share a name.
        known = installed and function.__code__.co_name != "<lambda>"
        code = Code(f"name {function.__code__.co_qualname}") if known else self._code(function)
        parts = [code.text]
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            with self.inside(repr(name)):
                value = _content(cell)
                # What super() needs, whoever made the object.
                known = name == "__class__" and isinstance(value, type)
                parts += [name, self.kind(value) if known else self._outside(name, value, code)]
        with self.inside("its defaults"):
            parts += [self.text(function.__defaults__), self.text(function.__kwdefaults__)]
        # What decorators of libraries keep begins with an underscore.
        attributes = {k: v for k, v in vars(function).items() if not k.startswith("_")}
        if not installed:
            parts += [self.text(attributes), *self._globals(function, code)]
        return short("function", *parts)

    def _code(self, function: FunctionType) -> Code:
        if function.__code__ not in self._codes:
            self._codes[function.__code__] = of_function(function)
        return self._codes[function.__code__]

    def _outside(self, name: str, value: Any, code: Code) -> str:
        """A value outside a function, by its type where the function writes to it."""
        written = _is_data(value) and name in code.binds | code.fills
        return f"a {type(value).__qualname__}" if written else self.text(value)

    def _globals(self, function: FunctionType, code: Code) -> Iterator[str]:
        found: dict[str, Any] = {}
        for name, *attributes in code.reads:
            value, path = function.__globals__.get(name, MISSING), name
            for attribute in attributes:
                if not isinstance(value, ModuleType) or is_installed(value):
                    break
                value, path = getattr(value, attribute, MISSING), f"{path}.{attribute}"
            if value is not MISSING:
                found[path] = value
        for module, level, names in code.imports:
            found |= imported(module, level, names, function.__globals__)
        for path, value in sorted(found.items()):
            with self.inside(repr(path)):
                yield path
                yield self._outside(path, value, code)

    def _python_module(self, module: ModuleType) -> str:
        if is_installed(module):
            return f"package {module.__name__}"
        own = {
            k: v
            for k, v in vars(module).items()
            if not k.startswith("__") and (_is_data(v) or getattr(v, "__module__", None) == module.__name__)
        }
        return short("package", self.text(own))

    def kind(self, cls: type) -> str:
        """What the class of an object does once this is made: its state tells how it was."""
        return self._again(" kind", cls) or self._class(cls, made=True)

    def _class(self, cls: type, *, made: bool = False) -> str:
        describe = self.kind if made else self.text
        if is_installed_class(cls):
            # What was put in from elsewhere, and classes made of a user's own, as parametrisations are.
            more = [describe(b) for b in cls.__mro__[1:] if not is_installed_class(b)]
            more += [self.text(method) for b in cls.__mro__ for method in put_in(b)]
            module = cls.__module__ if isinstance(cls.__module__, str) else ""
            return f"class {module}.{cls.__qualname__} {short(*more) if more else ''}"
        with self.inside(cls.__qualname__):
            if issubclass(cls, Enum):
                members = [(name, member._value_) for name, member in cls.__members__.items()]
                return short("enum", cls.__name__, self.text(members), *[self.text(m) for m in put_in(cls)])
            parts = [cls.__name__, *[describe(b) for b in cls.__bases__]]
            if not is_installed_class(type(cls)):
                parts.append(self.text(type(cls)))
            for name, value in sorted(vars(cls).items()):
                left_out = f"{cls.__name__}.{name}" in (self.without or ()) or (made and name in MAKING)
                if not left_out and not is_generated(cls, name, value):
                    with self.inside(f".{name}"):
                        parts += [name, self._member(value)]
            fields = () if made else vars(cls).get("__dataclass_fields__", {}).values()
            parts.append(self.text([(f.name, f.default, f.default_factory, f.init, f.kw_only) for f in fields]))
            return short("class", *parts)

    def _member(self, value: Any) -> str:
        if isinstance(value, staticmethod | classmethod | property | cached_property):
            inner = [getattr(value, name, None) for name in WRAPPED]
            return short(type(value).__name__, *[self.text(one) for one in inner])
        return self.text(value)

    # Objects

    def _object(self, value: Any) -> str:
        kind = type(value)
        if isinstance(value, Enum):
            return short("member", self.text(kind), value.name)
        if isinstance(value, weakref.ReferenceType):
            return short("weakref", self.text(value()))
        if isinstance(value, logging.Logger):
            return f"logger {value.name}"
        if isinstance(value, torch.jit.ScriptFunction):
            return short("script", scripted.graph(value))
        if isinstance(value, BuiltinFunctionType):
            bound = value.__self__
            owner = "" if bound is None or isinstance(bound, ModuleType | type) else self.text(bound)
            return f"function {value.__module__}.{value.__qualname__} {owner}"
        if hasattr(kind, "identified_by"):
            return short(self.kind(kind), *[self.text(getattr(value, name, None)) for name in kind.identified_by])
        if is_installed_class(kind) and callable(getattr(value, "__wrapped__", None)):
            return short(self.kind(kind), self.text(value.__wrapped__))
        if kind.__module__ == "torch._ops":
            return f"operator {value}"
        if isinstance(value, Mapping) and kind.__name__ == "FrozenDict":
            return self.text(_configuration(value))
        return self._pickled(value)

    def _pickled(self, value: Any) -> str:
        """Any other object, by what pickle would make it of again."""
        if isinstance(value, RANDOM):
            return self._unseen(value, "it draws at random from a state that goes on: make it inside, from a seed")
        if isinstance(value, Iterator):
            return self._unseen(value, "it is used up as it is read: give a list, tuple or array of what it yields")
        try:
            registered = copyreg.dispatch_table.get(type(value))
            made = registered(value) if registered else value.__reduce_ex__(4)
        except Exception:
            made = None
        if isinstance(made, str) and is_in_a_package(value, made):
            return f"{self.kind(type(value))} {made}"
        if not isinstance(made, tuple) or isinstance(value, CodeType | FrameType):
            return self._unseen(value, "give what it holds as numbers, texts, arrays or tensors")
        with self.inside(type(value).__qualname__):
            make, arguments, state, items, pairs = (*cast(tuple[Any, ...], made), None, None, None)[:5]
            parts = [self.kind(type(value)), "" if make is type(value) else self.text(make), self._state(value, state)]
            if isinstance(value, set | frozenset):
                return short(*parts, *self._ordered(value))
            parts += self._each(one for one in arguments or () if one is not type(value))
            parts += ["items", *self._each(items or ())]
            return short("object", *parts, *self._items(dict(pairs or ())))

    def _state(self, value: Any, state: Any) -> str:
        parts = state if isinstance(state, tuple) and len(state) == 2 else (state,)
        kept = [self.lasting(type(value), one) if isinstance(one, dict) else one for one in parts]
        return short(*[self.text(one) for one in kept])

    def lasting(self, kind: type, attributes: Mapping[str, Any]) -> dict[str, Any]:
        """An object's attributes without those that its calls set, or fill, in whatever methods these reach."""
        key = kind, self._entries
        if key not in self._histories:
            binds, fills, names, done = set(), set(), list(self._entries), set()
            while names:
                name = names.pop()
                done.add(name)
                for method in [vars(c).get(name) for c in kind.__mro__]:
                    if isinstance(method, FunctionType) and not is_installed_code(method):
                        code = self._code(method)
                        binds |= code.own_binds
                        fills |= code.own_fills
                        names += [n for n in code.own_reads if n not in done]
            self._histories[key] = binds, fills
        binds, fills = self._histories[key]
        return {
            k: v
            for k, v in attributes.items()
            if not (k in binds or (k in fills and _is_data(v)) or (isinstance(k, str) and k in NOTES))
        }

    def _unseen(self, value: Any, mend: str) -> str:
        kind = f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")
        if not self.strict:
            return f"unseen {kind}"
        raise InputError(f"{self.place()} is a {kind}, of which nobody can see what it will do: {mend}")

    @contextmanager
    def inside(self, place: str) -> Iterator[None]:
        self._where.append(place)
        yield
        # Left as it is by an error, which tells where it arose.
        self._where.pop()


def short(*parts: str) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return "nothing yet"


def _is_data(value: Any) -> bool:
    return isinstance(value, DATA)


def _configuration(value: Any) -> Any:
    """A configuration of diffusers, also as read from a file, where tuples are lists; without notes on where from."""
    if isinstance(value, Mapping):
        return {k: _configuration(v) for k, v in value.items() if not (isinstance(k, str) and k.startswith("_"))}
    return [_configuration(one) for one in value] if isinstance(value, list | tuple) else value
