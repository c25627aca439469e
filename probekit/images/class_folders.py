"""Classes of image files by the folders that they lie in."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import PurePosixPath
from typing import NamedTuple

__all__ = ["ClassFolders", "class_folders", "folder_of"]


class ClassFolders(NamedTuple):
    """The class of files in each folder, and the folders inside those of classes that part again."""

    classes: dict[str, str]
    inside: list[str]


def folder_of(name: str) -> str:
    """The folder that a file lies in, with "/" at its end; "" of one that lies in none."""
    return name[: name.rfind("/") + 1]


def class_folders(folders: Collection[str]) -> ClassFolders:
    """The class of the files in a folder is its name at the first level where folders differ; "" where they lie above.

    Where none differ, there are no classes, unless files lie beside one of the folders: then the first such is a class.
    `folders` are those of all files, as `folder_of` gives them.
    """
    parts_of = {folder: PurePosixPath(folder).parts for folder in sorted(folders)}
    level = _level(set(parts_of.values()))
    if level is None:
        return ClassFolders({}, [])
    classes = {folder: parts[level] if len(parts) > level else "" for folder, parts in parts_of.items()}
    deepest = max(map(len, parts_of.values()))
    for depth in range(level + 1, deepest):
        inside = dict.fromkeys(parts[depth] for parts in parts_of.values() if len(parts) > depth)
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
