"""Readers made of others: of some of the images, of what is made of each, and with somebody watching."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from probekit.images.members import Where, part_of

if TYPE_CHECKING:
    from torch import Tensor

    from probekit.images.imageset import ImageSet

__all__ = ["Made", "Part", "Watched", "part"]


@runtime_checkable
class Divisible(Protocol):
    """A reader that knows how to be one of some of its images."""

    def part(self, where: Where) -> Callable[[Sequence[int]], Tensor]:
        """A reader of some."""
        ...


class Part:
    """Reads some of what another reads."""

    def __init__(self, whole: Callable[[Sequence[int]], Tensor], where: Where) -> None:
        self.whole, self.where = whole, where

    def __call__(self, indices: Sequence[int]) -> Tensor:
        return self.whole([int(self.where[k]) for k in indices])

    def part(self, where: Where) -> Part:
        """A reader of some of these."""
        return Part(self.whole, part_of(self.where, where))


class Made:
    """Reads what is made of the images of a set, each by itself; pickled where the function can be.

    Parameters
    ----------
    images
        The set.
    make
        Makes images (n, C′, H′, W′) of a batch (n, C, H, W): a function of a module, or `functools.partial` of one, so
        that the reader goes to other processes.
    """

    def __init__(self, images: ImageSet, make: Callable[[Tensor], Tensor]) -> None:
        self.images, self.make = images, make

    def __call__(self, indices: Sequence[int]) -> Tensor:
        return self.make(self.images.read(indices))

    def part(self, where: Where) -> Made:
        """A reader of some of these."""
        return Made(self.images.subset(where), self.make)


class Watched:
    """Reads what another reads; `look` is given each batch."""

    def __init__(self, whole: Callable[[Sequence[int]], Tensor], look: Callable[[Tensor], None]) -> None:
        self.whole, self.look = whole, look

    def __call__(self, indices: Sequence[int]) -> Tensor:
        # What is read is checked by the set that this is the reader of.
        batch = self.whole(indices).float()
        self.look(batch)
        return batch

    def part(self, where: Where) -> Watched:
        """A reader of some of these, watched too."""
        return Watched(part(self.whole, where), self.look)


def part(whole: Callable[[Sequence[int]], Tensor], where: Where) -> Callable[[Sequence[int]], Tensor]:
    """A reader of some of what another reads."""
    return whole.part(where) if isinstance(whole, Divisible) else Part(whole, where)
