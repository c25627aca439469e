"""Odd values for every option of the analyses that start from φ: a result that they stand for, or one clear error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch

from analyses import clusters, densities, descriptors, probe, selectivity, semantics, sparsity, subspaces
from tests.odd import NOTHING, ODD, TEXTS, Call, complaint, missing_calls, public_callables
from tests.options import odd_analyses as made

# Whole numbers ≥ 1 that are small; of larger ones work would be too much.
COUNTS = frozenset({"np.int64", "an IntEnum", "a tensor of no dims"})
LARGER = COUNTS | {"np.uint8"}
SEEDS = LARGER | {"0", "2**31"}
HUGE = frozenset({"2**31", "2**63", "10**40", "10**400"})
SHARES = frozenset({"np.float16", "a Fraction", "5e-324"})
NAMES = frozenset({"a", "np.str_", "a StrEnum", "a text of σ", "a text of a number"})
EMPTY = frozenset({"an empty list", "an empty tuple"})
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

CALLS: dict[str, Call] = {
    "selectivity.analyse": Call(
        selectivity.analyse,
        {"data": made.DATA, "fdr": 0.05, "fdr_method": "bh", "top": 2, **RESAMPLED},
        TAKEN | {"fdr": SHARES, "top": LARGER | HUGE},
    ),
    "selectivity.plot": Call(selectivity.plot, {"findings": made.TYPES}),
    "sparsity.analyse": Call(
        sparsity.analyse,
        {"data": made.DATA, "block_inputs": None, "clusters": "source", **RESAMPLED},
        TAKEN | {"clusters": NOTHING, "block_inputs": NOTHING | {"an empty mapping"}},
    ),
    "sparsity.plot": Call(sparsity.plot, {"findings": made.SPARSE}),
    "sparsity.participation_ratio": Call(
        sparsity.participation_ratio, {"a": np.ones((2, 3)), "axis": -1}, {"a": NUMBERED, "axis": COUNTS | {"0", "-1"}}
    ),
    "subspaces.analyse": Call(
        subspaces.analyse,
        {
            "data": made.DATA,
            "n_subspaces": 2,
            "method": "coordinate",
            "ranks": (1,),
            "rate": 0.05,
            "resamples": 100,
            "dimensions": False,
            "seed": 0,
            "splits": 0,
            "max_subspaces": 3,
        },
        TAKEN
        | {"n_subspaces": COUNTS | NOTHING, "rate": SHARES, "dimensions": {"True", "False", "np.True_"}}
        | {
            "splits": LARGER | {"0"},
            "max_subspaces": LARGER | HUGE,
            "ranks": {"a tuple", "a range", "an iterator", "a generator"},
        },
    ),
    "subspaces.fit": Call(
        subspaces.fit,
        {
            "data": made.DATA,
            "n_subspaces": 2,
            "method": "coordinate",
            "max_subspaces": 3,
            "rate": 0.05,
            "splits": 0,
            "seed": 0,
        },
        TAKEN
        | {"n_subspaces": COUNTS | NOTHING, "max_subspaces": LARGER | HUGE, "rate": SHARES, "splits": LARGER | {"0"}},
    ),
    "subspaces.active_sets": Call(subspaces.active_sets, {"data": made.DATA, "rate": 0.05}, {"rate": SHARES}),
    "subspaces.explained_variance": Call(
        subspaces.explained_variance,
        {"data": made.DATA, "findings": made.FITTED, "ranks": (1,), "resamples": 100, "seed": 0},
        TAKEN | {"ranks": {"a tuple", "a range", "an iterator", "a generator"}},
    ),
    "subspaces.overlap": Call(
        subspaces.overlap, {"data": made.DATA, "findings": made.FITTED, "seed": 0}, {"seed": SEEDS}
    ),
    "subspaces.intrinsic_dimension": Call(
        subspaces.intrinsic_dimension,
        {"data": made.DATA, "images": 20, "seed": 0},
        {"seed": SEEDS, "images": {*HUGE, "np.uint8"}},
    ),
    "subspaces.score": Call(
        subspaces.score,
        {"findings": made.FITTED, "truth": made.TRUTH, "data": made.DATA},
        {"data": NOTHING},
    ),
    "subspaces.plot": Call(subspaces.plot, {"findings": made.UNION}),
    "clusters.analyse": Call(
        clusters.analyse,
        {
            "data": made.DATA,
            "label": "label",
            "n_clusters": 3,
            "permutations": 99,
            "threshold": 0.8,
            "splits": 1,
            "n_init": 1,
            "selection_images": 24,
            **RESAMPLED,
        },
        TAKEN
        | {
            "label": NOTHING,
            "n_clusters": COUNTS | NOTHING | {"a tuple"},
            "threshold": SHARES | COUNTS | {"a DataArray of no dims"},
            "splits": LARGER,
            "n_init": LARGER,
        }
        | {"selection_images": {*HUGE, "np.uint8"}},
    ),
    "clusters.compare": Call(
        clusters.compare,
        {"first": made.CLUSTERED, "second": made.CLUSTERED, "label": "label", **RESAMPLED},
        TAKEN,
    ),
    "clusters.embed": Call(
        clusters.embed,
        {"data": made.DATA},
        {},
    ),
    "clusters.plot": Call(clusters.plot, {"findings": made.CLUSTERED}),
    "clusters.plot_embedding": Call(
        clusters.plot_embedding,
        {"embedding": made.MAP, "findings": made.CLUSTERED, "label": "label"},
        {"label": TEXTS},
    ),
    "clusters.sheet": Call(
        clusters.sheet,
        {
            "images": np.zeros((24, 1, 2, 2), np.float32),
            "findings": made.CLUSTERED.assign_coords(image=[str(i) for i in range(24)]),
            "cluster": 0,
            "block": "mid",
            "sigma": 0.1,
            "n": 2,
        },
        {"cluster": COUNTS | {"0"}, "block": NOTHING, "sigma": NOTHING, "n": LARGER | {"2**31", "2**63", "10**40"}},
    ),
    "probe.analyse": Call(
        probe.analyse,
        {
            "train": made.DATA,
            "test": made.TEST,
            "label": "label",
            "protocol": "softmax",
            "penalties": [0.1],
            "tuning_images": 24,
            "sizes": (),
            "top": 1,
            "epochs": 1,
            **RESAMPLED,
        },
        TAKEN
        | {"penalties": {"a tuple", "a list of NaN"}, "tuning_images": LARGER | HUGE}
        | {"sizes": EMPTY | {"an empty array", "an empty tensor"}, "top": COUNTS | NOTHING}
        | {"epochs": LARGER | HUGE},
    ),
    "probe.compare": Call(probe.compare, {"first": made.PROBED, "second": made.PROBED, **RESAMPLED}, TAKEN),
    "probe.plot": Call(probe.plot, {"findings": made.PROBED}),
    "probe.penalties_of": Call(probe.penalties_of, {"penalties": [0.1]}, {"penalties": {"a tuple"}}),
    "semantics.analyse": Call(
        semantics.analyse,
        {
            "data": made.DATA,
            "label": "label",
            "classes": made.TABLE,
            "others": {"gist": made.GIST},
            "clusters": "source",
            "k": 2,
            "reference": 0.1,
            "among": 24,
            "given": [],
            "statistics": "pearson",
            "controls": {},
            "permutations": 0,
            "max_images": 24,
            **QUICK,
        },
        TOLD
        | {"classes": NOTHING, "others": NOTHING | {"an empty mapping"}, "controls": NOTHING | {"an empty mapping"}}
        | {"k": COUNTS, "reference": NOTHING, "among": {*HUGE, "np.uint8"}}
        | {"given": NOTHING | EMPTY, "permutations": {"0", "np.uint8"}}
        | {"max_images": {*HUGE, "np.uint8"}},
    ),
    "semantics.correlate": Call(
        semantics.correlate,
        {
            "data": made.DATA,
            "others": {"gist": made.GIST},
            "given": (),
            "label": "label",
            "distances": "euclidean",
            "statistics": "pearson",
            "controls": {},
            "clusters": "source",
            "permutations": 0,
            "max_images": 24,
            "level": 0.95,
            "seed": 0,
        },
        TOLD
        | {"given": EMPTY, "controls": NOTHING | {"an empty mapping"}, "permutations": {"0", "np.uint8"}}
        | {"max_images": {*HUGE, "np.uint8"}},
    ),
    "semantics.neighbours": Call(
        semantics.neighbours,
        {"data": made.DATA, "k": 2, "label": "label", "clusters": "source", **QUICK},
        TOLD | {"k": COUNTS},
    ),
    "semantics.per_image": Call(
        semantics.per_image,
        {
            "data": made.DATA,
            "reference": 0.1,
            "among": 24,
            "k": 2,
            "label": "label",
            "distances": ["euclidean"],
            "seed": 0,
        },
        TOLD | {"reference": NOTHING, "among": {*HUGE, "np.uint8"}, "k": COUNTS | NOTHING},
    ),
    "semantics.stability": Call(
        semantics.stability,
        {"data": made.DATA, "reference": 0.1, "among": 24, "clusters": "source", **QUICK},
        TOLD | {"among": {*HUGE, "np.uint8"}},
    ),
    "semantics.class_distances": Call(
        semantics.class_distances,
        {"table": made.WORDS, "separator": " > "},
        {"separator": TEXTS},
    ),
    "semantics.class_table": Call(
        semantics.class_table, {"table": made.TABLE, "classes": np.array(["class 0", "class 1"])}
    ),
    "semantics.plot": Call(semantics.plot, {"findings": made.SEMANTIC}),
    "densities.distance": Call(
        densities.distance,
        {
            "samples_a": made.SAMPLED.samples[0],
            "samples_b": made.SAMPLED.samples[1],
            "measure": "sliced_wasserstein",
            "projections": 3,
            "seed": 0,
        },
        {"projections": LARGER, "seed": SEEDS},
    ),
    "densities.over_pairs": Call(
        densities.over_pairs,
        {"samples": made.SAMPLED.samples, "measure": "sliced_wasserstein", "n_pairs": 3, "projections": 3, "seed": 0},
        {"projections": LARGER, "seed": SEEDS, "n_pairs": NOTHING | LARGER | HUGE},
    ),
    "densities.correlate": Call(
        densities.correlate,
        {
            "density": made.PAIRS,
            "phi": made.SAMPLED.phi,
            "pixels": made.SAMPLED.phi,
            "least_pairs": 5,
            "permutations": 100,
            **RESAMPLED,
        },
        TAKEN | {"pixels": NOTHING, "least_pairs": COUNTS},
    ),
    "densities.analyse": Call(
        densities.analyse,
        {
            "data": made.SAMPLED,
            "measure": "energy",
            "n_pairs": 45,
            "projections": 3,
            "least_pairs": 5,
            "permutations": 100,
            **RESAMPLED,
        },
        TAKEN | {"n_pairs": NOTHING | LARGER | HUGE, "least_pairs": COUNTS} | {"projections": LARGER | HUGE},
    ),
    "densities.along_noise": Call(
        densities.along_noise,
        {
            "denoise_a": made.as_denoiser,
            "denoise_b": made.as_denoiser,
            "samples_a": torch.ones(5, 2),
            "sigma": [0.1, 0.2, 0.3],
            "draws": 1,
            "seed": 0,
            "batch_size": 256,
        },
        {
            "draws": LARGER,
            "seed": SEEDS,
            "batch_size": LARGER | HUGE,
            "sigma": {"a tuple"},
        },
    ),
    "densities.empirical_denoiser": Call(
        densities.empirical_denoiser, {"samples": torch.ones(5, 2)}, {"samples": {"a tensor of 4 dims"}}
    ),
    "densities.plot": Call(densities.plot, {"findings": made.DENSITIES}),
    "descriptors.pixels": Call(descriptors.pixels, {"images": made.IMAGES}, {"images": made.PICTURES}),
    "descriptors.pca": Call(
        descriptors.pca,
        {"images": made.IMAGES, "train": made.IMAGES, "n_components": 2, "seed": 0},
        {"images": made.PICTURES, "train": made.PICTURES | NOTHING, "n_components": COUNTS, "seed": SEEDS},
    ),
    "descriptors.colour": Call(
        descriptors.colour, {"images": made.IMAGES, "bins": 2}, {"images": made.PICTURES, "bins": COUNTS}
    ),
    "descriptors.gist": Call(
        descriptors.gist,
        {"images": made.IMAGES, "scales": 1, "orientations": 2, "grid": 1},
        {"images": made.PICTURES, "scales": COUNTS, "orientations": LARGER, "grid": COUNTS},
    ),
    "descriptors.descriptor": Call(
        descriptors.descriptor,
        {"kind": "pca", "images": made.IMAGES, "train": made.IMAGES, "seed": 0, "n_components": 2},
        {"images": made.PICTURES, "train": made.PICTURES | NOTHING, "n_components": COUNTS, "seed": SEEDS},
    ),
    "descriptors.analyse": Call(
        descriptors.analyse,
        {"images": made.IMAGES, "kinds": ("pca",), "train": made.IMAGES, "n_components": 2, "seed": 0},
        {"images": made.PICTURES, "train": made.PICTURES | NOTHING, "n_components": COUNTS | NOTHING, "seed": SEEDS},
    ),
    "descriptors.as_representation": Call(
        descriptors.as_representation,
        {"features": made.GIST, "sigma": 0.1},
        {"sigma": made.LEVELS},
    ),
}
EACH = [(name, option) for name, call in CALLS.items() for option in call.options()]
# So many options share the values; over the options, all values come up.
SHARED = 3


@pytest.mark.parametrize("name", CALLS)
def test_an_odd_value_is_taken_for_what_it_is_or_refused_in_words(name: str) -> None:
    call = CALLS[name]
    call.made()
    found = []
    for option in call.options():
        for value in list(ODD)[EACH.index((name, option)) % SHARED :: SHARED]:
            wrong = complaint(call, option, value)
            found += [] if wrong is None else [f"{name}({option}={value}): {wrong}"]
    assert not found, f"{len(found)} odd values:\n" + "\n".join(found[:30])


def test_every_option_of_these_rooms_has_a_good_value() -> None:
    rooms = ("clusters", "densities", "descriptors", "probe", "selectivity", "semantics", "sparsity", "subspaces")
    apart = {"main", "Descriptor", "Descriptor.forward", "check_tuning", "subset", "embed"}
    known = public_callables(*(f"analyses.{room}" for room in rooms))
    lacking = {
        line
        for line in missing_calls({f"analyses.{name}": call for name, call in CALLS.items()}, known)
        if not line.endswith(("(further)", "(options)", "(settings)", " is not public"))
        and line.partition("(")[0].split(".", 2)[2] not in apart
    }
    assert not lacking
