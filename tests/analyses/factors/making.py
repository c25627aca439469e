"""φ whose dependence on a factor is planted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from probekit import labels

ASPECTS = (0.2, 0.5, 1.0, 2.0, 5.0)


def planted(phi: np.ndarray, aspects: Any, *, sigma: Sequence[float] = (0.1,), taps: Any = None) -> xr.Dataset:
    """A representation of φ (image, channel) or (image, sigma, channel), with the factor as `aspect` and as labels."""
    phi = phi[:, None] if phi.ndim == 2 else phi
    return labels.representation(
        {"phi": phi, "phi_se": np.zeros_like(phi)},
        ids=[f"{k:05}" for k in range(len(phi))],
        labels=[f"{a:g}" for a in aspects],
        sigma=sigma,
        channels=taps or {"mid": phi.shape[2]},
        attrs={"denoiser": "planted", "image_source": "none", "draws": 1, "seed": 0, "reduce": "mean"},
    ).assign_coords(aspect=("image", np.asarray(aspects, float)))


def repeated(images: int, values: Sequence[float] = ASPECTS) -> np.ndarray:
    """So many images with each value in turn."""
    return np.resize(np.asarray(values, float), images)


def noise(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)
