"""A class is that of its own image: whatever order, wrapper or encoding it came in."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
from PIL import Image
from torch.utils.data import ConcatDataset, Dataset, Subset

from probekit.errors import InputError
from probekit.images import concatenate, load

X = np.random.default_rng(0).random((6, 1, 4, 4), dtype=np.float32)


class Items(Dataset):
    """Images with targets that index classes."""

    def __init__(self, images: np.ndarray, targets: list[int], classes: list[str]) -> None:
        self.images, self.targets, self.classes = images, targets, classes

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, Any]:
        return torch.from_numpy(self.images[index]), self.targets[index]


class Permuted(Dataset):
    """The items of another set in another order, whose attributes are handed on as they are."""

    def __init__(self, inside: Items, order: list[int]) -> None:
        self.inside, self.order = inside, order

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, Any]:
        return self.inside[self.order[index]]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["inside"], name)


def test_positions_from_the_end_have_the_classes_of_their_images() -> None:
    both = ConcatDataset([Items(X[:3], [0, 1, 0], ["cat", "dog"]), Items(X[3:], [0, 0, 1], ["fish", "bird"])])
    images = load(Subset(both, [-1, -2, 0, -6]))
    np.testing.assert_array_equal(images.read([0, 1, 2]), X[[5, 4, 0]])
    assert images.labels == ("bird", "fish", "cat", "cat")
    assert load(Subset(Subset(both, [-1, 0]), [-1, -2])).labels == ("cat", "bird")


def test_targets_that_are_not_of_the_items_are_refused() -> None:
    inside = Items(X[:4], [0, 1, 0, 0], ["a", "b"])
    with pytest.raises(InputError, match=r"item 1 of Permuted has the label '0', and its targets say '1' there: give"):
        load(Permuted(inside, [0, 2, 1, 3]))
    assert load(Permuted(inside, [0, 1, 2, 3])).labels == ("a", "b", "a", "a")
    # Items may say the name where the targets say the position.
    named = Items(X[:2], [1, 0], ["a", "b"])
    named.__class__ = type("Named", (Items,), {"__getitem__": lambda s, i: (torch.from_numpy(s.images[i]), "ba"[i])})
    assert load(named).labels == ("b", "a")


def test_classes_of_one_name_are_refused_and_synonyms_joined() -> None:
    with pytest.raises(InputError, match="classes of Items have the name 'crane' more than once: give labels="):
        load(Items(X[:3], [0, 1, 2], ["crane", "ox", "crane"]))
    synonyms: Any = [("crane",), ("ox",), ("crane", "derrick")]
    assert load(Items(X[:3], [0, 1, 2], synonyms)).labels == ("crane", "ox", "crane, derrick")


def test_a_set_that_hands_out_the_same_memory_for_every_item_is_read_item_by_item() -> None:
    class Reused(Dataset):
        def __init__(self, kind: Any) -> None:
            self.kind, self.memory = kind, np.zeros((1, 4, 4), np.float32)

        def __len__(self) -> int:
            return len(X)

        def __getitem__(self, index: int) -> Any:
            self.memory[...] = X[index]
            return self.kind(self.memory)

    for kind in (np.asarray, torch.from_numpy):
        np.testing.assert_array_equal(load(Reused(kind)).read(range(6)), X)


@pytest.mark.parametrize("kind", ["DataArray", "Series"])
def test_masks_and_labels_that_carry_ids_in_another_order_are_refused(tmp_path: Path, kind: str) -> None:
    images = load(X[:4], ids=list("wxyz"), labels=list("aabb"))

    def carrying(values: Any, ids: list[str]) -> Any:
        return pd.Series(values, ids) if kind == "Series" else xr.DataArray(values, dims="image", coords={"image": ids})

    mask = carrying([True, True, False, False], list("zyxw"))
    with pytest.raises(InputError, match="mask are indexed as the images are, in another order"):
        images[mask]
    assert images[carrying([True, False, False, True], list("wxyz"))].ids == ("w", "z")
    files = []
    for name in "pq":
        files.append(str(tmp_path / f"{name}.png"))
        Image.fromarray(np.full((4, 4, 3), 9, np.uint8)).save(files[-1])
    with pytest.raises(InputError, match="labels are indexed as the images are, in another order"):
        load(files, labels=carrying(["q", "p"], files[::-1]))
    with pytest.raises(InputError, match="labels are indexed as the images are, in another order"):
        load(tmp_path, ids=["1", "2"], labels=carrying(["q", "p"], ["q.png", "p.png"]))
    assert load(files, labels=carrying(["p", "q"], files)).labels == ("p", "q")


def test_names_of_a_zip_that_are_utf_8_and_do_not_say_so_are_those_of_the_folder(tmp_path: Path) -> None:
    for name in ("café", "thé"):
        (tmp_path / "f" / name).mkdir(parents=True)
        Image.fromarray(np.full((4, 4, 3), len(name), np.uint8)).save(tmp_path / "f" / name / "a.png")
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        for path in sorted((tmp_path / "f").rglob("*.png")):
            archive.write(path, path.relative_to(tmp_path / "f"))
    content = (tmp_path / "z.zip").read_bytes()
    # Both headers of each member have the flag in their general purpose bits.
    for mark, place in ((b"PK\x03\x04", 7), (b"PK\x01\x02", 9)):
        start = 0
        while (start := content.find(mark, start)) >= 0:
            content = content[: start + place] + bytes([content[start + place] & ~8]) + content[start + place + 1 :]
            start += 4
    (tmp_path / "z.zip").write_bytes(content)
    folder, archived = load(tmp_path / "f"), load(tmp_path / "z.zip")
    assert archived.ids == folder.ids == ("café/a.png", "thé/a.png")
    assert archived.labels == folder.labels == ("café", "thé")


def test_class_folders_that_look_alike_are_refused_and_a_blank_one_is_no_class(tmp_path: Path) -> None:
    def folder(name: str, *classes: str) -> Path:
        for one in classes:
            (tmp_path / name / one).mkdir(parents=True)
            Image.fromarray(np.full((4, 4, 3), 9, np.uint8)).save(tmp_path / name / one / "a.png")
        return tmp_path / name

    for name, classes in (("accents", ("café", "cafe\u0301")), ("blanks", ("cat", "cat "))):
        with pytest.raises(InputError, match="look alike"):
            load(folder(name, *classes))
    with pytest.warns(UserWarning, match="have no class"):
        assert load(folder("blank", " ", "dog")).labels == ("", "dog")
    with pytest.raises(InputError, match="look alike"):
        concatenate([load(X[:1], labels=["cat"]), load(X[:2], labels=["cat ", "dog"])])


def test_pixels_with_a_sign_are_refused_and_565_bits_are_taken(tmp_path: Path) -> None:
    import struct

    path = tmp_path / "signed" / "a.tif"
    path.parent.mkdir()
    Image.fromarray(np.full((4, 4), 128, np.uint8)).save(path, tiffinfo={339: 2})
    with pytest.raises(InputError, match="pixels with a sign"):
        load(path.parent)
    pixels = struct.pack("<16H", *[0b11111_000000_00000] * 16)
    header = struct.pack("<2sIHHI", b"BM", 14 + 40 + 12 + len(pixels), 0, 0, 66)
    about = struct.pack("<IiiHHIIiiII", 40, 4, 4, 1, 16, 3, len(pixels), 2835, 2835, 0, 0)
    masks = struct.pack("<III", 0xF800, 0x07E0, 0x001F)
    (tmp_path / "bmp").mkdir()
    (tmp_path / "bmp" / "a.bmp").write_bytes(header + about + masks + pixels)
    np.testing.assert_array_equal(load(tmp_path / "bmp").read([0])[0, :, 0, 0], [1, 0, 0])
