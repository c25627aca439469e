"""Variants of sampling against known answers: the patch model's, planted copies, samples that are their condition."""

from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

import probekit
from analyses import variants
from analyses.variants import kernels, measured, recipes
from probekit.models.unet import UNet
from probekit.synthetic.patch_model import PatchModel

SIGMAS = np.geomspace(1, 0.01, 6).tolist()
QUICK: dict[str, Any] = {"sigmas": SIGMAS, "resamples": 100, "draws": 4, "held_out": (), "progress": False}
EXACT = {name: {"guidance": "rescale", "tolerance": 1e-6} for name in ("algorithm1", "guidance")}


def model() -> PatchModel:
    return PatchModel([1.0], [[0.2, 0.05, 0.1, 0.02]], pool=[[0, 1], [2, 3]])


def conditions(n: int = 6, seed: int = 1) -> xr.DataArray:
    return model().draw(n, rows=8, cols=8, seed=seed).images


@pytest.fixture(scope="module")
def found() -> xr.Dataset:
    return variants.table(conditions(), denoiser=model(), options=EXACT, n_samples=3, **QUICK)


def test_what_holds_phi_matches_it_and_what_does_not_is_a_draw_of_the_prior(found: xr.Dataset) -> None:
    error = found.value.sel(measure="error of φ")
    # Exact rescaling puts ā(y) on its target to a thousandth in each channel, with the noise of one draw at the last
    # level: φ is then off by the difference of that draw from the mean of 4, in each channel of a standard deviation
    # of at most √(1 + 1/4) 2σ √(ē/P). The median of 18 is under three times the largest such.
    energy = model().phi(torch.from_numpy(conditions().values), 0.0).numpy()
    bound = 3 * np.sqrt(1.25) * 2 * SIGMAS[-1] * np.sqrt(energy.max(axis=1) / 16) / np.linalg.norm(energy, axis=1)
    assert error.sel(variant="guidance") < bound.max() < 0.05
    # The dynamics end with a denoising, which takes off σ²/λ = 0.5 % of the weakest component, twice for the energy,
    # and stay on the level set to a tenth of a draw's variance.
    assert error.sel(variant="langevin") < bound.max() + 0.01
    # A channel's energy without a condition has a relative standard deviation of about √(2/P) = 0.35, and so has the
    # condition's: half of all such differences exceed 0.2 or so; a match would be under the bound.
    assert error.sel(variant="unconditional") > 0.1
    assert error.sel(variant="score") > 0.1


def test_guidance_costs_gradients_and_denoising_costs_passes(found: xr.Dataset) -> None:
    cost = found.value.sel(measure=["gradients", "passes"])
    assert (cost.sel(measure="gradients", variant=["score", "unconditional"]) == 0).all()
    assert (cost.sel(measure="gradients", variant=["langevin", "algorithm1", "guidance"]) > 0).all()
    passes = cost.sel(measure="passes")
    assert passes.sel(variant="guidance") == 0
    assert passes.sel(variant="algorithm1") == passes.sel(variant="score") == len(SIGMAS)
    # More than one denoising a level: the dynamics walk before they go on.
    assert (passes.sel(variant=["langevin", "unconditional"]) > len(SIGMAS)).all()
    assert (found.value.sel(measure="seconds") > 0).all()


def samples(found: xr.Dataset, variant: str) -> np.ndarray:
    return found.samples.sel(variant=variant).values


def test_what_is_not_conditional_ignores_the_condition_and_what_is_does_not(found: xr.Dataset) -> None:
    other = variants.table(conditions(seed=2), denoiser=model(), options=EXACT, n_samples=3, **QUICK)
    for variant in ("score", "unconditional"):
        np.testing.assert_array_equal(samples(found, variant), samples(other, variant))
    for variant in ("langevin", "algorithm1", "guidance"):
        assert np.abs(samples(found, variant) - samples(other, variant)).mean() > 0.05


def test_values_lie_in_their_intervals_and_differences_are_from_the_first_variant(found: xr.Dataset) -> None:
    resampled = found.sel(measure=[m for m in found.measure.values if m != "seconds"])
    known = resampled.value.notnull()
    inside = (resampled.low <= resampled.value + 1e-9) & (resampled.value <= resampled.high + 1e-9)
    assert inside.where(known, True).all()
    first = found.isel(variant=0)
    assert (first.difference.dropna("measure") == 0).all()
    ends = resampled.isel(variant=0)[["difference_low", "difference_high"]].to_array()
    assert (ends.dropna("measure") == 0).all()
    np.testing.assert_allclose(found.difference, found.value - first.value.drop_vars(found.variant.coords), atol=1e-12)
    assert found.low.sel(measure="seconds").isnull().all()


