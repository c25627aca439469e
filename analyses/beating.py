"""A command that says nothing for ten seconds says that it is at work, and at what. Loads nothing that takes time."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

__all__ = ["beating"]

# Seconds without a word after which one is said.
EVERY = 10.0


@contextmanager
def beating() -> Iterator[None]:
    """While the block runs, a line on standard error after every ten seconds in which nothing else told how far it is.

    What counts and is counted tells itself (`probekit.machine.progress`); this is for all the rest, such as imports,
    permutations and fits.
    """
    ended = threading.Event()
    teller = threading.Thread(target=_tell_until, args=(ended, time.monotonic()), name="beating", daemon=True)
    teller.start()
    try:
        yield
    finally:
        ended.set()
        teller.join()


def _tell_until(ended: threading.Event, began: float) -> None:
    told = began
    while not ended.wait(max(0.0, told + EVERY - time.monotonic())):
        # Loaded, if at all, by the command.
        progress = sys.modules.get("probekit.machine.progress")
        heard = getattr(progress, "HEARD", None)
        told = max(told, 0.0 if heard is None else heard.told)
        now = time.monotonic()
        if now - told < EVERY:
            continue
        told = now
        if heard is None or not heard.silenced:
            at = f", {heard.at}" if heard is not None and heard.at else ""
            with suppress(OSError, ValueError, AttributeError):
                print(f"probekit: at work for {now - began:.0f} s{at}", file=sys.stderr, flush=True)
