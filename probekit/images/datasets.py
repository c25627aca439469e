"""Image sets of torch Datasets and what is indexed like one: items are read when asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from torch.utils.data import DataLoader, IterableDataset

from probekit.errors import InputError
from probekit.images.arrays import from_array
from probekit.images.imageset import ImageSet, checked_labels
from probekit.images.items import WANTED, item_of, length_of, probed
from probekit.images.targets import labels_of
from probekit.naming import named

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["from_dataset", "is_dataset"]


def is_dataset(source: Any) -> bool:
    """Whether it has a length and items at positions."""
    known = hasattr(type(source), "__getitem__") and hasattr(type(source), "__len__")
    others = (str, bytes, list, tuple, Mapping, type, pd.DataFrame, pd.Series, IterableDataset, DataLoader)
    return known and not isinstance(source, others)


def from_dataset(source: Any, *, with_labels: bool = True) -> ImageSet:
    """The images of a map-style Dataset, with its labels if these are wanted.

    Raises
    ------
    InputError
        If it is empty, an item cannot be read or is no image, items differ from one reading to the next, or labels are
        no names of classes.
    """
    kind = type(source).__name__
    count = length_of(source)

    first = _pixels(source, 0)

    c, h, w = first.shape
    _check_repeatable(source, count)
    ids = tuple(map(str, range(count)))
    labels = labels_of(source, range(count)) if with_labels else None
    if labels is not None:
        labels = checked_labels(labels, count)
    return ImageSet(kind, ids, labels, (c, h, w), Items(source, first.dtype))


class Items:
    """Reads the items of a Dataset, which are of the type of the first."""

    def __init__(self, source: Any, dtype: Any) -> None:
        self.source, self.dtype = source, dtype

    def __call__(self, indices: Sequence[int]) -> Tensor:
        kind = type(self.source).__name__
        images: list[Tensor] = []
        other: list[str] = []
        for i in indices:
            item = _pixels(self.source, i)
            # Items of 8 bits are divided by 255, and others are not.
            if _scale(item.dtype) != _scale(self.dtype):
                other.append(f"{i} ({item.dtype})")
            images.append(_values(item).read([0])[0])
        if other:
            raise InputError(f"items {named(other)} of {kind} are not of {self.dtype}, as item 0 is: give one type")
        odd = [str(i) for i, x in zip(indices, images, strict=True) if x.shape != images[0].shape]
        if odd:
            raise InputError(f"items {named(odd)} of {kind} differ in shape: give images of one size")
        return torch.stack(images)


def _pixels(source: Any, index: int) -> Any:
    """The image of an item, as it is."""
    kind, item = type(source).__name__, item_of(source, index)
    if isinstance(item, Mapping):
        raise InputError(
            f"item {index} of {kind} is a {type(item).__name__} of {named([repr(key) for key in item]) or 'nothing'}: "
            f"{WANTED}, by a Dataset whose __getitem__ picks these out of it"
        )
    if isinstance(item, tuple | list):
        item = item[0] if len(item) else None
    if not isinstance(item, torch.Tensor | np.ndarray) or item.ndim != 3:
        raise InputError(
            f"item {index} of {kind} is a {type(item).__name__}: {WANTED}, converting PIL images in its transform"
        )
    return item


def _scale(dtype: Any) -> int:
    """What the values of an image of this type are divided by."""
    return 255 if dtype in (torch.uint8, np.dtype(np.uint8)) else 1


def _values(pixels: Any) -> ImageSet:
    """The image of an item as a set of one; what is read of it is a copy, since a set may use its memory again."""
    return from_array(pixels[None], "item")


def _check_repeatable(source: Any, count: int) -> None:
    """Refuse a set that gives other pixels each time: what is measured would be of no image in particular."""
    kind = type(source).__name__
    chosen = probed(range(count))

    def look(index: int) -> np.ndarray:
        return _values(_pixels(source, index))._read([0])[0].numpy()

    once = {index: look(index) for index in chosen}
    # In the other order, so that what depends on the item read before differs too.
    for index in reversed(chosen):
        if not np.array_equal(once[index], look(index), equal_nan=True):
            raise InputError(
                f"item {index} of {kind} differs from one reading to the next: leave out what is random in its "
                "transform, or keep one of each, numpy.stack([dataset[i][0] for i in range(len(dataset))])"
            )
