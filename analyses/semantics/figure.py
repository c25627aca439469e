"""Figures of semantics: what distances in φ mean, and where they are reliable."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from analyses.ground import GUIDE, block_colours, level_colours
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


def plot(findings: xr.Dataset) -> Figure:
    """Draw how often images are found again, whose label neighbours have, and what distances correlate with.

    Parameters
    ----------
    findings
        What `analyse` returns. The first of its distances is drawn; of correlations Spearman's where there are several
        statistics, plain (filled) and given the last set (open), at the middle noise level.

    Returns
    -------
    Figure
        Bars are the intervals, dashed lines chance.

    Raises
    ------
    InputError
        If these are no findings of `analyse`, or lack dims or attributes.
    """
    from matplotlib.figure import Figure

    findings = FINDINGS.taken(findings, *PLACE, dims=PLACE, attrs=("level",))
    for name, chance in CHANCES.items():
        if name in findings:
            findings = FINDINGS.taken(findings, name, *chance)
    one = findings.isel(distance=0)
    figure = Figure(figsize=(13, 4), layout="constrained")
    panels = [draw for name, draw in PANELS.items() if name in findings]
    if not panels and "neighbor_index" not in findings:
        raise InputError(f"the findings have none of {', '.join(PANELS)}: give what semantics.analyse returns")
    for axis, draw in zip(figure.subplots(1, max(1, len(panels)), squeeze=False)[0], panels, strict=False):
        draw(axis, one)
    figure.suptitle(
        f"{findings.attrs.get('denoiser', '')}: {one['distance'].item()} distance in φ "
        f"(bars: {100 * float(findings.attrs['level']):g} % intervals)",
        fontsize=10,
    )
    return figure


def plot_reliability(findings: xr.Dataset) -> Figure:
    """Draw how reliable noise-free distances are by block and noise level, a panel for each distance.

    Parameters
    ----------
    findings
        What `reliability` returns.

    Returns
    -------
    Figure
        Bars are the intervals, the dashed line the target. Filled discs lie above it with their whole interval, crosses
        below; open ones are undecided, and so is what is not known, a question mark at the lower edge.

    Raises
    ------
    InputError
        If these are no findings of `reliability`, or lack dims or attributes.
    """
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    findings = RELIABILITY.taken(
        findings, "reliability", "reliable", dims=PLACE, attrs=("target", "level", "draws_split")
    )
    if "noise_free" not in findings["estimator"].values:
        raise InputError("the findings lack the estimator noise_free: give what semantics.reliability returns")
    one = findings.sel(estimator="noise_free")
    blocks, sigmas = list(map(str, one["block"].values)), one["sigma"].values
    panels, colours = one.sizes["distance"], level_colours(len(sigmas))
    width = 1.2 + panels * max(2.4, 0.9 + 0.16 * len(blocks) * len(sigmas))
    figure = Figure(figsize=(width, 4), layout="constrained")
    axes = figure.subplots(1, panels, sharey=True, squeeze=False)[0]
    for d, axis in enumerate(axes):
        for s, colour in enumerate(colours):
            # Set apart a little, so that noise levels can be told.
            x = np.arange(len(blocks)) + 0.7 * ((s + 0.5) / len(sigmas) - 0.5)
            _reliabilities(axis, x, one.isel(distance=d, sigma=s), tuple(colour))
        axis.axhline(float(findings.attrs["target"]), **GUIDE)
        axis.set_xticks(range(len(blocks)), blocks, rotation=90 if len(blocks) > 6 else 0)
        axis.set_xlim(-0.6, len(blocks) - 0.4)
        axis.set(title=f"{one['distance'].values[d]} distance", xlabel="block")
    low = one["reliability_low"].values
    # Below 0 distances from two halves of the draws have nothing in common.
    least = float(np.nanmin(low, initial=findings.attrs["target"]))
    axes[0].set_ylim(max(least, -0.1) - 0.04, 1.02)
    axes[0].set_ylabel("reliability of distances")
    marks = [
        Line2D([], [], ls="", marker=mark, color="0.3", mfc="0.3" if filled else "white", label=said)
        for mark, filled, said in MARKS.values()
    ]
    levels = [Line2D([], [], color=tuple(c), label=f"σ = {s:g}") for c, s in zip(colours, sigmas, strict=True)]
    target = Line2D([], [], label=f"target {float(findings.attrs['target']):g}", **GUIDE)
    figure.legend(handles=[*levels, *marks, target], loc="outside right center", frameon=False, fontsize=8)
    figure.suptitle(
        f"{findings.attrs.get('denoiser', '')}: noise-free distances in φ of {findings.attrs['draws_split']} draws "
        f"(bars: {100 * float(findings.attrs['level']):g} % intervals)",
        fontsize=10,
    )
    return figure


def _reliabilities(axis: Axes, x: np.ndarray, one: xr.Dataset, colour: tuple[float, ...]) -> None:
    """The blocks at one distance and noise level, marked by what is decided."""
    middle, low, high = (one[f"reliability{end}"].values for end in ("", "_low", "_high"))
    reliable = np.array(list(map(str, one["reliable"].values)))
    for name, (mark, filled, _) in MARKS.items():
        here = np.flatnonzero((reliable == name) & ~np.isnan(middle))
        errors = np.maximum(0, np.stack([middle - low, high - middle]))[:, here]
        face = colour if filled else "white"
        axis.errorbar(x[here], middle[here], errors, fmt=mark, ms=6, lw=1, color=colour, markerfacecolor=face)
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
    axis.set(title=f"neighbours ({one.sizes['neighbor']}) with the label", ylabel="precision")


def _over_sigma(axis: Axes, one: xr.Dataset, name: str) -> None:
    blocks = list(map(str, one["block"].values))
    for block, colour in zip(blocks, block_colours(blocks), strict=True):
        part = one.sel(block=block)
        middle, low, high = (part[f"{name}{end}"].values for end in ("", "_low", "_high"))
        # A percentile interval need not hold the estimate.
        errors = np.maximum(0, np.stack([middle - low, high - middle]))
        axis.errorbar(part["sigma"].values, middle, errors, fmt="o-", ms=3, lw=1, color=colour, label=block)
    axis.set_xlabel("σ")
    axis.legend(frameon=False, fontsize=8)


def _correlations(axis: Axes, one: xr.Dataset) -> None:
    kinds = list(map(str, one["statistic"].values))
    kind = "spearman" if "spearman" in kinds else kinds[0]
    one = one.sel(statistic=kind).isel(sigma=one.sizes["sigma"] // 2)
    sets = [0, one.sizes["given"] - 1] if one.sizes["given"] > 1 else [0]
    lines = one.sizes["block"] * len(sets)
    blocks = list(map(str, one["block"].values))
    for b, (block, colour) in enumerate(zip(blocks, block_colours(blocks), strict=True)):
        for k, g in enumerate(sets):
            part = one.sel(block=block).isel(given=g)
            middle, low, high = (part[f"correlation{end}"].values for end in ("", "_low", "_high"))
            # Set apart a little, so that blocks can be told.
            y = np.arange(len(middle)) + 0.6 * ((b * len(sets) + k + 0.5) / lines - 0.5)
            axis.errorbar(
                middle,
                y,
                xerr=np.maximum(0, np.stack([middle - low, high - middle])),
                fmt="o",
                ms=4,
                lw=1,
                color=colour,
                markerfacecolor="white" if k else colour,
                label="_" if k else block,
            )
    axis.axvline(0, **GUIDE)
    axis.set_yticks(range(one.sizes["other"]), list(map(str, one["other"].values)))
    axis.invert_yaxis()
    said = f" (open: given {one['given'].values[-1]})" if len(sets) > 1 else ""
    axis.set_title(f"{kind.replace('_', ' ')}, σ = {one['sigma'].item():g}{said}", fontsize=9)
    axis.legend(frameon=False, fontsize=8)


# What a panel draws beside its variable.
CHANCES = {"top1": ("top1_chance",), "precision": ("precision_chance",), "correlation": ()}
PANELS = {"top1": _found_again, "precision": _labels, "correlation": _correlations}
