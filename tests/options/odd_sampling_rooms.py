"""Calls of the rooms of analyses that make samples, of the report, and of what all rooms share."""

from __future__ import annotations

import numpy as np
import torch

from analyses import ground, report, sampling, variants
from probekit.synthetic.subspaces import union_of_subspaces
from tests.odd import FLAGS, FUNCTIONS, LEVELS, MODULES, NOTHING, PATHS, TEXTS, Call
from tests.options.odd_analyses import COUNTS, HUGE, LARGER, NO_ITEMS, SEEDS, SHARES, TAKEN, figure
from tests.options.odd_network_rooms import (
    ANY_SIZE,
    AT_FALLING,
    CHANNELS,
    CLASSED,
    COMPARED,
    DRAWN,
    FALLING,
    FEW,
    LAWS,
    MADE,
    MEASURED,
    MODEL,
    NAMED,
    NOWHERE,
    OF_SAMPLING,
    OWN,
    PHI,
    SAMPLES,
    SHAPE,
    TAP,
    UNNAMED,
    VARIANT,
    VARIED,
    begun,
    judged,
)

__all__ = ["CALLS"]

# As many images as claims ask for.
REPORTED = union_of_subspaces(40, n_channels=12, n_subspaces=2, support=4, seed=0).data
CALLS: dict[str, Call] = {
    "sampling.levels": Call(sampling.levels, {"method": "langevin"}, {"method": FUNCTIONS}),
    "sampling.schedule": Call(
        sampling.schedule,
        {"method": "langevin", "sigmas": None, "count": 3},
        {"method": FUNCTIONS, "sigmas": NOTHING | LEVELS, "count": LARGER},
    ),
    "sampling.method_of": Call(
        sampling.method_of,
        {"method": "langevin", "options": {}},
        {"method": FUNCTIONS, "options": {"an empty mapping", "an empty Dataset"}},
    ),
    "sampling.sampler": Call(
        sampling.sampler, {"name": "own", "sigmas": FALLING}, {"name": TEXTS, "sigmas": NOTHING | LEVELS}
    ),
    "sampling.Guiding": Call(
        sampling.Guiding,
        {"guidance": "adam", "guidance_steps": 2, "tolerance": 0.1, "lr": 0.1, "eps": 1e-8, "average_loss": False},
        {"guidance_steps": LARGER | HUGE, "average_loss": FLAGS}
        | dict.fromkeys(
            ("tolerance", "lr", "eps"),
            ANY_SIZE,
        )
        | {
            "eps": SHARES
            | LARGER
            | HUGE
            | {"0", "0.0", "1.5", "1e300", "an array of no dims", "a DataArray of no dims"}
        },
    ),
    "sampling.Match": Call(
        sampling.Match,
        {"channels": None, "top": 2, "weights": None},
        {
            "channels": NOTHING | CHANNELS,
            "top": NOTHING | COUNTS,
            "weights": NOTHING,
        },
        then=lambda match: match.of(AT_FALLING.phi.values),
    ),
    "sampling.Match: a basis": Call(
        sampling.Match,
        {"basis": np.eye(4)[:2]},
        {"basis": NOTHING},
        then=lambda match: match.of(AT_FALLING.phi.values),
    ),
    "sampling.reconstruct": Call(
        sampling.reconstruct,
        {
            "denoiser": MODEL,
            "tap": TAP,
            "condition": FEW,
            "n_samples": 1,
            "size": None,
            "sigmas": FALLING,
            "method": "score",
            "seed": 0,
            "match": None,
            "draws": 1,
            "start": None,
            "trajectory": False,
            "batch_size": None,
            "conditions": None,
            "precision": "float32",
            "client": None,
            "progress": False,
        },
        {
            "n_samples": COUNTS | {"np.uint8"},
            "size": NOTHING,
            "sigmas": NOTHING | LEVELS,
            "method": FUNCTIONS,
            "seed": SEEDS,
            "match": NOTHING,
            "draws": LARGER,
            "start": NOTHING | LEVELS | {"-1", "1e300", "2**63", "10**40"},
            "trajectory": FLAGS,
            "batch_size": NOTHING | LARGER | HUGE,
            "conditions": NOTHING | {"an empty mapping", "an empty Dataset"},
            "client": NOTHING,
            "progress": NOTHING | FLAGS,
        },
        without={"sigmas": NOTHING, "start": {"1e300"}},
    ),
    "sampling.reconstruct: where samples are kept": Call(
        sampling.reconstruct,
        {"denoiser": MODEL, "tap": TAP, "condition": FEW, "n_samples": 1, "sigmas": FALLING, "store": None},
        {"store": NOTHING | PATHS},
        only=["store"],
        without={"store": {"the folder here"}},
    ),
    "sampling.sample": Call(
        sampling.sample,
        {
            "denoiser": MODEL,
            "shape": SHAPE,
            "n_samples": 1,
            "sigmas": FALLING,
            "seed": 0,
            "batch_size": 2,
            "conditions": None,
        },
        {
            "denoiser": MODULES | {"a lazy module"},
            "n_samples": COUNTS | {"np.uint8"},
            "sigmas": NOTHING | LEVELS,
            "seed": SEEDS,
            "batch_size": LARGER | HUGE,
        }
        | {"conditions": NOTHING | {"an empty mapping", "an empty Dataset"}},
        without={"sigmas": NOTHING},
    ),
    "sampling.Condition.from_images": Call(
        sampling.Condition.from_images,
        {
            "tap": TAP,
            "images": FEW,
            "sigmas": FALLING,
            "ids": None,
            "draws": 1,
            "seed": 0,
            "conditions": None,
            "progress": False,
        },
        {
            "sigmas": LEVELS,
            "ids": NAMED,
            "draws": LARGER,
            "seed": SEEDS,
        }
        | {"conditions": NOTHING | {"an empty mapping", "an empty Dataset"}, "progress": NOTHING | FLAGS},
    ),
    "sampling.Condition.from_phi": Call(
        sampling.Condition.from_phi,
        {"tap": TAP, "phi": AT_FALLING, "sigmas": FALLING, "shape": SHAPE, "conditions": None},
        {"sigmas": LEVELS, "conditions": NOTHING | {"an empty mapping", "an empty Dataset"}},
    ),
    "sampling.Condition.at_size": Call(
        sampling.Condition.from_phi(TAP, AT_FALLING, FALLING, shape=SHAPE).at_size, {"tap": TAP, "size": 8}
    ),
    "sampling.centroid": Call(sampling.centroid, {"data": PHI, "name": "centroid"}, {"name": TEXTS}),
    "sampling.interpolate": Call(
        sampling.interpolate,
        {"first": PHI.isel(image=[0]), "second": PHI.isel(image=[1]), "shares": [0.5]},
        {"shares": {"a tuple", "an iterator", "a range", "a DataArray of one dim", "an array of one whole number"}},
    ),
    "sampling.project": Call(
        sampling.project,
        {"data": PHI, "basis": np.eye(4)[:2], "centre": 0.0},
        {"centre": LEVELS | {"-1", "1e300", "2**63", "10**40"}},
    ),
    "sampling.describe": Call(
        sampling.describe,
        {
            "samples": SAMPLES,
            "reference": None,
            "tap": TAP,
            "unconditional": None,
            "sigma": 0.1,
            "draws": 1,
            "quantile": 0.1,
            "seed": 0,
        },
        {"reference": NOTHING, "tap": NOTHING, "unconditional": NOTHING, "sigma": LEVELS, "draws": LARGER}
        | {"quantile": SHARES, "seed": SEEDS},
    ),
    "sampling.shares": Call(
        sampling.shares,
        {"samples": SAMPLES, "groups": None, "level": 0.9},
        {"groups": NOTHING, "level": SHARES},
    ),
    "sampling.plot": figure(sampling.plot, {"samples": SAMPLES, "most": 1}, {"most": LARGER | HUGE}),
    "variants.Settings": Call(
        variants.Settings,
        {**MADE, "n_images": 1, "n_samples": 1, "reduce": "mean", "store": None, "resamples": 100, "level": 0.95},
        OF_SAMPLING | TAKEN | {"n_samples": LARGER},
    ),
    "variants.table": Call(
        VARIED,
        {
            "images": FEW,
            "denoiser": MODEL,
            "block": "mid",
            "held_out": (),
            "sigma": 0.1,
            "reference": None,
            "quantile": 0.1,
            "options": {},
            "further": (),
        },
        {
            "held_out": NOTHING | NO_ITEMS,
            "sigma": LEVELS,
            "reference": NOTHING,
            "quantile": SHARES,
        }
        | {"options": NOTHING | {"an empty mapping", "an empty Dataset"}}
        | {"further": NO_ITEMS},
    ),
    "variants.plot": figure(variants.plot, {"findings": DRAWN}),
    "variants.sheet": figure(
        variants.sheet,
        {"findings": DRAWN, "conditions": 1, "samples": 1},
        {"conditions": LARGER | HUGE, "samples": LARGER | HUGE},
    ),
    "variants.Variant": Call(
        variants.Variant,
        VARIANT,
        {
            "name": TEXTS,
            "what": TEXTS | UNNAMED,
            "reduce": FUNCTIONS,
            "options": {"an empty mapping", "an empty Dataset"},
        },
        then=lambda own: VARIED(FEW, denoiser=MODEL, held_out=(), sigmas=FALLING, progress=False, further=[own]),
    ),
    "variants.laws": Call(
        LAWS,
        {"images": FEW, "denoiser": MODEL, "block": "mid", "sigma": 0.1, "method": "score", "options": {}},
        {"sigma": LEVELS, "options": NOTHING | {"an empty mapping", "an empty Dataset"}},
    ),
    "report.Measured": Call(
        report.Measured,
        MEASURED,
        {"sigma": LEVELS, "draws": LARGER, "reduce": FUNCTIONS, "seed": SEEDS, "block": TEXTS}
        | {"clusters": NOTHING | TEXTS, "client": NOTHING},
    ),
    "report.Compared": Call(
        report.Compared,
        COMPARED,
        {
            "train": {"an array of 4 dims of NaN"},
            "classes": NOTHING | PATHS,
            "n_images": NOTHING | LARGER | HUGE,
            "n_train": NOTHING | LARGER | HUGE,
            "textures": NOTHING,
            "textures_train": NOTHING,
            "cues": NOTHING,
            "draws": NOTHING | LARGER,
        },
        then=lambda compared: judged(compared=compared),
    ),
    "report.Sampling": Call(
        report.Sampling,
        {"conditions": 24, "n_samples": 8, "law_conditions": None, "levels": 20},
        dict.fromkeys(("conditions", "n_samples", "levels"), LARGER) | {"law_conditions": NOTHING | LARGER},
    ),
    "report.Told": Call(
        report.Told,
        {"pictures": True, "command": "a", "say": print, "progress": None},
        {"pictures": FLAGS, "command": TEXTS, "say": FUNCTIONS, "progress": NOTHING | FLAGS},
    ),
    "report.run": Call(
        begun(report.run, "out"),
        {
            "images": CLASSED,
            "out": NOWHERE,
            "denoiser": OWN,
            "size": None,
            "measured": report.Measured(**MEASURED),
            "compared": None,
            "sampling": report.Sampling(),
            "only": [3],
            "told": report.Told(),
        },
        {
            "denoiser": MODULES,
            "size": NOTHING,
            "measured": NOTHING,
            "compared": NOTHING,
            "sampling": NOTHING,
            "only": NOTHING,
        }
        | {"told": NOTHING},
        without={"out": PATHS},
    ),
    "report.of_phi": Call(
        begun(report.of_phi, "out"),
        {
            "trained": REPORTED,
            "untrained": REPORTED,
            "paper_gains": None,
            "out": NOWHERE,
            "block": "synthetic",
            "clusters": None,
            "only": [3],
            "seed": 0,
            "told": report.Told(),
        },
        {"paper_gains": NOTHING, "clusters": NOTHING, "only": NOTHING, "seed": SEEDS, "told": NOTHING},
        without={"out": PATHS},
    ),
    "ground.as_network": Call(ground.as_network, {"denoiser": OWN}, {"denoiser": FUNCTIONS}),
    "ground.chosen_channels": Call(
        ground.chosen_channels,
        {"channels": [0], "count": 4, "name": "channels"},
        {
            "channels": COUNTS
            | {"0", "a range", "a tuple", "an iterator", "a generator", "an array of one whole number"}
        },
        only=["channels"],
    ),
    "ground.drawn_images": Call(
        ground.drawn_images,
        {"images": CLASSED, "most": 2, "seed": 0},
        {"most": NOTHING | LARGER | HUGE, "seed": SEEDS},
        only=["most", "seed"],
    ),
    "ground.untrained_twin": Call(
        ground.untrained_twin,
        {"denoiser": torch.nn.Conv2d(1, 1, 1), "seed": 0, "gains": "one"},
        {"seed": SEEDS},
        only=["seed", "gains"],
    ),
    "ground.untrained_twins": Call(
        ground.untrained_twins,
        {"denoiser": torch.nn.Conv2d(1, 1, 1), "seed": 0},
        {"seed": SEEDS},
        then=lambda twins: twins["untrained"],
        only=["seed"],
    ),
    "ground.folder_of": Call(ground.folder_of, {"store": None}, {"store": NOTHING | PATHS}),
    "ground.repeats": Call(
        ground.repeats, {"name": "draws", "value": 1, "least": 1}, {"value": LARGER}, only=["value"]
    ),
}
