"""Positions of images in a set: whole numbers, slices and masks, as whole numbers that are there."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch

from probekit.checks import attribute, given, listed, shown, whole
from probekit.errors import InputError

__all__ = ["is_mask", "positions_of"]

WANTED = "whole numbers, a slice, or a mask of one True or False per image"


def is_mask(items: Iterable[Any]) -> bool:
    """Whether all items, of which there is one at least, are True or False."""
    items = list(items)
    return bool(items) and all(isinstance(one, bool | np.bool_) for one in items)


def positions_of(option: str, indices: Any, count: int) -> list[int]:
    """Positions among `count` images, each from 0.

    Raises
    ------
    InputError
        If they are no positions, or there is no image at one of them.
    """
    if type(indices) is list and indices and all(type(i) is int and 0 <= i < count for i in indices):
        # As the package itself asks for every batch.
        return list(indices)
    if isinstance(indices, slice):
        try:
            return list(range(count)[indices])
        except Exception as error:
            # Of steps of 0 Python's own; ends may be objects of others, which raise what they like.
            why = str(error) if isinstance(error, TypeError | ValueError) else type(error).__name__
            raise InputError(f"{given(option, indices)}: {why}; give {WANTED}") from None
    # A range is within if its ends are; of a long one no more is listed.
    ends = isinstance(indices, range) and [*indices[:1], *indices[-1:]]
    found = _listed(option, indices, count) if ends is False else ends
    outside = [i for i in found if not -count <= i < count]
    if outside:
        there = f"there are {count}, at 0 to {count - 1}" if count else "there are none"
        raise InputError(f"{option}: there is no image at position {shown(outside[0])}: {there}")
    return [i % count for i in (found if ends is False else indices)]


def _listed(option: str, indices: Any, count: int) -> list[int]:
    array = _array(option, indices)
    if array is not None and array.ndim != 1:
        raise InputError(f"{option} have shape {array.shape}: give {WANTED}")
    if array is not None and array.dtype.kind in "iu":
        return array.tolist()
    if array is not None and array.dtype.kind in "mM":
        # As a list dates would be whole numbers.
        raise InputError(f"{option} are {array.dtype}: give {WANTED}")
    if array is None and not hasattr(type(indices), "__len__"):
        # What is made while it is read may have no end.
        raise InputError(f"{given(option, indices)}: give {WANTED}")
    items = listed(option, indices, WANTED) if array is None else array.tolist()
    if is_mask(items):
        if len(items) != count:
            raise InputError(f"{option} is a mask of {len(items)} for {count} images: give one True or False per image")
        return np.flatnonzero(items).tolist()
    try:
        return [whole(option, one) for one in items]
    except InputError as error:
        raise InputError(f"{error}; positions are {WANTED}") from None


def _array(option: str, indices: Any) -> np.ndarray | None:
    """What tensors, and arrays of numpy, pandas and xarray hold; None of all else.

    A list is looked at item by item, since numpy would turn True into 1.
    """
    tensor = isinstance(indices, torch.Tensor)
    if tensor and (indices.is_meta or indices.layout is not torch.strided or indices.is_floating_point()):
        raise InputError(f"{option} are a tensor of {indices.dtype}: give {WANTED}")
    try:
        array = indices.detach().cpu().numpy() if tensor else indices
        return np.asarray(array) if isinstance(attribute(array, "dtype"), np.dtype) else None
    except Exception as error:
        # Quantised tensors cannot be, and arrays of others raise what they like.
        raise InputError(
            f"{given(option, indices)}: it cannot be read ({type(error).__name__}); give {WANTED}"
        ) from error
