"""The items of a torch Dataset: how many there are, and each by its position."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from probekit.errors import InputError

__all__ = ["WANTED", "item_of", "length_of", "probed"]

# Items that are read when a set is loaded: a flip by chance, which is read twice, is missed once in 256.
PROBED = 8
WANTED = "give a Dataset of tensors (C, H, W) or of (tensor, label) pairs"


def probed(positions: Sequence[int]) -> list[int]:
    """Some of these positions, evenly spread."""
    at = np.linspace(0, len(positions) - 1, min(len(positions), PROBED)).round().astype(int)
    return [positions[k] for k in np.unique(at).tolist()]


def length_of(source: Any) -> int:
    """How many items there are.

    Raises
    ------
    InputError
        If there are none, or it cannot say.
    """
    kind = type(source).__name__
    try:
        count = len(source)
    except Exception as error:
        raise InputError(f"{kind} has no length ({_said(error)}): {WANTED}, with __len__ and __getitem__") from error
    if count == 0:
        raise InputError(f"{kind} is empty: there are no images in it")
    return count


def item_of(source: Any, index: int) -> Any:
    """The item at a position.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    kind = type(source).__name__
    try:
        return source[index]
    except Exception as error:
        raise InputError(
            f"item {index} of {kind} cannot be read ({_said(error)}), and its length says that it is there: {WANTED}"
        ) from error


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:200]
