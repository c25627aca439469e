"""What a network is given of each image beside its noisy version: conditions, addressed by image id."""

from __future__ import annotations

import hashlib
import inspect
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import xarray as xr
from torch import nn

from probekit.checks import given as shown
from probekit.checks import mapping
from probekit.denoising.denoiser import Denoiser, network_inside
from probekit.denoising.inputs import sigma_place
from probekit.errors import InputError, ProbeError
from probekit.images import ImageSet
from probekit.images.imageset import named, plain

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Conditions", "by_row", "check_names", "conditions_for", "of_rows", "placed"]

# Numbers of a condition that are read at once to take its fingerprint.
FINGERPRINT_ELEMENTS = 2**22
WANTED = (
    "give an array or tensor (image, …) of numbers or booleans with one entry an image, a DataArray with dim image, "
    "a mapping from image id to entry, or one number, bool, string or None for all"
)


@dataclass(frozen=True)
class Entries:
    """The entries of one condition, one an image, read when asked for.

    Attributes
    ----------
    name : str
        Of the condition.
    shape : tuple[int, ...]
        Of an entry.
    rows : Sequence[int]
        Where the entry of each image is.
    run : callable
        Gives the entries from one row up to another.
    """

    name: str
    shape: tuple[int, ...]
    rows: Sequence[int]
    run: Callable[[int, int], Any]

    def read(self, positions: Sequence[int]) -> Tensor:
        """The entries of the images at these positions, in main memory: floats as they are, int64 or bool."""
        wanted = [self.rows[p] for p in positions]
        runs = list(_runs(sorted(set(wanted))))
        at = {row: k for k, row in enumerate(row for a, b in runs for row in range(a, b))}
        parts = [_numbers(self.name, self.run(a, b)) for a, b in runs]
        joined = parts[0] if len(parts) == 1 else torch.cat(parts)
        if tuple(joined.shape) != (len(at), *self.shape):
            raise InputError(
                f"condition {self.name!r} gave shape {tuple(joined.shape)} where {(len(at), *self.shape)} was announced"
            )
        order = [at[row] for row in wanted]
        return joined if order == list(range(len(at))) else joined[order]


class Conditions:
    """What belongs to each image of a set; made by `conditions_for`.

    Attributes
    ----------
    ids : tuple[str, ...]
        Of the images, in the order of their set.
    each : Mapping[str, Entries]
        Conditions with one entry an image.
    same : Mapping[str, Any]
        Those that are the same for all images.
    """

    def __init__(self, ids: Sequence[str], each: Mapping[str, Entries], same: Mapping[str, Any]) -> None:
        self.ids, self.each, self.same = tuple(ids), dict(each), dict(same)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def names(self) -> tuple[str, ...]:
        """All of them."""
        return (*self.each, *self.same)

    @property
    def vary(self) -> bool:
        """Whether images may differ in them."""
        return bool(self.each) and len(self) > 1

    def read(self, positions: Sequence[int], place: Tensor) -> dict[str, Any]:
        """The conditions of the images at these positions, in main memory, floats of the type of `place`.

        Tensors (n, …), but for what is the same for all, which is as it was given.
        """
        read = {name: entries.read(positions) for name, entries in self.each.items()}
        return {k: v.to(place.dtype) if v.is_floating_point() else v for k, v in read.items()} | self.same

    def at(self, positions: Sequence[int], place: Tensor) -> dict[str, Any]:
        """The same on the device of `place`."""
        return placed(self.read(positions, place), place)

    def subset(self, positions: Sequence[int]) -> Conditions:
        """Those of the images at these positions, in this order."""
        kept = [range(len(self))[p] for p in positions]
        each = {k: Entries(e.name, e.shape, [e.rows[p] for p in kept], e.run) for k, e in self.each.items()}
        return Conditions([self.ids[p] for p in kept], each, self.same)

    def fingerprints(self) -> dict[str, str]:
        """SHA-256 of each condition's name, type, shape and content, image by image; all of it is read once."""
        return {k: _digest(e, len(self)) for k, e in self.each.items()} | {
            k: hashlib.sha256(f"{k}\0{type(v).__name__}\0{_exact(v)}".encode()).hexdigest()
            for k, v in self.same.items()
        }


