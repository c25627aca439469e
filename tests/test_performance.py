"""The page of performance: numbers in; page, figure and comparison out. All ways to φ agree, and work takes turns."""

import importlib
import json
import re
import runpy
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from probekit import CapacityError

ROOT = Path(__file__).parents[1]
BENCHMARKS, DOCS = ROOT / "benchmarks", ROOT / "docs"
MACHINE = {"CPU": "a processor", "threads": "2"}


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], ModuleType]]:
    """Import a benchmark by name; none stays imported."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    before = set(sys.modules)
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if str(BENCHMARKS) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


@pytest.fixture
def pages(benchmark: Callable[[str], ModuleType]) -> ModuleType:
    return benchmark("performance_page")


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    (tmp_path / "figures").mkdir()
    return tmp_path


def found(*rows: tuple[str, list[float]], title: str = "Speed", machine: dict[str, str] = MACHINE) -> dict[str, Any]:
    """What a measurement of one section gives."""
    told = [{"name": name, "ratios": ratios, "rate": "5 images/s"} for name, ratios in rows]
    return {
        "machine": machine,
        "tools": {"a tool": "1.2"},
        "sections": [{"title": title, "what": "How fast.", "rows": told}],
    }


# What is measured becomes a page


def test_sections_become_tables_numbers_and_a_figure(pages: ModuleType, docs: Path) -> None:
    sections = [
        pages.Section(
            "Speed", "How fast.", lambda: [("by hand", [1.5, 1.1, 1.2], "5 images/s"), ("hook", (20.0, 30), "")]
        ),
        # Functions that others write give one ratio.
        pages.Section("Start", "How soon.", lambda: [("import", 3.25, "2 s")]),
    ]
    pages.write(pages.measured(sections), docs)
    text = (docs / "performance.md").read_text(encoding="utf-8")
    assert "## Speed\n\nHow fast.\n\n| | ratio | range | rate |\n|---|---|---|---|\n" in text
    assert "| by hand | 1.20 | 1.10–1.50 | 5 images/s |\n| hook | 25.0 | 20.0–30.0 |  |\n" in text
    assert (
        "## Start\n\nHow soon.\n\n| | ratio | range | rate |\n|---|---|---|---|\n| import | 3.25 | – | 2 s |\n" in text
    )
    read = pages.read(docs)
    assert [row["ratios"] for section in read["sections"] for row in section["rows"]] == [
        [1.5, 1.1, 1.2],
        [20.0, 30.0],
        [3.25],
    ]
    assert text == pages.page(read)
    assert read["machine"]["torch"] in text
    with Image.open(docs / "figures" / "performance.png") as image:
        assert image.width == 1200


def test_a_page_that_cannot_be_whole_leaves_all_files_as_they_were(pages: ModuleType, docs: Path) -> None:
    pages.write(found(("a", [1.0])), docs)
    before = {path: path.read_bytes() for path in docs.rglob("*.*")}
    assert len(before) == 3
    bad = [pages.Section("Speed", "", lambda: [("a", [1.0, float("nan")], "")])]
    with pytest.raises(ValueError, match="row 'a' has ratios"):
        pages.write(pages.measured(bad), docs)
    # What fails last: there is a folder where the figure is to be.
    (docs / "figures" / "performance.png").unlink()
    (docs / "figures" / "performance.png").mkdir()
    with pytest.raises(CapacityError):
        pages.write(found(("a", [2.0])), docs)
    assert {path: path.read_bytes() for path in docs.rglob("*.*") if path.is_file()} == {
        path: data for path, data in before.items() if path.suffix != ".png"
    }


def test_a_quick_measurement_makes_only_what_is_quick(pages: ModuleType) -> None:
    def slow() -> Any:
        raise AssertionError("this takes minutes")

    sections = [
        pages.Section("Speed", "How fast.", slow, lambda: [("by hand", 1.0, "")]),
        pages.Section("Memory", "How much.", slow),
    ]
    assert [section["title"] for section in pages.measured(sections, quick=True)["sections"]] == ["Speed"]


def test_rows_that_could_not_be_told_apart_are_refused(pages: ModuleType) -> None:
    twins = pages.Section("Speed", "How fast.", lambda: [("by hand", 1.0, ""), ("by hand", 2.0, "")])
    with pytest.raises(ValueError, match="give each a name of its own"):
        pages.measured([twins])


# A new measurement is compared with the page


@pytest.mark.parametrize(
    ("now", "outcome"),
    [
        # The page says 1.0, the median of 0.9, 1.0 and 1.1.
        ([0.7, 0.8, 0.89], "fallen"),
        ([0.7, 0.8, 0.91], "kept"),
        ([0.5, 0.5, 2.0], "kept"),
        ([0.89], "fallen"),
        ([0.9], "kept"),
        ([1.0, 1.2, 1.3], "kept"),
        ([1.12, 1.2, 1.3], "better"),
    ],
)
def test_a_row_has_changed_where_its_whole_range_has(pages: ModuleType, now: list[float], outcome: str) -> None:
    before = found(("by hand", [0.9, 1.1, 1.0]))
    assert [change.outcome for change in pages.changes(before, found(("by hand", now)))] == [outcome]
    text, status = pages.report(before, found(("by hand", now)))
    assert status == (outcome == "fallen")
    assert ("fallen by" in text) == (outcome == "fallen")
    assert ("better by" in text) == (outcome == "better")


def test_it_is_said_by_how_much_and_between_which_rounds(pages: ModuleType) -> None:
    before, now = found(("by hand", [1.0, 2.0, 3.0]), ("hook", [4.0])), found(("by hand", [1.5, 1.4, 1.6]))
    text, status = pages.report(before, now)
    assert status == 1
    assert text.splitlines() == [
        "fallen by 25%: Speed: by hand: now 1.50 (1.40–1.60), on the page 2.00 (1.00–3.00)",
        "1 of the page's 2 rows measured again: 0 as they were within 10% or their range, 0 better, 1 fallen",
    ]


def test_a_row_or_section_that_the_page_has_not_is_named_and_fails_nothing(pages: ModuleType) -> None:
    before = found(("by hand", [1.0]))
    for now in (found(("new", [0.1])), found(("by hand", [0.1]), title="Other")):
        text, status = pages.report(before, now)
        assert status == 0
        assert text.startswith("not on the page: ")
        assert "0 of the page's 1 rows measured again" in text


@pytest.mark.parametrize("key", sorted(MACHINE))
def test_on_another_machine_it_is_said_first_and_nothing_fails(pages: ModuleType, key: str) -> None:
    before, now = found(("by hand", [1.0])), found(("by hand", [0.1]), machine=MACHINE | {key: "another"})
    text, status = pages.report(before, now)
    assert status == 0
    first, second, _ = text.splitlines()
    assert first.startswith("another machine than the page's")
    assert f"{key} another, the page's {MACHINE[key]}" in first
    assert second.startswith("fallen by 90%")


def test_a_machine_is_told_without_its_name_or_a_date(pages: ModuleType) -> None:
    assert set(pages.machine()) == {"CPU", "instructions", "cores", "threads", "torch"}
    assert pages.machine() == pages.machine()
    assert int(pages.machine()["threads"]) == torch.get_num_threads()


# The page that is kept


def test_the_page_is_what_its_numbers_say(pages: ModuleType) -> None:
    assert (DOCS / "performance.md").read_text(encoding="utf-8") == pages.page(pages.read(DOCS)), "make bench"
    assert not re.search(r"\b20\d\d-\d\d|\d\d:\d\d", json.dumps(pages.read(DOCS)))
    with Image.open(DOCS / "figures" / "performance.png") as image:
        assert image.width == 1200


def test_its_sections_are_those_that_are_registered_and_quick_rows_are_sections_of_it(
    benchmark: Callable[[str], ModuleType],
) -> None:
    registered = [(section.title, section.what) for section in benchmark("performance").SECTIONS]
    assert len(registered) == len(dict(registered))
    kept = [(section["title"], section["what"]) for section in benchmark("performance_page").read(DOCS)["sections"]]
    assert kept == [one for one in registered if one in kept], "make bench"


# Ways to φ

BLOCKS = [("mid",), ("enc1",), ("enc1", "mid"), ("enc2", "mid", "dec3", "dec2")]


def phi(benchmark: Callable[[str], ModuleType], key: str, blocks: tuple[str, ...], **options: Any) -> np.ndarray:
    """φ of noisy images, to which no way adds noise, unless options say otherwise."""
    ways = benchmark("ways")
    work = ways.Work((4, 8, 12, 16), size=16, images=5, batch=2, blocks=blocks, **{"sigma": (0.0,)} | options)
    return ways.WAYS[key].ready(work.model(), work)(work.clean())[0]


@pytest.mark.parametrize("key", ["by hand", "hook"])
@pytest.mark.parametrize("blocks", BLOCKS)
def test_what_is_written_by_hand_is_the_tap_bit_for_bit(
    benchmark: Callable[[str], ModuleType], key: str, blocks: tuple[str, ...]
) -> None:
    expected = phi(benchmark, "probekit", blocks)
    assert np.ptp(expected, axis=0).max() > 0
    np.testing.assert_array_equal(phi(benchmark, key, blocks), expected)


def test_levels_and_draws_of_a_loop_are_where_they_belong(benchmark: Callable[[str], ModuleType]) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        one = phi(benchmark, "by hand", ("mid",), sigma=(0.0, 1e-3, 2.0), draws=3)
    clean = phi(benchmark, "by hand", ("mid",))
    assert one.shape == (5, 3, 16)
    # Draws without noise are summed and divided: to a rounding each.
    np.testing.assert_allclose(one[:, 0], clean[:, 0], rtol=1e-6)
    small, large = (np.abs(one[:, k] - clean[:, 0]).mean() for k in (1, 2))
    assert 0 < small < large / 10


# A tool changes torch in the process that loads it, so each has its own.
ONE = """
import sys
sys.path.insert(0, sys.argv[1])
import numpy as np
from ways import WAYS, Work, installed
if not installed(sys.argv[2]):
    sys.exit(3)
