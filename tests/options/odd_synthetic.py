"""Calls of data and denoisers whose answers are known."""

from __future__ import annotations

import shutil
from typing import Any

import numpy as np
import torch

from probekit.synthetic import ovals, shapes
from probekit.synthetic.patch_laws import EnergyLaw, SplitLaw, coefficient_law, on_spheres, wasserstein2
from probekit.synthetic.patch_model import PatchModel
from probekit.synthetic.stores import write_union_of_subspaces
from probekit.synthetic.subspaces import union_of_subspaces
from tests.odd import LEVELS, NOTHING, NUMBERS, PATHS, WHOLES, Call

MODEL = PatchModel([0.4, 0.6], [[0.2, 0.05, 0, 0], [0.2, 0, 0.1, 0]])
X = torch.zeros(2, 1, 8, 8) + 0.1
SETTINGS = shapes.draw_settings(2, seed=0)
OVALS = ovals.draw_settings(1, size=16, seed=0, count=2)
LAW = EnergyLaw([0.5, 0.2], positions=4)
SPLIT = SplitLaw([0.5, 0.2], phi=1.0, positions=4, component=0)
SIZE = {"rows": 4, "cols": 4}
OF_SIZE = {"rows": WHOLES, "cols": WHOLES}
GOOD = "large.zarr"
LISTS_OF_TEXTS = {"a list of texts", "an array of texts", "an array of object texts", "a Categorical", "a Series"}
# As many levels as the batch has images.
SIGMA = LEVELS | {"2**63"}
SUBSPACES: dict[str, Any] = {
    "n_images": 20,
    "n_channels": 64,
    "n_subspaces": 4,
    "support": 6,
    "dimension": None,
    "overlap": 0,
    "common": 4,
    "noise": 0.05,
    "rest": 0.1,
    "draws": 10,
    "sigma": 0.1,
    "weights": None,
    "seed": 0,
}
SUBSPACES_TAKE: dict[str, Any] = dict.fromkeys(SUBSPACES, WHOLES) | {
    "dimension": WHOLES | NOTHING,
    "noise": NUMBERS,
    "rest": NUMBERS,
    "sigma": LEVELS,
    "weights": NOTHING,
}
SMALL = {name: value for name, value in SUBSPACES.items() if name not in ("n_images", "seed")}
OF_OVALS: dict[str, Any] = dict.fromkeys(("n", "size", "seed", "count"), WHOLES) | {
    "area": NOTHING | {"an iterator", "a DataArray of one dim"},
    "aspect": NOTHING | NUMBERS | {"an array of one whole number"},
}
# Energies and the like, in arrays of any shape.
ARRAYS = NUMBERS | {
    "an empty list",
    "a list of an empty list",
    "a deep list",
    "an empty tuple",
    "a tuple",
    "a tuple of huge numbers",
    "a range",
    "an empty array",
    "an array of one whole number",
    "an array of 2 dims",
    "an array of 4 dims",
    "an array of 4 dims, empty",
    "an array of uint8",
    "an array of float16",
    "an array that is read only",
    "an empty tensor",
    "a tensor of 1 dim",
    "a tensor of 4 dims",
    "a tensor of bfloat16",
    "a tensor with gradient",
    "an empty DataArray",
    "a DataArray of one dim",
    "a DataArray of odd dims",
    "an empty DataFrame",
    "a DataFrame",
}


def write_anew(store: Any, **union: Any) -> Any:
    """Write where nothing is."""
    shutil.rmtree(GOOD, ignore_errors=True)
    return write_union_of_subspaces(store, **union)


def of_model(method: str, **good: Any) -> Call:
    options = {"y" if "y" in good else "x": (), "sigma": SIGMA}
    return Call(getattr(MODEL, method), good, options)


