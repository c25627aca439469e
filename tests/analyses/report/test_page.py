"""A page of a report: its numbers, arrows and failing criteria are the findings' own; nothing is markup."""

import base64
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from matplotlib.figure import Figure

from analyses import claims
from analyses.ground import Code
from analyses.report.page import (
    Page,
    Picture,
    Section,
    Shown,
    Table,
    html,
    interval_cell,
    markdown,
    measure_table,
    report_page,
)

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
        if {"style", "script"} & set(self.open):
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
    assert read.rows == [["what", "value"], ["holds", "1.5"], [NASTY, "–"]]
    for text in ("Title & more", NASTY, "First: holds", "Second", "text", "what is seen"):
        assert text in read.text
    # One script, which is the page's own.
    assert html(page).count("<script>") == 1


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
    assert shown("\n".join(line for line in lines if line.startswith("|"))).rows[2] == [NASTY, "–"]


# Names as anybody may give them to networks, images, classes and folders.
NAMES = [
    *("a|b", "a\\|b", "<b>bold</b>", "<script>", "`code`", "``", "a`b", "[x](y)", "![x](y)", "[x]: /y", "# heading"),
    *("a #", "- item", "+ item", "1. item", "2) item", "> quote", "***", "---", "===", "*a*", "_a_", "__a__", "~~a~~"),
    *("&amp;", "&#42;", "\\", "a\\", "$x$", "http://a.b/c_d_", "| a | b |", "    four", "<!-- a -->", "{{ a }}"),
    *("a_b_c", ":", "C#"),
]


def shown(text: str) -> Reader:
    """What a reader of Markdown, here as GitHub reads it, sees of a text."""
    return Reader(rendered(text))


def rendered(text: str) -> str:
    return MarkdownIt("commonmark", {"xhtmlOut": False}).enable(["table", "strikethrough"]).render(text)


