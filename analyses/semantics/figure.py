"""The figure of semantics."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from analyses.ground import GUIDE, block_colours, level_colours
from analyses.semantics.analyse import FINDINGS
from analyses.semantics.inputs import PLACE
from analyses.semantics.reliability import RELIABILITY
from probekit import labels
from probekit.errors import InputError

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot", "plot_reliability"]

DECIDED = {"yes": "o", "no": "x", "undecided": "o"}


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

    FINDINGS.check(findings, *PLACE, dims=PLACE, attrs=("level",))
    for name, chance in CHANCES.items():
        if name in findings:
            FINDINGS.check(findings, name, *chance)
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
    """Draw the reliability of distances at each block, a panel a distance and a line a noise level.

    Parameters
    ----------
    findings
        What `reliability` returns.

    Returns
    -------
    Figure
        Bars are the intervals, the dashed line the target. Filled: shown to reach it; crossed: shown not to; open:
        undecided. Without the noise's part, which is what `reliable` is told by.

    Raises
    ------
    InputError
        If these are no findings of `reliability`.
    """
    from matplotlib.figure import Figure

    RELIABILITY.check(findings, "reliability", "reliable", dims=("estimator", *PLACE), attrs=("target", "draws_split"))
    one = findings.sel(estimator="noise_free")
    figure = Figure(figsize=(1.2 + 3.6 * one.sizes["distance"], 3.4), layout="constrained")
    axes = figure.subplots(1, one.sizes["distance"], sharey=True, squeeze=False)[0]
    blocks, levels = labels.strings(one["block"].values), one["sigma"].values
    for d, axis in enumerate(axes):
        here = one.isel(distance=d)
        for s, colour in enumerate(level_colours(len(levels))):
            part = here.isel(sigma=s)
            middle, low, high = (part[f"reliability{end}"].values for end in ("", "_low", "_high"))
            # Set apart a little, so that levels can be told.
            x = np.arange(len(blocks)) + 0.5 * ((s + 0.5) / len(levels) - 0.5)
            errors = np.maximum(0, np.stack([middle - low, high - middle]))
            axis.errorbar(x, middle, errors, fmt="-", lw=0.8, color=colour, label=f"σ = {levels[s]:g}")
            for said, marker in DECIDED.items():
                at = labels.strings(part["reliable"].values) == said
                face = "white" if said == "undecided" else colour
                axis.plot(x[at], middle[at], marker, ms=5, color=colour, markerfacecolor=face)
        axis.axhline(float(findings.attrs["target"]), **GUIDE)
        axis.set_xticks(range(len(blocks)), blocks.tolist(), rotation=45)
        axis.set_title(f"{here['distance'].item()} distance", fontsize=9)
    axes[0].set_ylabel(f"reliability at {findings.attrs['draws_split']} draws")
    axes[0].legend(frameon=False, fontsize=8)
    name = findings.attrs.get("denoiser", "")
    target = f"{findings.attrs['target']:g}"
    figure.suptitle(f"{name}: filled reaches {target}, crossed does not, open is undecided", fontsize=9)
    return figure


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
