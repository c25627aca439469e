"""The figure of the probe."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from analyses.ground import GUIDE, block_colours
from analyses.probe.analyse import FINDINGS

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

__all__ = ["plot"]


def plot(findings: xr.Dataset) -> Figure:
    """Draw accuracy of each block against σ, and the learning curves where there are any.

    Parameters
    ----------
    findings
        What `analyse` returns.

    Returns
    -------
    Figure

    Raises
    ------
    InputError
        If these are no findings of `analyse`, or lack dims or attributes.
    """
    from matplotlib.figure import Figure

    findings = FINDINGS.taken(findings, "chance", "accuracy", "top_accuracy", attrs=("top", "classes", "train_images"))
    panels = [("accuracy", "top 1"), ("top_accuracy", f"top {findings.attrs['top']}")]
    figure = Figure(figsize=(4 * (2 + ("curve" in findings)), 3.6), layout="constrained")
    axes = figure.subplots(1, 2 + ("curve" in findings), squeeze=False)[0]
    x, blocks = np.arange(findings.sizes["sigma"]), list(map(str, findings["block"].values))
    colours = block_colours(blocks)
    for axis, (name, text) in zip(axes, panels, strict=False):
        for b, block in enumerate(blocks):
            values, low, high = (findings[name + end].values[:, b] for end in ("", "_low", "_high"))
            shift = 0.04 * (b - (findings.sizes["block"] - 1) / 2)
            # A percentile interval need not hold the estimate.
            errors = np.maximum(0, np.stack([values - low, high - values]))
            axis.errorbar(x + shift, values, errors, marker="o", ms=3, color=colours[b], label=block)
        axis.set_xticks(x, [f"{s:g}" for s in findings["sigma"].values])
        axis.set(xlabel="σ", ylabel=f"{text} accuracy", ylim=(0, None))
    axes[0].axhline(findings["chance"].item(), **GUIDE)
    axes[0].legend(frameon=False, fontsize=8)
    if "curve" in findings:
        middle = findings.sizes["sigma"] // 2
        for colour, values in zip(colours, findings["curve"].values[:, middle].T, strict=True):
            axes[2].plot(findings["size"], values, "o-", ms=3, color=colour)
        axes[2].set(xscale="log", ylim=(0, None), xlabel="training images", ylabel="top 1 accuracy")
        axes[2].set_title(f"σ = {findings['sigma'].values[middle]:g}", fontsize=9)
    figure.suptitle(
        f"{findings.attrs.get('denoiser', '')}: linear probe, {findings.attrs['classes']} classes, "
        f"{findings.attrs['train_images']} training images; intervals over test images",
        fontsize=9,
    )
    return figure
