"""What a folder or an archive holds, told once in columns: the bytes of each file, in any order, in any process."""

from __future__ import annotations

import os
import threading
import weakref
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np

from probekit.images.unusable import Unusable, reason

__all__ = [
    "LARGEST_FILE",
    "Archived",
    "Index",
    "Listing",
    "Members",
    "Opened",
    "Where",
    "part_of",
    "rows_of",
    "state_of",
    "taken",
]

T = TypeVar("T")
# An archive by its position, and in which state it was.
Key = tuple[int, tuple[int, ...]]

# More than any image takes that can be held in memory.
LARGEST_FILE = 2**30
# Archives that are open at once in one process, of all sets together: it may have about a thousand files open.
MOST_OPEN = 64
# Which of many: a range, of which nothing is kept but its ends, or positions.
Where = range | np.ndarray


class Listing(NamedTuple):
    """The paths of the files inside, sorted, with "/" between folders; what could not be looked into, and why."""

    files: list[str]
    closed: dict[str, str]


class Members(Protocol):
    """Some files of a folder or an archive, by position. They can be pickled, and open again what they read."""

    names: Sequence[str]

    def read(self, k: int) -> bytes:
        """The bytes of the k-th.

        Raises
        ------
        Unusable
            If they cannot be had.
        """
        ...

    def sums(self) -> np.ndarray | None:
        """CRC-32 of the bytes of each, uint32, where these are told without reading them."""
        ...

    def part(self, where: Where) -> Members:
        """Some of these."""
        ...


class Opened:
    """A file that is open for reading at any place, by several threads and after a fork; closed when it is let go."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        # Without this, Windows would change line ends.
        self._file = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0))

    def at(self, offset: int, count: int) -> bytes:
        """So many bytes from a place on, fewer where the file ends."""
        parts: list[bytes] = []
        while count > 0 and (part := self._some(offset, count)):
            parts.append(part)
            offset, count = offset + len(part), count - len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _some(self, offset: int, count: int) -> bytes:
        if hasattr(os, "pread"):
            return os.pread(self._file, count, offset)
        with self._lock:
            os.lseek(self._file, offset, os.SEEK_SET)
            return os.read(self._file, count)

    def __del__(self) -> None:
        if hasattr(self, "_file"):
            os.close(self._file)


class Index(NamedTuple):
    """Where the members of archives lie.

    states is what `state_of` said of each archive; columns are arrays of one number a member, by what they say, of
    which "archive" is the position of its archive; odd says why members cannot be read, by position.
    """

    states: tuple[tuple[int, ...], ...]
    columns: dict[str, np.ndarray]
    odd: dict[int, str]


class Archived:
    """Members of one archive or several.

    Parameters
    ----------
    paths
        Of the archives.
    names
        Of the members.
    index
        Where these lie.
    """

    def __init__(self, paths: Sequence[Path], names: Sequence[str], index: Index) -> None:
        self.paths, self.names, self.index = tuple(paths), names, index
        self._renew()

    def _renew(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[Key, Opened] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in ("_lock", "_open")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._renew()

    def part(self, where: Where) -> Any:
        """Some of these."""
        positions = {int(old): new for new, old in enumerate(where)} if self.index.odd else {}
        odd = {positions[k]: why for k, why in self.index.odd.items() if k in positions}
        columns = {name: part_of(column, where) for name, column in self.index.columns.items()}
        return type(self)(self.paths, taken(self.names, where), Index(self.index.states, columns, odd))

    def read(self, k: int) -> bytes:
        """The bytes of the k-th member.

        Raises
        ------
        Unusable
            If they cannot be had.
        """
        try:
            index = self.index
            archive = int(index.columns["archive"][k])
            if state_of(self.paths[archive]) != index.states[archive]:
                index = self._again()
                archive = int(index.columns["archive"][k])
            if k in index.odd:
                raise Unusable(index.odd[k])
            of = {name: int(column[k]) for name, column in index.columns.items()}
            return self._bytes(self._opened(archive, index.states[archive]), self.names[k], of)
        except Unusable:
            raise
        except Exception as error:
            # What unpacks a damaged or locked member raises all sorts of things.
            raise Unusable(reason(error)) from None

    def sums(self) -> np.ndarray | None:
        """CRC-32 of the bytes of each, where the archive says them."""
        return self.index.columns.get("crc")

    def _bytes(self, archive: Opened, name: str, of: Mapping[str, int], /) -> bytes:
        """The bytes of a member, of which the columns say so much."""
        raise NotImplementedError

    def _indexed_again(self) -> Index:
        """Where the same members lie in the archives as they are now."""
        raise NotImplementedError

    def _again(self) -> Index:
        """Go on with archives that were replaced or touched."""
        with self._lock:
            if tuple(map(state_of, self.paths)) != self.index.states:
                self.index, self._open = self._indexed_again(), {}
            return self.index

    def _opened(self, archive: int, state: tuple[int, ...]) -> Opened:
        with _RECENT.lock:
            found = self._open.get((archive, state)) or Opened(self.paths[archive])
            self._open[archive, state] = found
            _RECENT.used(self, (archive, state))
        return found

    def close(self, key: Key) -> None:
        """Let go of an archive: who reads from it still holds it, and then it is closed."""
        self._open.pop(key, None)


class Recent:
    """Which archives of which sets were asked for last."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._order: OrderedDict[tuple[int, Key], weakref.ref[Archived]] = OrderedDict()

    def used(self, members: Archived, key: Key) -> None:
        """Put one last, and close the first where there are too many; the lock is held."""
        self._order[id(members), key] = weakref.ref(members)
        self._order.move_to_end((id(members), key))
        while len(self._order) > MOST_OPEN:
            (_, former), whose = self._order.popitem(last=False)
            owner = whose()
            if owner is not None:
                owner.close(former)

    def forked(self) -> None:
        """In a new process no other thread holds the lock, or will let it go."""
        self.lock = threading.Lock()


_RECENT = Recent()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_RECENT.forked)


def rows_of(columns: Mapping[str, np.ndarray], rows: np.ndarray) -> dict[str, np.ndarray]:
    """Columns of the members at these rows; of those at −1, which are not there, zeros."""
    lost = rows < 0
    found: dict[str, np.ndarray] = {}
    for name, column in columns.items():
        found[name] = np.zeros(len(rows), column.dtype)
        found[name][~lost] = column[rows[~lost]]
    return found


def state_of(path: Path) -> tuple[int, ...]:
    """What changes when a file is replaced or written to.

    Raises
    ------
    Unusable
        If it is not there.
    """
    try:
        found = path.stat()
    except OSError as error:
        raise Unusable(f"{path.name}: {reason(error)}") from None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def taken(values: Sequence[T], where: Where) -> tuple[T, ...]:
    """Some of many; of a range at the speed of a slice."""
    if isinstance(where, range):
        return tuple(values[_slice(where)])
    return tuple([values[k] for k in where.tolist()])


def part_of(values: Any, where: Where) -> Any:
    """Some of an array, or of a range: of consecutive ones a view."""
    if isinstance(values, range) and not isinstance(where, range):
        return values.start + values.step * where
    return values[_slice(where)]


def _slice(where: Where) -> Any:
    if not isinstance(where, range):
        return where
    if not where:
        return slice(0, 0)
    # Of steps down to the first, the end is none.
    return slice(where.start, where.stop if where.stop >= 0 else None, where.step)
