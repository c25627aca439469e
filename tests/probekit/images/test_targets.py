"""Labels of torch Datasets are those of the items that their pixels come from, or they are refused."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
from torch.utils.data import ConcatDataset, Dataset, Subset

from probekit.errors import InputError
from probekit.images import load

COUNT = 6


class Told(Dataset):
    """Images that hold their number, with targets and whatever else is said of them."""

    def __init__(self, targets: Sequence[Any], *, start: int = 0, alone: bool = False, **attributes: Any) -> None:
        self.targets, self.start, self.alone = targets, start, alone
        self.__dict__.update(attributes)

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> Any:
        k = range(len(self))[index]
        image = torch.full((1, 2, 2), float(self.start + k))
        return image if self.alone else (image, self.targets[k])


class Forwarding(Dataset):
    """The items of another set in another order, with that set's own attributes."""

    def __init__(self, inside: Any, order: Sequence[int]) -> None:
        self.inside, self.order = inside, order

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, index: int) -> Any:
        return self.inside[self.order[index]]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "inside":
            raise AttributeError(name)
        return getattr(self.inside, name)


class Stale(Subset):
    """A part of a set under the targets and classes of the whole."""

    @property
    def targets(self) -> Any:
        return self.dataset.targets  # pyright: ignore[reportAttributeAccessIssue]

    @property
    def classes(self) -> Any:
        return self.dataset.classes  # pyright: ignore[reportAttributeAccessIssue]


def numbers(dataset: Any) -> list[int]:
    images = load(dataset, labels=[None] * len(dataset))
    return images.read(range(len(images)))[:, 0, 0, 0].int().tolist()


@pytest.mark.parametrize("positions", [[-1, -2], [0, -1, 2, -6], [-4, 3], [5, 4, -6]])
def test_positions_from_the_end_have_the_labels_of_their_images(positions: list[int]) -> None:
    parts = [Told([0, 1, 0], classes=["cat", "dog"]), Told([0, 0, 1], start=3, classes=["fish", "bird"])]
    names = ["cat", "dog", "cat", "fish", "fish", "bird"]
    for whole in (ConcatDataset(parts), ConcatDataset([ConcatDataset(parts)]), Subset(ConcatDataset(parts), range(6))):
        part = Subset(whole, positions)
        assert load(part).labels == tuple(names[k] for k in numbers(part))


@pytest.mark.parametrize("position", [6, -7])
def test_a_part_of_items_that_are_not_there_is_refused(position: int) -> None:
    class Endless(Told):
        def __getitem__(self, index: int) -> Any:
            return torch.zeros(1, 2, 2), 0

    with pytest.raises(InputError, match=f"no image at position {position}"):
        load(Subset(Endless([0] * 6), [0, position]))


@pytest.mark.parametrize("classes", [None, ["cat", "dog"]])
@pytest.mark.parametrize("make", [Forwarding, lambda data, order: Stale(data, order)])
def test_targets_that_are_of_other_items_are_refused_with_the_way_out(make: Any, classes: Any) -> None:
    told = Told([0, 0, 0, 1, 1, 1], classes=classes)
    wrong = make(told, [5, 4, 3, 2, 1, 0])
    for data in (wrong, Subset(wrong, [0, 1]), ConcatDataset([told, wrong])):
        with pytest.raises(
            InputError, match=r"has the label '1', and its targets say '0' there: give labels=.*dataset"
        ):
            load(data)
    assert load(wrong, labels=[wrong[k][1] for k in range(COUNT)]).labels == ("1", "1", "1", "0", "0", "0")
    assert load(make(told, range(COUNT))).labels == load(told).labels


def test_items_reordered_without_their_targets_are_refused() -> None:
    data = Told([0, 1, 0, 1, 0, 1])
    data.targets, before = [1, 0, 1, 0, 1, 0], data.targets
    data.__class__ = type("Moved", (Told,), {"__getitem__": lambda _, k: (torch.full((1, 2, 2), float(k)), before[k])})
    with pytest.raises(InputError, match="item 0 of Moved has the label '0', and its targets say '1'"):
        load(data)


def test_items_that_hold_something_else_than_a_class_do_not_speak_against_targets() -> None:
    class Boxed(Told):
        def __getitem__(self, index: int) -> Any:
            return super().__getitem__(index)[0], torch.zeros(4)

    assert load(Boxed([0, 1, 0], classes=["cat", "dog"])).labels == ("cat", "dog", "cat")


