"""The figure of an analysis of subspaces."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from analyses.ground import (
    GUIDE,
    MARKERS,
    PALETTE,
    Theme,
    figure_of,
    line_looks,
    network_looks,
    networks_drawn,
    new_figure,
    shifted,
    themed,
)
from analyses.subspaces.analyse import FINDINGS
from probekit import labels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot"]

COMPARED = ("parameters", "nonzeros", "coefficients")
# So many labels of noise levels, subspaces or channels fit along an axis without touching.
MOST_LABELS = 8


def plot(
    findings: xr.Dataset,
    *,
    ax: Axes | None = None,
    theme: Theme = None,
    against: Mapping[str, xr.Dataset] | None = None,
) -> Figure:
    """Draw what `analyse` found at the first noise level, and overlap and confidence at all of them.

    Parameters
    ----------
    findings
        What `analyse` returned; of several networks, along a dim `network`.
    ax
        Axes to draw the variance explained in; by default a figure of its own.
    theme
        "light" (default), "dark", "print", or settings of matplotlib by name, laid over those that hold.
    against
        Findings of other networks, by name: each has panels of its own for channels and variance, of one scale, and is
        beside the others in the rest.

    Returns
    -------
    Figure
        Channels of each subspace of the first tap; variance explained against PCA; overlap of active sets
        against σ, with the channel-shuffled control; number of subspaces, coloured by confidence.
        With `ax`, its figure.

    Raises
    ------
    InputError
        If these are not the findings of `analyse`, or an option is none of these.
    """
    with themed(theme, ax):
        found = networks_drawn(findings, against, _taken)
        if ax is not None:
            _explained(ax, found)
            ax.legend(fontsize="small")
            return figure_of(ax)
        return _whole(found)


def _taken(findings: Any) -> xr.Dataset:
    return FINDINGS.taken(
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
        along={"comparison": COMPARED},
    )


def _whole(found: Mapping[str, xr.Dataset]) -> Figure:
    count = len(found)
    compared = any(np.isfinite(one.overlap_gap).any() for one in found.values())
    overlap: Axes | None = None
    if count == 1 and compared:
        figure = new_figure(11, 7.5)
        axes = figure.subplots(2, 2)
        above, below = axes[:1, 0], axes[:1, 1]
        overlap, numbers = axes[1]
    elif count == 1:
        figure = new_figure(13, 3.8)
        axes = figure.subplots(1, 3)
        above, below, numbers = axes[:1], axes[1:2], axes[2]
    else:
        figure = new_figure(3 + 3 * count, 10)
        upper, lower = figure.subfigures(2, 1, squeeze=False, height_ratios=(2, 1.1))[:, 0]
        above, below = upper.subplots(2, count, sharey="row", squeeze=False)
        *rest, numbers = lower.subplots(1, 1 + compared, squeeze=False)[0]
        overlap = rest[0] if rest else None
    for axis, (name, one) in zip(above, found.items(), strict=True):
        _supports(axis, one, name if count > 1 else "")
    # Pictures set limits anew: of one scale are those of the network with most subspaces.
    most = max(int(one.n_subspaces.values[0, 0]) for one in found.values())
    above[0].set_ylim(most - 0.5, -0.5)
    above[0].set_yticks(*_sparse([str(k) for k in range(most)]))
    for axis, (name, one) in zip(below, found.items(), strict=True):
        _explained(axis, {name: one})
        axis.set_title(name if count > 1 else "Unions of subspaces, and PCAs")
        axis.set_ylabel(axis.get_ylabel() if axis is below[0] else "")
    below[-1].legend(fontsize="small")
    if overlap is not None:
        _overlap(overlap, found)
    _numbers(numbers, found, "" if compared else "one everywhere: no others to compare with")
    return figure


def _sparse(names: list[str]) -> tuple[list[int], list[str]]:
    """Positions and names of the ticks that fit, evenly spaced from the first."""
    step = -(-len(names) // MOST_LABELS)
    return list(range(0, len(names), step)), names[::step]


def _levels(findings: xr.Dataset) -> tuple[list[int], list[str]]:
    return _sparse([f"{s:.3g}" for s in findings.sigma.values])


def _supports(axes: Axes, findings: xr.Dataset, network: str) -> None:
    block = str(findings.block.values[0])
    own = labels.strings(findings.tap.values) == block
    number = int(findings.n_subspaces.values[0, 0])
    support = findings.support.values[0, :number][:, own]
    common = findings.common.values[0, own]
    # Channels in order of their first subspace, common ones at the end.
    first = np.where(support.any(axis=0), support.argmax(axis=0), number + ~common)
    shown = (support + 2 * common)[:, np.lexsort((-support.sum(axis=0), first))]
    axes.imshow(shown, aspect="auto", interpolation="nearest", cmap="Blues", vmin=0, vmax=2)
    if network:
        # Rows have one scale: where a network has no subspace, nothing is shown.
        axes.set_facecolor("0.75")
    here = f"{block}, σ = {findings.sigma.values[0]:.3g}"
    axes.set_title(f"{network}\n{here}" if network else f"{here}: channels of each\nsubspace (dark: common)")
    axes.set(xlabel=f"channel of {block}, sorted", ylabel="subspace (dark: common)" if network else "subspace")


def _explained(axes: Axes, found: Mapping[str, xr.Dataset]) -> None:
    """Variance explained by unions of subspaces; of one network also what PCAs of equal cost explain."""
    for (name, one), look in zip(found.items(), network_looks(list(found)), strict=True):
        here = one.isel(sigma=0, block=0)
        ranks = here["rank"].values
        union = here.explained.sel(comparison="parameters")
        if len(found) > 1:
            axes.plot(ranks, union, ms=5, label=f"{name}: union", **look)
            continue
        # The same union is compared with two of the PCAs; broad, so that a line upon it leaves it visible.
        axes.plot(ranks, union, "o-", color="0.65", linewidth=5, markersize=9, label="union")
        sparse = here.explained.sel(comparison="nonzeros")
        own: dict[str, Any] = {"color": line_looks(4)[3]["color"], "label": "union, at rest off its channels"}
        axes.plot(ranks, sparse, "o-", linewidth=1.2, markersize=4, **own)
        for kind in COMPARED:
            pca = here.explained_pca.sel(comparison=kind)
            style: dict[str, Any] = {"color": PALETTE[kind], "marker": MARKERS[kind], "mfc": "none"}
            axes.plot(ranks, pca, ls="--", label=f"PCA of equal {kind}", **style)
    ranks = next(iter(found.values()))["rank"].values
    axes.set(xlabel="dimensions of each subspace", ylabel="share of variance explained, held out", xscale="log")
    axes.set_xticks(ranks, [str(r) for r in ranks])
    axes.minorticks_off()


def _overlap(axes: Axes, found: Mapping[str, xr.Dataset]) -> None:
    first = next(iter(found.values()))
    axes.set(xlabel="noise σ (image intensity)", ylabel="Jaccard index, within − between")
    axes.set_title("Overlap of active sets")
    axes.set_xticks(*_levels(first))
    axes.set_xlim(-0.5, first.sizes["sigma"] - 0.5)
    axes.axhline(0, **GUIDE)
    several = len(found) > 1
    lines = [(name, one, b) for name, one in found.items() for b in range(one.sizes["block"])]
    networks = dict(zip(found, network_looks(list(found)), strict=True))
    looks = [networks[name] for name, _, _ in lines] if several else line_looks(len(lines))
    for k, ((name, one, b), look) in enumerate(zip(lines, looks, strict=True)):
        block = labels.strings(one.block.values)[b]
        label = f"{name}, {block}" if several else block
        # What is shuffled stands at the right of what it is compared with, not upon it.
        for shuffled, kind in enumerate(("overlap_gap", "overlap_gap_shuffled")):
            if not one[kind].notnull().any():
                continue
            place = np.arange(one.sizes["sigma"]) + shifted(2 * k + shuffled, 2 * len(lines), 0.7)
            ends = [one[kind + end].values[:, b] for end in ("_low", "_high")]
            axes.vlines(place, ends[0], ends[1], color=look["color"], lw=1, ls=":" if shuffled else "-")
            marker: dict[str, Any] = {"ls": "", "marker": look["marker"], "color": look["color"], "ms": 5}
            hollow: dict[str, Any] = {"mfc": axes.get_facecolor()} if shuffled else {}
            axes.plot(place, one[kind].values[:, b], label=None if shuffled else label, **marker, **hollow)
    if any(one["overlap_gap_shuffled"].notnull().any() for one in found.values()):
        axes.plot([], [], "o", ms=5, color="grey", mfc=axes.get_facecolor(), label="hollow, dotted: channels shuffled")
    # Below the axis, where it covers no point.
    axes.legend(fontsize="small", ncols=2 if several else 4, loc="upper center", bbox_to_anchor=(0.5, -0.2))


def _numbers(axes: Axes, found: Mapping[str, xr.Dataset], said: str) -> None:
    rows = [
        (f"{name}, {block}" if len(found) > 1 else str(block), one.isel(block=b))
        for name, one in found.items()
        for b, block in enumerate(labels.strings(one.block.values))
    ]
    width = max(one.sizes["sigma"] for _, one in rows)
    confidence = np.full((len(rows), width), np.nan)
    for r, (_, one) in enumerate(rows):
        confidence[r, : one.sizes["sigma"]] = one.confidence.values
    axes.set_facecolor("lightgrey")
    image = axes.imshow(confidence, aspect="auto", interpolation="nearest", cmap="viridis", vmin=0, vmax=1)
    for r, (_, one) in enumerate(rows):
        for level, number in enumerate(one.n_subspaces.values):
            shade = "white" if confidence[r, level] <= 0.6 else "black"
            axes.text(level, r, str(int(number)), ha="center", va="center", color=shade)
    axes.set_yticks(range(len(rows)), [name.replace(", ", ",\n") for name, _ in rows])
    longest = next(one for _, one in rows if one.sizes["sigma"] == width)
    axes.set_xticks(*_levels(longest))
    axes.set(xlabel="noise σ (image intensity)")
    lacking = "grey: method without confidence" if np.isnan(confidence).any() else ""
    axes.set_title("\n".join(["Number of subspaces", *(f"({one})" for one in (said, lacking) if one)]))
    axes.figure.colorbar(image, ax=axes, label="confidence")
