"""Calls of the room of the noise level."""

from __future__ import annotations

import numpy as np

from analyses import noise_level
from tests.analyses.noise_level.making import Scaled
from tests.odd import FLAGS, LEVELS, MODULES, NOTHING, Call
from tests.options.odd_analyses import HUGE, LARGER, RESAMPLED, TAKEN, figure

__all__ = ["CALLS"]

IMAGES = np.random.default_rng(0).random((3, 1, 4, 4), np.float32)
DENOISER = Scaled(0.5)
FOUND = noise_level.analyse(DENOISER, IMAGES, resamples=100, progress=False)
PATH = noise_level.along(DENOISER, IMAGES, sigmas=[1.0, 0.1], n_samples=2, resamples=100, progress=False)
OF_BOTH = TAKEN | {"denoisers": MODULES, "batch_size": LARGER | HUGE, "progress": NOTHING | FLAGS}
CALLS: dict[str, Call] = {
    "noise_level.analyse": Call(
        noise_level.analyse,
        {"denoisers": DENOISER, "images": IMAGES, "sigma": [0.1], "n_images": 2, "batch_size": 2, "progress": False}
        | dict(RESAMPLED),
        OF_BOTH | {"sigma": LEVELS, "n_images": NOTHING | LARGER | HUGE},
    ),
    "noise_level.along": Call(
        noise_level.along,
        {"denoisers": DENOISER, "images": IMAGES, "sigmas": [1.0, 0.1], "n_samples": 2, "batch_size": 2}
        | {"progress": False, **RESAMPLED},
        OF_BOTH | {"sigmas": NOTHING | LEVELS, "n_samples": LARGER},
    ),
    "noise_level.verdict": Call(
        noise_level.verdict, {"findings": FOUND, "path": PATH, "networks": None}, {"networks": NOTHING}
    ),
    "noise_level.plot": figure(noise_level.plot, {"findings": FOUND, "path": None}, {"path": NOTHING}),
}
