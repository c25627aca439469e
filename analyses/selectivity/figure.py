"""The figure of selectivity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from analyses.ground import (
    GUIDE,
    HATCHES,
    MARKERS,
    PALETTE,
    Theme,
    common_levels,
    figure_of,
    named_blocks,
    networks_drawn,
    new_figure,
    over_blocks,
    rounded,
    themed,
    titled,
)
from analyses.selectivity.analyse import FINDINGS, KINDS
from probekit.channels import channel_names
from probekit.labels import strings

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["composed", "plot"]

# Places for bars in a panel, at least; noise levels beside each other.
MIN_BARS, MOST_LEVELS = 4, 4
MARGINALS = ("common", "suppressed", "selective")


def plot(
    findings: xr.Dataset,
    *,
    ax: Axes | None = None,
    theme: Theme = None,
    against: Mapping[str, xr.Dataset] | None = None,
) -> Figure:
    """Draw the types per block, activity against kurtosis, and the marginals of one channel of each type there is.

    Parameters
    ----------
    findings
        What `analyse` returns; of several networks, along a dim `network`. The lower row is of the block `mid`, or else
        the one with most selective channels, at the middle noise level.
    ax
        Axes to draw the types per block in, at the middle noise level; by default a figure of its own.
    theme
        "light" (default), "dark", "print", or settings of matplotlib by name, laid over those that hold.
    against
        Findings of other networks, by name: a row each. Marginals are of the first network.

    Returns
    -------
    Figure
        With `ax`, its figure.

    Raises
    ------
    InputError
        If the findings are not of this analysis, networks have no noise level in common, or an option is none of these.
    """
    with themed(theme, ax):
        found = networks_drawn(findings, against, _taken)
        every = common_levels(found, max(one.sizes["sigma"] for one in found.values()))
        # The one nearest to the middle that bars are drawn of too.
        shown = [every.index(level) for level in common_levels(found, MOST_LEVELS)]
        middle = every[min(shown, key=lambda k: abs(k - len(every) // 2))]
        if ax is not None:
            _in_axes(ax, found, middle)
            return figure_of(ax)
        return _whole(found, middle)


def _taken(findings: Any) -> xr.Dataset:
    return FINDINGS.taken(
        findings,
        "type",
        "number",
        "fraction",
        "kurtosis",
        "activity_fraction",
        "below_fraction",
        "histogram",
        attrs=("fdr",),
        along={"kind": KINDS},
    )


def _in_axes(axis: Axes, found: Mapping[str, xr.Dataset], middle: float) -> None:
    """Types per block at one noise level; of several networks bars stand beside each other."""
    blocks = named_blocks(found)
    places = over_blocks(axis, blocks)
    width = 0.8 / len(found)
    for k, one in enumerate(found.values()):
        at = [blocks.index(str(b)) for b in one["block"].values]
        left = places[at] + (k - (len(found) - 1) / 2) * width
        composed(axis, one.sel(sigma=middle, method="nearest"), left, width * (0.95 if len(found) > 1 else 1))
    axis.set(ylabel="share of channels", ylim=(0, 1))
    beside = "" if len(found) == 1 else f"\nbars of a block: {', '.join(found)}"
    axis.set_title(f"types of channel, σ = {middle:g}{beside}")
    handles, names = axis.get_legend_handles_labels()
    axis.legend(*_once(handles, names), loc="upper left", bbox_to_anchor=(1, 1))


def _once(handles: Sequence[Any], names: Sequence[str]) -> tuple[list[Any], list[str]]:
    """Entries of a legend without repetition, the uppermost part of a bar first."""
    kept = dict(reversed(list(zip(names, handles, strict=True))))
    order = [kind for kind in reversed(KINDS) if kind in kept]
    return [kept[name] for name in order], order


def composed(axis: Axes, part: xr.Dataset, places: Any, width: float = 0.8) -> None:
    """Bars (block) of the shares of types, each with its colour and hatch; types that no bar has are in no legend."""
    from matplotlib import rcParams

    bottom = np.zeros(part.sizes["block"])
    for kind in KINDS:
        height = np.nan_to_num(part["fraction"].sel(kind=kind).values)
        if height.any():
            # Hatches are of the colour of edges, and let the paper through.
            style = {"fc": PALETTE[kind], "ec": rcParams["axes.facecolor"], "hatch": HATCHES[kind], "lw": 0}
            axis.bar(places, height, width, bottom=bottom, label=kind, **style)
        bottom += height


def _whole(found: Mapping[str, xr.Dataset], middle: float) -> Figure:
    levels = common_levels(found, MOST_LEVELS)
    name, first = next(iter(found.items()))
    block = _shown_block(first, middle)
    here = {
        n: one.sel(sigma=middle, method="nearest").isel(channel=strings(one["tap"].values) == block)
        for n, one in found.items()
        if block in strings(one["block"].values)
    }
    kinds = strings(here[name]["type"].values)
    marginals = [kind for kind in MARGINALS if (kinds == kind).any()]
    panels = len(here) + len(marginals)
    columns = min(4, panels)
    rows = -(-panels // columns)
    heights = (1.0 + 1.6 * len(found), 0.4 + 2.9 * rows)
    figure = new_figure(11.5, sum(heights) + 0.3)
    upper, lower = figure.subfigures(2, 1, squeeze=False, height_ratios=heights)[:, 0]
    _compositions(upper, found, levels)
    axes = lower.subplots(rows, columns, squeeze=False).ravel()
    for axis, (n, one) in zip(axes, here.items(), strict=False):
        _scattered(axis, one)
        axis.set_title(f"{n + chr(10) if len(found) > 1 else ''}channels of {block}, σ = {middle:g}")
        axis.sharey(axes[0])
    for axis, kind in zip(axes[len(here) :], marginals, strict=False):
        _marginal(axis, here[name].isel(channel=kinds == kind), kind, name if len(found) > 1 else "")
    for axis in axes[panels:]:
        axis.remove()
    said = f"false discovery rate {float(first.attrs['fdr']):g}"
    titled(figure, f"Types of channel ({said})" if len(found) > 1 else f"{name}: types of channel ({said})")
    return figure


def _shown_block(findings: xr.Dataset, middle: float) -> str:
    blocks = list(map(str, findings["block"].values))
    selective = findings["number"].sel(kind="selective").sel(sigma=middle, method="nearest").values
    return "mid" if "mid" in blocks else blocks[int(selective.argmax())]


def _compositions(figure: Any, found: Mapping[str, xr.Dataset], levels: list[float]) -> None:
    axes = figure.subplots(len(found), len(levels), sharex=True, sharey=True, squeeze=False).tolist()
    blocks = named_blocks(found)
    handles, names = [], []
    for row, (name, one) in zip(axes, found.items(), strict=True):
        for axis, level in zip(row, levels, strict=True):
            places = over_blocks(axis, blocks)
            composed(axis, one.sel(sigma=level, method="nearest"), [blocks.index(str(b)) for b in one["block"].values])
            # Few bars keep the width that they have among several.
            half = max(len(blocks), MIN_BARS) / 2
            axis.set(xlim=(places.mean() - half, places.mean() + half), ylim=(0, 1))
            axis.set_xlabel("block" if row is axes[-1] else "")
            got = axis.get_legend_handles_labels()
            handles, names = handles + got[0], names + got[1]
        row[0].set_ylabel(f"{name}\nshare of channels" if len(found) > 1 else "share of channels")
    for axis, level in zip(axes[0], levels, strict=True):
        axis.set_title(f"σ = {level:g}")
    figure.legend(*_once(handles, names), loc="outside right center")


def _scattered(axis: Axes, here: xr.Dataset) -> None:
    kinds = strings(here["type"].values)
    # What is not decided lies below what is.
    for kind in sorted(set(kinds.tolist()), key=lambda kind: (kind != "undecided", KINDS.index(kind))):
        part = here.isel(channel=kinds == kind)
        look = {"color": PALETTE[kind], "ms": 4 if MARKERS[kind] != "." else 6}
        label = f"{kind} ({part.sizes['channel']})"
        axis.plot(part["activity_fraction"], part["kurtosis"], MARKERS[kind], label=label, mew=0, **look)
    axis.set_yscale("symlog", linthresh=2)
    axis.minorticks_off()
    axis.set(xlim=(-0.03, 1.03), xlabel="share of images clearly above rest", ylabel="excess kurtosis over images")
    axis.legend()


def _marginal(axis: Axes, part: xr.Dataset, kind: str, network: str) -> None:
    """The channel of the type that has its median kurtosis."""
    one = part.isel(channel=int(np.argsort(part["kurtosis"].values)[part.sizes["channel"] // 2]))
    edges = np.linspace(one["activity_min"].item(), one["activity_max"].item(), one.sizes["bin"] + 1)
    axis.stairs(one["histogram"].values, edges, fill=True, color=PALETTE[kind])
    axis.axvline(0, **{**GUIDE, "lw": 1.2}, label="rest")
    axis.set_yscale("log")
    axis.minorticks_off()
    axis.locator_params(axis="x", nbins=5)
    axis.set(xlabel="φ − rest (activation)", ylabel="images", ylim=(0.7, None))
    axis.legend()
    side, share = ("below", "below_fraction") if kind == "suppressed" else ("above", "activity_fraction")
    axis.set_title(
        f"{network + ': ' if network else ''}{channel_names(one)[0]}, {kind}\nkurtosis "
        f"{rounded(one['kurtosis'].item(), 2)}, {side} rest on {100 * one[share].item():.0f} %"
    )
