"""Figures of attributions and of effects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from analyses.attribution.analyse import ATTRIBUTION
from analyses.attribution.effects import EFFECTS
from analyses.ground import (
    GUIDE,
    PALETTE,
    Theme,
    figure_of,
    line_looks,
    mosaic,
    new_figure,
    over_levels,
    shifted,
    themed,
    titled,
    whiskers,
)
from probekit.channels import channel_names

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot"]

MOST_IMAGES, MOST_CHANNELS = 8, 8
PANELS = {
    "change": "mean squared change",
    "error_change": "change of mean squared error",
    "psnr_change": "change of PSNR",
}


def plot(findings: xr.Dataset, *, ax: Axes | None = None, theme: Theme = None) -> Figure:
    """Draw attribution maps of the first images, or effects of groups against σ.

    Parameters
    ----------
    findings
        What `attribute` or `effects` returns.
    ax
        Axes to draw all maps in, or the mean squared change; by default a figure of its own.
    theme
        "light" (default), "dark", "print", or settings of matplotlib by name, laid over those that hold.

    Returns
    -------
    Figure
        Maps of one channel have one scale: red adds to it, blue takes off, white does nothing. Bars are intervals. With
        `ax`, its figure.

    Raises
    ------
    InputError
        If it is neither, or an option is none of these.
    """
    with themed(theme, ax):
        if isinstance(findings, xr.Dataset) and "change" in findings:
            findings = EFFECTS.taken(findings, *PANELS, attrs=("factor",))
            if ax is None:
                return _effects(findings)
            _panel(ax, findings, "change")
            ax.legend(fontsize="small")
            return figure_of(ax)
        findings = ATTRIBUTION.taken(findings, "attribution", attrs=("method",))
        level = findings["sigma"].values[findings.sizes["sigma"] // 2]
        maps = findings["attribution"].sel(sigma=level).sum("band")
        maps = maps.isel(image=slice(MOST_IMAGES), channel=slice(MOST_CHANNELS))
        if ax is None:
            return _maps(maps, _said(findings, level))
        _all_maps(ax, maps)
        ax.set_title(f"{_said(findings, level)}\n{', '.join(channel_names(maps))}")
        return figure_of(ax)


def _said(findings: xr.Dataset, level: float) -> str:
    method = str(findings.attrs["method"]).replace("_", " ")
    return f"{findings.attrs.get('denoiser', '')}: {method}, σ = {level:g}"


def _reach(part: xr.DataArray) -> float:
    """The largest of a channel's maps, which have one scale, so that its images can be compared."""
    return float(np.abs(part).max()) or 1.0


def _maps(maps: xr.DataArray, said: str) -> Figure:
    rows, cols = maps.sizes["image"], maps.sizes["channel"]
    figure = new_figure(max(4, 1.2 + 1.8 * cols), 1.2 + 1.8 * rows)
    axes = figure.subplots(rows, cols, squeeze=False)
    shown: Any = None
    for c, name in enumerate(channel_names(maps)):
        part = maps.isel(channel=c)
        reach = _reach(part)
        for i in range(rows):
            shown = axes[i, c].imshow(part.isel(image=i).values, cmap="RdBu_r", vmin=-reach, vmax=reach)
            axes[i, c].set(xticks=[], yticks=[])
        axes[0, c].set_title(name)
        bar = figure.colorbar(shown, ax=axes[:, c], location="bottom", shrink=0.9, pad=0.02)
        bar.ax.tick_params(labelsize="small")
        bar.set_ticks([-reach, 0, reach], labels=[f"{-reach:.1g}", "0", f"{reach:.1g}"])
    for i, image in enumerate(maps["image"].values):
        axes[i, 0].set_ylabel(str(image)[-16:])
    titled(figure, f"{said}\nattribution to each pixel (activation)")
    return figure


def _all_maps(axis: Axes, maps: xr.DataArray) -> None:
    channels = [maps.isel(channel=c) for c in range(maps.sizes["channel"])]
    rows = [[one.isel(image=i).values[None] / _reach(one) for one in channels] for i in range(maps.sizes["image"])]
    names = [str(image)[-16:] for image in maps["image"].values]
    mosaic(axis, rows, names=names, limits=(-1.0, 1.0), cmap="RdBu_r")


def _effects(findings: xr.Dataset) -> Figure:
    figure = new_figure(12, 4.2)
    panels = figure.subplots(1, 3)
    for axis, name in zip(panels, PANELS, strict=True):
        _panel(axis, findings, name)
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=min(6, len(names)))
    titled(
        figure,
        f"{findings.attrs.get('denoiser', '')}: channels times {findings.attrs['factor']:g}, "
        f"{findings.sizes['image']} images",
    )
    return figure


def _panel(axis: Axes, findings: xr.Dataset, name: str) -> None:
    """One measure of all groups, those of random channels grey and dotted."""
    groups = findings["group"].values
    places = over_levels(axis, findings["sigma"].values)
    looks = line_looks(len(groups))
    for g, (group, look) in enumerate(zip(groups, looks, strict=True)):
        random = "random" in str(group)
        own = {**look, "color": PALETTE["untrained"], "ls": ":", "mfc": axis.get_facecolor()} if random else look
        x = places + shifted(g, len(groups), 0.6)
        value = whiskers(findings.sel(group=group), name)
        axis.errorbar(x, *value, ms=4, lw=1 if random else 1.5, label=str(group), **own)
    axis.axhline(0, **GUIDE)
    axis.set_ylabel(f"{PANELS[name]} ({EFFECTS.variables[name].units})")