for number, blocks in enumerate(sys.argv[4:]):
    work = Work((4, 8, 12, 16), size=16, images=5, batch=2, blocks=tuple(blocks.split(",")), sigma=(0.0,))
    np.save(f"{sys.argv[3]}/{number}.npy", WAYS[sys.argv[2]].ready(work.model(), work)(work.clean())[0])
"""


@pytest.mark.parametrize("key", ["record", "aggregate", "nnsight", "thingsvision"])
def test_other_tools_give_the_same_phi(benchmark: Callable[[str], ModuleType], key: str, tmp_path: Path) -> None:
    asked = [",".join(blocks) for blocks in BLOCKS]
    command = [sys.executable, "-c", ONE, str(BENCHMARKS), key, str(tmp_path), *asked]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode == 3:
        pytest.skip(f"{benchmark('ways').WAYS[key].needs} is not installed")
    assert ended.returncode == 0, ended.stderr
    for number, blocks in enumerate(BLOCKS):
        np.testing.assert_array_equal(np.load(tmp_path / f"{number}.npy"), phi(benchmark, "probekit", blocks))


# Ratios


def test_a_ratio_is_the_time_of_an_image_in_another_way_over_that_here(benchmark: Callable[[str], ModuleType]) -> None:
    speed, turn, work = (benchmark(name) for name in ("speed", "turns", "ways"))
    whole = work.Work((4, 8), size=8, images=1024, batch=1, fewer=64, more=8)
    took = {"probekit": [1.0, 2.0], "by hand": [2.0, 6.0], "auto": [0.5 * 8] * 2}
    took |= {"hook": [5 / 4] * 2, "nnsight": [3 / 64] * 2}
    rows = speed.compared({key: {"x": [turn.Turn(s, 0) for s in given]} for key, given in took.items()}, "x", whole)
    ratios = {name: ratio for name, ratio, _ in rows}
    assert ratios == {
        # How many times as fast "auto" is as float32; of the others, how many times as long they take.
        work.WAYS["auto"].name: [2.0, 4.0],
        work.WAYS["by hand"].name: [2.0, 3.0],
        # Against "auto", which is given eight times as many images.
        speed.AGAINST_AUTO: [4.0, 12.0],
        # Given a quarter of the images, and a 64th.
        work.WAYS["hook"].name: [5.0, 2.5],
        work.WAYS["nnsight"].name: [3.0, 1.5],
    }


def test_what_results_take_is_what_is_said_of_them(benchmark: Callable[[str], ModuleType]) -> None:
    memory = benchmark("memory")
    call = memory.Call(5, blocks=2, levels=3, draws=4, keep_draws=True)
    data = memory.made(call)
    assert call.result_bytes == sum(data[name].nbytes for name in ("phi", "phi_se", "phi_draws"))
    assert memory.Call(5).result_bytes == sum(memory.made(memory.Call(5))[name].nbytes for name in ("phi", "phi_se"))


# Turns

JOBS = """
import os
from pathlib import Path

