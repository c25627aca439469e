"""What a command is going to write: seen to be possible before anything is computed, and nothing is made for it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile

from probekit.errors import InputError
from probekit.machine.files import writing_to
from probekit.machine.storage import is_remote

__all__ = ["file_awaited", "goes_on", "results_awaited"]

LONGEST_NAME = 255


def file_awaited(
    path: Path,
    suffixes: Sequence[str],
    kinds: str,
    *,
    reads: Iterable[str | Path] = (),
    images: Iterable[str | Path] = (),
) -> None:
    """See that a file can be written.

    Parameters
    ----------
    path
        Of the file, or of a store.
    suffixes, kinds
        Its ending is one of these, and what they are as the error says it.
    reads
        Files that the command reads, none of which it may be.
    images
        Folders of images, none of which it may lie in.

    Raises
    ------
    InputError
        If it ends otherwise, has no name, is one of the files read, or lies among images that are.
    CapacityError
        If it cannot be written.
    """
    if path.suffix not in suffixes:
        raise InputError(f"{path}: the output ends in {kinds}")
    if is_remote(path):
        if path.suffix != ".zarr":
            raise InputError(f"{path}: what is not in a folder of this machine is a .zarr store: give -o NAME.zarr")
        return
    _see(path.parent, [path.name], folders=path.suffix == ".zarr")
    _refuse_reads([path], reads)
    _refuse_among(path, images)


def results_awaited(
    out: Path, *names: str, reads: Iterable[str | Path] = (), images: Iterable[str | Path] = ()
) -> None:
    """See that files can be written into a folder, which is made with the first of them.

    Parameters
    ----------
    out
        The folder.
    names
        Of the files.
    reads
        Files that the command reads, none of which is written.
    images
        Folders of images, none of which the files may lie in: they would be read as images the next time.

    Raises
    ------
    InputError
        If the folder is a file, a file read would be written, or the folder lies in one of images.
    CapacityError
        If they cannot be written.
    """
    in_the_way = False
    with suppress(OSError, ValueError):
        in_the_way = out.exists() and not out.is_dir()
    if in_the_way:
        raise InputError(f"out={str(out)!r} is no folder: give the path of one, or a new name")
    _see(out, names)
    _refuse_reads([out / name for name in names], reads)
    _refuse_among(out, images)


@contextmanager
def goes_on(kept: Path | None) -> Iterator[None]:
    """Ctrl-C in here says that the same command goes on where it was, if what it keeps is there; None keeps nothing."""
    try:
        yield
    except KeyboardInterrupt as stopped:
        if kept is not None and kept.exists():
            stopped.add_note(f"{kept} keeps what is done, and the same command goes on from there")
        raise


def _see(folder: Path, names: Iterable[str], *, folders: bool = False) -> None:
    with writing_to(folder):
        if "\0" in str(folder) or any("\0" in name for name in names):
            raise OSError("the path holds a NUL character")
        long = [part for part in (*folder.parts, *names) if len(os.fsencode(part)) > LONGEST_NAME]
        if long:
            raise OSError(f"a name of {len(os.fsencode(long[0]))} bytes is longer than {LONGEST_NAME}")
        there = folder
        while not there.exists() and there != there.parent:
            there = there.parent
        if not there.is_dir():
            raise NotADirectoryError(f"{there} is no folder")
        for name in names:
            if not folders and (folder / name).is_dir():
                raise IsADirectoryError(f"{folder / name} is a folder")
        # A file without a name is in nobody's way; folders that are to be made can be where a file can.
        TemporaryFile(dir=there).close()


def _refuse_reads(written: Iterable[Path], reads: Iterable[str | Path]) -> None:
    places = {_resolved(Path(path)): path for path in reads}
    for path in written:
        if _resolved(path) in places:
            raise InputError(f"{path} is read and would be written: give another output")


def _refuse_among(out: Path, images: Iterable[str | Path]) -> None:
    place = _resolved(out)
    for folder in images:
        found = _resolved(Path(folder))
        if found.is_dir() and (place == found or found in place.parents):
            raise InputError(
                f"{out} lies in {folder}, whose images are read: what is written there would be looked at as an image "
                "the next time; give a place outside it"
            )


def _resolved(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, ValueError, RuntimeError):
        return path
