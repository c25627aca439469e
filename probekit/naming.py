"""What names an image or a class: a string or a whole number; and what counts as no name at all."""

from __future__ import annotations

import enum
import unicodedata
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from numbers import Integral, Real
from typing import Any

import numpy as np
import pandas as pd

from probekit.checks import attribute, beginning, given, listed, shown, unwrapped
from probekit.errors import InputError

__all__ = ["abridged", "check_spelling", "in_a_line", "name_of", "named", "names_of"]

MAX_NAMED = 5
# Characters of one name in a message.
LONGEST = 240
# Floats up to here hold every whole number.
EXACT = 2**53
# Whole numbers of more are data.
MOST_BITS = 1024


def name_of(value: Any) -> str | None:
    """A name as a string, "" where it is missing, None where it is no name.

    Names are strings, also as bytes in UTF-8, and whole numbers, also as floats, which is what tables make of them
    where some are missing; True and False; members of an enum, by their values; all of these in arrays of no dims.
    None, NaN, NaT, NA, masked values and blanks are missing. Objects of others that fail when they are asked are none.
    """
    try:
        return _name(value)
    except Exception:
        return None


def _name(value: Any) -> str | None:
    if isinstance(value, enum.Enum):
        value = value.value
    if type(value) is str:
        return value if value.strip() else ""
    if value is None or value is pd.NA or value is pd.NaT or value is np.ma.masked:
        return ""
    if isinstance(value, np.datetime64 | np.timedelta64):
        return "" if np.isnat(value) else None
    if getattr(value, "ndim", None) == 0 and not isinstance(value, np.generic):
        if getattr(value, "is_meta", False):
            return None
        # numpy's own scalar, where there is one: items of dates would be whole numbers.
        inside = getattr(value, "values", value)
        if isinstance(inside, np.ndarray):
            inside = inside[()]
        elif not isinstance(inside, np.generic):
            inside = unwrapped(value)
        return None if inside is value else name_of(inside)
    found = unwrapped(value)
    if isinstance(found, bytes):
        try:
            found = found.decode()
        except UnicodeDecodeError:
            return None
    if isinstance(found, str):
        return str(found) if found.strip() else ""
    if isinstance(found, bool | np.bool_):
        return str(bool(found))
    return _number(found) if isinstance(found, Real) else None


def _number(value: Any) -> str | None:
    """A whole number as a name; NaN is missing."""
    if value != value:
        return ""
    if isinstance(value, Integral):
        return str(int(value)) if int(value).bit_length() <= MOST_BITS else None
    return str(int(value)) if abs(value) <= EXACT and value == int(value) else None


def names_of(option: str, values: Any, count: int | None = None, *, of: str = "images") -> list[str]:
    """One name for each of some images, "" where it is missing.

    Parameters
    ----------
    option, values
        Of the argument: a list, an array or another iterable in a fixed order.
    count
        Of the images, where it is known.
    of
        What is named, as the error says it.

    Raises
    ------
    InputError
        If it is something else, there is not one for each image, or one is no name or cannot be kept in a file.
    """
    what = f"a list of {option}, one per image"
    if isinstance(values, AbstractSet | pd.DataFrame) or (
        isinstance(values, Iterable) and attribute(values, "data_vars") is not None
    ):
        mend = "a set has no order" if isinstance(values, AbstractSet) else "choose one column of the table"
        raise InputError(f"{given(option, values)}: give {what}; {mend}")
    dims = attribute(values, "ndim", 1)
    if isinstance(dims, int) and dims > 1:
        # Rows are no names, which is told of each, with what may be meant.
        found = _rows(option, values, what)
    elif count is not None and not hasattr(type(values), "__len__"):
        # What is made while it is read may have no end.
        found = beginning(option, values, what, count + 1)
    else:
        found = listed(option, values, what)
    if count is not None and len(found) != count:
        raise InputError(f"{len(found)} {option} for {count} {of}: give one per image")
    names = [name_of(value) for value in found]
    bad = [k for k, name in enumerate(names) if name is None or not _can_be_kept(name)]
    if bad:
        raise InputError(_no_name(option, found[bad[0]], names[bad[0]], bad))
    return [str(name) for name in names]


def check_spelling(option: str, names: Iterable[str]) -> None:
    """Refuse names that a reader takes for one: which differ in blanks at their ends, or in how accents are encoded.

    Raises
    ------
    InputError
        Naming two of them.
    """
    known: dict[str, str] = {}
    for name in sorted(set(names)):
        other = known.setdefault(unicodedata.normalize("NFC", name).strip(), name)
        if other != name:
            raise InputError(
                f"{option} {other!a} and {name!a} look alike, and differ in blanks or in how accents are "
                'encoded: make them one, e.g. unicodedata.normalize("NFC", name).strip()'
            )


def named(items: Sequence[str]) -> str:
    """The first few of some names, and how many more there are."""
    more = len(items) - MAX_NAMED
    return ", ".join(map(abridged, items[:MAX_NAMED])) + (f" and {more} more" if more > 0 else "")


def abridged(text: str) -> str:
    """A text as a message can hold it: of a long one the beginning and the end."""
    return text if len(text) <= LONGEST else f"{text[: LONGEST // 2]}…{text[-LONGEST // 2 :]}"


def in_a_line(text: str) -> str:
    """A text as part of a line: the beginning and end of a long one, and what is no printable character escaped."""
    written = abridged(text)
    return written if written.isprintable() else abridged(repr(written)[1:-1])


def _rows(option: str, values: Any, what: str) -> list[Any]:
    """The rows of an array, of which a message says how they may be made names."""
    try:
        rows = list(values)
    except Exception as error:
        raise InputError(f"{given(option, values)}: give {what}") from error
    if not rows:
        raise InputError(f"{given(option, values)}: give {what}")
    return rows


def _can_be_kept(name: str) -> bool:
    """Whether files of results can hold it: NUL ends strings in netCDF, and surrogates are no text."""
    if name.isascii():
        return "\0" not in name
    try:
        return b"\0" not in name.encode()
    except UnicodeEncodeError:
        return False


def _no_name(option: str, value: Any, name: str | None, bad: Sequence[int]) -> str:
    written = shown(value)
    if isinstance(value, str | bytes) and not written.startswith("a "):
        # What is no text in UTF-8 cannot be printed as it is.
        written = ascii(value)
    more = f", and {len(bad) - 1} more are none" if len(bad) > 1 else ""
    if name is not None:
        why = "holds a NUL character or is no text in UTF-8, which files of results cannot keep"
    elif isinstance(value, bytes):
        why = "is no text in UTF-8"
    else:
        why = "is no name"
    shape = attribute(value, "shape", ())
    several = isinstance(value, list | tuple | dict) or (isinstance(shape, tuple) and bool(shape))
    hint = "; of rows of one number per class, rows.argmax(axis=1)" if several else ""
    return f"{option}: {written} at position {bad[0]} {why}{more}: give a string or a whole number for each{hint}"
