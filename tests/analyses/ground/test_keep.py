"""Kept results: whole or not at all, taken up only for what they were made of, and never under another plan."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import matplotlib
import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure

from analyses.ground import Kept, drawn, fingerprint, folder_of, keep, read, saved
from probekit.errors import CapacityError, InputError

PART = xr.Dataset({"a": ("x", [1.0, 2.0])}, attrs={"n": 1})


def test_a_finished_part_is_read_again_as_it_was(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "k", {"seed": 0})
    assert kept.found("one") is None
    kept.keep("one", PART)
    again = Kept(tmp_path / "k", {"seed": 0})
    assert again.found("one") is not None
    xr.testing.assert_identical(again.read("one"), PART)
    assert sorted(p.name for p in (tmp_path / "k").iterdir()) == ["one.nc", "plan.json"]


def test_another_plan_is_refused_with_the_differences_named(tmp_path: Path) -> None:
    Kept(tmp_path / "k", {"seed": 0, "draws": 2})
    with pytest.raises(InputError, match="begun with another plan \\(draws: 2, now 3\\)"):
        Kept(tmp_path / "k", {"seed": 0, "draws": 3})


@pytest.mark.parametrize("text", ["", "[1]", "{"])
def test_a_plan_that_cannot_be_read_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "plan.json").write_text(text)
    with pytest.raises(InputError, match="plan"):
        Kept(tmp_path, {"seed": 0})


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").touch()
    with pytest.raises(InputError, match="is not empty"):
        Kept(tmp_path, {"seed": 0}, what="samples")
    with pytest.raises(InputError, match="is no folder"):
        Kept(tmp_path / "holiday.jpg")


def test_a_part_is_made_once_for_what_it_is_made_of_and_again_when_that_changes_or_it_was_cut_short(
    tmp_path: Path,
) -> None:
    kept, calls = Kept(tmp_path / "k"), []

    def make() -> xr.Dataset:
        calls.append(1)
        return PART

    first = kept.made("part", make, {"seed": 0}, PART)
    assert kept.made("part", make, {"seed": 0}, PART).equals(first)
    assert len(calls) == 1
    kept.made("part", make, {"seed": 1}, PART)
    assert len(calls) == 2
    path = tmp_path / "k" / "part.nc"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.warns(UserWarning, match=r"part\.nc cannot be read .*: it is made again"):
        kept.made("part", make, {"seed": 1}, PART)
    assert len(calls) == 3


def test_what_a_part_is_made_of_is_told_apart_inside_lists_and_by_what_functions_do() -> None:
    long = np.arange(10_000.0)
    other = long.copy()
    other[5000] += 1
    made_of = [
        [xr.DataArray(long)],
        [xr.DataArray(other)],
        {"a": [long]},
        {"a": [other]},
        {"of": np.mean},
        {"of": np.median},
        {"of": lambda x: x + 1},
        {"of": lambda x: x + 2},
    ]
    assert len({fingerprint(one) for one in made_of}) == len(made_of)
    assert fingerprint({"of": lambda x: x + 1}) == fingerprint({"of": lambda x: x + 1})


def test_a_part_that_cannot_be_read_says_how_to_mend_it(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    (tmp_path / "one.nc").write_bytes(b"no netCDF")
    with pytest.raises(InputError, match="delete it, and it is made again"):
        kept.read("one")


def test_a_fingerprint_tells_values_names_attributes_and_options_apart() -> None:
    changed = [
        PART,
        PART.assign(a=("x", [1.0, 2.5])),
        PART.rename(a="b"),
        PART.assign_attrs(n=2),
        PART.assign_coords(x=[0, 1]),
        np.zeros(2),
        np.zeros((2, 1)),
        np.zeros(2, np.float32),
        {"a": 1},
        {"a": 2},
    ]
    assert len({fingerprint(one) for one in changed}) == len(changed)
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    assert fingerprint(PART) == fingerprint(PART.copy(deep=True))


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved(tmp_path, ("one", PART))

    def full(*_: object, **__: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(xr.Dataset, "to_netcdf", full)
    with pytest.raises(CapacityError, match="no space left"):
        saved(tmp_path, ("one", PART))
    monkeypatch.undo()
    xr.testing.assert_identical(read(tmp_path / "one.nc"), PART)
    assert [p.name for p in tmp_path.iterdir()] == ["one.nc"]


@pytest.mark.parametrize("store", [3, "", ["a"]])
def test_what_is_no_path_is_no_folder_to_keep_things_in(store: object) -> None:
    with pytest.raises(InputError, match="give the path of a folder"):
        folder_of(store)


def test_no_store_is_no_folder() -> None:
    assert folder_of(None) is None


def test_words_longer_than_those_of_a_file_that_they_were_joined_to_are_kept_whole(tmp_path: Path) -> None:
    def rows(*names: str) -> xr.Dataset:
        return xr.Dataset({"value": ("row", [1.0] * len(names))}, coords={"row": np.array(names, object)})

    kept = Kept(tmp_path / "parts")
    kept.keep("short", rows("net mid"))
    joined = xr.concat([kept.read("short"), rows("another network mid")], "row")
    saved(tmp_path, ("joined", joined))
    kept.keep("joined", joined)
    for found in (read(tmp_path / "joined.nc"), kept.read("joined")):
        assert found.row.values.tolist() == ["net mid", "another network mid"]


@pytest.mark.parametrize(
    "values",
    [
        np.arange(24.0).reshape(4, 6),
        np.arange(24, dtype=np.float32).reshape(4, 6).T,
        np.arange(24).reshape(4, 6)[::2, ::-3],
        np.array(1.5),
        np.zeros((0, 3)),
        np.array([["a", "bc"], ["", "ü"]]),
        np.array([True, False]),
        np.array(["2026-01-01"], "datetime64[ns]"),
    ],
    ids=lambda values: f"{values.dtype}{values.shape}",
)
def test_a_fingerprint_is_of_the_values_in_their_order_however_they_lie_in_memory(values: np.ndarray) -> None:
    inner = hashlib.sha256(f"{values.dtype}{values.shape}".encode() + values.tobytes()).hexdigest()
    assert fingerprint(values) == inner
    one = xr.Dataset({"a": (tuple(map(str, range(values.ndim))), values)})
    described = b'{"attrs": {}, "coords": {}}'
    assert fingerprint(one) == hashlib.sha256(described + b"a" + values.tobytes()).hexdigest()


def test_a_part_that_is_taken_up_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Kept(tmp_path)
    part = xr.Dataset({"a": ("x", [1.0, 2.0])})
    kept.made("one", lambda: part, 1)
    seen, right = [], Kept.read

    def counted(self: Kept, name: str) -> xr.Dataset:
        seen.append(name)
        return right(self, name)

    monkeypatch.setattr(Kept, "read", counted)
    found = kept.made("one", lambda: pytest.fail("it is there"), 1)
    xr.testing.assert_equal(found, part)
    assert seen == ["one"]


CALLS: list[str] = []


def curve(findings: xr.Dataset) -> Figure:
    CALLS.append("curve")
    figure = Figure(figsize=(1, 1))
    figure.subplots().plot(findings["a"])
    return figure


def other_curve(findings: xr.Dataset) -> Figure:
    return curve(findings)


def drawings(folder: Path, findings: xr.Dataset = PART, plot: Callable[..., Figure] = curve) -> int:
    """How many times a figure of findings is drawn."""
    before = len(CALLS)
    assert drawn(folder, "one", plot, findings) == folder / "one.png"
    return len(CALLS) - before


def test_a_figure_is_drawn_once_for_what_it_is_drawn_of(tmp_path: Path) -> None:
    assert drawings(tmp_path) == 1
    assert drawings(tmp_path) == 0
    drawn(tmp_path, "two", curve, PART)
    assert drawings(tmp_path) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["drawn.json", "one.png", "two.png"]
    # What comes back from a file is the same, texts too, of whatever type.
    named = PART.assign(kind=("x", np.array(["one", "another"], dtype=object)), b=("x", [True, False]))
    saved(tmp_path, ("part", named))
    assert drawings(tmp_path, named) == 1
    assert drawings(tmp_path, named.assign(kind=named.kind.astype("U30"))) == 0
    assert drawings(tmp_path, read(tmp_path / "part.nc")) == 0
    assert drawings(tmp_path, named.assign(kind=("x", ["one", "other"]))) == 1


@pytest.mark.parametrize(
    "other",
    [
        PART.assign(a=("x", [1.0, np.nextafter(2.0, 3.0)])),
        PART.assign(a=("y", [1.0, 2.0])),
        PART.assign(a=("x", np.array([1.0, 2.0]).view(np.int64))),
        PART.assign(a=PART.a.assign_attrs(units="m")),
        PART.assign_attrs(n=2),
        PART.assign_coords(x=["b", "c"]),
        PART.rename(a="b").assign(a=PART.a),
    ],
    ids=["the last bit", "dims", "type", "units", "attributes", "coordinates", "variables"],
)
def test_a_figure_of_other_findings_is_drawn_again(tmp_path: Path, other: xr.Dataset) -> None:
    drawings(tmp_path)
    assert drawings(tmp_path, other) == 1
    assert drawings(tmp_path, other) == 0
    assert drawings(tmp_path) == 1


def test_a_figure_is_drawn_again_when_what_draws_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawings(tmp_path)
    assert drawings(tmp_path, plot=other_curve) == 1
    assert drawings(tmp_path) == 1
    with matplotlib.rc_context({"lines.linewidth": 9}):
        assert drawings(tmp_path) == 1
    assert drawings(tmp_path) == 1
    monkeypatch.setattr(keep, "code_sha256", lambda: "another")
    assert drawings(tmp_path) == 1
    monkeypatch.setattr(keep, "version_of", lambda _: "another")
    assert drawings(tmp_path) == 1


def test_any_change_of_the_code_is_another_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "analyses" / "ground").mkdir(parents=True)
    (tmp_path / "probekit").mkdir()
    monkeypatch.setattr(keep, "__file__", str(tmp_path / "analyses" / "ground" / "keep.py"))
    codes = []
    for name, text in (("analyses/a.py", "1"), ("analyses/a.py", "2"), ("probekit/a.py", ""), ("probekit/b.py", "")):
        (tmp_path / name).write_text(text)
        codes.append(keep.code_sha256.__wrapped__())
    (tmp_path / "probekit" / "b.py").rename(tmp_path / "probekit" / "c.py")
    assert len({*codes, keep.code_sha256.__wrapped__()}) == 5


@pytest.mark.parametrize(
    "harm", ["deleted", "changed", "cut short", "record deleted", "record cut", "record no record"]
)
def test_a_figure_that_was_deleted_or_changed_is_drawn_again_as_it_was(tmp_path: Path, harm: str) -> None:
    drawings(tmp_path)
    path, record = tmp_path / "one.png", tmp_path / "drawn.json"
    pixels = path.read_bytes()
    harms: dict[str, Callable[[], object]] = {
        "deleted": path.unlink,
        "changed": lambda: path.write_bytes(pixels + b" "),
        "cut short": lambda: path.write_bytes(pixels[:-1]),
        "record deleted": record.unlink,
        "record cut": lambda: record.write_text(record.read_text()[:-3]),
        "record no record": lambda: record.write_text("[1]"),
    }
    harms[harm]()
    assert drawings(tmp_path) == 1
    assert path.read_bytes() == pixels
    assert drawings(tmp_path) == 0


def test_a_folder_is_joined_by_who_knows_its_plan_only(tmp_path: Path) -> None:
    begun = Kept(tmp_path / "kept", {"seed": 0})
    part = xr.Dataset({"value": ("x", [1.0, 2.0])})
    joined = Kept.joined(begun.folder, begun.plan_sum)
    assert not begun.holds("a")
    joined.keep("a", part)
    assert begun.holds("a")
    xr.testing.assert_identical(begun.read("a"), part)
    other = Kept(tmp_path / "other", {"seed": 1})
    for folder, plan_sum in ((tmp_path / "nowhere", begun.plan_sum), (begun.folder, other.plan_sum)):
        with pytest.raises(InputError, match="give one that all workers see"):
            Kept.joined(folder, plan_sum)
