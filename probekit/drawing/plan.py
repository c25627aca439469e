"""What a picture of a network shows: boxes, frames of opened blocks, and the flow between them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from probekit.capture.names import resolve, taps
from probekit.capture.survey import network_of
from probekit.checks import given, names, whole
from probekit.denoising.denoiser import as_denoiser
from probekit.drawing.blocks import Block, Group, grouped, opened_by_itself, opened_to, tree, walk
from probekit.drawing.flow import Flow, Stretch, flow
from probekit.drawing.trace import tracing
from probekit.errors import TapError

if TYPE_CHECKING:
    from torch import nn

__all__ = ["MAX_BOXES", "Box", "Frame", "Plan", "planned"]

MAX_BOXES = 30


@dataclass(frozen=True)
class Box:
    """One block, or several neighbours folded into one.

    Attributes
    ----------
    taps : tuple of str
        What `probekit.tap` takes for it: an alias where there is one, else the name in `probekit.taps`;
        of each block in it at least one, in order of execution.
    paths : tuple of str
        The same as names in `probekit.taps`.
    kind : str
        Class of the module; of folded blocks all classes, in order.
    count : int
        Number of blocks in it.
    channels, rows, cols : int
        Size of the maps of the last tap.
    calls : int
        How often one pass calls the module.
    cost : float
        Share of the pass's arithmetic that is done in it, in [0, 1]; NaN where none is counted.
    """

    taps: tuple[str, ...]
    paths: tuple[str, ...]
    kind: str
    count: int
    channels: int
    rows: int
    cols: int
    calls: int
    cost: float


@dataclass(frozen=True)
class Frame:
    """An opened block: what a box says of it, the nodes of the flow inside (first, last), the frames around it."""

    box: Box
    first: int
    last: int
    depth: int


@dataclass(frozen=True)
class Plan:
    """What is drawn.

    Attributes
    ----------
    name : str
        Of the denoiser.
    input, output : tuple of int
        Size (channels, rows, cols) of the image, and of what the network makes of it (empty where that is no map).
    boxes : tuple of Box
        In order of execution.
    frames : tuple of Frame
        From the outside in.
    flow : Flow
        Its numbers are positions in `boxes`.
    between : float
        Share of the arithmetic that is done outside all boxes; NaN where none is counted.
    """

    name: str
    input: tuple[int, ...]
    output: tuple[int, ...]
    boxes: tuple[Box, ...]
    frames: tuple[Frame, ...]
    flow: Flow
    between: float


def planned(
    denoiser: nn.Module,
    shape: Sequence[int],
    *,
    depth: int | None = None,
    expand: str | Iterable[str] = (),
    max_boxes: int = MAX_BOXES,
    **conditions: Any,
) -> Plan:
    """The plan of a picture; arguments and errors are those of `probekit.draw`."""
    limit = whole("max_boxes", max_boxes, least=1)
    levels = None if depth is None else whole("depth", depth, least=1)
    asked = names("expand", expand, 'the names of blocks to open, e.g. "mid" or ["encoder.2", "mid"]')
    denoiser = as_denoiser(denoiser)
    network = network_of(denoiser)
    points = resolve(denoiser, asked) if asked else ()
    with tracing(network) as trace:
        table = taps(denoiser, shape, **conditions)
    root = tree(trace, table)
    pinned = {block for point in points for block in _around(root, point.name, point.path, point.call)}
    opened = opened_by_itself(root, limit, pinned) if levels is None else opened_to(root, levels) | pinned
    groups = grouped(root, opened, limit=limit, pinned=pinned, unlike=levels is None)
    total = root.call.work
    boxes = tuple(_box(group.blocks, total) for group in groups)
    stretches = [Stretch(g.blocks[0].call.started, g.blocks[-1].call.ended, _returned(g.blocks)) for g in groups]
    followed = flow(trace, stretches)
    return Plan(
        name=str(getattr(denoiser, "name", type(network).__name__)),
        input=tuple(int(size) for size in shape),
        output=root.call.shape[1:],
        boxes=boxes,
        frames=tuple(_frames(groups, followed, total)),
        flow=followed,
        between=1 - sum(box.cost for box in boxes) if total else math.nan,
    )


def _around(root: Block, name: str, path: str, call: int | str | None) -> list[Block]:
    """The blocks to open so that what is within the named one is seen: it and those around it."""
    found = [b for b in walk(root) if b.call.path == path and (call is None or b.call.index == call)]
    if not found:
        raise TapError(
            f"{given('expand', name)}: {path} makes no map in this forward pass; probekit.taps lists what does"
        )
    if not any(b.children for b in found):
        raise TapError(f"{given('expand', name)}: nothing within {path} makes a map, so there is nothing to open")
    return [b for b in walk(root) if b.maps and any(target in walk(b) for target in found)]


def _returned(blocks: Sequence[Block]) -> tuple[int, ...]:
    return tuple(memory for block in blocks for memory in block.call.returned)


def _box(blocks: Sequence[Block], total: float) -> Box:
    # Of a block with several maps those that have an alias, else the first.
    shown = [row for block in blocks for row in block.maps if row.alias or (row is block.maps[0])]
    last = blocks[-1].maps[0]
    kinds = list(dict.fromkeys(block.maps[0].kind for block in blocks))
    return Box(
        taps=tuple(str(row.alias or row.name) for row in shown),
        paths=tuple(str(row.name) for row in shown),
        kind=", ".join(map(str, kinds)),
        count=len(blocks),
        channels=int(last.channels),
        rows=int(last.rows),
        cols=int(last.cols),
        calls=int(last.calls) if len(blocks) == 1 else 1,
        cost=sum(block.call.work for block in blocks) / total if total else math.nan,
    )


def _frames(groups: Sequence[Group], followed: Flow, total: float) -> list[Frame]:
    frames = []
    for block in dict.fromkeys(block for group in groups for block in group.within):
        boxes = [i for i, group in enumerate(groups) if block in group.within]
        first, last = followed.nodes.index(boxes[0]), followed.nodes.index(boxes[-1])
        # And what joins values within it, before its first box and after its last one.
        while isinstance(followed.nodes[first - 1], str) and followed.begun[first - 1] >= block.call.started:
            first -= 1
        while isinstance(followed.nodes[last + 1], str) and followed.begun[last + 1] < block.call.ended:
            last += 1
        frames.append(Frame(_box([block], total), first, last, groups[boxes[0]].within.index(block)))
    return sorted(frames, key=lambda frame: (frame.depth, frame.first))
