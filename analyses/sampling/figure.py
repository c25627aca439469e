"""The sheet of conditions and their samples."""

from __future__ import annotations

from typing import TYPE_CHECKING

import xarray as xr

from analyses.ground import picture, shown_range
from analyses.sampling.description import check_samples
from probekit.checks import whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["plot"]


def plot(samples: xr.Dataset, *, most: int = 8) -> Figure:
    """Draw a sheet: in each row a condition, where it is an image, and its samples.

    Parameters
    ----------
    samples
        What `reconstruct` returns.
    most
        Samples shown of each condition.

    Returns
    -------
    Figure
        Intensities outside [0, 1] are clipped; where they are of no range, the extremes are black and white.

    Raises
    ------
    InputError
        If `samples` is not what `reconstruct` returns.
    """
    from matplotlib.figure import Figure

    check_samples(samples)
    shown = min(whole("most", most, least=1), samples.sizes["sample"])
    name = next((name for name in ("condition", "condition_image") if name in samples), None)
    given = name is not None
    count = samples.sizes["image"]
    figure = Figure(figsize=(1.3 * (shown + given) + 0.4, 1.45 * count + 0.5), layout="constrained")
    axes = figure.subplots(count, shown + given, squeeze=False)
    limits = shown_range(samples[name or "samples"].values)
    for i in range(count):
        row = [] if name is None else [samples[name].isel(image=i)]
        row += [samples["samples"].isel(image=i, sample=k) for k in range(shown)]
        for n, (axis, image) in enumerate(zip(axes[i], row, strict=True)):
            picture(axis, image.transpose("band", ...).values, limits=limits)
            if n >= given:
                error = float(samples["match"].isel(image=i, sample=n - given))
                axis.set_xlabel(f"{100 * error:.1f} %", fontsize=7)
        axes[i][0].set_ylabel(str(samples["image"].values[i])[-18:], fontsize=6)
    if given:
        axes[0][0].set_title("condition", fontsize=8)
    axes[0][int(given)].set_title("samples; error of φ", fontsize=8)
    return figure
