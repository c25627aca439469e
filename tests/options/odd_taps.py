"""Calls of what looks into networks: tap, taps, draw, open, Denoiser, noise."""

from __future__ import annotations

from functools import cache, partial
from typing import Any

import numpy as np
import torch
from torch import nn

import probekit
from probekit.denoising.denoiser import Denoiser
from probekit.models.unet import UNet
from probekit.noise import from_bits, random_bits, standard_normal
from tests.odd import FLAGS, FUNCTIONS, LEVELS, MODULES, NOTHING, NUMBERS, ODD, PATHS, TEXTS, WHOLES, Call

with torch.random.fork_rng(devices=[]):
    torch.manual_seed(0)
    NETWORK = UNet((4, 8), encoder_convs=(1,), middle_convs=1, decoder_convs=(2,)).eval()
TAP = probekit.tap(NETWORK, "mid")
PICTURES = np.random.default_rng(0).random((2, 3, 8, 8), dtype=np.float32)
Y = torch.from_numpy(PICTURES)


class Labelled(nn.Module):
    """Takes a class beside the image."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Conv2d(3, 4, 1)
        self.outer = nn.Conv2d(4, 3, 1)

    def forward(self, y: torch.Tensor, label: Any = None) -> torch.Tensor:
        return self.outer(self.inner(y)) if label is not None else y


class ToldTheLevel(nn.Module):
    """Takes σ beside the image."""

    def forward(self, y: torch.Tensor, told: torch.Tensor) -> torch.Tensor:
        return y - 0 * told.view(-1, 1, 1, 1)


class Scheduler:
    """What of a scheduler of diffusers is read."""

    def __init__(self, alphas_cumprod: Any, prediction_type: Any = "epsilon") -> None:
        self.alphas_cumprod = alphas_cumprod
        self.config = {"prediction_type": prediction_type}


LABELLED = Labelled()
OF_LABELLED = probekit.tap(LABELLED, "inner")


@cache
def client() -> Any:
    """Of a cluster in this process, without workers."""
    from distributed import Client

    return Client(n_workers=0, processes=False, dashboard_address="127.0.0.1:0", set_as_default=False)


def workers(**options: Any) -> probekit.Workers:
    """Of a client, unless something else is given."""
    given = options.pop("client")
    return probekit.Workers(client() if given is None else given, **options)


def entered(context: Any) -> Any:
    with context:
        return NETWORK(Y)


def denoised(denoiser: Denoiser) -> Any:
    with torch.no_grad():
        return denoiser(Y, 0.1)


def scheduled(**parts: Any) -> Any:
    return Denoiser.from_diffusers(ToldTheLevel(), Scheduler(**{"alphas_cumprod": [0.9, 0.1], **parts}))


def labelled(label: Any) -> Any:
    return OF_LABELLED(PICTURES, sigma=0.1, draws=1, conditions={"label": label}, progress=False)


OF_NOISE = {"shape": (2,), "seed": 0, "ids": ["a"], "draws": [0]}
MEASURED: dict[str, Any] = {
    "images": PICTURES,
    "sigma": 0.1,
    "seed": 0,
    "ids": None,
    "batch_size": None,
    "conditions": None,
}
SHAPES = {
    "an empty list",
    "an empty tuple",
    "a tuple",
    "an iterator",
    "an empty array",
    "an empty tensor",
    "an empty DataArray",
}
OF_OF_NOISE = {
    "shape": SHAPES,
    "seed": WHOLES,
    "ids": {"a list of a text", "an array of one whole number", "an Index"},
    "draws": {"an array of one whole number"},
}
# What has no entries of single images, or one of each of two.
CONDITIONS = (
    NOTHING
    | FLAGS
    | NUMBERS
    | TEXTS
    | {
        "NaN",
        "inf",
        "-inf",
        "a complex",
        "np.float32 NaN",
        "np.longdouble",
        "np.complex64",
        "an empty text",
        "a text that raises in repr",
        "an array of a NaN",
        "an array of 2 dims",
        "an array of 4 dims",
        "an array of 4 dims of NaN",
        "an array that is read only",
        "a tensor of a NaN",
        "a tensor of a True",
        "a tensor of 4 dims",
        "a list of NaN",
        "a tensor of no dims on meta",
    }
)
NO_CONDITIONS = NOTHING | {"an empty mapping", "an empty Dataset"}
OF_MEASURED: dict[str, Any] = {
    "sigma": LEVELS,
    "seed": WHOLES,
    "draws": WHOLES,
    "draw": WHOLES,
    "batch_size": WHOLES | NOTHING,
    "conditions": NO_CONDITIONS,
    "keep_draws": FLAGS,
    "progress": FLAGS | NOTHING,
    "store": PATHS | NOTHING,
}
CHANNELS = WHOLES | {
    "an empty list",
    "an empty tuple",
    "a tuple",
    "a range",
    "a generator",
    "an iterator",
    "an empty array",
    "an array of one whole number",
    "an empty tensor",
    "an empty DataArray",
}
NAMES = {"an empty list", "an empty tuple", "an empty array", "an empty tensor", "an empty DataArray"}
# As many as the batch has images.
SIGMA = LEVELS | NOTHING | {"2**63"}
Y_TAKEN = {"a tensor of 4 dims"}

CALLS: dict[str, Call] = {
    "probekit.taps": Call(probekit.taps, {"denoiser": NETWORK, "shape": (3, 8, 8), "conditions": {}}),
    "probekit.draw": Call(
        probekit.draw,
        {
            "denoiser": NETWORK,
            "shape": (3, 8, 8),
            "depth": None,
            "expand": (),
            "max_boxes": 24,
            "conditions": {},
        },
        {"depth": WHOLES | NOTHING, "expand": NAMES, "max_boxes": WHOLES},
    ),
    "probekit.tap": Call(
        probekit.tap,
        {"model": NETWORK, "names": ("mid",), "reduce": "mean"},
        {"reduce": FUNCTIONS},
    ),
    "probekit.tap: measured": Call(
        lambda reduce: probekit.tap(NETWORK, "mid", reduce=reduce)(PICTURES, sigma=0.1, draws=1, progress=False),
        {"reduce": "mean"},
        {"reduce": FUNCTIONS},
    ),
    "probekit.Tap.__call__": Call(
        partial(probekit.Tap.__call__, TAP),
        MEASURED
        | {"draws": 1, "keep_draws": False, "store": None, "progress": False, "precision": "float32"}
        | {"client": None},
        OF_MEASURED | {"client": NOTHING},
        only={"sigma", "seed", "batch_size", "conditions", "draws", "keep_draws", "store", "progress", "precision"}
        | {"client"},
    ),
    "probekit.Workers": Call(
        workers,
        {"client": None, "network": None, "pickled": False, "threads": None, "patience": None},
        {
            # What counts as nothing stands for a good one here.
            "client": NOTHING,
            "network": TEXTS | NOTHING,
            "pickled": FLAGS,
            "threads": WHOLES | NOTHING,
            "patience": NUMBERS | NOTHING,
        },
    ),
    "probekit.Tap.__call__: a condition": Call(labelled, {"label": 1}, {"label": CONDITIONS}),
    "probekit.Tap.maps": Call(
        partial(probekit.Tap.maps, TAP),
        MEASURED | {"draw": 0},
        OF_MEASURED,
        only={"sigma", "seed", "batch_size", "conditions", "draw"},
    ),
    "probekit.Tap.estimate": Call(
        partial(probekit.Tap.estimate, TAP),
        {name: value for name, value in MEASURED.items() if name != "seed"}
        | {"draws": 1, "keep_draws": False, "precision": "float32"},
        OF_MEASURED,
        only={"sigma", "batch_size", "conditions", "draws", "keep_draws", "precision"},
    ),
    "probekit.Tap.features": Call(
        partial(probekit.Tap.features, TAP), {"y": Y, "sigma": 0.1, "conditions": {}}, {"y": Y_TAKEN, "sigma": SIGMA}
    ),
    "probekit.Tap.features: a condition": Call(
        lambda label: OF_LABELLED.features(Y, 0.1, label=label), {"label": 1}, {"label": ODD}
    ),
    "probekit.Tap.ablate": Call(
        partial(probekit.Tap.ablate, TAP), {"channels": 0}, {"channels": CHANNELS}, then=entered
    ),
    "probekit.Tap.scale": Call(
        partial(probekit.Tap.scale, TAP),
        {"channels": 0, "factor": 2.0},
        {"channels": CHANNELS, "factor": NUMBERS},
        then=entered,
    ),
    "probekit.Tap.replace": Call(
        partial(probekit.Tap.replace, TAP),
        {"channels": 0, "value": 2.0},
        {"channels": CHANNELS, "value": NUMBERS | {"an array of one whole number"}},
        then=entered,
    ),
    "probekit.Tap.edit": Call(
        partial(probekit.Tap.edit, TAP), {"function": torch.relu}, {"function": FUNCTIONS}, then=entered
    ),
    "probekit.Denoiser": Call(
        Denoiser,
        {
            "model": NETWORK,
            "predicts": "clean",
            "sigma_to": None,
            "scaling": None,
            "data_range": (0, 1),
            "sigma_data": 0.5,
            "interpolate": False,
            "name": None,
        },
        {
            "model": MODULES,
            "sigma_to": NOTHING,
            "scaling": NOTHING | FUNCTIONS,
            "data_range": NOTHING | {"a DataArray of one dim"},
            "sigma_data": NUMBERS,
            "interpolate": {"False"},
            "name": TEXTS | NOTHING | {"a text that raises in repr"},
        },
        then=denoised,
    ),
    "probekit.Denoiser: edm": Call(
        lambda sigma_data: Denoiser(NETWORK, scaling="edm", sigma_data=sigma_data),
        {"sigma_data": 0.5},
        {"sigma_data": NUMBERS},
        then=denoised,
    ),
    "probekit.Denoiser: told": Call(
        lambda sigma_to: Denoiser(ToldTheLevel(), sigma_to=sigma_to),
        {"sigma_to": "sigma"},
        {"sigma_to": FUNCTIONS | {"a tuple", "a DataArray of one dim"}},
        then=denoised,
    ),
    "probekit.Denoiser: noise": Call(
        lambda data_range: Denoiser(NETWORK, predicts="noise", data_range=data_range),
        {"data_range": (-1, 1)},
        {"data_range": NOTHING | {"a DataArray of one dim"}},
        then=denoised,
    ),
    "probekit.Denoiser.from_diffusers": Call(
        Denoiser.from_diffusers,
        {"unet": ToldTheLevel(), "scheduler": Scheduler([0.9, 0.1]), "name": None},
        {"name": TEXTS | NOTHING | {"a text that raises in repr"}},
    ),
    "probekit.Denoiser.from_diffusers: its parts": Call(
        scheduled,
        {"alphas_cumprod": [0.9, 0.1], "prediction_type": "epsilon"},
        {"alphas_cumprod": ()},
    ),
    "probekit.Denoiser.extra_repr": Call(Denoiser(NETWORK).extra_repr, {}),
    "probekit.Denoiser.forward": Call(
        Denoiser(NETWORK).forward, {"y": Y, "sigma": 0.1, "conditions": {}}, {"y": Y_TAKEN, "sigma": SIGMA}
    ),
    "probekit.Denoiser.forward: noise": Call(
        Denoiser(NETWORK, predicts="noise").forward, {"y": Y, "sigma": 0.1}, {"y": Y_TAKEN, "sigma": SIGMA}
    ),
    "probekit.Denoiser.forward: a condition": Call(
        lambda label: Denoiser(LABELLED)(Y, 0.1, label=label), {"label": 1}, {"label": ODD}
    ),
    "probekit.Denoiser.arguments": Call(
        Denoiser(ToldTheLevel(), sigma_to="sigma").arguments,
        {"y": Y, "sigma": torch.full((2,), 0.1)},
        {"y": Y_TAKEN, "sigma": SIGMA},
    ),
    "probekit.Denoiser.score": Call(
        Denoiser(NETWORK).score, {"y": Y, "sigma": 0.1, "conditions": {}}, {"y": Y_TAKEN, "sigma": SIGMA}
    ),
    "probekit.noise.standard_normal": Call(standard_normal, OF_NOISE, OF_OF_NOISE),
    "probekit.noise.random_bits": Call(random_bits, OF_NOISE, OF_OF_NOISE),
    "probekit.noise.from_bits": Call(from_bits, {"bits": random_bits(**OF_NOISE), "shape": (2,)}, {"shape": SHAPES}),
}
