"""Figures of the variants of sampling: their numbers, and their samples side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from analyses.ground import (
    GUIDE,
    MARKERS,
    PALETTE,
    Theme,
    figure_of,
    new_figure,
    picture,
    rounded,
    shown_range,
    themed,
    titled,
)
from analyses.variants.analyse import FINDINGS
from probekit.checks import whole
from probekit.labels import strings

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot", "sheet"]

UNITS = {
    "error of φ": "relative to its norm",
    "diversity": "intensity",
    "diversity (SSIM)": "1 − similarity",
    "near copies": "share of samples",
    "near copies of references": "share of samples",
    "seconds": "s",
    "gradients": "number",
    "passes": "number",
}
# Of all measures at some block.
RELATIVE = ("distance in", "nearer in")


def plot(findings: xr.Dataset, *, ax: Axes | None = None, theme: Theme = None) -> Figure:
    """Draw each measure as dots with intervals and numbers, one line for each variant.

    Parameters
    ----------
    findings
        What `table` returns.

    ax
        Axes to draw the first measure in; by default a figure of its own, of all.
    theme
        "light" (default), "dark", "print", or settings of matplotlib by name, laid over those that hold.

    Returns
    -------
    Figure
        Grey squares and triangles: untrained. Hollow marks do not differ from the first variant: the interval of their
        difference holds 0. With `ax`, its figure.

    Raises
    ------
    InputError
        If the findings are not of this analysis, or an option is none of these.
    """
    with themed(theme, ax):
        dims = ("variant", "measure", "image", "sample")
        findings = FINDINGS.taken(
            findings, "value", "low", "high", "difference", "network", dims=dims, attrs=("level",)
        )
        known = [m for m in strings(findings["measure"].values) if findings["value"].sel(measure=m).notnull().any()]
        if ax is None:
            return _whole(findings, known)
        _panel(ax, findings.sel(measure=known[0]))
        _named(ax, strings(findings["variant"].values).tolist())
        return figure_of(ax)


def _whole(findings: xr.Dataset, known: list[str]) -> Figure:
    names = strings(findings["variant"].values).tolist()
    cols = min(4, len(known))
    lines = -(-len(known) // cols)
    figure = new_figure(2.2 + 2.5 * cols, 0.4 + lines * (0.9 + 0.24 * len(names)))
    axes = figure.subplots(lines, cols, sharey=True, squeeze=False)
    for axis, name in zip(axes.flat, known, strict=False):
        _panel(axis, findings.sel(measure=name))
    for axis in axes.flat[len(known) :]:
        axis.remove()
    _named(axes[0, 0], names)
    percent = 100 * float(findings.attrs["level"])
    said = f"{findings.sizes['image']} conditions, {findings.sizes['sample']} samples each"
    titled(
        figure,
        f"{findings.attrs.get('denoiser', '')}: {said}; {percent:g} % intervals over conditions\n"
        f"grey squares and triangles: untrained; hollow: no different from {names[0]}",
    )
    return figure


def _named(axis: Axes, names: list[str]) -> None:
    axis.set_yticks(range(len(names)), names)
    axis.set_ylim(len(names) - 0.5, -0.5)


def _panel(axis: Axes, part: xr.Dataset) -> None:
    """One measure of all variants, each number beside its mark."""
    value, low, high = (part[name].values for name in ("value", "low", "high"))
    shown = np.concatenate([value, low, high])
    shown = shown[np.isfinite(shown)]
    # One variant that is far off must not press all others together.
    middle = float(np.median(shown))
    wide = shown.min() >= 0 and 0 < 20 * middle < shown.max()
    if wide:
        axis.set_xscale("symlog", linthresh=middle)
    for v, (at, role) in enumerate(zip(value, strings(part["network"].values), strict=True)):
        if not np.isfinite(at):
            continue
        role = role if role in MARKERS else "other network"
        colour = PALETTE[role]
        alike = v > 0 and part["difference_low"].values[v] <= 0 <= part["difference_high"].values[v]
        axis.plot([low[v], high[v]], [v, v], color=colour, lw=1)
        axis.plot(at, v, MARKERS[role], ms=5, color=colour, mfc=axis.get_facecolor() if alike else colour)
        # Numbers in a column at the right, clear of marks and intervals.
        place = axis.get_yaxis_transform()
        axis.text(1.03, v, rounded(at, 2), fontsize="small", va="center", transform=place)
    if shown.min() < 0 < shown.max() or "nearer" in str(part["measure"].item()):
        axis.axvline(0, **GUIDE)
    axis.margins(x=0.12)
    name = str(part["measure"].item())
    axis.set_title(name)
    axis.set_xlabel(UNITS["error of φ"] if name.startswith(RELATIVE) else UNITS.get(name, ""))
    axis.grid(axis="y", lw=0.5, alpha=0.3)
    axis.set_axisbelow(True)
    if wide:
        axis.minorticks_off()
    else:
        axis.locator_params(axis="x", nbins=4)


def sheet(findings: xr.Dataset, *, conditions: int = 4, samples: int = 2, theme: Theme = None) -> Figure:
    """Draw a few conditions, and under each its samples by every variant.

    Parameters
    ----------
    findings
        What `table` returns.
    conditions, samples
        Most shown: conditions, from the first, and samples of each.
    theme
        "light" (default), "dark", "print", or settings of matplotlib by name, laid over those that hold.

    Returns
    -------
    Figure
        Under each sample its error of φ, at the block that is held. Intensities outside [0, 1] are clipped; where
        conditions are of no such range, the conditions' extremes are black and white.

    Raises
    ------
    InputError
        If the findings are not of this analysis, or a number is not at least 1.
    """
    findings = FINDINGS.taken(findings, "samples", "condition", "match", "what")
    count = min(whole("conditions", conditions, least=1), findings.sizes["image"])
    each = min(whole("samples", samples, least=1), findings.sizes["sample"])
    with themed(theme):
        return _sheet(findings, count, each)


def _sheet(findings: xr.Dataset, count: int, each: int) -> Figure:
    names = strings(findings["variant"].values)
    lines = len(names) + 1
    figure = new_figure(2.9 + 0.95 * count * each, 0.4 + 1.0 * lines)
    axes = figure.subplots(lines, 1 + count * each, squeeze=False, width_ratios=[2.6] + [1] * (count * each))
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
        axis.set_frame_on(False)
    given = findings["condition"].values
    limits = shown_range(given)
    _caption(axes[0, 0], "conditions", "photographs whose φ is measured")
    for i in range(count):
        picture(axes[0, 1 + i * each], given[i], limits=limits)
    for v, name in enumerate(names):
        _caption(axes[v + 1, 0], name, str(findings["what"].values[v]))
        for i in range(count):
            for k in range(each):
                axis = axes[v + 1, 1 + i * each + k]
                picture(axis, findings["samples"].values[v, i, k], limits=limits)
                error = rounded(100 * float(findings["match"].values[v, i, k]), 2)
                axis.set_xlabel(f"{error} %", fontsize="small", labelpad=1)
    titled(
        figure, f"{findings.attrs.get('denoiser', '')}: {each} samples of each condition; error of φ at the block held"
    )
    return figure


def _caption(axis: Axes, name: str, what: str) -> None:
    axis.text(0, 0.62, name, fontweight="bold", va="center", transform=axis.transAxes)
    axis.text(0, 0.38, what, fontsize="small", va="center", transform=axis.transAxes, wrap=True)