def unet() -> probekit.Denoiser:
    torch.manual_seed(1)
    network = UNet((4, 6, 8), encoder_convs=(1, 1), middle_convs=1, decoder_convs=(2, 1))
    return probekit.Denoiser(network.eval(), name="small")


def photographs(n: int = 3) -> np.ndarray:
    return np.random.default_rng(0).random((n, 3, 8, 8), np.float32)


def made(net: probekit.Denoiser, method: str) -> recipes.Made:
    settings = variants.Settings(sigmas=[0.5, 0.1], draws=2, progress=False)
    return recipes.sampled(
        variants.Variant("one", "", net, "mid", method), probekit.images.load(photographs()), settings
    )


def compared_in(*blocks: str) -> measured.Comparison:
    return measured.Comparison(blocks, 0.1, None, 0.01, 0)


def test_samples_that_are_their_condition_are_at_no_distance_and_nearer_than_free_ones() -> None:
    net = unet()
    held, free_samples = made(net, "langevin"), made(net, "unconditional").samples
    copied = held._replace(samples=held.samples.assign(samples=held.samples.samples * 0 + held.samples.condition))
    found = measured.per_image(copied, free_samples, compared_in("enc1", "mid"))
    # φ of a copy has its own noise: another draw of it, and no more.
    assert (found["distance in enc1"] < found["nearer in enc1"]).all()
    assert (found["nearer in mid"] > 0).all()
    assert (found["diversity"] == 0).all()
    # What is added to a sample's distance is that of all the free samples of all conditions, worked out anew.
    measure = {"sigma": 0.1, "draws": 4, "seed": 0}
    tap = probekit.tap(net, "mid")

    def noise(samples: xr.Dataset) -> list[str]:
        return [f"{image}/{k}" for image in samples.image.values for k in range(samples.sizes["sample"])]

    with pytest.warns(UserWarning, match="reach from"):
        free = tap(free_samples.samples.values.reshape(-1, 3, 8, 8), ids=noise(free_samples), **measure).phi.values[
            :, 0
        ]
    given = tap(photographs(), ids=noise(copied.samples.isel(sample=[0])), **measure).phi.values[:, 0]
    apart = np.linalg.norm(free - given[:, None], axis=2).mean(axis=1) / np.linalg.norm(given, axis=1)
    np.testing.assert_allclose(found["nearer in mid"] + found["distance in mid"], apart, rtol=1e-4)
    alone = measured.per_image(copied, None, compared_in("mid"))
    assert np.isnan(alone["nearer in mid"]).all()


def test_planted_copies_are_counted_and_other_samples_are_not() -> None:
    rng = np.random.default_rng(0)
    given, training = (rng.random((n, 1, 8, 8)).astype(np.float32) for n in (6, 200))

    def samples_of(values: np.ndarray) -> xr.Dataset:
        dims = ("image", "sample", "band", "row", "col")
        variables = {
            "samples": (dims, np.stack([values, rng.random(values.shape)], axis=1)),
            "match": (dims[:2], np.zeros((6, 2))),
            "condition": (("image", *dims[2:]), given),
        }
        return xr.Dataset(variables, coords={"image": list("abcdef"), "sample": [0, 1]})

    references = probekit.images.load(training, ids=[f"t{i}" for i in range(200)])
    # Copies of conditions, copies of references, neither.
    made = [samples_of(given), samples_of(training[:6]), samples_of(rng.random(given.shape))]
    shares = measured.copies(made, measured.Comparison((), 0.1, references, 0.01, 0))
    near = shares["near copies of references"]
    assert (near[1] >= 0.5).all()
    # Unrelated images come as near as the nearest 1 % of references do in some per cent of cases: more than 8 of the
    # other 30 happen less than once in a million at 5 %.
    assert 2 * (near[0].sum() + near[2].sum()) + 2 * (near[1] - 0.5).sum() <= 8
    # The same of conditions, with the threshold from pairs of all images.
    copied = shares["near copies"]
    assert (copied[0] >= 0.5).all()
    assert 2 * (copied[1].sum() + copied[2].sum()) + 2 * (copied[0] - 0.5).sum() <= 8


def test_medians_are_resampled_by_images_so_that_repeated_samples_add_nothing() -> None:
    values = np.random.default_rng(0).gamma(2, size=(2, 15, 1))
    one, many = (kernels.resampled_medians(v, resamples=200, seed=3) for v in (values, values.repeat(4, axis=2)))
    # An odd number of images: the median of copies is that of the originals.
    np.testing.assert_array_equal(one, many)
