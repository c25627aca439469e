"""Options that are read, and checked before anything is loaded or measured."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import Any

import typer

from probekit import checks
from probekit.errors import InputError

__all__ = ["checked", "fraction_of", "number_of", "numbers", "one_of", "possible_path", "whole_of", "words"]

Check = Callable[[str, Any], object]
OUTSIDE_BRACES = re.compile(r",(?![^{}]*\})")


def checked(check: Check, name: str = "") -> Callable[..., Any]:
    """A callback of typer's that lets an option pass as it is, or raises what the check does.

    Parameters
    ----------
    check
        Is given a name and the value; not called where there is none.
    name
        What the option is in Python, where it is called otherwise than on the command line.
    """

    def callback(param: typer.CallbackParam, value: Any) -> Any:
        if value is not None:
            for one in value if isinstance(value, list | tuple) else [value]:
                check(name or str(param.name), one)
        return value

    return callback


def whole_of(least: int, name: str = "", *, most: int | None = None) -> Callable[..., Any]:
    """A callback that lets whole numbers in a range pass."""
    return checked(lambda named, value: checks.whole(named, value, least=least, most=most), name)


def number_of(what: str, good: Callable[[float], bool], name: str = "") -> Callable[..., Any]:
    """A callback that lets finite numbers pass that are good."""
    return checked(lambda named, value: checks.number(named, value, what, good=good), name)


def fraction_of(what: str) -> Callable[..., Any]:
    """A callback that lets numbers between 0 and 1 pass, neither of them."""
    return checked(lambda named, value: checks.fraction(named, value, what))


def one_of(*known: str) -> Callable[..., Any]:
    """A callback that lets some names pass."""
    return checked(lambda named, value: checks.choice(named, value, known))


def possible_path(_name: str, value: Any) -> None:
    """Refuse what no file can be called.

    Raises
    ------
    InputError
        If it is empty, holds a NUL character, or is too long.
    """
    text = str(value)
    if not text.strip():
        raise InputError("a path is empty: give that of a file or folder")
    shown = text if len(text) <= checks.LONGEST else f"{text[:30]}…{text[-30:]}"
    try:
        os.lstat(text)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        pass
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise InputError(f"{shown!r} can be the path of no file ({why}): give another") from error


def numbers(text: str, kind: Callable[[str], Any] = int, option: str = "") -> list[Any]:
    """The comma-separated numbers in `text`.

    Raises
    ------
    InputError
        If it is something else; `option` says of what.
    """
    try:
        return [kind(part) for part in text.split(",")]
    except ValueError:
        example = "16,32,64,128" if kind is int else "0.1,0.3,1.0"
        of = f"{option}: " if option else ""
        raise InputError(f"{of}{text!r} is not a list of numbers: write them like {example}") from None


def words(text: str | None) -> list[str] | None:
    """The comma-separated words in `text`, of which {a,b}.tar is one; None where there is none."""
    return None if text is None else [word.strip() for word in OUTSIDE_BRACES.split(text) if word.strip()]
