"""The figure of densities."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import xarray as xr

from analyses.densities.analyse import FINDINGS
from analyses.ground import MARKERS, PALETTE, Theme, figure_of, networks_drawn, new_figure, themed, titled
from probekit.errors import InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot"]

ROLES = {"phi": "trained", "pixels": "descriptor"}


def plot(
    findings: xr.Dataset,
    *,
    ax: Axes | None = None,
    theme: Theme = None,
    against: Mapping[str, xr.Dataset] | None = None,
) -> Figure:
    """Draw distances between densities against distances in φ, and in pixels where they were compared.

    Parameters
    ----------
    findings
        What `correlate` or `analyse` returns; of several networks, along a dim `network`.
    ax
        Axes to draw the first feature of one network in; by default a figure of its own, of all.
    theme
        "light" (default), "dark", "print", or settings of matplotlib by name, laid over those that hold.
    against
        Findings of other networks, by name: a row each, all of one scale of densities.

    Returns
    -------
    Figure
        With `ax`, its figure.

    Raises
    ------
    InputError
        If these are other findings, or an option is none of these.
    """
    with themed(theme, ax):
        found = networks_drawn(findings, against, lambda one: FINDINGS.taken(one, attrs=("conditions",)))
        if ax is not None:
            if len(found) > 1:
                raise InputError(f"ax is for one network, of {', '.join(found)}: give findings of one, or no ax")
            _scattered(ax, next(iter(found.values())).isel(feature=0))
            return figure_of(ax)
        features = max(one.sizes["feature"] for one in found.values())
        figure = new_figure(0.6 + 4.2 * features, 0.4 + 3.7 * len(found))
        axes = figure.subplots(len(found), features, squeeze=False, sharey=True, sharex="col")
        for row, (name, one) in zip(axes, found.items(), strict=True):
            for k, axis in enumerate(row):
                if k >= one.sizes["feature"]:
                    axis.remove()
                    continue
                _scattered(axis, one.isel(feature=k))
                axis.set_ylabel("" if k else axis.get_ylabel())
            if len(found) > 1:
                row[0].set_ylabel(f"{name}\n{row[0].get_ylabel()}")
        first = next(iter(found.values()))
        titled(figure, f"{first.sizes['pair']} pairs of {first.attrs['conditions']} conditions")
        return figure


def _scattered(axis: Axes, part: xr.Dataset) -> None:
    name = str(part["feature"].item())
    role = ROLES.get(name, "untrained")
    look = {"color": PALETTE[role], "marker": MARKERS[role], "ls": "", "ms": 4, "alpha": 0.6, "mew": 0}
    axis.plot(part["feature_distance"], part["density_distance"], **look)
    said = ", noise taken off" if name == "phi" and "noise_free" in part.attrs else ""
    unit = " (activation)" if name == "phi" else " (intensity)" if name == "pixels" else ""
    axis.set_xlabel(f"distance in {'φ' if name == 'phi' else name}{unit}{said}")
    axis.set_title(
        f"ρ = {part['correlation'].item():.2f} [{part['correlation_low'].item():.2f}, "
        f"{part['correlation_high'].item():.2f}], p = {part['p'].item():.2g}"
    )
    axis.set_ylabel(
        f"distance between conditional laws\n({part.attrs.get('measure', '').replace('_', ' ')}, intensity)"
    )
