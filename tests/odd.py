"""Odd values for every option of every public function, and what runs a function on each of them.

A function given one must return a result or raise an error of the package's own kinds, at once and without taking
memory. What it takes of them is declared, so that a value taken in silence is found too.
"""

from __future__ import annotations

import datetime
import enum
import importlib
import inspect
import os
import re
import resource
import signal
import threading
import time
import warnings
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType
from typing import Any
from zlib import crc32

import numpy as np
import pandas as pd
import torch
import xarray as xr
from torch import nn

from probekit.errors import ProbeError

__all__ = [
    "EVERY_PAIR",
    "FLAGS",
    "FUNCTIONS",
    "IMAGES",
    "KINDS",
    "LEVELS",
    "MODULES",
    "NOTHING",
    "NUMBERS",
    "ODD",
    "PATHS",
    "POOL",
    "TEXTS",
    "WHOLES",
    "Call",
    "complaints",
    "missing_calls",
    "public_callables",
    "sampled",
]

# An odd value must be refused, or a result be there, within so much work; far less is usual. Of the clock on the wall
# machines that are shared, or stopped for a while, take what they like: it only ends what waits for ever.
SECONDS, AT_LAST = 20.0, 600.0
# What a call may take beyond what the process holds.
BYTES = 3 * 2**30
# An error is read by people.
LONGEST = 2000
SHOWN = 30
# Whether options are given all the values that are meant for them, which takes many times as long (`make test-all`).
EVERY_PAIR = bool(os.environ.get("PROBEKIT_EVERY_PAIR"))


class OnPurpose(Exception):
    """What odd objects raise; a function that lets it through has asked them what it need not."""


def fail(*_: Any, **__: Any) -> Any:
    raise OnPurpose("an odd object was asked")


def raising(*methods: str, base: type = object) -> Any:
    """An object whose methods of these names raise."""
    return type(f"Raises{''.join(methods).title().replace('_', '')}", (base,), dict.fromkeys(methods, fail))()


class Shouting(enum.Enum):
    A = "a"


class Counting(enum.IntEnum):
    ONE = 1


class Speaking(enum.StrEnum):
    A = "a"


def containing_itself(kind: type) -> Any:
    made = kind()
    if kind is list:
        made.append(made)
    else:
        made["a"] = made
    return made


def nested(depth: int) -> list[Any]:
    made: list[Any] = []
    for _ in range(depth):
        made = [made]
    return made


def array(*shape: int, dtype: Any = np.float32) -> np.ndarray:
    return np.zeros(shape, dtype)


def structured() -> np.ndarray:
    return np.zeros(2, dtype=[("a", "f4"), ("b", "i4")])


def objects(*items: Any) -> np.ndarray:
    made = np.empty(len(items), object)
    made[:] = items
    return made


