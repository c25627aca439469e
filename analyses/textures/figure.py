"""Figures of textures: rates by block against what they are compared with, and what draws and patches add."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from analyses.ground import GUIDE, PALETTE
from analyses.textures.analyse import TABLE
from probekit.labels import strings

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot", "plot_curves"]

STYLES = ("-", "--", ":", "-.")
MARKS = "s^Dv<>P*X"


def plot(findings: xr.Dataset) -> Figure:
    """Draw the rates by block, of all photographs: a row for each form, a column for each noise level.

    Parameters
    ----------
    findings
        What `table` returns.

    Returns
    -------
    Figure
        Networks are lines over blocks, descriptors horizontal ones; bars and bands are intervals; dashed grey: chance.

    Raises
    ------
    InputError
        If these are no findings of `table`.
    """
    from matplotlib.figure import Figure

    findings = TABLE.taken(findings, "rate", "chance", attrs=("reference", "photographs", "patches"))
    distance = str(findings.attrs.get("verdict_distance", findings["distance"].values[0]))
    forms, sigmas = strings(findings["form"].values), findings["sigma"].values
    size = (3.5 + 3.8 * len(sigmas), 1.0 + 2.8 * len(forms))
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(len(forms), len(sigmas), sharex=True, sharey=True, squeeze=False)
    for row, form in zip(axes, forms, strict=True):
        for s, (axis, sigma) in enumerate(zip(row, sigmas, strict=True)):
            here = findings.sel(form=form, distance=distance).isel(subset=0, sigma=s)
            _rates(axis, here, str(findings.attrs["reference"]))
            axis.set_title(f"{form}, σ = {sigma:g}", fontsize=9)
        row[0].set_ylabel("same photograph nearest", fontsize=8)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside right center", frameon=False, fontsize=8)
    said = f"{findings.attrs['patches']} patches of {findings.attrs['photographs']} photographs, {distance} distance"
    if "verdict" in findings.attrs:
        said += f"\nat {findings.attrs['block']}, chosen on others: claim 9 {findings.attrs['verdict']}"
    figure.suptitle(said, fontsize=9)
    return figure


def plot_curves(findings: xr.Dataset) -> Figure:
    """Draw the rate at each block against the number of noise draws, and of patches a photograph.

    Parameters
    ----------
    findings
        What `table` returns.

    Returns
    -------
    Figure
        The reference's rate at the middle noise level; dashed grey: chance.

    Raises
    ------
    InputError
        If these are no findings of `table`.
    """
    from matplotlib.figure import Figure

    from analyses.ground import block_colours

    findings = TABLE.taken(
        findings, "rate_by_draws", "rate_by_patches", "chance_by_draws", "chance_by_patches", attrs=("reference",)
    )
    forms, blocks = strings(findings["form"].values), list(map(str, findings["block"].values))
    distance = str(findings.attrs.get("verdict_distance", findings["distance"].values[0]))
    chosen = findings.sel(distance=distance, representation=findings.attrs["reference"])
    chosen = chosen.isel(sigma=findings.sizes["sigma"] // 2)
    figure = Figure(figsize=(9, 0.8 + 2.8 * len(forms)), layout="constrained")
    axes = figure.subplots(len(forms), 2, sharey=True, squeeze=False)
    for row, form in zip(axes, forms, strict=True):
        for axis, (over, said) in zip(
            row, (("draws", "noise draws"), ("patches", "patches a photograph")), strict=True
        ):
            here = chosen.sel(form=form)
            counts = here[f"n_{over}"].values
            for block, colour in zip(blocks, block_colours(blocks), strict=True):
                rate, low, high = (
                    here[f"rate_by_{over}{end}"].sel(block=block).values for end in ("", "_low", "_high")
                )
                axis.plot(counts, rate, "o-", ms=3, lw=1, color=colour, label=block)
                axis.fill_between(counts, low, high, color=colour, alpha=0.1, lw=0)
            axis.plot(counts, here[f"chance_by_{over}"].values, **GUIDE)
            axis.set_xscale("log", base=2)
            axis.set_xticks(counts, [str(c) for c in counts])
            axis.set_xlabel(said, fontsize=8)
            axis.set_title(str(form), fontsize=9)
        row[0].set_ylabel("same photograph nearest", fontsize=8)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside right upper", frameon=False, fontsize=8)
    figure.suptitle(f"{findings.attrs['reference']}, σ = {float(chosen['sigma']):g}", fontsize=9)
    return figure


def _rates(axis: Axes, here: xr.Dataset, reference: str) -> None:
    """Rates of one form at one noise level over blocks."""
    blocks = list(map(str, here["block"].values))
    at = np.arange(len(blocks))
    names = list(map(str, here["representation"].values))
    others = [n for n in names if n != reference]
    for name in names:
        one = here.sel(representation=name)
        rate, low, high = (one[f"rate{end}"].values for end in ("", "_low", "_high"))
        untrained = name.startswith("untrained")
        place = others.index(name) if name in others else 0
        if name == reference or untrained:
            colour = PALETTE["trained" if name == reference else "untrained"]
            style = "-" if name == reference else STYLES[place % len(STYLES)]
            axis.plot(at, rate, style, marker="o", ms=4, color=colour, label=name)
            axis.vlines(at, low, high, color=colour, lw=1)
        else:
            mark = MARKS[place % len(MARKS)]
            axis.plot(at, rate, ":", marker=mark, ms=3, lw=1, color=PALETTE["descriptor"], label=name)
            axis.fill_between(at, low, high, color=PALETTE["descriptor"], alpha=0.08, lw=0)
    axis.axhline(float(here["chance"]), **GUIDE)
    axis.set_xticks(at, blocks, rotation=45, ha="right", fontsize=7)
    axis.set_ylim(0, 1.02)
