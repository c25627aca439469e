"""Where code comes from: Python, an installed package or this one, all known by name, or anywhere else."""

from __future__ import annotations

import importlib.util
import site
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import is_dataclass
from functools import lru_cache, reduce
from pathlib import Path
from types import FunctionType, GetSetDescriptorType, MemberDescriptorType, ModuleType
from typing import Any

__all__ = [
    "imported",
    "is_generated",
    "is_importable",
    "is_in_a_package",
    "is_installed",
    "is_installed_class",
    "is_installed_code",
    "put_in",
]

OURS = Path(__file__).parents[1]
PLACES = tuple(
    Path(place)
    for place in {
        *(sysconfig.get_paths()[k] for k in ("stdlib", "platstdlib", "purelib", "platlib")),
        *site.getsitepackages(),
        site.getusersitepackages(),
        str(OURS),
        str(OURS.with_name("analyses")),
    }
)
PACKAGES = {"site-packages", "dist-packages"}
# Of flags of classes (Py_TPFLAGS_HEAPTYPE).
HEAP_TYPE = 1 << 9
# Of a class, what Python's library keeps there.
MACHINERY = {"_abc_impl", "_is_protocol", "_is_runtime_protocol", "__annotate__", "__annotate_func__"}
# Of functions that torch differentiates, some numbered as they are made.
MACHINERY |= {"_backward_cls", "_autograd_function_id", "_compiled_autograd_should_lift"}


def is_installed(module: ModuleType | str | None) -> bool:
    """Whether a module belongs to Python, an installed package or this one, which are known by name alone."""
    name = module.__name__ if isinstance(module, ModuleType) else module
    if not isinstance(name, str) or not name or name == "__main__":
        return False
    top = name.partition(".")[0]
    for one in (module, sys.modules.get(name), sys.modules.get(top)):
        filename = getattr(one, "__file__", None)
        if filename is not None:
            return _is_installed_file(filename)
    return top in sys.builtin_module_names or top in sys.stdlib_module_names


def is_installed_class(cls: type) -> bool:
    """Whether a class belongs to Python, an installed package or this one."""
    # Only compiled classes are no heap types; one made where no module has a name says that it is a builtin.
    return not cls.__flags__ & HEAP_TYPE or (cls.__module__ != "builtins" and is_installed(cls.__module__))


def is_installed_code(function: FunctionType) -> bool:
    """Whether a function's code was written in Python's library, an installed package or this one."""
    filename = function.__code__.co_filename
    if filename.startswith("<"):
        name = function.__globals__.get("__name__", "")
        return is_installed(name) or name.startswith("namedtuple_")
    return _is_installed_file(filename)


def imported(module: str, level: int, names: tuple[str, ...], scope: Mapping[str, Any]) -> dict[str, Any]:
    """What an import inside a function takes from modules that are not installed, by dotted name."""
    try:
        name = importlib.util.resolve_name("." * level + module, scope.get("__package__") or None)
        top = name.partition(".")[0]
        spec = None if top in sys.modules else importlib.util.find_spec(top)
        if is_installed(name) or (spec is not None and spec.origin is not None and _is_installed_file(spec.origin)):
            return {}
        found = importlib.import_module(name)
        return {f"{name}.{one}": _member(found, one) for one in names} or {name: found}
    except (ImportError, ValueError):
        # The function would fail there, or goes on without.
        return {}


def is_importable(function: FunctionType) -> bool:
    """Whether a function is what its module has under its name, so that the name says all."""
    found: Any = sys.modules.get(function.__module__ or "")
    found = reduce(_of, function.__qualname__.split("."), found)
    return found is function and is_installed(function.__module__)


def is_in_a_package(value: Any, name: str) -> bool:
    """Whether an installed module has the value under this name, so that the name says all."""
    first, *rest = name.split(".")
    modules = [m for m in list(sys.modules.values()) if isinstance(m, ModuleType) and first in vars(m)]
    return any(is_installed(m) and reduce(_of, rest, vars(m)[first]) is value for m in modules)


def put_in(cls: type) -> list[FunctionType]:
    """Methods of an installed class that were written elsewhere, and an enumeration's own."""
    own = [v for _, v in sorted(vars(cls).items()) if isinstance(v, FunctionType)]
    # Generated methods may have globals of their own, without a name.
    return [v for v in own if "__name__" in v.__globals__ and not is_installed_code(v)]


def is_generated(cls: type, name: str, value: Any) -> bool:
    """Whether Python or its library put it in a class, and other things tell as much."""
    if name in MACHINERY or isinstance(value, MemberDescriptorType | GetSetDescriptorType):
        return True
    if not (name.startswith("__") and name.endswith("__")):
        return False
    if isinstance(value, FunctionType) and (is_dataclass(cls) or hasattr(cls, "_fields")):
        return value.__code__.co_filename.startswith("<") or is_installed_code(value)
    return not (callable(value) or isinstance(value, classmethod | staticmethod | property))


def _of(value: Any, name: str) -> Any:
    return getattr(value, name, None)


def _member(module: ModuleType, name: str) -> Any:
    return getattr(module, name) if hasattr(module, name) else importlib.import_module(f"{module.__name__}.{name}")


@lru_cache(maxsize=4096)
def _is_installed_file(filename: str) -> bool:
    path = Path(filename)
    return any(
        PACKAGES & set(one.parts) or any(one.is_relative_to(place) for place in PLACES)
        for one in (path.absolute(), path.resolve())
    )
