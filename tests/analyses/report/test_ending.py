"""How commands end: one line and a status, whoever stops them, whatever they print to, and what they say on the way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import analyses
from analyses.report.shell import main
from analyses.running import ended, one_line
from probekit.cli.output import goes_on, results_awaited
from probekit.errors import CapacityError, InputError

ROOT = Path(analyses.__file__).parents[1]
PACKAGE = ROOT / "probekit"
PROGRAM = "from analyses.report.shell import main; raise SystemExit(main())"
STARTS = [("-m", "probekit"), ("-m", "analyses.sparsity"), ("-c", PROGRAM)]


def started(*words: str, **more: object) -> subprocess.Popen[str]:
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([sys.executable, *words], text=True, cwd=ROOT, **{**pipes, **more})  # pyright: ignore


def interrupted(words: tuple[str, ...], seconds: float) -> tuple[int, str]:
    """Status and errors of a program that is interrupted after so many seconds, or once Python has got to load it."""
    program = started(*words)
    time.sleep(seconds)
    program.send_signal(signal.SIGINT)
    said = program.communicate(timeout=60)[1]
    if program.returncode == -signal.SIGINT and str(PACKAGE) not in said:
        return interrupted(words, 2 * seconds)
    return program.returncode, said


@pytest.mark.parametrize("words", STARTS, ids=" ".join)
@pytest.mark.parametrize("seconds", [0.4, 1.2])
def test_an_interruption_while_the_program_is_loaded_is_a_line(words: tuple[str, ...], seconds: float) -> None:
    status, said = interrupted((*words, *([] if words[-1] == "analyses.sparsity" else ["taps"]), "photo32"), seconds)
    # On a quick machine it may have ended before.
    assert status in (130, 0, 1)
    # On a slow one it may have said that it is at work.
    assert len([line for line in said.splitlines() if "at work for" not in line]) <= 1
    assert "Traceback" not in said


def test_an_interruption_says_that_the_command_goes_on_where_something_is_kept(tmp_path: Path, capsys) -> None:
    def stopped(kept: Path | None) -> None:
        with goes_on(kept):
            raise KeyboardInterrupt

    for kept, says in ((tmp_path, "goes on"), (tmp_path / "nothing", "stopped"), (None, "stopped")):
        assert ended(lambda kept=kept: stopped(kept)) == 130
        said = capsys.readouterr().err
        assert says in said
        assert ("goes on" in said) == (kept == tmp_path)
        assert said.count("\n") == 1


def test_a_reader_that_has_enough_gets_no_traceback() -> None:
    program = started("-c", PROGRAM, "models", "--json")
    assert program.stdout is not None
    program.stdout.close()
    assert program.wait(timeout=60) == 141
    assert program.stderr is not None
    assert program.stderr.read() == ""
    program.stderr.close()


def test_an_output_that_cannot_spell_greek_is_no_failure() -> None:
    environment = os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    for words, status in (("models", 0), ("taps σ", 1)):
        program = started("-c", PROGRAM, *words.split(), env=environment)
        err = program.communicate(timeout=60)[1]
        assert program.returncode == status
        assert err.count("\n") == status


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (InputError("a\nb\x1b[2J\0"), "probekit: a b\\x1b[2J\\x00\n"),
        (OSError(28, "No space left on device"), "probekit: [Errno 28] No space left on device: the machine could not"),
        (MemoryError(), "probekit: the memory is full: the machine could not do it\n"),
    ],
)
def test_what_the_user_or_the_machine_is_to_blame_for_is_one_line(error: Exception, says: str, capsys) -> None:
    def fails() -> None:
        raise error

    assert ended(fails) == 1
    said = capsys.readouterr().err
    assert said.startswith(says)
    assert said.count("\n") == 1


def test_an_error_of_the_programs_own_is_passed_on() -> None:
    with pytest.raises(ZeroDivisionError):
        ended(lambda: 1 / 0)


def test_a_note_that_an_error_carries_is_told(capsys) -> None:
    error = InputError("wrong")
    error.add_note("at tap 'mid'")

    def fails() -> None:
        raise error

    assert ended(fails) == 1
    assert capsys.readouterr().err == "probekit: wrong; at tap 'mid'\n"


def test_one_line_keeps_what_a_terminal_can_show() -> None:
    assert one_line(" σ = 0.1\r\n a\u2028b\t") == "σ = 0.1 a b"


def test_decisions_are_told_on_request_and_not_after_it(
    tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["phi", "photo32", "shapes:2", "--draws", "1", "--sigma", "0.1", "--quiet", "-o"]
    assert main([*words, "a.nc", "--verbose"]) == 0
    told = capsys.readouterr().err.splitlines()
    assert all(line.startswith("probekit: ") for line in told)
    assert any("2 noisy images in one forward pass (chosen), which stops at the last tap" in line for line in told)
    assert main([*words, "b.nc"]) == 0
    assert capsys.readouterr().err == ""


def test_an_output_is_seen_to_be_possible_without_making_anything(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder" / "a.nc").mkdir(parents=True)
    results_awaited(tmp_path / "new" / "deeper", "a.nc")
    assert not (tmp_path / "new").exists()
    for out, kind in (
        (tmp_path / "file", InputError),
        (tmp_path / "file" / "below", CapacityError),
        (tmp_path / "folder", CapacityError),
        (tmp_path / ("x" * 300), CapacityError),
        (tmp_path / "new" / ("x" * 300), CapacityError),
        (tmp_path / "a\0b", CapacityError),
    ):
        with pytest.raises(kind):
            results_awaited(out, "a.nc")


def test_results_do_not_lie_among_the_images_nor_over_what_is_read(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    for out in (tmp_path / "images", tmp_path / "images" / "results", tmp_path / "images" / ".." / "images"):
        with pytest.raises(InputError, match="give a place outside it"):
            results_awaited(out, "a.png", images=[tmp_path / "images"])
    results_awaited(tmp_path, "a.png", images=[tmp_path / "images", "shapes:3", "samples"])
    with pytest.raises(InputError, match="is read and would be written"):
        results_awaited(tmp_path, "a.nc", reads=[tmp_path / "images" / ".." / "a.nc"])


def test_what_was_there_is_kept_where_a_command_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("made.nc").write_text("before")
    assert main(["phi", "photo32", "shapes:2", "--tap", "nowhere", "-o", "made.nc"]) == 1
    assert main(["phi", "photo32", "shapes:2", "--sigma", "0.1", "--draws", "1", "--bands", "1", "-o", "made.nc"]) == 1
    assert Path("made.nc").read_text() == "before"
