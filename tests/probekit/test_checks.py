"""Checks of arguments: what each takes, what it makes of it, and how it refuses the rest."""

import itertools
import operator
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

from probekit import checks
from probekit.errors import InputError


class Entry:
    """A path of a class of its own."""

    def __init__(self, path: str | bytes) -> None:
        self.path = path

    def __fspath__(self) -> str | bytes:
        return self.path


class OwnError(Exception):
    """What no check knows."""


def raises(_: Any, *__: Any) -> Any:
    raise OwnError


# As a method of any name.
fail: Any = raises


class Failing:
    """A list that fails when it is read."""

    def __repr__(self) -> str:
        return "Failing()"

    __iter__ = fail


class Hostile:
    """An object that fails whatever it is asked."""

    __repr__ = __str__ = __len__ = __iter__ = __fspath__ = __array__ = __index__ = __float__ = __getattr__ = fail
    __length_hint__ = __eq__ = __bool__ = __getitem__ = fail
    __hash__ = None  # pyright: ignore[reportAssignmentType]


TAKEN: list[tuple[Callable[[], Any], Any]] = [
    (lambda: checks.whole("k", np.int32(3), least=1), 3),
    (lambda: checks.whole("k", np.array(3)), 3),
    (lambda: checks.whole("k", torch.tensor(3)), 3),
    (lambda: checks.number("x", np.float32(0.5), "half"), 0.5),
    (lambda: checks.number("x", torch.tensor(0.5), "half"), 0.5),
    (lambda: checks.noise_levels(np.float32(0.5)), [0.5]),
    (lambda: checks.noise_levels(torch.tensor([0.5, 0.25], dtype=torch.bfloat16)), [0.5, 0.25]),
    (lambda: checks.noise_levels([np.float32(0.5), torch.tensor(1), 2]), [0.5, 1.0, 2.0]),
    (lambda: checks.plain(np.float64(2.0)), 2.0),
    (lambda: checks.plain(np.array(2)), 2),
    (lambda: checks.plain("2"), "2"),
    (lambda: checks.number("x", xr.DataArray(0.5), "half"), 0.5),
    (lambda: checks.number("x", 2, "two", good=lambda value: value > 1), 2.0),
    (lambda: checks.text("name", "a", "a name"), "a"),
    (lambda: checks.names("names", "ab", "names"), ["ab"]),
    (lambda: checks.names("names", ("b", "a", "b"), "names"), ["b", "a"]),
    (lambda: checks.names("names", np.array(["a"]), "names"), ["a"]),
    (lambda: checks.listed("sizes", range(2), "sizes"), [0, 1]),
    (lambda: checks.mapping("others", {"a": 1}, "a mapping"), {"a": 1}),
    (lambda: checks.listed("sizes", (n for n in (1, 2)), "sizes", most=2), [1, 2]),
    (lambda: checks.listed("sizes", np.arange(2), "sizes"), [0, 1]),
    (lambda: checks.beginning("sizes", itertools.count(), "sizes", 2), [0, 1]),
    (lambda: checks.seeded(np.int64(2**63 - 1)), checks.LARGEST_SEED),
    (lambda: checks.seeded(torch.tensor(0)), 0),
    (lambda: checks.noise_levels(checks.LOUDEST), [checks.LOUDEST]),
    (lambda: checks.path("store", "a/b.zarr", "a path"), Path("a/b.zarr")),
    (lambda: checks.path("store", Path("nowhere"), "a path"), Path("nowhere")),
    (lambda: checks.path("store", Entry("a"), "a path"), Path("a")),
    (lambda: checks.instance("k", True, int, "a number"), True),
    (lambda: checks.instance("k", 3, (str, int), "a text or a number"), 3),
    (lambda: checks.attribute(np.zeros(2), "ndim"), 1),
    (lambda: checks.attribute(3, "ndim", 5), 5),
    (lambda: checks.attribute(Hostile(), "ndim", 5), 5),
    (lambda: checks.shown([1, "a"]), "[1, 'a']"),
]


@pytest.mark.parametrize(("call", "expected"), TAKEN)
def test_what_fits_comes_back_as_plain_python(call: Callable[[], Any], expected: Any) -> None:
    found = call()
    assert found == expected
    assert type(found) is type(expected)


