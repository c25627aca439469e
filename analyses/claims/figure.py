"""The figure of claims: networks beside one another at a glance."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

from analyses.claims.criteria import ABSENT, COMPARED
from analyses.claims.listed import claim_of
from analyses.ground import Theme, figure_of, new_figure, themed
from probekit import labels

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

__all__ = ["plot"]

# As light and dark as each other, and told apart by those who do not see red from green.
COLOURS = {
    "holds": "#a6dba0",
    "partly": "#fee391",
    "does not hold": "#f4a582",
    "undecided": "#d0d1e6",
    "not judged": "#eeeeee",
    ABSENT: "none",
}
WIDTH = 34


def plot(compared: xr.Dataset, *, ax: Axes | None = None, theme: Theme = None) -> Figure:
    """Draw the verdicts, a row a claim and a column a network, with how many criteria are met.

    Parameters
    ----------
    compared
        What `side_by_side` returns.
    ax
        Axes to draw the table in; by default a figure of its own.
    theme
        "light" (default), "dark", "print", or settings of matplotlib by name, laid over those that hold.

    Returns
    -------
    Figure
        With `ax`, its figure.

    Raises
    ------
    InputError
        If these are no such findings, or an option is none of these.
    """
    compared = COMPARED.taken(compared, *COMPARED.variables)
    with themed(theme, ax):
        if ax is not None:
            _table(ax, compared)
            return figure_of(ax)
        figure = new_figure(3.2 + 1.3 * compared.sizes["network"], 0.5 + 0.48 * compared.sizes["claim"])
        _table(figure.subplots(), compared)
        return figure


def _table(axis: Axes, compared: xr.Dataset) -> None:
    names, numbers = labels.strings(compared["network"].values), compared["claim"].values
    for r, claim in enumerate(numbers):
        for c, name in enumerate(names):
            one = compared.sel(claim=claim, network=name)
            verdict = str(one["verdict"].item())
            axis.add_patch(_cell(c, r, COLOURS[verdict], axis.get_facecolor()))
            said = verdict if verdict == ABSENT else f"{verdict}\n{one['met'].item()} of {one['criteria'].item()} met"
            # Cells are light whatever the paper is.
            ink = "0.5" if verdict == ABSENT else "black"
            axis.text(c, r, said, ha="center", va="center", fontsize="small", color=ink)
    axis.set(xlim=(-0.5, len(names) - 0.5), ylim=(len(numbers) - 0.5, -0.5))
    axis.set_xticks(range(len(names)), [textwrap.fill(n.replace("-", "- "), 14).replace("- ", "-") for n in names])
    axis.set_yticks(range(len(numbers)), [textwrap.fill(f"{n}. {claim_of(n).title}", WIDTH) for n in numbers])
    axis.tick_params(length=0, labelsize="small", top=True, labeltop=True, bottom=False, labelbottom=False)
    axis.spines[:].set_visible(False)


def _cell(column: int, row: int, colour: str, paper: Any) -> Rectangle:
    from matplotlib.patches import Rectangle

    return Rectangle((column - 0.5, row - 0.5), 1, 1, facecolor=colour, edgecolor=paper, linewidth=2)
