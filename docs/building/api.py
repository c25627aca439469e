"""Pages of the reference: one for each package with public names, and what it points to for each of these."""

from __future__ import annotations

import inspect
import pkgutil
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import analyses
import probekit
from analyses.ground import Findings

__all__ = ["CHAPTERS", "Room", "homes", "rooms", "write"]

# In the order in which a reader meets them; a room that is in none of these comes last.
CHAPTERS = {
    "The instrument": ("probekit", "probekit.images", "probekit.models", "probekit.train", "probekit.distribute"),
    "Looking": ("probekit.accessor", "probekit.channels", "probekit.networks", "analyses.explore"),
    "Known answers": ("probekit.synthetic",),
    "Analyses of φ": tuple(
        f"analyses.{name}"
        for name in ("sparsity", "selectivity", "subspaces", "semantics", "clusters", "probe", "factors", "descriptors")
    ),
    "Analyses that run the network": tuple(
        f"analyses.{name}"
        for name in (
            "attribution",
            "concepts",
            "controls",
            "cues",
            "generalisation",
            "noise_level",
            "textures",
            "training",
        )
    ),
    "Samples": ("analyses.sampling", "analyses.variants", "analyses.densities"),
    "Claims": ("analyses.claims", "analyses.report"),
    "What analyses stand on": ("analyses.ground", "probekit.labels", "probekit.noise", "probekit.checks"),
}
# Modules that are imported by their own names, and have pages of their own.
BY_MODULE = {
    "probekit": ("accessor", "channels", "networks", "labels", "noise", "checks"),
    "probekit.models": ("unet", "dncnn", "zoo"),
    "probekit.synthetic": ("subspaces", "patch_model", "shapes", "ovals", "strategies", "stores"),
}
# Of classes that others of this package's are made of, what these bring; not what torch and Python do.
MEMBERS = ("   :members:", "   :special-members: __call__", "   :inherited-members: Module, BaseException, tuple, dict")
LONGEST_VALUE = 160


@dataclass(frozen=True)
class Room:
    """A package with public names, sorted by what they are."""

    name: str
    title: str
    functions: tuple[str, ...]
    classes: tuple[str, ...]
    constants: tuple[str, ...]
    modules: tuple[str, ...]


def rooms() -> dict[str, Room]:
    """Every package and module with public names, by name, in the order of the chapters."""
    packages = [probekit]
    for top in (probekit, analyses):
        parts = (part.name for part in pkgutil.iter_modules(top.__path__, f"{top.__name__}.") if part.ispkg)
        packages += [import_module(name) for name in parts]
    packages += [import_module(f"{name}.{part}") for name, parts in BY_MODULE.items() for part in parts]
    found = {module.__name__: module for module in packages if getattr(module, "__all__", ())}
    return {name: _room(found[name]) for name in sorted(found, key=lambda name: (_place(name), name))}


def _place(name: str) -> int:
    """Where a room comes among those of the chapters; a module of its own comes with its package."""
    asked = [room for chapter in CHAPTERS.values() for room in chapter]
    return next((asked.index(room) for room in (name, _package(name)) if room in asked), len(asked))


def _room(module: ModuleType) -> Room:
    sorts: dict[str, list[str]] = {"functions": [], "classes": [], "constants": [], "modules": []}
    for name in sorted(module.__all__):
        sorts[_sort(getattr(module, name))].append(name)
    title = (module.__doc__ or module.__name__).strip().splitlines()[0]
    return Room(module.__name__, title, **{sort: tuple(names) for sort, names in sorts.items()})


def _sort(thing: Any) -> str:
    if inspect.ismodule(thing):
        return "modules"
    if inspect.isclass(thing):
        return "classes"
    return "functions" if inspect.isroutine(thing) else "constants"


def _defined(thing: Any) -> str:
    return f"{thing.__module__}.{thing.__qualname__}"


def homes() -> dict[str, str]:
    """Where a public thing is documented, by where it is defined: in its own room, else in the first that has it."""
    found: dict[str, str] = {}
    for room in rooms().values():
        for name in (*room.functions, *room.classes):
            place = _defined(getattr(import_module(room.name), name))
            if place not in found or (
                place.startswith(f"{room.name}.") and not place.startswith(f"{_package(found[place])}.")
            ):
                found[place] = f"{room.name}.{name}"
    return found


