"""Whatever is given for a parameter of probekit.images, there is a result or an error that says what to give."""

from __future__ import annotations

import datetime
import enum
import io
import itertools
import time
import tracemalloc
import warnings
import zipfile
from collections import OrderedDict, deque
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
from PIL import Image

from probekit.errors import CapacityError, InputError, ProbeError
from probekit.images import ImageSet, concatenate, load
from tests.probekit.images.making import Items

DTYPES = ["bool", "i1", "u2", "i8", "f2", ">f4", "f8", "g", "c8", "O", "U2", "S2", "M8[ns]", "m8[s]", "V4"]
TENSORS = [
    torch.bool,
    torch.int16,
    torch.uint8,
    torch.int64,
    torch.float16,
    torch.bfloat16,
    torch.float64,
    torch.cfloat,
]


class Colour(enum.Enum):
    RED = "red"


class Silent:
    """Has what arrays and Datasets have, and nothing in it."""

    shape, dtype, ndim = (), None, None

    def __len__(self) -> int:
        return 3

    def __getitem__(self, key: Any) -> Any:
        return self


ODD: list[Any] = [
    None, True, False, np.True_, 0, 1, -1, 2, 3, 2**31, 2**63, -(2**63), 10**400, 0.0, -0.0, 0.5, 1.0, 1e300,
    float("nan"),
    float("inf"), -float("inf"), 1j, Decimal("1"), Decimal("nan"), Fraction(1, 3), np.int8(1), np.float32(0.5),
    np.datetime64("NaT"), pd.NA, pd.NaT, np.ma.masked, "", " ", "a", "\0", "\udcff", "samples", "é", "x" * 200, "0.5",
    b"", b"a", b"\xff", bytearray(b"a"), memoryview(b"abc"), [], (), {}, set(), frozenset({1}), [0], [1, 2], (0, 1,
    2),
    [None, None, None], ["a", "b", "c"], ["a", "a", "a"], [1, "1", 2], [[1], [2], [3]], [[[[0.0]]]], [b"a", b"b",
    b"c"],
    ["a", None, 1.5], [True, False, True], [{}, [], ()], {"a": 1}, {1: 2}, OrderedDict(a=1), {"a", "b", "c"},
    deque("abc"),
    range(3), range(0), range(-1, 2), slice(None), slice(1, 2), slice("a"), Ellipsis, NotImplemented, lambda: 1,
    len, int, list,
    np, object(), Colour, Colour.RED, SimpleNamespace(), Silent(), Silent, Path("nowhere"), Path(), io.BytesIO(b"a"),
    datetime.date(2024, 1, 1), datetime.timedelta(1), ValueError("a"), Image.new("RGB", (4, 4)), torch.nn.Identity(),
    np.zeros(()), np.zeros(0), np.zeros(3), np.zeros((3, 3)), np.zeros((0, 1, 4, 4)), np.array(["a", "b", "c"]),
    np.array(["a", None, 2], object), np.ma.array([1, 2, 3], mask=[0, 1, 0]), np.arange(3), np.eye(3)[None, None],
    torch.zeros(()), torch.zeros(3), torch.arange(3), torch.zeros(3, device="meta"), torch.zeros(1, 1, 2,
    2).to_sparse(),
    torch.zeros((), device="meta"), torch.ones(3, requires_grad=True), np.dtype("f4"), torch.float32,
    torch.device("cpu"),
    xr.DataArray(0), xr.DataArray(["a", "b", "c"]), xr.DataArray(np.zeros((3, 1))), xr.Dataset(),
    xr.Dataset({"a": 1}),
    pd.Series([1, 2, 3]), pd.Series(["a", "b", "c"], [2, 1, 0]), pd.Series([], dtype=float), pd.Index(["a", "b",
    "c"]),
    pd.DataFrame(), pd.DataFrame({"a": ["x", "y", "z"]}), pd.Categorical(["a", None, "b"]), pd.date_range("2024",
    periods=3),
    *[np.ones(3).astype(kind) if kind != "V4" else np.zeros(3, kind) for kind in DTYPES],
    *[np.zeros((2, 1, 3, 3), kind) for kind in DTYPES],
    *[torch.ones(3).to(kind) for kind in TENSORS],
    *[torch.zeros(2, 1, 3, 3, dtype=kind) for kind in TENSORS],
]  # fmt: skip
# What is used up or has no end is made anew.
MADE: list[Callable[[], Any]] = [
    itertools.count,
    lambda: iter("abc"),
    lambda: (one for one in range(3)),
    lambda: map(str, [1]),
]

