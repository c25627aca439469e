"""Numbers of numpy and torch are numbers, in every option that takes one; True, False and texts never are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from torch import nn

import probekit
from analyses import (
    attribution,
    clusters,
    densities,
    descriptors,
    probe,
    selectivity,
    semantics,
    sparsity,
    subspaces,
)
from probekit.denoising.denoiser import Denoiser
from probekit.errors import ProbeError
from probekit.evaluation.psnr import psnr_curve
from probekit.images import load
from probekit.models.unet import UNet
from probekit.models.zoo import untrained
from probekit.noise import standard_normal
from probekit.synthetic import shapes
from probekit.synthetic.patch_laws import EnergyLaw, SplitLaw, coefficient_law, wasserstein2
from probekit.synthetic.patch_model import PatchModel
from probekit.synthetic.shape_distances import distance
from probekit.synthetic.subspaces import union_of_subspaces
from probekit.train.loop import train
from probekit.train.recipe import Recipe
from tests.analyses.sampling.making import LEVELS, drawn, made, patches

with torch.random.fork_rng(devices=[]):
    torch.manual_seed(0)
    NETWORK = UNet((4, 8), encoder_convs=(1,), middle_convs=1, decoder_convs=(2,)).eval()
TAP = probekit.tap(NETWORK, "mid")
PICTURES = np.random.default_rng(0).random((3, 3, 8, 8), dtype=np.float32)
Y = torch.from_numpy(PICTURES)
MODEL = patches()
IMAGES = drawn(MODEL)
DATA = union_of_subspaces(60, n_channels=24, n_subspaces=3, support=4).data
LABELLED = DATA.assign_coords(label=("image", np.array([f"class {i % 3}" for i in range(60)], object)))
TEST = LABELLED.assign_coords(image=[f"test {i}" for i in range(60)])
SAMPLES = xr.DataArray(
    np.random.default_rng(1).normal(size=(8, 9, 1, 2, 2)), dims=("image", "sample", "band", "row", "col")
)
SAMPLES = SAMPLES.assign_coords(image=[str(i) for i in range(8)])
SETTINGS = shapes.draw_settings(2, seed=0)
TYPES = xr.Dataset(
    {"type": (("sigma", "channel"), np.tile(np.array(["selective", "common", "mixed"], dtype=object), (1, 8)))},
    coords={
        "sigma": [0.1],
        "tap": ("channel", np.array(["mid"] * 24, dtype=object)),
        "unit": ("channel", np.arange(24)),
    },
)
ENERGY = xr.DataArray(np.random.default_rng(0).gamma(2, size=24), dims="channel")
LAW = PatchModel([1.0], [[0.2, 0.05, 0, 0]])


class Told(nn.Module):
    """Adds what it is told."""

    def forward(self, y: torch.Tensor, told: torch.Tensor) -> torch.Tensor:
        return y + told.view(-1, 1, 1, 1)


def drawn_noise(draw: Any, seed: Any) -> Any:
    return standard_normal((2,), seed=seed, ids=["a"], draws=[draw])


def edited(how: str, **options: Any) -> Any:
    with getattr(TAP, how)(**options):
        return NETWORK(Y)


def trained(**options: Any) -> Any:
    torch.manual_seed(0)
    net = nn.Conv2d(3, 3, 3, padding=1)
    recipe = Recipe(**{"steps": 1, "batch_size": 2, **options})
    return asdict(recipe), train(net, load(PICTURES), recipe=recipe, progress=False, deterministic=True)(Y, 0.1)


# A call that takes options, the whole numbers among them, and the other numbers.
CALLS: dict[str, tuple[Callable[..., Any], dict[str, int], dict[str, float]]] = {
    "Tap": (
        partial(TAP, PICTURES, sigma=0.25, draws=2, progress=False),
        {"draws": 2, "seed": 3, "batch_size": 2},
        {"sigma": 0.5},
    ),
    "maps": (partial(TAP.maps, PICTURES, sigma=0.25), {"draw": 1, "seed": 3, "batch_size": 2}, {"sigma": 0.5}),
    "features": (partial(TAP.features, Y), {}, {"sigma": 0.5}),
    "taps": (lambda rows: probekit.taps(NETWORK, (3, rows, 8)), {"rows": 16}, {}),
    "ablate": (partial(edited, "ablate"), {"channels": 1}, {}),
    "scale": (partial(edited, "scale", channels=1, factor=2.0), {"channels": 2}, {"factor": 0.5}),
    "replace": (partial(edited, "replace", channels=1, value=2.0), {"channels": 2}, {"value": 0.5}),
    "sigma_data": (lambda to: Denoiser(NETWORK, scaling="edm", sigma_data=to)(Y, 0.25), {}, {"to": 0.25}),
    "data_range": (lambda high: Denoiser(NETWORK, data_range=(-1, high))(Y, 0.25), {"high": 2}, {"high": 1.5}),
    "sigma_to": (lambda top: Denoiser(Told(), sigma_to=(0.1, top))(Y, 0.25), {"top": 2}, {"top": 1.5}),
    "denoised": (partial(Denoiser(nn.Identity(), predicts="noise"), Y), {}, {"sigma": 0.5}),
    "score": (partial(Denoiser(NETWORK).score, Y), {}, {"sigma": 0.5}),
    "load": (lambda **options: load("samples", **options).read([0]), {"size": 32}, {}),
    "noise": (partial(drawn_noise, draw=0, seed=0), {"seed": 3, "draw": 2}, {}),
    "psnr_curve": (
        partial(psnr_curve, NETWORK, load(PICTURES), sigma=[0.1]),
        {"batch_size": 2, "seed": 3},
        {"sigma": 0.5},
    ),
    "untrained": (lambda seed: untrained(Denoiser(NETWORK), seed=seed)(Y, 0.25), {"seed": 3}, {}),
    "Recipe": (
        trained,
        {"steps": 2, "batch_size": 1, "seed": 3, "crop": 4},
        {"lr": 0.5, "warmup": 0.25, "sigma_max": 0.5, "weight_power": 0.5, "ema": 0.5},
    ),
    "subspaces": (
        partial(union_of_subspaces, n_images=12, n_channels=40),
        {"n_images": 9, "n_channels": 32, "n_subspaces": 2, "support": 3, "dimension": 2, "common": 3, "draws": 3}
        | {"seed": 3, "overlap": 1},
        {"noise": 0.5, "rest": 0.25, "sigma": 0.5},
    ),
    "patches": (partial(LAW.draw, n=1, rows=4, cols=4, seed=0), {"n": 2, "rows": 8, "cols": 6, "seed": 3}, {}),
    "phi": (partial(LAW.phi, torch.ones(2, 1, 4, 4)), {}, {"sigma": 0.5}),
    "law": (
        lambda energy=0.25, positions=8: coefficient_law(energy, positions=positions).ppf(0.3),
        {"positions": 4},
        {"energy": 0.5},
    ),
    "wasserstein2": (partial(wasserstein2, [0.25], [0.5]), {"positions": 4}, {}),
    "EnergyLaw": (lambda positions: EnergyLaw([0.25, 0.5], positions=positions).log_density(0.5), {"positions": 4}, {}),
    "SplitLaw": (
        lambda phi=0.25, positions=16, component=0: SplitLaw(
            [0.2, 0.05], phi=phi, positions=positions, component=component
        ).mean(),
        {"positions": 8, "component": 1},
        {"phi": 0.125},
    ),
    "shapes": (partial(shapes.draw, n=1, seed=0), {"n": 2, "size": 32, "seed": 3}, {}),
    "distance": (lambda hue: distance(SETTINGS, SETTINGS, weights={"hue": hue}), {"hue": 2}, {"hue": 0.5}),
    "clusters": (
        partial(clusters.analyse, LABELLED, n_clusters=3, splits=1, n_init=1, resamples=100, permutations=99),
        {"n_clusters": 2, "splits": 2, "n_init": 2, "selection_images": 50, "fit_images": 40, "seed": 3}
        | {"permutations": 100},
        {"threshold": 0.75, "level": 0.75},
    ),
    "embed": (
        partial(clusters.embed, LABELLED, perplexity=3),
        {"max_images": 40, "seed": 3},
        {"perplexity": 2.5},
    ),
    "probe": (
        partial(probe.analyse, LABELLED, TEST, resamples=100, penalties=[0.1]),
        {"tuning_images": 50, "fit_images": 40, "top": 1, "resamples": 101, "seed": 3},
        {"level": 0.75},
    ),
    "selectivity": (
        partial(selectivity.analyse, DATA, resamples=100),
        {"top": 3, "resamples": 101, "seed": 3},
        {"fdr": 0.125, "level": 0.75},
    ),
    "sparsity": (partial(sparsity.analyse, DATA, resamples=100), {"resamples": 101, "seed": 3}, {"level": 0.75}),
    "union": (
        partial(subspaces.analyse, DATA, resamples=100, splits=0, dimensions=False, ranks=(1,)),
        {"n_subspaces": 2, "resamples": 101, "seed": 3, "max_subspaces": 4, "fit_images": 40},
        {"rate": 0.125},
    ),
    "semantics": (
        partial(semantics.analyse, LABELLED, resamples=100, permutations=99),
        {"resamples": 101, "query_images": 40, "seed": 3},
        {"level": 0.75},
    ),
    "correlate": (
        partial(semantics.correlate, LABELLED, {"label": "label"}, distances=["cosine"], permutations=99),
        {"permutations": 100, "max_images": 50, "seed": 3},
        {"level": 0.75},
    ),
    "densities": (
        partial(densities.distance, SAMPLES[0], SAMPLES[1], measure="sliced_wasserstein"),
        {"projections": 20, "seed": 3},
        {},
    ),
    "pca": (partial(descriptors.pca, PICTURES), {"n_components": 2}, {}),
    "attribute": (
        partial(attribution.attribute, NETWORK, TAP, PICTURES[:1], channels=[0], sigma=0.25, n_steps=8, tolerance=1.0),
        {"draws": 1, "seed": 3, "n_steps": 9},
        {"sigma": 0.5, "baseline": 0.25, "tolerance": 1.5},
    ),
    "occlude": (
        partial(attribution.attribute, NETWORK, TAP, PICTURES[:1], channels=[0], sigma=0.25, method="occlusion"),
        {"window": 4, "stride": 2},
        {},
    ),
    "matched": (
        partial(attribution.matched_groups, TYPES, ENERGY, n_random=1, tolerance=None),
        {"n_random": 2, "size": 3, "seed": 3},
        {"sigma": 0.1, "tolerance": 0.75},
    ),
    "sampling": (
        partial(made, MODEL, IMAGES[:1], sigmas=LEVELS[:2]),
        {"n_samples": 1, "draws": 2, "seed": 3, "batch_size": 1, "correctors": 1, "guidance_steps": 5},
        {"step": 0.5, "tolerance": 0.25},
    ),
    "guidance": (
        partial(made, MODEL, IMAGES[:1], sigmas=LEVELS[:2], method="guidance"),
        {"guidance_steps": 5},
        {"tolerance": 0.25, "lr": 0.125, "eps": 0.25},
    ),
}
WHOLE = [(name, option, value) for name, (_, whole, _) in CALLS.items() for option, value in whole.items()]
REAL = [(name, option, value) for name, (_, _, real) in CALLS.items() for option, value in real.items()]
WHOLE_KINDS: dict[str, Callable[[Any], Any]] = {
    "int64": np.int64,
    "uint8": np.uint8,
    "array": np.asarray,
    "tensor": torch.tensor,
}
REAL_KINDS: dict[str, Callable[[Any], Any]] = {
    "float32": np.float32,
    "float64": np.float64,
    "array": np.asarray,
    "tensor": torch.tensor,
}
NO_NUMBERS = [True, np.True_, np.array(True), torch.tensor(True), "1"]


def said(case: tuple[str, str, Any]) -> str:
    return f"{case[0]} {case[1]}"


def check_same(a: Any, b: Any) -> None:
    """Equal to the last bit, and of the same types, down to the attrs."""
    if isinstance(a, xr.Dataset | xr.DataArray):
        xr.testing.assert_identical(a, b)
        check_same(a.attrs, b.attrs)
    elif isinstance(a, tuple | list):
        assert len(a) == len(b)
        for one, other in zip(a, b, strict=True):
            check_same(one, other)
    elif isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a:
            check_same(a[key], b[key])
    elif isinstance(a, torch.Tensor):
        assert torch.equal(a, b)
    elif isinstance(a, np.ndarray):
        np.testing.assert_array_equal(a, b)
    elif hasattr(a, "equals"):
        assert a.equals(b)
    else:
        assert type(a) is type(b)
        assert a == b


@pytest.mark.parametrize("case", WHOLE, ids=said)
def test_a_whole_number_is_one_whoever_made_it(case: tuple[str, str, int]) -> None:
    name, option, value = case
    call = CALLS[name][0]
    expected = call(**{option: value})
    for kind in WHOLE_KINDS.values():
        check_same(call(**{option: kind(value)}), expected)


@pytest.mark.parametrize("case", REAL, ids=said)
def test_a_real_number_is_one_whoever_made_it(case: tuple[str, str, float]) -> None:
    name, option, value = case
    call = CALLS[name][0]
    expected = call(**{option: value})
    for kind in REAL_KINDS.values():
        check_same(call(**{option: kind(value)}), expected)


@pytest.mark.parametrize("case", [*WHOLE, *REAL], ids=said)
def test_what_could_only_be_taken_for_a_number_is_none(case: tuple[str, str, Any]) -> None:
    name, option, _ = case
    for value in NO_NUMBERS:
        with pytest.raises(ProbeError):
            CALLS[name][0](**{option: value})
