"""Calls of the package's networks, of the zoo, of evaluation and of training."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from torch import nn

from probekit.denoising.denoiser import Denoiser
from probekit.evaluation.psnr import card_table, psnr, psnr_curve
from probekit.evaluation.references import GaussianBlur, PatchWiener
from probekit.images import load
from probekit.models.dncnn import DnCNN
from probekit.models.unet import SigmaUNet, UNet
from probekit.models.widening import widened
from probekit.models.zoo import amend, available, describe, save, tap_names, untrained
from probekit.models.zoo import load as load_denoiser
from probekit.train import Recipe, at_step, launched, progress_of, steps_kept, train
from probekit.train.start import Start
from tests.odd import FLAGS, FUNCTIONS, LEVELS, MODULES, NOTHING, NUMBERS, PATHS, WHOLES, Call
from tests.options.odd_taps import NETWORK, SIGMA, Y_TAKEN, Y

SMALL = load(np.random.default_rng(0).random((4, 3, 8, 8), dtype=np.float32))
BRIEF = Recipe(steps=1, batch_size=2)
DENOISER = Denoiser(NETWORK)


def saved() -> str:
    """A denoiser in the folder here."""
    return str(save(NETWORK, "good.safetensors"))


def kept() -> str:
    """A run in the folder here."""
    train(nn.Conv2d(3, 3, 1), SMALL, recipe=BRIEF, out="good", keep_every=1, progress=False)
    return "good"


WIDTHS = {
    "a tuple",
    "a range",
    "a generator",
    "an iterator",
    "an array of one whole number",
    "an array of uint8",
    "an array of float16",
    "a masked array",
    "a tensor of 1 dim",
    "a tensor of bfloat16",
    "a tensor with gradient",
    "a DataArray of one dim",
}
# Of one encoder block.
SHARES = {
    "True",
    "False",
    "np.True_",
    "0",
    "0.0",
    "a Fraction",
    "np.int64",
    "np.float16",
    "a list of True",
    "an IntEnum",
    "an array of no dims",
    "an array of one whole number",
    "a tensor of no dims",
    "a DataArray of no dims",
}
COUNTS = {"a tuple", "an iterator"}
OF_UNET = {
    "channels": (2, 4),
    "image_channels": 3,
    "encoder_convs": None,
    "middle_convs": 1,
    "decoder_convs": None,
    "bias": True,
    "norm": None,
    "skips": True,
}
OF_OF_UNET: dict[str, Any] = {
    "channels": COUNTS,
    "image_channels": WHOLES,
    "encoder_convs": NOTHING | {"an array of one whole number"},
    "middle_convs": WHOLES,
    "decoder_convs": NOTHING,
    "bias": FLAGS,
    "norm": NOTHING,
    "skips": SHARES,
}
RECIPE = {
    "steps": 20,
    "batch_size": 2,
    "lr": 1e-3,
    "warmup": 0.02,
    "sigma_max": 1.0,
    "sigma_min": 0.0,
    "sigma_power": 0.0,
    "weight_power": 0.0,
    "ema": 0.1,
    "flip": True,
    "seed": 0,
    "crop": None,
}

CALLS: dict[str, Call] = {
    "probekit.models.unet.UNet": Call(UNet, OF_UNET, OF_OF_UNET),
    "probekit.models.unet.UNet.forward": Call(NETWORK.forward, {"y": Y}, {"y": Y_TAKEN}),
    "probekit.models.unet.SigmaUNet": Call(SigmaUNet, OF_UNET, OF_OF_UNET),
    "probekit.models.unet.SigmaUNet.forward": Call(
        SigmaUNet((2, 4), middle_convs=1).forward, {"y": Y, "sigma": 0.1}, {"y": Y_TAKEN, "sigma": SIGMA}
    ),
    "probekit.models.dncnn.DnCNN": Call(
        DnCNN,
        {"depth": 3, "width": 4, "image_channels": 3, "bias": True, "norm": None},
        {"depth": WHOLES, "width": WHOLES, "image_channels": WHOLES, "bias": FLAGS, "norm": NOTHING},
    ),
    "probekit.models.dncnn.DnCNN.forward": Call(DnCNN(3, 4).forward, {"y": Y}, {"y": Y_TAKEN}),
    "probekit.models.widening.widened": Call(widened, {"denoiser": DENOISER, "channels": (8, 8)}),
    "probekit.models.zoo.available": Call(available, {}),
    "probekit.load": Call(load_denoiser, lambda: {"name": saved()}),
    "probekit.models.zoo.describe": Call(describe, lambda: {"name": saved()}),
    "probekit.models.zoo.save": Call(
        save,
        {"denoiser": DENOISER, "path": "a.safetensors", "card": None, "max_bytes": 2**24},
        {
            "card": NOTHING
            | {"an empty Dataset"}
            | {"an empty mapping", "a mapping", "an OrderedDict", "a mapping proxy", "a mapping of numbers"},
            "max_bytes": WHOLES,
        },
    ),
    "probekit.models.zoo.amend": Call(
        amend, lambda: {"path": saved(), "edit": lambda card: card.clear()}, {"edit": FUNCTIONS}
    ),
    "probekit.models.zoo.tap_names": Call(tap_names, {"denoiser": DENOISER}),
    "probekit.models.zoo.untrained": Call(
        untrained, {"denoiser": DENOISER, "seed": 0, "gains": "one"}, {"seed": WHOLES}
    ),
    "probekit.evaluation.psnr.psnr": Call(
        psnr, {"clean": Y, "estimate": Y / 2}, {"clean": Y_TAKEN, "estimate": Y_TAKEN}
    ),
    "probekit.evaluation.psnr.psnr_curve": Call(
        psnr_curve,
        {"denoiser": NETWORK, "images": SMALL, "sigma": 0.1, "seed": 0, "batch_size": 2, "conditions": None},
        {
            "denoiser": MODULES,
            "sigma": LEVELS,
            "seed": WHOLES,
            "batch_size": WHOLES,
            "conditions": NOTHING | {"an empty mapping", "an empty Dataset"},
        },
    ),
    "probekit.evaluation.psnr.card_table": Call(
        card_table,
        {
            "denoiser": NETWORK,
            "held_out": SMALL,
            "fitted_on": SMALL,
            "compare": None,
            "sigma": [0.1],
            "batch_size": 2,
        },
        {
            "denoiser": MODULES,
            "compare": NOTHING | {"an empty mapping", "an empty Dataset"},
            "sigma": LEVELS,
            "batch_size": WHOLES,
        },
    ),
    "probekit.evaluation.references.GaussianBlur": Call(
        GaussianBlur,
        {"images": SMALL, "sigma": [0.1], "widths": [1.0], "seed": 0},
        {"sigma": LEVELS, "widths": WIDTHS, "seed": WHOLES},
    ),
    "probekit.evaluation.references.GaussianBlur.forward": Call(
        GaussianBlur(SMALL, sigma=[0.1], widths=[1.0]).forward, {"y": Y, "sigma": 0.1}, {"y": Y_TAKEN, "sigma": SIGMA}
    ),
    "probekit.evaluation.references.PatchWiener": Call(PatchWiener, {"images": SMALL, "patch": 4}, {"patch": WHOLES}),
    "probekit.evaluation.references.PatchWiener.forward": Call(
        PatchWiener(SMALL, patch=4).forward, {"y": Y, "sigma": 0.1}, {"y": Y_TAKEN, "sigma": SIGMA}
    ),
    "probekit.train.Recipe": Call(
        Recipe,
        RECIPE,
        {
            "steps": WHOLES,
            "batch_size": WHOLES,
            "lr": NUMBERS,
            "warmup": NUMBERS,
            "sigma_max": NUMBERS,
            "sigma_min": NUMBERS,
            "sigma_power": NUMBERS,
            "weight_power": NUMBERS,
            "ema": NUMBERS,
            "flip": FLAGS,
            "seed": WHOLES,
            "crop": WHOLES | NOTHING,
        },
    ),
    "probekit.train.Recipe: followed": Call(
        lambda **options: train(
            nn.Conv2d(3, 3, 1), SMALL, recipe=Recipe(**{"steps": 1, "batch_size": 2, **options}), progress=False
        ),
        {"batch_size": 2, "lr": 1e-3, "sigma_max": 1.0, "weight_power": 0.0, "ema": 0.1, "seed": 0},
        {
            "batch_size": WHOLES,
            "lr": NUMBERS,
            "sigma_max": NUMBERS,
            "weight_power": NUMBERS,
            "ema": NUMBERS,
            "seed": WHOLES,
        },
    ),
    "probekit.train.Recipe.lr_at": Call(partial(Recipe.lr_at, Recipe()), {"step": 0}, {"step": WHOLES}),
    "probekit.train.Recipe.ema_weight": Call(partial(Recipe.ema_weight, Recipe()), {"step": 0}, {"step": WHOLES}),
    "probekit.train.launched": Call(launched, {}),
    "probekit.train.progress_of": Call(progress_of, lambda: {"out": kept()}),
    "probekit.train.steps_kept": Call(steps_kept, lambda: {"out": kept()}),
    "probekit.train.at_step": Call(
        at_step,
        lambda: {"denoiser": Denoiser(nn.Conv2d(3, 3, 1)), "out": kept(), "step": 1, "averaged": True},
        {"step": WHOLES, "averaged": FLAGS},
    ),
    "probekit.train.train": Call(
        train,
        lambda: {
            "denoiser": nn.Conv2d(3, 3, 1),
            "images": SMALL,
            "recipe": BRIEF,
            "out": None,
            "held_out": None,
            "evaluations": 0,
            "checkpoint_minutes": 5.0,
            "device": None,
            "precision": "auto",
            "compile": False,
            "deterministic": False,
            "progress": False,
            "until": None,
            "minutes": None,
            "keep_every": None,
        },
        {
            "denoiser": MODULES,
            "out": PATHS | NOTHING,
            "held_out": NOTHING,
            "evaluations": WHOLES,
            "checkpoint_minutes": NUMBERS,
            "device": NOTHING | {"a device"},
            "compile": {"False"},
            "deterministic": FLAGS,
            "progress": FLAGS,
            "until": WHOLES | NOTHING,
            "minutes": NUMBERS | NOTHING,
            "keep_every": NOTHING,
        },
        without={"compile": FLAGS, "recipe": NOTHING},
    ),
    "probekit.train.train: the default recipe": Call(
        lambda recipe: train(nn.Conv2d(3, 3, 1), SMALL, recipe=recipe, progress=False, until=1),
        {"recipe": BRIEF},
        {"recipe": NOTHING},
    ),
    "probekit.train.start.Start": Call(
        Start,
        {"init": None, "model": "dncnn", "channels": (4,), "depth": 3, "gains": "one", "bands": 1, "seed": 0},
        {"init": NOTHING, "model": NOTHING, "channels": NOTHING, "depth": WHOLES | NOTHING, "gains": NOTHING}
        | {"bands": WHOLES | NOTHING, "seed": WHOLES},
        then=lambda start: start.denoiser(),
    ),
    "probekit.train.start.Start: skips": Call(
        lambda skips: Start(model="unet", channels=(4, 8), skips=skips),
        {"skips": (1,)},
        {
            "skips": NOTHING
            | {"an iterator", "a DataArray of one dim", "an array of one whole number", "an array of uint8"}
            | {"an array of float16", "a tensor of 1 dim", "a tensor of bfloat16", "a tensor with gradient"}
        },
    ),
}
