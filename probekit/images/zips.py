"""The files in a zip: its directory is read once, and members by their place."""

from __future__ import annotations

import io
import stat
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from probekit.errors import InputError
from probekit.images.members import LARGEST_FILE, Archived, Index, Listing, Opened, rows_of, state_of
from probekit.images.unusable import Unusable, reason

__all__ = ["Zip"]

# The bits of a member's flags which say that it is encrypted, and that its name is UTF-8; without the second, zipfile
# reads code page 437.
ENCRYPTED, UTF8 = 0x1, 0x800
# What comes before a member's bytes: so much, then its name and what else is said of it.
HEADER, BEGINS = 30, b"PK\x03\x04"
# What is said beside the name, in most archives.
EXTRA = 64


class Zip:
    """The directory of a zip.

    Raises
    ------
    InputError
        If it is damaged.
    Unusable
        If it is not there.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.state = path, state_of(path)
        try:
            with zipfile.ZipFile(path) as archive:
                infos = archive.infolist()
            self._columns = _columns(infos)
        except Exception as error:
            # zipfile raises all sorts of things of a damaged directory.
            raise InputError(f"{path} is a damaged zip: {reason(error)}") from None
        self._names = list(map(_path, infos))
        self._odd = {k: why for k, info in enumerate(infos) if (why := _why_not(info))}
        self._rows: dict[str, int] = {}

    def listing(self) -> Listing:
        """The files inside; a name that occurs twice is there twice."""
        return Listing(sorted(name for name in self._names if not name.endswith("/")), {})

    def at(self, names: Sequence[str]) -> ZipMembers:
        """The members of these names."""
        if not self._rows:
            self._rows = {name: k for k, name in enumerate(self._names)}
        rows = np.fromiter((self._rows.get(name, -1) for name in names), np.int64, len(names))
        odd = {k: self._odd[row] for k, row in enumerate(rows.tolist()) if row in self._odd} if self._odd else {}
        odd |= dict.fromkeys(np.flatnonzero(rows < 0).tolist(), "it is not there")
        return ZipMembers([self.path], names, Index((self.state,), rows_of(self._columns, rows), odd))


class ZipMembers(Archived):
    """Members of a zip."""

    def _bytes(self, archive: Opened, name: str, of: Mapping[str, int], /) -> bytes:
        ahead = HEADER + len(name.encode(errors="surrogateescape")) + EXTRA
        found = archive.at(of["offset"], ahead + of["packed"])
        begins = HEADER + int.from_bytes(found[26:28], "little") + int.from_bytes(found[28:30], "little")
        if found[:4] != BEGINS:
            raise Unusable("the directory of its zip leads to something else")
        if begins > ahead:
            found += archive.at(of["offset"] + len(found), begins - ahead)
        # What zipfile itself unpacks a member with; it compares the checksum.
        info = zipfile.ZipInfo(name)
        info.compress_type, info.CRC = of["method"], of["crc"]
        info.compress_size, info.file_size = of["packed"], of["size"]
        packed = io.BytesIO(found[begins : begins + of["packed"]])
        with zipfile.ZipExtFile(packed, "r", info) as stream:
            return stream.read()

    def _indexed_again(self) -> Index:
        return Zip(self.paths[0]).at(self.names).index


def _columns(infos: Sequence[zipfile.ZipInfo]) -> dict[str, np.ndarray]:
    """Where members lie; sizes up to the largest, since what is larger is refused."""
    count = len(infos)
    return {
        "archive": np.zeros(count, np.uint8),
        "offset": np.fromiter((info.header_offset for info in infos), np.int64, count),
        "packed": np.fromiter((min(info.compress_size, LARGEST_FILE) for info in infos), np.uint32, count),
        "size": np.fromiter((min(info.file_size, LARGEST_FILE) for info in infos), np.uint32, count),
        "crc": np.fromiter((info.CRC for info in infos), np.uint32, count),
        "method": np.fromiter((info.compress_type for info in infos), np.uint16, count),
    }


def _why_not(info: zipfile.ZipInfo) -> str:
    """Why a member cannot be read, if it cannot."""
    if stat.S_ISLNK(info.external_attr >> 16):
        return "a symbolic link, which leads nowhere from within a zip"
    if info.file_size > LARGEST_FILE:
        return f"{info.file_size:,} bytes, more than any image file has"
    if info.flag_bits & ENCRYPTED:
        return "encrypted: unpack it with its password"
    return ""


def _path(info: zipfile.ZipInfo) -> str:
    """The path of a member; some programs of Windows write their own separator."""
    return _decoded(info).replace("\\", "/")


def _decoded(info: zipfile.ZipInfo) -> str:
    """The name of a member; some programs write UTF-8, and do not set the flag that says so."""
    if info.filename.isascii() or info.flag_bits & UTF8:
        return info.filename
    try:
        return info.filename.encode("cp437").decode()
    except UnicodeError:
        return info.filename
