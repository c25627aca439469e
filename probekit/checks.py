"""Checks of arguments that many functions share, each with one clear error."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
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
    "is_real",
    "listed",
    "mapping",
    "names",
    "noise_levels",
    "number",
    "plain",
    "real_array",
    "resampling",
    "seeded",
    "settle",
    "text",
    "unwrapped",
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

    One of numpy or torch, also in an array of no dims, is one; True and False are none.

    Raises
    ------
    InputError
        If it is something else.
    """
    found = unwrapped(value)
    good = is_real(found) and isinstance(found, Integral)
    if not good or (least is not None and int(found) < least) or (most is not None and int(found) > most):
        span = "" if least is None else f" ≥ {least}" if most is None else f" from {least} to {most}"
        raise InputError(f"{given(name, value)}: give a whole number{span}")
    return int(found)


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


def resampling(resamples: Any, level: Any, seed: Any = 0) -> tuple[int, float, int]:
    """The number of resamples, the coverage of an interval, and the seed, as numbers of Python.

    Raises
    ------
    InputError
        If there are fewer than 100 resamples, the level is not between 0 and 1, or the seed is no whole number ≥ 0.
    """
    seed = seeded(seed)
    try:
        resamples = whole("resamples", resamples, least=100)
    except InputError as error:
        raise InputError(f"{error}, so that the interval's ends are known") from None
    return resamples, fraction("level", level, "the interval's coverage, between 0 and 1, e.g. 0.95"), seed


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
    found = unwrapped(value)
    if not is_real(found) or not math.isfinite(found) or not good(float(found)):
        raise InputError(f"{given(name, value)}: give {what}")
    return float(found)


def settle(settings: Any) -> None:
    """Make the numbers among the fields of a frozen dataclass Python's own, as results keep them."""
    for field in fields(settings):
        object.__setattr__(settings, field.name, plain(getattr(settings, field.name)))


def unwrapped(value: Any) -> Any:
    """What an array of no dims holds, of numpy, torch or xarray; anything else as it is."""
    # Tensors on the device "meta" hold nothing.
    holds = getattr(value, "ndim", None) == 0 and hasattr(value, "item") and not getattr(value, "is_meta", False)
    return value.item() if holds else value


def plain(value: Any) -> Any:
    """A real number of whatever library as one of Python, whole ones as an int; anything else as it is."""
    found = unwrapped(value)
    if not is_real(found):
        return value
    return int(found) if isinstance(found, Integral) else float(found)


def is_real(value: Any) -> bool:
    """Whether it is a real number of Python or numpy; True and False are none."""
    return isinstance(value, Real) and not isinstance(value, bool | np.bool_)


def real_array(name: str, value: Any, what: str) -> np.ndarray:
    """Real numbers as a float64 array of their shape; neither texts that could be read as such, nor booleans.

    Raises
    ------
    InputError
        If it holds something else, or its rows differ in length.
    """
    try:
        # Objects, since numpy would turn True into 1 beside numbers, and texts into numbers.
        found = value.detach().cpu() if hasattr(value, "detach") else value
        # numpy knows no bfloat16.
        found = found.double() if hasattr(found, "is_floating_point") and found.is_floating_point() else found
        array = found if isinstance(found, np.ndarray) else np.asarray(found)
        mixed = array.dtype.kind not in "fiu" or not hasattr(found, "dtype")
        each = np.asarray(found, dtype=object).ravel() if mixed else []
        if all(is_real(unwrapped(one)) for one in each):
            return array.astype(np.float64)
    except (TypeError, ValueError, RuntimeError):
        pass
    raise InputError(f"{given(name, value)}: give {what}")


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
    levels = real_array("sigma", sigma, "one noise standard deviation or a sequence of them").ravel().tolist()
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
