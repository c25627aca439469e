"""What is done once a library has been imported, without importing it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType

__all__ = ["after_import"]


def after_import(name: str, do: Callable[[], None]) -> None:
    """Call a function when a library has been imported, by whomever; at once where it has been already.

    Parameters
    ----------
    name
        Of the library's top module.
    do
        Called once.
    """
    found = sys.modules.get(name)
    if found is None:
        sys.meta_path.insert(0, _Finder(name, do))
    else:
        do()


class _Finder(MetaPathFinder):
    def __init__(self, name: str, do: Callable[[], None]) -> None:
        self.name, self.do = name, do

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        del path, target
        if fullname != self.name:
            return None
        # Found by those who find it otherwise; this one has done what it is for.
        if self in sys.meta_path:
            sys.meta_path.remove(self)
        spec = find_spec(fullname)
        if spec is not None and spec.loader is not None:
            spec.loader = _Then(spec.loader, self.do)
        return spec


class _Then(Loader):
    """A loader after which something is done."""

    def __init__(self, loader: Loader | None, do: Callable[[], None]) -> None:
        self.loader, self.do = loader, do

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return None if self.loader is None else self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        assert self.loader is not None
        # The module keeps the loader that it has by itself, which knows its source.
        module.__loader__ = self.loader
        if module.__spec__ is not None:
            module.__spec__.loader = self.loader
        self.loader.exec_module(module)
        self.do()
