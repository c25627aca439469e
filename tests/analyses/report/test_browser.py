"""A report in a real browser: it fits a phone, leads where it says, folds, and enlarges its figures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure

from analyses.report.page import Answer, Page, Picture, Section, Table, html
from tests import browsers

pytestmark = browsers.needed


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with browsers.started() as found:
        yield found


@pytest.fixture
def address(tmp_path: Path) -> str:
    figure = Figure(figsize=(9, 5))
    figure.subplots().plot([0, 1])
    figure.savefig(tmp_path / "one.png")
    wide = Table([f"column {k}" for k in range(12)], [["<script>alert(1)</script>", *["0.123 [0.1, 0.2]"] * 11]] * 3)
    picture = Picture(tmp_path / "one.png", 'a "figure" <b>')
    sections = [
        Section(f"Claim {k}", ["Said in a sentence.", picture], "partly", [wide, "more"], f"claim-{k}")
        for k in range(3)
    ]
    answers = [Answer(f"{k}. Claim", "partly", "Partly, because.", f"claim-{k}") for k in range(3)]
    (tmp_path / "report.html").write_text(html(Page("A" * 60, [], sections, answers)), encoding="utf-8")
    return (tmp_path / "report.html").as_uri()


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_folds_leads_and_enlarges(browser: Any, address: str, width: int, scheme: str) -> None:
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    page, complaints, asked = context.new_page(), [], []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("dialog", lambda dialog: (complaints.append(dialog.message), dialog.dismiss()))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(address)
    for summary in page.query_selector_all("summary"):
        summary.click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("[...document.querySelectorAll('details')].every(one => one.open)")
    page.click("a[href='#claim-2'] >> nth=0")
    assert page.evaluate("Math.abs(document.getElementById('claim-2').getBoundingClientRect().top) < innerHeight")
    page.focus(".enlarge >> nth=1")
    page.keyboard.press("Enter")
    assert page.evaluate("document.querySelector('dialog').open && document.querySelector('dialog img').complete")
    page.keyboard.press("Escape")
    assert not page.evaluate("document.querySelector('dialog').open")
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    context.close()
    assert (light == "rgb(255, 255, 255)") == (scheme == "light")
    assert not complaints
    assert [one for one in asked if not one.startswith(("file:", "data:"))] == []