# A maker of each, since some are used up or changed by those that take them.
# A dozen that stand for all, where each call takes long.
POOL: dict[str, Any] = {
    "a text": "a",
    "None": None,
    "NaN": float("nan"),
    "a bool": True,
    "-1": -1,
    "1.5": 1.5,
    "an empty list": [],
    "a list": ["a"],
    "an empty mapping": {},
    "a mapping": {"a": 1},
    "an array": np.zeros((2, 2)),
    "an object": object(),
}
# Once, as the module is imported: torch knows its own functions by the addresses of objects, so that later an attribute
# that lies where a function once lay can be taken for that function, and a module is not compiled.
with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    SCRIPTED = torch.jit.script(nn.Conv2d(1, 1, 1))
KINDS: dict[str, dict[str, Callable[[], Any]]] = {
    "constants": {
        "None": lambda: None,
        "NotImplemented": lambda: NotImplemented,
        "Ellipsis": lambda: ...,
        "True": lambda: True,
        "False": lambda: False,
        "np.True_": lambda: np.True_,
    },
    "numbers": {
        "0": lambda: 0,
        "-1": lambda: -1,
        "0.0": lambda: 0.0,
        "1.5": lambda: 1.5,
        "NaN": lambda: float("nan"),
        "inf": lambda: float("inf"),
        "-inf": lambda: float("-inf"),
        "1e300": lambda: 1e300,
        "5e-324": lambda: 5e-324,
        "2**31": lambda: 2**31,
        "2**63": lambda: 2**63,
        "10**40": lambda: 10**40,
        "10**400": lambda: 10**400,
        "a complex": lambda: 1 + 2j,
        "a Decimal": lambda: Decimal("0.5"),
        "Decimal sNaN": lambda: Decimal("sNaN"),
        "a Fraction": lambda: Fraction(1, 2),
        "np.int64": lambda: np.int64(1),
        "np.uint8": lambda: np.uint8(255),
        "np.float16": lambda: np.float16(0.5),
        "np.float32 NaN": lambda: np.float32("nan"),
        "np.longdouble": lambda: np.longdouble("1e400"),
        "np.complex64": lambda: np.complex64(1j),
    },
    "texts and bytes": {
        "an empty text": lambda: "",
        "a": lambda: "a",
        "a text of a number": lambda: "3",
        "a text of NUL": lambda: "\0",
        "a text of two lines": lambda: "a\nb",
        "a text of σ": lambda: "σ",
        "a lone surrogate": lambda: "\ud800",
        "a long text": lambda: "a" * 100_000,
        "np.str_": lambda: np.str_("a"),
        "bytes": lambda: b"a",
        "bytearray": lambda: bytearray(b"a"),
        "memoryview": lambda: memoryview(b"a"),
    },
    "containers": {
        "an empty list": list,
        "a list of an empty list": lambda: [[]],
        "a list of a text": lambda: ["a"],
        "a list of the same text": lambda: ["a", "a"],
        "a list of mixed": lambda: [1, "a"],
        "a list of None": lambda: [None],
        "a list of NaN": lambda: [float("nan")],
        "a list of True": lambda: [True],
        "a list of a list": lambda: [["a", "b"]],
        "a ragged list": lambda: [[1, 2], [3]],
        "a deep list": lambda: nested(50),
        "a very deep list": lambda: nested(100_000),
        "a list of itself": lambda: containing_itself(list),
        "an empty tuple": lambda: (),
        "a tuple": lambda: (1, 2, 3),
        "a tuple of huge numbers": lambda: (2**31, 2**31, 2**31),
        "an empty mapping": dict,
        "a mapping": lambda: {"a": 1},
        "a mapping of numbers": lambda: {1: 2},
        "a mapping of itself": lambda: containing_itself(dict),
        "an OrderedDict": lambda: OrderedDict(a=None),
        "a mapping proxy": lambda: MappingProxyType({"a": 1}),
        "a set": lambda: {1, "a"},
        "a frozenset": lambda: frozenset(),
        "a range": lambda: range(3),
        "a huge range": lambda: range(10**12),
        "a slice": lambda: slice(None),
        "a generator": lambda: (i for i in range(3)),
        "a failing generator": lambda: (fail() for _ in range(3)),
        "an iterator": lambda: iter([1, 2]),
    },
    "things of Python": {
        "a lambda": lambda: lambda *_: None,
        "a failing function": lambda: fail,
        "a builtin": lambda: len,
        "a class": lambda: int,
        "an abstract class": lambda: Mapping,
        "a module of Python": lambda: re,
        "an exception": lambda: ValueError("a"),
        "an exception class": lambda: KeyError,
        "an Enum": lambda: Shouting.A,
        "an IntEnum": lambda: Counting.ONE,
        "a StrEnum": lambda: Speaking.A,
        "a datetime": lambda: datetime.datetime(2020, 1, 1),
        "a timedelta": lambda: datetime.timedelta(1),
        "the folder here": lambda: Path(),
        "a path of nothing": lambda: Path("nowhere/at/all"),
        "a path of NUL": lambda: Path("a\0b"),
    },
    "objects that say nothing of themselves": {
        "an object": object,
        "raises in repr": lambda: raising("__repr__", "__str__", "__format__"),
        "a text that raises in repr": lambda: raising("__repr__", base=str),
        "repr is huge": lambda: type("Huge", (), {"__repr__": lambda _: "a\n" * 10**6})(),
        "raises in len": lambda: raising("__len__", "__getitem__"),
        "raises in iter": lambda: raising("__iter__"),
        "raises in next": lambda: type("Next", (), {"__iter__": lambda self: self, "__next__": fail})(),
        "raises in eq": lambda: raising("__eq__", "__ne__", "__hash__"),
        "raises in bool": lambda: raising("__bool__"),
        "raises in float": lambda: raising("__float__", "__int__", "__index__"),
        "raises in array": lambda: raising("__array__"),
        "raises in fspath": lambda: raising("__fspath__"),
        "raises in call": lambda: raising("__call__"),
        "raises at any name": lambda: raising("__getattr__"),
        "a mapping that raises": lambda: raising("__getitem__", "__iter__", "__len__", "keys", base=dict),
        "a lying index": lambda: type("Index", (), {"__index__": lambda _: 2})(),
    },
    "numpy": {
        "an empty array": lambda: array(0),
        "an array of no dims": lambda: array(),
        "an array of one whole number": lambda: array(1, dtype=np.int64),
        "an array of a NaN": lambda: np.array(float("nan")),
        "an array of 2 dims": lambda: array(2, 2),
        "an array of 4 dims": lambda: array(2, 3, 8, 8),
        "an array of 4 dims, empty": lambda: array(0, 3, 8, 8),
        "an array of 4 dims of NaN": lambda: array(2, 3, 8, 8) * np.float32("nan"),
        "an array of booleans": lambda: array(3, dtype=bool),
        "an array of uint8": lambda: array(3, dtype=np.uint8),
        "an array of float16": lambda: array(3, dtype=np.float16),
        "an array of complex": lambda: array(3, dtype=complex),
        "an array of texts": lambda: np.array(["a", "b"]),
        "an array of bytes": lambda: np.array([b"a"]),
        "an array of dates": lambda: array(2, dtype="datetime64[ns]"),
        "an array of void": lambda: array(2, dtype="V4"),
        "an array of objects": lambda: objects(None, "a", [1]),
        "an array of object texts": lambda: objects("a", "b"),
        "an array of records": structured,
        "a masked array": lambda: np.ma.masked_array([1.0, 2.0], mask=[True, False]),
        "an array that is read only": lambda: np.broadcast_to(np.float32(0), (2, 3, 8, 8)),
    },
    "torch": {
        "an empty tensor": lambda: torch.zeros(0),
        "a tensor of no dims": lambda: torch.tensor(1),
        "a tensor of a NaN": lambda: torch.tensor(float("nan")),
        "a tensor of a True": lambda: torch.tensor(True),
        "a tensor of 1 dim": lambda: torch.zeros(3),
        "a tensor of 4 dims": lambda: torch.zeros(2, 3, 8, 8),
        "a tensor of booleans": lambda: torch.zeros(3, dtype=torch.bool),
        "a tensor of complex": lambda: torch.zeros(3, dtype=torch.complex64),
        "a tensor of bfloat16": lambda: torch.zeros(3, dtype=torch.bfloat16),
        "a tensor on meta": lambda: torch.zeros(3, device="meta"),
        "a tensor of no dims on meta": lambda: torch.zeros((), device="meta"),
        "a sparse tensor": lambda: torch.zeros(2, 2).to_sparse(),
        "a tensor with gradient": lambda: torch.zeros(3, requires_grad=True),
        "a dtype": lambda: torch.float32,
        "a device": lambda: torch.device("cpu"),
        "a Generator of torch": torch.Generator,
        "a Generator of numpy": lambda: np.random.default_rng(0),
        "a module": lambda: nn.Conv2d(1, 1, 1),
        "an empty module": nn.Module,
        "a scripted module": lambda: SCRIPTED,
        "a module class": lambda: nn.Conv2d,
        "a lazy module": lambda: nn.LazyConv2d(1, 1),
    },
    "labelled": {
        "a DataArray of no dims": lambda: xr.DataArray(1.0),
        "an empty DataArray": lambda: xr.DataArray(array(0), dims="image"),
        "a DataArray of one dim": lambda: xr.DataArray([1.0, 2.0], dims="image", coords={"image": ["a", "b"]}),
        "a DataArray of odd dims": lambda: xr.DataArray(array(2, 2), dims=(1, "σ")),
        "an empty Dataset": xr.Dataset,
        "a Dataset": lambda: xr.Dataset({"phi": ("image", [1.0])}, coords={"image": ["a"]}, attrs={"sigma": "a"}),
        "a Dataset of odd names": lambda: xr.Dataset({1: ((), None)}),
        "a Series": lambda: pd.Series([1.0, None]),
        "an empty DataFrame": pd.DataFrame,
        "a DataFrame": lambda: pd.DataFrame({"a": [1, 2]}),
        "NA": lambda: pd.NA,
        "NaT": lambda: pd.NaT,
        "a Timestamp": lambda: pd.Timestamp(0),
        "an Index": lambda: pd.Index(["a"]),
        "a Categorical": lambda: pd.Categorical(["a", None]),
    },
}
ODD: dict[str, Callable[[], Any]] = {value: make for kind in KINDS.values() for value, make in kind.items()}

