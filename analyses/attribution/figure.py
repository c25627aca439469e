"""Figures of attributions and of effects."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from analyses.attribution.analyse import ATTRIBUTION
from analyses.attribution.effects import EFFECTS
from analyses.ground import GUIDE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["plot"]

MOST_IMAGES, MOST_CHANNELS = 8, 8
PANELS = {
    "change": "mean squared change",
    "error_change": "change of mean squared error",
    "psnr_change": "change of PSNR",
}


def plot(findings: xr.Dataset) -> Figure:
    """Draw attribution maps of the first images, or effects of groups against σ.

    Parameters
    ----------
    findings
        What `attribute` or `effects` returns.

    Returns
    -------
    Figure
        Bars are intervals.

    Raises
    ------
    InputError
        If it is neither.
    """
    if isinstance(findings, xr.Dataset) and "change" in findings:
        findings = EFFECTS.taken(findings, *PANELS, attrs=("factor",))
        return _effects(findings)
    findings = ATTRIBUTION.taken(findings, "attribution", attrs=("method",))
    return _maps(findings)


def _maps(findings: xr.Dataset) -> Figure:
    from matplotlib.figure import Figure

    level = findings["sigma"].values[findings.sizes["sigma"] // 2]
    maps = findings["attribution"].sel(sigma=level).sum("band")
    maps = maps.isel(image=slice(MOST_IMAGES), channel=slice(MOST_CHANNELS))
    rows, cols = maps.sizes["image"], maps.sizes["channel"]
    figure = Figure(figsize=(1 + 1.8 * cols, 0.8 + 1.8 * rows), layout="constrained")
    axes = figure.subplots(rows, cols, squeeze=False)
    for c in range(cols):
        part = maps.isel(channel=c)
        # One scale for a channel, so that its images can be compared.
        reach = float(np.abs(part).max()) or 1.0
        for i in range(rows):
            axes[i, c].imshow(part.isel(image=i).values, cmap="RdBu_r", vmin=-reach, vmax=reach)
            axes[i, c].set(xticks=[], yticks=[])
        axes[0, c].set_title(f"{part['tap'].item()} {part['unit'].item()}", fontsize=9)
    for i, image in enumerate(maps["image"].values):
        axes[i, 0].set_ylabel(str(image)[-16:], fontsize=8)
    method = str(findings.attrs["method"]).replace("_", " ")
    figure.suptitle(f"{findings.attrs.get('denoiser', '')}: {method}, σ = {level:g}", fontsize=10)
    return figure


def _effects(findings: xr.Dataset) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 4.5), layout="constrained")
    panels = figure.subplots(1, 3)
    sigma = findings["sigma"].values
    for axis, name in zip(panels, PANELS, strict=True):
        for group in findings["group"].values:
            middle, low, high = (findings[name + end].sel(group=group).values for end in ("", "_low", "_high"))
            random = "random" in str(group)
            axis.errorbar(
                sigma,
                middle,
                np.nan_to_num(np.abs(np.stack([middle - low, high - middle]))),
                fmt="o-",
                ms=3,
                lw=0.8 if random else 1.6,
                alpha=0.4 if random else 1,
                label=str(group),
            )
        axis.axhline(0, **GUIDE)
        axis.set(xlabel="σ", ylabel=f"{PANELS[name]} ({EFFECTS.variables[name].units})")
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=min(6, len(names)), frameon=False, fontsize=8)
    figure.suptitle(
        f"{findings.attrs.get('denoiser', '')}: channels times {findings.attrs['factor']:g}, "
        f"{findings.sizes['image']} images",
        fontsize=10,
    )
    return figure
