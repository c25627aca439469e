"""Planted cues: features made of a texture's vector, a shape's vector and noise, of known sizes."""

from __future__ import annotations

import numpy as np
import xarray as xr

SHAPES, TEXTURES, FEATURES = 16, 12, 20
CODES = np.indices((SHAPES, TEXTURES)).reshape(2, -1)
IDS = [f"cat/cat{s + 1}-dog{t + 1}.png" for s, t in CODES.T]


def planted(texture: float, shape: float, noise: float, seed: int = 0) -> xr.DataArray:
    """texture · T + shape · S + noise · Z of every pair of a shape and a texture, all standard normal."""
    rng = np.random.default_rng(seed)
    of_shapes, of_textures = rng.normal(size=(SHAPES, FEATURES)), rng.normal(size=(TEXTURES, FEATURES))
    values = texture * of_textures[CODES[1]] + shape * of_shapes[CODES[0]]
    values = values + noise * rng.normal(size=values.shape)
    return xr.DataArray(values, {"image": IDS}, ("image", "feature"), "planted")
