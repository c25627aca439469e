"""A channel as a picture: response against σ, distribution over images, the images that it likes and does not."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from probekit import images as image_sources
from probekit.drawing.shown import Shown
from probekit.errors import InputError
from probekit.labels import by_id, strings
from probekit.machine.intensities import shown_range

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from probekit.images import ImageSet

__all__ = ["drawn"]

SHOWN = 6
# As results call them.
SAMPLES = re.compile(r"samples (32|64)×\1( grey)?")
INK, REST = "#1b3a57", "#b3400c"


def drawn(data: xr.Dataset, name: str, level: int, images: Any = None) -> Figure:
    """Draw one channel.

    Parameters
    ----------
    data
        phi (image, sigma, channel) of that channel alone, and rest where it is known.
    name
        Of the channel.
    level
        Position of the noise level of the distribution and of the order of images.
    images
        The images, as `probekit.images.load` takes them; without them the built-in samples are shown if φ is of these,
        else ids are written.

    Raises
    ------
    InputError
        If the images lack some that would be shown.
    """
    phi = data["phi"].values[:, :, 0].astype(float)
    rest = data["rest"].values[:, 0] if "rest" in data else None
    sigma, ids = data["sigma"].values, strings(data["image"].values)
    order = by_id(data)[np.argsort(-phi[by_id(data), level], kind="stable")]
    count = min(SHOWN, len(order))
    half = (len(order) - count) // 2
    rows = {"strongest": order[:count], "middle": order[half : half + count], "weakest": order[len(order) - count :]}
    images = _samples(data, ids) if images is None else images
    pictures = None if images is None else _pictures(images, ids[np.unique(np.concatenate(list(rows.values())))])
    figure = Shown(figsize=(9, 2.6 + 3 * 1.25), layout="constrained")
    upper, lower = figure.subfigures(2, 1, height_ratios=[2.6, 3 * 1.25], squeeze=False)[:, 0]
    response, distribution = upper.subplots(1, 2)
    _response(response, sigma, phi, rest, level)
    distribution.hist(phi[:, level], bins=40, color=INK)
    # Channels that few images excite have a tail that bars of its own height would hide.
    distribution.set_yscale("log")
    distribution.set_ylim(0.7, None)
    distribution.locator_params(axis="x", nbins=5)
    if rest is not None:
        distribution.axvline(rest[level], color=REST, ls="--", lw=1.5, label="rest")
        distribution.legend(frameon=False, fontsize=8)
    units = data["phi"].attrs.get("units", "activation")
    distribution.set(xlabel=f"φ of {name} ({units}), σ = {sigma[level]:g}", ylabel="images")
    response.set_ylabel(f"φ of {name} ({units})")
    axes = lower.subplots(3, count, squeeze=False)
    for row, (which, places) in zip(axes, rows.items(), strict=True):
        for axis, place in zip(row, places, strict=True):
            name_of_image = str(ids[place])
            shown = None if pictures is None else pictures[name_of_image]
            _image(axis, name_of_image, shown, float(phi[place, level]))
        row[0].set_ylabel(which, fontsize=9)
    denoiser = str(data.attrs.get("denoiser", ""))
    figure.suptitle(f"{denoiser} {name}: {len(order)} images", fontsize=10)
    return figure


def _response(axis: Axes, sigma: np.ndarray, phi: np.ndarray, rest: np.ndarray | None, level: int) -> None:
    marked, order = sigma[level], np.argsort(sigma)
    sigma, phi, rest = sigma[order], phi[:, order], None if rest is None else rest[order]
    low, high = np.quantile(phi, [0.1, 0.9], axis=0)
    axis.fill_between(sigma, low, high, color=INK, alpha=0.15, lw=0, label="80 % of images")
    axis.plot(sigma, phi.mean(axis=0), "o-", ms=3, color=INK, label="mean over images")
    if rest is not None:
        axis.plot(sigma, rest, "--", color=REST, label="rest")
    axis.axvline(marked, color="0.6", lw=0.8)
    if len(sigma) > 1 and sigma[0] > 0:
        axis.set_xscale("log")
        axis.set_xticks(sigma, [f"{s:g}" for s in sigma])
        axis.minorticks_off()
    axis.set_xlabel("noise standard deviation σ (image intensity)")
    axis.legend(frameon=False, fontsize=8)


def _image(axis: Axes, name: str, picture: np.ndarray | None, value: float) -> None:
    axis.set(xticks=[], yticks=[])
    axis.set_title(f"{value:.3g}", fontsize=8, pad=2)
    if picture is None:
        shown = name if len(name) <= 24 else f"…{name[-23:]}"
        # Names are shown as they are: a dollar sign begins no formula.
        axis.text(0.5, 0.5, shown.replace("$", r"\$"), fontsize=6, ha="center", va="center", wrap=True)
        return
    colours = np.moveaxis(picture, 0, -1)
    axis.imshow(colours[..., :3] if colours.shape[2] >= 3 else colours[..., 0], cmap="gray", vmin=0, vmax=1)


def _samples(data: xr.Dataset, ids: np.ndarray) -> ImageSet | None:
    """The built-in samples, if φ is of these under their own ids, and they are installed."""
    said = SAMPLES.fullmatch(str(data.attrs.get("image_source", "")))
    if not said:
        return None
    try:
        found = image_sources.load("samples", size=int(said[1]), bands=1 if said[2] else 3)
    except InputError:
        return None
    return found if set(ids) <= set(found.ids) else None


def _pictures(images: Any, wanted: np.ndarray) -> dict[str, np.ndarray]:
    source = image_sources.load(images)
    missing = [name for name in wanted if name not in source]
    if missing:
        raise InputError(
            f"images: {source.name} has no {missing[0]!r}, which φ is of: give the images that φ was measured on, "
            "under the same ids"
        )
    values = source.sel(image=wanted.tolist()).read(range(len(wanted))).numpy()
    low, high = shown_range(values)
    return dict(zip(wanted.tolist(), np.clip((values - low) / (high - low), 0, 1), strict=True))