def conditions_for(denoiser: nn.Module, conditions: Any, images: ImageSet | Sequence[str]) -> Conditions:
    """Conditions of a set of images, each addressed by image id.

    Parameters
    ----------
    denoiser
        What is called with them; it must take them by these names, and lack none.
    conditions
        None; or by name what the network takes beside the image and σ, each

        - an array, a tensor, or what is indexed like one (numpy.memmap, zarr), (image, …), in the
          order of the images; read batch by batch. Floats are converted to the network's type, whole
          numbers to int64, booleans stay;
        - a DataArray with dim ``image``, whose coordinate, if it has one, says whose each entry is:
          it may hold further images, in any order;
        - a mapping from image id to entry;
        - a number, a string, a bool, None, or an array of no dims, which is the same for all images
          and passed on unchanged.
    images
        The images, or their ids.

    Raises
    ------
    InputError
        If a name is unknown to the network or one that it needs is missing, there is not one entry an
        image, ids are missing or repeated, or entries are no numbers.
    """
    ids = images.ids if isinstance(images, ImageSet) else tuple(images)
    if isinstance(conditions, Conditions):
        if conditions.ids != ids:
            raise InputError(f"conditions of {len(conditions)} other images were given: give those of {named(ids)}")
        check_names(denoiser, conditions.names)
        return conditions
    example = '{"given": array (image, …)}, by the names that the network\'s forward has'
    values = mapping("conditions", {} if conditions is None else conditions, example)
    check_names(denoiser, values)
    each = {name: _read(name, value, ids) for name, value in values.items() if not _for_all(value)}
    return Conditions(ids, each, {name: value for name, value in values.items() if name not in each})


def check_names(denoiser: nn.Module, names: Sequence[str] | Mapping[str, Any]) -> None:
    """Refuse conditions that the network does not take, and their lack where it needs some.

    Raises
    ------
    InputError
        Listing what its forward takes beside the image and σ.
    """
    network, told = denoiser, True
    while (inside := network_inside(network)) is not network:
        network, told = inside, not isinstance(network, Denoiser) or network.sigma_to is not None
    network = getattr(network, "_orig_mod", network)
    by_keyword = told and sigma_place(network) == "keyword"
    parameters = list(inspect.signature(network.forward).parameters.values())
    ordered = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    ordered = ordered[2 if told and not by_keyword else 1 :]
    named = [p for p in parameters if p.kind is p.KEYWORD_ONLY]
    free = [p for p in (*ordered, *named) if p.kind is not p.POSITIONAL_ONLY and not (by_keyword and p.name == "sigma")]
    known = [p.name for p in free]
    takes = f"{type(network).__name__}.forward takes {', '.join(known) or 'nothing'} beside the image and σ"
    unknown = [name for name in names if name not in known]
    if unknown and not any(p.kind is p.VAR_KEYWORD for p in parameters):
        close = get_close_matches(unknown[0], known, 1)
        hint = f", such as {close[0]!r}" if close else ""
        mend = f"give conditions by these names{hint}" if known else "leave conditions out"
        raise InputError(f"{takes}, and no condition {', '.join(map(repr, unknown))}: {mend}")
    lacking = [p.name for p in free if p.default is p.empty and p.name not in names]
    if lacking:
        raise InputError(
            f"{takes}, and {', '.join(map(repr, lacking))} must be given: give "
            f'conditions={{"{lacking[0]}": array (image, …)}}, one entry an image; where there is no such option, wrap '
            "the network in a module that sets it"
        )


