"""Calls of the room of analyses that looks at a network on its way."""

from __future__ import annotations

from functools import cache
from tempfile import mkdtemp
from typing import Any

import torch

from analyses import training
from probekit.denoising.denoiser import Denoiser
from probekit.models.unet import UNet
from probekit.train import Recipe, train
from tests.odd import FLAGS, FUNCTIONS, LEVELS, NOTHING, PATHS, Call
from tests.options.odd_analyses import COUNTS, HUGE, LARGER, NUMBERED, SEEDS, SHARES, figure
from tests.options.odd_network_rooms import CLASSED

__all__ = ["CALLS"]

QUICK: dict[str, Any] = {"sigma": [0.1, 0.3], "draws": 1, "resamples": 100}


@cache
def trained() -> tuple[Denoiser, str]:
    """A network and the folder of its run."""
    folder = mkdtemp()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = UNet((4, 6), image_channels=1, encoder_convs=(1,), middle_convs=1, decoder_convs=(2,))
        recipe = Recipe(steps=1, batch_size=2)
        return train(model, CLASSED, recipe=recipe, out=folder, keep_every=1, progress=False, device="cpu"), folder


@cache
def findings() -> Any:
    return training.analyse(*trained(), CLASSED, settings=training.Settings(**QUICK))


CALLS: dict[str, Call] = {
    "training.analyse": Call(
        training.analyse,
        lambda: {
            "denoiser": trained()[0],
            "run": trained()[1],
            "images": CLASSED,
            "settings": training.Settings(**QUICK),
            "store": None,
        },
        {"settings": NOTHING, "store": NOTHING | PATHS},
        only=["denoiser", "run", "images", "settings", "store"],
    ),
    "training.Settings": Call(
        training.Settings,
        {
            "taps": ["mid"],
            "sigma": [0.1, 0.3],
            "draws": 1,
            "reduce": "mean",
            "steps": [1],
            "averaged": True,
            "n_images": 40,
            "clusters": None,
            "resamples": 100,
            "level": 0.95,
            "seed": 0,
        },
        {
            "taps": NOTHING,
            "sigma": LEVELS,
            "draws": LARGER,
            "reduce": FUNCTIONS,
            "steps": NOTHING | NUMBERED,
            "averaged": FLAGS,
            "n_images": NOTHING | HUGE | LARGER,
            "clusters": NOTHING,
            "resamples": {"np.uint8"},
            "level": SHARES,
            "seed": SEEDS,
        },
        then=lambda settings: training.analyse(*trained(), CLASSED, settings=settings),
    ),
    "training.plot": figure(training.plot, lambda: {"findings": findings(), "sigma": 0.1}, {"sigma": NOTHING | COUNTS}),
}