NOTHING = frozenset({"None"})
WHOLES = frozenset(
    {"0", "-1", "2**31", "2**63", "10**40", "10**400", "np.int64", "np.uint8", "an IntEnum", "a tensor of no dims"}
)
NUMBERS = WHOLES | {
    "0.0",
    "1.5",
    "1e300",
    "5e-324",
    "a Fraction",
    "np.float16",
    "an array of no dims",
    "a DataArray of no dims",
}
TEXTS = frozenset(
    {
        "a",
        "a text of a number",
        "a text of NUL",
        "a text of two lines",
        "a text of σ",
        "a lone surrogate",
        "a long text",
        "np.str_",
        "a StrEnum",
    }
)
PATHS = TEXTS | {"the folder here", "a path of nothing"}
FLAGS = frozenset({"True", "False", "np.True_"})
# What can be called; with what it is given here most fail, each with an error of its own.
FUNCTIONS = frozenset(
    {
        "a lambda",
        "a failing function",
        "a builtin",
        "a class",
        "an abstract class",
        "an exception class",
        "raises in call",
        "a module",
        "a scripted module",
        "a module class",
        "a lazy module",
        "an empty module",
    }
)
MODULES = frozenset({"a module", "a scripted module"})
# Noise levels.
LEVELS = frozenset(
    {
        "0",
        "0.0",
        "1.5",
        "5e-324",
        "2**31",
        "a Fraction",
        "np.int64",
        "np.uint8",
        "np.float16",
        "an IntEnum",
        "a tuple",
        "a range",
        "an array of no dims",
        "an array of one whole number",
        "a tensor of no dims",
        "a DataArray of no dims",
        "a DataArray of one dim",
    }
)
# Images (N, 3, 8, 8).
IMAGES = frozenset({"an array of 4 dims", "an array that is read only", "a tensor of 4 dims"})


