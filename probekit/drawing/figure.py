"""The picture: one column of boxes in order of execution, coarser maps further to the right."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from typing import Any, ClassVar

from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import Circle, FancyBboxPatch, Rectangle
from matplotlib.textpath import TextToPath

from probekit.drawing.lanes import Lane, lanes
from probekit.drawing.plan import Box, Frame, Plan
from probekit.drawing.shown import Shown

__all__ = ["Picture", "drawn"]

# Inches, as all lengths here.
HEIGHT, GAP, JOIN_GAP, HEADER, FRAME_GAP = 0.235, 0.13, 0.3, 0.25, 0.05
INDENT, MAX_INDENT = 0.42, 2.2
PAD, SPACE, MARGIN = 0.09, 0.25, 0.15
ARROW, RADIUS, JOIN_AWAY = 0.2, 0.058, 0.085
TOP, BOTTOM = 0.62, 0.62
MIN_WIDTH = 4.6
# Points.
NAME, SMALL, TITLE = 8.5, 7.5, 10
# Letters on screens of few pixels are that much wider, and those of other fonts where this one lacks.
WIDER = 1.1
COLOURS = "Blues"
# The darkest blues leave no contrast for lines.
DARKEST = 0.85
INK, PALE, LINE = "0.1", "0.45", "0.35"
BETWEEN = "in none of the boxes"
NOTHING = "no submodule makes a map, so there is nothing to tap"
# What an operation that joins values is marked by; others are plain dots.
SIGNS = {"add": "+", "sub": "−", "rsub": "−", "mul": "×"}


class Picture(Shown):
    """A figure whose text stays text in SVG and PDF files, so that names can be copied."""

    always: ClassVar[Mapping[str, Any]] = {"svg.fonttype": "none", "svg.hashsalt": "probekit", "pdf.fonttype": 42}

    def _repr_svg_(self) -> str:
        """What notebooks show where they can: names that can be copied, at every size."""
        with StringIO() as text:
            self.savefig(text, format="svg", metadata={"Date": None})
            return text.getvalue()


@dataclass(frozen=True)
class Row:
    """Where a node is: its left edge, its middle, half its height (0: an operation that joins values)."""

    left: float
    middle: float
    half: float


def drawn(plan: Plan) -> Figure:
    """Draw the plan."""
    return _Drawing(plan).figure()


def width(text: str, size: float = NAME, weight: str = "normal") -> float:
    """Width of a text in inches."""
    font = FontProperties(size=size, weight=weight)
    return WIDER * TextToPath().get_text_width_height_descent(text, font, ismath=False)[0] / 72


class _Drawing:
    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.nodes = plan.flow.nodes
        self.costs = [box.cost for box in plan.boxes if not math.isnan(box.cost)]
        self.partial = plan.between >= 0.0005
        self.norm = Normalize(0, max(self.costs, default=1) or 1)
        self.lefts = self._lefts()
        self.rows, self.headers, self.ends, self.depth = self._rows()
        self.lanes = lanes(plan.flow.edges, [row.left for row in self.rows], gap=0.1)
        self.right = self._right()
        # The frames' left edges keep clear of the lanes.
        self.start = min([0.0, *(lane.x for lane in self.lanes)]) - MARGIN - 0.06 * len({f.depth for f in plan.frames})
        self.shares = self.right + SPACE / 2 + width("< 0.1 %", SMALL)
        self.kinds = self.shares + SPACE / 2
        said = [
            "class",
            BETWEEN * self.partial,
            *map(self._kind, plan.boxes),
            *(self._kind(frame.box) for frame in plan.frames),
        ]
        self.end = self.kinds + max(width(text, SMALL) for text in said) + MARGIN

    def figure(self) -> Figure:
        """The whole picture."""
        title = self._title()
        wide = max(self.end - self.start, width(title, TITLE) + 2 * MARGIN, MIN_WIDTH)
        high = self.depth + TOP + (BOTTOM if self.costs else 0.1)
        figure = Picture(facecolor="white", figsize=(wide, high))
        axis = figure.add_axes((0, 0, 1, 1))
        axis.set_axis_off()
        # The sheet is as wide as it must be, with what is drawn in its middle.
        spare = (wide - (self.end - self.start)) / 2
        axis.set(xlim=(self.start - spare, self.end + spare), ylim=(high - TOP, -TOP))
        middle = (self.start + self.end) / 2
        axis.text(middle, 0.22 - TOP, title, fontsize=TITLE, ha="center", va="center", parse_math=False)
        headings = [
            (self.right - PAD, "channels × rows × cols", "right"),
            (self.shares, "cost", "right"),
            (self.kinds, "class", "left"),
        ]
        for x, said, side in headings if self.plan.boxes else [(middle, NOTHING, "center")]:
            axis.text(x, -0.13, said, fontsize=SMALL, color=PALE, ha=side, va="center")
        for frame in self.plan.frames:
            self._frame(axis, frame)
        self._arrows(axis)
        for lane in self.lanes:
            self._lane(axis, lane)
        for i, node in enumerate(self.nodes):
            if isinstance(node, int):
                self._box(axis, self.rows[i], self.plan.boxes[node])
            elif i in (0, len(self.nodes) - 1):
                self._end(axis, self.rows[i], node, self.plan.input if i == 0 else self.plan.output)
            else:
                self._join(axis, i)
        if self.costs:
            self._bar(axis)
        return figure

    def _title(self) -> str:
        return f"{self.plan.name}, on an image of {_size(self.plan.input)}"

    def _lefts(self) -> list[float]:
        """The left edge of each node: further right, the fewer pixels its maps have."""
        boxes = self.plan.boxes
        areas = [max(b.rows * b.cols, 1) for b in boxes]
        ends = [size[1] * size[2] if len(size) == 3 else 0 for size in (self.plan.input, self.plan.output)]
        finest = max([*areas, *ends])
        levels = [math.log2(finest / area) / 2 for area in areas]
        step = min(INDENT, MAX_INDENT / max([*levels, 1]))
        outer = [step * math.log2(finest / area) / 2 if area else 0.0 for area in ends]
        found: list[float] = [outer[0]]
        for node in self.nodes[1:-1]:
            found.append(step * levels[node] if isinstance(node, int) else found[-1])
        return [*found, outer[1]]

    def _rows(self) -> tuple[list[Row], dict[Frame, float], dict[Frame, float], float]:
        """Where each node stands, the headers of frames and their lower ends, and the lower end of all."""
        rows, headers, ends, y = [], {}, {}, 0.0
        last = len(self.nodes) - 1
        for i, node in enumerate(self.nodes):
            for frame in self.plan.frames:
                if frame.first == i:
                    headers[frame] = y + FRAME_GAP
                    y += HEADER + FRAME_GAP
            half = HEIGHT / 2 if isinstance(node, int) or i in (0, last) else 0.0
            rows.append(Row(self.lefts[i], y + half, half))
            y += 2 * half
            for frame in reversed(self.plan.frames):
                if frame.last == i:
                    y += FRAME_GAP
                    ends[frame] = y
            if i < last:
                after = self.nodes[i + 1]
                join = isinstance(after, str) and i + 1 < last
                y += JOIN_GAP / 2 if join or not half else GAP
        return rows, headers, ends, y

    def _right(self) -> float:
        """The right edge of all boxes: so far that the texts of each fit."""
        needed = [
            row.left + sum(width(*part) for part in _name(self.plan.boxes[node])) + width(_map(self.plan.boxes[node]))
            for row, node in zip(self.rows, self.nodes, strict=True)
            if isinstance(node, int)
        ]
        needed += [
            self._header(frame) + sum(width(*part) for part in _name(frame.box, SMALL)) + width(_map(frame.box), SMALL)
            for frame in self.plan.frames
        ]
        needed += [self.rows[0].left + width("output") + width(_size(self.plan.input))]
        needed += [width("channels × rows × cols", SMALL)]
        return max(needed) + 2 * PAD + SPACE

    def _column(self, i: int) -> float:
        """Where the arrow from a node to the next one runs; joins stand on the same line."""
        above, below = i, i + 1
        while above > 0 and not self.rows[above].half:
            above -= 1
        while below < len(self.rows) - 1 and not self.rows[below].half:
            below += 1
        return max(self.rows[above].left, self.rows[min(below, len(self.rows) - 1)].left) + ARROW

    def _header(self, frame: Frame) -> float:
        """Where the name of a frame begins: right of the arrow that passes it."""
        return self._column(frame.first - 1) + PAD / 2

    def _kind(self, box: Box) -> str:
        if box.count > 1:
            return f"{box.count} × {box.kind}" if "," not in box.kind else f"{box.count} modules: {box.kind}"
        return f"{box.kind}, {box.calls} calls" if box.calls > 1 else box.kind

    def _frame(self, axis: Axes, frame: Frame) -> None:
        top, end = self.headers[frame], self.ends[frame]
        inset = 0.06 * (frame.depth + 0.5)
        left, right = self.start + inset, self.end - inset
        axis.add_patch(
            FancyBboxPatch(
                (left + 0.04, top + 0.02),
                right - left - 0.08,
                end - top - 0.04,
                boxstyle="round,pad=0.02,rounding_size=0.05",
                facecolor="black",
                alpha=0.04,
                edgecolor="none",
            )
        )
        self._texts(axis, frame.box, self._header(frame), top + HEADER / 2 - 0.005, PALE, framed=True)

    def _box(self, axis: Axes, row: Row, box: Box) -> None:
        counted = not math.isnan(box.cost)
        fill = colormaps[COLOURS](DARKEST * self.norm(box.cost)) if counted else (1.0, 1.0, 1.0, 1.0)
        for behind in (2, 1, 0) if box.count > 1 else (0,):
            self._rectangle(axis, row, "white" if behind else fill, behind * 0.028)
        light = sum(w * c for w, c in zip((0.299, 0.587, 0.114), fill, strict=False)) < 0.55
        self._texts(axis, box, row.left + PAD, row.middle, "white" if light else INK)

    def _rectangle(self, axis: Axes, row: Row, fill: Any, behind: float = 0.0, style: Any = "-") -> None:
        axis.add_patch(
            FancyBboxPatch(
                (row.left + 0.04 + behind, row.middle - row.half + 0.04 + behind),
                self.right - row.left - 0.08,
                2 * row.half - 0.08,
                boxstyle="round,pad=0.04,rounding_size=0.05",
                facecolor=fill,
                edgecolor=LINE,
                linewidth=0.7,
                linestyle=style,
                zorder=3 - behind,
            )
        )

    def _texts(self, axis: Axes, box: Box, x: float, y: float, ink: str, *, framed: bool = False) -> None:
        """The names of a box or a frame from x on, and the columns."""
        size = SMALL if framed else NAME
        style: dict[str, Any] = {"va": "center_baseline", "zorder": 5}
        for text, points, weight in _name(box, size):
            alpha = 1.0 if weight == "bold" else 0.75
            axis.text(
                x, y, text.strip(), parse_math=False, fontsize=points, weight=weight, color=ink, alpha=alpha, **style
            )
            x += width(text, points, weight)
        axis.text(self.right - PAD, y, _map(box), fontsize=size, color=ink, ha="right", **style)
        axis.text(
            self.shares, y, _percent(box.cost), fontsize=SMALL, color=PALE if framed else INK, ha="right", **style
        )
        axis.text(self.kinds, y, self._kind(box), fontsize=SMALL, color=PALE, **style)

    def _end(self, axis: Axes, row: Row, said: str, size: Sequence[int]) -> None:
        self._rectangle(axis, row, "white", style=(0, (3, 2)))
        style: dict[str, Any] = {"va": "center_baseline", "fontsize": NAME, "color": PALE, "zorder": 5}
        axis.text(row.left + PAD, row.middle, said, style="italic", **style)
        axis.text(self.right - PAD, row.middle, _size(size), ha="right", **style)
        if said == "output" and self.partial:
            style["fontsize"] = SMALL
            axis.text(self.shares, row.middle, _percent(self.plan.between), ha="right", **style)
            axis.text(self.kinds, row.middle, BETWEEN, **style)

    def _join(self, axis: Axes, i: int) -> None:
        x, y, sign = self._column(i), self.rows[i].middle, SIGNS.get(str(self.nodes[i]).rstrip("_"))
        fill = "white" if sign else LINE
        axis.add_patch(
            Circle((x, y), RADIUS if sign else 0.6 * RADIUS, facecolor=fill, edgecolor=LINE, lw=0.8, zorder=4)
        )
        if sign:
            reach = 0.55 * RADIUS
            for dx, dy in {"+": [(1, 0), (0, 1)], "−": [(1, 0)], "×": [(0.7, 0.7), (0.7, -0.7)]}[sign]:
                axis.plot(
                    (x - dx * reach, x + dx * reach), (y - dy * reach, y + dy * reach), color=LINE, lw=0.9, zorder=5
                )

    def _arrows(self, axis: Axes) -> None:
        """From each node to the next one, where that is what it feeds."""
        for i, j in self.plan.flow.edges:
            if j == i + 1:
                x, a, b = self._column(i), self.rows[i], self.rows[j]
                self._line(axis, [(x, a.middle + a.half), (x, b.middle - b.half)], head=bool(b.half))

    def _lane(self, axis: Axes, lane: Lane) -> None:
        """From a node to those further down, left of all boxes between."""
        source, x = self.rows[lane.source], self._column(lane.source)
        away = source.middle + (0.25 * source.half or JOIN_AWAY)
        begin = [(source.left, away)] if source.half else [(x, source.middle), (x, away)]
        for target in lane.targets:
            row = self.rows[target]
            y = row.middle - 0.25 * row.half
            end = row.left if row.half else self._column(target) - RADIUS
            path = [(lane.x, y), (end, y)]
            if target == lane.targets[-1]:
                path = [*begin, (lane.x, away), *path]
            self._line(axis, path, head=True)

    def _line(self, axis: Axes, path: list[tuple[float, float]], *, head: bool) -> None:
        style: dict[str, Any] = {"color": LINE, "lw": 0.9, "zorder": 2, "solid_joinstyle": "round"}
        axis.plot(*zip(*path, strict=True), **style)
        if head:
            (x0, y0), (x1, y1) = path[-2:]
            away = math.hypot(x1 - x0, y1 - y0)
            dx, dy = (x1 - x0) / away, (y1 - y0) / away
            long, wide = 0.055, 0.024
            corners = [
                (x1, y1),
                (x1 - long * dx - wide * dy, y1 - long * dy + wide * dx),
                (x1 - long * dx + wide * dy, y1 - long * dy - wide * dx),
            ]
            axis.fill(*zip(*corners, strict=True), color=LINE, lw=0, zorder=2)

    def _bar(self, axis: Axes) -> None:
        """The scale of colours, from nothing to the costliest box."""
        long, steps = 2.0, 32
        x0, y0 = self.right - long, self.depth + 0.2
        for k in range(steps):
            colour = colormaps[COLOURS](DARKEST * (k + 0.5) / steps)
            step = Rectangle((x0 + k * long / steps, y0), long / steps, 0.1, facecolor=colour, linewidth=0)
            step.set_antialiased(False)
            axis.add_patch(step)
        axis.add_patch(Rectangle((x0, y0), long, 0.1, facecolor="none", edgecolor=LINE, lw=0.6))
        style: dict[str, Any] = {"fontsize": SMALL, "color": PALE}
        axis.text(x0, y0 + 0.2, "0 %", ha="center", va="center", **style)
        axis.text(x0 + long, y0 + 0.2, _percent(self.norm.vmax or 0), ha="center", va="center", **style)
        axis.text(x0 + long / 2, y0 + 0.2, "share of the arithmetic", ha="center", va="center", **style)


def _name(box: Box, size: float = NAME) -> list[tuple[str, float, str]]:
    """The texts that name a box, with their sizes and weights: its taps, and their paths where these differ."""
    parts = [(f"{_listed(box.taps, box.count)}  ", size, "bold")]
    if box.paths != box.taps:
        parts.append((f"{_listed(box.paths, box.count)}  ", size - 1, "normal"))
    return parts


def _listed(names: Sequence[str], count: int) -> str:
    return f"{names[0]} … {names[-1]}" if count > 1 else ", ".join(names)


def _size(size: Sequence[int]) -> str:
    return " × ".join(map(str, size))


def _map(box: Box) -> str:
    return _size((box.channels, box.rows, box.cols))


def _percent(share: float) -> str:
    if math.isnan(share):
        return "–"
    if 0 < share < 0.0005:
        return "< 0.1 %"
    # Neither 10.0 nor what is not quite all.
    return f"{100 * share:.0f} %" if share in (0, 1) or 0.0995 <= share < 0.995 else f"{100 * share:.1f} %"
