"""Selection of images by position, by mask, by id and by class."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from probekit.errors import InputError
from probekit.images import ImageSet, load

N = 6
IDS = tuple("abcdef")
X = torch.arange(N).float().view(N, 1, 1, 1).expand(N, 1, 2, 2)
IMAGES = load(X, ids=IDS, labels=["cat", "dog", "cat", "bird", "dog", "3"])


def levels(images: ImageSet) -> list[int]:
    return images.read(range(len(images)))[:, 0, 0, 0].int().tolist()


@given(st.integers(-N, N - 1))
def test_one_position_gives_an_image_set_of_one(k: int) -> None:
    for key in (k, np.int64(k), np.array(k), torch.tensor(k)):
        one = IMAGES[key]
        assert (one.ids, one.labels, levels(one)) == ((IDS[k],), (IMAGES.labels[k],), [k % N])


@given(st.slices(N))
def test_a_slice_gives_what_it_gives_of_a_list(key: slice) -> None:
    assert IMAGES[key].ids == IDS[key]
    assert levels(IMAGES[key]) == list(range(N))[key]


@given(st.lists(st.booleans(), min_size=N, max_size=N))
def test_a_mask_gives_the_images_where_it_is_true(mask: list[bool]) -> None:
    expected = tuple(i for i, wanted in zip(IDS, mask, strict=True) if wanted)
    for key in (mask, np.array(mask), torch.tensor(mask), pd.Series(mask), xr.DataArray(mask, dims="image")):
        assert IMAGES[key].ids == IMAGES.subset(key).ids == expected


@given(st.lists(st.integers(-N, N - 1), max_size=N, unique_by=lambda k: k % N))
def test_positions_of_any_kind_give_the_images_in_their_order(positions: list[int]) -> None:
    expected = tuple(IDS[k] for k in positions)
    for key in (positions, tuple(positions), np.array(positions, int), torch.tensor(positions, dtype=torch.int16)):
        assert IMAGES[key].ids == IMAGES.subset(key).ids == expected
        assert IMAGES.read(key)[:, 0, 0, 0].int().tolist() == [k % N for k in positions]


ODD_POSITIONS = [
    6, -7, 2**31, 2**63, True,
    0.0, 1.5, float("nan"), None, 1j, "a", "", b"a", [0.0], ["a"], [[0, 1]], [True], [True, 1],
    [True] * 7, np.zeros(6), np.array([[0]]), np.array(["a"]), torch.zeros(6), torch.zeros(2, 2, dtype=torch.int64),
    [None], [6], range(7), range(-7, 0), {"a": 1}, slice("a"), slice(0, 1, 0), slice(0.5), Ellipsis, (0, slice(1)), int,
    lambda: 1, object(), np.array(True), pd.Series([0.5]), xr.DataArray(np.zeros((2, 2)), dims=("image", "band")),
    xr.DataArray([True], dims="image"), np.array([None]), np.array(["2024"], "M8[D]"),
]  # fmt: skip


@pytest.mark.parametrize("key", ODD_POSITIONS, ids=lambda v: repr(v).partition(" at 0x")[0][:30])
def test_what_is_no_position_is_refused_by_every_way_to_select(key: Any) -> None:
    for select in (IMAGES.__getitem__, IMAGES.subset, IMAGES.read):
        with pytest.raises(InputError, match=r"position|whole number|mask|sel\(image="):
            select(key)


def test_a_subset_needs_a_list_also_of_one() -> None:
    for select in (IMAGES.subset, IMAGES.read):
        with pytest.raises(InputError, match="indices=3: give whole numbers, a slice, or a mask"):
            select(3)


def test_an_image_selected_twice_is_refused_and_may_be_read_twice() -> None:
    with pytest.raises(InputError, match=r"ids a of .* occur more than once"):
        IMAGES[[0, 0]]
    assert IMAGES.read([0, 0]).shape == (2, 1, 2, 2)


def test_reading_no_images_gives_none_whatever_the_source() -> None:
    for images in (IMAGES, IMAGES[3:3], load(X.numpy()), load(torch.utils.data.TensorDataset(X))):
        assert images.read([]).shape == (0, 1, 2, 2)


@pytest.mark.parametrize(
    ("chosen", "ids"),
    [
        ({"label": "cat"}, "ac"),
        ({"label": ["dog", "cat"]}, "abce"),
        ({"label": np.array(["bird"])}, "d"),
        ({"label": 3}, "f"),
        ({"label": pd.Series(["cat"])}, "ac"),
        ({"image": "e"}, "e"),
        ({"image": ["e", "a"]}, "ea"),
        ({"image": xr.DataArray(["e", "a"], dims="image")}, "ea"),
        ({"image": xr.DataArray("e")}, "e"),
        ({"image": ["e", "a", "c"], "label": "cat"}, "ac"),
        ({"image": "a", "label": "dog"}, ""),
        ({"label": []}, ""),
    ],
)
def test_images_are_selected_by_id_in_the_order_asked_and_by_class_in_their_own(chosen: dict, ids: str) -> None:
    assert IMAGES.sel(**chosen).ids == tuple(ids)


def test_images_whose_class_is_missing_are_selected_by_the_empty_name() -> None:
    with pytest.warns(UserWarning, match="have no class"):
        images = load(X, labels=["cat", None, "dog", None, "cat", "dog"])
    assert images.sel(label="").ids == ("1", "3")


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({}, r"give image=, one id or a list, or label="),
        ({"label": "cats"}, r"label: Tensor of .* has no 'cats': give one of its 4, such as 'cat'"),
        ({"label": ["cat", "x", "y"]}, r"label: .* has no 'x', 'y'"),
        ({"image": "A"}, r"image: .* has no 'A': give one of its 6, such as"),
        ({"image": ["a", "a"]}, r"ids a of .* occur more than once"),
        ({"image": 0}, r"image: .* has no '0'"),
        ({"label": 0.5}, r"label: 0.5 at position 0 is no name"),
        ({"label": [["cat"]]}, r"is no name"),
        ({"image": {"a": 1}}, r"give a list of image"),
        ({"image": {"a"}}, r"a set has no order"),
        ({"image": slice("a", "c")}, r"is no name"),
        ({"image": len}, r"is no name"),
    ],
)
def test_what_names_no_image_is_refused_with_names_that_are_there(chosen: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        IMAGES.sel(**chosen)


def test_a_set_without_classes_has_none_to_select_by() -> None:
    with pytest.raises(InputError, match=r"label='cat': .* has no classes: load it with labels="):
        load(X).sel(label="cat")


def test_iteration_gives_each_image_once_as_a_set_of_one_and_ends() -> None:
    assert [one.ids for one in IMAGES] == [(name,) for name in IDS]
    assert [levels(one) for one in reversed(IMAGES)] == [[k] for k in reversed(range(N))]


def test_an_image_is_in_the_set_if_its_id_is() -> None:
    assert "a" in IMAGES
    assert "cat" not in IMAGES
    assert [] not in IMAGES


def test_a_set_of_images_is_no_array() -> None:
    for convert in (np.asarray, np.array):
        with pytest.raises(InputError, match=r"is no array: its images are .read\(range\(6\)\)"):
            convert(IMAGES)


@pytest.mark.parametrize(
    ("make", "shown"),
    [
        (lambda: load(X), "ImageSet('Tensor of shape (6, 1, 2, 2)', 6 images of 1×2×2, no classes)"),
        (lambda: IMAGES, "ImageSet('Tensor of shape (6, 1, 2, 2)', 6 images of 1×2×2, 4 classes: cat, dog, bird, 3)"),
        (lambda: IMAGES[0], "1 image of 1×2×2, 1 class: cat)"),
        (lambda: load(X, labels=list("abcdef")), "6 classes: a, b, c, d, e and 1 more)"),
    ],
)
def test_a_set_is_shown_in_a_line_without_its_ids(make: Callable[[], ImageSet], shown: str) -> None:
    assert shown in repr(make())
    assert len(repr(load(np.zeros((10000, 1, 1, 1)), labels=range(10000)))) < 200


class Failing:
    """Says that it is an array, and fails when it is read."""

    dtype = np.dtype(np.int64)

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise OSError


@pytest.mark.parametrize(
    ("indices", "says"),
    [
        (range(10**30), "no image at position 999999999999999999999999999999: there are 6"),
        (range(-(10**30), 1), "no image at position -1000000000000000000000000000000"),
        ([10**5000], "no image at position a int: there are 6"),
        (np.zeros(1, "M8[s]"), r"indices are datetime64\[s\]: give whole numbers"),
        (pd.Series(pd.to_timedelta([1], "D")), r"indices are timedelta64\[.*\]: give whole numbers"),
        (Failing(), r"it cannot be read \(OSError\); give whole numbers|indices=.*positions are whole"),
        (slice(Failing()), "indices is a slice: .*give whole numbers"),
    ],
    ids=["a long range", "a range from far below", "many digits", "dates", "times", "fails", "a slice"],
)
@pytest.mark.parametrize("use", [ImageSet.read, ImageSet.subset, ImageSet.__getitem__])
def test_positions_that_cannot_be_are_refused_before_they_are_listed(
    use: Callable[..., Any], indices: Any, says: str
) -> None:
    with pytest.raises(InputError, match=says):
        use(IMAGES, indices)


def test_ranges_are_positions_from_either_end() -> None:
    for key in (range(6), range(-6, 0), range(5, -1, -2), range(0), range(3, 3), range(-1, -7, -1)):
        expected = tuple(IDS[k] for k in key)
        assert IMAGES.subset(key).ids == expected
        assert IMAGES.read(key)[:, 0, 0, 0].int().tolist() == [k % N for k in key]


def test_all_of_a_generator_of_names_is_looked_at_however_often_one_occurs() -> None:
    names = ["dog"] * 20 + ["cat"]
    assert IMAGES.sel(label=(name for name in names)).ids == IMAGES.sel(label=names).ids == tuple("abce")
    with pytest.raises(InputError, match=r"label: .* has no 'rat'"):
        IMAGES.sel(label=(name for name in [*names, "rat"]))
    with pytest.raises(InputError, match=r"label=repeat.*: give names, one or a list"):
        IMAGES.sel(label=itertools.repeat("dog"))


def test_a_name_that_is_long_is_shown_by_its_beginning_and_its_end() -> None:
    with pytest.raises(InputError, match=r"has no 'aaa.{100,200}…a{100,200}zzz': give") as told:
        IMAGES.sel(image="a" * 10**6 + "zzz")
    assert len(str(told.value)) < 500
