"""Docstrings that read as plain text, made reStructuredText."""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["prepared"]

# `name` (dims): what a variable of findings is, as `ground.Findings` writes it, and how a line of it goes on.
VARIABLE = re.compile(r"^(?P<margin> *)`\w+`(?: \([^)]*\))?: ")
MARKS = re.compile(r"\|(?=\S)|(?<=[-\"])\*|(?<=, )\*(?=\w+\))")
PAGE = re.compile(r"\bdocs/([\w-]+)\.md\b")
LITERAL = re.compile(r"(``[^`]*``)")
# What may come after a name's backtick ends it; anything else is parted from it.
ENDED = re.compile(r"(?<![`\w])`[^`\n]+`(?=[^\s`.,;:!?)\]}'\"/<>_\u2010-\u2015-])")


def prepared(lines: Sequence[str]) -> list[str]:
    """The lines of a docstring so that a table of variables is a list, and |a| is no substitution."""
    made: list[str] = []
    margin: str | None = None
    for line in lines:
        found = VARIABLE.match(line)
        if found:
            if margin is None:
                made.append("")
            margin = found["margin"]
            made.append(f"{margin}- {line.lstrip()}")
            continue
        if margin is not None and not line.startswith(f"{margin}  "):
            if line.strip():
                made.append("")
            margin = None
        made.append(line)
    return [line if line.lstrip().startswith((">>>", "...")) else _escaped(line) for line in made]


def _escaped(line: str) -> str:
    """A line in which |a|, "shards-*.tar" and `name`² mean themselves; literals do as they are."""
    parts = LITERAL.split(line)
    parts[::2] = [PAGE.sub(r":doc:`\g<0> </\g<1>>`", part) for part in parts[::2]]
    parts[::2] = [ENDED.sub(r"\g<0>\\ ", MARKS.sub(r"\\\g<0>", part)) for part in parts[::2]]
    return "".join(parts)