def spaced(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("name", [*NAMES, "two\nlines", "a\n\n# b", "a\r\n| b"])
def test_a_name_shows_as_it_is_wherever_it_stands_in_the_markdown_of_a_report(name: str, tmp_path: Path) -> None:
    table = Table([name, "value"], [[name, "1"], [[Code(name)], "2"]])
    page = Page(name, [name, ["as ", Code(name)], table], [Section(name, [Picture(tmp_path / "a (1).png", name)])])
    text = markdown(page, tmp_path)
    read = shown(text)
    wanted = spaced(name)
    assert [[spaced(cell) for cell in row] for row in read.rows] == [[wanted, "value"], [wanted, "1"], [wanted, "2"]]
    assert read.sources == ["a%20%281%29.png"]
    lines = [spaced(line) for line in read.text.splitlines() if line.strip()]
    assert lines[:3] == [wanted, wanted, f"as {wanted}"]
    assert lines[-1] == wanted
    tags = set(re.findall(r"<(\w+)", rendered(text)))
    assert tags == {"h1", "h2", "p", "code", "table", "thead", "tbody", "tr", "th", "td", "img"}


@given(st.lists(st.text("a1 .-+#>*_`[](){}<>|\\~&;$!:=\n\t", min_size=1, max_size=12), min_size=1, max_size=3))
def test_any_text_shows_as_it_is_in_markdown_and_in_html(names: list[str]) -> None:
    for name in filter(str.strip, names):
        page = Page("t", [["x ", name], Table(["a"], [[name], [[Code(name)]]])], [])
        wanted = spaced(name)
        for read in (shown(markdown(page, Path())), Reader(html(page))):
            assert [spaced(row[0]) for row in read.rows] == ["a", wanted, wanted]
            assert spaced(f"x {name}") in spaced(read.text)


@pytest.fixture
def judged() -> xr.Dataset:
    rows = [
        (1, "number", "", "below 0", 0.1, -0.5, True, True),
        (1, "number", "the untrained network's", "below 0", 0.1, 0.2, False, True),
        (1, "number", "", "below 0", 0.5, 0.3, False, True),
        (1, "number", "the untrained network's", "below 0", 0.5, 0.2, False, True),
        (1, "another", "", "above 0", 0.5, -1.0, False, False),
        (1, "third", "", "above 0", 0.5, 0.1, False, True),
        (6, "error", "", "at most 0.05", np.nan, 0.01, True, True),
    ]
    names = ("of_claim", "subject", "less", "asked", "sigma", "value", "holds", "counts")
    columns: dict[str, list] = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
    columns["outcome"] = ["holds" if r[6] else "undecided" if r[1] == "third" else "does not hold" for r in rows]
    columns["what"] = [f"{r[1]}{f' less {r[2]}' if r[2] else ''}, {r[3]}" for r in rows]
    made = {k: ("criterion", np.array(v, object if isinstance(v[0], str) else None)) for k, v in columns.items()}
    unknown = ("criterion", np.full(len(rows), np.nan))
    verdict = ("claim", np.array(["partly", "holds"], object))
    return xr.Dataset(
        {
            **made,
            **dict.fromkeys(("low", "high", "control", "control_paper_gains"), unknown),
            "lacks": ("criterion", np.array([""] * len(rows), object)),
            "verdict": verdict,
        },
        coords={"claim": [1, 6]},
        attrs={"denoiser": "small", "image_source": "some"},
    )


def test_a_section_names_what_is_not_as_claimed_with_its_subject_and_levels(judged, tmp_path: Path) -> None:
    made = report_page(judged, card={}, shown=Shown(), command="this", settings={})
    first, sixth = made.sections[:2]
    assert first.verdict == "partly"
    assert (
        first.details[1]
        == "Not as claimed: number less the untrained network's, below 0 (σ = 0.1, 0.5); number, below 0 (σ = 0.5)."
    )
    assert first.details[2] == "Undecided: third, above 0 (σ = 0.5)."
    assert sixth.details[1] == "All is as claimed."
    (summary,) = [part for part in made.sections[2].details if isinstance(part, Table)]
    assert [row[1:] for row in summary.rows] == [["partly", "1 of 5, 3 against"], ["holds", "1 of 1, 0 against"]]
    assert "`this`" in markdown(made, tmp_path)
    assert sixth.details[2].rows == claims.cells(judged, 6)  # pyright: ignore[reportAttributeAccessIssue]


def test_what_is_not_judged_for_want_of_a_control_is_told_in_words_and_counted(judged) -> None:
    lacking = judged.assign_attrs(untrained_controls="untrained").copy(deep=True)
    lacking["lacks"].values[3] = "untrained, paper's gains"
    lacking["outcome"].values[3] = "not judged"
    made = report_page(lacking, card={}, shown=Shown(), command="this", settings={})
    first, sixth = made.sections[:2]
    said = "number less the untrained network's, below 0, which lacks untrained, paper's gains (σ = 0.5)"
    assert first.details[3] == f"Not judged, for want of what was not measured: {said}."
    assert not any("Not judged" in str(part) for part in sixth.details)
    (summary,) = [part for part in made.sections[2].details if isinstance(part, Table)]
    assert [row[1:] for row in summary.rows] == [
        ["partly", "1 of 5, 2 against; 1 not judged"],
        ["holds", "1 of 1, 0 against"],
    ]
    rows = claims.cells(lacking, 1)
    assert [row[-1] for row in rows] == ["yes", "no", "reported only", "undecided"]
    assert rows[1][claims.HEADER.index("less untrained")].endswith(": not judged")


@pytest.mark.parametrize(
    ("named", "says"),
    [
        ("", "with the images of some. The criteria"),
        ("untrained", "untrained, with gains of 1 alone. "),
        ("untrained, paper's gains", "untrained, with gains as the paper's code draws them alone. "),
        (
            "untrained; untrained, paper's gains",
            "untrained, with gains of 1 and with gains as the paper's code draws them: more than untrained is more",
        ),
    ],
)
def test_the_page_says_which_controls_there_are(judged, named: str, says: str, tmp_path: Path) -> None:
    told = judged.assign_attrs(untrained_controls=named)
    assert says in markdown(report_page(told, card={}, shown=Shown(), command="", settings={}), tmp_path)


def test_the_card_of_the_network_is_shown_where_there_is_one(judged) -> None:
    psnr = {"sigma": [0.1, 0.2], "denoiser": [26.9, 23.5], "noisy": [20, 14], "count": 9, "images": "some"}
    made = report_page(judged, card={"psnr": psnr, "images seen": 1000}, shown=Shown(), command="", settings={})
    (section,) = [s for s in made.sections if s.title.startswith("How well")]
    assert "1,000 images seen" in section.parts[0][2]  # pyright: ignore[reportOperatorIssue]
    assert section.parts[1].rows == [["network", "26.90", "23.50"], ["noisy", "20.00", "14.00"]]  # pyright: ignore


@pytest.mark.parametrize("card", [None, "text", {"psnr": 1}, {"psnr": {}}, {"psnr": {"denoiser": [1]}}])
def test_a_card_without_such_numbers_is_passed_over(judged, card) -> None:
    made = report_page(judged, card=card, shown=Shown(), command="", settings={})
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
    assert [interval_cell(1344.7, 239.8, 1471.8), interval_cell(1344.7, np.nan, 1)] == ["1345 [240, 1472]", "1345"]


def test_what_a_number_is_less_its_controls_stands_in_its_own_row(judged) -> None:
    rows = claims.cells(judged, 1)
    assert [row[0] for row in rows] == ["number, below 0", "number, below 0", "another, above 0", "third, above 0"]
    column = claims.HEADER.index("less untrained")
    assert [row[column].rpartition(", ")[2] for row in rows[:2]] == ["below 0: no", "below 0: no"]
    assert [row[column] for row in rows[2:]] == ["–", "–"]


def test_the_page_begins_with_a_sentence_a_claim_that_leads_to_it(judged, tmp_path: Path) -> None:
    made = report_page(judged, card={}, shown=Shown(), command="this", settings={})
    said = markdown(made, tmp_path).splitlines()
    for answer, section in zip(made.answers, made.sections, strict=False):
        assert answer.sentence == section.parts[0]
        assert answer.anchor == section.anchor
        assert any(
            line.startswith("- [") and f"](#{answer.anchor}): {answer.verdict.capitalize()}" in line for line in said
        )
    text = html(made)
    anchors = re.findall(r'<h2 id="([^"]*)"', text)
    assert set(re.findall(r'href="#([^"]*)"', text)) == set(anchors)
    assert len(set(anchors)) == len(anchors)


def test_one_figure_of_a_claim_is_seen_and_the_others_are_folded(judged, tmp_path: Path) -> None:
    shown, paths = Shown(), [tmp_path / f"{k}.png" for k in range(3)]
    for path in paths:
        Figure(figsize=(1, 1)).savefig(path)
        shown.picture([1], path, path.stem)
    shown.table([1], "said", Table(["a"], [["b"]]))
    made = report_page(judged, card={}, shown=shown, command="this", settings={})
    first = made.sections[0]
    assert [part.path for part in first.parts if isinstance(part, Picture)] == paths[:1]
    assert [part.path for part in first.details if isinstance(part, Picture)] == paths[1:]
    assert "said" in first.details
    text = markdown(made, tmp_path)
    assert text.index("![0]") < text.index("<details>") < text.index("![1]") < text.index("</details>")


def criterion(subject: str, outcome: str, value: float, *, less: str = "", sigma: float = 0.1, lacks: str = "") -> dict:
    return {
        "of_claim": 1,
        "what": subject,
        "subject": subject,
        "less": less,
        "asked": "above 0",
        "bound": 0.0,
        "sigma": sigma,
        "value": value,
        "low": value - 0.1,
        "high": value + 0.1,
        "control": np.nan,
        "control_paper_gains": np.nan,
        "holds": outcome == "holds",
        "outcome": outcome,
        "counts": True,
        "lacks": lacks,
    }


def of(verdict: str, *rows: dict) -> xr.Dataset:
    """Findings of one claim."""
    names = {
        name: (
            "criterion",
            np.array([row[name] for row in rows], dtype=object if isinstance(rows[0][name], str) else None),
        )
        for name in rows[0]
    }
    return xr.Dataset(
        {**names, "verdict": ("claim", np.array([verdict], object))},
        coords={"claim": [1]},
        attrs={"analysis": "claims"},
    )


HOLDS, AGAINST, OPEN = (
    criterion(one[0], one, value) for one, value in (("holds", 0.5), ("does not hold", -0.5), ("undecided", 0.0))
)


@pytest.mark.parametrize(
    ("verdict", "rows", "said"),
    [
        ("holds", [HOLDS], "Holds, because h is 0.5 [0.4, 0.6] at σ = 0.1 (asked: above 0), which is as claimed."),
        (
            "holds",
            [HOLDS, HOLDS, HOLDS],
            "Holds, because h is 0.5 [0.4, 0.6] at σ = 0.1 (asked: above 0), which is as claimed, as are 2 more "
            "criteria.",
        ),
        (
            "partly",
            [HOLDS, AGAINST],
            "Partly, because h is 0.5 [0.4, 0.6] at σ = 0.1 (asked: above 0), which is as claimed, but d is -0.5 "
            "[-0.6, -0.4] at σ = 0.1 (asked: above 0), which is the opposite.",
        ),
        (
            "does not hold",
            [AGAINST, AGAINST],
            "Does not hold, because d is -0.5 [-0.6, -0.4] at σ = 0.1 (asked: above 0), which is the opposite, as is 1 "
            "more criterion.",
        ),
        (
            "undecided",
            [HOLDS, OPEN],
            "Undecided, because u is 0 [-0.1, 0.1] at σ = 0.1 (asked: above 0), which leaves open which it is, while h "
            "is 0.5 [0.4, 0.6] at σ = 0.1 (asked: above 0), which is as claimed.",
        ),
        (
            "not judged",
            [criterion("n", "not judged", np.nan, lacks="untrained")],
            "Not judged, because untrained was not measured.",
        ),
    ],
)
def test_a_verdict_is_one_sentence_with_the_numbers_that_decided_it(verdict: str, rows: list[dict], said: str) -> None:
    assert claims.sentence(of(verdict, *rows), 1) == said


def test_what_the_verdict_does_not_rest_on_is_not_given_as_its_reason() -> None:
    beside = {**criterion("x", "does not hold", -1.0), "counts": False}
    assert "x is" not in claims.sentence(of("holds", beside, HOLDS), 1)
