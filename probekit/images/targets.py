"""What a torch Dataset says of the classes of its items: by `targets` and `classes`, or item by item."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

import numpy as np
import pandas as pd
import torch
import xarray as xr
from torch.utils.data import ConcatDataset, Subset

from probekit.checks import attribute, given, is_real, shown, unwrapped
from probekit.errors import InputError
from probekit.images.items import item_of, probed
from probekit.images.positions import positions_of
from probekit.naming import name_of

__all__ = ["labels_of"]

Extension = pd.api.extensions.ExtensionArray


def labels_of(source: Any, positions: Sequence[int]) -> list[Any] | None:
    """What is said of classes of the items at these positions, by name where these are known; None where nothing is.

    Raises
    ------
    InputError
        If targets are no classes, are not one per item or differ from those in the items, or two classes have one name.
    """
    # Of positions from the end, the parts that they lie in are found by those from the beginning.
    positions = positions_of(f"positions in {type(source).__name__}", positions, len(source))
    # What takes items out of other sets has no targets of its own.
    if type(source) is Subset:
        return labels_of(source.dataset, [source.indices[p] for p in positions])
    if type(source) is ConcatDataset:
        return _labels_of_parts(source, positions)
    # A target_transform makes labels of targets that the set's own names may not fit.
    changed = attribute(source, "target_transform") is not None
    own = None if changed else _sequence(attribute(source, "targets"))
    names = None if changed else _classes(source)
    if own is not None and len(own) != len(source):
        raise InputError(
            f"{type(source).__name__} has {len(source)} items and {len(own)} targets: give labels=, one per image"
        )
    if own is None and not any(_has_target(item_of(source, p)) for p in probed(positions)):
        return None
    if own is not None:
        _check_agreement(source, own, names, positions)
    indices: dict[str, int] = {}
    # One by one, since a set may use the memory of a target again.
    return [_label(source, p, _target(source, p) if own is None else own[p], names, indices) for p in positions]


def _labels_of_parts(source: ConcatDataset, positions: Sequence[int]) -> list[Any] | None:
    ends = source.cumulative_sizes
    part = np.searchsorted(ends, positions, side="right")
    found: dict[int, Any] = {}
    for k in np.unique(part).tolist():
        at = np.flatnonzero(part == k).tolist()
        labels = labels_of(source.datasets[k], [positions[i] - (ends[k - 1] if k else 0) for i in at])
        if labels is not None:
            found |= dict(zip(at, labels, strict=True))
    return [found.get(i) for i in range(len(positions))] if found else None


def _sequence(value: Any) -> list[Any] | None:
    """The items of what is a list of some kind."""
    several = isinstance(value, Sequence | np.ndarray | torch.Tensor | xr.DataArray | pd.Series | pd.Index | Extension)
    several = several and not isinstance(value, str | bytes)
    return list(value) if several and attribute(value, "ndim", 1) else None


def _classes(source: Any) -> list[str] | None:
    """The names of a set's classes in the order of their numbers; of several names for one, all, parted by commas."""
    value = attribute(source, "classes")
    if isinstance(value, Mapping):
        value = _in_order(source, value)
    if isinstance(value, AbstractSet):
        raise InputError(
            f"classes of {type(source).__name__} are a set, which has no order: make them a list, or give labels="
        )
    names = _sequence(value)
    if not names:
        return None
    found = [_joined(name) for name in names]
    bad = [k for k, name in enumerate(found) if name is None]
    if bad:
        raise InputError(
            f"class {bad[0]} of {type(source).__name__} is {shown(names[bad[0]])}, which is no name: make classes a "
            "list of strings, or give labels=, one class per image"
        )
    return [str(name) for name in found]


def _joined(name: Any) -> str | None:
    """A name of a class, of several all; None where one is none."""
    if not isinstance(name, tuple | list):
        return name_of(name)
    parts = [name_of(part) for part in name]
    return ", ".join(map(str, parts)) if parts and all(parts) else None


def _in_order(source: Any, names: Mapping[Any, Any]) -> list[Any]:
    """The names of a dictionary from numbers to names, or from names to numbers."""
    for pairs in (list(names.items()), [(number, name) for name, number in names.items()]):
        if all(is_real(unwrapped(number)) for number, _ in pairs):
            found = {name_of(number): name for number, name in pairs}
            if set(found) == set(map(str, range(len(pairs)))):
                return [found[str(k)] for k in range(len(pairs))]
    raise InputError(
        f"classes of {type(source).__name__} are a dictionary that does not count them from 0: make them a list of "
        "names, or give labels=, one class per image"
    )


def _has_target(item: Any) -> bool:
    return isinstance(item, tuple | list) and len(item) > 1


def _target(source: Any, index: int) -> Any:
    item = item_of(source, index)
    if not _has_target(item):
        raise InputError(f"item {index} of {type(source).__name__} has no label, as others have: give labels=")
    return item[1]


def _label(source: Any, index: int, target: Any, names: list[str] | None, indices: dict[str, int]) -> Any:
    """The class of an item; `indices` remembers which class of the set has which name."""
    kind = type(source).__name__
    if names:
        at = _place(target, names)
        if at is None:
            raise InputError(
                f"{given('target', target)} of {kind} is none of its {len(names)} classes, which are counted "
                "from 0: give labels=, one class per image, None for images without one"
            )
        if isinstance(at, str):
            return at
        if names[at] and indices.setdefault(names[at], at) != at:
            raise InputError(
                f"classes of {kind} have the name {names[at]!r} more than once: give labels=, one class per image, "
                f"under names that differ; they are classes {indices[names[at]]} and {at}"
            )
        return names[at]
    # Boxes, masks and several classes an image.
    if isinstance(target, Mapping | list | tuple) or attribute(target, "ndim", 0):
        raise InputError(
            f"targets of {kind}, such as that of item {index}, a {type(target).__name__}, are not one class per image: "
            "give labels=, one class per image, or labels=[None] * len(dataset) to leave classes out"
        )
    name = name_of(target)
    return target if name is None else name


def _place(target: Any, names: list[str]) -> int | str | None:
    """Where a target is among the classes; as a name where it is one of these or missing, None where it is neither."""
    found, name = unwrapped(target), name_of(target)
    if isinstance(found, enum.Enum):
        found = found.value
    if name == "" or (isinstance(found, str | bytes | bool | np.bool_) and name in names):
        return name
    if name is not None and is_real(found) and 0 <= int(name) < len(names):
        return int(name)
    return None


def _check_agreement(source: Any, own: list[Any], names: list[str] | None, positions: Sequence[int]) -> None:
    """Refuse targets that are of other items, as of a set that reorders another, and hands its targets on."""
    for p in probed(positions):
        item = item_of(source, p)
        # What is no name, such as a box or a mask, says nothing of the class.
        if not _has_target(item) or name_of(item[1]) is None:
            continue
        said = _said_of(item[1], names), _said_of(own[p], names)
        if said[0] != said[1]:
            raise InputError(
                f"item {p} of {type(source).__name__} has the label {name_of(item[1])!r}, and its targets say "
                f"{name_of(own[p])!r} there: give labels=, one per image, e.g. "
                "labels=[dataset[i][1] for i in range(len(dataset))]"
            )


def _said_of(target: Any, names: list[str] | None) -> str | None:
    place = _place(target, names) if names else None
    return names[place] if names and isinstance(place, int) else name_of(target)
