"""What is measured on each channel over images, some channels at a time, and where rest and errors come from."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import xarray as xr

from analyses.ground import channel_blocks, image_blocks
from analyses.selectivity import kernels
from analyses.selectivity.kernels_counts import effective
from probekit import labels
from probekit.machine.extents import Extent
from probekit.machine.progress import at_work_on

__all__ = ["BINS", "Given", "by_channel", "given_of"]

BINS = 40


class Given(NamedTuple):
    """Where rest and errors come from.

    Attributes
    ----------
    rest_source, error_source
        In words.
    rest
        Whether rest was measured.
    known
        (sigma,), whether errors were.
    rest_se
        (sigma, channel), standard error of rest, 0 where it was not measured.
    """

    rest_source: str
    error_source: str
    rest: bool
    known: np.ndarray
    rest_se: np.ndarray


def given_of(data: xr.Dataset, extents: dict[str, Extent]) -> Given:
    """Where rest and errors come from, of data whose `extents` checks found."""
    rest, with_error = "rest" in data, "rest" in data and "rest_se" in data
    known = np.zeros(data.sizes["sigma"], bool)
    if "phi_se" in data:
        found = extents["phi_se"].along("sigma")
        known = ~(found.missing + found.infinite).any(axis=1)
        if with_error:
            known &= np.isfinite(data["rest_se"].values).all(axis=1)
    given = "phi_se and rest_se" if with_error else "phi_se"
    instead = "spread of phi below its median over images" if rest else "none: no type is shown without rest"
    levels = ", ".join(f"{level:g}" for level in data["sigma"].values[known])
    return Given(
        "rest" if rest else "none: activity is counted from the lower decile of phi over images",
        given if known.all() else f"{given} at sigma {levels}; elsewhere {instead}" if known.any() else instead,
        rest,
        np.asarray(known),
        _error_of_rest(data) if with_error else np.zeros(data["phi"].shape[1:]),
    )


def _error_of_rest(data: xr.Dataset) -> np.ndarray:
    """Standard errors (sigma, channel) of rest, kept from being underestimated by few draws.

    Its own, or as many times that of the channel's images as the channels of its tap have on average, whichever is
    larger: by two draws one channel in twelve has a tenth of its error or less.
    """
    own = data["rest_se"].values.astype(np.float64)
    if "phi_se" not in data:
        return own
    of_images = np.zeros_like(own)
    for _, se in image_blocks(data["phi_se"]):
        of_images += (se.astype(np.float64, order="C") ** 2).sum(axis=0)
    of_images /= data.sizes["image"]
    with np.errstate(invalid="ignore", divide="ignore"):
        noisier = np.where(of_images > 0, own**2 / of_images, np.nan)
    least = np.zeros_like(own)
    for site in labels.sites(data):
        ratio = noisier[site.level, site.channels]
        known = np.isfinite(ratio)
        if known.any():
            least[site.level, site.channels] = ratio[known].mean() * of_images[site.level, site.channels]
    return np.sqrt(np.maximum(own**2, least))


def by_channel(data: xr.Dataset, given: Given, top: int, members: np.ndarray | None) -> dict[str, np.ndarray]:
    """What is measured on each channel: arrays (sigma, channel), or with leading dims."""
    sigmas, channels = data.sizes["sigma"], data.sizes["channel"]
    names = ["phi", *(["phi_se"] if given.known.any() else [])]
    names += ["phi_draws"] if data.sizes.get("draw", 0) > 1 and "phi_draws" in data else []
    parts = []
    for columns, *found in channel_blocks(data, *names):
        with at_work_on(f"types of channel: channel {columns.start + 1} of {channels}"):
            values = dict(zip(names, found, strict=True))
            activity = np.empty((sigmas, columns.stop - columns.start, data.sizes["image"])).swapaxes(1, 2)
            levels = []
            for s in range(sigmas):
                rest = data["rest"].values[s, columns].astype(np.float64) if given.rest else None
                error = given.rest_se[s, columns] if given.known[s] else None
                # Images of a channel beside one another, wherever they lay: that is fast, and sums go by it.
                own = {name: one[:, s].astype(np.float64, order="F") for name, one in values.items()}
                levels.append(_at_level(own, rest, error, top, activity[s], members))
            part = {name: np.stack([level[name] for level in levels], axis=-2) for name in levels[0]}
            if sigmas > 1:
                part["rank_correlation"] = kernels.rank_correlation(activity)
                lists = [level["top_index"] for level in levels]
                part["top_overlap"] = np.array([[kernels.overlap(a, b) for a in lists] for b in lists])
            parts.append(part)
    return {name: np.concatenate([part[name] for part in parts], axis=-1) for name in parts[0]}


def _at_level(
    values: dict[str, np.ndarray],
    rest: np.ndarray | None,
    rest_se: np.ndarray | None,
    top: int,
    activity: np.ndarray,
    members: np.ndarray | None,
) -> dict[str, np.ndarray]:
    """The same for some channels at one noise level; fills in their activity (image, channel).

    `values` has phi, phi_se (image, channel) and phi_draws (image, draw, channel), rest and its error are of channels:
    None where rest was not measured, or errors are not known.
    """
    phi = values["phi"]
    activity[:] = kernels.above(phi, np.quantile(phi, 0.1, axis=0) if rest is None else rest)
    shape = kernels.shape(activity, members)
    reliability = np.full(phi.shape[1], np.nan)
    if rest_se is not None:
        se = values["phi_se"]
        alike = len(phi) / effective(members, len(phi))
        neighbours = int(np.ceil(kernels.NEIGHBOURS * alike - 1e-9))
        error, of_rest = kernels.standard_error(activity, se, rest_se, neighbours)
        with np.errstate(invalid="ignore", divide="ignore"):
            reliability = np.maximum(0, 1 - (se**2).mean(axis=0) / shape.sd**2)
    elif rest is not None:
        # The distance from the lower quartile to the median is 0.6745 standard deviations of a normal law.
        lower, middle = np.quantile(phi, [0.25, 0.5], axis=0)
        error = of_rest = (middle - lower) / 0.6745
    else:
        error = of_rest = np.zeros(phi.shape[1])
    top_index = kernels.strongest(activity, top)
    counts, low, high = kernels.histogram(activity, BINS)
    found = {
        **kernels.zones(activity, error, of_rest, members)._asdict(),
        **shape._asdict(),
        "reliability": reliability,
        "top_index": top_index,
        "top_activity": np.take_along_axis(activity, top_index, axis=0),
        "histogram": counts,
        "low": low,
        "high": high,
    }
    if "phi_draws" in values:
        single = values["phi_draws"]
        halves = np.stack([single[:, 0::2].mean(axis=1), single[:, 1::2].mean(axis=1)])
        found["draw_rank_correlation"] = kernels.rank_correlation(halves)[0, 1]
        found["draw_top_overlap"] = kernels.overlap(*(kernels.strongest(half, top) for half in halves))
    return found
