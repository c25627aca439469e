"""The figure of noise_level."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from analyses.ground import GUIDE
from analyses.noise_level.analyse import FINDINGS, PATH
from analyses.noise_level.verdict import ON_IMAGES, ON_PATH, RANGE
from probekit import labels

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot"]


def plot(findings: xr.Dataset, path: xr.Dataset | None = None) -> Figure:
    """Draw the relative bias of σ̂ on images against σ, its spread over images, and the mismatch on the sampler's path.

    Parameters
    ----------
    findings
        What `analyse` returns.
    path
        What `along` returns, or None.

    Returns
    -------
    Figure
        Crosses: the bias of an exact denoiser of the same error. Shaded: what the claim allows.

    Raises
    ------
    InputError
        If these are no such findings.
    """
    from matplotlib.figure import Figure

    findings = FINDINGS.taken(findings, "relative_bias", "sd", "exact_bias")
    if path is not None:
        path = PATH.taken(path, "mismatch")
    panels = 2 + (path is not None)
    figure = Figure(figsize=(3.8 * panels, 3.6), layout="constrained")
    axes = figure.subplots(1, panels, squeeze=False)[0]
    names = labels.strings(findings["network"].values).tolist()
    _curves(axes[0], findings, "relative_bias", names)
    for k, name in enumerate(names):
        axes[0].plot(findings["sigma"], findings["exact_bias"].sel(network=name), "x", color=f"C{k}", ms=4)
        low, high = (findings[f"sd{end}"].sel(network=name) / findings["sigma"] for end in ("_low", "_high"))
        axes[1].plot(findings["sigma"], findings["sd"].sel(network=name) / findings["sigma"], "o-", ms=3, color=f"C{k}")
        axes[1].fill_between(findings["sigma"], low, high, color=f"C{k}", alpha=0.2)
    axes[0].fill_between(RANGE, -ON_IMAGES, ON_IMAGES, color="0.9", zorder=0)
    axes[0].set(ylabel="mean σ̂/σ − 1", title="held-out images")
    axes[1].set(ylabel="sd of σ̂ over images / σ", ylim=(0, None))
    if path is not None:
        _curves(axes[2], path, "mismatch", labels.strings(path["network"].values).tolist())
        span = path["sigma"].values
        axes[2].fill_between((span.min(), span.max()), -ON_PATH, ON_PATH, color="0.9", zorder=0)
        axes[2].set(ylabel="mean σ̂/σ − 1", title="sampler's path")
    for axis in axes:
        axis.set(xscale="log", xlabel="σ")
    axes[0].legend(frameon=False, fontsize=8)
    return figure


def _curves(axis: Axes, findings: xr.Dataset, name: str, names: list[str]) -> None:
    told = findings["told"].values if "told" in findings.coords else np.zeros(len(names), bool)
    for k, network in enumerate(names):
        here = findings.isel(network=k)
        text = f"{network}, told σ" if told[k] else f"{network}, blind"
        axis.plot(here["sigma"], here[name], "o-", ms=3, color=f"C{k}", label=text)
        axis.fill_between(here["sigma"], here[f"{name}_low"], here[f"{name}_high"], color=f"C{k}", alpha=0.2)
    axis.axhline(0, **GUIDE)
