"""Ids and classes: what names an image or a class, what is missing, and what Datasets say of theirs."""

from __future__ import annotations

import enum
import warnings
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
import zarr
from torch.utils.data import ConcatDataset, DataLoader, IterableDataset, Subset, TensorDataset, random_split

from probekit import labels as label_schema
from probekit.errors import InputError
from probekit.images import ImageSet, concatenate, load
from tests.probekit.images.making import Items

X = np.zeros((3, 1, 4, 4), np.float32)


class Animal(enum.Enum):
    CAT = "cat"
    DOG = "dog"


def pairs(targets: Sequence[Any]) -> list[tuple[torch.Tensor, Any]]:
    return [(torch.full((1, 4, 4), float(k)), t) for k, t in enumerate(targets)]


def labelled_array(**coords: Any) -> xr.DataArray:
    return xr.DataArray(X, dims=("image", "band", "row", "col"), coords=coords)


@pytest.mark.parametrize(
    "labels",
    [
        [b"cat", np.str_("dog"), "cat"],
        np.array([b"cat", b"dog", b"cat"]),
        pd.Series(["cat", "dog", "cat"]),
        pd.Categorical(["cat", "dog", "cat"]),
        pd.Series(["cat", "dog", "cat"], dtype="category"),
        [Animal.CAT, Animal.DOG, Animal.CAT],
        np.array(["cat", "dog", "cat"], dtype=object),
        (one for one in ["cat", "dog", "cat"]),
        xr.DataArray(["cat", "dog", "cat"]),
    ],
    ids=lambda v: type(v).__name__,
)
def test_class_names_of_whatever_type_are_the_same_strings(labels: Any) -> None:
    assert load(X, labels=labels).labels == ("cat", "dog", "cat")


@pytest.mark.parametrize(
    "labels",
    [
        [1, 2, 1],
        [1.0, 2.0, 1.0],
        ["1", 2, 1.0],
        np.array([1, 2, 1], np.uint8),
        torch.tensor([1.0, 2.0, 1.0]),
        [torch.tensor(1), np.array(2), np.int64(1)],
        pd.Series([1, 2, 1], dtype="Int64"),
    ],
)
def test_whole_numbers_are_one_class_whether_they_are_kept_as_floats_or_not(labels: Any) -> None:
    assert load(X, labels=labels).labels == ("1", "2", "1")


@pytest.mark.parametrize(
    "labels",
    [
        ["cat", None, "dog"],
        ["cat", float("nan"), "dog"],
        ["cat", pd.NA, "dog"],
        ["cat", pd.NaT, "dog"],
        ["cat", "", "dog"],
        ["cat", " ", "dog"],
        pd.Series(["cat", None, "dog"]),
        pd.Categorical(["cat", None, "dog"]),
        np.ma.array(["cat", "bird", "dog"], mask=[0, 1, 0]),
    ],
)
def test_a_missing_class_is_kept_as_missing_with_one_warning_and_refused_by_class(labels: Any) -> None:
    with pytest.warns(
        UserWarning, match=r"1 of 3 images of ndarray .* have no class: 1. Analyses by class refuse"
    ) as told:
        images = load(X, labels=labels)
    assert len(told) == 1
    assert images.labels == ("cat", "", "dog")
    assert images[[bool(label) for label in images.labels]].ids == ("0", "2")
    data = xr.Dataset(coords={"image": list(images.ids), "label": ("image", list(images.labels))})
    with pytest.raises(InputError, match="label is missing for 1 images"):
        label_schema.classes(data, "label")


def test_the_warning_of_missing_classes_names_the_line_that_loads_them() -> None:
    for source, labels in ((X, ["cat", None, "dog"]), (Items(pairs([0, None, 1])), None)):
        with pytest.warns(UserWarning, match="have no class") as told:
            load(source, labels=labels)
        assert told[0].filename == __file__


def test_numbers_of_which_some_are_missing_are_the_classes_that_they_were() -> None:
    with pytest.warns(UserWarning, match="1 of 3"):
        assert load(X, labels=pd.Series([1, None, 3])).labels == ("1", "", "3")


