"""Where connections run that pass over boxes: on lanes left of all that they pass, clear of one another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Lane", "lanes"]


@dataclass(frozen=True)
class Lane:
    """One source, what it feeds further down in order, and where its line runs."""

    source: int
    targets: tuple[int, ...]
    x: float


def lanes(edges: Sequence[tuple[int, int]], lefts: Sequence[float], *, gap: float) -> list[Lane]:
    """A lane for each source that feeds more than what stands next to it, the short ones nearest to the boxes.

    Parameters
    ----------
    edges
        Pairs (source, target) of positions from the top.
    lefts
        Left edges by position.
    gap
        Between lanes, and from lanes to boxes.
    """
    fed: dict[int, list[int]] = {}
    for source, target in edges:
        if target > source + 1:
            fed.setdefault(source, []).append(target)
    found: list[Lane] = []
    for source, targets in sorted(fed.items(), key=lambda item: max(item[1]) - item[0]):
        last = max(targets)
        x = min(lefts[source : last + 1]) - gap
        # One may begin in the row where another ends.
        beside = [lane.x for lane in found if lane.source < last and source < lane.targets[-1]]
        while any(abs(x - other) < 0.9 * gap for other in beside):
            x -= gap
        found.append(Lane(source, tuple(sorted(targets)), x))
    return found
