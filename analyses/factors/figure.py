"""The figure of a factor: correlation matrices by block, one row for each network, and how well the factor is read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from analyses.factors.analyse import FINDINGS
from analyses.ground import (
    GUIDE,
    Theme,
    figure_of,
    network_looks,
    new_figure,
    noise_level,
    over_blocks,
    rounded,
    shifted,
    themed,
    whiskers,
)
from probekit.checks import choice, mapping
from probekit.errors import InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot"]

NEEDED = ("correlation", "centred_correlation", "r2", "same_share", "same_chance")
CURVES = {"r2": "R² of the factor", "same_share": "share of images whose\nnearest has the same value"}
MATRICES = ("correlation", "centred_correlation")


def plot(
    findings: xr.Dataset,
    others: Mapping[str, xr.Dataset] | None = None,
    *,
    matrix: str = "centred_correlation",
    sigma: float | None = None,
    ax: Axes | None = None,
    theme: Theme = None,
) -> Figure:
    """Draw correlations between mean φ of values at each block, others below, and R² and shares of neighbours.

    Parameters
    ----------
    findings
        What `analyse` returns.
    others
        The same of controls, by name; each gives a row. Of one that lacks the noise level its first is drawn.
    matrix
        "centred_correlation" or "correlation".
    sigma
        Noise level; by default the one in the middle.
    ax
        Axes to draw R² of the factor in; by default a figure of its own, of all.
    theme
        "light" (default), "dark", "print", or settings of matplotlib by name, laid over those that hold.

    Returns
    -------
    Figure
        With `ax`, its figure.

    Raises
    ------
    InputError
        If these are no findings of `analyse`, or have no such noise level or matrix, or an option is none of these.
    """
    rows = {"trained": findings, **mapping("others", {} if others is None else others, "findings of controls by name")}
    rows = {name: FINDINGS.taken(found, *NEEDED, attrs=("factor", "scale")) for name, found in rows.items()}
    matrix = choice("matrix", matrix, MATRICES)
    levels = findings["sigma"].values
    at = float(levels[len(levels) // 2] if sigma is None else noise_level(sigma))
    if at not in levels:
        raise InputError(f"sigma={at:g}: give one of the noise levels {', '.join(f'{s:g}' for s in levels)}")
    chosen = {name: _at(found, at) for name, found in rows.items()}
    with themed(theme, ax):
        if ax is not None:
            _curves(ax, chosen, "r2")
            ax.legend()
            return figure_of(ax)
        said = f"{matrix.replace('_', ' ')} of mean φ over {findings.attrs['factor']}, σ = {at:g}"
        return _whole(chosen, matrix, said)


def _whole(chosen: Mapping[str, xr.Dataset], matrix: str, said: str) -> Figure:
    columns = max(found.sizes["block"] for found in chosen.values())
    # Of one block, networks stand beside each other.
    grid = (1, len(chosen)) if columns == 1 else (len(chosen), columns)
    figure = new_figure(max(7, 1.9 * grid[1]), 1.9 * grid[0] + 3.2)
    upper, lower = figure.subfigures(2, 1, squeeze=False, height_ratios=(1.9 * grid[0], 3))[:, 0]
    upper.suptitle(said)
    shown: Any = None
    axes = upper.subplots(*grid, squeeze=False).reshape(len(chosen), columns)
    for row, (name, found) in zip(axes, chosen.items(), strict=True):
        for axis, block in zip(row, range(columns), strict=True):
            if block >= found.sizes["block"]:
                axis.remove()
                continue
            shown = axis.imshow(found[matrix].values[block], vmin=-1, vmax=1, cmap="RdBu_r", origin="lower")
            _ticks(axis, found["value"].values)
            axis.set_title(str(found["block"].values[block]), fontsize="medium", pad=2)
        row[0].set_ylabel(name)
    upper.colorbar(shown, ax=upper.axes, shrink=0.6, label="correlation")
    for axis, variable in zip(lower.subplots(1, 2), CURVES, strict=True):
        _curves(axis, chosen, variable)
    lower.legend(*lower.axes[0].get_legend_handles_labels(), loc="outside right center")
    return figure


def _at(found: xr.Dataset, sigma: float) -> xr.Dataset:
    levels = found["sigma"].values
    return found.isel(sigma=int(np.flatnonzero(levels == sigma)[0]) if sigma in levels else 0)


def _ticks(axis: Axes, values: np.ndarray) -> None:
    at = np.unique(np.linspace(0, len(values) - 1, min(3, len(values))).round().astype(int))
    names = [rounded(float(values[k]), 3) for k in at]
    axis.set_xticks(at, names, fontsize="small")
    axis.set_yticks(at, names, fontsize="small")


def _curves(axis: Axes, chosen: Mapping[str, xr.Dataset], variable: str) -> None:
    """A number with its interval by block; of what has one block a line across."""
    first = chosen["trained"]
    names = [str(name) for name in first["block"].values]
    places = over_blocks(axis, names)
    for k, ((name, found), look) in enumerate(zip(chosen.items(), network_looks(list(chosen)), strict=True)):
        if found.sizes["block"] == 1 and len(names) > 1:
            axis.axhline(float(found[variable].values[0]), color=look["color"], ls=look["ls"], label=name)
            continue
        x = places[: found.sizes["block"]] + shifted(k, len(chosen), 0.4)
        axis.errorbar(x, *whiskers(found, variable), ms=4, lw=1.2, label=name, **look)
    axis.axhline(0 if variable == "r2" else float(first["same_chance"]), **GUIDE)
    axis.set_ylabel(CURVES[variable])