def ready(log, name, labels):
    def noted(label):
        print("this is no answer")
        with Path(log).open("a") as file:
            file.write(f"{name}{label} ")
        return {"label": label}
    return {label: (lambda label=label: noted(label)) for label in labels}

def holding(size):
    return {"x": lambda: {"sum": sum(bytearray(size)[:8])}}

def failing():
    return {"x": lambda: 1 / 0}

def ending():
    os._exit(7)
"""


@pytest.fixture
def jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    (tmp_path / "jobs_in_turns.py").write_text(JOBS)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield importlib.import_module("jobs_in_turns")
    del sys.modules["jobs_in_turns"]


def test_every_round_all_take_their_turn(
    benchmark: Callable[[str], ModuleType], jobs: ModuleType, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    both = {"a": partial(jobs.ready, str(log), "a", "xy"), "b": partial(jobs.ready, str(log), "b", "x")}
    turns = benchmark("turns").in_turns(both, 2)
    assert log.read_text().split() == 3 * ["ax", "bx", "ay"]
    assert {name: {label: len(each) for label, each in given.items()} for name, given in turns.items()} == {
        "a": {"x": 2, "y": 2},
        "b": {"x": 2},
    }
    assert turns["a"]["y"][0].said == {"label": "y"}
    assert turns["a"]["y"][0].seconds > 0


def test_growth_of_memory_is_that_of_the_most_that_was_held(
    benchmark: Callable[[str], ModuleType], jobs: ModuleType
) -> None:
    size = 2**26
    turns = benchmark("turns").in_turns({"a": partial(jobs.holding, size), "b": partial(jobs.holding, 8)}, 1)
    grown = {name: given["x"][0].growth for name, given in turns.items()}
    # What the interpreter itself takes meanwhile is a few hundred KiB.
    # The kernel counts pages of each thread in lots of some dozens.
    assert size - 2**20 <= grown["a"] < 1.1 * size
    assert grown["b"] < 0.1 * size


@pytest.mark.parametrize(("job", "said"), [("failing", "division by zero"), ("ending", "status 7")])
def test_a_process_that_fails_is_named_with_its_reason(
    benchmark: Callable[[str], ModuleType], jobs: ModuleType, job: str, said: str
) -> None:
    with pytest.raises(RuntimeError, match=f"(?s)one of them failed.*{said}"):
        benchmark("turns").in_turns({"one of them": getattr(jobs, job)}, 1)


# Scripts

SCRIPTS = [path for path in sorted(BENCHMARKS.glob("*.py")) if "ArgumentParser(" in path.read_text(encoding="utf-8")]


def test_there_are_scripts() -> None:
    assert len(SCRIPTS) > 15


@pytest.mark.usefixtures("benchmark")
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_a_script_says_what_it_takes(
    script: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [str(script), "--help"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(script), run_name="__main__")
    assert ended.value.code == 0
    assert "usage:" in capsys.readouterr().out
