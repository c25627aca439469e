"""Between which values each channel lies, and what of them is no number: in one pass, which holds a block at a time."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import xarray as xr

from probekit.machine.blocks import image_blocks

__all__ = ["Extent", "extents"]

# Dims that are gone through; what is left is one place, as a channel at a noise level.
OVER = ("image", "draw")


class Extent(NamedTuple):
    """What checks ask of the values of a variable, at each place: over images and draws.

    Attributes
    ----------
    dims
        Of the arrays.
    low, high
        Least and largest value, NaN aside; NaN where there is nothing else.
    missing, infinite
        How many values are NaN, or infinite.
    faulty, images
        How many images have any such value, and how many there are; 0 without dim `image`.
    """

    dims: tuple[str, ...]
    low: np.ndarray
    high: np.ndarray
    missing: np.ndarray
    infinite: np.ndarray
    faulty: int
    images: int

    @property
    def finite(self) -> bool:
        """Whether all values are."""
        return not (self.missing.any() or self.infinite.any())

    @property
    def largest(self) -> float:
        """The largest magnitude, NaN aside; 0 of nothing."""
        found = np.fmax.reduce([np.abs(self.low), np.abs(self.high)], axis=None, initial=0)
        return float(found)

    def along(self, dim: str) -> Extent:
        """The same, with the arrays (dim, …)."""
        axis = self.dims.index(dim)
        low, high, missing, infinite = (
            np.moveaxis(one, axis, 0) for one in (self.low, self.high, self.missing, self.infinite)
        )
        dims = (dim, *(d for d in self.dims if d != dim))
        return Extent(dims, low, high, missing, infinite, self.faulty, self.images)


def extents(data: xr.Dataset, *names: str) -> dict[str, Extent]:
    """Extents of variables of real numbers, by their names.

    Parameters
    ----------
    data
        As a tap returns it, in memory or not.
    names
        Of the variables; those along `image` are read through together.
    """
    along = [name for name in names if "image" in data[name].dims]
    parts: dict[str, list[Extent]] = {name: [] for name in names}
    for _, *found in image_blocks(data, *along) if along else ():
        for name, values in zip(along, found, strict=True):
            parts[name].append(_of(values, data[name].dims))
    for name in names:
        if name not in along or not parts[name]:
            parts[name].append(_of(data[name].values, data[name].dims))
    return {name: _joined(found) for name, found in parts.items()}


def _of(values: np.ndarray, dims: tuple[object, ...]) -> Extent:
    over = tuple(axis for axis, dim in enumerate(dims) if dim in OVER)
    kept = tuple(str(dim) for dim in dims if dim not in OVER)
    shape = tuple(n for axis, n in enumerate(values.shape) if axis not in over)
    images = values.shape[dims.index("image")] if "image" in dims else 0
    none = np.zeros(shape, np.int64)
    if not values.size:
        unknown = np.full(shape, np.nan)
        return Extent(kept, unknown, unknown, none, none, 0, images)
    low, high = (reduce(values, axis=over) for reduce in (np.fmin.reduce, np.fmax.reduce)) if over else (values, values)
    good = np.isfinite(values)
    if good.all():
        return Extent(kept, low, high, none, none, 0, images)
    missing = np.isnan(values)
    infinite = ~good & ~missing
    faulty = 0
    if images:
        others = tuple(axis for axis, dim in enumerate(dims) if dim != "image")
        faulty = int((~good.all(axis=others)).sum())
    return Extent(kept, low, high, missing.sum(axis=over), infinite.sum(axis=over), faulty, images)


def _joined(parts: list[Extent]) -> Extent:
    if len(parts) == 1:
        return parts[0]
    _, lows, highs, missing, infinite, faulty, images = zip(*parts, strict=True)
    return Extent(
        parts[0].dims,
        np.fmin.reduce(lows),
        np.fmax.reduce(highs),
        np.sum(missing, axis=0),
        np.sum(infinite, axis=0),
        sum(faulty),
        sum(images),
    )
