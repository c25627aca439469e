"""The figures of clusters: curves and agreement, a map of images, and sheets of images."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from analyses.clusters.analyse import FINDINGS
from analyses.clusters.embedding import MAP
from analyses.ground import (
    GUIDE,
    Theme,
    block_colours,
    block_marks,
    figure_of,
    networks_drawn,
    new_figure,
    over_levels,
    picture,
    shifted,
    themed,
    titled,
    whiskers,
)
from probekit import checks, labels
from probekit import images as image_sources
from probekit.errors import InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot", "plot_embedding", "sheet"]

PLACE = ("sigma", "block")
# Markers that groups of a map take in turn, and most groups that a legend names.
MARKS, MOST_NAMED = "os^DvP*X", 12
PANELS = ("strength", "silhouette", "size", "ami")


def plot(
    findings: xr.Dataset,
    *,
    ax: Axes | None = None,
    theme: Theme = None,
    against: Mapping[str, xr.Dataset] | None = None,
) -> Figure:
    """Draw what speaks for the number of clusters, their sizes, and their agreement with classes.

    Parameters
    ----------
    findings
        What `clusters.analyse` returns; of several networks, along a dim `network`. Curves and sizes are at the middle
        noise level.
    ax
        Axes to draw the first of these in, for one network; by default a figure of its own, of all.
    theme
        "light" (default), "dark", "print", or settings of matplotlib by name, laid over those that hold.
    against
        Findings of other networks, by name: a row each, all of one scale.

    Returns
    -------
    Figure
        With `ax`, its figure.

    Raises
    ------
    InputError
        If these are no findings of `clusters.analyse`, or lack dims or attributes, or an option is none of these.
    """
    with themed(theme, ax):
        found = networks_drawn(findings, against, _taken)
        panels = [name for name in PANELS if any(name in one for one in found.values())]
        if ax is not None:
            if len(found) > 1:
                raise InputError(f"ax is for one network, of {', '.join(found)}: give findings of one, or no ax")
            _panel(ax, next(iter(found.values())), panels[0])
            ax.legend()
            return figure_of(ax)
        return _rows(found, panels)


def _rows(found: Mapping[str, xr.Dataset], panels: list[str]) -> Figure:
    figure = new_figure(0.9 + 3.1 * len(panels), 0.6 + 2.9 * len(found))
    axes = figure.subplots(len(found), len(panels), sharey="col", squeeze=False)
    for row, (name, one) in zip(axes, found.items(), strict=True):
        for axis, panel in zip(row, panels, strict=True):
            if panel in one:
                _panel(axis, one, panel)
            else:
                axis.remove()
        if len(found) > 1:
            row[0].set_ylabel(f"{name}\n{row[0].get_ylabel()}")
    if "size" in panels:
        # Only once all are drawn: a limit is none to what comes after it.
        axes[0][panels.index("size")].set_ylim(bottom=0)
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside right center")
    name, first = next(iter(found.items()))
    sigma = first["sigma"].values[first.sizes["sigma"] // 2]
    said = f"clusters (curves and sizes at σ = {sigma:g})"
    titled(figure, said if len(found) > 1 else f"{name}: {said}")
    return figure


def _taken(findings: Any) -> xr.Dataset:
    findings = FINDINGS.taken(findings, "size", *PLACE)
    if "strength" in findings:
        findings = FINDINGS.taken(findings, "strength", "strength_se", "silhouette", attrs=("threshold",))
    return FINDINGS.taken(findings, "ami") if "ami" in findings else findings


def _panel(axis: Axes, one: xr.Dataset, panel: str) -> None:
    blocks = list(map(str, one["block"].values))
    for b, (block, colour, mark) in enumerate(zip(blocks, block_colours(blocks), block_marks(blocks), strict=True)):
        _drawn(axis, one, panel, b, label=block, color=colour, marker=mark, ms=4, lw=1)
    if panel == "strength":
        axis.axhline(one.attrs["threshold"], **GUIDE)


def _drawn(axis: Axes, findings: xr.Dataset, panel: str, b: int, **style: Any) -> None:
    middle = findings.sizes["sigma"] // 2
    if panel == "size":
        sizes = findings["size"].values[middle, b]
        axis.plot(1 + np.arange(np.count_nonzero(sizes)), sizes[sizes > 0], **style)
        axis.set(xlabel="cluster, by size", ylabel="images")
        axis.locator_params(axis="x", integer=True)
    elif panel == "ami":
        x = over_levels(axis, findings["sigma"].values) + shifted(b, findings.sizes["block"], 0.4)
        axis.errorbar(x, *whiskers(findings.isel(block=b), "ami"), **{**style, "ls": ""})
        axis.set(ylabel="adjusted mutual information\nwith classes")
    else:
        values, numbers = findings[panel].values[:, middle, b], findings["number"].values
        error = findings["strength_se"].values[:, middle, b] if panel == "strength" else None
        # On a scale of ratios blocks are set apart by a ratio.
        x = numbers * 1.1 ** shifted(b, findings.sizes["block"]) if panel == "strength" else numbers
        axis.errorbar(x, values, error, **style)
        axis.set(
            xscale="log", xlabel="number of clusters", ylabel=textwrap.fill(findings[panel].attrs["long_name"], 26)
        )
        if len(numbers) <= 8:
            axis.set_xticks(numbers, [str(n) for n in numbers])
            axis.minorticks_off()


def plot_embedding(
    embedding: xr.Dataset,
    findings: xr.Dataset,
    *,
    label: str = "label",
    ax: Axes | None = None,
    theme: Theme = None,
) -> Figure:
    """Draw a map of images, coloured by cluster and, where known, by class, at the middle noise level.

    Parameters
    ----------
    embedding
        What `clusters.embed` returns.
    findings
        What `clusters.analyse` returns for the same data.
    label
        Coordinate with the classes.
    ax
        Axes to draw the map of the first block in, by cluster; by default a figure of its own.
    theme
        "light" (default), "dark", "print", or settings of matplotlib by name, laid over those that hold.

    Returns
    -------
    Figure
        A row for each block; a marker and a colour for each cluster or class, and an entry where they are at most 12.
        With `ax`, its figure.

    Raises
    ------
    InputError
        If these are not what they should be, images of the map have no cluster, or some have no class.
    """
    with themed(theme, ax):
        embedding = MAP.taken(embedding, "embedding", *PLACE)
        findings = FINDINGS.taken(findings, "assignment", *PLACE)
        checks.text("label", label, "the name of a coordinate along image")
        unknown = sorted(set(embedding["image"].values) - set(findings["image"].values))
        if unknown:
            raise InputError(
                f"{len(unknown)} images of the map, such as {unknown[0]}, are in no cluster: give the same data"
            )
        for dim in PLACE:
            if not np.array_equal(embedding[dim].values, findings[dim].values):
                raise InputError(f"{dim} differs between the map and the findings: give both of the same data")
        here = findings["assignment"].sel(image=embedding["image"].values)
        classes = [] if label not in embedding.coords else [labels.classes(embedding, label, of="the map", least=1)]
        middle, blocks = embedding.sizes["sigma"] // 2, embedding["block"].values
        sigma = embedding["sigma"].values[middle]
        if ax is not None:
            _map(ax, embedding["embedding"].values[:, middle, 0], here.values[:, middle, 0])
            ax.set_title(f"{blocks[0]}, by cluster, σ = {sigma:g}")
            return figure_of(ax)
        figure = new_figure(5 * (1 + len(classes)), 3.8 * len(blocks))
        axes = figure.subplots(len(blocks), 1 + len(classes), squeeze=False)
        for b, block in enumerate(blocks):
            places = embedding["embedding"].values[:, middle, b]
            sets = zip(axes[b], [here.values[:, middle, b], *classes], ("cluster", "class"), strict=False)
            for axis, one, text in sets:
                _map(axis, places, one)
                axis.set_title(f"{block}, by {text}, σ = {sigma:g}")
        return figure


def _map(axis: Axes, places: np.ndarray, groups: np.ndarray) -> None:
    """Images where an embedding puts them, each group with its colour and marker."""
    from matplotlib import colormaps

    names = np.unique(groups)
    colours = colormaps["turbo"](np.linspace(0.05, 0.95, len(names)))
    for k, name in enumerate(names):
        own = places[groups == name]
        axis.plot(*own.T, MARKS[k % len(MARKS)], ms=3.5, mew=0, color=colours[k], label=str(name))
    axis.set(xticks=[], yticks=[], xlabel="t-SNE: near images are alike, axes have no units")
    if len(names) <= MOST_NAMED:
        axis.legend(loc="upper left", bbox_to_anchor=(1, 1), handletextpad=0.1)


def sheet(
    images: Any,
    findings: xr.Dataset,
    cluster: int,
    *,
    block: str | None = None,
    sigma: float | None = None,
    n: int = 36,
    theme: Theme = None,
) -> Figure:
    """Show the images of a cluster that are nearest to its centre, nearest first.

    Parameters
    ----------
    images
        The images that were clustered: anything that `probekit.images.load` takes, with the same ids.
    findings
        What `clusters.analyse` returns.
    cluster
        Its number, 0 the largest.
    block, sigma
        Which clusters; by default those of "mid", or else of the last block, at the middle noise level.
    n
        At most so many images.
    theme
        "light" (default), "dark", "print", or settings of matplotlib by name, laid over those that hold.

    Returns
    -------
    Figure

    Raises
    ------
    InputError
        If there is no such block, noise level or cluster, or images lack one of its ids.
    """
    findings = FINDINGS.taken(findings, "assignment", "centre_distance", *PLACE)
    cluster = checks.whole("cluster", cluster, least=0)
    n = checks.whole("n", n, least=1)
    source = image_sources.load(images)
    blocks, sigmas = list(map(str, findings["block"].values)), findings["sigma"].values
    block = block if block is not None else "mid" if "mid" in blocks else blocks[-1]
    if not isinstance(block, str) or block not in blocks:
        raise InputError(f"{checks.given('block', block)}: give one of {', '.join(blocks)}")
    wanted = f"one of the noise levels {', '.join(f'{s:g}' for s in sigmas)}"
    middle = float(sigmas[len(sigmas) // 2])
    sigma = checks.number(
        "sigma", middle if sigma is None else sigma, wanted, good=lambda value: bool(np.isclose(sigmas, value).any())
    )
    at = int(np.isclose(sigmas, sigma).argmax())
    here = findings[["assignment", "centre_distance"]].sel(block=block).isel(sigma=at)
    members = np.flatnonzero(here["assignment"].values == cluster)
    if not len(members):
        raise InputError(
            f"cluster={cluster}: {block} has clusters 0 to {int(here['assignment'].max())} at σ = {sigma:g}"
        )
    shown = members[np.argsort(here["centre_distance"].values[members], kind="stable")][:n]
    place = {name: i for i, name in enumerate(source.ids)}
    ids = list(map(str, findings["image"].values[shown]))
    lacking = [name for name in ids if name not in place]
    if lacking:
        raise InputError(f"{source.name} has no image {lacking[0]}: give the images that were clustered, ids included")
    shown_images = source.read([place[name] for name in ids]).numpy()
    cols = int(np.ceil(np.sqrt(len(ids))))
    rows = -(-len(ids) // cols)
    with themed(theme):
        figure = new_figure(1.1 * cols, 1.1 * rows + 0.5)
        for axis, image in zip(figure.subplots(rows, cols, squeeze=False).flat, shown_images, strict=False):
            picture(axis, image)
        for axis in figure.axes:
            axis.set_axis_off()
        titled(figure, f"cluster {cluster} of {block}, σ = {sigma:g}: {len(shown)} of {len(members)} images")
        return figure
