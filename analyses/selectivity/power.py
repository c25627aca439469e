"""How much of the types of channel is decided, against the number of images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from analyses.ground import (
    Estimate,
    Findings,
    Theme,
    Variable,
    figure_of,
    level_colours,
    line_looks,
    new_figure,
    themed,
    titled,
)
from analyses.selectivity.analyse import CRITERIA, FINDINGS, KINDS, MIN_IMAGES, analyse, check, held
from analyses.selectivity.kernels_counts import effective
from probekit import checks, labels
from probekit.errors import InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["POWER", "plot_power", "power_curve"]

BY_NUMBER = {
    name: FINDINGS.variables[name]._replace(dims=("n_images", *FINDINGS.variables[name].dims))
    for name in ("fraction", "decided")
}
POWER = Findings(
    "selectivity",
    {
        **BY_NUMBER,
        "independent_images": Variable(("n_images",), "independent images that these are worth", "images"),
    },
    coords={
        "n_images": "number of images, each set within the next",
        **{name: FINDINGS.coords[name] for name in ("kind", "criterion", "block")},
    },
    source="selectivity.power_curve",
)


@POWER.described
def power_curve(
    data: xr.Dataset,
    *,
    numbers: Sequence[int] | None = None,
    fdr: float = 0.05,
    fdr_method: str = "bh",
    clusters: str | None = None,
    level: float = 0.95,
    seed: int = 0,
) -> xr.Dataset:
    """What `analyse` decides of types and their criteria from fewer of the images.

    Parameters
    ----------
    data, fdr, fdr_method, clusters, level
        As for `analyse`.
    numbers
        Numbers of images ≥ 20, drawn at random, each set within the next; by default 50, 100, 200, 500 and so on, and
        all; those that are worth fewer than 20 independent ones are left out. With `clusters` images come in the order
        of their groups, so that all groups but one are whole.
    seed
        Of what is drawn, by the ids of images: their order changes nothing.

    Returns
    -------
    Dataset
        {findings}

    Raises
    ------
    InputError
        If the data or an option cannot be used, a number is out of its range, or the fewest images are worth too few.

    Examples
    --------
    >>> from probekit.synthetic.subspaces import union_of_subspaces
    >>> curve = power_curve(union_of_subspaces(500, seed=1).data, numbers=[50, 500])
    >>> undecided = curve.fraction.sel(kind="undecided").isel(sigma=0, block=0)
    >>> bool(undecided[0] > undecided[1])
    True
    """
    seed = checks.seeded(seed)
    data = held(data)
    check(data)
    total = data.sizes["image"]
    steps = _steps(total) if numbers is None else sorted(set(checks.counts("numbers", numbers, least=MIN_IMAGES)))
    if not steps or steps[-1] > total:
        raise InputError(f"{checks.given('numbers', numbers)}: give numbers of images from {MIN_IMAGES} to {total}")
    order = np.random.default_rng(seed).permutation(labels.by_id(data))
    if clusters is not None:
        members = labels.strings(labels.classes(data, clusters, option="clusters", least=1))[order]
        # Groups in the order in which their first image is drawn.
        _, first, own = np.unique(members, return_index=True, return_inverse=True)
        order = order[np.argsort(first[own], kind="stable")]
        if numbers is None:
            # Fewer images of few groups, worth too little to analyse, are no step of the curve.
            own = own[np.argsort(first[own], kind="stable")]
            steps = [count for count in steps if count == total or effective(own[:count], count) >= MIN_IMAGES]
    found, how = [], {"fdr": fdr, "fdr_method": fdr_method, "clusters": clusters, "level": level}
    # Findings of fewer images are read for their shares alone: other coordinates would be told of for each.
    plain = data.drop_vars([name for name in data.coords if name not in (*labels.COORDINATES, clusters)])
    for count in steps:
        # In the order of the data, so that all of it is what `analyse` sees.
        part = plain.isel(image=np.sort(order[:count]))
        found.append(analyse(part, top=1, resamples=100, **how))
    values = {
        "fraction": Estimate(*(np.stack([f[f"fraction{end}"].values for f in found]) for end in ("", "_low", "_high"))),
        "decided": np.stack([f["decided"].values for f in found]),
        "independent_images": np.array([f.attrs["independent_images"] for f in found]),
    }
    coords = {"n_images": steps, "kind": list(KINDS), "criterion": list(CRITERIA), "block": labels.blocks(data)}
    kept = {name: found[-1].attrs[name] for name in ("rest_source", "error_source", "fdr", "fdr_method", "clusters")}
    return POWER.label(values, data, coords=coords, **kept, level=level, analysis_seed=seed)


def _steps(total: int) -> list[int]:
    """50, 100, 200, 500 and so on, below the number of images, and that."""
    steps = [digit * 10**power for power in range(1, 9) for digit in (1, 2, 5)]
    return [step for step in steps if 50 <= step < total] + [max(total, MIN_IMAGES)]


def plot_power(findings: xr.Dataset, *, ax: Axes | None = None, theme: Theme = None) -> Figure:
    """Draw shares of types and of criteria decided against the number of images.

    Parameters
    ----------
    findings
        What `power_curve` returns; the panels are of the block `mid`, or else of the last.
    ax
        Axes to draw the share of channels whose type is decided in; by default a figure of its own.
    theme
        "light" (default), "dark", "print", or settings of matplotlib by name, laid over those that hold.

    Returns
    -------
    Figure
        With `ax`, its figure.

    Raises
    ------
    InputError
        If it is something else, or an option is none of these.
    """
    with themed(theme, ax):
        findings = POWER.taken(findings, "fraction", "decided", along={"kind": KINDS, "criterion": CRITERIA})
        blocks = list(labels.strings(findings["block"].values))
        block = "mid" if "mid" in blocks else blocks[-1]
        here = findings.isel(block=blocks.index(block))
        if ax is not None:
            _types_decided(ax, here)
            return figure_of(ax)
        figure = new_figure(10, 3.8)
        undecided, criteria = figure.subplots(1, 2, sharey=True)
        _types_decided(undecided, here)
        _criteria_decided(criteria, here)
        titled(figure, f"{findings.attrs.get('denoiser', '')}: what is decided of the channels of {block}")
        return figure


def _types_decided(axis: Axes, here: xr.Dataset) -> None:
    looks = line_looks(here.sizes["sigma"])
    for s, (colour, look) in enumerate(zip(level_colours(len(looks)), looks, strict=True)):
        share = 1 - here["fraction"].sel(kind="undecided").isel(sigma=s)
        label = f"σ = {here['sigma'].values[s]:g}"
        axis.plot(here["n_images"], share, ms=4, label=label, **{**look, "color": colour})
    _of_images(axis, here, "type decided")
    axis.set_ylabel("share of channels")


def _criteria_decided(axis: Axes, here: xr.Dataset) -> None:
    middle = here.sizes["sigma"] // 2
    for name, look in zip(CRITERIA, line_looks(len(CRITERIA)), strict=True):
        share = here["decided"].sel(criterion=name).isel(sigma=middle)
        axis.plot(here["n_images"], share, ms=4, label=name, **look)
    _of_images(axis, here, f"criterion decided, σ = {here['sigma'].values[middle]:g}")


def _of_images(axis: Axes, here: xr.Dataset, title: str) -> None:
    counts = here["n_images"].values
    axis.set(xscale="log", xlabel="images", ylim=(-0.03, 1.03), title=title)
    axis.set_xticks(counts, [f"{n:,}" for n in counts], rotation=45 if len(counts) > 8 else 0)
    axis.minorticks_off()
    axis.legend(loc="upper left", bbox_to_anchor=(1, 1))
