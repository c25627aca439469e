"""Silence while files are decoded: Pillow warns of oddities in metadata, and pixels that cannot be read are errors."""

from __future__ import annotations

import os
import threading
import warnings
from contextlib import ExitStack

__all__ = ["QUIET"]


class _Quiet:
    """Ignores warnings while some thread is within; the first that enters begins it, and the last that leaves ends it.

    Each for itself would put back the filters that it met when it came, which may be those of another.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._within = 0
        self._ending = ExitStack()

    def __enter__(self) -> None:
        with self._lock:
            if not self._within:
                self._ending.enter_context(warnings.catch_warnings(action="ignore"))
            self._within += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._within -= 1
            if not self._within:
                self._ending.close()

    def end(self) -> None:
        """Begin anew in a process that was forked while other threads were within, which it does not have."""
        self._lock = threading.Lock()
        self._within = 0
        self._ending.close()


QUIET = _Quiet()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=QUIET.end)
