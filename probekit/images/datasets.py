"""Image sets of torch Datasets and what is indexed like one: items are read when asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from torch.utils.data import ConcatDataset, DataLoader, IterableDataset, Subset

from probekit.checks import attribute, given, is_real, unwrapped
from probekit.errors import InputError
from probekit.images.arrays import from_array
from probekit.images.imageset import ImageSet, checked_labels
from probekit.naming import name_of, named

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["from_dataset", "is_dataset"]

# Items that are read twice to see whether a set gives the same each time: a flip by chance is missed once in 256.
PROBED = 8
WANTED = "give a Dataset of tensors (C, H, W) or of (tensor, label) pairs"


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
    count = _length(source)

    first = _pixels(source, 0)

    def read(indices: Sequence[int]) -> Tensor:
        images, other = [], []
        for i in indices:
            item = _pixels(source, i)
            # Items of 8 bits are divided by 255, and others are not.
            if _scale(item) != _scale(first):
                other.append(f"{i} ({item.dtype})")
            # Copied at once: a set may hand out the same memory for every item.
            images.append(from_array(item[None], "item").read([0])[0].clone())
        if other:
            raise InputError(f"items {named(other)} of {kind} are not of {first.dtype}, as item 0 is: give one type")
        odd = [str(i) for i, x in zip(indices, images, strict=True) if x.shape != images[0].shape]
        if odd:
            raise InputError(f"items {named(odd)} of {kind} differ in shape: give images of one size")
        return torch.stack(images)

    c, h, w = first.shape
    _check_repeatable(source, count)
    ids = tuple(map(str, range(count)))
    labels = _labels(source, range(count)) if with_labels else None
    if labels is not None:
        labels = checked_labels(labels, count)
    return ImageSet(kind, ids, labels, (c, h, w), read)


def _length(source: Any) -> int:
    kind = type(source).__name__
    try:
        count = len(source)
    except Exception as error:
        raise InputError(f"{kind} has no length ({_said(error)}): {WANTED}, with __len__ and __getitem__") from error
    if count == 0:
        raise InputError(f"{kind} is empty: there are no images in it")
    return count


def _item(source: Any, index: int) -> Any:
    kind = type(source).__name__
    try:
        return source[index]
    except Exception as error:
        raise InputError(
            f"item {index} of {kind} cannot be read ({_said(error)}), and its length says that it is there: {WANTED}"
        ) from error


def _pixels(source: Any, index: int) -> Any:
    """The image of an item, as it is."""
    kind, item = type(source).__name__, _item(source, index)
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


def _scale(pixels: Any) -> int:
    """What the values of an image are divided by."""
    return 255 if pixels.dtype in (torch.uint8, np.dtype(np.uint8)) else 1


def _check_repeatable(source: Any, count: int) -> None:
    """Refuse a set that gives other pixels each time: what is measured would be of no image in particular."""
    kind = type(source).__name__
    for index in np.unique(np.linspace(0, count - 1, min(count, PROBED)).round().astype(int)).tolist():
        once, again = (from_array(_pixels(source, index)[None], "item") for _ in range(2))
        if once.shape != again.shape or not np.array_equal(*(x._read([0]) for x in (once, again)), equal_nan=True):
            raise InputError(
                f"item {index} of {kind} differs from one reading to the next: leave out what is random in its "
                "transform, or keep one of each, numpy.stack([dataset[i][0] for i in range(len(dataset))])"
            )


def _labels(source: Any, positions: Sequence[int]) -> list[Any] | None:
    """What is said of the classes of these items, None where nothing is; by name where names are known."""
    # What takes items out of other sets has no targets of its own.
    if type(source) is Subset:
        # Positions may count from the end.
        return _labels(source.dataset, [int(source.indices[p]) % len(source.dataset) for p in positions])  # pyright: ignore[reportArgumentType]
    if type(source) is ConcatDataset:
        return _labels_of_parts(source, positions)
    if not _has_target(_item(source, positions[0])):
        return None
    # A target_transform makes labels of targets that the set's own names may not fit.
    changed = attribute(source, "target_transform") is not None
    own = None if changed else _sequence(attribute(source, "targets"))
    names = None if changed else _sequence(attribute(source, "classes"))
    if own is None:
        targets = [_target(source, p) for p in positions]
    elif len(own) == len(source):
        targets = [own[p] for p in positions]
    else:
        raise InputError(
            f"{type(source).__name__} has {len(source)} items and {len(own)} targets: give labels=, one per image"
        )
    if names:
        names = _named_once(source, names)
    if own is not None:
        _check_targets(source, positions, targets, names or [])
    if names:
        return [_class(source, target, names) for target in targets]
    _check_single(source, targets)
    return targets


def _named_once(source: Any, names: list[Any]) -> list[Any]:
    """Names of classes, of synonyms joined; two classes of one name would be taken for one."""
    joined = [", ".join(map(str, name)) if isinstance(name, tuple) else name for name in names]
    twice = [name for name, times in Counter(map(name_of, joined)).items() if name and times > 1]
    if twice:
        raise InputError(
            f"classes of {type(source).__name__} have the name {twice[0]!r} more than once: give labels=, one class "
            "per image, under names that differ"
        )
    return joined


def _check_targets(source: Any, positions: Sequence[int], targets: Sequence[Any], names: list[Any]) -> None:
    """Refuse a list of targets that is not of the items, such as that of a set which this one takes items out of."""
    for k in np.unique(np.linspace(0, len(positions) - 1, min(len(positions), PROBED)).round().astype(int)).tolist():
        item = _item(source, positions[k])
        if not _has_target(item):
            continue
        told, listed_as = name_of(item[1]), name_of(targets[k])
        if told is None or listed_as is None or told == listed_as:
            continue
        if names and listed_as.isdecimal() and int(listed_as) < len(names) and told == name_of(names[int(listed_as)]):
            continue
        raise InputError(
            f"item {positions[k]} of {type(source).__name__} has the label {told!r}, and its targets say {listed_as!r} "
            "there: give labels=, one per image"
        )


def _sequence(value: Any) -> list[Any] | None:
    """The items of what is a list of some kind."""
    several = isinstance(value, Sequence | np.ndarray | torch.Tensor | pd.Series) and not isinstance(value, str | bytes)
    return list(value) if several and attribute(value, "ndim", 1) else None


def _has_target(item: Any) -> bool:
    return isinstance(item, tuple | list) and len(item) > 1


def _target(source: Any, index: int) -> Any:
    item = _item(source, index)
    if not _has_target(item):
        raise InputError(f"item {index} of {type(source).__name__} has no label, as others have: give labels=")
    return item[1]


def _labels_of_parts(source: ConcatDataset, positions: Sequence[int]) -> list[Any] | None:
    ends = source.cumulative_sizes
    part = np.searchsorted(ends, positions, side="right")
    found: dict[int, Any] = {}
    for k in np.unique(part).tolist():
        at = np.flatnonzero(part == k).tolist()
        labels = _labels(source.datasets[k], [positions[i] - (ends[k - 1] if k else 0) for i in at])
        if labels is None:
            labels = [None] * len(at)
        found |= dict(zip(at, labels, strict=True))
    return [found[i] for i in range(len(positions))]


def _class(source: Any, target: Any, names: list[Any]) -> Any:
    """The name of a target among the classes of a set."""
    found, name = unwrapped(target), name_of(target)
    if name == "" or (isinstance(found, str) and found in names):
        return name
    if name is not None and is_real(found) and 0 <= int(name) < len(names):
        return names[int(name)]
    raise InputError(
        f"{given('target', target)} of {type(source).__name__} is none of its {len(names)} classes, which are counted "
        "from 0: give labels=, one class per image, None for images without one"
    )


def _check_single(source: Any, targets: Sequence[Any]) -> None:
    """Refuse targets that are no classes, such as boxes, masks or several classes an image."""
    several = [k for k, t in enumerate(targets) if isinstance(t, Mapping | list | tuple) or attribute(t, "ndim", 0)]
    if several:
        raise InputError(
            f"targets of {type(source).__name__}, such as that of item {several[0]}, a "
            f"{type(targets[several[0]]).__name__}, are not one class per image: give labels=, one class per image, or "
            "labels=[None] * len(dataset) to leave classes out"
        )


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:200]
