"""What a report says, written once, rendered as HTML that needs no other file and as Markdown beside its figures."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import numpy as np
import xarray as xr
from jinja2 import Environment, PackageLoader

from analyses import claims
from analyses.ground import TWINS, Code, Text, marked, rounded, table_row
from probekit import labels

__all__ = [
    "Answer",
    "Page",
    "Picture",
    "Section",
    "Shown",
    "Table",
    "html",
    "interval_cell",
    "markdown",
    "measure_table",
    "report_page",
]

# Verdicts by colour, so that the summary is read at a glance: the classes of the page's style sheet.
CLASSES = {
    "holds": "good",
    "partly": "half",
    "does not hold": "bad",
    "undecided": "open",
    "not judged": "open",
    "yes": "good",
    "no": "bad",
}
DETAILS = "Details: the criterion, all numbers, further figures"
WORD = re.compile(r"[^\W\d_]{3}")
PSNR_ROWS = {"denoiser": "network", "patch_wiener": "patch-PCA Wiener", "gaussian_blur": "best blur", "noisy": "noisy"}


class Table(NamedTuple):
    """Cells as text; the first row of the page's table is `header`."""

    header: Sequence[Text]
    rows: Sequence[Sequence[Text]]


class Picture(NamedTuple):
    """A PNG file and what it shows."""

    path: Path
    caption: str


# A paragraph, in pieces where some are code.
Part = Text | Table | Picture


class Section(NamedTuple):
    """A heading, with a verdict if there is one, and what stands under it: paragraphs, tables, pictures.

    Attributes
    ----------
    title, parts, verdict
        What is seen at once.
    details
        What is folded away until it is asked for.
    anchor
        What links go to, without "#"; "" for none.
    """

    title: str
    parts: Sequence[Part]
    verdict: str = ""
    details: Sequence[Part] = ()
    anchor: str = ""


class Answer(NamedTuple):
    """A line of the page's beginning: a claim, its verdict, a sentence on why, and where more of it stands."""

    title: str
    verdict: str
    sentence: str
    anchor: str


class Page(NamedTuple):
    """A title, the answers, what stands under them, and sections."""

    title: str
    parts: Sequence[Part]
    sections: Sequence[Section]
    answers: Sequence[Answer] = ()


def html(page: Page) -> str:
    """The page as one HTML file, pictures inside.

    Raises
    ------
    OSError
        If a picture cannot be read.
    """
    environment = Environment(
        loader=PackageLoader("analyses.report", "."), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"pieces": _pieces, "base64": _base64, "is_number": _is_number}
    return environment.get_template("page.html.j2").render(page=page, classes=CLASSES, folded=DETAILS)


def _pieces(text: Text) -> list[dict[str, Any]]:
    """A text in pieces, some of which are code."""
    pieces = [text] if isinstance(text, str) else text
    return [{"text": p.code if isinstance(p, Code) else p, "code": isinstance(p, Code)} for p in pieces]


def _base64(picture: Picture) -> str:
    return base64.b64encode(picture.path.read_bytes()).decode()


def _is_number(text: Text) -> bool:
    return isinstance(text, str) and text[:1] in set("-–0123456789") and not WORD.search(text)


def markdown(page: Page, beside: Path) -> str:
    """The page as Markdown, pictures linked relative to the folder it is to lie in; details fold where HTML is."""
    lines = [f"# {_heading(page.title)}", ""]
    for one in page.answers:
        title = f"[{marked(one.title)}](#{one.anchor})" if one.anchor else marked(one.title)
        lines += [f"- {title}: {marked(one.sentence)}"]
    lines += [""] * bool(page.answers)
    for part in page.parts:
        lines += [_markdown(part, beside), ""]
    for section in page.sections:
        lines += [f"## {_heading(section.title + (f': {section.verdict}' if section.verdict else ''))}", ""]
        for part in section.parts:
            lines += [_markdown(part, beside), ""]
        if section.details:
            lines += [f"<details><summary>{DETAILS}</summary>", ""]
            for part in section.details:
                lines += [_markdown(part, beside), ""]
            lines += ["</details>", ""]
    return "\n".join(lines)


