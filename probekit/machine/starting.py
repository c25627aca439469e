"""Ctrl-C while Python still loads a package that it is to start as a program, ``python -m PACKAGE``: told in a line.

The package's own code that handles it has not been reached then, and loading torch takes seconds.
"""

from __future__ import annotations

import sys
from types import TracebackType

__all__ = ["quit_quietly"]

STOPPED = 130


def quit_quietly() -> None:
    """From now on, an interruption that nothing handles is a line and exit status 130."""
    before = sys.excepthook

    def told(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            print("probekit: stopped", file=sys.stderr)
            raise SystemExit(STOPPED)
        before(kind, error, trace)

    sys.excepthook = told
