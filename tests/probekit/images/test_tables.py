"""Files that are listed, in tables or as paths: one image a row, with its own id and class."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from probekit.errors import InputError
from probekit.images import ImageSet, load, table

NAMES = ("b/x.png", "a/y.png", "z.png")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Three images of one grey level each: 0, 1 and 2 of 255, in the order of NAMES."""
    folder = tmp_path / "photos"
    for level, name in enumerate(NAMES):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((4, 5), level, np.uint8)).save(folder / name)
    return folder


def levels(images: ImageSet) -> list[int]:
    return (images.read(range(len(images)))[:, 0, 0, 0] * 255).round().int().tolist()


def frame(**more: Any) -> pd.DataFrame:
    return pd.DataFrame({"file": NAMES, "class": ["cat", "dog", "cat"], "id": [10, 11, 12], **more})


def written(made: pd.DataFrame, path: Path, **options: Any) -> Path:
    made.to_csv(path, index=False, **options)
    return path


@pytest.mark.parametrize("kind", ["frame", "csv", "tsv"])
def test_a_table_gives_one_image_a_row_in_its_order_with_ids_and_classes_of_its_columns(
    photos: Path, kind: str
) -> None:
    source: Any = frame(other=1.5)
    if kind != "frame":
        source = written(source, photos / f"table.{kind}", sep="," if kind == "csv" else "\t")
    images = table(source, path="file", ids="id", labels="class", root=photos if kind == "frame" else None)
    assert (images.ids, images.labels, levels(images)) == (("10", "11", "12"), ("cat", "dog", "cat"), [0, 1, 2])
    plain = table(source, path="file", root=photos)
    assert (plain.ids, plain.labels, plain.shape) == (NAMES, None, (3, 4, 5))
    assert plain.name == ("DataFrame of 3 rows" if kind == "frame" else f"table.{kind}")
    if kind != "frame":
        assert table(str(source), path="file").ids == NAMES