@pytest.mark.parametrize(
    "classes", [["crane", "ox", "crane"], [("crane",), "ox", "crane"], {0: "crane", 1: "ox", 2: "crane"}]
)
def test_two_classes_of_one_name_are_refused_where_both_occur(classes: Any) -> None:
    data = Told([0, 1, 2], classes=classes)
    with pytest.raises(InputError, match=r"have the name 'crane' more than once: .* classes 0 and 2"):
        load(data)
    assert load(Subset(data, [1, 2])).labels == ("ox", "crane")
    assert load(ConcatDataset([Subset(data, [0, 1]), Subset(data, [2])])).labels == ("crane", "ox", "crane")


@pytest.mark.parametrize("kind", ["tensor", "array"])
def test_a_set_that_uses_its_memory_again_gives_each_image_and_label_its_own(kind: str) -> None:
    class Reused(Dataset):
        image: Any = torch.zeros(1, 2, 2) if kind == "tensor" else np.zeros((1, 2, 2), np.float32)
        target: Any = torch.zeros((), dtype=torch.long) if kind == "tensor" else np.zeros((), int)

        def __len__(self) -> int:
            return COUNT

        def __getitem__(self, index: int) -> Any:
            self.image[...] = index
            self.target[...] = index % 3
            return self.image, self.target

    images = load(Reused())
    assert images.read(range(COUNT))[:, 0, 0, 0].tolist() == list(range(COUNT))
    assert images.labels == ("0", "1", "2", "0", "1", "2")
    assert load(Subset(Reused(), [4, 2])).read([0, 1])[:, 0, 0, 0].tolist() == [4, 2]


def test_a_set_whose_items_depend_on_the_one_read_before_is_refused() -> None:
    class Remembering(Told):
        last = 0

        def __getitem__(self, index: int) -> Any:
            image, self.last = torch.full((1, 2, 2), float(self.last)), index
            return image

    with pytest.raises(InputError, match="differs from one reading to the next"):
        load(Remembering([0] * COUNT))


def test_targets_are_the_labels_of_items_that_are_the_image_alone() -> None:
    named = Told([0, 1, 0], alone=True, classes=["cat", "dog"])
    assert load(named).labels == ("cat", "dog", "cat")
    assert load(Subset(named, [-1, 1])).labels == ("cat", "dog")
    assert load(Told(["a", "b"], alone=True)).labels == ("a", "b")


def test_items_of_which_only_some_have_a_label_are_refused_whichever_comes_first() -> None:
    class Some(Told):
        def __getitem__(self, index: int) -> Any:
            return super().__getitem__(index)[: 1 + index % 2]

    with pytest.raises(InputError, match="item 0 of Some has no label, as others have"):
        load(Some([0, 1], target_transform=int))


class Animal(enum.Enum):
    CAT, DOG = "cat", "dog"


@pytest.mark.parametrize(
    "classes",
    [
        pd.Index(["cat", "dog"]),
        pd.Categorical(["cat", "dog"]),
        xr.DataArray(["cat", "dog"]),
        {0: "cat", 1: "dog"},
        {"dog": 1, "cat": 0},
        {np.int64(1): "dog", np.int64(0): "cat"},
        [b"cat", b"dog"],
    ],
)
def test_classes_of_whatever_kind_name_the_targets(classes: Any) -> None:
    for targets in ([0, 1], ["cat", "dog"], [b"cat", b"dog"], [Animal.CAT, Animal.DOG]):
        assert load(Told(targets, classes=classes)).labels == ("cat", "dog")


def test_several_names_of_a_class_are_one_name() -> None:
    classes = [("tench", "Tinca tinca"), ["goldfish", "Carassius auratus"]]
    assert load(Told([1, 0], classes=classes)).labels == ("goldfish, Carassius auratus", "tench, Tinca tinca")


def test_true_and_false_are_classes_where_these_are_names_of_them() -> None:
    assert load(Told([True, False], classes=[False, True])).labels == ("True", "False")


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ({"cat", "dog"}, "a set, which has no order: make them a list"),
        ({1: "cat", 2: "dog"}, "a dictionary that does not count them from 0: make them a list"),
        ({"a": "cat", "b": "dog"}, "a dictionary that does not count them from 0"),
        (["cat", 0.5], "class 1 of Told is 0.5, which is no name"),
        ([("cat", 0.5), "dog"], r"class 0 of Told is .*, which is no name"),
        ([{"name": "cat"}, "dog"], r"class 0 of Told is .*, which is no name"),
    ],
)
def test_classes_that_name_nothing_are_refused_with_the_way_out(classes: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load(Told([0, 1], classes=classes))
    assert load(Told([0, 1], classes=classes), labels=["x", "y"]).labels == ("x", "y")