def _heading(text: str) -> str:
    """A heading's text; digits at its beginning make no list."""
    return marked(["", text])


def _markdown(part: Part, beside: Path) -> str:
    if isinstance(part, Picture):
        return f"![{marked(part.caption)}]({quote(part.path.relative_to(beside).as_posix())})"
    if isinstance(part, Table):
        return "\n".join([table_row(part.header), "|" + " --- |" * len(part.header), *map(table_row, part.rows)])
    return marked(part)


class Shown:
    """Pictures and tables, collected claim by claim."""

    def __init__(self) -> None:
        self._parts: dict[int, list[Part]] = {}

    def picture(self, claims: Sequence[int], path: Path, caption: str) -> None:
        """Add a figure to claims."""
        for claim in claims:
            self._parts.setdefault(claim, []).append(Picture(path, caption))

    def table(self, claims: Sequence[int], said: Text, table: Table) -> None:
        """Add a table to claims, with a sentence that says what it holds."""
        for claim in claims:
            self._parts.setdefault(claim, []).extend([said, table])

    def of(self, claim: int) -> list[Part]:
        """All of a claim, in the order added."""
        return self._parts.get(claim, [])


def report_page(judged: xr.Dataset, *, card: Any, shown: Shown, command: str, settings: Mapping[str, Any]) -> Page:
    """The report as a page.

    Parameters
    ----------
    judged
        What `claims.table` returns, with the names of the denoiser and the images among its attrs.
    card
        The denoiser's model card, whatever it holds.
    shown
        What stands under the criteria of each claim.
    command
        That made it.
    settings
        How, by name.
    """
    name, source = str(judged.attrs["denoiser"]), str(judged.attrs["image_source"])
    verdicts = claims.verdicts(judged)
    lead: list[Part] = [
        ["Made by ", Code(command), "."],
        [
            "The claims of Kadkhodaie, Mallat & Simoncelli (arXiv:2506.01912) judged on ",
            Code(name),
            f" with the images of {source}{_beside(judged)}. The criteria were fixed before the "
            "results. A criterion is undecided where neither it nor its opposite is shown. A claim holds where all its "
            "criteria do at all noise levels. Where one is refuted it holds partly if another holds, and else it does "
            "not hold, whatever is open; where none is, it is not judged if anything was not measured, and else "
            "undecided. Intervals are 95 %. Claims 9 to 12 are not the paper's.",
        ],
        Table(
            ["claim", "verdict", "criteria met"],
            [[f"{c}. {claims.CLAIMS[c].title}", v, claims.met(judged, c)] for c, v in verdicts.items()],
        ),
    ]
    answers = [
        Answer(f"{c}. {claims.CLAIMS[c].title}", v, claims.sentence(judged, c), claims.anchor(judged, c)[1:])
        for c, v in verdicts.items()
    ]
    sections = [_section(judged, claim, shown) for claim in verdicts]
    how = Section("How it was judged", [lead[0]], details=lead[1:], anchor="how-it-was-judged")
    every = [*sections, how, *_network(name, card), _made_with(judged, settings)]
    return Page(f"Report: {name} on {source}", [], every, answers)


def measure_table(compared: xr.Dataset, measure: str) -> tuple[str, Table]:
    """One measure of a table of controls: rows by noise level, with intervals."""
    part = compared.sel(measure=measure)
    reference = str(compared.attrs["reference"])
    levels = [f"{s:g}" for s in part["sigma"].values]
    rows = []
    for row in labels.strings(part["row"].values):
        here = part.sel(row=row)
        if not np.isfinite(here["value"].values).any():
            continue
        cells = []
        for s in range(len(levels)):
            at = here.isel(sigma=s)
            low, high = at["difference_low"].item(), at["difference_high"].item()
            # Its own difference is 0, and no finding.
            mark = "" if row == reference or not np.isfinite(low) else " ↑" if low > 0 else " ↓" if high < 0 else ""
            cells.append(interval_cell(at["value"].item(), at["low"].item(), at["high"].item()) + mark)
        rows.append([row, *cells])
    chance = part["chance"].values
    by_chance = f"; by chance {np.nanmean(chance):.3g}" if np.isfinite(chance).any() else ""
    said = f"{measure[0].upper()}{measure[1:]}{by_chance}. Arrows: above or below {reference}, paired over images."
    return said, Table(["row", *(f"σ = {level}" for level in levels)], rows)


