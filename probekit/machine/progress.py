"""How far long work has come: a bar in a terminal, and a plain line every ten seconds elsewhere, as in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

__all__ = ["HEARD", "Bar", "at_work_on", "bar", "silent", "spoken_time"]

# Seconds between lines; shorter work says nothing.
EVERY = 10.0
_SILENT: ContextVar[bool] = ContextVar("silent", default=False)


class _Heard:
    """What this process has been told of late, for whoever wonders whether it is still at work."""

    # When something that tells how far it is last went on, by the monotonic clock.
    told = 0.0
    # How many blocks want silence.
    silenced = 0
    at = ""


HEARD = _Heard()


@contextmanager
def at_work_on(what: str) -> Iterator[None]:
    """Note what is being done in the block, for a command that has said nothing for long."""
    before, HEARD.at = HEARD.at, what
    try:
        yield
    finally:
        HEARD.at = before


@contextmanager
def silent(quiet: bool = True) -> Iterator[None]:
    """No bar shows in here, whatever is asked for; with `quiet` False as outside."""
    token = _SILENT.set(quiet or _SILENT.get())
    HEARD.silenced += quiet
    try:
        yield
    finally:
        HEARD.silenced -= quiet
        _SILENT.reset(token)


def bar(total: int, unit: str, progress: bool | None, what: str, *, done: int = 0) -> Bar:
    """What shows how far work has come, on standard error; a context in which it is told of each step.

    Parameters
    ----------
    total, unit
        How much there is to do, and in what.
    progress
        True shows it, and says at the end how long it took; None shows it in a terminal, and elsewhere where the work
        takes longer than ten seconds; False shows nothing.
    what
        Is done, in a few words.
    done
        How much of it was done before.

    Examples
    --------
    >>> with bar(2, "img", False, "φ at mid") as shown:
    ...     shown.update(2)
    """
    if progress is False or _SILENT.get():
        return Bar()
    from tqdm.auto import tqdm

    # Notebooks draw a bar of their own where one is asked for; otherwise a carriage return needs a terminal.
    drawn = any("notebook" in kind.__module__ for kind in tqdm.__mro__) and progress is True
    if drawn or sys.stderr.isatty():
        return _Drawn(tqdm(total=total, unit=unit, unit_scale=True, desc=what, initial=done))
    return _Lines(total, unit, what, done, progress is True)


class Bar:
    """Shows nothing."""

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close(failure[0] is None)

    def update(self, count: int = 1) -> None:
        """So much more is done."""

    def note(self, said: str) -> None:
        """What stands beside it from now on."""

    def close(self, finished: bool) -> None:
        """It ends, whether all is done or not."""


class _Drawn(Bar):
    """A bar that is drawn over again."""

    def __init__(self, shown: Any) -> None:
        self._shown = shown

    def update(self, count: int = 1) -> None:
        self._shown.update(count)
        HEARD.told = time.monotonic()

    def note(self, said: str) -> None:
        self._shown.set_postfix_str(said, refresh=False)

    def close(self, finished: bool) -> None:
        del finished
        self._shown.close()


class _Lines(Bar):
    """A plain line now and then."""

    def __init__(self, total: int, unit: str, what: str, done: int, ends: bool) -> None:
        self._total, self._unit, self._what, self._ends = total, unit, what, ends
        self._begun_with = self._done = done
        self._said = ""
        self._began = self._told = time.monotonic()

    def update(self, count: int = 1) -> None:
        self._done += count
        now = time.monotonic()
        # It will be told here in time.
        HEARD.told = now
        if now - self._told >= EVERY and self._done < self._total:
            self._told = now
            rate = self._rate(now)
            left = f", about {spoken_time((self._total - self._done) / rate)} left" if rate else ""
            self._tell(f"{self._done:,} of {self._total:,} {self._unit}, {self._share()}, {self._speed(rate)}{left}")

    def note(self, said: str) -> None:
        self._said = f"; {said}" if said else ""

    def close(self, finished: bool) -> None:
        now = time.monotonic()
        # Who was told that it began is told that it ended.
        if finished and (self._ends or self._told > self._began):
            took = spoken_time(now - self._began)
            self._tell(f"{self._done:,} {self._unit} in {took}, {self._speed(self._rate(now))}")

    def _rate(self, now: float) -> float:
        return (self._done - self._begun_with) / max(now - self._began, 1e-9)

    def _speed(self, rate: float) -> str:
        return f"{rate:.3g} {self._unit}/s" if rate < 1000 else f"{rate:,.0f} {self._unit}/s"

    def _share(self) -> str:
        return f"{100 * self._done // max(1, self._total)} %"

    def _tell(self, said: str) -> None:
        HEARD.told = time.monotonic()
        print(f"{self._what}: {said}{self._said}", file=sys.stderr, flush=True)


def spoken_time(seconds: float) -> str:
    """A time as a person says it."""
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= 1.5 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(1, round(seconds))} s"
