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
from probekit.images import ImageSet, load

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
    images = load(source, path="file", ids="id", label="class", root=photos if kind == "frame" else None)
    assert (images.ids, images.labels, levels(images)) == (("10", "11", "12"), ("cat", "dog", "cat"), [0, 1, 2])
    plain = load(source, path="file", root=photos)
    assert (plain.ids, plain.labels, plain.shape) == (NAMES, None, (3, 4, 5))
    assert plain.name == ("DataFrame of 3 rows" if kind == "frame" else f"table.{kind}")
    if kind != "frame":
        assert load(str(source), path="file").ids == NAMES


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
    with pytest.warns(UserWarning, match="1 of 3 images of photos have no class: z.png"):
        inside = load(photos, size=2, crop=(2, 1), bands=1)
    assert torch.equal(images.read([1]), inside.sel(image="a/y.png").read([0]))


def test_the_index_of_a_table_is_no_id_and_puts_nothing_in_another_order(photos: Path) -> None:
    shuffled = frame().set_index(pd.Index([2, 0, 1]))
    images = load(shuffled, path="file", label="class", root=photos)
    assert (images.ids, images.labels) == (NAMES, ("cat", "dog", "cat"))
    assert load(shuffled, path="file", labels=shuffled["class"], root=photos).labels == ("cat", "dog", "cat")
    with pytest.raises(InputError, match=r"labels are indexed as the images are, in another order"):
        load(shuffled, path="file", labels=shuffled["class"].sort_index(), root=photos)


def test_classes_of_a_file_are_the_texts_that_stand_there(photos: Path) -> None:
    source = written(frame().assign(**{"class": ["NA", "007", "null"]}), photos / "t.csv")
    assert load(source, path="file", label="class").labels == ("NA", "007", "null")
    (photos / "bom.csv").write_bytes(b"\xef\xbb\xbf" + source.read_bytes())
    assert load(photos / "bom.csv", path="file", label="class").labels == ("NA", "007", "null")


@pytest.mark.parametrize("kind", ["frame", "csv"])
def test_a_row_without_a_class_has_a_missing_one_and_a_row_without_a_file_is_refused(photos: Path, kind: str) -> None:
    def source(made: pd.DataFrame) -> Any:
        return made if kind == "frame" else written(made, photos / "t.csv")

    with pytest.warns(UserWarning, match=r"1 of 3 images of .* have no class: a/y.png") as told:
        images = load(
            source(frame().assign(**{"class": ["cat", None, "dog"]})), path="file", label="class", root=photos
        )
    assert (images.labels, told[0].filename) == (("cat", "", "dog"), __file__)
    with pytest.raises(InputError, match=r"names no file in rows 1 of 'file', counted from 0: drop these rows"):
        load(source(frame().assign(file=["z.png", None, "a/y.png"])), path="file", root=photos)
    with pytest.raises(InputError, match=r"ids of .* are missing or blank at positions 2"):
        load(source(frame().assign(id=[1, 2, None])), path="file", ids="id", root=photos)


