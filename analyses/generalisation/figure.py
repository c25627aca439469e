"""The figure of generalisation: PSNR on both sets, relative distances, and samples above their nearest images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from analyses.generalisation.analyse import FINDINGS
from analyses.ground import PALETTE, Theme, figure_of, new_figure, picture, themed, titled
from probekit.checks import whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot", "sheet"]

NEEDED = ("psnr_training", "psnr_held_out", "gap", "samples", "nearest_image", "relative_distance")


def plot(findings: xr.Dataset, *, most: int = 12, ax: Axes | None = None, theme: Theme = None) -> Figure:
    """Draw PSNR against σ, relative distances of samples and held-out images, and a sheet of samples.

    Parameters
    ----------
    findings
        What `analyse` returns.
    most
        Samples shown, those nearest to a training image first, each above that image; a near copy framed in red.
    ax
        Axes to draw PSNR in; by default a figure of its own, of all.
    theme
        "light" (default), "dark", "print", or settings of matplotlib by name, laid over those that hold.

    Returns
    -------
    Figure
        Intensities outside [0, 1] are clipped in the sheet. With `ax`, its figure.

    Raises
    ------
    InputError
        If the findings are not of this analysis, or an option is none of these.
    """
    findings = FINDINGS.taken(findings, *NEEDED)
    most = whole("most", most, least=1)
    with themed(theme, ax):
        if ax is not None:
            _curves(ax, findings)
            return figure_of(ax)
        return _whole(findings, most)


def _whole(findings: xr.Dataset, most: int) -> Figure:
    shown = np.argsort(findings["relative_distance"].values, kind="stable")[:most]
    figure = new_figure(max(10, 0.9 * len(shown)), 6)
    upper, lower = figure.subfigures(2, 1, squeeze=False, height_ratios=(1.4, 1))[:, 0]
    curves, distances = upper.subplots(1, 2)
    _curves(curves, findings)
    _distances(distances, findings)
    axes = lower.subplots(2, len(shown), squeeze=False)
    for column, k in zip(axes.T, shown, strict=True):
        here = findings.isel(sample=k)
        frame = PALETTE["marked"] if bool(here["near_copy"]) else None
        picture(column[0], here["samples"].values, frame=frame)
        picture(column[1], here["nearest_image"].values)
        column[0].set_title(f"{float(here['relative_distance']):.2f}", fontsize="medium")
    axes[0][0].set_ylabel("samples")
    axes[1][0].set_ylabel("nearest")
    lower.suptitle("relative distance of samples to their nearest training images (framed: near copies)")
    return figure


def sheet(findings: xr.Dataset, *, columns: int = 16, theme: Theme = None) -> Figure:
    """Draw all samples, and nothing that they were learnt from.

    Parameters
    ----------
    findings
        What `analyse` returns.
    columns
        Samples in a row, ≥ 1.
    theme
        "light" (default), "dark", "print", or settings of matplotlib by name, laid over those that hold.

    Returns
    -------
    Figure
        Intensities outside [0, 1] are clipped.

    Raises
    ------
    InputError
        If the findings are not of this analysis, or `columns` is out of its range.
    """
    findings = FINDINGS.taken(findings, *NEEDED, attrs=("denoiser",))
    columns = whole("columns", columns, least=1)
    with themed(theme):
        return _sheet(findings, columns)


def _sheet(findings: xr.Dataset, most: int) -> Figure:
    samples = findings["samples"]
    columns = min(most, samples.sizes["sample"])
    rows = -(-samples.sizes["sample"] // columns)
    height = samples.sizes["row"] / samples.sizes["col"]
    figure = new_figure(max(4, 0.6 * columns), 0.6 * rows * height + 0.4)
    titled(figure, f"Unconditional samples of {findings.attrs['denoiser']}")
    for axis in figure.subplots(rows, columns, squeeze=False).ravel():
        axis.set_axis_off()
    for axis, k in zip(figure.axes, range(samples.sizes["sample"]), strict=False):
        picture(axis, samples.isel(sample=k).values)
        axis.set_axis_off()
    figure.get_layout_engine().set(w_pad=0.01, h_pad=0.01, wspace=0, hspace=0)  # pyright: ignore
    return figure


def _curves(axis: Axes, findings: xr.Dataset) -> None:
    sigma = findings["sigma"].values
    for name, role, mark in (("training", "training", "^--"), ("held_out", "held out", "o-")):
        colour = PALETTE[role]
        axis.plot(sigma, findings[f"psnr_{name}"], mark, ms=4, color=colour, label=role)
        axis.fill_between(sigma, findings[f"psnr_{name}_low"], findings[f"psnr_{name}_high"], color=colour, alpha=0.2)
    axis.set(xscale="log", xlabel="noise σ (image intensity)", ylabel="PSNR (dB)")
    axis.legend()


def _distances(axis: Axes, findings: xr.Dataset) -> None:
    limit = float(findings["threshold"])
    ends = [findings["relative_distance"], findings["relative_distance_held_out"]]
    bins = np.linspace(0, max(1.0, *(float(e.max()) for e in ends)), 41).tolist()
    for values, text, line in zip(ends, ("samples", "held out"), ("-", "--"), strict=True):
        weights = np.full(values.size, 1 / values.size)
        axis.hist(values, bins=bins, weights=weights, histtype="step", ls=line, color=PALETTE[text], label=text)
    axis.axvline(limit, color=PALETTE["marked"], lw=1, ls=":", label="near copies up to here")
    axis.set(xlabel="distance to the nearest training image / to the next ones", ylabel="share of images")
    axis.set_title(f"near copies: {100 * float(findings['near_copy_rate']):.1f} % of samples")
    axis.legend()
