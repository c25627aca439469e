"""Classes of image files by the folders that they lie in."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import PurePosixPath
from typing import NamedTuple

__all__ = ["ClassFolders", "class_folders"]


class ClassFolders(NamedTuple):
    """The class of each file, and the folders inside those of classes that part again, which may be meant instead."""

    classes: dict[str, str]
    inside: list[str]


def class_folders(names: Collection[str]) -> ClassFolders:
    """The class of each file is its folder at the first level where folders differ; "" of files that lie above.

    Where none differ, there are no classes, unless files lie beside one of the folders: then the first such is a class.
    """
    folders = {name: PurePosixPath(name).parts[:-1] for name in names}
    level = _level(set(folders.values()))
    if level is None:
        return ClassFolders({}, [])
    classes = {name: parts[level] if len(parts) > level else "" for name, parts in folders.items()}
    deepest = max(map(len, folders.values()))
    for depth in range(level + 1, deepest):
        inside = dict.fromkeys(parts[depth] for parts in folders.values() if len(parts) > depth)
        if len(inside) > 1:
            return ClassFolders(classes, list(inside))
    return ClassFolders(classes, [])


def _level(folders: Collection[tuple[str, ...]]) -> int | None:
    """How many folders lie above those that are classes; None where there are no classes."""
    level, beside = 0, None
    while inside := {parts[level] for parts in folders if len(parts) > level}:
        if len(inside) > 1:
            return level
        if beside is None and any(len(parts) == level for parts in folders):
            beside = level
        level += 1
    return beside
