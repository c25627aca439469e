"""The figure of training: every measure of every block against the steps made."""

from __future__ import annotations

from typing import TYPE_CHECKING

import xarray as xr

from analyses.ground import GUIDE, Theme, block_colours, block_marks, figure_of, new_figure, themed, titled, whiskers
from analyses.training.analyse import FINDINGS
from probekit.checks import number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot"]

PANELS = {
    "participation_ratio": "participation ratio",
    "selective": "share of selective channels",
    "silent": "share of silent channels",
    "found_again": "found again",
    "same_label": "nearest of the same label",
}


def plot(findings: xr.Dataset, *, sigma: float | None = None, ax: Axes | None = None, theme: Theme = None) -> Figure:
    """Draw participation ratio, types of channel, images found again and neighbours of one label through training.

    Parameters
    ----------
    findings
        What `analyse` returns.
    sigma
        Noise level that is drawn, one of the findings'; the least by default. Images are found again from the largest.
    ax
        Axes to draw the participation ratio in; by default a figure of its own, of all.
    theme
        "light" (default), "dark", "print", or settings of matplotlib by name, laid over those that hold.

    Returns
    -------
    Figure
        With `ax`, its figure.

    Raises
    ------
    InputError
        If these are no findings of `analyse`, or lack the noise level, or an option is none of these.
    """
    with themed(theme, ax):
        findings = FINDINGS.taken(findings, "participation_ratio", "fraction", "psnr", attrs=("batch_size",))
        levels = findings["sigma"].values
        known = f"one of the noise levels {', '.join(f'{s:g}' for s in levels)}"
        wanted = float(levels.min() if sigma is None else number("sigma", sigma, known, good=lambda s: s in levels))
        if ax is not None:
            _panel(ax, findings, "participation_ratio", wanted)
            ax.legend()
            return figure_of(ax)
        shown = [name for name in PANELS if name in ("selective", "silent") or name in findings]
        # Three beside each other can be read on a page.
        columns = min(3, len(shown))
        rows = -(-len(shown) // columns)
        figure = new_figure(0.9 + 3.5 * columns, 0.6 + 3 * rows)
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for axis, name in zip(axes, shown, strict=False):
            _panel(axis, findings, name, float(levels.max()) if name == "found_again" else wanted)
        for axis in axes[len(shown) :]:
            axis.remove()
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right center")
        titled(figure, f"{findings.attrs.get('denoiser', '')} through training")
        return figure


def _panel(axis: Axes, findings: xr.Dataset, name: str, sigma: float) -> None:
    blocks = list(map(str, findings["block"].values))
    seen = findings["step"].values * int(findings.attrs["batch_size"])
    for block, colour, mark in zip(blocks, block_colours(blocks), block_marks(blocks), strict=True):
        one, variable = _curve(findings, name, sigma, block)
        axis.errorbar(seen, *whiskers(one, variable), fmt="-", marker=mark, ms=4, lw=1, color=colour, label=block)
    if name == "same_label" and "same_label_chance" in findings:
        axis.axhline(findings["same_label_chance"].item(), **GUIDE)
    said = "share of images" if name in ("found_again", "same_label") else "share of channels"
    axis.set(xlabel="images seen", ylim=(0, None), ylabel=PANELS[name] if name == "participation_ratio" else said)
    axis.set_title(f"{PANELS[name]}, σ = {sigma:g}")


def _curve(findings: xr.Dataset, name: str, sigma: float, block: str) -> tuple[xr.Dataset, str]:
    """What a panel draws of one block, and the variable that it is."""
    kind = name in ("selective", "silent")
    one = findings.sel(kind=name) if kind else findings
    if not kind and "distance" in findings[name].dims:
        one = one.sel(distance="standardised")
    return one.sel(sigma=sigma, block=block), "fraction" if kind else name
