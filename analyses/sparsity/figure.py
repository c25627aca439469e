"""The figure of sparsity."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from analyses.ground import GUIDE, at_hand, level_colours
from analyses.sparsity.analyse import FINDINGS, PLACE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot"]

TITLES = {
    "hoyer": "Hoyer",
    "gini": "Gini",
    "treves_rolls": "Treves–Rolls",
    "effective_number": "effective number (entropy)",
}
# Noise levels that can be told apart.
MAX_LINES = 5


def plot(findings: xr.Dataset) -> Figure:
    """Draw each measure along the blocks, one line per noise level, and what each block changes in PR.

    Parameters
    ----------
    findings
        What `analyse` returns.

    Returns
    -------
    Figure
        Bars are the intervals; of more than 5 noise levels 5 are drawn, from the least to the largest.

    Raises
    ------
    InputError
        If the findings are not of this analysis.
    """
    from matplotlib.figure import Figure

    findings = FINDINGS.taken(
        findings,
        "sparsity",
        "change",
        "sparser_when",
        "input",
        dims=(*PLACE, "image"),
        attrs=("level",),
        along={"vector": ("phi",), "measure": ("participation_ratio",)},
    )
    phi = at_hand(findings).sel(vector="phi")
    if phi.sizes["sigma"] > MAX_LINES:
        # More noise levels than lines that can be told apart: some, from the least to the largest.
        phi = phi.isel(sigma=np.linspace(0, phi.sizes["sigma"] - 1, MAX_LINES).round().astype(int))
    blocks, names = list(map(str, phi["block"].values)), list(map(str, phi["measure"].values))
    figure = Figure(figsize=(12, 7), layout="constrained")
    axes = figure.subplots(2, 3).ravel()
    colours = level_colours(phi.sizes["sigma"])
    for axis, name in zip(axes, names, strict=False):
        part = phi.sel(measure=name)
        sparser = str(part["sparser_when"].item())
        _lines(axis, part, ("sparsity", "sparsity_low", "sparsity_high"), colours)
        axis.set_title(f"{TITLES.get(name, name.replace('_', ' '))} ({sparser}: sparser)", fontsize=10)
        axis.set_xticks(range(len(blocks)), blocks)
    last = axes[len(names)]
    _lines(last, phi.sel(measure="participation_ratio"), ("change", "change_low", "change_high"), colours)
    last.axhline(0, **GUIDE)
    # The first block has no change and keeps its place.
    last.set_xlim(-0.5, len(blocks) - 0.5)
    last.set_title("change of participation ratio, output − input", fontsize=10)
    last.set_xticks(
        range(len(blocks)), [f"{b}\n← {i or '–'}" for b, i in zip(blocks, phi["input"].values, strict=True)]
    )
    last.tick_params(axis="x", labelsize=7)
    handles, texts = axes[0].get_legend_handles_labels()
    figure.legend(handles, texts, loc="outside lower center", ncols=len(handles), frameon=False, fontsize=8)
    figure.suptitle(
        f"{findings.attrs.get('denoiser', '')}: sparsity of φ, mean over {findings.sizes['image']} images "
        f"(bars: {100 * float(findings.attrs['level']):g} % intervals)",
        fontsize=10,
    )
    return figure


def _lines(axis: Axes, part: xr.Dataset, names: tuple[str, str, str], colours: np.ndarray) -> None:
    count = part.sizes["sigma"]
    for s, level in enumerate(part["sigma"].values):
        middle, low, high = (part[name].isel(sigma=s).values for name in names)
        # Set apart a little, so that bars of different noise levels can be told.
        x = np.arange(len(middle)) + 0.25 * ((s + 0.5) / count - 0.5)
        errors = np.abs(np.stack([middle - low, high - middle]))
        axis.errorbar(x, middle, errors, fmt="o-", ms=3, lw=1, color=colours[s], label=f"σ = {level:g}")