def of_rows(conditions: Mapping[str, Any], rows: Tensor | slice) -> dict[str, Any]:
    """Conditions of some rows of a batch; what is the same for all stays."""
    return {name: value[rows] if by_row(value) else value for name, value in conditions.items()}


def placed(conditions: Mapping[str, Any], place: Tensor) -> dict[str, Any]:
    """Conditions of a batch on the device of `place`; what is pinned in main memory is not waited for."""
    return {
        name: value.to(place.device, non_blocking=value.is_pinned()) if by_row(value) else value
        for name, value in conditions.items()
    }


def by_row(value: Any) -> bool:
    """Whether a condition of a batch has one entry a row, and is not the same for all."""
    return isinstance(value, torch.Tensor) and value.ndim > 0


def _for_all(value: Any) -> bool:
    """Whether a value has no entries of single images."""
    if value is None or isinstance(value, str | bool | int | float | complex | np.generic):
        return True
    try:
        return hasattr(value, "dtype") and getattr(value, "ndim", None) == 0
    except Exception:
        return False


def _read(name: str, value: Any, ids: Sequence[str]) -> Entries:
    try:
        return _entries(name, value, ids)
    except ProbeError:
        raise
    except Exception as error:
        # Whatever an object of others raises when it is looked at.
        raise InputError(f"condition {name!r} cannot be read ({type(error).__name__}): {WANTED}") from error


def _entries(name: str, value: Any, ids: Sequence[str]) -> Entries:
    """What reads the entries of a condition."""
    if isinstance(value, xr.DataArray):
        return _of_labelled(name, value, ids)
    if isinstance(value, xr.Dataset):
        raise InputError(f"condition {name!r} is a Dataset: give one variable of it, dataset[name]")
    if isinstance(value, Mapping):
        found = {str(plain(key)): entry for key, entry in value.items()}
        if len(found) < len(value):
            raise InputError(f"condition {name!r} has two keys of one image id: ids are compared as strings")
        rows = _rows(name, list(found), ids)
        return _of_list(name, list(found.values()), rows)
    if isinstance(value, np.ma.MaskedArray):
        raise InputError(
            f"condition {name!r} is a masked array: fill it, value.filled(...), so that every entry is known"
        )
    if isinstance(value, list | tuple):
        _check_count(name, len(value), ids)
        return _of_list(name, list(value), range(len(ids)))
    # A pandas Series would be indexed by its labels.
    if not all(hasattr(value, a) for a in ("shape", "dtype", "__getitem__")) or hasattr(value, "iloc"):
        pandas = "; of pandas .to_numpy() is in the order of the images, and .to_dict() by id" * hasattr(value, "iloc")
        raise InputError(f"condition {shown(name, value)}: {WANTED}{pandas}")
    _check_count(name, int(value.shape[0]), ids, tuple(value.shape))
    shape = tuple(int(n) for n in value.shape[1:])
    return _checked(Entries(name, shape, range(len(ids)), lambda a, b: value[a:b]))


def _of_labelled(name: str, value: xr.DataArray, ids: Sequence[str]) -> Entries:
    if "image" not in value.dims:
        raise InputError(
            f"condition {name!r} is a DataArray with dims {tuple(map(str, value.dims))}: name the dim of the images "
            "image; one array for all images is value.expand_dims(image=ids)"
        )
    value = value.transpose("image", ...)
    if "image" in value.coords:
        own = [str(plain(v)) for v in value["image"].values]
        twice = [key for key, count in Counter(own).items() if count > 1]
        if twice:
            raise InputError(f"condition {name!r} has several entries of {named(twice)}: give one an image")
        rows = _rows(name, own, ids)
    else:
        _check_count(name, value.sizes["image"], ids, value.shape)
        rows = range(len(ids))
    return _checked(Entries(name, value.shape[1:], rows, lambda a, b: value.isel(image=slice(a, b)).values))


