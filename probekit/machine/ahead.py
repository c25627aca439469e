"""Work for later, done in a thread beside the one that drives the network."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

__all__ = ["ahead"]

T = TypeVar("T")


def ahead(items: Iterable[T], count: int = 1) -> Iterator[T]:
    """The items of an iterable, of which the next `count` are made while the present one is in use.

    All items are made in one other thread, in order. What making one raises is raised where that item would have
    come; when the iteration is left early, no further item is begun.

    Parameters
    ----------
    items
        What is iterated over.
    count
        How many items wait or are in the making, at most, beside the one in use; ≥ 1.

    Yields
    ------
    T
        The items, in order.

    Examples
    --------
    >>> list(ahead(n * n for n in range(4)))
    [0, 1, 4, 9]
    """
    end = object()
    making = iter(items)
    with ThreadPoolExecutor(1, "probekit-ahead") as thread:
        waiting = deque(thread.submit(next, making, end) for _ in range(count))
        try:
            while (item := waiting.popleft().result()) is not end:
                waiting.append(thread.submit(next, making, end))
                yield item  # pyright: ignore[reportReturnType]
        finally:
            for made in waiting:
                made.cancel()
