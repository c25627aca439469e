"""A set of images of one size, read when asked for, each under an id of its own."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from probekit.checks import listed
from probekit.errors import InputError

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

__all__ = ["ImageSet", "checked_ids", "named", "plain", "relabelled"]

MAX_NAMED = 5
# Images that stand for a set's content; reading them takes little beside measuring any.
FINGERPRINTED = 64


@dataclass(frozen=True)
class ImageSet:
    """Images of one size, read when asked for.

    Attributes
    ----------
    name : str
        Where the images come from, as results state it.
    ids : tuple[str, ...]
        One stable, unique id per image.
    labels : tuple[str, ...] or None
        One class name per image, where known.
    shape : tuple[int, int, int]
        (bands, rows, columns) of every image.
    skipped : tuple[str, ...]
        Files that were left out on request, each with the reason.
    preparation : str
        What was done to files: resizing, cropping, colour planes; "none" for others.
    origin : str
        Absolute path of the folder or zip that the images come from; "" for others.
    """

    name: str
    ids: tuple[str, ...]
    labels: tuple[str, ...] | None
    shape: tuple[int, int, int]
    _read: Callable[[Sequence[int]], Tensor] = field(repr=False)
    skipped: tuple[str, ...] = ()
    preparation: str = "none"
    origin: str = ""

    def __len__(self) -> int:
        return len(self.ids)

    def read(self, indices: Sequence[int]) -> Float[Tensor, "n band row col"]:
        """The images at these positions, float32 (n, C, H, W) on the CPU.

        Raises
        ------
        InputError
            If an image holds NaN or infinite values, or no longer has the set's shape.
        """
        images = self._read(indices).float()
        if tuple(images.shape) != (len(indices), *self.shape):
            raise InputError(f"{self.name} gave shape {tuple(images.shape)[1:]} where {self.shape} was announced")
        # A sum is quicker than a look at every value, and is finite only if they all are.
        if not math.isfinite(images.sum(dtype=torch.float64)):
            bad = [self.ids[i] for i, x in zip(indices, images, strict=True) if not bool(torch.isfinite(x).all())]
            raise InputError(f"{named(bad)} of {self.name} hold NaN or infinite values: remove or mend them")
        return images

    def subset(self, indices: Sequence[int]) -> ImageSet:
        """The images at these positions, in this order, under their own ids."""
        indices = [range(len(self))[i] for i in indices]
        labels = None if self.labels is None else tuple(self.labels[i] for i in indices)
        parent = self._read
        return replace(
            self,
            ids=checked_ids([self.ids[i] for i in indices], len(indices), self.name),
            labels=labels,
            _read=lambda positions: parent([indices[p] for p in positions]),
        )

    def fingerprint(self) -> str:
        """SHA-256 of the images' content: of their number, their shape and the values of at most 64, evenly spread.

        The same wherever the images lie and whatever they are called.

        Raises
        ------
        InputError
            If one of these images cannot be read.
        """
        content = hashlib.sha256(f"{len(self)} {self.shape}".encode())
        for index in np.unique(np.linspace(0, len(self) - 1, min(len(self), FINGERPRINTED)).round().astype(int)):
            content.update(self.read([int(index)]).numpy().astype("<f4").tobytes())
        return content.hexdigest()

    def watched(self, look: Callable[[Tensor], None]) -> ImageSet:
        """The same images; `look` is given each batch of them that is read."""

        def read(indices: Sequence[int]) -> Tensor:
            batch = self.read(indices)
            look(batch)
            return batch

        return replace(self, _read=read)


def relabelled(found: ImageSet, ids: Any, labels: Any) -> ImageSet:
    """The images under other ids and labels, where these are given.

    Raises
    ------
    InputError
        If they are not one per image, or ids repeat.
    """
    if ids is not None:
        found = replace(found, ids=checked_ids(ids, len(found), found.name))
    if labels is not None:
        values = tuple(_each("labels", labels))
        if len(values) != len(found):
            raise InputError(f"{len(values)} labels for {len(found)} images: give one per image")
        found = replace(found, labels=values)
    return found


def checked_ids(ids: Sequence[Any], count: int, name: str) -> tuple[str, ...]:
    """Ids as strings.

    Raises
    ------
    InputError
        If there is not one for each of `count` images of the set called `name`, or one occurs twice.
    """
    values = tuple(_each("ids", ids))
    if len(values) != count:
        raise InputError(f"{len(values)} ids for {count} images: give one per image")
    repeated = [v for v, n in Counter(values).items() if n > 1]
    if repeated:
        raise InputError(
            f"ids {named(repeated)} of {name} occur more than once: ids name images and address their noise, "
            "so each must be unique"
        )
    return values


def plain(target: Any) -> Any:
    """A label or id out of an array or tensor of no dims."""
    return target.item() if isinstance(target, torch.Tensor | np.generic) and target.ndim == 0 else target


def named(items: Sequence[str]) -> str:
    """The first few of some names, and how many more there are."""
    more = len(items) - MAX_NAMED
    return ", ".join(items[:MAX_NAMED]) + (f" and {more} more" if more > 0 else "")


def _each(option: str, values: Any) -> list[str]:
    """One string for each image; a string gives one letter to each."""
    found = values if isinstance(values, str) else listed(option, values, f"a list of {option}, one per image")
    return [str(plain(value)) for value in found]
