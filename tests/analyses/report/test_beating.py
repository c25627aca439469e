"""A command that says nothing for long says that it is at work, and at what; one that tells how far it is does not."""

from __future__ import annotations

import io
import re
import sys
import threading
import time
from pathlib import Path

import pytest

import probekit
from analyses import beating, program
from analyses.ground.activity import sites
from analyses.report.shell import main
from analyses.running import ended
from probekit.errors import InputError
from probekit.machine.progress import HEARD, at_work_on, bar, silent
from probekit.synthetic.subspaces import union_of_subspaces

LINE = re.compile(r"probekit: at work for \d+ s")


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beating, "EVERY", 0.05)


def running() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "beating"]


def test_work_without_a_word_is_told_again_and_again_and_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    told = io.StringIO()
    monkeypatch.setattr(sys, "stderr", told)

    def until(said: str) -> None:
        # However little of the machine the teller gets.
        deadline = time.monotonic() + 60
        while not re.search(said, told.getvalue(), re.MULTILINE) and time.monotonic() < deadline:
            time.sleep(0.01)

    def work() -> None:
        until(r"\A.*\n.*\n")
        with at_work_on("fits: mid at σ = 0.1, 2 of 3"):
            until("2 of 3$")

    assert ended(work) == 0
    lines = told.getvalue().splitlines()
    assert len(lines) >= 3
    assert all(LINE.match(line) for line in lines)
    assert LINE.fullmatch(lines[0])
    assert any(line.endswith(" s, fits: mid at σ = 0.1, 2 of 3") for line in lines)


def test_what_is_being_done_is_over_when_it_ends_however_it_does() -> None:
    data = union_of_subspaces(40, seed=0).data

    def fails() -> None:
        with at_work_on("a part"):
            assert HEARD.at == "a part"
            raise InputError("no such part")

    with at_work_on("all"):
        with pytest.raises(InputError):
            fails()
        assert HEARD.at == "all"
        for site in sites(data, "fits"):
            assert HEARD.at == f"fits: {site.name} at σ = {site.sigma:g}, 1 of 1"
        assert HEARD.at == "all"
    assert not HEARD.at
    images = probekit.images.load("samples", size=32).subset(range(4))
    probekit.tap(probekit.load("photo32"), "mid")(images, sigma=1.0, draws=2, precision="auto")
    assert not HEARD.at


def test_nothing_is_said_of_short_work_nor_after_it_however_it_ends(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setattr(beating, "EVERY", 60)

    def fails() -> None:
        raise ZeroDivisionError

    assert ended(lambda: None) == 0
    with pytest.raises(ZeroDivisionError):
        ended(fails)
    assert not running()
    assert capsys.readouterr() == ("", "")


def test_silence_that_is_asked_for_is_kept(capsys) -> None:
    with silent(), beating.beating():
        time.sleep(0.3)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("quiet", [False, True])
def test_a_command_that_is_to_be_quiet_is(quiet: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    # Of those that hand --quiet on to what they call; from the first to the last moment, as on a machine on which what
    # the command needs takes long to load, and what it wrote long to be told.
    words = ["analyse", "noise_level", "samples", "--size", "32", "--n-images", "8", "--samples", "2", "-o"]
    loaded = program.program_of

    def slow(*given: object, **more: object) -> object:
        time.sleep(0.3)
        made = loaded(*given, **more)  # pyright: ignore

        def called(arguments: object) -> object:
            written = made(arguments)  # pyright: ignore
            time.sleep(0.3)
            return written

        return called

    monkeypatch.setattr(program, "program_of", slow)
    assert main([*words, str(tmp_path), *(["--quiet"] if quiet else [])]) == 0
    assert bool(LINE.search(capsys.readouterr().err)) != quiet


def test_work_that_tells_how_far_it_is_is_not_told_of_twice(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    # As the two are: of one length, and steps that do not end when it does.
    monkeypatch.setattr("probekit.machine.progress.EVERY", 2.0)
    monkeypatch.setattr(beating, "EVERY", 2.0)
    with beating.beating(), bar(1000, "img", None, "φ at mid") as shown:
        for _ in range(24):
            time.sleep(0.3)
            shown.update(10)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) >= 3
    assert all(line.startswith("φ at mid: ") for line in lines)


def test_an_analysis_says_at_which_tap_and_noise_level_it_is(tmp_path: Path, capsys) -> None:
    union_of_subspaces(300, sigma=(0.1, 0.2), seed=0).data.to_netcdf(tmp_path / "phi.nc", engine="h5netcdf")
    assert main(["analyse", "subspaces", str(tmp_path / "phi.nc"), "-o", str(tmp_path / "found")]) == 0
    said = capsys.readouterr().err
    assert re.search(r"at work for \d+ s, subspaces: \w+ at σ = 0\.[12], [12] of 2$", said, re.MULTILINE), said
