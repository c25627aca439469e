"""Figures of semantics: what distances in φ mean, and where they are reliable."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.ground import (
    GUIDE,
    Theme,
    block_colours,
    block_marks,
    common_levels,
    figure_of,
    level_colours,
    line_looks,
    networks_drawn,
    new_figure,
    over_blocks,
    over_levels,
    shifted,
    themed,
    titled,
    whiskers,
)
from analyses.semantics.analyse import FINDINGS
from analyses.semantics.inputs import PLACE
from analyses.semantics.reliability import RELIABILITY
from probekit.errors import InputError

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot", "plot_reliability"]

# How what is and is not reliable is drawn, and what the legend says of it.
MARKS = {"yes": ("o", True, "reliable"), "no": ("x", True, "not reliable"), "undecided": ("o", False, "undecided")}


def plot(
    findings: xr.Dataset,
    *,
    ax: Axes | None = None,
    theme: Theme = None,
    against: Mapping[str, xr.Dataset] | None = None,
) -> Figure:
    """Draw how often images are found again, whose label neighbours have, and what distances correlate with.

    Parameters
    ----------
    findings
        What `analyse` returns; of several networks, along a dim `network`. The first of its distances is drawn; of
        correlations Spearman's where there are several statistics, plain (filled) and given the last set (open), at the
        middle noise level.
    ax
        Axes to draw the first of these in; by default a figure of its own, of all.
    theme
        "light" (default), "dark", "print", or settings of matplotlib by name, laid over those that hold.
    against
        Findings of other networks, by name: a row each, all of one scale.

    Returns
    -------
    Figure
        Bars are the intervals, dashed lines chance. With `ax`, its figure.

    Raises
    ------
    InputError
        If these are no findings of `analyse`, or lack dims or attributes, or an option is none of these.
    """
    with themed(theme, ax):
        found = {name: one.isel(distance=0) for name, one in networks_drawn(findings, against, _taken).items()}
        panels = [name for name in PANELS if any(name in one for one in found.values())]
        if ax is not None:
            if len(found) > 1:
                raise InputError(
                    f"ax takes one network, and there are {', '.join(found)}: give findings of one, or no ax"
                )
            if not panels:
                raise InputError(f"the findings have none of {', '.join(PANELS)}: give what semantics.analyse returns")
            PANELS[panels[0]](ax, next(iter(found.values())))
            ax.legend()
            return figure_of(ax)
        return _rows(found, panels)


def _taken(findings: Any) -> xr.Dataset:
    findings = FINDINGS.taken(findings, *PLACE, dims=PLACE, attrs=("level",))
    for name, chance in CHANCES.items():
        if name in findings:
            findings = FINDINGS.taken(findings, name, *chance)
    if "neighbor_index" not in findings and not any(name in findings for name in PANELS):
        raise InputError(f"the findings have none of {', '.join(PANELS)}: give what semantics.analyse returns")
    return findings


def _rows(found: Mapping[str, xr.Dataset], panels: list[str]) -> Figure:
    figure = new_figure(0.8 + 3.6 * max(1, len(panels)), 0.9 + 2.9 * len(found))
    axes = figure.subplots(len(found), max(1, len(panels)), sharex="col", sharey="col", squeeze=False).tolist()
    for row, (name, one) in zip(axes, found.items(), strict=True):
        for axis, panel in zip(row, panels, strict=False):
            if panel in one:
                PANELS[panel](axis, one)
            if row is not axes[-1]:
                axis.set_xlabel("")
            if row is not axes[0]:
                axis.set_title("")
        if len(found) > 1:
            row[0].set_ylabel(f"{name}\n{row[0].get_ylabel()}")
    if "correlation" in panels:
        # Shared axes are one axis.
        axes[0][panels.index("correlation")].invert_yaxis()
    entries = {label: h for axis in figure.axes for h, label in zip(*axis.get_legend_handles_labels(), strict=True)}
    figure.legend(entries.values(), entries, loc="outside right center")
    name, first = next(iter(found.items()))
    said = f"{first['distance'].item()} distance in φ (bars: {100 * float(first.attrs['level']):g} % intervals)"
    titled(figure, said if len(found) > 1 else f"{name}: {said}")
    return figure


def plot_reliability(
    findings: xr.Dataset,
    *,
    ax: Axes | None = None,
    theme: Theme = None,
    against: Mapping[str, xr.Dataset] | None = None,
) -> Figure:
    """Draw how reliable noise-free distances are by block and noise level, a panel for each distance.

    Parameters
    ----------
    findings
        What `reliability` returns; of several networks, along a dim `network`.
    ax
        Axes to draw the first distance in; by default a figure of its own, of all.
    theme
        "light" (default), "dark", "print", or settings of matplotlib by name, laid over those that hold.
    against
        Findings of other networks, by name: a row each, all of one scale.

    Returns
    -------
    Figure
        Bars are the intervals, the dashed line the target. Filled marks lie above it with their whole interval, crosses
        below; open ones are undecided, and so is what is not known, a question mark at the lower edge. With `ax`, its
        figure.

    Raises
    ------
    InputError
        If these are no findings of `reliability`, or lack dims or attributes, or an option is none of these.
    """
    with themed(theme, ax):
        found = networks_drawn(findings, against, _taken_reliability)
        levels = common_levels(found, max(one.sizes["sigma"] for one in found.values()))
        if ax is not None:
            if len(found) > 1:
                raise InputError(
                    f"ax takes one network, and there are {', '.join(found)}: give findings of one, or no ax"
                )
            one = next(iter(found.values()))
            _of_distance(ax, one.isel(distance=0), levels)
            _from_least(ax, found)
            ax.legend(handles=_entries(one, levels), fontsize="small")
            return figure_of(ax)
        return _reliable_rows(found, levels)


def _taken_reliability(findings: Any) -> xr.Dataset:
    findings = RELIABILITY.taken(
        findings, "reliability", "reliable", dims=PLACE, attrs=("target", "level", "draws_split")
    )
    if "noise_free" not in findings["estimator"].values:
        raise InputError("the findings lack the estimator noise_free: give what semantics.reliability returns")
    return findings.sel(estimator="noise_free")


def _reliable_rows(found: Mapping[str, xr.Dataset], levels: list[float]) -> Figure:
    name, first = next(iter(found.items()))
    panels, blocks = first.sizes["distance"], max(one.sizes["block"] for one in found.values())
    width = 1.6 + panels * max(2.4, 0.9 + 0.14 * blocks * len(levels))
    figure = new_figure(width, 0.8 + 2.8 * len(found))
    axes = figure.subplots(len(found), panels, sharey=True, squeeze=False).tolist()
    for row, (network, one) in zip(axes, found.items(), strict=True):
        for d, axis in enumerate(row[: one.sizes["distance"]]):
            _of_distance(axis, one.isel(distance=d), levels)
            axis.set_title(f"{one['distance'].values[d]} distance" if row is axes[0] else "")
            axis.set_ylabel("")
            axis.set_xlabel("block" if row is axes[-1] else "")
        row[0].set_ylabel(f"{network}\nreliability of distances" if len(found) > 1 else "reliability of distances")
    _from_least(axes[0][0], found)
    figure.legend(handles=_entries(first, levels), loc="outside right center")
    said = (
        f"noise-free distances in φ of {first.attrs['draws_split']} draws "
        f"(bars: {100 * float(first.attrs['level']):g} % intervals)"
    )
    titled(figure, said if len(found) > 1 else f"{name}: {said}")
    return figure


def _from_least(axis: Axes, found: Mapping[str, xr.Dataset]) -> None:
    # Below 0 distances from two halves of the draws have nothing in common.
    ends = [np.nanmin(one["reliability_low"].values, initial=one.attrs["target"]) for one in found.values()]
    axis.set_ylim(max(float(min(ends)), -0.1) - 0.04, 1.02)


def _entries(one: xr.Dataset, levels: list[float]) -> list[Any]:
    """What the legend says of noise levels, of marks, and of the target."""
    from matplotlib.lines import Line2D

    colours, looks = level_colours(len(levels)), line_looks(len(levels))
    shown = zip(colours, looks, levels, strict=True)
    of_levels = [
        Line2D([], [], color=tuple(c), marker=look["marker"], ms=5, label=f"σ = {s:g}") for c, look, s in shown
    ]
    marks = [
        Line2D([], [], ls="", marker=mark, color="0.5", mfc="0.5" if filled else "none", label=said)
        for mark, filled, said in MARKS.values()
    ]
    return [*of_levels, *marks, Line2D([], [], label=f"target {float(one.attrs['target']):g}", **GUIDE)]


def _of_distance(axis: Axes, one: xr.Dataset, levels: list[float]) -> None:
    """Reliability of one distance at each block and noise level."""
    places = over_blocks(axis, list(map(str, one["block"].values)))
    colours, looks = level_colours(len(levels)), line_looks(len(levels))
    for s, (level, colour, look) in enumerate(zip(levels, colours, looks, strict=True)):
        # Set apart a little, so that noise levels can be told.
        x = places + shifted(s, len(levels), 0.7)
        _reliabilities(axis, x, one.sel(sigma=level, method="nearest"), tuple(colour), look["marker"])
    axis.axhline(float(one.attrs["target"]), **GUIDE)
    axis.set(title=f"{one['distance'].item()} distance", ylabel="reliability of distances")


def _reliabilities(axis: Axes, x: np.ndarray, one: xr.Dataset, colour: tuple[float, ...], own: str) -> None:
    """The blocks at one distance and noise level, marked by what is decided."""
    middle, errors = whiskers(one, "reliability")
    reliable = np.array(list(map(str, one["reliable"].values)))
    for name, (mark, filled, _) in MARKS.items():
        here = np.flatnonzero((reliable == name) & ~np.isnan(middle))
        face = colour if filled else axis.get_facecolor()
        style = {"fmt": mark if mark == "x" else own, "ms": 5, "lw": 1, "color": colour, "markerfacecolor": face}
        axis.errorbar(x[here], middle[here], errors[:, here], **style)
    for place in x[np.isnan(middle)]:
        axis.text(place, 0.01, "?", color=colour, ha="center", va="bottom", transform=axis.get_xaxis_transform())


def _found_again(axis: Axes, one: xr.Dataset) -> None:
    # With independent noise where it is known: shared noise makes it easier.
    _over_sigma(axis, one.isel(noise=-1), "top1")
    axis.axhline(one["top1_chance"].item(), **GUIDE)
    axis.set(title=f"found again among {one.attrs.get('among', 'all')}", ylabel="share at rank 1", ylim=(-0.03, 1.03))


def _labels(axis: Axes, one: xr.Dataset) -> None:
    _over_sigma(axis, one, "precision")
    axis.axhline(one["precision_chance"].item(), **GUIDE)
    axis.set(title=f"neighbours ({one.sizes['neighbor']}) with the label", ylabel="share of neighbours")


def _over_sigma(axis: Axes, one: xr.Dataset, name: str) -> None:
    blocks = list(map(str, one["block"].values))
    places = over_levels(axis, one["sigma"].values)
    for b, (block, colour, mark) in enumerate(zip(blocks, block_colours(blocks), block_marks(blocks), strict=True)):
        x = places + shifted(b, len(blocks))
        axis.errorbar(
            x, *whiskers(one.sel(block=block), name), fmt="-", marker=mark, ms=4, lw=1, color=colour, label=block
        )


def _correlations(axis: Axes, one: xr.Dataset) -> None:
    kinds = list(map(str, one["statistic"].values))
    kind = "spearman" if "spearman" in kinds else kinds[0]
    one = one.sel(statistic=kind).isel(sigma=one.sizes["sigma"] // 2)
    sets = [0, one.sizes["given"] - 1] if one.sizes["given"] > 1 else [0]
    lines = one.sizes["block"] * len(sets)
    blocks = list(map(str, one["block"].values))
    for b, (block, colour, mark) in enumerate(zip(blocks, block_colours(blocks), block_marks(blocks), strict=True)):
        for k, g in enumerate(sets):
            middle, errors = whiskers(one.sel(block=block).isel(given=g), "correlation")
            # Set apart a little, so that blocks can be told.
            y = np.arange(len(middle)) + shifted(b * len(sets) + k, lines, 0.7)
            face = axis.get_facecolor() if k else colour
            style = {"fmt": mark, "ms": 4, "lw": 1, "color": colour, "markerfacecolor": face}
            axis.errorbar(middle, y, xerr=errors, label="_" if k else block, **style)
    axis.axvline(0, **GUIDE)
    axis.set_yticks(range(one.sizes["other"]), list(map(str, one["other"].values)))
    said = f"\n(open: given {one['given'].values[-1]})" if len(sets) > 1 else ""
    axis.set_title(f"{kind.replace('_', ' ')} correlation, σ = {one['sigma'].item():g}{said}")
    axis.set_xlabel("correlation with distances in φ")


# What a panel draws beside its variable.
CHANCES = {"top1": ("top1_chance",), "precision": ("precision_chance",), "correlation": ()}
PANELS = {"top1": _found_again, "precision": _labels, "correlation": _correlations}