@pytest.mark.parametrize("missing", [None, np.nan, "", pd.NA])
def test_a_set_of_which_all_classes_are_missing_has_none(missing: Any) -> None:
    assert load(X, labels=[missing] * 3).labels is None
    assert load(labelled_array(label=("image", np.array([missing] * 3, dtype=object)))).labels is None


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ("cat", r"labels=.cat.: give a list of labels, one per image"),
        ("abc", r"labels=.abc.: give a list of labels"),
        (np.eye(3), r"labels: array.* at position 0 is no name, and 2 more .*argmax"),
        ([[1, 0], [0, 1], [1, 0]], r"labels: \[1, 0\] at position 0 is no name.*argmax"),
        (
            [0.5, 1.5, 2.5],
            r"labels: 0.5 at position 0 is no name, and 2 more are none: give a string or a whole number",
        ),
        (["a", {"box": 1}, "b"], r"at position 1 is no name"),
        ({"a", "b", "c"}, r"a set has no order"),
        (pd.DataFrame({"a": [1], "b": [2], "c": [3]}), r"choose one column"),
        (["cat", "cat ", "dog"], r"labels 'cat' and 'cat ' look alike"),
        (["é", "e\u0301", "dog"], r"look alike, and differ in blanks or in how accents are encoded"),
        (count(), r"4 labels for 3 images"),
        (["a\0", "b", "c"], r"NUL"),
        (["a", "\udcff", "c"], r"UTF-8"),
    ],
)
def test_labels_that_are_no_class_names_are_refused(labels: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load(X, labels=labels)


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (["a", None, "c"], r"ids of .* are missing or blank at positions 1: give each image an id"),
        (["a", float("nan"), ""], r"missing or blank at positions 1, 2"),
        ([1, "1", 2], r"ids 1 of .* occur more than once"),
        ([1, 1.0, 2], r"ids 1 of .* occur more than once"),
        ([b"a", "a", "b"], r"ids a of .* occur more than once"),
        ([0.1, 0.2, 0.3], r"ids: 0.1 at position 0 is no name"),
        (["a\0b", "c", "d"], r"NUL"),
        (["\ud800", "c", "d"], r"UTF-8"),
        ("abc", r"ids='abc': give a list of ids"),
        ({"a": 0, "b": 1, "c": 2}, r"give a list of ids"),
    ],
)
def test_ids_that_name_no_image_are_refused(ids: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load(X, ids=ids)


def test_ids_may_be_long_hold_blanks_and_lines_and_are_kept_as_they_are() -> None:
    ids = ["x" * 5000, " a", "a\nb"]
    assert load(X, ids=ids).ids == tuple(ids)


@pytest.mark.parametrize("make", [lambda v, i: pd.Series(v, i), lambda v, i: xr.DataArray(v, {"image": i}, "image")])
def test_labels_that_carry_the_ids_in_another_order_are_refused_with_both_ways_out(make: Any) -> None:
    images = load(X, ids=["a", "b", "c"])
    labels = make(["C", "A", "B"], ["c", "a", "b"])
    with pytest.raises(
        InputError, match=r"labels are indexed as the images are, in another order: give labels\."
    ) as no:
        load(images, labels=labels)
    by_id = str(no.value).split("give ")[1].split(" to go")[0]
    assert load(images, labels=eval(by_id, {"labels": labels, "images": images})).labels == ("A", "B", "C")
    assert load(images, labels=labels.to_numpy()).labels == ("C", "A", "B")
    assert load(images, labels=make(["A", "B", "C"], ["a", "b", "c"])).labels == ("A", "B", "C")
    assert load(images, labels=make(["A", "B", "C"], ["x", "y", "z"])).labels == ("A", "B", "C")


def test_coordinates_of_a_labelled_array_are_held_to_the_same_rules() -> None:
    with pytest.warns(UserWarning, match="1 of 3"):
        found = load(
            labelled_array(image=[b"a", b"b", b"c"], label=("image", np.array(["u", None, 2.0], dtype=object)))
        )
    assert (found.ids, found.labels) == (("a", "b", "c"), ("u", "", "2"))
    with pytest.raises(InputError, match="label has dims"):
        load(labelled_array(label=("row", list("abcd"))))
    with pytest.raises(InputError, match=r"ids: .* is no name"):
        load(labelled_array(image=pd.date_range("2024-01-01", periods=3)))


def test_given_labels_stand_in_for_those_of_the_source_that_cannot_be_used() -> None:
    assert load(labelled_array(label=("image", [0.1, 0.2, 0.3])), labels=["a", "b", "a"]).labels == ("a", "b", "a")
    boxes = Items(pairs([{"boxes": 1}] * 3))
    assert load(boxes, labels=["a", "b", "a"]).labels == ("a", "b", "a")
    assert load(boxes, labels=[None] * len(boxes)).labels is None


# torch Datasets


@pytest.mark.parametrize("target", [-1, 2, 10, -100, 0.5, True, "bird", [0], torch.tensor([0, 1])])
def test_targets_that_are_no_positions_among_the_classes_are_refused(target: Any) -> None:
    for attributes in ({}, {"targets": [0, target, 1]}):
        with pytest.raises(InputError, match=r"target.* of Items is none of its 2 classes, .*: give labels="):
            load(Items(pairs([0, target, 1]), classes=["cat", "dog"], **attributes))


@pytest.mark.parametrize("targets", [[1, 0, 1], [1.0, 0, 1], torch.tensor([1, 0, 1]), ["dog", "cat", "dog"]])
@pytest.mark.parametrize("classes", [["cat", "dog"], ("cat", "dog"), np.array(["cat", "dog"])])
def test_targets_are_told_by_the_names_of_their_classes(targets: Any, classes: Any) -> None:
    assert load(Items(pairs(targets), classes=classes)).labels == ("dog", "cat", "dog")
    for items in (pairs(targets), pairs([1, 0, 1]), [image for image, _ in pairs(targets)]):
        assert load(Items(items, classes=classes, targets=targets)).labels == ("dog", "cat", "dog")


@pytest.mark.parametrize("missing", [None, np.nan])
def test_a_target_that_is_missing_is_a_missing_class(missing: Any) -> None:
    with pytest.warns(UserWarning, match="1 of 3 images of Items have no class"):
        assert load(Items(pairs([0, missing, 1]), classes=["cat", "dog"])).labels == ("cat", "", "dog")


@pytest.mark.parametrize(
    "target", [{"boxes": []}, [1, 2], (1, 2), torch.tensor([0, 1]), np.zeros(3), torch.zeros(1, 4, 4)]
)
def test_targets_of_several_values_are_refused_with_the_way_out(target: Any) -> None:
    with pytest.raises(InputError, match=r"not one class per image: give labels=.*labels=\[None\] \* len\(dataset\)"):
        load(Items(pairs([target] * 3)))


def test_targets_of_another_number_than_items_are_refused() -> None:
    with pytest.raises(InputError, match="Items has 3 items and 2 targets"):
        load(Items(pairs([0, 1, 0]), targets=[0, 1]))


def test_what_is_not_a_list_of_targets_is_not_taken_for_one() -> None:
    for targets in (5, "abc", {0: 1}, len):
        assert load(Items(pairs([0, 1, 0]), targets=targets, classes=2)).labels == ("0", "1", "0")


def test_a_transform_of_targets_is_heeded_and_names_of_other_classes_are_not() -> None:
    data = Items(pairs(["animal"] * 3), targets=[0, 1, 0], classes=["cat", "dog"], target_transform=str)
    assert load(data).labels == ("animal",) * 3


def test_parts_of_datasets_have_the_labels_that_their_images_have_in_the_whole() -> None:
    data = Items(pairs([0, 1, 1, 0]), targets=[0, 1, 1, 0], classes=["cat", "dog"])
    whole = load(data)
    parts = [Subset(data, [3, 1]), *random_split(data, [1, 3], torch.Generator().manual_seed(0))]
    parts += [Subset(Subset(data, [3, 2, 1]), [0, 2]), ConcatDataset([Subset(data, [2]), data])]
    for part in parts:
        images = load(part)
        # Each image holds the number of its item.
        at = images.read(range(len(images)))[:, 0, 0, 0].int().tolist()
        assert images.labels == tuple(whole.labels[k] for k in at)


def test_sets_of_which_one_has_no_labels_are_joined_with_missing_classes() -> None:
    unlabelled = TensorDataset(torch.zeros(2, 1, 4, 4))
    with pytest.warns(UserWarning, match="2 of 5 images of ConcatDataset have no class: 3, 4"):
        joined = load(ConcatDataset([Items(pairs([0, 1, 0])), unlabelled]))
    assert joined.labels == ("0", "1", "0", "", "")
    assert load(ConcatDataset([unlabelled, unlabelled])).labels is None


@pytest.mark.parametrize("random", ["pixels", "flips"])
def test_a_dataset_that_differs_from_one_reading_to_the_next_is_refused_when_loaded(random: str) -> None:
    fixed = torch.rand(20, 1, 4, 4)
    generator = torch.Generator().manual_seed(0)

    class Augmented(Items):
        def __getitem__(self, index: int) -> Any:
            if random == "pixels":
                return fixed[index] + 0.01 * torch.randn(1, 4, 4, generator=generator), 0
            return fixed[index].flip(2) if torch.rand((), generator=generator) < 0.5 else fixed[index]

    with pytest.raises(InputError, match=r"item \d+ of Augmented differs from one reading to the next: .*numpy.stack"):
        load(Augmented(range(20)))
    with pytest.raises(InputError, match="differs from one reading to the next"):
        load(Subset(Augmented(range(20)), range(20)), labels=["a"] * 20)


def test_items_that_hold_nan_are_not_taken_for_random_ones() -> None:
    images = load(Items([torch.full((1, 4, 4), np.nan)]))
    with pytest.raises(InputError, match="hold NaN or infinite values"):
        images.read([0])


def test_items_of_other_types_or_sizes_than_the_first_are_named_when_read() -> None:
    images = load(
        Items([torch.zeros(1, 4, 4)] * 20 + [torch.zeros(1, 4, 4, dtype=torch.uint8)] + [torch.zeros(1, 4, 4)] * 99)
    )
    with pytest.raises(InputError, match=r"items 20 \(torch.uint8\) of Items are not of torch.float32, as item 0 is"):
        images.read([19, 20])
    with pytest.raises(InputError, match="items 20"):
        images.read([20])


class Wrong(Items):
    """A Dataset whose length or items fail in a way of their own."""

    def __len__(self) -> int:
        return self.length() if hasattr(self, "length") else len(self.items)

    def __getitem__(self, index: int) -> Any:
        return self.items[index]


def fails(*_: Any) -> Any:
    raise KeyError("no such row")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (Wrong(pairs([0, 1]), length=lambda: 5), r"item \d of Wrong cannot be read \(IndexError: .* its length says"),
        (Wrong(pairs([0, 1]), length=fails), r"Wrong has no length \(KeyError"),
        (
            Items([{"image": torch.zeros(1, 4, 4), "label": 1}]),
            r"item 0 of Items is a dict of 'image', 'label': give a",
        ),
        (Items([()]), r"item 0 of Items is a NoneType"),
        (Items([(torch.zeros(1, 4, 4), 1), torch.zeros(1, 4, 4)]), r"item 1 of Items has no label, as others have"),
        (Items([torch.zeros(1, 4, 4), None]), r"item 1 of Items is a NoneType"),
        (DataLoader(Items(pairs([0]))), r"DataLoader: give its Dataset, loader.dataset"),
        ({"a": X}, r"read from a dict: give one of the arrays in it"),
        (xr.Dataset({"a": labelled_array()}), r"read from a Dataset: give one of the arrays in it"),
        (list, r"read from a type"),
        (b"folder", r"read from a bytes"),
        (range(3), r"item 0 of range is a int"),
    ],
    ids=lambda v: v[:30] if isinstance(v, str) else "",
)
def test_sources_that_hold_no_images_are_refused_with_the_way_out(source: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load(source)


def test_a_stream_is_refused_also_where_it_has_a_length() -> None:
    class Stream(IterableDataset):
        def __len__(self) -> int:
            return 3

        def __iter__(self) -> Any:
            return iter(X)

    with pytest.raises(InputError, match="read from a Stream: give a map-style Dataset"):
        load(Stream())


# Pixels in memory


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (np.ma.array(X, mask=X == 0), r"images are partly masked, .*images.filled\(0\)"),
        (torch.zeros(1, 1, 4, 4, device="meta"), r"images are a meta tensor of torch.float32: it holds no values"),
        (torch.zeros(1, 1, 4, 4).to_sparse(), r"nested or sparse tensor .*to_dense"),
        (torch.zeros(1, 1, 4, 4, dtype=torch.complex64), r"images are torch.complex64: give floats"),
        (np.zeros((1, 1, 2, 2), "U3"), r"images are <U3"),
        (np.zeros((1, 1, 2, 2), [("a", float)]), r"images are .*give floats"),
        (np.zeros((1, 1, 2, 2), bool), r"images are bool"),
        (xr.DataArray(np.zeros((1, 1, 2, 2), int), dims=("image", "band", "row", "col")), r"images are int64"),
        ([[[[0.0]]]], r"read from a list"),
    ],
)
def test_pixels_that_are_no_values_of_images_are_refused(source: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load(source)


def test_nested_and_quantised_tensors_are_refused() -> None:
    with warnings.catch_warnings(action="ignore"):
        nested = torch.nested.nested_tensor([torch.zeros(1, 4, 4), torch.zeros(1, 5, 4)])
        quantised = torch.quantize_per_tensor(torch.zeros(1, 1, 4, 4), 0.1, 0, torch.quint8)
    for source, message in ((nested, "nested or sparse"), (quantised, r"quantised tensor .*dequantize")):
        with pytest.raises(InputError, match=message):
            load(source)


def test_masked_arrays_that_mask_nothing_and_short_floats_are_read_as_they_are() -> None:
    values = torch.rand(2, 1, 4, 4, generator=torch.Generator().manual_seed(0)).bfloat16()
    assert torch.equal(load(values).read([0, 1]), values.float())
    assert torch.equal(load(values.double()).read([0, 1]), values.float())
    array = values.float().numpy()
    for masked in (np.ma.array(array), np.ma.array(array, mask=np.zeros_like(array, bool))):
        np.testing.assert_array_equal(load(masked).read([0, 1]).numpy(), array)


def test_values_too_large_for_single_precision_are_refused_without_a_warning_of_numpy() -> None:
    with pytest.raises(InputError, match="hold NaN or infinite values"):
        load(np.full((1, 1, 2, 2), 1e300)).read([0])


def test_a_labelled_array_on_disk_is_read_only_where_and_when_it_is_asked_for(tmp_path: Path) -> None:
    xr.DataArray(X, dims=("image", "band", "row", "col"), name="x").to_zarr(tmp_path / "x.zarr", consolidated=False)
    images = load(xr.open_zarr(tmp_path / "x.zarr", chunks=None, consolidated=False)["x"])
    array: Any = zarr.open_group(tmp_path / "x.zarr")["x"]
    array[2] = 7
    assert images.read([2, 0])[:, 0, 0, 0].tolist() == [7, 0]


# Unions


def test_a_union_is_read_in_runs_and_may_be_read_nowhere() -> None:
    parts = [load(xr.DataArray(X + k, dims=("image", "band", "row", "col"), name=f"p{k}")) for k in range(3)]
    whole = concatenate(parts)
    assert whole.read([]).shape == (0, 1, 4, 4)
    assert whole.read([-1, 0, 1, 3, 2])[:, 0, 0, 0].tolist() == [2, 0, 0, 1, 0]


@pytest.mark.parametrize("sets", ["ab", 5, None, [X], ["a"], {"a": 1}, load(X), [load(X), X]])
def test_what_is_no_list_of_image_sets_is_refused(sets: Any) -> None:
    with pytest.raises(InputError, match="sets"):
        concatenate(sets)


def test_a_set_is_not_joined_with_itself() -> None:
    images = load(X)
    with pytest.raises(InputError, match="names more than one set"):
        concatenate([images, images])
    assert isinstance(concatenate([images]), ImageSet)
