"""The page of performance from what was measured, its figure, and the comparison of a new measurement with it.

What was measured is a mapping that JSON can hold: ``machine`` and ``tools`` (texts by name), and ``sections``, each
with ``title``, ``what`` and ``rows``; a row has ``name``, ``ratios`` (one a round) and ``rate`` (a text).
"""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image

from analyses.ground import GUIDE, PALETTE
from probekit.machine.files import whole
from probekit.machine.installed import version_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Change", "Section", "changes", "figure", "machine", "measured", "page", "read", "report", "write"]

# A name, a ratio or one a round, and a rate in words.
Row = tuple[str, float | Sequence[float], str]
Rows = Callable[[], Iterable[Row]]

# What decides how fast the arithmetic is, of the flags that Linux shows.
FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
TOOLS = ("torchlens", "nnsight", "thingsvision")
# A row has fallen where all of its new range lies below this share of the page's ratio, and is better where all of it
# lies above the page's over this.
KEPT = 0.9
COLOURS = 64
BEGINNING = """# Performance

How fast φ is measured, beside what one would write by hand and beside other tools, and what memory it takes.
`make bench` makes this page, [performance.json](performance.json) and the figure in one run; `make bench-quick`
measures some of the rows again, compares them with the page, and fails where one has fallen by more than 10 %.

## How to read it

- Every row is a **ratio measured in one run**: the ways take turns, round after round, each in a process of its own,
  and a ratio is that of two neighbours in one round. The number is the median over rounds, the range goes from the
  least to the greatest. A dash stands where there was one round.
- **More than 1 is in this package's favour**, except where a section says what 1 means. Rates (images a second, bytes)
  are of this machine, and of how busy it was; ratios differ much less from one machine to another.
- All ways are given the same clean images and make their own noise; without noise all give the same numbers, which
  tests check. This package also gives what the others do not: standard errors over draws, the representation at
  rest, labels, and noise that no batching changes. What these cost is in its time.
- This package has glibc keep freed memory for the next pass (up to 256 MiB, unless MALLOC_ variables say what it is to
  keep), where it otherwise takes new pages for each. One row has that for the pass written by hand too.
- Other tools are used as their documentation advises for this: TorchLens with `tl.record`, stopped by `halt=` at the
  last block, and with `tl.aggregate` and a streaming statistic, which runs the whole network; nnsight with
  `tracer.stop()`.
- thingsvision has a row where it is installed. Beside this project it cannot be: version 2.7.3 asks for numpy < 2 and
  for torchvision 0.15.2, which asks for torch 2.0. Its PyTorch extractor hooks the whole pass, as the row of the hook
  does.
"""


@dataclass(frozen=True)
class Section:
    """A table of the page: what it is called, what is measured, and the function that gives its rows.

    A row is a name, a ratio (more is better) or one for each round, and a rate in words. `quick` gives those of them
    that are measured again in little time, by the same names and with the same work; None if none are.
    """

    title: str
    what: str
    rows: Rows
    quick: Rows | None = None


def machine() -> dict[str, str]:
    """What decides speed here, in words; no date, and no name of the machine."""
    info = Path("/proc/cpuinfo")
    told = info.read_text().splitlines() if info.exists() else []
    lines = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in told)}
    found = lines.get("flags", "").split()
    return {
        "CPU": lines.get("model name", platform.processor() or platform.machine()),
        "instructions": ", ".join(flag for flag in FLAGS if flag in found) or "not known",
        "cores": str(torch.get_num_threads() if not lines else int(lines.get("processor", 0)) + 1),
        "threads": str(torch.get_num_threads()),
        "torch": torch.__version__,
    }


def tools() -> dict[str, str]:
    """Versions of the packages that are compared."""
    return {name: version_of(name) or "not installed" for name in TOOLS}


def measured(sections: Iterable[Section], *, quick: bool = False) -> dict[str, Any]:
    """All sections measured, or what of them is quick."""
    found = []
    for section in sections:
        rows = section.quick if quick else section.rows
        if rows is not None:
            print(f"{section.title} …", flush=True)
            made = [_row(row) for row in rows()]
            names = [row["name"] for row in made]
            if len(set(names)) < len(names):
                raise ValueError(f"section {section.title!r} has rows {names}: give each a name of its own")
            found.append({"title": section.title, "what": section.what, "rows": made})
    return {"machine": machine(), "tools": tools(), "sections": found}