def _of_list(name: str, entries: list[Any], rows: Sequence[int]) -> Entries:
    """Entries that are arrays of their own, one a row."""
    first = _numbers(name, entries[rows[0]])
    for row in rows:
        entry = _numbers(name, entries[row])
        if entry.shape != first.shape:
            raise InputError(
                f"condition {name!r} has entries of shapes {tuple(first.shape)} and {tuple(entry.shape)}: give "
                "entries of one shape"
            )
        if entry.dtype != first.dtype:
            # As numpy does of numbers of several types.
            first = first.to(torch.promote_types(first.dtype, entry.dtype))

    def run(a: int, b: int) -> Tensor:
        return torch.stack([_numbers(name, entry).to(first.dtype) for entry in entries[a:b]])

    return Entries(name, tuple(first.shape), rows, run)


def _checked(entries: Entries) -> Entries:
    """Entries, of which one has been read."""
    entries.read([0])
    return entries


def _rows(name: str, own: Sequence[str], ids: Sequence[str]) -> list[int]:
    """Where the entry of each image is among the ids that a condition has."""
    at = {key: row for row, key in enumerate(own)}
    missing = [i for i in ids if i not in at]
    if missing:
        raise InputError(
            f"condition {name!r} has no entry of {len(missing)} of {len(ids)} images, {named(missing)}: it has "
            f"{named(own) or 'none'}; give one for each id of the images"
        )
    return [at[i] for i in ids]


def _check_count(name: str, count: int, ids: Sequence[str], shape: tuple[int, ...] | None = None) -> None:
    if count != len(ids):
        of = f" (shape {shape})" if shape else ""
        raise InputError(
            f"condition {name!r} has {count} entries{of} for {len(ids)} images: give one an image, (image, …), in "
            "their order; what is the same for all images is numpy.broadcast_to(value, (images, …))"
        )


def _runs(rows: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Rising rows as runs of neighbours, from one up to another."""
    start = 0
    for k in range(1, len(rows) + 1):
        if k == len(rows) or rows[k] != rows[k - 1] + 1:
            yield rows[start], rows[k - 1] + 1
            start = k


def _numbers(name: str, part: Any) -> Tensor:
    """Entries in main memory: floats as they are, whole numbers as int64, booleans."""
    if isinstance(part, torch.Tensor) and part.dtype != torch.uint64 and not part.is_complex():
        found = part.detach().cpu()
        return found if found.is_floating_point() or found.dtype == torch.bool else found.long()
    try:
        found = part.detach().cpu().numpy() if isinstance(part, torch.Tensor) else np.asarray(part)
    except ValueError as error:
        raise InputError(f"condition {name!r} has entries of several shapes: {WANTED}") from error
    kind, size = found.dtype.kind, found.dtype.itemsize
    if kind not in "fiub":
        raise InputError(f"condition {name!r} is of type {found.dtype}: {WANTED}")
    if kind == "u" and size == 8 and found.size and int(found.max()) > np.iinfo(np.int64).max:
        raise InputError(f"condition {name!r} reaches {int(found.max())}, more than int64 holds: give smaller numbers")
    # A copy, since what is mapped from disk may not be written to.
    dtype = {"f": f"f{min(size, 8)}", "b": "?"}.get(kind, "i8")
    return torch.from_numpy(np.array(found, dtype=np.dtype(dtype), order="C"))


def _digest(entries: Entries, count: int) -> str:
    together = max(1, FINGERPRINT_ELEMENTS // max(1, math.prod(entries.shape)))
    digest = hashlib.sha256()
    for start in range(0, count, together):
        part = entries.read(range(start, min(start + together, count))).contiguous()
        if not start:
            digest.update(f"{entries.name}\0{part.dtype}\0{entries.shape}\0{count}\0".encode())
        digest.update(part.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _exact(value: Any) -> str:
    """A value of no dims, written so that different ones differ."""
    return f"{value.dtype} {value.item()!r}" if hasattr(value, "item") else repr(value)
