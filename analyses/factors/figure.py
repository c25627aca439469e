"""The figure of a factor: correlation matrices by block, one row for each network, and how well the factor is read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.factors.analyse import FINDINGS
from analyses.ground import GUIDE, noise_level, rounded
from probekit.checks import choice, mapping
from probekit.errors import InputError

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot"]

NEEDED = ("correlation", "centred_correlation", "r2", "same_share", "same_chance")
MATRICES = ("correlation", "centred_correlation")


def plot(
    findings: xr.Dataset,
    others: Mapping[str, xr.Dataset] | None = None,
    *,
    matrix: str = "centred_correlation",
    sigma: float | None = None,
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

    Returns
    -------
    Figure

    Raises
    ------
    InputError
        If these are no findings of `analyse`, or have no such noise level or matrix.
    """
    from matplotlib.figure import Figure

    rows = {"trained": findings, **mapping("others", {} if others is None else others, "findings of controls by name")}
    rows = {name: FINDINGS.taken(found, *NEEDED, attrs=("factor", "scale")) for name, found in rows.items()}
    matrix = choice("matrix", matrix, MATRICES)
    levels = findings["sigma"].values
    at = float(levels[len(levels) // 2] if sigma is None else noise_level(sigma))
    if at not in levels:
        raise InputError(f"sigma={at:g}: give one of the noise levels {', '.join(f'{s:g}' for s in levels)}")
    chosen = {name: _at(found, at) for name, found in rows.items()}
    columns = max(found.sizes["block"] for found in chosen.values())
    # Of one block, networks stand beside each other.
    grid = (1, len(rows)) if columns == 1 else (len(rows), columns)
    figure = Figure(figsize=(max(7, 1.9 * grid[1]), 1.9 * grid[0] + 3.2), layout="constrained")
    upper, lower = figure.subfigures(2, 1, squeeze=False, height_ratios=(1.9 * grid[0], 3))[:, 0]
    upper.suptitle(f"{matrix.replace('_', ' ')} of mean φ over {findings.attrs['factor']}, σ = {at:g}", fontsize=9)
    shown: Any = None
    axes = upper.subplots(*grid, squeeze=False).reshape(len(rows), columns)
    for row, (name, found) in zip(axes, chosen.items(), strict=True):
        for axis, block in zip(row, range(columns), strict=True):
            if block >= found.sizes["block"]:
                axis.set_axis_off()
                continue
            shown = axis.imshow(found[matrix].values[block], vmin=-1, vmax=1, cmap="RdBu_r", origin="lower")
            _ticks(axis, found["value"].values)
            axis.set_title(str(found["block"].values[block]), fontsize=7, pad=2)
        row[0].set_ylabel(name, fontsize=8)
    upper.colorbar(shown, ax=upper.axes, shrink=0.6)
    for axis, (variable, text) in zip(
        lower.subplots(1, 2), (("r2", "R² of the factor"), ("same_share", "nearest of the same value")), strict=True
    ):
        _curves(axis, chosen, variable)
        axis.set(ylabel=text)
        axis.axhline(0 if variable == "r2" else float(findings["same_chance"]), **GUIDE)
    lower.axes[0].legend(frameon=False, fontsize=7)
    return figure


def _at(found: xr.Dataset, sigma: float) -> xr.Dataset:
    levels = found["sigma"].values
    return found.isel(sigma=int(np.flatnonzero(levels == sigma)[0]) if sigma in levels else 0)


def _ticks(axis: Axes, values: np.ndarray) -> None:
    at = np.unique(np.linspace(0, len(values) - 1, min(3, len(values))).round().astype(int))
    names = [rounded(float(values[k]), 3) for k in at]
    axis.set_xticks(at, names, fontsize=6)
    axis.set_yticks(at, names, fontsize=6)


def _curves(axis: Axes, chosen: Mapping[str, xr.Dataset], variable: str) -> None:
    """A number with its interval by block; of what has one block a line across."""
    names = [str(name) for name in chosen["trained"]["block"].values]
    for k, (name, found) in enumerate(chosen.items()):
        values, low, high = (found[variable + end].values for end in ("", "_low", "_high"))
        if found.sizes["block"] == 1 and len(names) > 1:
            axis.axhline(float(values[0]), color=f"C{k}", ls=":", label=name)
            continue
        # A percentile interval need not hold the estimate.
        errors = np.maximum(0, np.nan_to_num(np.stack([values - low, high - values])))
        axis.errorbar(np.arange(len(values)) + 0.06 * k, values, errors, marker="o", ms=3, color=f"C{k}", label=name)
    axis.set_xticks(range(len(names)), names, fontsize=7)
