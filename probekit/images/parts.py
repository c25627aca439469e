"""Some images of a set, as a reader of these alone; and a reader whose images are watched."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from probekit.images.members import Where, part_of

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Part", "Watched", "part"]


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