def test_files_that_are_not_there_are_named_or_left_out_with_their_ids_and_classes(photos: Path) -> None:
    (photos / "a/y.png").unlink()
    with pytest.raises(InputError, match=r"1 of 3 files in .*photos cannot be used: a/y.png \("):
        load(frame(), path="file", root=photos)
    with pytest.warns(UserWarning, match="left out 1 of 3 files of DataFrame of 3 rows: a/y.png") as told:
        images = load(frame(), path="file", ids="id", labels=["p", "q", "r"], root=photos, skip_bad=True)
    assert (images.ids, images.labels, levels(images)) == (("10", "12"), ("p", "r"), [0, 2])
    assert len(images.skipped) == len(told) == 1
    assert told[0].filename == __file__


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        (frame(), {"path": None}, r'a DataFrame is a table: give load\(frame, path="column of the files"\)'),
        (
            5,
            {"path": "file"},
            r"path='file', root.* does not apply here: what is given, of type int, is no table",
        ),
        (
            "nowhere.csv",
            {"path": "file"},
            r"path='file', .* does not apply here: 'nowhere.csv' is no table, which is .* a file that is there",
        ),
        (frame(), {"path": "file", "bands": True}, r"bands=True: give 1"),
        (frame(), {"path": "file", "skip_bad": 1}, r"skip_bad=1: give True or False"),
        (frame(), {"path": "name"}, r"path='name': DataFrame has no such column; it has 'file', 'class', 'id'"),
        (frame(), {"path": ["file"]}, r"path=\['file'\]: DataFrame has no such column"),
        (frame(), {"path": "file", "label": "kind"}, r"label='kind': DataFrame has no such column"),
        (frame(), {"path": "file", "ids": "kind"}, r"ids='kind': DataFrame has no such column"),
        (frame(), {"path": "file", "ids": "class"}, r"ids cat of .* occur more than once"),
        (frame(), {"path": "file", "label": ["class"]}, r"label=\['class'\]: DataFrame has no such column"),
        (frame(), {"path": "file", "labels": "class"}, r"labels='class': give label=, the column of the classes"),
        (
            frame(),
            {"path": "file", "label": "class", "labels": list("aba")},
            r"label='class' and labels= are both given",
        ),
        (frame(), {"label": "class"}, r'give load\(frame, path="column of the files"\)'),
        (frame(), {"path": "file", "ids": 0}, r"ids=0: DataFrame has no such column"),
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
        load(source, **{"root": photos, **options})


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
        load(photos / "t.csv", path="file", label="class")


def test_a_parquet_file_is_read_or_what_is_lacking_is_said(photos: Path) -> None:
    try:
        frame().to_parquet(photos / "t.parquet")
    except ImportError:
        (photos / "t.parquet").write_bytes(b"PAR1")
        with pytest.raises(InputError, match="pyarrow is not installed: install it, or give CSV"):
            load(photos / "t.parquet", path="file")
    else:
        assert load(photos / "t.parquet", path="file", label="class").labels == ("cat", "dog", "cat")


@pytest.mark.parametrize("kind", ["frame", "csv"])
def test_a_table_without_a_column_of_files_is_refused_with_the_call_that_reads_it(photos: Path, kind: str) -> None:
    source = frame() if kind == "frame" else written(frame(), photos / "t.csv")
    with pytest.raises(InputError, match=r'is a table: give load\((frame|".*t.csv"), path="column of the files"\)'):
        load(source)


def test_a_folder_that_is_called_like_a_table_is_a_folder(photos: Path) -> None:
    folder = photos.rename(photos.with_suffix(".csv"))
    assert load(folder, labels=[0, 1, 0]).ids == tuple(sorted(NAMES))
    with pytest.raises(InputError, match=r"path='file' does not apply here: .*photos\.csv' is no table"):
        load(folder, path="file")


@pytest.mark.parametrize("source", [[], [1, "a.png"], ["a.png", None], (), np.array([]), np.array([["a.png"]])])
def test_lists_of_something_else_than_paths_are_refused(source: Any) -> None:
    with pytest.raises(InputError):
        load(source)


@pytest.mark.parametrize("source", ["", " ", "\0", "x" * 5000, "nowhere.csv", Path("nowhere.tsv")])
def test_paths_that_lead_nowhere_are_refused(source: Any) -> None:
    with pytest.raises(InputError):
        load(source)


@pytest.mark.parametrize("option", ["path", "label", "root"])
@pytest.mark.parametrize(
    "source", ["samples", "folder", "nowhere", "list", np.zeros((2, 1, 4, 4), np.uint8), torch.zeros(2, 1, 4, 4), {}, 5]
)
def test_options_of_tables_are_refused_for_every_other_source(photos: Path, source: Any, option: str) -> None:
    source = {"folder": photos, "list": [photos / "z.png"]}.get(source, source) if isinstance(source, str) else source
    options: dict[str, Any] = {option: "class"}
    with pytest.raises(InputError, match=rf"{option}='class' does not apply here: .* is no table"):
        load(source, **options)