CALLS: dict[str, Call] = {
    "probekit.synthetic.subspaces.union_of_subspaces": Call(union_of_subspaces, SUBSPACES, SUBSPACES_TAKE),
    "probekit.synthetic.stores.write_union_of_subspaces": Call(
        write_anew,
        {"store": GOOD, "n_images": 20, "taps": ["a"], "seed": 0, "union": SMALL},
        {"store": PATHS, "n_images": WHOLES, "taps": LISTS_OF_TEXTS, "seed": WHOLES},
    ),
    "probekit.synthetic.stores.write_union_of_subspaces: of the law": Call(
        write_anew, {"store": GOOD, "n_images": 20, **SMALL}, SUBSPACES_TAKE, only=list(SMALL)
    ),
    "probekit.synthetic.patch_model.PatchModel": Call(
        PatchModel, {"weights": [1.0], "variances": [[0.2, 0.05, 0, 0]], "pool": None}, {"pool": NOTHING}
    ),
    "probekit.synthetic.patch_model.PatchModel.forward": of_model("forward", y=X, sigma=0.1),
    "probekit.synthetic.patch_model.PatchModel.phi": of_model("phi", x=X, sigma=0.1),
    "probekit.synthetic.patch_model.PatchModel.phi_variance": of_model("phi_variance", x=X, sigma=0.1),
    "probekit.synthetic.patch_model.PatchModel.posterior": of_model("posterior", y=X, sigma=0.1),
    "probekit.synthetic.patch_model.PatchModel.posterior_variance": of_model("posterior_variance", y=X, sigma=0.1),
    "probekit.synthetic.patch_model.PatchModel.wiener_error": Call(
        MODEL.wiener_error, {"sigma": 0.1}, {"sigma": NUMBERS}
    ),
    "probekit.synthetic.patch_model.PatchModel.log_density": of_model("log_density", y=X, sigma=0.1),
    "probekit.synthetic.patch_model.PatchModel.draw": Call(
        MODEL.draw, {"n": 1, "seed": 0, **SIZE}, {"n": WHOLES, "seed": WHOLES, **OF_SIZE}
    ),
    "probekit.synthetic.patch_model.PatchModel.conditional": Call(
        MODEL.conditional,
        {"phi": [0.2, 0.1, 0, 0], "n": 1, "seed": 0, **SIZE},
        {"n": WHOLES, "seed": WHOLES, **OF_SIZE},
    ),
    "probekit.synthetic.patch_model.PatchModel.posterior_given_phi": Call(
        MODEL.posterior_given_phi, {"phi": [0.2, 0.1, 0, 0], **SIZE}, OF_SIZE
    ),
    "probekit.synthetic.patch_laws.EnergyLaw": Call(
        EnergyLaw,
        {"variances": [0.5, 0.2], "positions": 4},
        {"positions": WHOLES, "variances": LEVELS | {"a tuple of huge numbers"}},
    ),
    "probekit.synthetic.patch_laws.EnergyLaw.log_density": Call(LAW.log_density, {"total": [0.5]}, {"total": ARRAYS}),
    "probekit.synthetic.patch_laws.EnergyLaw.log_series": Call(LAW.log_series, {"total": [0.5]}, {"total": ARRAYS}),
    "probekit.synthetic.patch_laws.EnergyLaw.split": Call(
        LAW.split,
        lambda: {"total": [0.5], "rng": np.random.default_rng(0)},
        {"total": ARRAYS, "rng": {"a Generator of numpy"}},
    ),
    "probekit.synthetic.patch_laws.SplitLaw": Call(
        SplitLaw,
        {"variances": [0.5, 0.2], "phi": 1.0, "positions": 4, "component": 0},
        {"variances": LEVELS | {"a tuple of huge numbers"}, "phi": NUMBERS, "positions": WHOLES, "component": WHOLES},
    ),
    "probekit.synthetic.patch_laws.SplitLaw.pdf": Call(
        SPLIT.pdf, {"energy": [0.5]}, {"energy": ARRAYS | {"inf", "-inf", "-1", "np.longdouble"}}
    ),
    "probekit.synthetic.patch_laws.SplitLaw.cdf": Call(
        SPLIT.cdf, {"energy": [0.5]}, {"energy": ARRAYS | {"inf", "-inf", "-1", "np.longdouble"}}
    ),
    "probekit.synthetic.patch_laws.SplitLaw.mean": Call(SPLIT.mean, {}),
    "probekit.synthetic.patch_laws.SplitLaw.std": Call(SPLIT.std, {}),
    "probekit.synthetic.patch_laws.coefficient_law": Call(
        coefficient_law, {"energy": 0.5, "positions": 4}, {"energy": NUMBERS, "positions": WHOLES}
    ),
    "probekit.synthetic.patch_laws.on_spheres": Call(
        on_spheres,
        lambda: {"energies": [0.5], "positions": 4, "rng": np.random.default_rng(0)},
        {"energies": ARRAYS, "positions": WHOLES, "rng": {"a Generator of numpy"}},
    ),
    "probekit.synthetic.patch_laws.wasserstein2": Call(
        wasserstein2,
        {"a": [0.5], "b": [0.2], "positions": 4},
        {"a": ARRAYS, "b": ARRAYS, "positions": WHOLES},
    ),
    "probekit.synthetic.ovals.draw": Call(
        ovals.draw,
        {"n": 1, "size": 16, "seed": 0, "count": 2, "area": None, "aspect": None, "bands": 1},
        OF_OVALS | {"bands": WHOLES},
    ),
    "probekit.synthetic.ovals.draw_settings": Call(
        ovals.draw_settings, {"n": 1, "size": 16, "seed": 0, "count": 2, "area": None, "aspect": None}, OF_OVALS
    ),
    "probekit.synthetic.ovals.render": Call(
        ovals.render, {"settings": OVALS, "size": 16, "bands": 1}, {"size": WHOLES, "bands": WHOLES}
    ),
    "probekit.synthetic.ovals.image_set": Call(
        ovals.image_set, {"settings": OVALS, "size": 16, "bands": 1}, {"size": WHOLES, "bands": WHOLES}
    ),
    "probekit.synthetic.shapes.draw": Call(
        shapes.draw, {"n": 1, "size": 16, "seed": 0, "fixed": {}}, {"n": WHOLES, "size": WHOLES, "seed": WHOLES}
    ),
    "probekit.synthetic.shapes.draw: a name": Call(
        lambda shape: shapes.draw(1, size=16, seed=0, shape=shape), {"shape": "star"}
    ),
    "probekit.synthetic.shapes.draw: a number": Call(
        lambda hue: shapes.draw(1, size=16, seed=0, hue=hue),
        {"hue": 0.5},
        {"hue": NUMBERS | {"an array of one whole number"}},
    ),
    "probekit.synthetic.shapes.draw: a whole number": Call(
        lambda count: shapes.draw(1, size=16, seed=0, count=count),
        {"count": 2},
        {"count": NUMBERS | {"an array of one whole number"}},
    ),
    "probekit.synthetic.shapes.draw_settings": Call(
        shapes.draw_settings, {"n": 1, "seed": 0, "fixed": {}}, {"n": WHOLES, "seed": WHOLES}
    ),
    "probekit.synthetic.shapes.render": Call(shapes.render, {"settings": SETTINGS, "size": 16}, {"size": WHOLES}),
    "probekit.synthetic.shapes.distance": Call(
        shapes.distance,
        {"a": SETTINGS, "b": SETTINGS, "factors": None, "weights": None},
        {"factors": NOTHING, "weights": NOTHING | {"an empty mapping", "an empty Dataset"}},
    ),
    "probekit.synthetic.shapes.distance: a weight": Call(
        lambda hue: shapes.distance(SETTINGS, SETTINGS, weights={"hue": hue}), {"hue": 1.0}, {"hue": NUMBERS}
    ),
    "probekit.synthetic.shapes.factor_distances": Call(
        shapes.factor_distances, {"a": SETTINGS, "b": SETTINGS, "factors": None}, {"factors": NOTHING}
    ),
}
