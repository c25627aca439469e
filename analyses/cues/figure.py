"""The figure of cues."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from analyses.cues.table import TABLE
from analyses.ground import GUIDE, PALETTE, Theme, figure_of, new_figure, over_blocks, shifted, themed, whiskers
from probekit import checks, labels
from probekit.errors import InputError

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot"]

NEEDED = ("texture", "shape", "texture_chance", "shape_chance")
MARKS, LINES = "osDv^<>P*X", ("--", ":", "-.")


def plot(findings: xr.Dataset, *, distance: str | None = None, ax: Axes | None = None, theme: Theme = None) -> Figure:
    """Draw the shares of neighbours of one texture, and of one shape, against the block, trained beside controls.

    Parameters
    ----------
    findings
        What `table` returns.
    distance
        One of the findings' distances; by default the first.
    ax
        Axes to draw texture in, of the first treatment at the first noise level; by default a figure of its own.
    theme
        "light" (default), "dark", "print", or settings of matplotlib by name, laid over those that hold.

    Returns
    -------
    Figure
        A column for each treatment and noise level, above the texture and below the shape; dashed: chance. With `ax`,
        its figure.

    Raises
    ------
    InputError
        If these are no findings of `table`, or there is no such distance, or an option is none of these.
    """
    with themed(theme, ax):
        findings = TABLE.taken(findings, *NEEDED)
        if "group" not in findings.coords:
            raise InputError("the findings lost their coordinate group: give what cues.table returns")
        known = tuple(labels.strings(findings["distance"].values))
        here = findings.sel(distance=checks.choice("distance", known[0] if distance is None else distance, known))
        if ax is not None:
            one = here.isel(treatment=0, sigma=0)
            _shares(ax, one, "texture")
            ax.set_title(f"{one['treatment'].item()}, σ = {one['sigma'].item():g}")
            ax.legend(fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
            return figure_of(ax)
        return _columns(here)


def _columns(here: xr.Dataset) -> Figure:
    columns = [(t, s) for t in range(here.sizes["treatment"]) for s in range(here.sizes["sigma"])]
    lines = here.sizes["representation"]
    width = max(2.6, 0.8 + 0.07 * lines * here.sizes["block"])
    figure = new_figure(1.2 + width * len(columns), 5.6 + 0.2 * -(-lines // 5))
    axes = figure.subplots(2, len(columns), sharex=True, sharey=True, squeeze=False)
    for column, (t, s) in enumerate(columns):
        one = here.isel(treatment=t, sigma=s)
        for axis, name in zip(axes[:, column], ("texture", "shape"), strict=True):
            _shares(axis, one, name)
        axes[0, column].set_title(f"{one['treatment'].item()}, σ = {one['sigma'].item():g}")
        axes[0, column].set_xlabel("")
    for axis in axes[:, 1:].flat:
        axis.set_ylabel("")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=5)
    return figure


def _shares(axis: Axes, here: xr.Dataset, name: str) -> None:
    groups = labels.strings(here["group"].values)
    rows = labels.strings(here["representation"].values)
    places = over_blocks(axis, labels.strings(here["block"].values).tolist())
    for r, row in enumerate(rows):
        plain = groups[r] in ("trained", "other network")
        colour = PALETTE.get(groups[r], PALETTE["marked"])
        style: dict[str, Any] = {"marker": MARKS[r % len(MARKS)], "ms": 4, "color": colour, "label": row}
        face: dict[str, Any] = {} if plain else {"mfc": axis.get_facecolor()}
        line: dict[str, Any] = {"ls": "-" if plain else LINES[r % len(LINES)], "lw": 1}
        x = places + shifted(r, len(rows), 0.6)
        axis.errorbar(x, *whiskers(here.isel(representation=r), name), **style, **line, **face)
    axis.axhline(here[f"{name}_chance"].item(), **GUIDE)
    axis.set(ylabel=f"share of neighbours\nof the same {name}", ylim=(-0.03, 1.03))
