"""Pages of results: a report's text and the figures that it shows, under names of their own."""

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "results_pages.py"


def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("results_pages", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def report(tmp_path: Path) -> Path:
    folder = tmp_path / "results-mine"
    (folder / "figures").mkdir(parents=True)
    rng = np.random.default_rng(0)
    drawing, photograph = np.zeros((200, 200, 3), np.uint8), rng.integers(0, 256, (200, 200, 3), dtype=np.uint8)
    drawing[50:100] = (31, 119, 180)
    for name, pixels in (("chart", drawing), ("sheet", photograph), ("old", drawing)):
        Image.fromarray(pixels).save(folder / "figures" / f"{name}.png")
    text = "# Report\n\n![A chart](figures/chart.png)\n\n![A sheet](figures/sheet.png)\n\nfigures/ are in figures/.\n"
    (folder / "report.md").write_text(text, encoding="utf-8")
    return folder


def test_a_page_shows_its_own_figures_as_they_were(report: Path, tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    (docs / "figures").mkdir(parents=True)
    page = script().published(report, docs)
    assert page == docs / "results-mine.md"
    assert page.read_text(encoding="utf-8") == (
        "# Report\n\n![A chart](figures/results-mine-chart.png)\n\n![A sheet](figures/results-mine-sheet.png)\n\n"
        "figures/ are in figures/.\n"
    )
    # What the page does not show is left.
    names = {"chart": "P", "sheet": "RGB"}
    assert {p.name for p in (docs / "figures").iterdir()} == {f"results-mine-{name}.png" for name in names}
    for name, mode in names.items():
        with (
            Image.open(docs / "figures" / f"results-mine-{name}.png") as kept,
            Image.open(report / "figures" / f"{name}.png") as drawn,
        ):
            assert kept.mode == mode
            np.testing.assert_array_equal(kept.convert("RGB"), drawn)
