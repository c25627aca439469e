"""A page of a report: one content, two renderings, nothing of it lost and nothing taken for markup."""

import base64
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from analyses.report.page import Page, Picture, Section, Table, html, markdown

NASTY = "a < b & c | d `code` <script>"


class Reader(HTMLParser):
    """Text, tables and pictures of an HTML page; fails where a tag is not closed."""

    VOID = ("meta", "img", "br")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.rows: list[list[str]] = []
        self.sources: list[str] = []
        self.text = ""
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list) -> None:
        if tag not in self.VOID:
            self.open.append(tag)
        if tag == "img":
            self.sources.append(dict(attrs)["src"])
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" in self.open:
            return
        self.text += data
        if self.open and any(tag in ("td", "th") for tag in self.open):
            self.rows[-1][-1] += data


@pytest.fixture
def page(tmp_path: Path) -> Page:
    figure = Figure(figsize=(1, 1))
    (tmp_path / "figures").mkdir()
    figure.savefig(tmp_path / "figures" / "one.png")
    table = Table(["what", "value"], [["holds", "1.5"], [NASTY, "–"]])
    picture = Picture(tmp_path / "figures" / "one.png", "what is seen")
    return Page("Title & more", [NASTY], [Section("First", [table, picture], "holds"), Section("Second", ["text"])])


def test_html_holds_every_part_and_takes_none_of_it_for_markup(page: Page) -> None:
    read = Reader(html(page))
    plain = NASTY.replace("`", "")
    assert read.rows == [["what", "value"], ["holds", "1.5"], [plain, "–"]]
    for text in ("Title & more", plain, "First: holds", "Second", "text", "what is seen"):
        assert text in read.text
    assert "<script>" not in html(page)


def test_html_needs_no_other_file(page: Page) -> None:
    (source,) = Reader(html(page)).sources
    kind, data = source.split(",")
    assert kind == "data:image/png;base64"
    assert base64.b64decode(data) == page.sections[0].parts[1].path.read_bytes()  # pyright: ignore
    assert not re.search(r"(src|href)=\"(?!data:)", html(page))


def test_markdown_links_pictures_beside_it_and_keeps_cells_in_their_columns(page: Page, tmp_path: Path) -> None:
    lines = markdown(page, tmp_path).splitlines()
    assert lines[0] == "# Title & more"
    assert "## First: holds" in lines
    assert "![what is seen](figures/one.png)" in lines
    cells = [re.split(r"(?<!\\)\|", line)[1:-1] for line in lines if line.startswith("|")]
    assert [len(row) for row in cells] == [2, 2, 2, 2]
    assert cells[3][0].strip().replace("\\|", "|") == NASTY