@pytest.mark.parametrize("given", [list, tuple, np.array, pd.Series, pd.Index, lambda names: [Path(n) for n in names]])
def test_a_list_of_paths_gives_its_files_in_its_order_under_the_paths_as_ids(
    photos: Path, given: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(photos)
    images = load(given(NAMES), labels=["u", "v", "u"])
    monkeypatch.chdir("/")
    assert (images.ids, images.labels, levels(images)) == (NAMES, ("u", "v", "u"), [0, 1, 2])


def test_paths_may_be_absolute_and_files_are_prepared_as_those_of_folders_are(photos: Path) -> None:
    images = load([photos / name for name in NAMES], size=2, crop=(2, 1), bands=1, ids=["p", "q", "r"])
    assert (images.ids, images.shape, images.labels) == (("p", "q", "r"), (1, 2, 1), None)
    assert torch.equal(images.read([1]), load(photos, size=2, crop=(2, 1), bands=1).sel(image="a/y.png").read([0]))


def test_the_index_of_a_table_is_no_id_and_puts_nothing_in_another_order(photos: Path) -> None:
    shuffled = frame().set_index(pd.Index([2, 0, 1]))
    images = table(shuffled, path="file", labels="class", root=photos)
    assert (images.ids, images.labels) == (NAMES, ("cat", "dog", "cat"))
    assert table(shuffled, path="file", labels=shuffled["class"], root=photos).labels == ("cat", "dog", "cat")
    with pytest.raises(InputError, match=r"labels are indexed as the images are, in another order"):
        table(shuffled, path="file", labels=shuffled["class"].sort_index(), root=photos)


def test_classes_of_a_file_are_the_texts_that_stand_there(photos: Path) -> None:
    source = written(frame().assign(**{"class": ["NA", "007", "null"]}), photos / "t.csv")
    assert table(source, path="file", labels="class").labels == ("NA", "007", "null")
    (photos / "bom.csv").write_bytes(b"\xef\xbb\xbf" + source.read_bytes())
    assert table(photos / "bom.csv", path="file", labels="class").labels == ("NA", "007", "null")


@pytest.mark.parametrize("kind", ["frame", "csv"])
def test_a_row_without_a_class_has_a_missing_one_and_a_row_without_a_file_is_refused(photos: Path, kind: str) -> None:
    def source(made: pd.DataFrame) -> Any:
        return made if kind == "frame" else written(made, photos / "t.csv")

    with pytest.warns(UserWarning, match=r"1 of 3 images of .* have no class: a/y.png") as told:
        images = table(
            source(frame().assign(**{"class": ["cat", None, "dog"]})), path="file", labels="class", root=photos
        )
    assert (images.labels, told[0].filename) == (("cat", "", "dog"), __file__)
    with pytest.raises(InputError, match=r"names no file in rows 1 of 'file', counted from 0: drop these rows"):
        table(source(frame().assign(file=["z.png", None, "a/y.png"])), path="file", root=photos)
    with pytest.raises(InputError, match=r"ids of .* are missing or blank at positions 2"):
        table(source(frame().assign(id=[1, 2, None])), path="file", ids="id", root=photos)


def test_files_that_are_not_there_are_named_or_left_out_with_their_ids_and_classes(photos: Path) -> None:
    (photos / "a/y.png").unlink()
    with pytest.raises(InputError, match=r"1 of 3 files in .*photos cannot be used: a/y.png \("):
        table(frame(), path="file", root=photos)
    with pytest.warns(UserWarning, match="left out 1 of 3 files of DataFrame of 3 rows: a/y.png") as told:
        images = table(frame(), path="file", ids="id", labels=["p", "q", "r"], root=photos, skip_bad=True)
    assert (images.ids, images.labels, levels(images)) == (("10", "12"), ("p", "r"), [0, 2])
    assert len(images.skipped) == len(told) == 1
    assert told[0].filename == __file__


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        (frame(), {"path": None}, r"path=None: DataFrame has no such column; it has 'file', 'class', 'id'"),
        (5, {"path": "file"}, r"source=5: give a DataFrame, or the path of a file that is there and called .csv"),
        (
            "nowhere.csv",
            {"path": "file"},
            r"source=.*nowhere.csv.*: give a DataFrame, or the path of a file that is there",
        ),
        (frame(), {"path": "file", "bands": True}, r"bands=True: give 1"),
        (frame(), {"path": "file", "skip_bad": 1}, r"skip_bad=1: give True or False"),
        (frame(), {"path": "name"}, r"path='name': DataFrame has no such column; it has 'file', 'class', 'id'"),
        (frame(), {"path": ["file"]}, r"path=\['file'\]: DataFrame has no such column"),
        (frame(), {"path": "file", "labels": "kind"}, r"labels='kind': DataFrame has no such column"),
        (frame(), {"path": "file", "ids": "kind"}, r"ids='kind': DataFrame has no such column"),
        (frame(), {"path": "file", "ids": "class"}, r"ids cat of .* occur more than once"),
        (frame(), {"path": "file", "labels": ["a"]}, r"1 labels for 3 images"),
        (frame(), {"path": "file", "root": "nowhere"}, r"root='nowhere' is no folder"),
        (frame(), {"path": "file", "root": 5}, r"root=5: give the folder that relative paths start from"),
        (frame()[:0], {"path": "file"}, r"DataFrame has no rows"),
        (pd.DataFrame(), {"path": "file"}, r"it has none"),
        (pd.concat([frame(), frame()], axis=1), {"path": "file"}, r"more than one such column"),
        (frame().assign(file=["z.png", "a/y.png", "./z.png"]), {"path": "file"}, r"./z.png is listed more than once"),
        (frame().assign(file=[1.5, 2.5, 3.5]), {"path": "file"}, r"path=1.5 at position 0 is no path"),
        (frame(), {"path": "file", "size": 0}, r"size=0"),
    ],
)
def test_tables_that_name_no_files_are_refused(photos: Path, source: Any, options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        table(source, **{"root": photos, **options})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"cannot be read as a table \(No columns"),
        (b"file,class\nz.png,a,b,c\n", r"cannot be read as a table"),
        (b"file,class\nz.png,a\nb,c,d,e\n", r"cannot be read as a table"),
        (b"file;class\nz.png;a\n", r"no such column; it has 'file;class'; where these are not parted by commas, read"),
        ("file,class\nz.png,käse\n".encode("latin-1"), r"cannot be read as a table .*UTF-8"),
        (b"\x00\x01\x02", r"no such column|cannot be read"),
    ],
)
def test_files_that_are_no_tables_are_refused(photos: Path, content: bytes, message: str) -> None:
    (photos / "t.csv").write_bytes(content)
    with pytest.raises(InputError, match=message):
        table(photos / "t.csv", path="file", labels="class")


def test_a_parquet_file_is_read_or_what_is_lacking_is_said(photos: Path) -> None:
    try:
        frame().to_parquet(photos / "t.parquet")
    except ImportError:
        (photos / "t.parquet").write_bytes(b"PAR1")
        with pytest.raises(InputError, match="pyarrow is not installed: install it, or give CSV"):
            table(photos / "t.parquet", path="file")
    else:
        assert table(photos / "t.parquet", path="file", labels="class").labels == ("cat", "dog", "cat")


@pytest.mark.parametrize("kind", ["frame", "csv"])
def test_a_table_given_to_load_is_refused_with_the_function_that_takes_it(photos: Path, kind: str) -> None:
    source = frame() if kind == "frame" else written(frame(), photos / "t.csv")
    with pytest.raises(InputError, match=r"give probekit.images.table\(.*, path=.column of the files.\)"):
        load(source)


def test_a_folder_that_is_called_like_a_table_is_a_folder(photos: Path) -> None:
    assert load(photos.rename(photos.with_suffix(".csv"))).ids == tuple(sorted(NAMES))


@pytest.mark.parametrize("source", [[], [1, "a.png"], ["a.png", None], (), np.array([]), np.array([["a.png"]])])
def test_lists_of_something_else_than_paths_are_refused(source: Any) -> None:
    with pytest.raises(InputError):
        load(source)


@pytest.mark.parametrize("source", ["", " ", "\0", "x" * 5000, "nowhere.csv", Path("nowhere.tsv")])
def test_paths_that_lead_nowhere_are_refused(source: Any) -> None:
    with pytest.raises(InputError):
        load(source)
