"""A page of a report, written once, rendered as HTML that needs no other file and as Markdown beside its figures."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple

__all__ = ["Page", "Picture", "Section", "Table", "html", "markdown"]

# Verdicts by colour, so that the summary is read at a glance.
COLOURS = {"holds": "#1a7f37", "partly": "#9a6700", "does not hold": "#b42318", "yes": "#1a7f37", "no": "#b42318"}
WORD = re.compile(r"[^\W\d_]{3}")
STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1f2328; }
h1, h2 { line-height: 1.2; } h2 { margin-top: 3rem; border-top: 1px solid #d0d7de; padding-top: 1rem; }
table { border-collapse: collapse; margin: 1rem 0; font-size: 0.85rem; display: block; overflow-x: auto; }
th, td { border: 1px solid #d0d7de; padding: 0.25rem 0.6rem; text-align: left; vertical-align: top; }
th { background: #f6f8fa; } td.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
figure { margin: 1.5rem 0; } img { max-width: 100%; } figcaption { font-size: 0.85rem; color: #57606a; }
.verdict { font-weight: 600; white-space: nowrap; } code { overflow-wrap: anywhere; }
"""


class Table(NamedTuple):
    """Cells as text; the first row of the page's table is `header`."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]


class Picture(NamedTuple):
    """A PNG file and what it shows."""

    path: Path
    caption: str


class Section(NamedTuple):
    """A heading, with a verdict if there is one, and what stands under it: paragraphs (str), tables, pictures."""

    title: str
    parts: Sequence[str | Table | Picture]
    verdict: str = ""


class Page(NamedTuple):
    """A title, what stands under it, and sections."""

    title: str
    parts: Sequence[str | Table | Picture]
    sections: Sequence[Section]


def html(page: Page) -> str:
    """The page as one HTML file, pictures inside.

    Raises
    ------
    OSError
        If a picture cannot be read.
    """
    lines = [f"<h1>{escape(page.title)}</h1>", *map(_html, page.parts)]
    for section in page.sections:
        verdict = f": {_verdict(section.verdict)}" if section.verdict else ""
        lines += [f"<h2>{escape(section.title)}{verdict}</h2>", *map(_html, section.parts)]
    head = f'<meta charset="utf-8"><title>{escape(page.title)}</title><style>{STYLE}</style>'
    return f'<!doctype html>\n<html lang="en"><head>{head}</head><body>\n' + "\n".join(lines) + "\n</body></html>\n"


def markdown(page: Page, beside: Path) -> str:
    """The page as Markdown, pictures linked relative to the folder it is to lie in."""
    lines = [f"# {page.title}", ""]
    for part in page.parts:
        lines += [_markdown(part, beside), ""]
    for section in page.sections:
        lines += [f"## {section.title}" + (f": {section.verdict}" if section.verdict else ""), ""]
        for part in section.parts:
            lines += [_markdown(part, beside), ""]
    return "\n".join(lines)


def _html(part: str | Table | Picture) -> str:
    if isinstance(part, str):
        return f"<p>{_code(part)}</p>"
    if isinstance(part, Picture):
        data = base64.b64encode(part.path.read_bytes()).decode()
        picture = f'<img src="data:image/png;base64,{data}" alt="{escape(part.caption)}">'
        return f"<figure>{picture}<figcaption>{escape(part.caption)}</figcaption></figure>"
    header = "".join(f"<th>{escape(cell)}</th>" for cell in part.header)
    rows = "\n".join("<tr>" + "".join(map(_cell, row)) + "</tr>" for row in part.rows)
    return f"<table><thead><tr>{header}</tr></thead><tbody>\n{rows}\n</tbody></table>"


def _cell(text: str) -> str:
    if text in COLOURS:
        return f"<td>{_verdict(text)}</td>"
    kind = ' class="number"' if text[:1] in set("-–0123456789") and not WORD.search(text) else ""
    return f"<td{kind}>{_code(text)}</td>"


def _verdict(text: str) -> str:
    return f'<span class="verdict" style="color: {COLOURS.get(text, "inherit")}">{escape(text)}</span>'


def _code(text: str) -> str:
    """Escaped text with what stands between backticks as code."""
    pieces = escape(text, quote=False).split("`")
    if len(pieces) % 2 == 0:
        return "`".join(pieces)
    return "".join(f"<code>{piece}</code>" if i % 2 else piece for i, piece in enumerate(pieces))


def _markdown(part: str | Table | Picture, beside: Path) -> str:
    if isinstance(part, str):
        return part
    if isinstance(part, Picture):
        return f"![{part.caption}]({part.path.relative_to(beside).as_posix()})"
    lines = [part.header, ["---"] * len(part.header), *part.rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
