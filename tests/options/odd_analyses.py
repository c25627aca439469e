"""What good calls of analyses are made of, as small as it can be, and the odd values that their options often take."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import torch
import xarray as xr

import probekit
from analyses import clusters, densities, descriptors, probe, selectivity, semantics, sparsity, subspaces
from probekit import labels
from probekit.images import ImageSet
from tests.odd import NOTHING, ODD, Call

__all__ = [
    "CLUSTERED",
    "DATA",
    "DENSITIES",
    "DRAWN",
    "FITTED",
    "GIST",
    "IMAGES",
    "MAP",
    "PAIRS",
    "PROBED",
    "SAMPLED",
    "SEMANTIC",
    "SPARSE",
    "TABLE",
    "TEST",
    "TYPES",
    "UNION",
    "as_denoiser",
    "dataset",
]


# Whole numbers ≥ 1 that are small; of larger ones work would be too much.
COUNTS = frozenset({"np.int64", "an IntEnum", "a tensor of no dims"})
LARGER = COUNTS | {"np.uint8"}
SEEDS = LARGER | {"0", "2**31"}
HUGE = frozenset({"2**31", "2**63", "10**40", "10**400"})
SHARES = frozenset({"np.float16", "a Fraction", "5e-324"})
NAMES = frozenset({"a", "np.str_", "a StrEnum", "a text of σ", "a text of a number"})
NO_ITEMS = frozenset({"an empty list", "an empty tuple", "an empty array", "an empty tensor", "an empty DataArray"})
NO_ENTRIES = frozenset({"an empty mapping", "an empty Dataset"})
NUMBERED = frozenset(name for name in ODD if name.startswith(("an array of ", "a tensor of ", "a DataArray"))) | {
    "a tuple",
    "a range",
    "a masked array",
    "an array that is read only",
    "a list of NaN",
    "a Series",
}
RESAMPLED: Mapping[str, Any] = {"resamples": 100, "level": 0.95, "seed": 0}
TAKEN = {"resamples": {"np.uint8"}, "permutations": {"np.uint8"}, "level": SHARES, "seed": SEEDS}
QUICK: Mapping[str, Any] = {"distances": ["euclidean"], **RESAMPLED}
TOLD = TAKEN | {"label": NOTHING, "clusters": NOTHING, "distances": NOTHING, "statistics": NOTHING}


# What figures take besides findings: nothing, of all that is odd, but for settings of which there are none.
LOOKS = {"ax": NOTHING, "theme": NOTHING | NO_ENTRIES, "against": NOTHING | NO_ENTRIES}


def figure(
    function: Callable[..., Any],
    good: Mapping[str, Any] | Callable[[], Mapping[str, Any]],
    takes: Mapping[str, Collection[str]] | None = None,
) -> Call:
    """A call of a function that draws, with the options that it shares with all others of its kind."""
    shared = {name: None for name in LOOKS if name in inspect.signature(function).parameters}
    whole = (lambda: {**good(), **shared}) if callable(good) else {**good, **shared}
    return Call(function, whole, {**(takes or {}), **{name: LOOKS[name] for name in shared}})


def dataset(prefix: str = "a", images: int = 24, draws: int = 0) -> xr.Dataset:
    """φ of images of three classes, three channels of which respond each to one; two images of each source."""
    rng = np.random.default_rng(ord(prefix))
    y = np.arange(images) % 3
    phi = rng.gamma(2, size=(images, 2, 3)) + 4 * np.eye(3)[y][:, None]
    made = {
        "phi": phi,
        "phi_se": np.full_like(phi, 0.1),
        "rest": np.full((2, 3), 0.1),
        "rest_se": np.full((2, 3), 0.05),
    }
    if draws:
        noise = rng.normal(0, 0.2, (images, 2, draws, 3))
        made["phi_draws"] = phi[:, :, None] + noise - noise.mean(axis=2, keepdims=True)
    return labels.representation(
        made,
        ids=[f"{prefix}{i}" for i in range(images)],
        labels=[f"class {k}" for k in y],
        sigma=[0.1, 0.2],
        channels={"mid": 3},
        attrs={"denoiser": "none"},
    ).assign_coords(source=("image", np.array([f"source {i // 2}" for i in range(images)], object)))


def images(count: int = 40) -> ImageSet:
    values = np.random.default_rng(3).random((count, 3, 4, 4), dtype=np.float32)
    return probekit.images.load(values, labels=[f"class {i % 2}" for i in range(count)])


def as_denoiser(y: torch.Tensor, sigma: Any) -> torch.Tensor:
    return y / (1 + sigma**2)


@cache
def samples() -> xr.Dataset:
    """Samples of ten conditions, and the φ that conditioned them."""
    rng = np.random.default_rng(1)
    drawn = rng.normal(size=(10, 5, 1, 2, 2)) + np.arange(10.0)[:, None, None, None, None]
    return xr.Dataset(
        {
            "samples": (("image", "sample", "band", "row", "col"), drawn),
            "phi": (("image", "channel"), rng.gamma(2, size=(10, 3))),
        },
        coords={"image": [f"image {i}" for i in range(10)]},
    )


DATA, TEST, IMAGES, SAMPLED = dataset(), dataset("b"), images(), samples()
DRAWN = dataset(draws=4)
GIST = xr.DataArray(
    np.random.default_rng(2).normal(size=(24, 3)), dims=("image", "feature"), coords={"image": DATA.image}
)
TABLE = pd.DataFrame(1.0 - np.eye(3), index=[f"class {i}" for i in range(3)], columns=[f"class {i}" for i in range(3)])
CLUSTERED = clusters.analyse(DATA, n_clusters=(2, 3), splits=1, n_init=1, resamples=100, permutations=99)
MAP = clusters.embed(DATA, perplexity=3)
PROBED = probe.analyse(DATA, TEST, resamples=100, penalties=[0.1])
TYPES = selectivity.analyse(DATA, resamples=100)
SPARSE = sparsity.analyse(DATA, resamples=100)
FITTED = subspaces.fit(DATA, splits=0, n_subspaces=2)
UNION = subspaces.analyse(DATA, n_subspaces=2, resamples=100, splits=0, dimensions=False, ranks=(1,))
SEMANTIC = semantics.analyse(
    DATA, label="label", resamples=100, permutations=0, statistics="pearson", k=3, distances="euclidean"
)
PAIRS = densities.over_pairs(SAMPLED.samples)
DENSITIES = densities.correlate(PAIRS, SAMPLED.phi, least_pairs=5, permutations=100, resamples=100)
GRID = descriptors.gist(IMAGES, scales=1, orientations=2, grid=1)
WORDS = pd.DataFrame({"wnid": ["a", "b"], "hypernym_wnids": ["a", "a > b"]})
PICTURES = frozenset({"an array of 4 dims", "an array that is read only", "a tensor of 4 dims"})
LEVELS = frozenset(
    {"0", "0.0", "1.5", "5e-324", "2**31", "a Fraction", "np.int64", "np.uint8", "np.float16", "an IntEnum"}
    | {"an array of no dims", "a tensor of no dims", "a DataArray of no dims"}
)
TRUTH = xr.Dataset(
    {"subspace": ("image", np.arange(24) % 2), "support": (("subspace", "channel"), np.eye(2, 3, dtype=bool))},
    coords={"image": DATA.image, "channel": DATA.channel},
)
