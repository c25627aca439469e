"""Checks of arguments: what each takes, what it makes of it, and how it refuses the rest."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

from probekit import checks
from probekit.errors import InputError

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
]


@pytest.mark.parametrize(("call", "message"), REFUSED, ids=[message for _, message in REFUSED])
def test_what_does_not_fit_is_shown_with_what_would(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(InputError) as refused:
        call()
    assert str(refused.value) == message
