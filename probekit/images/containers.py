"""Where image files lie: a folder, with links followed, a zip or a tar; each lists its files once."""

from __future__ import annotations

import os
import stat
import zipfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from probekit.errors import InputError
from probekit.images.members import LARGEST_FILE, Listing, Where, taken
from probekit.images.tars import Tar, begins_as_tar, is_tar
from probekit.images.unusable import Unusable, reason
from probekit.images.zips import Zip

__all__ = ["Container", "Folder", "FolderFiles", "hidden", "opened", "refuse_compressed"]

# Links may lead to a folder in several ways, but in so many only where they lead from each to each other.
MOST_VISITS = 100
LOST_LINK = "a link that leads nowhere"
# How compressed files begin, and what unpacks them.
COMPRESSED = {
    b"\x1f\x8b": ("gzip", "gunzip"),
    b"BZh": ("bzip2", "bunzip2"),
    b"\xfd7zXZ": ("xz", "unxz"),
    b"\x28\xb5\x2f\xfd": ("Zstandard", "unzstd"),
}


def opened(path: Path) -> Container:
    """The folder, zip or tar at a path.

    Raises
    ------
    InputError
        If there is none, or it cannot be read.
    """
    try:
        os.fspath(path).encode()
        mode = path.stat().st_mode
    except FileNotFoundError:
        what = 'give a folder, a zip, tars, or "samples" for the built-in photographs'
        raise InputError(f"{path} does not exist: {what}") from None
    except UnicodeEncodeError:
        raise InputError(f"the path {str(path)!a} is not UTF-8, as results need it: rename it") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{_short(path)} cannot be read: {reason(error)}") from None
    if stat.S_ISDIR(mode):
        return Folder(path)
    try:
        if stat.S_ISREG(mode):
            # A tar may end with a zip in it, and what is called a tar may be none.
            if begins_as_tar(path):
                return Tar([path])
            with path.open("rb") as stream:
                if zipfile.is_zipfile(stream):
                    return Zip(path)
            refuse_compressed(path)
            if is_tar(path):
                return Tar([path])
    except (OSError, Unusable) as error:
        raise InputError(f"{path} cannot be read: {reason(error)}") from None
    raise InputError(
        f"{path} is neither a folder, a zip nor a tar: of single image files give a list, load([{str(path)!r}])"
    )


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

    def at(self, names: Sequence[str]) -> FolderFiles:
        """The files of these names."""
        return FolderFiles(self.path, names)


class FolderFiles:
    """Some files below a folder."""

    def __init__(self, path: Path, names: Sequence[str]) -> None:
        self.path, self.names = path, names

    def part(self, where: Where) -> FolderFiles:
        """Some of these."""
        return FolderFiles(self.path, taken(self.names, where))

    def sums(self) -> None:
        """Nothing is known of the bytes of files before these are read."""

    def read(self, k: int) -> bytes:
        """The bytes of the k-th file.

        Raises
        ------
        Unusable
            If they cannot be had.
        """
        path = os.path.join(self.path, self.names[k])  # noqa: PTH118, several times as fast
        try:
            found = os.stat(path)  # noqa: PTH116
            if stat.S_ISDIR(found.st_mode):
                raise Unusable("a folder, and no file: load it by itself, or list its files")
            # A pipe would be waited for, without end.
            if not stat.S_ISREG(found.st_mode):
                raise Unusable("a pipe, socket or device, and no file")
            if found.st_size > LARGEST_FILE:
                raise Unusable(f"{found.st_size:,} bytes, more than any image file has")
            with open(path, "rb", buffering=0) as stream:  # noqa: PTH123
                return stream.readall()
        except FileNotFoundError:
            raise Unusable(LOST_LINK if Path(path).is_symlink() else "it is not there") from None
        except OSError as error:
            raise Unusable(reason(error)) from None


Container = Folder | Zip | Tar


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


def _short(path: Path) -> str:
    text = repr(str(path))
    return text if len(text) <= 120 else f"{text[:60]}…{text[-40:]}, of {len(str(path))} characters,"


def refuse_compressed(path: Path) -> None:
    """Refuse what has to be unpacked from its beginning on."""
    with path.open("rb") as stream:
        first = stream.read(6)
    for begins, (kind, unpack) in COMPRESSED.items():
        if first.startswith(begins):
            raise InputError(
                f"{path} is compressed by {kind}, and to reach one image in it all before it would be unpacked each "
                f"time: unpack it once, {unpack} {path.name}, and give the tar that comes of it"
            )
