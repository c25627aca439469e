"""The figure of an analysis of subspaces."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from probekit.errors import InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot"]

COLOURS = {"parameters": "C0", "nonzeros": "C1", "coefficients": "C2"}


def plot(findings: xr.Dataset) -> Figure:
    """Draw what `analyse` found at the first noise level, and overlap and confidence at all of them.

    Parameters
    ----------
    findings
        What `analyse` returned.

    Returns
    -------
    Figure
        Channels of each subspace of the first tap; variance explained against PCA; overlap of active sets
        against σ, with the channel-shuffled control; number of subspaces and confidence.

    Raises
    ------
    InputError
        If these are not the findings of `analyse`.
    """
    from matplotlib.figure import Figure

    lacking = [name for name in ("support", "explained", "overlap_gap_shuffled") if name not in findings]
    if lacking:
        raise InputError(f"the findings lack {', '.join(lacking)}: give what subspaces.analyse returned")
    figure = Figure(figsize=(11, 8), layout="constrained")
    axes = figure.subplots(2, 2)
    _supports(axes[0, 0], findings)
    _explained(axes[0, 1], findings)
    _overlap(axes[1, 0], findings)
    _numbers(axes[1, 1], findings)
    return figure


def _supports(axes: Axes, findings: xr.Dataset) -> None:
    block = str(findings.block.values[0])
    own = findings.tap.values.astype(str) == block
    number = int(findings.n_subspaces.values[0, 0])
    support = findings.support.values[0, :number][:, own]
    common = findings.common.values[0, own]
    # Channels in order of their first subspace, common ones at the end.
    first = np.where(support.any(axis=0), support.argmax(axis=0), number + ~common)
    shown = (support + 2 * common)[:, np.lexsort((-support.sum(axis=0), first))]
    axes.imshow(shown, aspect="auto", interpolation="nearest", cmap="Blues", vmin=0, vmax=2)
    axes.set(title=f"{block}, σ = {findings.sigma.values[0]:g}: channels of each subspace\n(dark: common)")
    axes.set(xlabel="channel, sorted", ylabel="subspace")
    axes.set_yticks(range(number))


def _explained(axes: Axes, findings: xr.Dataset) -> None:
    here = findings.isel(sigma=0, block=0)
    for name, colour in COLOURS.items():
        one = here.sel(comparison=name)
        axes.plot(one["rank"], one.explained, "o-", color=colour, label=f"union, against equal {name}")
        axes.plot(one["rank"], one.explained_pca, "s--", color=colour, label=f"PCA of equal {name}", mfc="none")
    axes.set(xlabel="dimensions of each subspace", ylabel="variance explained, held out", xscale="log")
    axes.set_xticks(here["rank"].values, [str(r) for r in here["rank"].values])
    axes.minorticks_off()
    axes.set_title("Union of subspaces and one PCA")
    axes.legend(fontsize="small")


def _overlap(axes: Axes, findings: xr.Dataset) -> None:
    position = np.arange(findings.sizes["sigma"])
    for block, name in enumerate(findings.block.values):
        shift = 0.08 * (block - (findings.sizes["block"] - 1) / 2)
        for kind, fill in (("overlap_gap", f"C{block}"), ("overlap_gap_shuffled", "white")):
            ends = [findings[kind + end].values[:, block] for end in ("_low", "_high")]
            axes.vlines(position + shift, ends[0], ends[1], color=f"C{block}")
            shuffled = ", channels shuffled" if "shuffled" in kind else ""
            middle = findings[kind].values[:, block]
            axes.scatter(position + shift, middle, color=fill, edgecolors=f"C{block}", label=f"{name}{shuffled}")
    axes.axhline(0, color="grey", linewidth=0.8)
    axes.set_xticks(position, [f"{s:g}" for s in findings.sigma.values])
    axes.set(xlabel="noise σ", ylabel="Jaccard index, within − between", title="Overlap of active sets")
    axes.legend(fontsize="small")


def _numbers(axes: Axes, findings: xr.Dataset) -> None:
    position = np.arange(findings.sizes["sigma"])
    width = 0.8 / findings.sizes["block"]
    for block, name in enumerate(findings.block.values):
        # An answer without confidence still has a number of subspaces to show.
        height = np.nan_to_num(findings.confidence.values[:, block])
        bars = axes.bar(position + width * block, height, width, label=str(name))
        axes.bar_label(bars, [f"{n} subspaces" for n in findings.n_subspaces.values[:, block]], fontsize="small")
    axes.set_xticks(position + 0.4 - width / 2, [f"{s:g}" for s in findings.sigma.values])
    axes.set(xlabel="noise σ", ylabel="confidence", ylim=(0, 1.1), title="Confidence in the answer")
    axes.legend(fontsize="small")
