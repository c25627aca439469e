"""The figure of an analysis of subspaces."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from analyses.ground import GUIDE
from analyses.subspaces.analyse import FINDINGS
from probekit import labels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot"]

COLOURS = {"parameters": "C0", "nonzeros": "C1", "coefficients": "C2"}
# So many labels of noise levels, subspaces or channels fit along an axis without touching.
MOST_LABELS = 8


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
        against σ, with the channel-shuffled control; number of subspaces, coloured by confidence.

    Raises
    ------
    InputError
        If these are not the findings of `analyse`.
    """
    from matplotlib.figure import Figure

    findings = FINDINGS.taken(
        findings,
        "support",
        "common",
        "n_subspaces",
        "confidence",
        "explained",
        "explained_pca",
        "overlap_gap",
        "overlap_gap_shuffled",
        "tap",
        along={"comparison": COLOURS},
    )
    figure = Figure(figsize=(12, 8.5), layout="constrained")
    axes = figure.subplots(2, 2)
    _supports(axes[0, 0], findings)
    _explained(axes[0, 1], findings)
    _overlap(axes[1, 0], findings)
    _numbers(axes[1, 1], findings)
    return figure


def _sparse(names: list[str]) -> tuple[list[int], list[str]]:
    """Positions and names of the ticks that fit, evenly spaced from the first."""
    step = -(-len(names) // MOST_LABELS)
    return list(range(0, len(names), step)), names[::step]


def _levels(findings: xr.Dataset) -> tuple[list[int], list[str]]:
    return _sparse([f"{s:.3g}" for s in findings.sigma.values])


def _supports(axes: Axes, findings: xr.Dataset) -> None:
    block = str(findings.block.values[0])
    own = labels.strings(findings.tap.values) == block
    number = int(findings.n_subspaces.values[0, 0])
    support = findings.support.values[0, :number][:, own]
    common = findings.common.values[0, own]
    # Channels in order of their first subspace, common ones at the end.
    first = np.where(support.any(axis=0), support.argmax(axis=0), number + ~common)
    shown = (support + 2 * common)[:, np.lexsort((-support.sum(axis=0), first))]
    axes.imshow(shown, aspect="auto", interpolation="nearest", cmap="Blues", vmin=0, vmax=2)
    axes.set(title=f"{block}, σ = {findings.sigma.values[0]:.3g}: channels of each subspace\n(dark: common)")
    axes.set(xlabel="channel, sorted", ylabel="subspace")
    axes.set_yticks(*_sparse([str(k) for k in range(number)]))


def _explained(axes: Axes, findings: xr.Dataset) -> None:
    here = findings.isel(sigma=0, block=0)
    ranks = here["rank"].values
    # The same union is compared with two of the PCAs; broad, so that a line upon it leaves it visible.
    union = here.explained.sel(comparison="parameters")
    axes.plot(ranks, union, "o-", color="0.7", linewidth=5, markersize=9, label="union")
    sparse = here.explained.sel(comparison="nonzeros")
    axes.plot(ranks, sparse, "o-", color="black", linewidth=1.2, markersize=4, label="union, at rest off its channels")
    for (name, colour), marker in zip(COLOURS.items(), "s^v", strict=True):
        pca = here.explained_pca.sel(comparison=name)
        axes.plot(ranks, pca, marker + "--", color=colour, mfc="none", label=f"PCA of equal {name}")
    axes.set(xlabel="dimensions of each subspace", ylabel="variance explained, held out", xscale="log")
    axes.set_xticks(ranks, [str(r) for r in ranks])
    axes.minorticks_off()
    axes.set_title("Unions of subspaces, and PCAs")
    axes.legend(fontsize="small")


def _overlap(axes: Axes, findings: xr.Dataset) -> None:
    position = np.arange(findings.sizes["sigma"])
    axes.set(xlabel="noise σ", ylabel="Jaccard index, within − between", title="Overlap of active sets")
    axes.set_xticks(*_levels(findings))
    axes.axhline(0, **GUIDE)
    if not np.isfinite(findings.overlap_gap).any():
        axes.text(
            0.5, 0.6, "one subspace everywhere:\nno others to compare with", ha="center", transform=axes.transAxes
        )
        return
    step = 0.8 / findings.sizes["block"]
    for block, name in enumerate(labels.strings(findings.block.values)):
        place = position + step * (block - (findings.sizes["block"] - 1) / 2)
        for kind, fill in (("overlap_gap", f"C{block}"), ("overlap_gap_shuffled", "white")):
            ends = [findings[kind + end].values[:, block] for end in ("_low", "_high")]
            axes.vlines(place, ends[0], ends[1], color=f"C{block}")
            legend = name if kind == "overlap_gap" else None
            middle = findings[kind].values[:, block]
            axes.scatter(place, middle, s=18, color=fill, edgecolors=f"C{block}", label=legend, zorder=2)
    if findings["overlap_gap_shuffled"].notnull().any():
        axes.scatter([], [], s=18, color="white", edgecolors="grey", label="channels shuffled")
    # Below the axis, where it covers no point.
    axes.legend(fontsize="small", ncols=4, loc="upper center", bbox_to_anchor=(0.5, -0.14))


def _numbers(axes: Axes, findings: xr.Dataset) -> None:
    confidence = findings.confidence.values.T
    axes.set_facecolor("lightgrey")
    image = axes.imshow(confidence, aspect="auto", interpolation="nearest", cmap="viridis", vmin=0, vmax=1)
    for level, block in np.ndindex(findings.n_subspaces.shape):
        shade = "white" if confidence[block, level] <= 0.6 else "black"
        number = str(int(findings.n_subspaces.values[level, block]))
        axes.text(level, block, number, ha="center", va="center", color=shade, fontsize="small")
    axes.set_yticks(range(findings.sizes["block"]), list(labels.strings(findings.block.values)))
    axes.set_xticks(*_levels(findings))
    axes.set(xlabel="noise σ", title="Number of subspaces\n(grey: method without confidence)")
    axes.figure.colorbar(image, ax=axes, label="confidence")
