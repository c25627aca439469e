"""φ above rest at each noise level and tap, with its error: what the analysis of subspaces works on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import xarray as xr

from analyses import _active
from probekit import labels
from probekit.errors import InputError

__all__ = ["MIN_IMAGES", "Site", "blocks", "check", "shuffled", "sites", "sources"]

MIN_IMAGES = 20
# Rounding of float32 is no response.
ROUNDING = 4 * float(np.finfo(np.float32).eps)


@dataclass(frozen=True)
class Site:
    """φ above rest at one noise level and tap.

    Attributes
    ----------
    level, block
        Positions of the noise level and the tap.
    channels
        Positions of the tap's channels.
    x, error
        (images, channels), float32: φ − rest and the standard error of that, or (channels) for the error.
    degrees
        Of freedom of the error, (channels) or one.
    floor
        (channels): least standard error, what rounding alone may cause.
    """

    level: int
    block: int
    channels: np.ndarray
    x: np.ndarray
    error: np.ndarray
    degrees: np.ndarray | float
    floor: np.ndarray

    @property
    def noise(self) -> float:
        """Mean variance of the error of one value."""
        return float(np.square(self.error, dtype=np.float64).mean())

    def active(self, rate: float) -> np.ndarray:
        """Channels above rest on each image, at this false discovery rate."""
        return _active.active(_active.p_values(self.x, self.error, self.degrees, self.floor), rate=rate)


def check(data: xr.Dataset, rate: float = 0.05, *, images: int = 1) -> None:
    """Refuse data that cannot be analysed, and what is no rate."""
    labels.check(data, "phi")
    for name in ("phi_se", "rest", "rest_se"):
        if name in data:
            labels.check(data, name, finite=False)
    if "rest" in data:
        labels.check(data, "rest")
    if data.sizes["image"] < images:
        raise InputError(f"{data.sizes['image']} images: give at least {images}, subspaces are of many images")
    if not (data.sizes["sigma"] and data.sizes["channel"]):
        raise InputError("the data has no noise level or no channel: keep at least one of each")
    if not 0 < rate < 1:
        raise InputError(f"rate={rate}: give a false discovery rate between 0 and 1, such as 0.05")
    if "phi_se" in data:
        for level, sigma in enumerate(data.sigma.values):
            missing = np.isnan(data.phi_se.values[:, level])
            if missing.any() and not missing.all():
                raise InputError(
                    f"phi_se is NaN for some images at σ = {sigma} and not for others: "
                    "give all images the same number of draws, or drop phi_se"
                )


def blocks(data: xr.Dataset) -> list[str]:
    """Taps, in the order of their channels."""
    return list(dict.fromkeys(map(str, data.tap.values)))


def sources(data: xr.Dataset) -> dict[str, str]:
    """What rest and its error were taken from, as attrs."""
    lost = [
        float(sigma)
        for level, sigma in enumerate(data.sigma.values)
        if "phi_se" not in data or np.isnan(data.phi_se.values[:, level]).any()
    ]
    told = "phi_se, moderated over images"
    if lost:
        told = "spread below rest" + ("" if len(lost) == data.sizes["sigma"] else f" at sigma {lost}, else {told}")
    return {"rest_from": "rest" if "rest" in data else "median over images", "error_from": told}


def sites(data: xr.Dataset) -> Iterator[Site]:
    """φ above rest at every noise level and tap, one at a time."""
    taps = data.tap.values.astype(str)
    degrees = max(int(data.attrs.get("draws", 0)) - 1, 0)
    for block, name in enumerate(blocks(data)):
        channels = np.flatnonzero(taps == name)
        for level in range(data.sizes["sigma"]):
            yield _site(data, level, block, channels, degrees)


def _site(data: xr.Dataset, level: int, block: int, channels: np.ndarray, degrees: int) -> Site:
    phi = data.phi.values[:, level, channels].astype(np.float32)
    rest_error = np.zeros(len(channels), np.float32)
    if "rest" in data:
        rest = data.rest.values[level, channels].astype(np.float32)
        if "rest_se" in data:
            rest_error = np.nan_to_num(data.rest_se.values[level, channels].astype(np.float32))
    else:
        rest = np.median(phi, axis=0)
    floor = ROUNDING * np.abs(phi).max(axis=0)
    x = np.subtract(phi, rest, out=phi)
    se = data.phi_se.values[:, level, channels] if "phi_se" in data else None
    if se is None or np.isnan(se).any():
        return Site(level, block, channels, x, np.hypot(_active.spread_below(x), rest_error), np.inf, floor)
    # Unknown draws count as many.
    error, freedom = _active.measurement_error(se, degrees or 1e6)
    return Site(level, block, channels, x, np.hypot(error, rest_error, out=error), freedom, floor)


def shuffled(data: xr.Dataset, seed: int) -> xr.Dataset:
    """The data with every channel permuted over images on its own, phi_se along with phi."""
    rng = np.random.default_rng(seed)
    arrays = {name: data[name].values.copy() for name in ("phi", "phi_se") if name in data}
    for level, channel in np.ndindex(data.sizes["sigma"], data.sizes["channel"]):
        order = rng.permutation(data.sizes["image"])
        for values in arrays.values():
            values[:, level, channel] = values[order, level, channel]
    return data.assign({name: (data[name].dims, values) for name, values in arrays.items()})
