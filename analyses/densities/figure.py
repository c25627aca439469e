"""The figure of densities."""

from __future__ import annotations

from typing import TYPE_CHECKING

import xarray as xr

from analyses.densities.analyse import FINDINGS
from analyses.ground import PALETTE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["plot"]

COLOURS = {"phi": PALETTE["trained"], "pixels": PALETTE["descriptor"]}


def plot(findings: xr.Dataset) -> Figure:
    """Draw distances between densities against distances in φ, and in pixels where they were compared.

    Parameters
    ----------
    findings
        What `correlate` or `analyse` returns.

    Returns
    -------
    Figure

    Raises
    ------
    InputError
        If these are other findings.
    """
    from matplotlib.figure import Figure

    findings = FINDINGS.taken(findings, attrs=("conditions",))
    figure = Figure(figsize=(5 * findings.sizes["feature"], 4.5), layout="constrained")
    axes = figure.subplots(1, findings.sizes["feature"], squeeze=False, sharey=True)[0]
    for axis, name in zip(axes, map(str, findings["feature"].values), strict=True):
        part = findings.sel(feature=name)
        colour = COLOURS.get(name, "0.5")
        axis.plot(part["feature_distance"], part["density_distance"], "o", ms=2.5, alpha=0.5, color=colour)
        said = ", noise taken off" if name == "phi" and "noise_free" in findings.attrs else ""
        axis.set_xlabel(f"distance in {'φ' if name == 'phi' else name}{said}")
        axis.set_title(
            f"ρ = {part['correlation'].item():.2f} [{part['correlation_low'].item():.2f}, "
            f"{part['correlation_high'].item():.2f}], p = {part['p'].item():.2g}",
            fontsize=10,
        )
    axes[0].set_ylabel(f"distance between conditional laws ({findings.attrs.get('measure', '').replace('_', ' ')})")
    count = findings.sizes["pair"]
    figure.suptitle(f"{count} pairs of {findings.attrs['conditions']} conditions", fontsize=10)
    return figure
