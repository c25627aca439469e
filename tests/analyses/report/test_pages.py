"""What the report says: each number, arrow and failing criterion is the findings' own."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from analyses.report import claims
from analyses.report.page import Shown, Table, interval_cell, markdown, measure_table
from analyses.report.page import report_page as page


@pytest.fixture
def judged() -> xr.Dataset:
    rows = [
        (1, "number", "", "below 0", 0.1, -0.5, True, True),
        (1, "number", "the untrained network's", "below 0", 0.1, 0.2, False, True),
        (1, "number", "", "below 0", 0.5, 0.3, False, True),
        (1, "number", "the untrained network's", "below 0", 0.5, 0.2, False, True),
        (1, "another", "", "above 0", 0.5, -1.0, False, False),
        (6, "error", "", "at most 0.05", np.nan, 0.01, True, True),
    ]
    names = ("of_claim", "subject", "less", "asked", "sigma", "value", "holds", "counts")
    columns: dict[str, list] = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
    columns["what"] = [f"{r[1]}{f' less {r[2]}' if r[2] else ''}, {r[3]}" for r in rows]
    made = {k: ("criterion", np.array(v, object if isinstance(v[0], str) else None)) for k, v in columns.items()}
    unknown = ("criterion", np.full(len(rows), np.nan))
    verdict = ("claim", np.array(["partly", "holds"], object))
    return xr.Dataset(
        {**made, "low": unknown, "high": unknown, "control": unknown, "verdict": verdict},
        coords={"claim": [1, 6]},
        attrs={"denoiser": "small", "image_source": "some"},
    )


def test_a_section_names_what_is_not_as_claimed_with_its_subject_and_levels(judged, tmp_path: Path) -> None:
    made = page(judged, card={}, shown=Shown(), command="this", settings={})
    first, sixth = made.sections[:2]
    assert first.verdict == "partly"
    assert (
        first.parts[1]
        == "Not as claimed: number less the untrained network's, below 0 (σ = 0.1, 0.5); number, below 0 (σ = 0.5)."
    )
    assert sixth.parts[1] == "All is as claimed."
    (summary,) = [part for part in made.parts if isinstance(part, Table)]
    assert [row[1:] for row in summary.rows] == [["partly", "1 of 4"], ["holds", "1 of 1"]]
    assert "`this`" in markdown(made, tmp_path)
    assert sixth.parts[2].rows == claims.cells(judged, 6)  # pyright: ignore[reportAttributeAccessIssue]


def test_the_card_of_the_network_is_shown_where_there_is_one(judged) -> None:
    psnr = {"sigma": [0.1, 0.2], "denoiser": [26.9, 23.5], "noisy": [20, 14], "count": 9, "images": "some"}
    made = page(judged, card={"psnr": psnr, "images seen": 1000}, shown=Shown(), command="", settings={})
    (section,) = [s for s in made.sections if s.title.startswith("How well")]
    assert "1,000 images seen" in section.parts[0]  # pyright: ignore[reportOperatorIssue]
    assert section.parts[1].rows == [["network", "26.90", "23.50"], ["noisy", "20.00", "14.00"]]  # pyright: ignore


@pytest.mark.parametrize("card", [None, "text", {"psnr": 1}, {"psnr": {}}, {"psnr": {"denoiser": [1]}}])
def test_a_card_without_such_numbers_is_passed_over(judged, card) -> None:
    made = page(judged, card=card, shown=Shown(), command="", settings={})
    assert not [s for s in made.sections if s.title.startswith("How well")]


def test_arrows_say_which_rows_differ_from_the_reference() -> None:
    rows = ["a mid", "pixels", "pca", "none"]
    difference = [[0, 0.2, -0.2, np.nan], [0, 0.1, -0.3, np.nan], [0, 0.3, -0.1, np.nan]]
    values = {
        name: (("row", "sigma", "measure"), np.array(v, float)[:, None, None])
        for name, v in zip(("difference", "difference_low", "difference_high"), difference, strict=True)
    }
    for name, shift in (("value", 0), ("low", -0.1), ("high", 0.1)):
        values[name] = (("row", "sigma", "measure"), np.array([0.5, 0.7, 0.3, np.nan])[:, None, None] + shift)
    values["chance"] = (("row", "sigma", "measure"), np.full((4, 1, 1), 0.25))
    compared = xr.Dataset(values, coords={"row": rows, "sigma": [0.1], "measure": ["m"]}, attrs={"reference": "a mid"})
    said, table = measure_table(compared, "m")
    assert "by chance 0.25" in said
    assert [list(row) for row in table.rows] == [
        ["a mid", "0.5 [0.4, 0.6]"],
        ["pixels", "0.7 [0.6, 0.8] ↑"],
        ["pca", "0.3 [0.2, 0.4] ↓"],
    ]


def test_a_number_without_an_interval_stands_alone() -> None:
    assert [interval_cell(0.5, np.nan, 1), interval_cell(np.nan, 0, 1)] == ["0.5", "–"]


def test_a_number_that_is_of_the_subject_before_says_so(judged) -> None:
    first = [row[0] for row in claims.cells(judged, 1)]
    assert first == [
        "number, below 0",
        "the same less the untrained network's, below 0",
        "the same, below 0",
        "the same less the untrained network's, below 0",
        "another, above 0",
    ]
