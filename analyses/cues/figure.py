"""The figure of cues."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from analyses.cues.table import TABLE
from analyses.ground import GUIDE, PALETTE
from probekit import checks, labels
from probekit.errors import InputError

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot"]

NEEDED = ("texture", "shape", "texture_chance", "shape_chance")
MARKS = "osDv^<>P*X"


def plot(findings: xr.Dataset, *, distance: str | None = None) -> Figure:
    """Draw the shares of neighbours of one texture, and of one shape, against the block, trained beside controls.

    Parameters
    ----------
    findings
        What `table` returns.
    distance
        One of the findings' distances; by default the first.

    Returns
    -------
    Figure
        A column for each treatment and noise level, above the texture and below the shape; dashed: chance.

    Raises
    ------
    InputError
        If these are no findings of `table`, or there is no such distance.
    """
    from matplotlib.figure import Figure

    findings = TABLE.taken(findings, *NEEDED)
    if "group" not in findings.coords:
        raise InputError("the findings lost their coordinate group: give what cues.table returns")
    known = tuple(labels.strings(findings["distance"].values))
    here = findings.sel(distance=checks.choice("distance", known[0] if distance is None else distance, known))
    columns = [(t, s) for t in range(here.sizes["treatment"]) for s in range(here.sizes["sigma"])]
    figure = Figure(figsize=(1.5 + 3 * len(columns), 5.6), layout="constrained")
    axes = figure.subplots(2, len(columns), sharex=True, sharey=True, squeeze=False)
    for column, (t, s) in enumerate(columns):
        one = here.isel(treatment=t, sigma=s)
        axes[0, column].set_title(f"{one['treatment'].item()}, σ = {one['sigma'].item():g}", fontsize=9)
        for axis, name in zip(axes[:, column], ("texture", "shape"), strict=True):
            _shares(axis, one, name)
    for axis, name in zip(axes[:, 0], ("texture", "shape"), strict=True):
        axis.set(ylabel=f"neighbours of the same {name}", ylim=(-0.03, 1.03))
    handles = axes[0, 0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=5, frameon=False, fontsize=8)
    return figure


def _shares(axis: Axes, here: xr.Dataset, name: str) -> None:
    blocks = labels.strings(here["block"].values)
    groups = labels.strings(here["group"].values)
    for r, row in enumerate(labels.strings(here["representation"].values)):
        values, low, high = (here[name + end].isel(representation=r).values for end in ("", "_low", "_high"))
        # A percentile interval need not hold the estimate.
        errors = np.maximum(0, np.stack([values - low, high - values]))
        style = {"marker": MARKS[r % len(MARKS)], "ms": 3.5, "color": PALETTE.get(groups[r], "black"), "label": row}
        axis.errorbar(np.arange(len(blocks)), values, errors, lw=1, **style)
    axis.axhline(here[f"{name}_chance"].item(), **GUIDE)
    axis.set_xticks(range(len(blocks)), blocks.tolist(), rotation=45)
