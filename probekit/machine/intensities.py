"""Which intensities a picture shows black and white."""

from __future__ import annotations

import numpy as np

__all__ = ["shown_range"]


def shown_range(values: np.ndarray) -> tuple[float, float]:
    """The intensities drawn black and white: 0 and 1, or the extremes where values are of another range."""
    low, high = float(values.min()), float(values.max())
    if low >= -0.5 and high <= 1.5:
        return 0.0, 1.0
    return low, high if high > low else low + 1
