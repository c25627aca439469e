"""How many dimensions φ has over images at each tap and noise level, images taken some at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from analyses.ground import image_blocks
from analyses.sparsity.kernels import Scatter, Scattering, jackknife_interval, spectrum_moments
from probekit import labels
from probekit.machine.progress import at_work_on

__all__ = ["MIN_IMAGES", "dimensions", "together"]

# Images that an interval of the dimension needs: of fewer, it covers too seldom.
MIN_IMAGES = 200


def together(columns: np.ndarray) -> slice | np.ndarray:
    """Positions of channels, as a slice where they lie beside one another: that takes no copy."""
    alike = len(columns) and len(columns) == columns[-1] - columns[0] + 1 and (np.diff(columns) == 1).all()
    return slice(int(columns[0]), int(columns[-1]) + 1) if alike else columns


def dimensions(data: xr.Dataset, level: float | None) -> np.ndarray:
    """Dimension, the ends of its interval, and the plain ratio (4, sigma, block), of φ that is gone through thrice.

    Parameters
    ----------
    data
        φ, in memory or not.
    level
        Coverage of the interval, by leaving out each image; None for no interval.
    """
    sites = list(labels.sites(data))
    found = np.empty((4, data.sizes["sigma"], len(labels.blocks(data))))
    sums, columns = [Scattering() for _ in sites], [together(site.channels) for site in sites]
    steps = ("centre", "spread", *(["leave_out"] if level is not None else []))
    for step in steps:
        for rows, phi in image_blocks(data["phi"]):
            with at_work_on(f"dimensions: image {rows.start + 1} of {data.sizes['image']}, {step.replace('_', ' ')}"):
                for site, own, chosen in zip(sites, sums, columns, strict=True):
                    getattr(own, step)(phi[:, site.level][:, chosen].astype(np.float64, order="C"))
    for site, own in zip(sites, sums, strict=True):
        without = own.without() if level is not None else None
        found[:, site.level, site.block] = _estimated(own.whole(), without, len(site.channels), level)
    return found


def _estimated(whole: Scatter, without: Scatter | None, channels: int, level: float | None) -> list[float]:
    estimate = float(_ratio(*spectrum_moments(whole)))
    plain = float(_ratio(whole.trace**2, whole.square))
    low = high = float("nan")
    if level is not None and without is not None:
        low, high = jackknife_interval(estimate, _ratio(*spectrum_moments(without)), level)
        # No covariance has fewer dimensions than one, or more than there are channels.
        low, high = np.maximum(low, min(1, estimate)), np.minimum(high, max(channels, estimate))
    return [estimate, low, high, plain]


def _ratio(squared_trace: Any, trace_square: Any) -> np.ndarray:
    known = (np.asarray(trace_square) > 0) & (np.asarray(squared_trace) > 0)
    return np.where(known, squared_trace, np.nan) / np.where(known, trace_square, 1)
