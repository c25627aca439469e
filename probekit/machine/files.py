"""Files and folders that results go into: whole or not at all, seen in time, and clear words where they cannot be."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from tempfile import TemporaryFile

from safetensors import SafetensorError

from probekit.errors import CapacityError

__all__ = ["beside", "is_unfinished", "prepared", "prepared_file", "sweep", "whole", "writing_to"]

# File systems take names of so many bytes; a temporary name says of which file it is as far as there is room.
LONGEST_NAME, SUFFIX = 255, ".partial"


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

    The temporary file lies beside it under a name of its own. The file gets the permissions of the one
    that it replaces, else those that new files have. A link is followed: what it points to is replaced.
    What processes that were killed left of the same file is removed.

    Raises
    ------
    CapacityError
        If it cannot be written; what was there before is then still there.
    """
    with writing_to(path.parent):
        target = path.resolve() if path.is_symlink() else path
        sweep(target)
        unfinished = beside(target)
        # Made here, so that nobody else's file or link is written to, and its mode is what the umask allows.
        os.close(os.open(unfinished, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        mode = (target if target.is_file() else unfinished).stat().st_mode & 0o777
        try:
            yield unfinished
            if unfinished.stat().st_mode & 0o777 != mode:
                # Some writers make a file of their own, which only its owner can read, and move it here.
                unfinished.chmod(mode)
            _flush(unfinished)
            unfinished.replace(target)
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


def prepared_file(path: Path) -> None:
    """Make the folder that a file goes into, and see before anything is computed that the file can be written.

    Raises
    ------
    CapacityError
        If it cannot, or there is a folder in its place.
    """
    with writing_to(path.parent):
        if "\0" in str(path):
            raise OSError(f"{str(path)!r} holds a NUL character")
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise IsADirectoryError(f"{path} is a folder")
        with suppress(FileNotFoundError):
            # A name that the file system does not take shows only when it is looked for.
            path.lstat()
        folder = path.resolve().parent
    prepared(folder)


def beside(path: Path) -> Path:
    """A new hidden name in the folder of `path`, which says what process it is of."""
    end = f".{_here()}-{os.getpid()}-{secrets.token_hex(4)}{SUFFIX}"
    return path.with_name(f".{_shortened(path.name)}{end}")


def is_unfinished(path: Path) -> bool:
    """Whether a file is one that is being written, or was when its process was killed."""
    return path.name.startswith(".") and path.name.endswith(SUFFIX)


def sweep(path: Path) -> None:
    """Remove what killed processes of this machine left of `path`; what living ones and other machines write stays."""
    beginning = f".{_shortened(path.name)}.{_here()}-"
    with suppress(OSError):
        for found in path.parent.iterdir():
            if found.name.startswith(beginning) and found.name.endswith(SUFFIX):
                process = found.name[len(beginning) :].partition("-")[0]
                if process.isdecimal() and not _lives(int(process)):
                    _removed(found)


def _shortened(name: str) -> str:
    return os.fsdecode(os.fsencode(name)[: LONGEST_NAME - 64])


@cache
def _here() -> str:
    """Where process numbers mean the same: a machine, or a container of it."""
    namespace = ""
    with suppress(OSError):
        namespace = str(Path("/proc/self/ns/pid").readlink())
    return hashlib.sha256(f"{socket.gethostname()} {namespace}".encode()).hexdigest()[:8]


def _lives(process: int) -> bool:
    if os.name != "posix":
        # Where a process cannot be asked without harm, it may live.
        return True
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True


def _removed(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()


def _flush(path: Path) -> None:
    """See that the file is on disk before it takes another's place: a machine may lose power."""
    with path.open("rb") as file, suppress(OSError):
        os.fsync(file.fileno())
