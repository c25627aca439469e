"""Where image files lie: a folder, with links followed, or a zip; both list their files once and hand out bytes."""

from __future__ import annotations

import os
import stat
import zipfile
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from probekit.errors import InputError
from probekit.images.unusable import Unusable, reason

__all__ = ["Folder", "Listing", "Zip", "opened"]

# More than any image takes that can be held in memory.
LARGEST_FILE = 2**30
# The bit of a member's flags which says that its name is UTF-8; without it, zipfile reads code page 437.
UTF8 = 0x800
# Links may lead to a folder in several ways, but in so many only where they lead from each to each other.
MOST_VISITS = 100
LOST_LINK = "a link that leads nowhere"


class Listing(NamedTuple):
    """The paths of the files inside, sorted, with "/" between folders; what could not be looked into, and why."""

    files: list[str]
    closed: dict[str, str]


def opened(path: Path) -> Folder | Zip:
    """The folder or zip at a path.

    Raises
    ------
    InputError
        If there is none, or it cannot be read.
    """
    try:
        os.fspath(path).encode()
        mode = path.stat().st_mode
    except FileNotFoundError:
        what = 'give a folder, a zip, or "samples" for the built-in photographs'
        raise InputError(f"{path} does not exist: {what}") from None
    except UnicodeEncodeError:
        raise InputError(f"the path {str(path)!a} is not UTF-8, as results need it: rename it") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{_short(path)} cannot be read: {reason(error)}") from None
    if stat.S_ISDIR(mode):
        return Folder(path)
    try:
        if stat.S_ISREG(mode):
            with path.open("rb") as stream:
                if zipfile.is_zipfile(stream):
                    return Zip(path)
    except (OSError, Unusable) as error:
        raise InputError(f"{path} cannot be read: {reason(error)}") from None
    raise InputError(f"{path} is neither a folder nor a zip: of single image files give a list, load([{str(path)!r}])")


class Folder:
    """The files below a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def listing(self) -> Listing:
        files: list[str] = []
        closed: dict[str, str] = {}
        # Folders that are still to be looked into, each with those that it lies in, by device and inode.
        waiting: list[tuple[str, frozenset[tuple[int, int]]]] = [("", frozenset())]
        visits: Counter[tuple[int, int]] = Counter()
        while waiting:
            inside, above = waiting.pop()
            try:
                found = (self.path / inside).stat()
                here = found.st_dev, found.st_ino
                # What lies behind a link back up has been met already.
                if here not in above:
                    visits[here] += 1
                    if visits[here] > MOST_VISITS:
                        raise InputError(
                            f"links in {self.path} lead to the folder {(self.path / inside).resolve()} in more than "
                            f"{MOST_VISITS} ways: load the folders that are meant, or remove such links"
                        )
                    for entry in os.scandir(self.path / inside):
                        name = inside + entry.name
                        if not _is_folder(entry, name, closed):
                            files.append(name)
                        elif not hidden(entry.name):
                            waiting.append((f"{name}/", above | {here}))
            except OSError as error:
                closed[inside or "."] = reason(error)
        return Listing(sorted(files), closed)

    def read(self, name: str) -> bytes:
        """The bytes of a file.

        Raises
        ------
        Unusable
            If they cannot be had.
        """
        path = self.path / name
        try:
            found = path.stat()
            if stat.S_ISDIR(found.st_mode):
                raise Unusable("a folder, and no file: load it by itself, or list its files")
            # A pipe would be waited for, without end.
            if not stat.S_ISREG(found.st_mode):
                raise Unusable("a pipe, socket or device, and no file")
            if found.st_size > LARGEST_FILE:
                raise Unusable(f"{found.st_size:,} bytes, more than any image file has")
            return path.read_bytes()
        except FileNotFoundError:
            raise Unusable(LOST_LINK if path.is_symlink() else "it is not there") from None
        except OSError as error:
            raise Unusable(reason(error)) from None


class Zip:
    """The files in a zip, kept open since to parse it is costly; opened anew in other processes and when replaced."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.state: tuple[int, ...] = ()
        self.archive, self.members = self._open()

    def _open(self) -> tuple[zipfile.ZipFile, dict[str, zipfile.ZipInfo]]:
        self.state = self._now()
        try:
            archive = zipfile.ZipFile(self.path)
        except Exception as error:
            # zipfile raises all sorts of things of a damaged directory.
            raise InputError(f"{self.path} is a damaged zip: {reason(error)}") from None
        return archive, {_path(info): info for info in archive.infolist()}

    def _now(self) -> tuple[int, ...]:
        try:
            found = self.path.stat()
        except OSError as error:
            raise Unusable(f"{self.path.name}: {reason(error)}") from None
        return os.getpid(), found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns

    def listing(self) -> Listing:
        # Not of the members by path, in which one that occurs twice is there once.
        paths = map(_path, self.archive.infolist())
        return Listing(sorted(path for path in paths if not path.endswith("/")), {})

    def read(self, name: str) -> bytes:
        """The bytes of a file.

        Raises
        ------
        Unusable
            If they cannot be had.
        """
        try:
            if self._now() != self.state:
                self.archive, self.members = self._open()
            info = self.members[name]
            if stat.S_ISLNK(info.external_attr >> 16):
                raise Unusable("a symbolic link, which leads nowhere from within a zip")
            if info.file_size > LARGEST_FILE:
                raise Unusable(f"{info.file_size:,} bytes, more than any image file has")
            return self.archive.read(info)
        except Unusable:
            raise
        except KeyError:
            raise Unusable("it is not there") from None
        except Exception as error:
            # zipfile and what it unpacks with raise all sorts of things of a damaged or locked member.
            raise Unusable(reason(error)) from None


def hidden(name: str) -> bool:
    """Whether a file or folder of this name is kept out of sight by custom."""
    return name == "__MACOSX" or (name.startswith(".") and name not in (".", ".."))


def _is_folder(entry: os.DirEntry[str], name: str, closed: dict[str, str]) -> bool:
    """Whether an entry is a folder or a link to one; links that may once have led to one are noted as closed."""
    try:
        if entry.is_dir():
            return True
        if entry.is_symlink() and not Path(entry.name).suffix:
            entry.stat()
    except OSError as error:
        closed[name] = LOST_LINK if isinstance(error, FileNotFoundError) else reason(error)
    return False


def _path(info: zipfile.ZipInfo) -> str:
    """The path of a member; some programs of Windows write their own separator."""
    return _decoded(info).replace("\\", "/")


def _decoded(info: zipfile.ZipInfo) -> str:
    """The name of a member; some programs write UTF-8, and do not set the flag that says so."""
    if info.flag_bits & UTF8:
        return info.filename
    try:
        return info.filename.encode("cp437").decode()
    except UnicodeError:
        return info.filename


def _short(path: Path) -> str:
    text = repr(str(path))
    return text if len(text) <= 120 else f"{text[:60]}…{text[-40:]}, of {len(str(path))} characters,"