X = np.zeros((3, 1, 4, 4), np.float32)
IMAGES = load(X, labels=["u", "v", "u"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("odd")
    for name in "abc":
        Image.fromarray(np.zeros((4, 4), np.uint8)).save(path / f"{name}.png")
    pd.DataFrame({"file": ["a.png", "b.png", "c.png"], "class": ["u", "v", "u"]}).to_csv(path / "t.csv", index=False)
    return path


def of_folder(option: str) -> Callable[[Any, Path], Any]:
    return lambda value, folder: load(folder, **{option: value})


def of_table(option: str) -> Callable[[Any, Path], Any]:
    return lambda value, folder: load(folder / "t.csv", **{"path": "file", option: value})


def of_array(option: str) -> Callable[[Any, Path], Any]:
    return lambda value, _: load(X, **{option: value})


# Options of files, and of tables.
FILES, COLUMNS = ("size", "crop", "bands", "background", "frame"), ("path", "label", "root")
PARAMETERS: dict[str, Callable[[Any, Path], Any]] = {
    "source": lambda value, _: load(value),
    "source of a table": lambda value, _: load(value, path="a"),
    "items of a list": lambda value, _: load([value]),
    "items of a Dataset": lambda value, _: load(Items([value])),
    "targets of a Dataset": lambda value, _: load(Items([(torch.zeros(1, 4, 4), value)])),
    "attributes of a Dataset": lambda value, _: load(Items([(torch.zeros(1, 4, 4), 0)], targets=value, classes=value)),
    **{f"{name} of arrays": of_array(name) for name in (*FILES, "ids", "labels", "skip_bad", *COLUMNS)},
    **{f"{name} of folders": of_folder(name) for name in (*FILES, "ids", "labels", "skip_bad", *COLUMNS)},
    **{f"{name} of tables": of_table(name) for name in (*FILES, "ids", "labels", *COLUMNS)},
    "paths of tables": lambda value, folder: load(pd.DataFrame({"file": [value] * 2}), path="file", root=folder),
    "sets": lambda value, _: concatenate(value),
    "one of sets": lambda value, _: concatenate([IMAGES, value]),
    "subset": lambda value, _: IMAGES.subset(value),
    "one of a subset": lambda value, _: IMAGES.subset([value]),
    "item": lambda value, _: IMAGES[value],
    "read": lambda value, _: IMAGES.read(value),
    "sel image": lambda value, _: IMAGES.sel(image=value),
    "sel label": lambda value, _: IMAGES.sel(label=value),
    "in": lambda value, _: value in IMAGES,
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_odd_values_give_a_result_or_an_error_of_this_package(name: str, folder: Path, monkeypatch: Any) -> None:
    empty = folder / "empty"
    empty.mkdir(exist_ok=True)
    monkeypatch.chdir(empty)
    wrong = []
    for value in [*ODD, *(make() for make in MADE)]:
        try:
            # Of missing classes and of files left out.
            with warnings.catch_warnings(action="ignore", category=UserWarning):
                result = PARAMETERS[name](value, folder)
                if isinstance(result, ImageSet):
                    repr(result)
                    result.read(range(len(result)))
        except ProbeError as error:
            if len(str(error)) > 1200:
                wrong.append(f"{type(value).__name__} {str(value)[:40]!a} says too much: {str(error)[:150]}")
        except Exception as error:
            wrong.append(f"{type(value).__name__} {ascii(value)[:40]}: {type(error).__name__} {str(error)[:150]}")
    assert not wrong, "\n".join(wrong)


# Seconds; each takes some milliseconds, and what is begun before it is refused takes many.
AT_ONCE = 2
TOO_LARGE = [2**27, 2**31, 2**63, 10**400, 10**5000, 65_536, 1e300]
NO_SIZES = [
    0, -1, 1.5, float("nan"), float("inf"), "3", "", b"3", True, [], (), [4], (4, 4, 4), [[4, 4]], {4}, {4: 4}, None,
    np.zeros((0, 2)), torch.zeros(3), Decimal("nan"), (n for n in ()), itertools.count(1), range(10**12), [None, 4],
    pd.NA, object(),
]  # fmt: skip
NO_PAIRS = [(one, other) for big in TOO_LARGE for one, other in ((big, big), (1, big), (big, 1))]
SIZES = [*TOO_LARGE, *NO_PAIRS, (2**14, 2**14), *NO_SIZES]
PLANES = [2**31, 10**400, 10**5000, 0, 2, 4, -1, 1.5, float("nan"), "3", "", True, [], [3], (1, 3), (1, 2**31), None]
NO_COLUMNS = [
    2**31, 10**400, 10**5000, float("nan"), "", "3", "nowhere", "x" * 10**6, "\0", [], ["file"], (1, 2**31), True, 0,
    b"file", {}, object(), pd.NA, np.array(["file"]), pd.Series(["file"]), range(10**12), itertools.count(),
]  # fmt: skip
FRAMES = [2**31, 2**63, 10**400, 10**5000, -1, 0.5, float("nan"), "0", True, [], [0], itertools.count(), (1, 2**31)]
LEVELS = [2, -1, 2**31, 10**400, float("nan"), "white", True, [], [1], (0, 0), [0] * 4, itertools.count()]
REFUSED: dict[str, list[Any]] = {
    "size": SIZES,
    "crop": SIZES,
    "bands": PLANES,
    "background": LEVELS,
    "frame": FRAMES,
    **dict.fromkeys(COLUMNS, NO_COLUMNS),
}


@pytest.mark.parametrize("option", REFUSED)
@pytest.mark.parametrize("kind", ["folder", "zip", "table", "frame", "list"])
def test_odd_values_for_image_files_are_refused_before_memory_or_time_is_taken(
    folder: Path, tmp_path: Path, kind: str, option: str
) -> None:
    files = [folder / f"{name}.png" for name in "abc"]
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        for file in files:
            archive.write(file, file.name)
    sources: dict[str, Any] = {
        "folder": folder,
        "zip": tmp_path / "z.zip",
        "table": folder / "t.csv",
        "frame": pd.DataFrame({"file": files}),
        "list": files,
    }
    columns = {"path": "file"} if kind in ("table", "frame") else {}
    # None is what is not given; of a table the paths have to be.
    values = [one for one in REFUSED[option] if one is not None]
    for value in values:
        began = time.perf_counter()
        tracemalloc.start()
        try:
            with pytest.raises(InputError, match=option) as told:
                load(sources[kind], **{**columns, option: value})
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        shown = ascii(type(value))
        assert time.perf_counter() - began < AT_ONCE, shown
        assert peak < 2**24, shown
        assert len(str(told.value)) < 1200, shown


def test_sizes_that_are_refused_begin_just_beyond_those_that_are_not(folder: Path) -> None:
    began = time.perf_counter()
    assert load(folder, size=(1, 65_535)).shape == (3, 1, 65_535)
    assert load(folder, size=(65_535, 1), bands=1).read([0]).shape == (1, 1, 65_535, 1)
    assert time.perf_counter() - began < AT_ONCE
    with pytest.raises(InputError, match=r"size=\(1, 65536\): give sides of at most 65,535 pixels"):
        load(folder, size=(1, 65_536))


def test_what_would_not_fit_in_memory_is_refused_when_loaded_and_when_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = load(folder, size=3_000)
    monkeypatch.setattr("probekit.machine.memory.available_bytes", lambda *_: 2**28)
    with pytest.raises(CapacityError, match="read fewer images at once"):
        images.read([0, 1, 2])
    with pytest.raises(CapacityError, match="give a smaller size="):
        load(folder, size=10_000)
