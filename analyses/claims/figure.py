"""The figure of claims: networks beside one another at a glance."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from analyses.claims.criteria import ABSENT, COMPARED
from analyses.claims.listed import claim_of
from probekit import labels

if TYPE_CHECKING:
    import xarray as xr
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
    ABSENT: "white",
}
WIDTH = 34


def plot(compared: xr.Dataset) -> Figure:
    """Draw the verdicts, a row a claim and a column a network, with how many criteria are met.

    Parameters
    ----------
    compared
        What `side_by_side` returns.

    Returns
    -------
    Figure

    Raises
    ------
    InputError
        If these are no such findings.
    """
    from matplotlib.figure import Figure

    compared = COMPARED.taken(compared, *COMPARED.variables)
    names, numbers = labels.strings(compared["network"].values), compared["claim"].values
    figure = Figure(figsize=(3.2 + 1.25 * len(names), 0.5 + 0.46 * len(numbers)), layout="constrained")
    axis = figure.subplots()
    for r, claim in enumerate(numbers):
        for c, name in enumerate(names):
            one = compared.sel(claim=claim, network=name)
            verdict = str(one["verdict"].item())
            axis.add_patch(_cell(c, r, COLOURS[verdict]))
            said = verdict if verdict == ABSENT else f"{verdict}\n{one['met'].item()} of {one['criteria'].item()} met"
            grey = "0.6" if verdict == ABSENT else "black"
            axis.text(c, r, said, ha="center", va="center", fontsize=7, color=grey)
    axis.set(xlim=(-0.5, len(names) - 0.5), ylim=(len(numbers) - 0.5, -0.5))
    axis.set_xticks(range(len(names)), [textwrap.fill(n.replace("-", "- "), 14).replace("- ", "-") for n in names])
    axis.set_yticks(range(len(numbers)), [textwrap.fill(f"{n}. {claim_of(n).title}", WIDTH) for n in numbers])
    axis.tick_params(length=0, labelsize=7.5, top=True, labeltop=True, bottom=False, labelbottom=False)
    axis.spines[:].set_visible(False)
    return figure


def _cell(column: int, row: int, colour: str) -> Rectangle:
    from matplotlib.patches import Rectangle

    return Rectangle((column - 0.5, row - 0.5), 1, 1, facecolor=colour, edgecolor="white", linewidth=2)
