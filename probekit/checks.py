"""Checks of arguments that many functions share, each with one clear error."""

from __future__ import annotations

import math
import operator
import os
from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import fields
from itertools import islice
from numbers import Integral, Real
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from probekit.errors import InputError

__all__ = [
    "LARGEST_SEED",
    "LOUDEST",
    "MOST",
    "attribute",
    "beginning",
    "choice",
    "counts",
    "flag",
    "fraction",
    "given",
    "instance",
    "is_real",
    "listed",
    "mapping",
    "names",
    "noise_levels",
    "number",
    "path",
    "plain",
    "real_array",
    "resampling",
    "seeded",
    "settle",
    "shown",
    "text",
    "unwrapped",
    "whole",
]

T = TypeVar("T")

LONGEST = 80
# What is iterated over but is no list: texts, bytes, keys of a mapping, and sets, which have no order to be kept.
NOT_LISTS = (str, bytes, bytearray, memoryview, Mapping, Set)
# Items of a list that are looked at one by one: more than any set of images has.
MOST = 10**8
LARGEST_SEED = 2**63 - 1
# Of float32: levels whose squares are beyond it make infinities of any image.
LOUDEST = 1e18


def shown(value: Any) -> str:
    """A value as a message shows it: as Python writes it where that is short, else its type."""
    try:
        written = repr(value)
    except Exception:
        # Objects of others may fail at this, and lists may be too deep for it.
        written = ""
    short = 0 < len(written) <= LONGEST and "\n" not in written
    return written if short else f"a {type(value).__name__}"


def given(name: str, value: Any) -> str:
    """An argument as a message shows it: its value where that is short, else its type."""
    written = shown(value)
    return f"{name} is {written}" if written == f"a {type(value).__name__}" else f"{name}={written}"


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


def seeded(value: Any, name: str = "seed", *, least: int = 0) -> int:
    """What seeds a generator: a whole number of at least `least` that 64 bits hold, as files keep it, as an int.

    Raises
    ------
    InputError
        If it is something else.
    """
    found = whole(name, value, least=least)
    if found > LARGEST_SEED:
        raise InputError(f"{given(name, value)}: give a whole number from {least} to {LARGEST_SEED}")
    return found


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
    return str(value)


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
    found = _as_float(unwrapped(value))
    if found is None or not math.isfinite(found) or not good(found):
        raise InputError(f"{given(name, value)}: give {what}")
    return found


def _as_float(value: Any) -> float | None:
    """A real number as a float; infinity where it is beyond all of them, None where it is no number."""
    if not is_real(value):
        return None
    try:
        return float(value)
    except OverflowError:
        return math.inf


def settle(settings: Any) -> None:
    """Make the numbers among the fields of a frozen dataclass Python's own, as results keep them."""
    for field in fields(settings):
        object.__setattr__(settings, field.name, plain(getattr(settings, field.name)))


def unwrapped(value: Any) -> Any:
    """What an array of no dims holds, of numpy, torch or xarray; anything else, dates among it, as it is."""
    try:
        # Of dates it would be a number.
        dated = isinstance(value.dtype, np.dtype) and value.dtype.kind in "mM"
        return value.item() if value.ndim == 0 and not dated else value
    except Exception:
        # It is no array, or, on the meta device, one that holds nothing.
        return value


def attribute(value: Any, name: str, default: Any = None) -> Any:
    """An attribute of an object of others; the default where it has none, or its own code fails when it is asked."""
    try:
        return getattr(value, name, default)
    except Exception:
        return default


def plain(value: Any) -> Any:
    """A real number of whatever library as one of Python, whole ones as an int; anything else as it is."""
    found = unwrapped(value)
    if not is_real(found):
        return value
    return int(found) if isinstance(found, Integral) else _as_float(found)


def is_real(value: Any) -> bool:
    """Whether it is a real number of Python or numpy; True, False and times are none."""
    return isinstance(value, Real) and not isinstance(value, bool | np.bool_ | np.timedelta64)


def real_array(name: str, value: Any, what: str) -> np.ndarray:
    """Real numbers as a float64 array of their shape; neither texts that could be read as such, nor booleans or dates.

    What is masked is NaN.

    Raises
    ------
    InputError
        If it holds something else, its rows differ in length, or a number is beyond float64.
    """
    found = None
    if not isinstance(value, NOT_LISTS) and not _too_long(value):
        try:
            found = _reals(value)
        except Exception:
            # Whatever an object of others raises when it is made an array.
            found = None
    if found is None:
        raise InputError(f"{given(name, value)}: give {what}")
    return found