LEVELS = "give one noise standard deviation or a sequence of them"
REFUSED: list[tuple[Callable[[], Any], str]] = [
    (lambda: checks.whole("k", True, least=0), "k=True: give a whole number ≥ 0"),
    (lambda: checks.whole("k", np.True_, least=0), "k=np.True_: give a whole number ≥ 0"),
    (lambda: checks.whole("k", torch.tensor(True)), "k=tensor(True): give a whole number"),
    (lambda: checks.noise_levels(True), f"sigma=True: {LEVELS}"),
    (lambda: checks.noise_levels([0.1, True]), f"sigma=[0.1, True]: {LEVELS}"),
    (lambda: checks.noise_levels(np.array([True])), f"sigma=array([ True]): {LEVELS}"),
    (lambda: checks.noise_levels("0.3"), f"sigma='0.3': {LEVELS}"),
    (lambda: checks.noise_levels([0.1, "0.3"]), f"sigma=[0.1, '0.3']: {LEVELS}"),
    (lambda: checks.noise_levels([0.1, 1j]), f"sigma=[0.1, 1j]: {LEVELS}"),
    (lambda: checks.noise_levels([[0.1], [0.2, 0.3]]), f"sigma=[[0.1], [0.2, 0.3]]: {LEVELS}"),
    (lambda: checks.whole("k", 2.0, least=0), "k=2.0: give a whole number ≥ 0"),
    (lambda: checks.whole("k", 0, least=1), "k=0: give a whole number ≥ 1"),
    (lambda: checks.number("x", True, "a number"), "x=True: give a number"),
    (lambda: checks.number("x", "1", "a number"), "x='1': give a number"),
    (lambda: checks.number("x", float("inf"), "a number"), "x=inf: give a number"),
    (lambda: checks.number("x", 1 + 0j, "a number"), "x=(1+0j): give a number"),
    (lambda: checks.number("x", 1, "more", good=lambda value: value > 1), "x=1: give more"),
    (lambda: checks.number("x", np.array([1.0]), "a number"), "x=array([1.]): give a number"),
    (lambda: checks.text("name", "", "a name"), "name='': give a name"),
    (lambda: checks.names("names", [1], "names"), "names=[1]: give names"),
    (lambda: checks.names("names", {"a": 1}, "names"), "names={'a': 1}: give names"),
    (lambda: checks.names("names", None, "names"), "names=None: give names"),
    (lambda: checks.listed("sizes", np.array(1), "sizes"), "sizes=array(1): give sizes"),
    (lambda: checks.listed("sizes", "ab", "sizes"), "sizes='ab': give sizes"),
    (lambda: checks.listed("sizes", itertools.count(), "sizes", most=2), "sizes=count(3): give sizes"),
    (lambda: checks.listed("sizes", [1, 2, 3], "sizes", most=2), "sizes=[1, 2, 3]: give sizes"),
    (lambda: checks.mapping("others", {1: "a"}, "a mapping"), "others={1: 'a'}: give a mapping"),
    (lambda: checks.mapping("others", ["a"], "a mapping"), "others=['a']: give a mapping"),
    (lambda: checks.text("name", np.zeros((9, 9)), "a name"), "name is a ndarray: give a name"),
    (lambda: checks.seeded(2**63), f"seed={2**63}: give a whole number from 0 to {2**63 - 1}"),
    (lambda: checks.seeded(0, "draw", least=1), "draw=0: give a whole number ≥ 1"),
    (lambda: checks.seeded(True), "seed=True: give a whole number ≥ 0"),
    (lambda: checks.noise_levels([1, 1.1e18]), "sigma holds 1.1e+18: give noise standard deviations of 1e+18 at most"),
    (lambda: checks.noise_levels(10**400), f"sigma is a int: {LEVELS}"),
    (lambda: checks.listed("sizes", {1, 2}, "sizes"), "sizes={1, 2}: give sizes"),
    (lambda: checks.listed("sizes", {1: 2}, "sizes"), "sizes={1: 2}: give sizes"),
    (lambda: checks.listed("sizes", b"ab", "sizes"), "sizes=b'ab': give sizes"),
    (lambda: checks.listed("sizes", range(10**30), "sizes"), f"sizes=range(0, {10**30}): give sizes"),
    (lambda: checks.listed("sizes", np.zeros((1, 1)), "sizes"), "sizes=array([[0.]]): give sizes"),
    (lambda: checks.listed("sizes", Failing(), "s"), "sizes=Failing(): it cannot be listed (OwnError); give s"),
    (lambda: checks.beginning("sizes", 3, "sizes", 2), "sizes=3: give sizes"),
    (lambda: checks.path("store", 3, "a path"), "store=3: give a path"),
    (lambda: checks.path("store", "", "a path"), "store='': give a path"),
    (lambda: checks.path("store", b"a", "a path"), "store=b'a': give a path"),
    (lambda: checks.path("store", "a\0b", "a path"), r"store='a\x00b': it is no path (ValueError); give a path"),
    (lambda: checks.path("store", "n" * 300, "a path"), "store is a str: it is no path (OSError); give a path"),
    (lambda: checks.instance("k", "3", int, "a number"), "k='3': give a number"),
]
# Each check with an object that fails whatever it is asked.
HOSTILE: dict[str, Callable[[Any], Any]] = {
    "whole": lambda value: checks.whole("k", value),
    "number": lambda value: checks.number("k", value, "it"),
    "seeded": lambda value: checks.seeded(value, "k"),
    "flag": lambda value: checks.flag("k", value),
    "choice": lambda value: checks.choice("k", value, ["a"]),
    "real_array": lambda value: checks.real_array("k", value, "it"),
    "text": lambda value: checks.text("k", value, "it"),
    "listed": lambda value: checks.listed("k", value, "it"),
    "names": lambda value: checks.names("k", value, "it"),
    "mapping": lambda value: checks.mapping("k", value, "it"),
    "path": lambda value: checks.path("k", value, "it"),
    "instance": lambda value: checks.instance("k", value, int, "it"),
}


