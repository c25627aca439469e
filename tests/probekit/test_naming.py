"""Names of images and classes: strings and whole numbers, whatever library holds them, and what is missing."""

from __future__ import annotations

import datetime
import enum
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from probekit import labels
from probekit.errors import InputError
from probekit.naming import check_spelling, name_of, names_of


class Animal(enum.Enum):
    CAT = "cat"


class Number(enum.IntEnum):
    ONE = 1


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("cat", "cat"),
        (np.str_("cat"), "cat"),
        (b"k\xc3\xa4se", "käse"),
        (np.bytes_(b"cat"), "cat"),
        (Animal.CAT, "cat"),
        (Number.ONE, "1"),
        (pd.Categorical(["cat"])[0], "cat"),
        (pd.Series(["cat"], dtype="string")[0], "cat"),
        (1, "1"),
        (1.0, "1"),
        (np.int8(1), "1"),
        (np.float32(1), "1"),
        (Fraction(2, 2), "1"),
        (-0.0, "0"),
        (2**63, str(2**63)),
        (np.longdouble(3), "3"),
        (True, "True"),
        (np.False_, "False"),
        (torch.tensor(True), "True"),
        (torch.tensor(1), "1"),
        (torch.tensor(1.0, requires_grad=True), "1"),
        (np.array(1), "1"),
        (np.array("cat", dtype=object), "cat"),
        (xr.DataArray("cat"), "cat"),
        (" cat ", " cat "),
        ("a\nb", "a\nb"),
    ],
)
def test_strings_and_whole_numbers_of_whatever_library_are_names(value: Any, name: str) -> None:
    assert name_of(value) == name
    assert type(name_of(value)) is str


@pytest.mark.parametrize(
    "value",
    [
        None,
        float("nan"),
        np.float32("nan"),
        torch.tensor(float("nan")),
        np.array(np.nan),
        xr.DataArray(np.nan),
        np.array(None),
        pd.NA,
        pd.NaT,
        np.datetime64("NaT"),
        np.array(np.datetime64("NaT")),
        np.ma.masked,
        "",
        " ",
        "\t\n",
        b"",
    ],
    ids=lambda v: repr(v).partition(" at 0x")[0],
)
def test_what_is_not_known_is_missing_and_no_name(value: Any) -> None:
    assert name_of(value) == ""


@pytest.mark.parametrize(
    "value",
    [
        0.5,
        np.inf,
        1e300,
        2.0**54,
        2**1024,
        Fraction(10**400, 3),
        Fraction(1, 3),
        1j,
        Decimal("0.5"),
        b"\xff",
        ["cat"],
        ("cat",),
        {"cat": 1},
        np.zeros(2),
        np.zeros(1),
        torch.zeros(2),
        torch.zeros((), device="meta"),
        np.datetime64("2024-01-01"),
        np.array(np.datetime64("2024-01-01", "ns")),
        xr.DataArray(np.datetime64("2024-01-01", "ns")),
        datetime.date(2024, 1, 1),
        object(),
        str,
        len,
        np,
    ],
    ids=lambda v: repr(v).partition(" at 0x")[0][:30],
)
def test_anything_else_is_no_name_and_is_refused_with_its_position(value: Any) -> None:
    assert name_of(value) is None
    with pytest.raises(
        InputError, match=r"labels: .* at position 1 is no .*: give a string or a whole number for each"
    ):
        names_of("labels", ["cat", value, "dog"])


@given(st.lists(st.integers() | st.text(min_size=1)))
def test_names_do_not_depend_on_what_holds_them(values: list[Any]) -> None:
    names = [name_of(v) for v in values]
    assert [name_of(np.array(v, dtype=object)) for v in values] == names
    assert [name_of(str(v)) for v in values] == names


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ("cat", r"labels='cat': give a list of labels, one per image"),
        (b"cat", r"labels=b'cat': give a list of labels"),
        ({"a": "cat"}, r"labels={'a': 'cat'}: give a list of labels"),
        ({"cat"}, r"labels={'cat'}: give a list of labels, one per image; a set has no order"),
        (pd.DataFrame({"a": ["x"]}), r"give a list of labels, one per image; choose one column"),
        (xr.Dataset({"a": ("image", ["x"])}), r"give a list of labels, one per image; choose one column"),
        (5, r"labels=5: give a list of labels"),
        (
            np.eye(3),
            r"labels: array\(\[1., 0., 0.\]\) at position 0 is no name, and 2 more are none: .*argmax\(axis=1\)",
        ),
        (["a\0b"], r"labels: 'a\\x00b' at position 0 holds a NUL character or is no text"),
        (["a\udcff"], r"labels: 'a\\udcff' at position 0 holds a NUL character or is no text"),
    ],
)
def test_lists_of_no_names_are_refused_with_the_way_out(values: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        names_of("labels", values)


def test_a_list_without_end_is_read_only_as_far_as_there_are_images() -> None:
    def endless() -> Any:
        while True:
            yield "cat"

    with pytest.raises(InputError, match=r"4 labels for 3 images: give one per image"):
        names_of("labels", endless(), 3)


@pytest.mark.parametrize("pair", [("cat", "cat "), ("é", "e\u0301"), ("\tcat", "cat")])
def test_names_that_look_alike_are_refused(pair: tuple[str, str]) -> None:
    with pytest.raises(InputError, match="look alike"):
        check_spelling("labels", [*pair, "dog"])
    check_spelling("labels", ["cat", "Cat", "dog", "cat"])


def test_strings_of_coordinates_are_names_where_they_can_be() -> None:
    values = np.array([b"cat", None, np.nan, 1.0, 0.5, True, "dog "], dtype=object)
    assert labels.strings(values).tolist() == ["cat", "", "", "1", "0.5", "True", "dog "]


@pytest.mark.parametrize("value", [None, np.nan, pd.NA, pd.NaT, "", " "])
def test_a_coordinate_that_lacks_a_class_is_refused_whatever_stands_for_it(value: Any) -> None:
    data = xr.Dataset(coords={"image": ["a", "b", "c"], "kind": ("image", np.array(["x", value, "y"], dtype=object))})
    with pytest.raises(InputError, match="kind is missing for 1 images of the data"):
        labels.classes(data, "kind")
