"""Checks of arguments that many functions share, each with one clear error."""

from __future__ import annotations

from numbers import Integral
from typing import Any

from probekit.errors import InputError

__all__ = ["whole"]


def whole(name: str, value: Any, *, least: int) -> int:
    """A whole number of at least `least`, as an int.

    Raises
    ------
    InputError
        If it is something else.
    """
    if isinstance(value, bool) or not isinstance(value, Integral) or int(value) < least:
        raise InputError(f"{name}={value!r}: give a whole number ≥ {least}")
    return int(value)
