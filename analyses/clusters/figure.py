"""The figures of clusters: curves and agreement, a map of images, and sheets of images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from analyses.clusters.analyse import FINDINGS
from analyses.clusters.embedding import MAP
from analyses.ground import GUIDE, block_colours, picture
from probekit import checks, labels
from probekit import images as image_sources
from probekit.errors import InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot", "plot_embedding", "sheet"]

PLACE = ("sigma", "block")


def plot(findings: xr.Dataset) -> Figure:
    """Draw what speaks for the number of clusters, their sizes, and their agreement with classes.

    Parameters
    ----------
    findings
        What `clusters.analyse` returns; curves and sizes are at the middle noise level.

    Returns
    -------
    Figure

    Raises
    ------
    InputError
        If these are no findings of `clusters.analyse`, or lack dims or attributes.
    """
    from matplotlib.figure import Figure

    findings = FINDINGS.taken(findings, "size", *PLACE)
    if "strength" in findings:
        findings = FINDINGS.taken(findings, "strength", "strength_se", "silhouette", attrs=("threshold",))
    if "ami" in findings:
        findings = FINDINGS.taken(findings, "ami")
    middle = findings.sizes["sigma"] // 2
    blocks = list(map(str, findings["block"].values))
    panels = [name for name in ("strength", "silhouette", "size", "ami") if name in findings]
    figure = Figure(figsize=(3.7 * len(panels), 3.5), layout="constrained")
    for axis, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        for b, colour in enumerate(block_colours(blocks)):
            _drawn(axis, findings, panel, (middle, b), label=blocks[b], color=colour)
    figure.axes[0].legend(frameon=False, fontsize=8)
    if "strength" in findings:
        figure.axes[0].axhline(findings.attrs["threshold"], **GUIDE)
    sigma = findings["sigma"].values[middle]
    figure.suptitle(f"{findings.attrs.get('denoiser', '')}: clusters (curves and sizes at σ = {sigma:g})", fontsize=10)
    return figure


def _drawn(axis: Axes, findings: xr.Dataset, panel: str, place: tuple[int, int], **style: Any) -> None:
    middle, b = place
    if panel == "size":
        sizes = findings["size"].values[middle, b]
        axis.plot(1 + np.arange(np.count_nonzero(sizes)), sizes[sizes > 0], "o-", ms=3, **style)
        axis.set(xlabel="cluster, by size", ylabel="images", ylim=(0, None))
    elif panel == "ami":
        x = np.arange(findings.sizes["sigma"]) + 0.05 * (b - (findings.sizes["block"] - 1) / 2)
        value, low, high = (findings["ami" + end].values[:, b] for end in ("", "_low", "_high"))
        axis.errorbar(x, value, (np.maximum(0, value - low), np.maximum(0, high - value)), fmt="o", ms=3, **style)
        axis.set_xticks(range(findings.sizes["sigma"]), [f"{s:g}" for s in findings["sigma"].values])
        axis.set(xlabel="σ", ylabel="adjusted mutual information with classes")
    else:
        values, numbers = findings[panel].values[:, middle, b], findings["number"].values
        error = findings["strength_se"].values[:, middle, b] if panel == "strength" else None
        axis.errorbar(numbers, values, error, marker="o", ms=3, **style)
        axis.set(xscale="log", xlabel="number of clusters", ylabel=findings[panel].attrs["long_name"])


def plot_embedding(embedding: xr.Dataset, findings: xr.Dataset, *, label: str = "label") -> Figure:
    """Draw a map of images, coloured by cluster and, where known, by class, at the middle noise level.

    Parameters
    ----------
    embedding
        What `clusters.embed` returns.
    findings
        What `clusters.analyse` returns for the same data.
    label
        Coordinate with the classes.

    Returns
    -------
    Figure
        A row for each block.

    Raises
    ------
    InputError
        If these are not what they should be, images of the map have no cluster, or some have no class.
    """
    from matplotlib.figure import Figure

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
    known = [] if label not in embedding.coords else [labels.classes(embedding, label, of="the map", least=1)]
    classes = [np.unique(one, return_inverse=True)[1] for one in known]
    middle, blocks = embedding.sizes["sigma"] // 2, embedding["block"].values
    figure = Figure(figsize=(4 * (1 + len(classes)), 3.8 * len(blocks)), layout="constrained")
    axes = figure.subplots(len(blocks), 1 + len(classes), squeeze=False)
    for b, block in enumerate(blocks):
        places = embedding["embedding"].values[:, middle, b]
        for axis, colour, text in zip(
            axes[b], [here.values[:, middle, b], *classes], ("cluster", "class"), strict=False
        ):
            axis.scatter(*places.T, c=colour, cmap="nipy_spectral", s=4, lw=0)
            axis.set(xticks=[], yticks=[], title=f"{block}, by {text}")
    return figure


def sheet(
    images: Any,
    findings: xr.Dataset,
    cluster: int,
    *,
    block: str | None = None,
    sigma: float | None = None,
    n: int = 36,
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

    Returns
    -------
    Figure

    Raises
    ------
    InputError
        If there is no such block, noise level or cluster, or images lack one of its ids.
    """
    from matplotlib.figure import Figure

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
    figure = Figure(figsize=(1.1 * cols, 1.1 * rows + 0.5), layout="constrained")
    for axis, image in zip(figure.subplots(rows, cols, squeeze=False).flat, shown_images, strict=False):
        picture(axis, image)
    for axis in figure.axes:
        axis.set_axis_off()
    figure.suptitle(f"cluster {cluster} of {block}, σ = {sigma:g}: {len(shown)} of {len(members)} images", fontsize=9)
    return figure
