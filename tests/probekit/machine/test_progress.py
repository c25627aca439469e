"""How far work has come: a bar where it can be drawn, plain lines in logs, nothing for short work."""

import io
import re
import sys

import pytest

from probekit.machine import progress
from probekit.machine.progress import bar, silent


class Clock:
    """A monotonic clock that goes on as it is told."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(progress, "time", made)
    return made


def worked(clock: Clock, asked: bool | None, *, steps: int, seconds: float, done: int = 0) -> None:
    with bar(done + 100 * steps, "img", asked, "φ at mid", done=done) as shown:
        for _ in range(steps):
            clock.now += seconds
            shown.update(100)


@pytest.mark.parametrize("asked", [None, False])
def test_work_shorter_than_ten_seconds_says_nothing_in_a_log(asked: bool | None, clock: Clock, capsys) -> None:
    worked(clock, asked, steps=9, seconds=1)
    assert capsys.readouterr() == ("", "")


def test_long_work_says_a_plain_line_each_ten_seconds_in_a_log(clock: Clock, capsys) -> None:
    worked(clock, None, steps=40, seconds=1)
    said = capsys.readouterr().err
    lines = said.splitlines()
    assert lines[0] == "φ at mid: 1,000 of 4,000 img, 25 %, 100 img/s, about 30 s left"
    assert lines[-1] == "φ at mid: 4,000 img in 40 s, 100 img/s"
    assert len(lines) == 4
    assert not set(said) & {"\r", "\x1b"}


def test_what_was_done_before_counts_as_done_and_not_as_fast(clock: Clock, capsys) -> None:
    worked(clock, None, steps=20, seconds=1, done=2000)
    assert capsys.readouterr().err.splitlines()[0] == "φ at mid: 3,000 of 4,000 img, 75 %, 100 img/s, about 10 s left"


def test_shown_on_request_short_work_says_how_long_it_took(clock: Clock, capsys) -> None:
    worked(clock, True, steps=2, seconds=1)
    assert capsys.readouterr().err == "φ at mid: 200 img in 2 s, 100 img/s\n"


def test_silence_goes_before_every_request(clock: Clock, capsys) -> None:
    with silent():
        worked(clock, True, steps=40, seconds=1)
        with silent(False):
            worked(clock, True, steps=40, seconds=1)
    assert capsys.readouterr() == ("", "")
    with silent(False):
        worked(clock, True, steps=1, seconds=1)
    assert capsys.readouterr().err


def test_work_that_fails_is_not_said_to_be_done(clock: Clock, capsys) -> None:
    def fails() -> None:
        with bar(1000, "img", True, "φ at mid") as shown:
            clock.now += 20
            shown.update(100)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    assert capsys.readouterr().err.splitlines() == [
        "φ at mid: 100 of 1,000 img, 10 %, 5 img/s, about 3 min left",
    ]


def test_a_terminal_is_drawn_on(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with bar(100, "img", None, "φ at mid") as shown:
        shown.update(100)
        shown.note("loss 1")
    assert re.search(r"\rφ at mid: 100%.*100/100.*img/s", terminal.getvalue())


def test_what_is_noted_stands_in_the_line(clock: Clock, capsys) -> None:
    with bar(1000, "img", None, "training") as shown:
        shown.note("loss 0.5")
        clock.now += 20
        shown.update(500)
    assert capsys.readouterr().err.splitlines()[0].endswith("about 20 s left; loss 0.5")
