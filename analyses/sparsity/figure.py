"""The figure of sparsity."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from analyses.ground import (
    GUIDE,
    Theme,
    common_levels,
    figure_of,
    level_colours,
    named_blocks,
    network_looks,
    networks_drawn,
    new_figure,
    over_blocks,
    shifted,
    themed,
    titled,
    whiskers,
)
from analyses.sparsity.analyse import FINDINGS, PLACE
from probekit.labels import strings

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot"]

TITLES = {
    "participation_ratio": "participation ratio",
    "hoyer": "Hoyer",
    "gini": "Gini",
    "treves_rolls": "Treves–Rolls",
    "effective_number": "effective number (entropy)",
}
CHANGE = "change of participation ratio"
# Noise levels that can be told apart in one panel, and beside each other.
MAX_LINES, MAX_COLUMNS = 5, 4


def plot(
    findings: xr.Dataset,
    *,
    ax: Axes | None = None,
    theme: Theme = None,
    against: Mapping[str, xr.Dataset] | None = None,
) -> Figure:
    """Draw each measure along the blocks, one line per noise level, and what each block changes in PR.

    Parameters
    ----------
    findings
        What `analyse` returns; of several networks, along a dim `network`.
    ax
        Axes to draw the participation ratio in; by default a figure of its own, of all measures.
    theme
        "light" (default), "dark", "print", or settings of matplotlib by name, laid over those that hold.
    against
        Findings of other networks, by name. Of several networks each is a line, and each noise level a column.

    Returns
    -------
    Figure
        Bars are the intervals; of more than 5 noise levels 5 are drawn, from the least to the largest (4 as columns).
        With `ax`, its figure.

    Raises
    ------
    InputError
        If the findings are not of this analysis, networks have no noise level in common, or an option is none of these.
    """
    with themed(theme, ax):
        found = {name: one.sel(vector="phi") for name, one in networks_drawn(findings, against, _taken).items()}
        levels = common_levels(found, MAX_LINES if len(found) == 1 else MAX_COLUMNS)
        if ax is not None:
            _in_axes(ax, found, levels)
            return figure_of(ax)
        return _of_one(next(iter(found.items())), levels) if len(found) == 1 else _of_several(found, levels)


def _taken(findings: Any) -> xr.Dataset:
    return FINDINGS.taken(
        findings,
        "sparsity",
        "change",
        "sparser_when",
        "input",
        dims=(*PLACE, "image"),
        attrs=("level",),
        along={"vector": ("phi",), "measure": ("participation_ratio",)},
    )


def _in_axes(axis: Axes, found: Mapping[str, xr.Dataset], levels: list[float]) -> None:
    parts = {name: one.sel(measure="participation_ratio") for name, one in found.items()}
    if len(parts) == 1:
        _by_level(axis, next(iter(parts.values())), "sparsity", levels)
    else:
        level = levels[len(levels) // 2]
        _by_network(axis, parts, "sparsity", level)
        axis.set_title(f"σ = {level:g}")
    axis.set_ylabel("participation ratio (smaller: sparser)")
    axis.legend()


def _of_one(one: tuple[str, xr.Dataset], levels: list[float]) -> Figure:
    name, phi = one
    figure = new_figure(11, 6)
    axes = figure.subplots(2, 3).ravel()
    measures = strings(phi["measure"].values).tolist()
    for axis, measure in zip(axes, measures, strict=False):
        part = phi.sel(measure=measure)
        _by_level(axis, part, "sparsity", levels)
        axis.set_title(_title(measure, part))
    last = axes[len(measures)]
    _by_level(last, phi.sel(measure="participation_ratio"), "change", levels)
    last.axhline(0, **GUIDE)
    last.set_title(f"{CHANGE},\noutput − input of a block")
    last.set_xticks(*_with_inputs(phi))
    last.tick_params(axis="x", labelsize="small")
    for axis in axes[len(measures) + 1 :]:
        axis.remove()
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(levels))
    titled(figure, f"{name}: sparsity of φ, {_said(phi)}")
    return figure


def _of_several(found: Mapping[str, xr.Dataset], levels: list[float]) -> Figure:
    first = next(iter(found.values()))
    measures = [m for m in strings(first["measure"].values).tolist() if all(m in f["measure"] for f in found.values())]
    rows = [*measures, CHANGE]
    figure = new_figure(2 + 2.6 * len(levels), 0.8 + 1.55 * len(rows))
    axes = figure.subplots(len(rows), len(levels), sharex=True, sharey="row", squeeze=False)
    for row, measure in zip(axes, rows, strict=True):
        changed = measure == CHANGE
        parts = {n: one.sel(measure="participation_ratio" if changed else measure) for n, one in found.items()}
        for axis, level in zip(row, levels, strict=True):
            _by_network(axis, parts, "change" if changed else "sparsity", level)
            axis.set_xlabel("block" if measure is rows[-1] else "")
            if changed:
                axis.axhline(0, **GUIDE)
        said = _title(measure, next(iter(parts.values()))).replace(" (", "\n(")
        row[0].set_ylabel("change of PR,\noutput − input" if changed else said)
    for axis, level in zip(axes[0], levels, strict=True):
        axis.set_title(f"σ = {level:g}")
    figure.align_ylabels(axes[:, 0])
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=len(found))
    titled(figure, f"Sparsity of φ, {_said(first)}")
    return figure


def _title(measure: str, part: xr.Dataset) -> str:
    return f"{TITLES.get(measure, measure.replace('_', ' '))} ({part['sparser_when'].item()}: sparser)"


def _said(phi: xr.Dataset) -> str:
    level = 100 * float(phi.attrs["level"])
    return f"mean over {phi.sizes['image']} images (bars: {level:g} % intervals)"


def _with_inputs(phi: xr.Dataset) -> tuple[list[int], list[str]]:
    """Each block with the one that it takes what it is given from; the first has none and keeps its place."""
    names = [f"{b}\n← {i or '–'}" for b, i in zip(phi["block"].values, phi["input"].values, strict=True)]
    return list(range(len(names))), names


def _by_level(axis: Axes, part: xr.Dataset, name: str, levels: list[float]) -> None:
    places = over_blocks(axis, strings(part["block"].values).tolist())
    for s, (level, colour) in enumerate(zip(levels, level_colours(len(levels)), strict=True)):
        middle, errors = whiskers(part.sel(sigma=level), name)
        x = places + shifted(s, len(levels), 0.4)
        axis.errorbar(x, middle, errors, fmt="o-", ms=3.5, lw=1.2, color=colour, label=f"σ = {level:g}")


def _by_network(axis: Axes, parts: Mapping[str, xr.Dataset], name: str, level: float) -> None:
    blocks = named_blocks(parts)
    over_blocks(axis, blocks)
    for k, (network, look) in enumerate(zip(parts, network_looks(list(parts)), strict=True)):
        part = parts[network].sel(sigma=level, method="nearest")
        x = np.array([blocks.index(str(b)) for b in part["block"].values]) + shifted(k, len(parts), 0.4)
        axis.errorbar(x, *whiskers(part, name), ms=4, lw=1.2, label=network, **look)
