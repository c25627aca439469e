"""Checks of arguments that many functions share, each with one clear error."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from numbers import Integral, Real
from typing import Any

import numpy as np

from probekit.errors import InputError

__all__ = [
    "choice",
    "counts",
    "flag",
    "fraction",
    "given",
    "listed",
    "mapping",
    "names",
    "noise_levels",
    "number",
    "resampling",
    "seeded",
    "text",
    "whole",
]

LONGEST = 80


def given(name: str, value: Any) -> str:
    """An argument as a message shows it: its value where that is short, else its type."""
    shown = repr(value)
    short = len(shown) <= LONGEST and "\n" not in shown
    return f"{name}={shown}" if short else f"{name} is a {type(value).__name__}"


def whole(name: str, value: Any, *, least: int | None = None, most: int | None = None) -> int:
    """A whole number, of at least `least`, and of at most `most`, where these are given, as an int.

    Raises
    ------
    InputError
        If it is something else.
    """
    good = not isinstance(value, bool) and isinstance(value, Integral)
    if not good or (least is not None and int(value) < least) or (most is not None and int(value) > most):
        span = "" if least is None else f" ≥ {least}" if most is None else f" from {least} to {most}"
        raise InputError(f"{given(name, value)}: give a whole number{span}")
    return int(value)


def seeded(value: Any, name: str = "seed") -> int:
    """What seeds a generator: a whole number of at least 0, as an int.

    Raises
    ------
    InputError
        If it is something else.
    """
    return whole(name, value, least=0)


def flag(name: str, value: Any) -> bool:
    """True or False.

    Raises
    ------
    InputError
        If it is something else.
    """
    if not isinstance(value, bool | np.bool_):
        raise InputError(f"{given(name, value)}: give True or False")
    return bool(value)


def choice(name: str, value: Any, known: Iterable[str]) -> str:
    """One of some names.

    Raises
    ------
    InputError
        If it is something else; the names are listed.
    """
    options = list(known)
    if not isinstance(value, str) or value not in options:
        raise InputError(f"{given(name, value)}: give one of {', '.join(options)}")
    return value


def fraction(name: str, value: Any, what: str) -> float:
    """A number between 0 and 1, neither of them, as a float.

    Parameters
    ----------
    name, value
        Of the argument.
    what
        What it should be, with an example.

    Raises
    ------
    InputError
        If it is something else.
    """
    return number(name, value, what, good=lambda v: 0 < v < 1)


def resampling(resamples: Any, level: Any, seed: Any = 0) -> None:
    """Refuse a number of resamples or a coverage that makes no interval, and what seeds no generator.

    Raises
    ------
    InputError
        If there are fewer than 100 resamples, the level is not between 0 and 1, or the seed is no whole number ≥ 0.
    """
    seeded(seed)
    if isinstance(resamples, bool) or not isinstance(resamples, Integral) or int(resamples) < 100:
        raise InputError(
            f"{given('resamples', resamples)}: give a whole number ≥ 100, so that the interval's ends are known"
        )
    fraction("level", level, "the interval's coverage, between 0 and 1, e.g. 0.95")


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


def noise_levels(sigma: Any) -> list[float]:
    """σ as a list of distinct finite numbers ≥ 0.

    Raises
    ------
    InputError
        If it is not.
    """
    try:
        levels = [float(s) for s in np.atleast_1d(np.asarray(sigma, dtype=float)).ravel()]
    except (TypeError, ValueError) as error:
        raise InputError(f"sigma={sigma!r}: give one noise standard deviation or a sequence of them") from error
    if not levels:
        raise InputError("sigma is empty: give at least one noise standard deviation")
    wrong = [s for s in levels if not (math.isfinite(s) and s >= 0)]
    if wrong:
        raise InputError(f"sigma holds {wrong}: noise standard deviations are finite and ≥ 0, in intensity units")
    if len(set(levels)) < len(levels):
        raise InputError(f"sigma={levels} names a noise level twice: give each once")
    return levels


def counts(name: str, value: Any, *, least: int = 1) -> list[int]:
    """Whole numbers of at least `least`, as a list of ints.

    Raises
    ------
    InputError
        If it is something else.
    """
    return [whole(name, one, least=least) for one in listed(name, value, f"whole numbers ≥ {least}, e.g. (16, 32, 64)")]


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
