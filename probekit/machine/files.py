"""Folders that results go into: made in time, and clear words where they cannot be written to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile

from safetensors import SafetensorError

from probekit.errors import CapacityError

__all__ = ["prepared", "whole", "writing_to"]


@contextmanager
def writing_to(folder: Path) -> Iterator[None]:
    """Failures to write are clear errors."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        raise CapacityError(
            f"cannot write into {folder} ({error}): give a folder that can be made and written to, with space left"
        ) from error


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Write a file whole or not at all: write to the path given here, which takes the file's place at the end.

    Raises
    ------
    CapacityError
        If it cannot be written; what was there before is then still there.
    """
    unfinished = path.with_name(f"{path.name}.partial")
    with writing_to(path.parent):
        try:
            yield unfinished
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)


def prepared(folder: Path) -> None:
    """Make the folder, and see before anything is computed that it can be written to.

    Raises
    ------
    CapacityError
        If it cannot.
    """
    with writing_to(folder):
        folder.mkdir(parents=True, exist_ok=True)
        # Several processes may try at once: a file without a name is in nobody's way.
        TemporaryFile(dir=folder).close()
