"""Packages whose public names are loaded when they are asked for: importing one takes next to no time.

Which names there are, and where, stands in the package's ``__init__`` once, as type checkers and editors read it:
imports under ``if TYPE_CHECKING``.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

__all__ = ["on_demand"]


def on_demand(package: str) -> None:
    """From now on, what a package imports under ``if TYPE_CHECKING`` is loaded when it is asked for.

    So is a module of the package that is asked for by its name. Where that is a public name too, as in
    ``from analyses.sparsity.analyse import analyse``, the public thing is meant.

    Parameters
    ----------
    package
        Its ``__name__``; it has an ``__all__``.
    """
    sys.modules[package].__class__ = _OnDemand


class _OnDemand(ModuleType):
    def __getattr__(self, name: str) -> Any:
        if name in self.__all__:
            found = _public(self.__name__, name)
        elif not name.startswith("_") and find_spec(f"{self.__name__}.{name}"):
            found = import_module(f"{self.__name__}.{name}")
        else:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}", name=name, obj=self)
        self.__dict__[name] = found
        return found

    def __setattr__(self, name: str, value: Any) -> None:
        # Python makes each module an attribute of its package once it is loaded, over whatever has its name.
        if isinstance(value, ModuleType) and value.__name__ == f"{self.__name__}.{name}" and name in self.__all__:
            value = _public(self.__name__, name)
        super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return sorted({*self.__all__, *({"__version__"} & self.__dict__.keys())})


def _public(package: str, name: str) -> Any:
    module, known = _places(package)[name]
    if module == package:
        return import_module(f"{package}.{known}")
    return getattr(import_module(module), known)


@cache
def _places(package: str) -> Mapping[str, tuple[str, str]]:
    """Of each public name the module that it is imported from, and its name there."""
    loader: Any = getattr(sys.modules[package].__spec__, "loader", None)
    source = loader.get_source(package)
    if source is None:
        raise ImportError(f"{package} has no source, which tells where its names are: install it with its .py files")
    blocks = [node.body for node in ast.parse(source).body if isinstance(node, ast.If)]
    imports = [node for block in blocks for node in block if isinstance(node, ast.ImportFrom)]
    return {alias.asname or alias.name: (str(node.module), alias.name) for node in imports for alias in node.names}
