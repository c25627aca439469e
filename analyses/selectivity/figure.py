"""The figure of selectivity."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from analyses.ground import PALETTE, rounded
from analyses.selectivity.analyse import FINDINGS, KINDS
from probekit.labels import strings

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

__all__ = ["plot"]

# Places for bars in a panel, at least.
MIN_BARS = 4


def plot(findings: xr.Dataset) -> Figure:
    """Draw the types per block, activity against kurtosis, and the marginals of three channels.

    Parameters
    ----------
    findings
        What `analyse` returns; the lower row is of the block `mid`, or else the one with most selective
        channels, at the middle noise level.

    Returns
    -------
    Figure

    Raises
    ------
    InputError
        If the findings are not of this analysis.
    """
    from matplotlib.figure import Figure

    findings = FINDINGS.taken(
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
    sigmas, blocks = findings["sigma"].values, list(map(str, findings["block"].values))
    s = len(sigmas) // 2
    selective = findings["number"].sel(kind="selective").isel(sigma=s).values
    block = "mid" if "mid" in blocks else blocks[int(selective.argmax())]
    here = findings.isel(sigma=s, channel=strings(findings["tap"].values) == block)
    figure = Figure(figsize=(14, 7), layout="constrained")
    upper, lower = figure.subfigures(2, 1, squeeze=False)[:, 0]
    _composition(upper, findings, blocks)
    scatter, *marginals = lower.subplots(1, 4, squeeze=False)[0]
    for kind in KINDS:
        part = here.isel(channel=strings(here["type"].values) == kind)
        scatter.plot(part["activity_fraction"], part["kurtosis"], "o", ms=3, color=PALETTE[kind], label=kind)
    scatter.set_yscale("symlog", linthresh=2)
    scatter.set(xlim=(-0.03, 1.03), xlabel="share of images clearly above rest", ylabel="excess kurtosis over images")
    scatter.set_title(f"channels of {block}, σ = {sigmas[s]:g}", fontsize=10)
    scatter.legend(frameon=False, fontsize=8)
    for axis, kind in zip(marginals, ("common", "suppressed", "selective"), strict=True):
        _marginal(axis, here.isel(channel=strings(here["type"].values) == kind), kind)
    rate = float(findings.attrs["fdr"])
    figure.suptitle(
        f"{findings.attrs.get('denoiser', '')}: types of channel (false discovery rate {rate:g})", fontsize=10
    )
    return figure


def _composition(figure: SubFigure, findings: xr.Dataset, blocks: list[str]) -> None:
    sigmas = findings["sigma"].values
    # More noise levels than can be read: some, from the least to the largest.
    shown = np.unique(np.linspace(0, len(sigmas) - 1, min(4, len(sigmas))).round().astype(int))
    axes = figure.subplots(1, len(shown), sharey=True, squeeze=False)[0]
    for axis, s in zip(axes, shown, strict=True):
        part = findings.isel(sigma=s)
        bottom = np.zeros(len(blocks))
        for kind in KINDS:
            height = part["fraction"].sel(kind=kind).values
            axis.bar(range(len(blocks)), height, bottom=bottom, color=PALETTE[kind], label=kind)
            bottom += height
        # Few bars keep the width that they have among several.
        middle, half = (len(blocks) - 1) / 2, max(len(blocks), MIN_BARS) / 2
        axis.set_xlim(middle - half, middle + half)
        axis.set_xticks(range(len(blocks)), blocks, fontsize=8)
        axis.set_title(f"σ = {sigmas[s]:g}", fontsize=10)
    axes[0].set_ylabel("share of channels")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right center", frameon=False, fontsize=8)


def _marginal(axis: Axes, part: xr.Dataset, kind: str) -> None:
    """The channel of the type that has its median kurtosis."""
    if not part.sizes["channel"]:
        axis.set_axis_off()
        axis.text(0.5, 0.5, f"no {kind} channel", ha="center", transform=axis.transAxes)
        return
    one = part.isel(channel=int(np.argsort(part["kurtosis"].values)[part.sizes["channel"] // 2]))
    edges = np.linspace(one["activity_min"].item(), one["activity_max"].item(), one.sizes["bin"] + 1)
    axis.stairs(one["histogram"].values, edges, fill=True, color=PALETTE[kind])
    axis.axvline(0, color="black", lw=1, ls="--")
    axis.set_yscale("log")
    axis.minorticks_off()
    axis.set(xlabel="φ − rest (dashed: rest)", ylabel="images", ylim=(0.7, None))
    side, share = ("below", "below_fraction") if kind == "suppressed" else ("above", "activity_fraction")
    axis.set_title(
        f"{kind} channel {one['channel'].item()}: kurtosis {rounded(one['kurtosis'].item(), 2)},\n"
        f"clearly {side} rest on {100 * one[share].item():.0f} %",
        fontsize=9,
    )