def _reals(value: Any) -> np.ndarray | None:
    """The numbers, or None where something is none."""
    # Objects, since numpy would turn True into 1 beside numbers, and texts into numbers.
    found = value.detach().cpu() if hasattr(value, "detach") else value
    # numpy knows no bfloat16.
    found = found.double() if hasattr(found, "is_floating_point") and found.is_floating_point() else found
    array = found if isinstance(found, np.ndarray) else np.asarray(found)
    if array.dtype.kind in "mM":
        return None
    mixed = array.dtype.kind not in "fiu" or not hasattr(found, "dtype")
    each = np.asarray(found, dtype=object).ravel() if mixed else []
    if not all(is_real(unwrapped(one)) for one in each):
        return None
    with np.errstate(over="ignore"):
        return np.ma.filled(array.astype(np.float64), np.nan)


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


def listed(name: str, value: Any, what: str, *, most: int = MOST) -> list[Any]:
    """The items of a list, tuple, array or other iterable that is neither a string nor a mapping, `most` at most.

    Raises
    ------
    InputError
        If it is something else.
    """
    # What is made while it is read may have no end.
    items = beginning(name, value, what, most + 1)
    if len(items) > most:
        raise InputError(f"{given(name, value)}: give {what}")
    return items


def beginning(name: str, value: Any, what: str, most: int) -> list[Any]:
    """The first items, `most` at most, of what `listed` takes.

    Raises
    ------
    InputError
        If it is something else.
    """
    several = isinstance(value, Iterable) and not isinstance(value, NOT_LISTS) and not _too_long(value)
    try:
        if several and getattr(value, "ndim", 1) == 1:
            return list(islice(value, most))
    except Exception as error:
        # Whatever an iterable of others raises is noted, and no riddle.
        raise InputError(f"{given(name, value)}: it cannot be listed ({type(error).__name__}); give {what}") from error
    raise InputError(f"{given(name, value)}: give {what}")


def _too_long(value: Any) -> bool:
    """Whether it says that it has more items than can be listed."""
    try:
        return operator.length_hint(value) > MOST
    except Exception:
        # Lengths beyond those that Python counts are an error too, but so are those of what has none.
        return isinstance(value, range)


def path(name: str, value: Any, what: str) -> Path:
    """A path that the file system can hold, of a text or a path; numbers, which open files as well, are none.

    Raises
    ------
    InputError
        If it is something else, empty, or a name is too long or holds what no name may.
    """
    try:
        if isinstance(value, str | os.PathLike) and isinstance(os.fspath(value), str) and os.fspath(value):
            found = Path(value)
            os.fsencode(found)
            os.lstat(found)
            return found
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return Path(value)
    except Exception as error:
        raise InputError(f"{given(name, value)}: it is no path ({type(error).__name__}); give {what}") from error
    raise InputError(f"{given(name, value)}: give {what}")


def instance(name: str, value: Any, kind: type[T] | tuple[type[T], ...], what: str) -> T:
    """An object of a class.

    Raises
    ------
    InputError
        If it is of another.
    """
    if not isinstance(value, kind):
        raise InputError(f"{given(name, value)}: give {what}")
    return value


def noise_levels(sigma: Any) -> list[float]:
    """σ as a list of distinct finite numbers ≥ 0.

    Raises
    ------
    InputError
        If it is not.
    """
    what = "one noise standard deviation or a sequence of them"
    array = real_array("sigma", sigma, what)
    if array.ndim > 1:
        raise InputError(f"sigma has shape {array.shape}: give {what}")
    levels = array.ravel().tolist()
    if not levels:
        raise InputError("sigma is empty: give at least one noise standard deviation")
    wrong = [s for s in levels if not (math.isfinite(s) and s >= 0)]
    if wrong:
        raise InputError(
            f"sigma holds {_some(wrong)}: noise standard deviations are finite and ≥ 0, in intensity units"
        )
    if (loudest := max(levels)) > LOUDEST:
        raise InputError(f"sigma holds {loudest:g}: give noise standard deviations of {LOUDEST:g} at most")
    if len(set(levels)) < len(levels):
        raise InputError(f"{given('sigma', levels)} names a noise level twice: give each once")
    return levels


def _some(values: list[Any]) -> str:
    """The first few of a list, as a message shows them."""
    return str(values) if len(values) <= 5 else f"{str(values[:5])[:-1]}, …]"


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
    try:
        if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
            return {key: value[key] for key in value}
    except Exception as error:
        raise InputError(f"{given(name, value)}: it cannot be read ({type(error).__name__}); give {what}") from error
    raise InputError(f"{given(name, value)}: give {what}")
