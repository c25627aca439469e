"""Numbers as they are read, and text in Markdown that shows as it is, whatever names of networks and images hold."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["Code", "Text", "marked", "rounded", "table_row"]

SPACE = re.compile(r"\s+")
# What means something anywhere in CommonMark and in GitHub's tables and formulas; an underscore inside a word does not.
SPECIAL = re.compile(r"[\\`*\[\]<|~$]|(?<![^\W_])_|_(?![^\W_])|&(?=#?\w+;)|(?:(?<=\s)|^)#")
# What means something at the beginning of a line.
BEGINNING = re.compile(r"^(?:[+\->](?=\s|$)|[-=]+\s*$|-{2,}|\d+(?=[.)](?:\s|$)))")

# From here on the power of ten is said.
PLAIN = 1e6


class Code(NamedTuple):
    """A piece of text that is shown as code."""

    code: str


# A plain text, or pieces of one.
Text = str | Sequence[str | Code]


def marked(text: Text, *, cell: bool = False) -> str:
    """The text in Markdown, on one line.

    Parameters
    ----------
    text
        Plain text, of which nothing is markup, or pieces, some of which are code.
    cell
        Whether it stands in a table.

    Examples
    --------
    >>> print(marked(["# a_b*", Code("x|`y"), " [z](u)"]))
    \\# a_b\\*``x|`y`` \\[z\\](u)
    """
    pieces = [text] if isinstance(text, str) else list(text)
    told = "".join(_code(p.code, cell) if isinstance(p, Code) else _plain(p) for p in pieces).strip()
    begins = BEGINNING.match(told)
    if begins is None:
        return told
    # A number is followed by its stop, which is what makes it an item.
    return f"{begins[0]}\\{told[begins.end() :]}" if begins[0].isdigit() else f"\\{told}"


def rounded(number: float, digits: int) -> str:
    """The number to so many significant digits; below a million all before the point are kept: 1344, not 1.3e+03.

    Examples
    --------
    >>> [rounded(number, 2) for number in (0.0234, -5, 109.6, 1234, 1.2e7)]
    ['0.023', '-5', '110', '1234', '1.2e+07']
    """
    text = f"{number:.{digits}g}"
    return f"{number:.0f}" if "e+" in text and abs(number) < PLAIN else text


def table_row(cells: Sequence[Text]) -> str:
    """One row of a table."""
    return "| " + " | ".join(marked(cell, cell=True) for cell in cells) + " |"


def _plain(text: str) -> str:
    return SPECIAL.sub(lambda found: f"\\{found[0]}", SPACE.sub(" ", text))


def _code(text: str, cell: bool) -> str:
    text = SPACE.sub(" ", text)
    if not text.strip():
        return ""
    if cell:
        # The one escape in code, which tables take before anything else.
        text = text.replace("|", "\\|")
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=0))
    beside = " " if text.startswith(("`", " ")) or text.endswith(("`", " ")) else ""
    return f"{fence}{beside}{text}{beside}{fence}"
