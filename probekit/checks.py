"""Checks of arguments that many functions share, each with one clear error."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from numbers import Integral, Real
from typing import Any

from probekit.errors import InputError

__all__ = ["given", "listed", "mapping", "names", "number", "text", "whole"]

LONGEST = 80


def given(name: str, value: Any) -> str:
    """An argument as a message shows it: its value where that is short, else its type."""
    shown = repr(value)
    short = len(shown) <= LONGEST and "\n" not in shown
    return f"{name}={shown}" if short else f"{name} is a {type(value).__name__}"


def whole(name: str, value: Any, *, least: int) -> int:
    """A whole number of at least `least`, as an int.

    Raises
    ------
    InputError
        If it is something else.
    """
    if isinstance(value, bool) or not isinstance(value, Integral) or int(value) < least:
        raise InputError(f"{given(name, value)}: give a whole number ≥ {least}")
    return int(value)


def number(name: str, value: Any, what: str, *, good: Callable[[float], bool] = lambda _: True) -> float:
    """A finite real number, as a float; an array of no dims counts as one.

    Parameters
    ----------
    name, value
        Of the argument.
    what
        What it should be, as the error says it.
    good
        Whether a number is in range.

    Raises
    ------
    InputError
        If it is something else or out of range.
    """
    found = value.item() if getattr(value, "ndim", None) == 0 else value
    real = isinstance(found, Real) and not isinstance(found, bool)
    if not real or not math.isfinite(found) or not good(float(found)):
        raise InputError(f"{given(name, value)}: give {what}")
    return float(found)


def text(name: str, value: Any, what: str) -> str:
    """A string that is not empty.

    Raises
    ------
    InputError
        If it is something else.
    """
    if not isinstance(value, str) or not value:
        raise InputError(f"{given(name, value)}: give {what}")
    return value


def listed(name: str, value: Any, what: str) -> list[Any]:
    """The items of a list, tuple, array or other iterable that is neither a string nor a mapping.

    Raises
    ------
    InputError
        If it is something else.
    """
    several = isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping)
    if not several or getattr(value, "ndim", 1) == 0:
        raise InputError(f"{given(name, value)}: give {what}")
    return list(value)


def names(name: str, value: Any, what: str) -> list[str]:
    """Names, each once; one name may stand for itself.

    Raises
    ------
    InputError
        If it is no string and no list of strings.
    """
    found = [value] if isinstance(value, str) else listed(name, value, what)
    if not all(isinstance(one, str) for one in found):
        raise InputError(f"{given(name, value)}: give {what}")
    return list(dict.fromkeys(map(str, found)))


def mapping(name: str, value: Any, what: str) -> dict[str, Any]:
    """A mapping from names, as a dict.

    Raises
    ------
    InputError
        If it is something else.
    """
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise InputError(f"{given(name, value)}: give {what}")
    return dict(value)
