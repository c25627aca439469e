"""The figure of training: every measure of every block against the steps made."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from analyses.ground import GUIDE, block_colours
from analyses.training.analyse import FINDINGS
from probekit.checks import number

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

__all__ = ["plot"]

PANELS = {
    "participation_ratio": "participation ratio",
    "selective": "share of selective channels",
    "silent": "share of silent channels",
    "found_again": "found again",
    "same_label": "nearest of the same label",
}


def plot(findings: xr.Dataset, *, sigma: float | None = None) -> Figure:
    """Draw participation ratio, types of channel, images found again and neighbours of one label through training.

    Parameters
    ----------
    findings
        What `analyse` returns.
    sigma
        Noise level that is drawn, one of the findings'; the least by default. Images are found again from the largest.

    Returns
    -------
    Figure

    Raises
    ------
    InputError
        If these are no findings of `analyse`, or lack the noise level.
    """
    from matplotlib.figure import Figure

    findings = FINDINGS.taken(findings, "participation_ratio", "fraction", "psnr", attrs=("batch_size",))
    levels = findings["sigma"].values
    known = f"one of the noise levels {', '.join(f'{s:g}' for s in levels)}"
    wanted = float(levels.min() if sigma is None else number("sigma", sigma, known, good=lambda s: s in levels))
    shown = [name for name in PANELS if name in ("selective", "silent") or name in findings]
    figure = Figure(figsize=(3.4 * len(shown), 3.6), layout="constrained")
    axes = figure.subplots(1, len(shown), squeeze=False)[0]
    blocks = list(map(str, findings["block"].values))
    seen = findings["step"].values * int(findings.attrs["batch_size"])
    for axis, name in zip(axes, shown, strict=True):
        at = float(levels.max()) if name == "found_again" else wanted
        for block, colour in zip(blocks, block_colours(blocks), strict=True):
            value, low, high = (_curve(findings, name, end, at, block) for end in ("", "_low", "_high"))
            errors = np.maximum(0, np.stack([value - low, high - value]))
            axis.errorbar(seen, value, errors, fmt="o-", ms=3, lw=1, color=colour, label=block)
        if name == "same_label" and "same_label_chance" in findings:
            axis.axhline(findings["same_label_chance"].item(), **GUIDE)
        axis.set(xlabel="images seen", ylim=(0, None))
        axis.set_title(f"{PANELS[name]}, σ = {at:g}", fontsize=9)
    axes[0].legend(frameon=False, fontsize=8)
    figure.suptitle(f"{findings.attrs.get('denoiser', '')} through training", fontsize=9)
    return figure


def _curve(findings: xr.Dataset, name: str, end: str, sigma: float, block: str) -> np.ndarray:
    kind = name in ("selective", "silent")
    one = findings[f"fraction{end}"].sel(kind=name) if kind else findings[f"{name}{end}"]
    if "distance" in one.dims:
        one = one.sel(distance="standardised")
    return one.sel(sigma=sigma, block=block).values