@dataclass(frozen=True)
class Call:
    """A public function with arguments that it takes.

    Attributes
    ----------
    function
        What is called.
    good
        An argument for each parameter, by name, or what makes them anew for every call: ``*names`` as a tuple,
        ``**conditions`` as a mapping.
    takes
        Names of the odd values that an option may take; none where it is not named. It may refuse them too.
    then
        What makes of the result the work that it stands for, such as entering a context.
    only
        The parameters that odd values are tried for; by default all.
    without
        Values that an option takes as it should, and that only take long.
    """

    function: Callable[..., Any]
    good: Mapping[str, Any] | Callable[[], Mapping[str, Any]]
    takes: Mapping[str, Collection[str]] = field(default_factory=dict)
    then: Callable[[Any], Any] = lambda result: result
    only: Collection[str] | None = None
    without: Mapping[str, Collection[str]] = field(default_factory=dict)

    def options(self) -> list[str]:
        """The parameters that odd values are tried for."""
        return [name for name in self.arguments() if self.only is None or name in self.only]

    def arguments(self) -> dict[str, Any]:
        """Good arguments, made anew if they say how."""
        return dict(self.good() if callable(self.good) else self.good)

    def made(self, **odd: Any) -> Any:
        """The result with some arguments exchanged."""
        arguments = self.arguments()
        positional, keyword = [], {}
        kinds = {name: p.kind for name, p in inspect.signature(self.function).parameters.items()}
        several = any(kind is inspect.Parameter.VAR_POSITIONAL for kind in kinds.values())
        for name, good in arguments.items():
            value, kind = odd.get(name, good), kinds.get(name, inspect.Parameter.KEYWORD_ONLY)
            if kind is inspect.Parameter.VAR_POSITIONAL:
                positional += [value] if name in odd else value
            elif kind is inspect.Parameter.VAR_KEYWORD:
                keyword |= {"label": value} if name in odd else value
            elif kind is inspect.Parameter.POSITIONAL_ONLY or (
                several and kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
            ):
                positional.append(value)
            else:
                keyword[name] = value
        return self.then(self.function(*positional, **keyword))


class TookTooLongError(BaseException):
    """Work began that should have been refused; no `except Exception` catches it."""


