"""The figure of controls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.controls.rows import FINDINGS
from analyses.ground import GUIDE, MARKERS, PALETTE, Theme, figure_of, new_figure, noise_level, themed, titled
from probekit import checks
from probekit.errors import InputError
from probekit.labels import strings

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot"]

DRAWN = ("value", "low", "high", "difference", "chance", "group")
OF_DISTANCES = "What do distances go with?"
# What measures answer, and by which.
QUESTIONS = {
    "Is an image found again?": ("stability",),
    "Do near images share a class?": ("precision", "accuracy"),
    "Do clusters agree with classes?": ("nmi", "ami"),
    OF_DISTANCES: (
        "correlation: label",
        "correlation: classes",
        "correlation: gist",
        "correlation: colour",
    ),
    "What of it is left given appearance?": (
        "correlation: gist given colour",
        "correlation: label given gist and colour",
        "correlation: label beyond gist and colour",
        "separation: label",
    ),
}
UNITS = {
    "stability": "share of images",
    "precision": "share of neighbours",
    "accuracy": "share of images",
    "nmi": "normalised mutual information",
    "ami": "adjusted mutual information",
    "separation: label": "share of variance",
}
# With more measures than these only one noise level can be read.
FEW_MEASURES = 3
ROW, PANEL, COLUMNS = 0.2, 2.2, 5


def plot(
    findings: xr.Dataset,
    *,
    measures: str | Sequence[str] | None = None,
    sigma: float | None = None,
    ax: Axes | None = None,
    theme: Theme = None,
) -> Figure:
    """Draw measures as dots with intervals, one line for each row of the table, in panels by what they answer.

    Parameters
    ----------
    findings
        What `table` returns.
    measures
        Some of the findings' measures, or one; by default all.
    sigma
        Noise level that is drawn, one of the findings'. By default all of them, a column each, where measures are 3 at
        most, and else the middle one.
    ax
        Axes to draw the first measure in, at one noise level; by default a figure of its own.
    theme
        "light" (default), "dark", "print", or settings of matplotlib by name, laid over those that hold.

    Returns
    -------
    Figure
        Hollow marks do not differ from the trained block that all are compared with: the interval of their
        difference holds 0. Dashed: chance. Rows that have none of a question's measures are left out of its panels.
        With `ax`, its figure.

    Raises
    ------
    InputError
        If these are no findings of `table`, or lack dims or attributes, or an option is none of these.
    """
    with themed(theme, ax):
        findings = FINDINGS.taken(findings, *DRAWN, attrs=("images", "reference"))
        chosen = _chosen(findings, measures)
        levels = _levels(findings, sigma, len(chosen) if ax is None else len(chosen) + FEW_MEASURES)
        if ax is not None:
            here = findings.sel(measure=chosen[0], sigma=levels[0])
            _panel(ax, here.isel(row=_answering(here)))
            ax.set_title(f"{chosen[0]}, σ = {levels[0]:g}")
            return figure_of(ax)
        figure = _by_level(findings, chosen, levels) if len(levels) > 1 else _by_question(findings, chosen, levels[0])
        said = "" if len(levels) > 1 else f", σ = {levels[0]:g}"
        reference = findings.attrs["reference"]
        titled(
            figure, f"{findings.attrs['images']} images{said}; hollow: no different from {reference}; dashed: chance"
        )
        return figure


def _chosen(findings: xr.Dataset, measures: Any) -> list[str]:
    known = strings(findings["measure"].values).tolist()
    if measures is None:
        return known
    wanted = checks.names("measures", measures, f"some of {', '.join(known)}")
    if not wanted:
        raise InputError(f"measures is empty: give some of {', '.join(known)}, or None for all")
    return [checks.choice("measures", one, known) for one in dict.fromkeys(wanted)]


def _levels(findings: xr.Dataset, sigma: float | None, count: int) -> list[float]:
    levels = findings["sigma"].values.tolist()
    if sigma is None:
        return levels if count <= FEW_MEASURES else [levels[len(levels) // 2]]
    at = noise_level(sigma)
    near = [level for level in levels if np.isclose(level, at)]
    if not near:
        raise InputError(f"sigma={at:g}: give one of the noise levels {', '.join(f'{s:g}' for s in levels)}, or None")
    return near[:1]


def _answering(here: xr.Dataset) -> np.ndarray:
    """Rows that have a number."""
    known = np.isfinite(here["value"].transpose("row", ...).values)
    return np.flatnonzero(known.reshape(len(known), -1).any(axis=1))


def _by_level(findings: xr.Dataset, chosen: list[str], levels: list[float]) -> Figure:
    """A row of panels for each measure, a column for each noise level."""
    parts = [findings.sel(measure=name, sigma=levels) for name in chosen]
    parts = [part.isel(row=_answering(part)) for part in parts]
    heights = [0.75 + ROW * part.sizes["row"] for part in parts]
    figure = new_figure(2.4 + 2.2 * len(levels), 0.5 + sum(heights))
    axes = figure.subplots(len(parts), len(levels), sharex="row", sharey="row", squeeze=False, height_ratios=heights)
    for row, part in zip(axes, parts, strict=True):
        for s, axis in enumerate(row):
            _panel(axis, part.isel(sigma=s))
            axis.set_title(f"{part['measure'].item()},\nσ = {levels[s]:g}")
            axis.tick_params(labelleft=s == 0)
    return figure


def _by_question(findings: xr.Dataset, chosen: list[str], level: float) -> Figure:
    """Panels of each question beside each other, as many questions in a strip as fit."""
    here = findings.sel(sigma=level)
    known = [name for names in QUESTIONS.values() for name in names]
    asked = {title: [name for name in names if name in chosen] for title, names in QUESTIONS.items()}
    # Of what users compare distances with there is no list.
    asked[OF_DISTANCES] += [name for name in chosen if name not in known]
    strips: list[list[tuple[str, str]]] = [[]]
    for title, names in asked.items():
        if strips[-1] and len(strips[-1]) + len(names) > COLUMNS:
            strips.append([])
        strips[-1] += [(title if k == 0 else "", name) for k, name in enumerate(names)]
    parts = [here.sel(measure=[name for _, name in strip]) for strip in strips]
    parts = [part.isel(row=_answering(part)) for part in parts]
    heights = [1.2 + ROW * part.sizes["row"] for part in parts]
    columns = max(part.sizes["measure"] for part in parts)
    figure = new_figure(2.4 + PANEL * columns, 0.4 + sum(heights))
    for strip, part, shown in zip(
        figure.subfigures(len(parts), 1, squeeze=False, height_ratios=heights)[:, 0], parts, strips, strict=True
    ):
        # All panels of a figure are of one width.
        axes = strip.subplots(1, columns, sharey=True, squeeze=False)[0]
        for axis in axes[len(shown) :]:
            axis.set_visible(False)
        for m, (axis, (title, name)) in enumerate(zip(axes, shown, strict=False)):
            _panel(axis, part.isel(measure=m))
            axis.set_title(name.replace("correlation: ", "correlation with\n"))
            axis.tick_params(labelleft=m == 0)
            if title:
                place = {"xy": (0, 1), "xytext": (0, 34), "xycoords": "axes fraction", "textcoords": "offset points"}
                axis.annotate(title, **place, fontweight="bold", va="bottom")
    return figure


def _panel(axis: Axes, here: xr.Dataset) -> None:
    """One measure at one noise level: a dot with its interval on each row's line."""
    rows = list(map(str, here["row"].values))
    for r in np.flatnonzero(np.isfinite(here["value"].values)):
        one = here.isel(row=r)
        group = str(one["group"].item())
        role = group if group in MARKERS else "descriptor"
        colour = PALETTE[role]
        alike = one["difference_low"].item() <= 0 <= one["difference_high"].item()
        axis.plot([one["low"].item(), one["high"].item()], [r, r], color=colour, lw=1.2)
        axis.plot(
            one["value"].item(), r, MARKERS[role], ms=5, color=colour, mfc=axis.get_facecolor() if alike else colour
        )
    axis.axvline(float(here["chance"].mean()), **GUIDE)
    axis.grid(axis="y", lw=0.5, alpha=0.3)
    axis.set_axisbelow(True)
    axis.set_yticks(range(len(rows)), rows)
    axis.set_ylim(len(rows) - 0.5, -0.5)
    axis.locator_params(axis="x", nbins=4)
    axis.set_xlabel(UNITS.get(str(here["measure"].item()), "correlation"))
