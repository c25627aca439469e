"""The figure of controls."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from analyses.controls.rows import FINDINGS
from analyses.ground import GUIDE, PALETTE

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot"]

DRAWN = ("value", "low", "high", "difference", "chance", "group")
MARKS = "os^Dv<>P*X"


def plot(findings: xr.Dataset) -> Figure:
    """Draw each measure as dots with intervals, one row for each row of the table, noise levels beside each other.

    Parameters
    ----------
    findings
        What `table` returns.

    Returns
    -------
    Figure
        Hollow marks do not differ from the trained block that all are compared with: the interval of their
        difference holds 0. Dashed: chance.

    Raises
    ------
    InputError
        If these are no findings of `table`, or lack dims or attributes.
    """
    from matplotlib.figure import Figure

    findings = FINDINGS.taken(findings, *DRAWN, attrs=("images", "reference"))
    names, rows = findings["measure"].values, findings["row"].values
    cols = min(4, len(names))
    lines = -(-len(names) // cols)
    height = 0.9 + 0.24 * len(rows)
    figure = Figure(figsize=(2.2 + 2.9 * cols, lines * height), layout="constrained")
    axes = figure.subplots(lines, cols, sharey=True, squeeze=False)
    for axis, name in zip(axes.flat, names, strict=False):
        for s, sigma in enumerate(findings["sigma"].values):
            shift = 0.6 * ((s + 0.5) / findings.sizes["sigma"] - 0.5)
            _dots(axis, findings.sel(measure=name).isel(sigma=s), shift, MARKS[s % len(MARKS)])
            axis.plot([], [], MARKS[s % len(MARKS)], ms=4, color="black", label=f"σ = {sigma:g}")
        axis.axvline(float(findings["chance"].sel(measure=name).mean()), **GUIDE)
        axis.set_title(str(name).replace("correlation: ", "correlation with\n"), fontsize=8)
        axis.tick_params(labelsize=7)
        axis.locator_params(axis="x", nbins=5)
    for axis in axes.flat[len(names) :]:
        axis.set_axis_off()
    axes[0, 0].set_yticks(range(len(rows)), [str(row) for row in rows])
    axes[0, 0].set_ylim(len(rows) - 0.5, -0.5)
    figure.legend(
        *axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=5, frameon=False, fontsize=8
    )
    figure.suptitle(
        f"{findings.attrs['images']} images; hollow: no different from {findings.attrs['reference']}", fontsize=9
    )
    return figure


def _dots(axis: Axes, here: xr.Dataset, shift: float, mark: str) -> None:
    """One measure at one noise level: a dot with its interval on each row's line."""
    for r in np.flatnonzero(np.isfinite(here["value"].values)):
        one = here.isel(row=r)
        colour = PALETTE.get(str(one["group"].item()), "black")
        alike = one["difference_low"].item() <= 0 <= one["difference_high"].item()
        axis.plot([one["low"].item(), one["high"].item()], [r + shift] * 2, color=colour, lw=1)
        axis.plot(one["value"].item(), r + shift, mark, ms=4, color=colour, mfc="white" if alike else colour)
