"""Which blocks of a network are drawn as one box: calls of modules as a tree, opened here and folded there."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pandas as pd

from probekit.drawing.trace import Call, Trace

__all__ = ["Block", "Group", "grouped", "opened_by_itself", "opened_to", "tree", "walk"]

# A picture of fewer boxes than FEW may open a part of the network by itself, one of fewer than FEWEST any block.
FEW, FEWEST = 8, 3
# What spans so many scales, or holds so many blocks of layers, is no block but a part of the network.
SCALES, PARTS = 3, 3
# Repeated neighbours are found in patterns of up to so many blocks (convolution, normalisation, activation, …).
PERIODS = 6
LEAST_REPEATED = 3


@dataclass(eq=False)
class Block:
    """A module call that makes maps, and those within it.

    Attributes
    ----------
    call : Call
        The call; the network's own at the root of the tree.
    maps : Sequence
        Rows of `probekit.taps` of its output, first those that have an alias; none at the root.
    children : Sequence of Block
        Calls within it that make maps, in order.
    """

    call: Call
    maps: Sequence[Any]
    children: Sequence[Block] = field(default_factory=list)

    @property
    def aliased(self) -> bool:
        """Whether a declared alias names its output."""
        return any(row.alias for row in self.maps)

    @property
    def holds_alias(self) -> bool:
        """Whether an alias names something within it."""
        return any(inner.aliased for child in self.children for inner in walk(child))

    @property
    def kind(self) -> tuple[Any, ...]:
        """What equal blocks have in common: class and size."""
        return next(((row.kind, row.channels, row.rows, row.cols) for row in self.maps), ())


@dataclass(eq=False)
class Group:
    """Neighbouring blocks drawn as one box, and the opened blocks around them, from the outside in."""

    blocks: Sequence[Block]
    within: tuple[Block, ...]


def tree(trace: Trace, table: pd.DataFrame) -> Block:
    """The calls that make maps as a tree; one that makes none is passed over, and those within it take its place."""
    maps: dict[str, list[Any]] = {}
    rows: Iterable[Any] = table.itertuples(index=False)
    for row in rows:
        maps.setdefault(str(row.name).partition("[")[0], []).append(row)

    def blocks(call: Call) -> Iterator[Block]:
        for child in call.children:
            inner = list(blocks(child))
            name = child.path if trace.counts[child.path] == 1 else f"{child.path}@{child.index}"
            if name in maps:
                yield Block(child, sorted(maps[name], key=lambda row: not row.alias), inner)
            else:
                yield from inner

    assert trace.root is not None
    return Block(trace.root, [], list(blocks(trace.root)))


def walk(block: Block) -> Iterator[Block]:
    """The block and all within it, in order."""
    yield block
    for child in block.children:
        yield from walk(child)


def opened_to(root: Block, depth: int) -> set[Block]:
    """The blocks to open so that those `depth` levels below the root are seen; and those that hold an alias."""
    found, level = {b for b in walk(root) if b.holds_alias}, [root]
    for _ in range(depth):
        if not level:
            break
        found |= {b for b in level if b.children}
        level = [child for b in level for child in b.children]
    return found | {root}


def opened_by_itself(root: Block, limit: int, pinned: Collection[Block] = ()) -> set[Block]:
    """The blocks to open where nobody says so: what holds an alias, and large parts where boxes are few."""
    found = opened_to(root, 1) | set(pinned)
    while True:
        boxes = [b for group in grouped(root, found, limit=None) for b in group.blocks]
        if len(boxes) >= FEW:
            return found
        able = [b for b in boxes if b.children and (len(boxes) < FEWEST or _is_part(b))]
        able.sort(key=lambda b: -b.call.work)
        part = next((b for b in able if len(grouped(root, found | {b}, limit=limit, pinned=pinned)) <= limit), None)
        if part is None:
            return found
        found.add(part)


def _is_part(block: Block) -> bool:
    """Whether it is a part of the network rather than a block: of several scales, or of several blocks of layers."""
    areas = {row.rows * row.cols for inner in walk(block) for row in inner.maps}
    return len(areas - {1}) >= SCALES or sum(bool(child.children) for child in block.children) >= PARTS


def grouped(
    root: Block, opened: Collection[Block], *, limit: int | None, pinned: Collection[Block] = (), unlike: bool = False
) -> list[Group]:
    """The boxes: blocks that are not opened, in order of execution, folded where there are more than `limit`.

    First repeated neighbours without alias are folded, then those with one too, and if `unlike`, then
    whatever stands side by side. Of repeated blocks that are opened the first stays so. Blocks in
    `pinned` are not folded.
    """

    def groups(block: Block, within: tuple[Block, ...], foldable: Collection[Block]) -> Iterator[Group]:
        for run in _runs(block.children, foldable):
            first = run[0]
            if first not in opened:
                yield Group(run, within)
                continue
            yield from groups(first, (*within, first), foldable)
            if len(run) > 1:
                yield Group(run[1:], within)

    def found(foldable: Collection[Block]) -> list[Group]:
        return list(groups(root, (), foldable))

    every = found(())
    if limit is None or len(every) <= limit:
        return every
    able = {b for b in walk(root) if b not in pinned and not b.holds_alias}
    for foldable in ({b for b in able if not b.aliased}, able):
        every = found(foldable)
        if len(every) <= limit:
            return every
    return _merged(every, limit, pinned) if unlike else every


def _runs(blocks: Sequence[Block], foldable: Collection[Block]) -> list[list[Block]]:
    """The blocks in runs: repeated patterns of blocks that may be folded, and all others alone."""
    # What may not be folded is like nothing else.
    kinds = [b.kind if b in foldable else (i,) for i, b in enumerate(blocks)]
    runs, start = [], 0
    while start < len(blocks):
        # A pattern begins with arithmetic: convolution, normalisation, activation, and not from the middle on.
        longest = PERIODS if blocks[start].call.work else 1
        length = max(_repeated(kinds, start, period) for period in range(1, longest + 1))
        runs.append(list(blocks[start : start + max(length, 1)]))
        start += max(length, 1)
    return runs


def _repeated(kinds: Sequence[Any], start: int, period: int) -> int:
    """How many blocks from `start` on repeat the first `period` of them, whole patterns only; 0 where too few."""
    pattern = list(kinds[start : start + period])
    end = start + period
    while list(kinds[end : end + period]) == pattern:
        end += period
    times = (end - start) // period
    return end - start if times >= LEAST_REPEATED else 0


def _merged(groups: list[Group], limit: int, pinned: Collection[Block]) -> list[Group]:
    """No more than `limit` groups, where neighbours allow: those of one scale and without alias first, the smallest."""
    groups = list(groups)
    while len(groups) > limit:
        pairs = []
        for i, (a, b) in enumerate(pairwise(groups)):
            both = [*a.blocks, *b.blocks]
            if a.within == b.within and not any(block in pinned or block.holds_alias for block in both):
                scales = {(block.maps[0].rows, block.maps[0].cols) for block in both}
                pairs.append((any(block.aliased for block in both), len(scales) > 1, len(both), i))
        if not pairs:
            return groups
        i = min(pairs)[-1]
        groups[i : i + 2] = [Group([*groups[i].blocks, *groups[i + 1].blocks], groups[i].within)]
    return groups