def _package(name: str) -> str:
    return name.rpartition(".")[0]


def write(folder: Path) -> None:
    """The pages as reStructuredText in a folder; those that are already so are left alone, and need no new reading."""
    folder.mkdir(parents=True, exist_ok=True)
    known, places = rooms(), homes()
    pages = {f"{name}.rst": _page(room, known, places) for name, room in known.items()} | {"index.rst": _index(known)}
    for page in folder.glob("*.rst"):
        if page.name not in pages:
            page.unlink()
    for name, text in pages.items():
        page = folder / name
        if not page.exists() or page.read_text(encoding="utf-8") != text:
            page.write_text(text, encoding="utf-8")


def _heading(text: str, line: str) -> list[str]:
    return [text, line * (2 * len(text)), ""]


def _page(room: Room, known: dict[str, Room], homes: dict[str, str]) -> str:
    lines = [*_heading(f"``{room.name}``", "="), f".. automodule:: {room.name}", "   :no-members:", ""]
    inside = [f"{room.name}.{name}" for name in room.modules]
    if any(name in known for name in inside):
        lines += ["Modules: " + ", ".join(f":doc:`{name}`" for name in inside if name in known) + ".", ""]
    lines += [f".. currentmodule:: {room.name}", ""]
    if room.functions or room.classes:
        lines += [".. autosummary::", "   :nosignatures:", ""]
        lines += [*(f"   {name}" for name in (*room.functions, *room.classes) if name != "main"), ""]
    for title, names, directive in (("Functions", room.functions, "function"), ("Classes", room.classes, "class")):
        lines += _heading(title, "-") if names else []
        for name in names:
            home = homes[_defined(getattr(import_module(room.name), name))]
            if home == f"{room.name}.{name}":
                lines += [f".. auto{directive}:: {name}", *(MEMBERS if directive == "class" else ()), ""]
            else:
                lines += [f".. py:{directive}:: {name}", "   :no-index:", "", f"   The same as :py:obj:`{home}`.", ""]
    lines += _heading("Constants", "-") if room.constants else []
    for name in room.constants:
        lines += _constant(name, getattr(import_module(room.name), name))
    # A module without a page of its own is told here; what is in it stands above.
    for name in (name for name in inside if name not in known):
        lines += [*_heading(f"``{name}``", "-"), f".. automodule:: {name}", "   :no-members:", ""]
    return "\n".join(lines)


def _constant(name: str, value: Any) -> list[str]:
    lines = [f".. py:data:: {name}", f"   :type: {type(value).__name__}"]
    if isinstance(value, Findings):
        return [*lines, "", "   What the variables of findings are: :doc:`all of them </findings>`.", ""]
    shown = repr(value)
    if len(shown) <= LONGEST_VALUE and " at 0x" not in shown:
        lines += [f"   :value: {shown}"]
    elif isinstance(value, dict):
        return [*lines, "", "   By " + ", ".join(f"``{key!r}``" for key in value) + ".", ""]
    return [*lines, ""]


def _index(known: dict[str, Room]) -> str:
    lines = [*_heading("API: every public name", "="), "By the package that it is imported from.", ""]
    first = 0
    for chapter, packages in CHAPTERS.items():
        inside = [name for name in known if first <= _place(name) < first + len(packages)]
        first += len(packages)
        lines += _chapter(chapter, inside, known)
    further = [name for name in known if _place(name) >= first]
    return "\n".join(lines + (_chapter("More", further, known) if further else []))


def _chapter(title: str, inside: list[str], known: dict[str, Room]) -> list[str]:
    lines = [*_heading(title, "-"), ".. list-table::", "   :widths: 35 65", "   :class: rooms", ""]
    for name in inside:
        lines += [f"   * - :doc:`{name} <{name}>`", f"     - {known[name].title}"]
    return [*lines, "", ".. toctree::", "   :hidden:", "", *(f"   {name} <{name}>" for name in inside), ""]