@pytest.mark.parametrize(("call", "message"), REFUSED, ids=[message for _, message in REFUSED])
def test_what_does_not_fit_is_shown_with_what_would(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(InputError) as refused:
        call()
    assert str(refused.value) == message


@pytest.mark.parametrize("check", HOSTILE)
def test_an_object_that_fails_whatever_it_is_asked_is_refused_by_its_type(check: str) -> None:
    with pytest.raises(InputError, match=r"^k is a Hostile: .*give "):
        HOSTILE[check](Hostile())


def deep() -> list[Any]:
    made: list[Any] = []
    for _ in range(10**5):
        made = [made]
    return made


def written(text: str) -> Any:
    return type("Written", (), {"__repr__": lambda _: text})()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Hostile(), "a Hostile"),
        (deep(), "a list"),
        (written("x" * 10**6), "a Written"),
        (written("two\nlines"), "a Written"),
        (written(""), "a Written"),
        (written("x" * 80), "x" * 80),
        (written("x" * 81), "a Written"),
        (10**5000, "a int"),
    ],
    ids=["fails", "too deep", "huge", "two lines", "empty", "just short", "just long", "too many digits"],
)
def test_a_value_is_shown_on_one_short_line_whatever_it_says_of_itself(value: Any, expected: str) -> None:
    assert checks.shown(value) == expected
    assert checks.given("k", value) == (f"k={expected}" if expected[0] == "x" else f"k is {expected}")


def test_the_loudest_noise_has_squares_that_single_precision_holds() -> None:
    assert np.isfinite(np.float32(checks.LOUDEST) ** 2)
    assert checks.LOUDEST**2 < float(np.finfo(np.float32).max) < (100 * checks.LOUDEST) ** 2


def test_a_path_that_may_not_be_looked_at_is_left_to_what_opens_it(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    inside = tmp_path / "file" / "inside"
    assert checks.path("store", inside, "a path") == inside
    (tmp_path / "link").symlink_to("link")
    assert checks.path("store", str(tmp_path / "link"), "a path") == tmp_path / "link"
    assert os.fspath(checks.path("store", Entry(str(tmp_path)), "a path")) == str(tmp_path)


def test_a_list_that_says_it_is_long_is_refused_before_it_is_read() -> None:
    class Long:
        def __length_hint__(self) -> int:
            return checks.MOST + 1

        def __iter__(self) -> Any:
            raise AssertionError

    assert operator.length_hint(Long()) > checks.MOST
    with pytest.raises(InputError, match=r"^k(=<.*Long object.*>| is a Long): give it"):
        checks.listed("k", Long(), "it")
