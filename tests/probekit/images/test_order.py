"""Masks and labels that carry ids go by these, or are refused; classes that look alike are no two classes."""

from __future__ import annotations

import dataclasses
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from PIL import Image

from probekit.errors import InputError
from probekit.images import ImageSet, concatenate, load

NAMES = ["a.png", "b.png", "c.png"]
CLASSES = {"a.png": "x", "b.png": "y", "c.png": "x"}
COMPOSED, DECOMPOSED = "caf\u00e9", "cafe\u0301"


def picture(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((4, 4, 3), 9, np.uint8)).save(path)
    return path


def images() -> ImageSet:
    return load(np.zeros((3, 1, 4, 4)), ids=NAMES)


def as_series(ids: list[str], values: list[Any]) -> Any:
    return pd.Series(values, index=ids)


def as_array(ids: list[str], values: list[Any]) -> Any:
    return xr.DataArray(values, dims="image", coords={"image": ids})


@pytest.mark.parametrize("make", [as_series, as_array, lambda ids, v: as_series(ids, v).astype("boolean")])
@pytest.mark.parametrize("order", [[1, 0, 2], [2, 1, 0]])
def test_a_mask_that_carries_the_ids_in_another_order_is_refused_with_both_ways_out(
    make: Any, order: list[int]
) -> None:
    ids, found = [NAMES[k] for k in order], images()
    mask = make(ids, [CLASSES[i] == "x" for i in ids])
    for select in (found.__getitem__, found.subset, found.read):
        with pytest.raises(InputError, match=r"mask are indexed as the images are, in another order: .*to_numpy"):
            select(mask)
    by_id = mask.loc[NAMES] if isinstance(mask, pd.Series) else mask.sel(image=NAMES)
    assert found[by_id].ids == ("a.png", "c.png")
    assert found[mask.to_numpy()].ids == tuple(np.array(NAMES)[mask.to_numpy().astype(bool)])


@pytest.mark.parametrize("make", [as_series, as_array])
def test_positions_and_masks_of_other_names_are_by_position(make: Any) -> None:
    numbered = load(np.zeros((3, 1, 4, 4)))
    assert numbered[make(["2", "1", "0"], [2, 0, 1])].ids == ("2", "0", "1")
    assert images()[make(["p", "q", "r"], [True, False, True])].ids == ("a.png", "c.png")


@pytest.mark.parametrize("make", [as_series, as_array])
@pytest.mark.parametrize("options", [{}, {"ids": ["1", "2", "3"]}])
@pytest.mark.parametrize("source", ["folder", "paths", "table"])
def test_labels_indexed_by_the_files_in_another_order_are_refused_whatever_the_ids(
    tmp_path: Path, source: str, options: dict[str, Any], make: Callable[..., Any]
) -> None:
    files = [str(picture(tmp_path / name)) for name in NAMES]
    given: Any = {"folder": tmp_path, "paths": files, "table": pd.DataFrame({"file": files})}[source]
    own = NAMES if source == "folder" else files
    how = {**options, **({"path": "file"} if source == "table" else {})}
    with pytest.raises(InputError, match="labels are indexed as the images are, in another order"):
        load(given, labels=make(own[::-1], ["z", "y", "x"]), **how)
    assert load(given, labels=make(own, ["x", "y", "z"]), **how).labels == ("x", "y", "z")


def test_ids_indexed_by_the_files_in_another_order_are_refused(tmp_path: Path) -> None:
    files = [str(picture(tmp_path / name)) for name in NAMES]
    for source, own in ((tmp_path, NAMES), (files, files)):
        with pytest.raises(InputError, match="ids are indexed as the images are, in another order"):
            load(source, ids=pd.Series(["3", "2", "1"], index=own[::-1]))


def test_labels_in_the_order_of_the_new_ids_are_taken_also_where_these_were_others() -> None:
    other = NAMES[::-1]
    found = load(images(), ids=other, labels=pd.Series(["z", "y", "x"], index=other))
    assert dict(zip(found.ids, found.labels or (), strict=True)) == {"a.png": "x", "b.png": "y", "c.png": "z"}
    with pytest.raises(InputError, match="labels are indexed as the images are, in another order"):
        load(images(), ids=["1", "2", "3"], labels=pd.Series(["z", "y", "x"], index=other))


# Classes that look alike

