"""The sheet of conditions and their samples."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from analyses.ground import Theme, figure_of, mosaic, new_figure, picture, shown_range, themed
from analyses.sampling.description import check_samples
from probekit.checks import whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot"]


def plot(samples: xr.Dataset, *, most: int = 8, ax: Axes | None = None, theme: Theme = None) -> Figure:
    """Draw a sheet: in each row a condition, where it is an image, and its samples.

    Parameters
    ----------
    samples
        What `reconstruct` returns.
    most
        Samples shown of each condition.
    ax
        Axes to draw the whole sheet in, without the errors; by default a figure of its own.
    theme
        "light" (default), "dark", "print", or settings of matplotlib by name, laid over those that hold.

    Returns
    -------
    Figure
        Under each sample its error of φ. Intensities outside [0, 1] are clipped; where they are of no range, the
        extremes are black and white. With `ax`, its figure.

    Raises
    ------
    InputError
        If `samples` is not what `reconstruct` returns, or an option is none of these.
    """
    with themed(theme, ax):
        check_samples(samples)
        shown = min(whole("most", most, least=1), samples.sizes["sample"])
        name = next((name for name in ("condition", "condition_image") if name in samples), None)
        limits = shown_range(samples[name or "samples"].values)
        rows = []
        for i in range(samples.sizes["image"]):
            row = [] if name is None else [samples[name].isel(image=i)]
            row += [samples["samples"].isel(image=i, sample=k) for k in range(shown)]
            rows.append([one.transpose("band", ...).values for one in row])
        names = [str(image)[-18:] for image in samples["image"].values]
        if ax is not None:
            mosaic(ax, rows, names=names, limits=limits)
            ax.set_title("condition, then samples" if name else "samples")
            return figure_of(ax)
        return _sheet(samples, rows, names, limits, given=int(name is not None))


def _sheet(
    samples: xr.Dataset, rows: list[list[np.ndarray]], names: list[str], limits: tuple[float, float], *, given: int
) -> Figure:
    figure = new_figure(1.3 * len(rows[0]) + 1.0, 1.5 * len(rows) + 0.5)
    axes = figure.subplots(len(rows), len(rows[0]), squeeze=False)
    for i, row in enumerate(rows):
        for n, (axis, image) in enumerate(zip(axes[i], row, strict=True)):
            picture(axis, image, limits=limits)
            if n >= given:
                error = float(samples["match"].isel(image=i, sample=n - given))
                axis.set_xlabel(f"{100 * error:.1f} %", fontsize="small", labelpad=2)
        axes[i][0].set_ylabel(names[i], fontsize="small")
    if given:
        axes[0][0].set_title("condition")
    axes[0][given].set_title("samples; error of φ", loc="left")
    return figure
