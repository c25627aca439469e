"""Where stores lie: folders of a file system, or of whatever fsspec reaches, such as the buckets of an object store.

An object store has no folders, renames or locks. What it has is objects that appear whole, and creation that fails
where there is one already; that is all that is asked of it here.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from probekit import checks
from probekit.errors import CapacityError, InputError

__all__ = ["at_once", "files_below", "fsspec_store", "held", "is_remote", "place", "put"]

T = TypeVar("T")
R = TypeVar("R")
EXTRA = 'pip install "probekit-denoisers[distribute]"'
SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
# Files looked at at once: of a disk as many as it likes, and far away each takes a while to answer.
AT_ONCE, AT_ONCE_FAR = 4, 32
# Seconds between signs of life of whoever holds a lock, and without one after which it is taken over.
BEAT, SILENCE = 5.0, 30.0


def place(name: str, value: Any, what: str) -> Path:
    """Where a store is or will be: a path, or for such text as ``s3://bucket/phi.zarr`` a UPath, used like one.

    Raises
    ------
    InputError
        If it is no path, the package that reaches it is not installed, or fsspec knows no such kind.
    """
    remote = isinstance(value, str) and SCHEME.match(value)
    if not remote and not _is_upath(value):
        return checks.path(name, value, what)
    try:
        from upath import UPath
    except ImportError as error:
        raise InputError(
            f"{checks.given(name, value)}: fsspec and universal-pathlib reach it, which cannot be imported ({error}): "
            f"{EXTRA}"
        ) from error
    try:
        found: Any = UPath(value)
        _ = found.fs
    except (ValueError, ImportError, TypeError) as error:
        raise InputError(f"{checks.given(name, value)}: it cannot be reached ({error}); give {what}") from error
    # Of this machine's own file system there is more to be had than what fsspec knows of it.
    return checks.path(name, found.path, what) if found.protocol in ("", "file", "local") else found


def is_remote(path: Path) -> bool:
    """Whether it is reached by fsspec, and files there are written whole and never renamed."""
    return not isinstance(path, os.PathLike)


def fsspec_store(path: Path, *, writable: bool = False) -> Any:
    """What zarr and xarray open instead of the path."""
    if not is_remote(path):
        return path
    from zarr.storage import FsspecStore

    far: Any = path
    return FsspecStore.from_url(str(far), storage_options=dict(far.storage_options), read_only=not writable)


def at_once(path: Path, function: Callable[[T], R], items: Sequence[T]) -> list[R]:
    """What a function of files makes of each, several at once: what is far away takes a while."""
    if len(items) < 2:
        return [function(item) for item in items]
    with ThreadPoolExecutor(AT_ONCE_FAR if is_remote(path) else AT_ONCE) as readers:
        return list(readers.map(function, items))


def files_below(path: Path) -> set[str]:
    """Names of all files in a folder and in those within it, as they follow the folder's own."""
    if is_remote(path):
        far: Any = path
        return {name.removeprefix(far.path.rstrip("/") + "/") for name in far.fs.find(far.path)}
    return {found.relative_to(path).as_posix() for found in path.rglob("*") if found.is_file()}


def put(path: Path, content: bytes, *, exclusive: bool = False) -> None:
    """Write a file of an object store whole.

    Parameters
    ----------
    path, content
        Where and what.
    exclusive
        Whether it must not be there yet.

    Raises
    ------
    FileExistsError
        If it must not be there and is. On S3, GCS and the like the server decides, in one step; on what fsspec only
        imitates it is as exclusive as that is: memory within a process, local files by ``O_EXCL``.
    """
    far: Any = path
    try:
        far.fs.pipe_file(far.path, content, mode="create" if exclusive else "overwrite")
    except FileExistsError:
        raise
    except OSError as error:
        # As S3 says that a condition was not met.
        if exclusive and "PreconditionFailed" in str(error):
            raise FileExistsError(str(path)) from error
        raise


@contextmanager
def held(lock: Path) -> Iterator[None]:
    """Hold a lock of an object store: an object that only one can create, and that its holder writes anew all the time.

    Whoever finds one watches it for half a minute: if it changes somebody is at work, and if not the holder was killed,
    and the lock is taken over. No clocks are compared.

    Raises
    ------
    CapacityError
        If somebody holds it, or it cannot be written.
    """
    here = _Holder(lock)
    here.take()
    try:
        yield
    finally:
        here.release()


class _Holder:
    """Who holds a lock."""

    def __init__(self, lock: Path) -> None:
        self._lock = lock
        self._who = {"host": socket.gethostname(), "process": os.getpid(), "token": secrets.token_hex(8)}
        self._beats = 0
        self._over = threading.Event()
        self._beating = threading.Thread(target=self._beat, daemon=True)

    def take(self) -> None:
        while True:
            with suppress(FileExistsError):
                put(self._lock, self._sign(), exclusive=True)
                break
            there = _content(self._lock)
            if there is not None and self._is_left(there):
                put(self._lock, self._sign())
                # Two that take over at once: the later one holds it.
                time.sleep(BEAT / 5)
                if _content(self._lock) == self._sign():
                    break
        self._beating.start()

    def release(self) -> None:
        self._over.set()
        self._beating.join()
        with suppress(OSError):
            if self._is_own():
                self._lock.unlink()

    def _is_left(self, there: bytes) -> bool:
        """Whether its holder gives no sign of life; None of these if it was released meanwhile.

        Raises
        ------
        CapacityError
            If it does.
        """
        until = time.monotonic() + SILENCE
        while time.monotonic() < until:
            time.sleep(BEAT / 5)
            now = _content(self._lock)
            if now is None:
                return False
            if now != there:
                raise CapacityError(
                    f"{self._lock.parent} is being written by another process ({_spoken(now)}): wait for it, or give "
                    "another path"
                )
        return True

    def _beat(self) -> None:
        while not self._over.wait(BEAT):
            # One that fails is made up for by the next.
            with suppress(Exception):
                if self._is_own():
                    self._beats += 1
                    put(self._lock, self._sign())

    def _is_own(self) -> bool:
        there = _content(self._lock)
        return there is not None and _read(there).get("token") == self._who["token"]

    def _sign(self) -> bytes:
        return json.dumps({**self._who, "beats": self._beats}).encode()


def _read(content: bytes) -> dict[str, Any]:
    try:
        found = json.loads(content)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _spoken(content: bytes) -> str:
    who = _read(content)
    return f"{who.get('process', 'one that is not known')} on {who.get('host', 'a machine that is not known')}"


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except PermissionError:
        raise
    except OSError:
        return None


def _is_upath(value: Any) -> bool:
    # By the names of its classes alone, since the package may not be there.
    return any(kind.__module__.partition(".")[0] == "upath" for kind in type(value).__mro__)
