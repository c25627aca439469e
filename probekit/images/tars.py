"""The files in tars: each tar is read through once, header by header, and then members by their place."""

from __future__ import annotations

import tarfile
from array import array
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from probekit.errors import InputError
from probekit.images.members import LARGEST_FILE, Archived, Index, Listing, Opened, rows_of, state_of
from probekit.images.unusable import Unusable, reason

__all__ = ["Tar", "begins_as_tar", "is_tar"]

# Tars are made of blocks, and one of zeros ends them; what says that it is a tar is in the first, but for the oldest.
BLOCK, MAGIC, MAGIC_AT = 512, b"ustar", 257
# Looked at once, of what comes after the end.
PIECE = 2**20


def is_tar(path: Path) -> bool:
    """Whether it is a file that is called like a tar, or begins like one; one that cannot be read is none."""
    try:
        return path.is_file() and (path.suffix.lower() == ".tar" or begins_as_tar(path))
    except (OSError, ValueError):
        return False


def begins_as_tar(path: Path) -> bool:
    """Whether a file says of itself that it is a tar.

    Raises
    ------
    OSError
        If it cannot be read.
    """
    with path.open("rb") as stream:
        stream.seek(MAGIC_AT)
        return stream.read(len(MAGIC)) == MAGIC


class Tar:
    """What there is in one tar, or in several as if they were one.

    Raises
    ------
    InputError
        If one is damaged, cut off or empty of bytes.
    Unusable
        If one is not there.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = tuple(paths)
        self.states = tuple(map(state_of, self.paths))
        shards = list(map(_indexed, self.paths))
        self._names = [name for shard in shards for name in shard.names]
        starts = np.cumsum([0, *(len(shard.names) for shard in shards)]).tolist()
        self._odd = {
            start + k: why for start, shard in zip(starts, shards, strict=False) for k, why in shard.odd.items()
        }
        counts = [len(shard.names) for shard in shards]
        self._columns = {
            "archive": np.repeat(np.arange(len(shards), dtype=np.uint8 if len(shards) < 2**8 else np.int32), counts),
            "offset": np.concatenate([shard.offsets for shard in shards]),
            "size": np.concatenate([shard.sizes for shard in shards]),
        }
        self._rows: dict[str, int] = {}

    def listing(self) -> Listing:
        """The files inside; a name that occurs twice is there twice."""
        return Listing(sorted(self._names), {})

    def whereabouts(self, name: str) -> list[Path]:
        """The tars that hold a member of this name, each as often as it does."""
        return [self.paths[int(self._columns["archive"][k])] for k, one in enumerate(self._names) if one == name]

    def at(self, names: Sequence[str]) -> TarMembers:
        """The members of these names; of several of one name the last."""
        if not self._rows:
            self._rows = {name: k for k, name in enumerate(self._names)}
        rows = np.fromiter((self._rows.get(name, -1) for name in names), np.int64, len(names))
        odd = {k: self._odd[row] for k, row in enumerate(rows.tolist()) if row in self._odd} if self._odd else {}
        odd |= dict.fromkeys(np.flatnonzero(rows < 0).tolist(), "it is not there")
        return TarMembers(self.paths, names, Index(self.states, rows_of(self._columns, rows), odd))


class TarMembers(Archived):
    """Members of tars."""

    def _bytes(self, archive: Opened, _name: str, of: Mapping[str, int], /) -> bytes:
        found = archive.at(of["offset"], of["size"])
        if len(found) < of["size"]:
            raise Unusable("its tar ends before it")
        return found

    def _indexed_again(self) -> Index:
        return Tar(self.paths).at(self.names).index


class _Shard(NamedTuple):
    names: list[str]
    offsets: np.ndarray
    sizes: np.ndarray
    odd: dict[int, str]


def _indexed(path: Path) -> _Shard:
    """The files of a tar in its order: names, where the bytes of each begin, how many, and why some cannot be read."""
    names: list[str] = []
    # Two numbers a file, without objects of their own.
    places = array("q")
    odd: dict[int, str] = {}
    links: dict[int, str] = {}
    end = 0
    try:
        with tarfile.open(path, "r:") as archive:
            while (member := archive.next()) is not None:
                # tarfile keeps all that it has met, a thousand bytes each.
                archive.members.clear()  # pyright: ignore[reportAttributeAccessIssue]
                end = archive.offset
                if member.isdir():
                    continue
                if member.islnk():
                    links[len(names)] = _path(member.linkname)
                elif why := _why_not(member):
                    odd[len(names)] = why
                names.append(_path(member.name))
                places.extend((member.offset_data, min(member.size, LARGEST_FILE)))
            end = archive.offset
    except Exception as error:
        # tarfile raises all sorts of things of a damaged header.
        raise InputError(_damaged(path, names, reason(error))) from None
    _check_end(path, names, end)
    return _linked(names, np.array(places, np.int64).reshape(-1, 2), odd, links)


def _check_end(path: Path, names: Sequence[str], end: int) -> None:
    """Refuse a tar that does not end as one: tarfile takes what it cannot read for the end, without a word."""
    with path.open("rb") as stream:
        stream.seek(end)
        mark = stream.read(BLOCK)
        if len(mark) < BLOCK:
            why = (
                "it has no end mark, as what was cut off between two files; where it is whole, "
                "`truncate --size=+1024 FILE` adds one"
            )
            raise InputError(_damaged(path, names, why))
        if any(mark):
            raise InputError(_damaged(path, names, f"what comes at byte {end:,} is no header of a file"))
        while piece := stream.read(PIECE):
            if piece.strip(b"\0"):
                raise InputError(
                    f"{path} goes on after its end, which comes after {_after(names)}: of tars written one after the "
                    "other give each by itself, or join them with `tar --concatenate`"
                )


def _damaged(path: Path, names: Sequence[str], why: str) -> str:
    return f"{path} is a damaged tar, or cut off, after {_after(names)}: {why}. Copy or make it again"


def _after(names: Sequence[str]) -> str:
    return f"{len(names)} files, the last {names[-1]!a}" if names else "no file"


def _linked(names: list[str], places: np.ndarray, odd: dict[int, str], links: Mapping[int, str]) -> _Shard:
    """A second name of a file is a link, without bytes of its own, to the first, which came before it."""
    targets = set(links.values())
    rows: dict[str, int] = {}
    for k, name in enumerate(names if links else ()):
        if k in links:
            target = rows.get(links[k])
            if target is None:
                odd[k] = f"a link to {links[k]!a}, which is not in its tar"
            else:
                places[k] = places[target]
                if target in odd:
                    odd[k] = odd[target]
        if name in targets:
            rows[name] = k
    return _Shard(names, places[:, 0].copy(), places[:, 1].astype(np.uint32), odd)


def _why_not(member: tarfile.TarInfo) -> str:
    """Why a member cannot be read, if it cannot."""
    if member.issym():
        return "a symbolic link, which leads nowhere from within a tar: make it with `tar --dereference`"
    if member.issparse():
        return "stored with holes: make the tar without --sparse"
    if not member.isreg():
        return "a pipe or device, and no file"
    if member.size > LARGEST_FILE:
        return f"{member.size:,} bytes, more than any image file has"
    return ""


def _path(name: str) -> str:
    """The path of a member, as it is in the folder that was packed: `tar -C folder .` begins all with "./"."""
    while name.startswith("./"):
        name = name[2:].lstrip("/")
    return name