def _row(row: Row) -> dict[str, Any]:
    name, ratio, rate = row
    ratios = [float(value) for value in np.atleast_1d(np.asarray(ratio, float))]
    if not ratios or not np.isfinite(ratios).all():
        raise ValueError(f"row {name!r} has ratios {ratios}: give one finite number, or one for each round")
    return {"name": str(name), "ratios": ratios, "rate": str(rate)}


def page(found: Mapping[str, Any]) -> str:
    """The page in Markdown."""
    here = "; ".join(f"{key} {value}" for key, value in found["machine"].items())
    versions = ", ".join(f"{name} {value}" for name, value in found["tools"].items())
    parts = [
        BEGINNING,
        f"Measured on: {here}. Tools: {versions}.\n",
        "![Ratios of every row with their ranges](figures/performance.png)\n",
    ]
    for section in found["sections"]:
        lines = ["| | ratio | range | rate |", "|---|---|---|---|"]
        for row in section["rows"]:
            low, middle, high = _spread(row["ratios"])
            shown = f"{_number(low)}–{_number(high)}" if len(row["ratios"]) > 1 else "–"
            lines.append("| " + " | ".join((row["name"], _number(middle), shown, row["rate"])) + " |")
        parts += [f"## {section['title']}\n", f"{section['what']}\n", "\n".join(lines) + "\n"]
    return "\n".join(parts)


def _spread(ratios: Sequence[float]) -> tuple[float, float, float]:
    return min(ratios), float(np.median(ratios)), max(ratios)


def _number(value: float) -> str:
    digits = 2 if abs(value) < 10 else 1 if abs(value) < 100 else 0
    return f"{value:.{digits}f}"


def figure(found: Mapping[str, Any]) -> Figure:
    """Ratios of all rows with their ranges, by section, on a logarithmic axis."""
    from matplotlib.figure import Figure

    sections = [section for section in found["sections"] if section["rows"]]
    heights = [len(section["rows"]) + 1.6 for section in sections]
    drawn = Figure(figsize=(8, 0.21 * sum(heights) + 0.5), layout="constrained")
    axes = drawn.subplots(len(sections), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    for axis, section in zip(axes, sections, strict=True):
        names = [row["name"].replace("`", "") for row in section["rows"]]
        spreads = np.array([_spread(row["ratios"]) for row in section["rows"]])
        low, middle, high = spreads.T
        places = range(len(names))
        colours = [PALETTE["trained"] if value >= 1 else PALETTE["selective"] for value in middle]
        axis.hlines(places, low, high, colors=colours, lw=2)
        axis.scatter(middle, places, s=22, c=colours, zorder=3)
        plain: dict[str, Any] = {"textcoords": "offset points", "va": "center", "fontsize": 8}
        behind = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}
        for place, value, right in zip(places, middle, high, strict=True):
            axis.annotate(_number(value), (right, place), (6, 0), bbox=behind, **plain)
        axis.axvline(1, **GUIDE)
        axis.set(xscale="log", yticks=list(places), ylim=(len(names) - 0.4, -0.6))
        axis.set_yticklabels(names, fontsize=8)
        axis.set_title(section["title"], fontsize=9, loc="left", fontweight="bold")
        axis.tick_params(axis="x", which="both", labelsize=8)
        axis.spines[["top", "right"]].set_visible(False)
    ratios = np.array([value for section in sections for row in section["rows"] for value in row["ratios"]])
    axes[-1].set_xlim(ratios.min() / 1.15, max(ratios.max(), 1) * 1.6)
    axes[-1].xaxis.set_major_locator(_ticks(axes[-1].get_xlim()))
    axes[-1].xaxis.set_major_formatter("{x:g}")
    axes[-1].xaxis.set_minor_locator(_ticks((1, 1)))
    axes[-1].set_xlabel("ratio (right of the line: better than what it is compared with)", fontsize=9)
    return drawn