def interval_cell(value: float, low: float, high: float) -> str:
    """A number with its interval, or a dash."""
    if not np.isfinite(value):
        return "–"
    if not (np.isfinite(low) and np.isfinite(high)):
        return rounded(value, 3)
    return f"{rounded(value, 3)} [{rounded(low, 3)}, {rounded(high, 3)}]"


def _beside(judged: xr.Dataset) -> str:
    """What the network is compared with, in words."""
    named = str(judged.attrs.get("untrained_controls", ""))
    if not named:
        return ""
    one, paper = (f"with gains {gains}" for gains in ("of 1", "as the paper's code draws them"))
    kinds = f"{one} and {paper}: more than untrained is more than both"
    kinds = dict(zip(TWINS, (f"{one} alone", f"{paper} alone"), strict=True)).get(named, kinds)
    return f", beside the same network untrained, {kinds}"


def _section(judged: xr.Dataset, claim: int, shown: Shown) -> Section:
    failing, undecided, unjudged = (of(judged, claim) for of in (claims.failing, claims.undecided, claims.unjudged))
    figures = [part for part in shown.of(claim) if isinstance(part, Picture)]
    # One figure is seen at once; the others, and tables with what is said of them, are for who asks.
    others = [part for part in shown.of(claim) if part is not figures[0]] if figures else shown.of(claim)
    details: list[Part] = [
        f"Holds when: {claims.CLAIMS[claim].asks}.",
        *([f"Not as claimed: {failing}."] if failing else []),
        *([f"Undecided: {undecided}."] if undecided else []),
        *([] if failing or undecided or unjudged else ["All is as claimed."]),
        *([f"Not judged, for want of what was not measured: {unjudged}."] if unjudged else []),
        Table(claims.HEADER, claims.cells(judged, claim)),
        *others,
    ]
    title = f"Claim {claim}. {claims.CLAIMS[claim].title}"
    seen: list[Part] = [claims.sentence(judged, claim), *figures[:1]]
    return Section(title, seen, claims.verdicts(judged)[claim], details, claims.anchor(judged, claim)[1:])


def _network(name: str, card: Any) -> list[Section]:
    """How well the network denoises, as far as its card, which anybody may have written, says so."""
    psnr = card.get("psnr") if isinstance(card, Mapping) else None
    if not isinstance(psnr, Mapping) or "sigma" not in psnr:
        return []
    shown = {key: text for key, text in PSNR_ROWS.items() if key in psnr}
    table = Table(
        ["σ", *map(_given, psnr["sigma"])], [[text, *map(_decibel, psnr[key])] for key, text in shown.items()]
    )
    seen = f", {_given(card['images seen'])} images seen" if "images seen" in card else ""
    over = f"{seen}, mean over {psnr.get('count', '')} images of {psnr.get('images', '')}:"
    said = ["PSNR in dB of ", Code(name), over]
    return [Section("How well the network denoises", [said, table], anchor="how-well-the-network-denoises")]


def _given(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int | float) else str(value)


def _decibel(value: Any) -> str:
    return f"{value:.2f}" if isinstance(value, int | float) else str(value)


def _made_with(judged: xr.Dataset, settings: Mapping[str, Any]) -> Section:
    made = {**{str(k): v for k, v in judged.attrs.items() if k != "analysis"}, **settings}
    rows = [[name.replace("_", " "), [Code(str(value))]] for name, value in made.items() if str(value)]
    return Section("Made with", [], details=[Table(["setting", "value"], rows)], anchor="made-with")
