"""What is done once a library has been imported, without importing it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

__all__ = ["after_import"]


def after_import(name: str, do: Callable[[], None]) -> None:
    """Call a function when a library has been imported, by whomever; at once where it has been already.

    Looking whether there is the library, as others do before they use it, is no import.

    Parameters
    ----------
    name
        Of the library's top module.
    do
        Called once.
    """
    found = sys.modules.get(name)
    # While its own code runs a library is among the modules, and not yet what it will be.
    if found is None or getattr(found.__spec__, "_initializing", False):
        sys.meta_path.insert(0, _Finder(name, do))
    else:
        do()


class _Finder(MetaPathFinder):
    """Asked for every module before all others; of one it gives what these find, with something to be done after it."""

    def __init__(self, name: str, do: Callable[[], None]) -> None:
        self.name, self.do = name, do

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != self.name:
            return None
        # Those before have been asked, and may be of this kind.
        own = sys.meta_path.index(self) if self in sys.meta_path else -1
        behind = sys.meta_path[own + 1 :]
        spec = next((found for one in behind if (found := one.find_spec(fullname, path, target))), None)
        if spec is not None and spec.loader is not None:
            spec.loader = _Then(spec.loader, self)
        return spec

    def done(self) -> None:
        """What was to be done, if it was not; nothing more is found here."""
        if self in sys.meta_path:
            sys.meta_path.remove(self)
            self.do()


class _Then(Loader):
    """A loader after which something is done."""

    def __init__(self, loader: Loader, finder: _Finder) -> None:
        self.loader, self.finder = loader, finder

    def __getattr__(self, name: str) -> object:
        # Whoever only looks finds what the loader has, such as its path.
        return getattr(self.loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        # The module keeps the loader that it has by itself, which knows its source.
        module.__loader__ = self.loader
        if module.__spec__ is not None:
            module.__spec__.loader = self.loader
        self.loader.exec_module(module)
        self.finder.done()