def _ticks(limits: tuple[float, float]) -> Any:
    from matplotlib.ticker import FixedLocator

    decades = [factor * 10.0**power for power in range(-4, 5) for factor in (1, 2, 5)]
    return FixedLocator([tick for tick in decades if limits[0] <= tick <= limits[1]])


def write(found: Mapping[str, Any], docs: Path) -> None:
    """The page, its numbers and its figure: all three, or none if one of them cannot be made."""
    text, numbers, drawn = page(found), json.dumps(found, indent=1, ensure_ascii=False) + "\n", figure(found)
    with ExitStack() as files:
        paths = [
            files.enter_context(whole(docs / name))
            for name in ("performance.md", "performance.json", "figures/performance.png")
        ]
        paths[0].write_text(text, encoding="utf-8")
        paths[1].write_text(numbers, encoding="utf-8")
        picture = BytesIO()
        drawn.savefig(picture, dpi=150, format="png")
        # In few colours, a third of the size.
        with Image.open(picture) as image:
            image.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(paths[2], format="png", optimize=True)


def read(docs: Path) -> dict[str, Any]:
    """The numbers beside the page."""
    return json.loads((docs / "performance.json").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Change:
    """A row of the page measured again: "fallen", "better", "kept", or "not on the page"."""

    outcome: str
    section: str
    name: str
    before: Sequence[float]
    now: Sequence[float]

    def __str__(self) -> str:
        low, middle, high = _spread(self.now)
        said = f"{self.section}: {self.name}: now {_number(middle)} ({_number(low)}–{_number(high)})"
        if not self.before:
            return f"{self.outcome}: {said}"
        low, before, high = _spread(self.before)
        said = f"{said}, on the page {_number(before)} ({_number(low)}–{_number(high)})"
        by = {"fallen": f" by {1 - middle / before:.0%}", "better": f" by {middle / before - 1:.0%}"}
        return f"{self.outcome}{by.get(self.outcome, '')}: {said}"


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[Change]:
    """Every row that was measured again, against the page.

    It has fallen, or is better, only where the whole range of its rounds lies beyond a tenth of the page's median, so
    that a noisy round is not called a change.
    """
    known = {(s["title"], row["name"]): row["ratios"] for s in before["sections"] for row in s["rows"]}
    found = []
    for section in now["sections"]:
        for row in section["rows"]:
            was = known.get((section["title"], row["name"]), [])
            low, _, high = _spread(row["ratios"])
            if not was:
                outcome = "not on the page"
            elif high < KEPT * _spread(was)[1]:
                outcome = "fallen"
            elif low > _spread(was)[1] / KEPT:
                outcome = "better"
            else:
                outcome = "kept"
            found.append(Change(outcome, section["title"], row["name"], was, row["ratios"]))
    return found


def report(before: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[str, int]:
    """What `make bench-quick` says of a new measurement, and its exit status: 1 where a row has fallen.

    On another machine than the page's ratios may differ for that reason alone: it says so first, and the status is 0.
    """
    lines = []
    other = {key: (value, now["machine"].get(key)) for key, value in before["machine"].items()}
    other = {key: pair for key, pair in other.items() if pair[0] != pair[1]}
    if other:
        told = "; ".join(f"{key} {here}, the page's {there}" for key, (there, here) in other.items())
        lines.append(f"another machine than the page's, so ratios may differ and none fails: {told}")
    found = changes(before, now)
    lines += [
        str(change)
        for outcome in ("fallen", "better", "not on the page")
        for change in found
        if change.outcome == outcome
    ]
    count = {outcome: sum(change.outcome == outcome for change in found) for outcome in ("kept", "better", "fallen")}
    rows = sum(len(section["rows"]) for section in before["sections"])
    measured_again = sum(count.values())
    lines.append(
        f"{measured_again} of the page's {rows} rows measured again: {count['kept']} as they were within "
        f"{1 - KEPT:.0%} or their range, {count['better']} better, {count['fallen']} fallen"
    )
    return "\n".join(lines), int(count["fallen"] > 0 and not other)
