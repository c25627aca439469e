"""Calls of the rooms of analyses that start from φ."""

from __future__ import annotations

import numpy as np
import torch

from analyses import clusters, densities, descriptors, probe, selectivity, semantics, sparsity, subspaces
from tests.odd import FLAGS, FUNCTIONS, NOTHING, PATHS, TEXTS, Call
from tests.options import odd_analyses as made

__all__ = ["CALLS"]

CALLS: dict[str, Call] = {
    "selectivity.analyse": Call(
        selectivity.analyse,
        {"data": made.DATA, "fdr": 0.05, "fdr_method": "bh", "top": 2, "clusters": None, **made.RESAMPLED},
        made.TAKEN | {"fdr": made.SHARES, "top": made.LARGER | made.HUGE, "clusters": NOTHING},
    ),
    "selectivity.plot": made.figure(selectivity.plot, {"findings": made.TYPES}),
    "selectivity.power_curve": Call(
        selectivity.power_curve,
        {
            "data": made.DATA,
            "numbers": (20, 24),
            "fdr": 0.05,
            "fdr_method": "bh",
            "clusters": None,
            "level": 0.95,
            "seed": 0,
        },
        made.TAKEN | {"fdr": made.SHARES, "clusters": NOTHING, "numbers": NOTHING},
    ),
    "selectivity.plot_power": made.figure(selectivity.plot_power, {"findings": selectivity.power_curve(made.DATA)}),
    "sparsity.analyse": Call(
        sparsity.analyse,
        {"data": made.DATA, "block_inputs": None, "clusters": "source", **made.RESAMPLED},
        made.TAKEN | {"clusters": NOTHING, "block_inputs": NOTHING | {"an empty mapping", "an empty Dataset"}},
    ),
    "sparsity.plot": made.figure(sparsity.plot, {"findings": made.SPARSE}),
    "sparsity.participation_ratio": Call(
        sparsity.participation_ratio,
        {"a": np.ones((2, 3)), "axis": -1},
        {
            "a": made.NUMBERED | {"a tuple of huge numbers", "a tensor with gradient", "a DataFrame"},
            "axis": made.COUNTS | {"0", "-1"},
        },
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
            "clusters": None,
            "seed": 0,
            "splits": 0,
            "max_subspaces": 3,
            "fit_images": 24,
        },
        made.TAKEN
        | {
            "clusters": NOTHING,
            "n_subspaces": made.COUNTS | NOTHING,
            "rate": made.SHARES,
            "dimensions": {"True", "False", "np.True_"},
        }
        | {
            "splits": made.LARGER | {"0"},
            "max_subspaces": made.LARGER | made.HUGE,
            "fit_images": {*made.HUGE, "np.uint8"},
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
            "clusters": None,
            "fit_images": 24,
            "seed": 0,
        },
        made.TAKEN
        | {
            "clusters": NOTHING,
            "n_subspaces": made.COUNTS | NOTHING,
            "max_subspaces": made.LARGER | made.HUGE,
            "rate": made.SHARES,
            "splits": made.LARGER | {"0"},
            "fit_images": {*made.HUGE, "np.uint8"},
        },
    ),
    "subspaces.active_sets": Call(
        subspaces.active_sets,
        {"data": made.DATA, "rate": 0.05, "fit_images": 24, "seed": 0},
        {"rate": made.SHARES, "fit_images": {*made.HUGE, "np.uint8"}, "seed": made.SEEDS},
    ),
    "subspaces.explained_variance": Call(
        subspaces.explained_variance,
        {
            "data": made.DATA,
            "findings": made.FITTED,
            "ranks": (1,),
            "resamples": 100,
            "clusters": None,
            "seed": 0,
        },
        made.TAKEN | {"clusters": NOTHING, "ranks": {"a tuple", "a range", "an iterator", "a generator"}},
    ),
    "subspaces.overlap": Call(
        subspaces.overlap,
        {"data": made.DATA, "findings": made.FITTED, "clusters": None, "seed": 0},
        {"seed": made.SEEDS, "clusters": NOTHING},
    ),
    "subspaces.intrinsic_dimension": Call(
        subspaces.intrinsic_dimension,
        {"data": made.DATA, "images": 20, "clusters": None, "seed": 0},
        {"seed": made.SEEDS, "clusters": NOTHING, "images": {*made.HUGE, "np.uint8"}},
    ),
    "subspaces.score": Call(
        subspaces.score,
        {"findings": made.FITTED, "truth": made.TRUTH, "data": made.DATA},
        {"data": NOTHING},
    ),
    "subspaces.plot": made.figure(subspaces.plot, {"findings": made.UNION}),
    "clusters.analyse": Call(
        clusters.analyse,
        {
            "data": made.DATA,
            "label": "label",
            "n_clusters": 3,
            "noise_free": False,
            "permutations": 99,
            "threshold": 0.8,
            "splits": 1,
            "n_init": 1,
            "selection_images": 24,
            "fit_images": 24,
            **made.RESAMPLED,
        },
        made.TAKEN
        | {
            "label": NOTHING,
            "n_clusters": made.COUNTS | NOTHING | {"a tuple", "an iterator", "a generator"},
            "threshold": made.SHARES | made.COUNTS | {"a DataArray of no dims"},
            "splits": made.LARGER,
            "n_init": made.LARGER,
            "noise_free": FLAGS,
        }
        | {"selection_images": {*made.HUGE, "np.uint8"}, "fit_images": {*made.HUGE, "np.uint8"}},
    ),
    "clusters.compare": Call(
        clusters.compare,
        {"first": made.CLUSTERED, "second": made.CLUSTERED, "label": "label", **made.RESAMPLED},
        made.TAKEN,
    ),
    "clusters.embed": Call(
        clusters.embed,
        {"data": made.DATA, "max_images": 24, "perplexity": 3, "seed": 0},
        {
            "max_images": made.HUGE | {"np.uint8"},
            "perplexity": made.COUNTS | {"1.5", "a DataArray of no dims"},
            "seed": made.SEEDS,
        },
    ),
    "clusters.separation": Call(
        clusters.separation,
        {
            "data": made.DATA,
            "label": "label",
            "standardised": False,
            "against": made.DATA,
            "clusters": None,
            "max_images": 24,
            "permutations": 99,
            "level": 0.95,
            "seed": 0,
        },
        {
            "standardised": FLAGS,
            "against": NOTHING,
            "clusters": NOTHING,
            "max_images": {*made.HUGE, "np.uint8"},
            "permutations": made.LARGER,
            "level": made.SHARES,
            "seed": made.SEEDS,
        },
    ),
    "clusters.plot": made.figure(clusters.plot, {"findings": made.CLUSTERED}),
    "clusters.plot_embedding": made.figure(
        clusters.plot_embedding,
        {"embedding": made.MAP, "findings": made.CLUSTERED, "label": "label"},
        {"label": TEXTS},
    ),
    "clusters.sheet": made.figure(
        clusters.sheet,
        {
            "images": np.zeros((24, 1, 2, 2), np.float32),
            "findings": made.CLUSTERED.assign_coords(image=[str(i) for i in range(24)]),
            "cluster": 0,
            "block": "mid",
            "sigma": 0.1,
            "n": 2,
        },
        {"cluster": made.COUNTS | {"0"}, "block": NOTHING, "sigma": NOTHING, "n": made.LARGER | made.HUGE},
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
            "fit_images": 24,
            "sizes": (),
            "top": 1,
            "epochs": 1,
            **made.RESAMPLED,
        },
        made.TAKEN
        | {
            "penalties": {"a tuple", "a list of NaN", "an iterator", "a DataArray of one dim"},
            "tuning_images": made.LARGER | made.HUGE,
            "fit_images": made.LARGER | made.HUGE,
        }
        | {
            "sizes": made.NO_ITEMS | {"a tuple", "an iterator"},
            "top": made.COUNTS | NOTHING,
        }
        | {"epochs": made.LARGER | made.HUGE},
    ),
    "probe.compare": Call(probe.compare, {"first": made.PROBED, "second": made.PROBED, **made.RESAMPLED}, made.TAKEN),
    "probe.plot": made.figure(probe.plot, {"findings": made.PROBED}),
    "probe.penalties_of": Call(
        probe.penalties_of, {"penalties": [0.1]}, {"penalties": {"a tuple", "an iterator", "a DataArray of one dim"}}
    ),
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
            "query_images": 24,
            "given": [],
            "statistics": "pearson",
            "controls": {},
            "permutations": 0,
            "max_images": 24,
            "noise_free": False,
            **made.QUICK,
        },
        made.TOLD
        | {"noise_free": FLAGS}
        | {"classes": NOTHING, "others": NOTHING | made.NO_ENTRIES, "controls": NOTHING | made.NO_ENTRIES}
        | {"k": made.COUNTS, "reference": NOTHING, "among": {*made.HUGE, "np.uint8"}}
        | {"query_images": {*made.HUGE, "np.uint8"}}
        | {"given": NOTHING | made.NO_ITEMS, "permutations": {"0", "np.uint8"}}
        | {"max_images": {*made.HUGE, "np.uint8"}},
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
            "noise_free": False,
            "level": 0.95,
            "seed": 0,
        },
        made.TOLD
        | {"noise_free": FLAGS}
        | {"given": made.NO_ITEMS, "controls": NOTHING | made.NO_ENTRIES, "permutations": {"0", "np.uint8"}}
        | {"max_images": {*made.HUGE, "np.uint8"}},
    ),
    "semantics.neighbours": Call(
        semantics.neighbours,
        {
            "data": made.DATA,
            "k": 2,
            "label": "label",
            "noise_free": False,
            "clusters": "source",
            "query_images": 24,
            **made.QUICK,
        },
        made.TOLD | {"k": made.COUNTS, "noise_free": FLAGS, "query_images": {*made.HUGE, "np.uint8"}},
    ),
    "semantics.per_image": Call(
        semantics.per_image,
        {
            "data": made.DRAWN,
            "reference": 0.1,
            "among": 24,
            "k": 2,
            "label": "label",
            "distances": ["euclidean"],
            "noise_free": False,
            "query_images": 24,
            "seed": 0,
        },
        made.TOLD
        | {"noise_free": FLAGS, "query_images": {*made.HUGE, "np.uint8"}}
        | {"reference": NOTHING, "among": {*made.HUGE, "np.uint8"}, "k": made.COUNTS | NOTHING},
    ),
    "semantics.stability": Call(
        semantics.stability,
        {
            "data": made.DRAWN,
            "reference": 0.1,
            "among": 24,
            "noise_free": False,
            "clusters": "source",
            "query_images": 24,
            **made.QUICK,
        },
        made.TOLD | {"noise_free": FLAGS, "among": {*made.HUGE, "np.uint8"}, "query_images": {*made.HUGE, "np.uint8"}},
    ),
    "semantics.reliability": Call(
        semantics.reliability,
        {
            "data": made.DRAWN,
            "distances": ["euclidean"],
            "target": 0.95,
            "splits": 1,
            "clusters": "source",
            "max_images": 24,
            "level": 0.95,
            "seed": 0,
        },
        made.TOLD | {"target": made.SHARES, "splits": made.LARGER | {"2**31"}, "max_images": {*made.HUGE, "np.uint8"}},
    ),
    "semantics.class_distances": Call(
        semantics.class_distances,
        {"table": made.WORDS, "separator": " > "},
        {"separator": TEXTS},
    ),
    "semantics.class_table": Call(
        semantics.class_table, {"table": made.TABLE, "classes": np.array(["class 0", "class 1"])}
    ),
    "semantics.plot": made.figure(semantics.plot, {"findings": made.SEMANTIC}),
    "semantics.plot_reliability": made.figure(
        semantics.plot_reliability,
        {"findings": semantics.reliability(made.DRAWN, distances="euclidean", splits=1)},
    ),
    "densities.distance": Call(
        densities.distance,
        {
            "samples_a": made.SAMPLED.samples[0],
            "samples_b": made.SAMPLED.samples[1],
            "measure": "sliced_wasserstein",
            "projections": 3,
            "seed": 0,
        },
        {"projections": made.LARGER, "seed": made.SEEDS},
    ),
    "densities.over_pairs": Call(
        densities.over_pairs,
        {"samples": made.SAMPLED.samples, "measure": "sliced_wasserstein", "n_pairs": 3, "projections": 3, "seed": 0},
        {"projections": made.LARGER, "seed": made.SEEDS, "n_pairs": NOTHING | made.LARGER | made.HUGE},
    ),
    "densities.correlate": Call(
        densities.correlate,
        {
            "density": made.PAIRS,
            "phi": made.SAMPLED.phi,
            "pixels": made.SAMPLED.phi,
            "noise_free": False,
            "least_pairs": 5,
            "permutations": 100,
            **made.RESAMPLED,
        },
        made.TAKEN | {"pixels": NOTHING, "least_pairs": made.COUNTS, "noise_free": FLAGS},
    ),
    "densities.analyse": Call(
        densities.analyse,
        {
            "data": made.SAMPLED,
            "measure": "energy",
            "n_pairs": 45,
            "projections": 3,
            "noise_free": False,
            "least_pairs": 5,
            "permutations": 100,
            **made.RESAMPLED,
        },
        made.TAKEN
        | {"n_pairs": NOTHING | made.LARGER | made.HUGE, "least_pairs": made.COUNTS}
        | {"projections": made.LARGER | made.HUGE, "noise_free": FLAGS},
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
        {"denoise_a": FUNCTIONS, "denoise_b": FUNCTIONS, "samples_a": {"a tensor of 4 dims"}, "sigma": {"a tuple"}}
        | {"draws": made.LARGER, "seed": made.SEEDS, "batch_size": made.LARGER | made.HUGE},
    ),
    "densities.empirical_denoiser": Call(
        densities.empirical_denoiser, {"samples": torch.ones(5, 2)}, {"samples": {"a tensor of 4 dims"}}
    ),
    "densities.plot": made.figure(densities.plot, {"findings": made.DENSITIES}),
    "descriptors.pixels": Call(descriptors.pixels, {"images": made.IMAGES}, {"images": made.PICTURES}),
    "descriptors.pca": Call(
        descriptors.pca,
        {"images": made.IMAGES, "train": made.IMAGES, "n_components": 2, "seed": 0},
        {"images": made.PICTURES, "train": made.PICTURES | NOTHING, "n_components": made.COUNTS, "seed": made.SEEDS},
    ),
    "descriptors.colour": Call(
        descriptors.colour, {"images": made.IMAGES, "bins": 2}, {"images": made.PICTURES, "bins": made.COUNTS}
    ),
    "descriptors.gist": Call(
        descriptors.gist,
        {"images": made.IMAGES, "scales": 1, "orientations": 2, "grid": 1},
        {"images": made.PICTURES, "scales": made.COUNTS, "orientations": made.LARGER, "grid": made.COUNTS},
    ),
    "descriptors.colour_moments": Call(descriptors.colour_moments, {"images": made.IMAGES}, {"images": made.PICTURES}),
    "descriptors.gabor": Call(
        descriptors.gabor,
        {"images": made.IMAGES, "scales": 1, "orientations": 2},
        {"images": made.PICTURES, "scales": made.COUNTS, "orientations": made.LARGER},
    ),
    "descriptors.descriptor": Call(
        descriptors.descriptor,
        {"kind": "pca", "images": made.IMAGES, "train": made.IMAGES, "seed": 0, "store": None, "n_components": 2},
        {
            "images": made.PICTURES,
            "train": made.PICTURES | NOTHING,
            "n_components": made.COUNTS,
            "seed": made.SEEDS,
            "store": NOTHING | PATHS,
        },
    ),
    "descriptors.predicted": Call(
        descriptors.predicted,
        {"data": made.DATA, "descriptors": made.GIST, "folds": 2, "clusters": "source", "seed": 0},
        {"folds": made.LARGER, "clusters": NOTHING, "seed": made.SEEDS},
    ),
    "descriptors.beyond": Call(
        descriptors.beyond,
        {
            "data": made.DATA,
            "descriptors": made.GIST,
            "label": "label",
            "against": made.DATA,
            "folds": 2,
            "clusters": "source",
            "permutations": 99,
            "level": 0.95,
            "seed": 0,
        },
        {
            "against": NOTHING,
            "folds": made.LARGER,
            "clusters": NOTHING,
            "permutations": made.LARGER,
            "level": made.SHARES,
            "seed": made.SEEDS,
        },
    ),
    "descriptors.analyse": Call(
        descriptors.analyse,
        {"images": made.IMAGES, "kinds": ("pca",), "train": made.IMAGES, "n_components": 2, "seed": 0},
        {
            "images": made.PICTURES,
            "train": made.PICTURES | NOTHING,
            "n_components": made.COUNTS | NOTHING,
            "seed": made.SEEDS,
        },
    ),
    "descriptors.as_representation": Call(
        descriptors.as_representation,
        {"features": made.GIST, "sigma": 0.1},
        {"sigma": made.LEVELS},
    ),
}
