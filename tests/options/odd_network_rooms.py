"""Calls of the rooms of analyses that take a network, and of what these share."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, wraps
from typing import Any

import numpy as np
import torch
import xarray as xr

import probekit
from analyses import (
    attribution,
    concepts,
    controls,
    descriptors,
    generalisation,
    report,
    sampling,
    selectivity,
    textures,
    variants,
)
from probekit.errors import CapacityError
from probekit.models.unet import UNet
from probekit.synthetic.patch_model import PatchModel
from tests.odd import FLAGS, FUNCTIONS, LEVELS, MODULES, NOTHING, ODD, PATHS, TEXTS, Call
from tests.options.odd_analyses import COUNTS, HUGE, LARGER, NO_ITEMS, RESAMPLED, SEEDS, SHARES, TAKEN, figure

__all__ = ["CALLS"]

MODEL = PatchModel([0.15, 0.85], [[0.4, 0.3, 0, 0.05], [0.4, 0, 0.3, 0.05]])
TAP = probekit.tap(MODEL, "mid")
IMAGES = MODEL.draw(20, rows=8, cols=8, seed=4).images
FEW = IMAGES[:2]
SHAPE = (1, 8, 8)
LEVEL, FALLING = 0.02, [1.0, 0.1]
PHI = TAP(IMAGES, sigma=[LEVEL, 0.2], draws=2)
AT_FALLING = TAP(FEW, sigma=FALLING, draws=2)
TYPES = selectivity.analyse(PHI, resamples=100)
SELECTIVE = TYPES.assign(
    type=TYPES.type.copy(data=np.full(TYPES.type.shape, "selective", object)),
    activity_fraction=TYPES.activity_fraction * 0 + 0.5,
)
SAMPLES = sampling.reconstruct(MODEL, TAP, FEW, sigmas=FALLING, n_samples=2, progress=False)
HELD = FEW.expand_dims(sample=3)
KINDS = xr.Dataset(
    {"type": (("sigma", "channel"), np.tile(np.array(["selective", "common", "mixed", "silent"], object), (2, 10)))},
    coords={
        "sigma": [0.1, 0.3],
        "tap": ("channel", np.array(["mid"] * 40, object)),
        "unit": ("channel", np.arange(40)),
    },
)
ENERGY = xr.DataArray(np.random.default_rng(0).gamma(2, size=40), dims="channel")
with torch.random.fork_rng(devices=[]):
    torch.manual_seed(0)
    OWN = UNet((4, 6), image_channels=1, encoder_convs=(1,), middle_convs=1, decoder_convs=(2,)).eval()
CLASSED = probekit.images.load(
    np.random.default_rng(1).random((40, 1, 8, 8), np.float32), labels=[f"class {i % 2}" for i in range(40)]
)
PHOTOGRAPHS = np.random.default_rng(2).random((10, 1, 8, 16), np.float32)
PATCHES = textures.patches(PHOTOGRAPHS, size=8, side=None)
PATCHED = probekit.tap(MODEL, "mid")(PATCHES, sigma=[LEVEL], draws=2, keep_draws=True)
TEXTURE = textures.Settings(size=8, side=None, each=2, sigma=LEVEL, draws=1, resamples=100)
TOGETHER = textures.analyse({"φ": PATCHED}, resamples=100)
EXCITED = textures.excited(IMAGES, denoiser=MODEL, sigma=LEVEL, channels=[0], top=2, draws=1)
# A folder that cannot be made: what is all right ends there, before it takes long.
NOWHERE = "/dev/null/nowhere"
ATTRIBUTED = attribution.attribute(MODEL, TAP, FEW, channels=[0], sigma=0.2, n_steps=2, tolerance=1.0)
CONCEPTS = concepts.analyse(
    IMAGES,
    PHI,
    denoiser=MODEL,
    findings=TYPES,
    channels=[1],
    together=1,
    sigma=LEVEL,
    n_images=1,
    n_samples=2,
    sigmas=FALLING,
    draws=1,
    permutations=100,
    resamples=100,
    progress=False,
)
COPIES = generalisation.analyse(
    MODEL, IMAGES[:10], IMAGES[10:], n_samples=2, share=0.2, sigma=(0.5,), sigmas=FALLING, resamples=100
)


def begun(function: Callable[..., Any], option: str = "store") -> Callable[..., Any]:
    """The function, ended where it would write its first result."""

    @wraps(function)
    def checked(*arguments: Any, **options: Any) -> Any:
        try:
            return function(*arguments, **{option: NOWHERE, **options})
        except CapacityError as error:
            if NOWHERE not in str(error):
                raise
            return None

    return checked


def judged(**options: Any) -> Any:
    return begun(report.run, "out")(CLASSED, denoiser=OWN, **options)


def controls_found() -> dict[str, Any]:
    """Findings of controls, which take seconds, where they are drawn."""
    return {"findings": controls_table()}


@cache
def controls_table() -> xr.Dataset:
    numbers = controls.Settings(**NUMBERS)
    return controls.table(CLASSED, denoiser=OWN, sigma=0.1, draws=2, untrained=0, settings=numbers, progress=False)


@cache
def textures_table() -> xr.Dataset:
    return textures.table(PHOTOGRAPHS, denoiser=OWN, settings=TEXTURE, progress=False)


def textures_found() -> dict[str, Any]:
    return {"findings": textures_table()}


def drawn() -> xr.Dataset:
    """Findings of variants, enough for a figure."""
    sizes = {"variant": 1, "measure": 1, "image": 1, "sample": 1, "band": 1, "row": 2, "col": 2}
    names = {name: v.dims for name, v in variants.FINDINGS.variables.items()}
    names |= {"difference_low": names["difference"], "difference_high": names["difference"]}
    found = xr.Dataset({name: (dims, np.zeros([sizes[d] for d in dims])) for name, dims in names.items()})
    words = {name: ("variant", ["a"]) for name in ("variant", "what", "network")}
    return found.assign_coords(**words, image=["a"], measure=["error of φ"]).assign_attrs(level=0.95)


DRAWN = drawn()
TABLED = begun(controls.table)
VARIED = begun(variants.table)
LAWS = begun(variants.laws)
ANALYSED = begun(concepts.analyse)
OF_SAMPLING = {"n_images": NOTHING | LARGER | HUGE, "sigmas": NOTHING | LEVELS, "levels": LARGER, "draws": LARGER} | {
    "reduce": FUNCTIONS,
    "seed": SEEDS,
    "batch_size": NOTHING | LARGER | HUGE,
    "store": NOTHING | PATHS,
    "client": NOTHING,
    "progress": NOTHING | FLAGS,
}
MADE = {"sigmas": FALLING, "levels": 2, "draws": 1, "seed": 0, "batch_size": None, "client": None}
MADE["progress"] = False
MEASURED: dict[str, Any] = {"sigma": [0.1], "draws": 1, "reduce": "mean", "seed": 0, "block": "mid", "clusters": None}
MEASURED |= {"precision": "float32", "client": None}
COMPARED: dict[str, Any] = {
    "train": CLASSED,
    "classes": None,
    "n_images": 40,
    "n_train": 40,
    "textures": None,
    "textures_train": None,
    "cues": None,
    "draws": None,
}
NUMBERS: dict[str, Any] = {
    "statistic": "pearson",
    "among": 24,
    "pairs_images": 24,
    "n_clusters": 2,
    "penalties": (0.1,),
    "tuning_images": 24,
    "resamples": 100,
    "level": 0.95,
}
SOURCE = {"name": "own", "group": "own", "network": OWN, "taps": ("mid",), "reduce": "mean"}
VARIANT: dict[str, Any] = {
    "name": "own",
    "what": "",
    "network": MODEL,
    "block": "mid",
    "method": "score",
    "options": {},
    "reduce": "mean",
}
MAPPINGS = {"an empty mapping", "an empty Dataset", "a mapping", "an OrderedDict", "a mapping proxy", "a Dataset"}
CHANNELS = COUNTS | {"0", "a range", "a tuple", "an iterator", "a generator", "an array of one whole number"}
ANY_SIZE = SHARES | LARGER | HUGE | {"1.5", "1e300", "a DataArray of no dims"}
UNNAMED = {"an empty text", "a text that raises in repr"}
STRINGS = {"an array of texts", "an array of object texts", "an Index", "a list of a text", "a list of the same text"}
NAMED = NOTHING | {
    "a DataArray of one dim",
    "an iterator",
    "an array of texts",
    "an array of object texts",
    "an Index",
    "a list of mixed",
}

CALLS: dict[str, Call] = {
    "attribution.attribute": Call(
        attribution.attribute,
        {
            "denoiser": MODEL,
            "tap": TAP,
            "images": FEW,
            "channels": [0],
            "sigma": 0.2,
            "method": "integrated_gradients",
            "draws": 1,
            "seed": 0,
            "ids": None,
            "baseline": None,
            "n_steps": 2,
            "tolerance": 1.0,
            "window": 4,
            "stride": 4,
        },
        {
            "channels": COUNTS
            | {"0", "a range", "a tuple", "an iterator", "a generator", "an array of one whole number"},
            "sigma": LEVELS,
            "draws": COUNTS,
            "seed": SEEDS,
            "ids": NAMED,
            "baseline": NOTHING
            | {"0", "-1", "0.0", "1.5", "2**31", "1e300", "2**63", "10**40"}
            | {"5e-324", "a Fraction", "np.int64", "np.uint8", "np.float16", "an IntEnum"}
            | {"an array of no dims", "a tensor of no dims", "a DataArray of no dims"},
            "n_steps": LARGER,
            "tolerance": {"1.5", "a Fraction", "5e-324", "np.float16", "1e300", "a DataArray of no dims"}
            | LARGER
            | HUGE,
            "window": COUNTS,
            "stride": COUNTS | NOTHING,
        },
        without={"baseline": {"1e300"}, "draws": {"np.uint8"}},
    ),
    "attribution.effects": Call(
        attribution.effects,
        {
            "denoiser": MODEL,
            "tap": TAP,
            "images": FEW,
            "groups": {"a": [0], "b": [1]},
            "sigma": 0.2,
            "factor": 0.0,
            "controls": {"a": ["b"]},
            "draws": 1,
            "ids": None,
            "conditions": None,
            "batch_size": 2,
            **RESAMPLED,
        },
        TAKEN
        | {
            "sigma": LEVELS,
            "factor": {"0", "-1", "0.0", "1.5", "5e-324", "a Fraction", "np.float16", "2**31", "2**63"}
            | LARGER
            | {"an array of no dims", "a DataArray of no dims"},
            "controls": NOTHING | {"an empty mapping", "an empty Dataset"},
            "conditions": NOTHING | {"an empty mapping", "an empty Dataset"},
            "draws": LARGER,
            "ids": NOTHING
            | {"an iterator", "an array of texts", "an array of object texts", "an Index"}
            | {"a list of mixed", "a DataArray of one dim"},
            "batch_size": LARGER | HUGE,
        },
    ),
    "attribution.matched_groups": Call(
        attribution.matched_groups,
        {
            "findings": KINDS,
            "energy": ENERGY,
            "sigma": 0.1,
            "tap": "mid",
            "kinds": ("selective",),
            "size": 2,
            "n_random": 2,
            "tolerance": 0.5,
            "seed": 0,
        },
        {
            "tap": NOTHING,
            "kinds": NO_ITEMS,
            "size": NOTHING | COUNTS,
            "n_random": LARGER,
            "tolerance": NOTHING | SHARES | LARGER | HUGE | {"1.5", "1e300", "a DataArray of no dims"},
            "seed": SEEDS,
        },
    ),
    "attribution.plot": figure(attribution.plot, {"findings": ATTRIBUTED}),
    "concepts.Settings": Call(
        concepts.Settings,
        {
            **MADE,
            "n_images": 1,
            "n_samples": 2,
            "reduce": None,
            "store": None,
            "permutations": 100,
            "resamples": 100,
            "level": 0.95,
        },
        OF_SAMPLING | TAKEN | {"n_images": LARGER | HUGE, "n_samples": LARGER, "reduce": NOTHING | FUNCTIONS},
    ),
    "concepts.Significance": Call(concepts.Significance, {"permutations": 100, "resamples": 100, "level": 0.95}, TAKEN),
    "concepts.analyse": Call(
        ANALYSED,
        {
            "images": IMAGES,
            "data": PHI,
            "denoiser": MODEL,
            "findings": TYPES,
            "channels": [1],
            "n_channels": 1,
            "together": 1,
            "sigma": LEVEL,
        },
        {"findings": NOTHING, "channels": NOTHING | CHANNELS, "n_channels": LARGER | HUGE, "together": COUNTS},
    ),
    "concepts.most_selective": Call(
        concepts.most_selective,
        {"findings": SELECTIVE, "sigma": LEVEL, "n_channels": 1, "least_active": 0.05},
        {"n_channels": LARGER | HUGE, "least_active": SHARES},
    ),
    "concepts.concept": Call(
        concepts.concept,
        {
            "tap": TAP,
            "held": HELD,
            "free": HELD,
            "condition": FEW,
            "channels": [1],
            "sigma": 0.1,
            "draws": 1,
            "classifier": None,
            "seed": 0,
            "permutations": 100,
            "resamples": 100,
            "level": 0.95,
        },
        TAKEN
        | {"channels": CHANNELS}
        | {"draws": LARGER, "classifier": NOTHING | FUNCTIONS, "sigma": LEVELS - {"a tuple", "a range"}},
    ),
    "concepts.hold_concept": Call(
        concepts.hold_concept,
        {
            "denoiser": MODEL,
            "tap": TAP,
            "condition": FEW,
            "channels": [1],
            "n_samples": 2,
            "sampler": lambda *_, n_samples, **__: xr.Dataset({"samples": FEW.expand_dims(sample=n_samples)}),
            "settings": {"sigmas": [0.3, 0.1, 0.03], "progress": False},
            "sigma": 0.1,
            "draws": 1,
            "seed": 0,
            "permutations": 100,
            "resamples": 100,
            "level": 0.95,
        },
        TAKEN
        | {
            "channels": CHANNELS,
            "sigma": LEVELS - {"a tuple", "a range"},
            "n_samples": LARGER,
            "sampler": FUNCTIONS | NOTHING,
            "draws": LARGER,
        }
        | {"settings": NOTHING | MAPPINGS | {"a mapping of itself"}},
        only=[
            "tap",
            "condition",
            "channels",
            "n_samples",
            "sampler",
            "settings",
            "sigma",
            "draws",
            "seed",
            "permutations",
            "resamples",
            "level",
            "denoiser",
        ],
        # It is the sampler that takes the denoiser.
        without={"sampler": NOTHING, "denoiser": ODD},
    ),
    "concepts.plot": figure(concepts.plot, {"findings": CONCEPTS}),
    "controls.table": Call(
        TABLED,
        {
            "images": CLASSED,
            "train": None,
            "classes": None,
            "denoiser": OWN,
            "block": "mid",
            "sigma": 0.1,
            "draws": 1,
            "reduce": "mean",
            "untrained": 0,
            "further": (),
            "measures": None,
            "n_images": None,
            "n_train": None,
            "settings": controls.Settings(**NUMBERS),
            "store": NOWHERE,
            "seed": 0,
            "client": None,
            "progress": False,
        },
        {
            "train": NOTHING,
            "denoiser": MODULES,
            "classes": NOTHING,
            "sigma": LEVELS,
            "draws": LARGER,
            "reduce": FUNCTIONS,
            "untrained": COUNTS | {"0"},
            "further": NO_ITEMS,
            "measures": NOTHING,
            "n_images": NOTHING | HUGE | {"np.uint8"},
            "n_train": NOTHING | HUGE | LARGER,
            "settings": NOTHING,
            "seed": SEEDS,
            "client": NOTHING,
            "progress": NOTHING | FLAGS,
        },
        without={"store": NOTHING | PATHS, "untrained": {"np.uint8"}},
    ),
    "controls.plot": figure(
        controls.plot,
        lambda: {**controls_found(), "measures": None, "sigma": None},
        {"measures": NOTHING, "sigma": NOTHING},
    ),
    "controls.Settings": Call(
        controls.Settings,
        NUMBERS,
        {
            "among": HUGE | LARGER,
            "pairs_images": HUGE | {"np.uint8"},
            "n_clusters": NOTHING | COUNTS,
            "penalties": {"a tuple", "an iterator", "a DataArray of one dim"},
            "tuning_images": HUGE | {"np.uint8"},
            "resamples": {"np.uint8"},
            "level": SHARES,
        },
        then=lambda settings: TABLED(CLASSED, denoiser=OWN, sigma=0.1, untrained=0, settings=settings, progress=False),
    ),
    "controls.Source": Call(
        controls.Source,
        SOURCE,
        {
            "name": TEXTS,
            "group": TEXTS,
            "network": MODULES | FUNCTIONS,
            "taps": TEXTS | STRINGS | UNNAMED,
            "reduce": FUNCTIONS,
        },
        then=lambda own: TABLED(CLASSED, denoiser=OWN, sigma=0.1, untrained=0, further=[own], progress=False),
    ),
    "generalisation.analyse": Call(
        generalisation.analyse,
        {
            "denoiser": MODEL,
            "training": IMAGES[:10],
            "held_out": IMAGES[10:],
            "sigma": (0.5,),
            "n_samples": 1,
            "n_images": 10,
            "share": 0.2,
            "sigmas": FALLING,
            "neighbours": 2,
            "batch_size": 64,
            **RESAMPLED,
        },
        TAKEN
        | {"denoiser": MODULES, "sigma": LEVELS, "n_samples": LARGER, "n_images": HUGE | {"np.uint8"}, "share": SHARES}
        | {"sigmas": NOTHING | LEVELS, "neighbours": LARGER | HUGE, "batch_size": LARGER | HUGE},
        without={"sigmas": NOTHING},
    ),
    "generalisation.card_entry": Call(generalisation.card_entry, {"findings": COPIES}),
    "generalisation.plot": figure(generalisation.plot, {"findings": COPIES, "most": 2}, {"most": LARGER | HUGE}),
    "generalisation.sheet": figure(
        generalisation.sheet, {"findings": COPIES, "columns": 2}, {"columns": LARGER | HUGE}
    ),
    "textures.photographs_sha256": Call(textures.photographs_sha256, {"photographs": PHOTOGRAPHS}),
    "textures.patches": Call(
        textures.patches,
        {"photographs": PHOTOGRAPHS, "size": 4, "side": None, "each": 2, "bands": 1, "seed": 0},
        {
            "size": COUNTS,
            "side": NOTHING | LARGER,
            "each": NOTHING | LARGER | HUGE,
            "bands": NOTHING | COUNTS,
            "seed": SEEDS,
        }
        | {"photographs": {"an array of 4 dims", "a tensor of 4 dims", "an array that is read only"}},
    ),
    "descriptors.equalised": Call(
        descriptors.equalised,
        {"images": PATCHES, "bands": 3, "sd": 0.1},
        {
            "bands": NOTHING | LARGER,
            "sd": SHARES | COUNTS | {"np.uint8", "a DataArray of no dims"},
            "images": {"an array of 4 dims", "a tensor of 4 dims"},
        },
    ),
    "textures.analyse": Call(
        textures.analyse,
        {
            "representations": {"φ": PATCHED},
            "reference": "φ",
            "label": "label",
            "distances": ["euclidean"],
            **RESAMPLED,
        },
        TAKEN | {"reference": NOTHING},
    ),
    "textures.curve": Call(
        textures.curve,
        {
            "representations": {"φ": PATCHED},
            "over": "draws",
            "counts": (1, 2),
            "reference": "φ",
            "label": "label",
            "distances": ["euclidean"],
            **RESAMPLED,
        },
        TAKEN | {"reference": NOTHING, "counts": {"a tuple", "an iterator"}},
    ),
    "textures.best_block": Call(
        textures.best_block,
        {"findings": TOGETHER, "distance": "euclidean", "sigma": LEVEL},
        {"sigma": NOTHING},
    ),
    "textures.verdict": Call(
        textures.verdict,
        {"findings": TOGETHER, "block": "mid", "rivals": ("untrained",), "distance": "euclidean", "sigma": LEVEL},
        {"sigma": NOTHING},
    ),
    "textures.Settings": Call(
        textures.Settings,
        {
            "size": 8,
            "side": None,
            "each": 2,
            "sd": 0.1,
            "sigma": LEVEL,
            "draws": 1,
            "reduce": "mean",
            "distance": "euclidean",
            "resamples": 100,
            "level": 0.95,
        },
        {
            "size": LARGER | HUGE,
            "side": NOTHING | LARGER | HUGE,
            "each": LARGER | HUGE,
            "sd": SHARES | {"np.int64", "an IntEnum", "a tensor of no dims", "a DataArray of no dims"},
            "sigma": LEVELS,
            "draws": LARGER,
            "reduce": FUNCTIONS,
            "resamples": {"np.uint8"},
            "level": SHARES,
        },
    ),
    "textures.representations": Call(
        begun(textures.representations),
        {"images": PATCHES, "denoiser": OWN, "settings": TEXTURE, "store": None, "seed": 0}
        | {"client": None, "progress": False},
        {"denoiser": MODULES, "settings": NOTHING, "store": NOTHING | PATHS, "seed": SEEDS, "progress": NOTHING | FLAGS}
        | {"client": NOTHING}
        | {"images": {"an array of 4 dims", "a tensor of 4 dims", "an array that is read only"}},
        then=lambda found: None if found is None else found["untrained"],
        without={"store": NOTHING | PATHS, "denoiser": MODULES, "settings": NOTHING},
    ),
    "textures.table": Call(
        begun(textures.table),
        {
            "photographs": PHOTOGRAPHS,
            "denoiser": OWN,
            "train": None,
            "groups": None,
            "settings": TEXTURE,
            "store": None,
            "seed": 0,
            "client": None,
            "progress": False,
        },
        {
            "denoiser": MODULES,
            "train": NOTHING,
            "groups": NOTHING,
            "settings": NOTHING,
            "store": NOTHING | PATHS,
            "seed": SEEDS,
            "client": NOTHING,
            "progress": NOTHING | FLAGS,
        },
        without={"store": NOTHING | PATHS, "denoiser": MODULES, "settings": NOTHING},
    ),
    "textures.plot": figure(textures.plot, textures_found),
    "textures.plot_curves": figure(textures.plot_curves, textures_found),
    "textures.excited": Call(
        textures.excited,
        {
            "images": IMAGES,
            "denoiser": MODEL,
            "block": "mid",
            "channels": [0],
            "sigma": LEVEL,
            "top": 2,
            "draws": 1,
            "reduce": "mean",
            "seed": 0,
        },
        {
            "denoiser": MODULES,
            "reduce": FUNCTIONS,
            "channels": NOTHING | CHANNELS | {"0"},
            "sigma": LEVELS,
            "top": LARGER,
            "draws": LARGER,
            "seed": SEEDS,
        },
    ),
    "textures.sheet": figure(textures.sheet, {"findings": EXCITED}),
}
