"""The figure of the probe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import xarray as xr

from analyses.ground import (
    GUIDE,
    Theme,
    block_colours,
    block_marks,
    figure_of,
    networks_drawn,
    new_figure,
    over_levels,
    shifted,
    themed,
    titled,
    whiskers,
)
from analyses.probe.analyse import FINDINGS
from probekit.errors import InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot"]


def plot(
    findings: xr.Dataset,
    *,
    ax: Axes | None = None,
    theme: Theme = None,
    against: Mapping[str, xr.Dataset] | None = None,
) -> Figure:
    """Draw accuracy of each block against σ, and the learning curves where there are any.

    Parameters
    ----------
    findings
        What `analyse` returns; of several networks, along a dim `network`.
    ax
        Axes to draw the accuracy of one network in; by default a figure of its own, of all.
    theme
        "light" (default), "dark", "print", or settings of matplotlib by name, laid over those that hold.
    against
        Findings of other networks, by name: a row each, all of one scale.

    Returns
    -------
    Figure
        Bars are the intervals, the dashed line chance. With `ax`, its figure.

    Raises
    ------
    InputError
        If these are no findings of `analyse`, or lack dims or attributes, or an option is none of these.
    """
    with themed(theme, ax):
        found = networks_drawn(findings, against, _taken)
        if ax is not None:
            if len(found) > 1:
                raise InputError(f"ax is for one network, of {', '.join(found)}: give findings of one, or no ax")
            one = next(iter(found.values()))
            _accuracies(ax, one, "accuracy", "top 1")
            ax.axhline(one["chance"].item(), **GUIDE)
            ax.set_ylim(bottom=0)
            ax.legend()
            return figure_of(ax)
        return _rows(found)


def _taken(findings: Any) -> xr.Dataset:
    return FINDINGS.taken(findings, "chance", "accuracy", "top_accuracy", attrs=("top", "classes", "train_images"))


def _rows(found: Mapping[str, xr.Dataset]) -> Figure:
    curves = any("curve" in one for one in found.values())
    figure = new_figure(0.9 + 3.6 * (2 + curves), 0.6 + 3 * len(found))
    axes = figure.subplots(len(found), 2 + curves, sharey="col", squeeze=False)
    for row, (name, one) in zip(axes, found.items(), strict=True):
        _accuracies(row[0], one, "accuracy", "top 1")
        row[0].axhline(one["chance"].item(), **GUIDE)
        _accuracies(row[1], one, "top_accuracy", f"top {one.attrs['top']}")
        if "curve" in one:
            _learnt(row[2], one)
        elif curves:
            row[2].remove()
        if len(found) > 1:
            row[0].set_ylabel(f"{name}\n{row[0].get_ylabel()}")
    for axis in axes[0]:
        # Only once all are drawn: a limit is none to what comes after it.
        axis.set_ylim(bottom=0)
    figure.legend(*axes[0][0].get_legend_handles_labels(), loc="outside right center")
    name, first = next(iter(found.items()))
    said = (
        f"linear probe, {first.attrs['classes']} classes, {first.attrs['train_images']} training images; intervals "
        "over test images"
    )
    titled(figure, said if len(found) > 1 else f"{name}: {said}")
    return figure


def _accuracies(axis: Axes, one: xr.Dataset, name: str, text: str) -> None:
    blocks = list(map(str, one["block"].values))
    places = over_levels(axis, one["sigma"].values)
    for b, (block, colour, mark) in enumerate(zip(blocks, block_colours(blocks), block_marks(blocks), strict=True)):
        x = places + shifted(b, len(blocks), 0.4)
        part = one.sel(block=block)
        axis.errorbar(x, *whiskers(part, name), marker=mark, ms=4, lw=1, color=colour, label=block)
    axis.set(ylabel=f"{text} accuracy (share of images)")


def _learnt(axis: Axes, one: xr.Dataset) -> None:
    middle = one.sizes["sigma"] // 2
    blocks = list(map(str, one["block"].values))
    curves = one["curve"].values[:, middle].T
    for colour, mark, values in zip(block_colours(blocks), block_marks(blocks), curves, strict=True):
        axis.plot(one["size"], values, marker=mark, ms=4, color=colour)
    axis.set(xscale="log", xlabel="training images", ylabel="top 1 accuracy (share of images)")
    axis.set_title(f"σ = {one['sigma'].values[middle]:g}")