@contextmanager
def guarded() -> Iterator[None]:
    """An end to what takes long or much memory, and to warnings of what lies below."""

    def stop(*_: Any) -> None:
        raise TookTooLongError(f"more than {SECONDS:g} s of work, or {AT_LAST:g} s in all")

    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    held, statm = 0, Path("/proc/self/statm")
    if statm.exists():
        held = int(statm.read_text().split()[0]) * resource.getpagesize()
    main = threading.current_thread() is threading.main_thread()
    timers = {signal.SIGVTALRM: (signal.ITIMER_VIRTUAL, SECONDS), signal.SIGALRM: (signal.ITIMER_REAL, AT_LAST)}
    before = {rung: signal.signal(rung, stop) for rung in timers} if main else {}
    if held:
        resource.setrlimit(resource.RLIMIT_AS, (held + BYTES, hard))
    if main:
        for timer, seconds in timers.values():
            signal.setitimer(timer, seconds)
    try:
        yield
    finally:
        for rung, handler in before.items():
            signal.setitimer(timers[rung][0], 0)
            signal.signal(rung, handler)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def complaint(call: Call, option: str, value: str) -> str | None:
    """What is wrong with how a function takes an odd value for an option, or nothing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        odd = ODD[value]()
    said, taken = None, value in call.takes.get(option, ())
    started = time.process_time()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            with guarded():
                call.made(**{option: odd})
            if not taken:
                said = "taken without a word"
        except ProbeError as error:
            try:
                message = str(error)
                message.encode()
            except Exception as unsaid:
                said = f"an error that cannot be printed: {type(unsaid).__name__}"
            else:
                said = f"an error of {len(message)} characters" if len(message) > LONGEST else None
        except (Exception, TookTooLongError) as error:
            # What a function that was asked for raises is passed on.
            said = None if taken and value in FUNCTIONS else f"{type(error).__name__}: {_shown(error)}"
    elapsed = time.process_time() - started
    if said is None and elapsed > SECONDS:
        said = f"{elapsed:.0f} s"
    if said is None:
        # The package's own warnings are UserWarnings; others come from below, of numbers that overflow and the like.
        below = [w for w in caught if w.category is not UserWarning]
        said = f"{below[0].category.__name__}: {_shown(below[0].message)}" if below else None
    return said


def _shown(error: Any) -> str:
    try:
        return str(error).split("\n")[0][:120]
    except Exception:
        return "(unprintable)"


def sampled(values: Collection[str], said: str, one_in: int) -> list[str]:
    """Some of the odd values, of each kind one in so many and one at least, drawn by what they are for.

    An option thus meets every kind of value; over options, all values come up, and a new option leaves the others with
    theirs.
    """
    drawn = []
    for kind, makers in KINDS.items():
        of_kind = [value for value in makers if value in values]
        count = min(len(of_kind), max(1, round(len(of_kind) / one_in)))
        first = crc32(f"{said}: {kind}".encode())
        drawn += [of_kind[(first + i * len(of_kind) // count) % len(of_kind)] for i in range(count)]
    return drawn


def complaints(name: str, call: Call, tried: Callable[[str, str], list[str]]) -> str:
    """What is wrong with how a function takes the odd values that are `tried` at its options, the first of it."""
    call.made()
    found = []
    for option in call.options():
        for value in tried(name, option):
            wrong = complaint(call, option, value)
            found += [] if wrong is None else [f"{name}({option}={value}): {wrong}"]
    more = [f"… and {len(found) - SHOWN} more"] if len(found) > SHOWN else []
    return "\n".join([*found[:SHOWN], *more])


def public_callables(*modules: str) -> dict[str, Callable[..., Any]]:
    """The callables in `__all__` of modules, and the public methods that their classes define, by dotted name.

    Errors have no options of their own, and what a module passes on from another is found there.
    """
    found: dict[str, Callable[..., Any]] = {}
    seen: set[int] = set()
    for module in modules:
        loaded = importlib.import_module(module)
        for name in loaded.__all__:
            thing = getattr(loaded, name)
            if not callable(thing) or id(thing) in seen:
                continue
            if inspect.isclass(thing) and issubclass(thing, BaseException):
                continue
            seen.add(id(thing))
            found[f"{module}.{name}"] = thing
            if inspect.isclass(thing):
                # What a class has of others of the package, too.
                own = [k for k in reversed(thing.__mro__) if k.__module__.startswith(("probekit.", "analyses."))]
                members = {method: function for kind in own for method, function in vars(kind).items()}
                for method, function in members.items():
                    plain = function.__func__ if isinstance(function, classmethod | staticmethod) else function
                    if inspect.isfunction(plain) and (not method.startswith("_") or method == "__call__"):
                        found[f"{module}.{name}.{method}"] = plain
    return found


def missing_calls(calls: Mapping[str, Call], callables: Mapping[str, Callable[..., Any]]) -> list[str]:
    """Parameters of public callables that no call has a good argument for, and calls of what does not exist."""
    found = [f"{name} is not public" for name in calls if _name(name) not in callables]
    for name, function in callables.items():
        tried = {option for key, call in calls.items() if _name(key) == name for option in call.options()}
        found += [f"{name}({option})" for option in _parameters(function) if option not in tried]
    return found


def _name(key: str) -> str:
    """A table may hold several calls of one function: "probekit.tap: of lists"."""
    return key.partition(":")[0]


def _parameters(function: Callable[..., Any]) -> list[str]:
    return [name for name in inspect.signature(function).parameters if name not in ("self", "cls")]