ALIKE = [(COMPOSED, DECOMPOSED), ("cat", "cat "), (" ox", "ox")]


@pytest.mark.parametrize("names", ALIKE)
@pytest.mark.parametrize("source", ["folder", "zip"])
def test_class_folders_that_look_alike_are_refused(tmp_path: Path, source: str, names: tuple[str, str]) -> None:
    for k, name in enumerate((*names, "dog")):
        picture(tmp_path / "set" / name / f"{k}.png")
    path = tmp_path / "set"
    if source == "zip":
        path = tmp_path / "set.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for file in sorted((tmp_path / "set").rglob("*.png")):
                archive.write(file, file.relative_to(tmp_path / "set").as_posix())
    with pytest.raises(InputError, match=r"class folders .* look alike, .*; rename folders of .*, or give labels="):
        load(path)
    assert load(path, labels=["x", "x", "y"]).labels == ("x", "x", "y")


def test_a_folder_whose_name_is_blank_is_a_missing_class(tmp_path: Path) -> None:
    picture(tmp_path / " " / "a.png")
    picture(tmp_path / "cat" / "b.png")
    with pytest.warns(UserWarning, match="1 of 2 images of .* have no class"):
        assert load(tmp_path).labels == ("", "cat")


@pytest.mark.parametrize("names", ALIKE)
def test_classes_of_two_sets_that_look_alike_are_refused(names: tuple[str, str]) -> None:
    parts = [
        dataclasses.replace(load(np.zeros((1, 1, 4, 4)), labels=[name]), name=str(k)) for k, name in enumerate(names)
    ]
    with pytest.raises(InputError, match=r"labels of the sets .* look alike"):
        concatenate(parts)


def test_sets_of_one_name_are_joined_as_the_refusal_says() -> None:
    parts = [load(np.zeros((1, 1, 4, 4))), load(np.ones((1, 1, 4, 4)))]
    with pytest.raises(InputError, match=r'rename one of them by dataclasses.replace\(images, name="…"\)'):
        concatenate(parts)
    joined = concatenate([parts[0], dataclasses.replace(parts[1], name="ones")])
    assert joined.read([1]).min() == 1
    assert joined.ids[1] == "ones/0"


# Names in zips

UNMARKED = [(COMPOSED, "hund"), ("日本", "貓"), ("größe", "cat")]


def without_flag(path: Path) -> None:
    """Clear the bit that says that names are UTF-8, at every member and in the directory."""
    content = bytearray(path.read_bytes())
    for signature, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = content.find(signature)
        while start >= 0:
            content[start + at + 1] &= ~0x08
            start = content.find(signature, start + 1)
    path.write_bytes(bytes(content))


@pytest.mark.parametrize("names", UNMARKED)
def test_names_in_utf_8_are_read_as_such_also_where_the_zip_does_not_say_so(
    tmp_path: Path, names: tuple[str, str]
) -> None:
    path = tmp_path / "set.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.write(picture(tmp_path / "one.png"), f"{name}/a.png")
    marked = load(path)
    without_flag(path)
    found = load(path)
    assert found.ids == marked.ids
    assert found.labels == marked.labels == tuple(sorted(names))
    assert found.read([0, 1]).shape == (2, 3, 4, 4)


def test_names_in_the_code_page_of_dos_stay_what_they_are(tmp_path: Path) -> None:
    path = tmp_path / "set.zip"
    content = picture(tmp_path / "one.png").read_bytes()
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("caf#", "hund"):
            archive.writestr(f"{name}/a.png", content)
    path.write_bytes(path.read_bytes().replace(b"caf#", b"caf\x82"))  # é in code page 437, and no UTF-8
    assert load(path).labels == (COMPOSED, "hund")


# Single files and folders


def test_a_single_file_is_refused_with_the_call_that_reads_it(tmp_path: Path) -> None:
    path = str(picture(tmp_path / "one.png"))
    with pytest.raises(InputError) as refusal:
        load(path)
    assert f"load([{path!r}])" in str(refusal.value)
    assert len(load([path])) == 1


def test_a_folder_among_listed_files_is_called_one(tmp_path: Path) -> None:
    picture(tmp_path / "cat" / "a.png")
    for listed in ([str(tmp_path / "cat")], [tmp_path / "cat" / "a.png", tmp_path / "cat"]):
        with pytest.raises(InputError, match=r"cat \(a folder, and no file: load it by itself"):
            load(listed)
