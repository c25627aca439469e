"""Held channels: what is refused, and what the witnesses say of draws that are exact."""

from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

import probekit
from analyses import concepts
from probekit.errors import InputError
from probekit.synthetic.patch_model import PatchModel

QUICK: dict[str, Any] = {"resamples": 100, "permutations": 100}


def patch_model() -> PatchModel:
    return PatchModel([0.5, 0.5], [[0.4, 0.2, 0, 0.05], [0.4, 0, 0.2, 0.05]])


def exact_sampler(
    model: PatchModel, tap: Any, condition: Any, *, channels: Any = (), n_samples: int, seed: int, method: str = "exact"
) -> xr.Dataset:
    """Draws in which the held channels have the condition's energy and the others a fresh image's, both exact."""
    del tap
    assert (method == "unconditional") == (not channels)
    energy = model.phi(torch.from_numpy(condition.values), 0.0).numpy()
    fresh = model.draw(len(energy) * n_samples, rows=8, cols=8, seed=seed).truth.phi.values
    wanted = fresh.reshape(len(energy), n_samples, -1)
    wanted[..., list(channels)] = energy[:, None, list(channels)]
    # A class holds either component 1 or 2: what the held ones leave impossible goes.
    if 1 in channels:
        wanted[..., 2] = np.where(energy[:, None, 1] > 1e-6, 0, wanted[..., 2].clip(1e-3))
    drawn = model.conditional(wanted.reshape(-1, 4), n=1, rows=8, cols=8, seed=seed).images
    values = drawn.values.reshape(len(energy), n_samples, 1, 8, 8)
    return xr.Dataset({"samples": (("image", "sample", "band", "row", "col"), values)})


def held(channels: list[int], **options: Any) -> xr.Dataset:
    model = patch_model()
    condition = model.draw(6, rows=8, cols=8, seed=3).images
    tap = probekit.tap(model, "mid")
    options = {"n_samples": 8, "sampler": exact_sampler, "draws": 2, **QUICK, **options}
    return concepts.hold_concept(model, tap, condition, channels=channels, **options)


def test_holding_a_channel_is_borne_witness_to_by_it_and_by_a_classifier_of_what_it_decides() -> None:
    found = held([1], classifier=lambda phi: np.stack([phi[:, 1] > phi[:, 2], phi[:, 1] <= phi[:, 2]], axis=1))
    assert found.witness.values.tolist() == ["held", "other", "classifier"]
    assert (found.p.sel(witness=["held", "classifier"]) == 1 / 101).all()
    assert (found.nearer_low.sel(witness=["held", "classifier"]) > 0.5).all()
    assert found.sizes["free_sample"] == found.sizes["sample"] == 8


def test_holding_a_channel_that_decides_nothing_moves_only_itself() -> None:
    # With little noise φ is the energy itself, which held samples share to the last digits.
    found = held([3], sigma=0.01)
    assert found.p.sel(witness="held").item() == 1 / 101
    assert found.p.sel(witness="other") > 0.01


def test_the_package_samples_where_no_other_sampler_is_given() -> None:
    model = patch_model()
    condition = model.draw(3, rows=8, cols=8, seed=3).images
    tap = probekit.tap(model, "mid")
    settings = {"sigmas": [1, 0.3, 0.1, 0.03, 0.01], "progress": False}
    options = {"n_samples": 4, "settings": settings, "sigma": 0.01, "draws": 2, **QUICK}
    found = concepts.hold_concept(model, tap, condition, channels=[0], **options)
    assert found.sizes["sample"] == found.sizes["free_sample"] == 4
    # What is held is matched to some per cent, far nearer than a free energy of 16 positions comes by chance: of all
    # (8 over 4)³ labellings few do as well.
    assert found.p.sel(witness="held") < 0.05
    assert found.held_distance.sel(witness="held").mean() < found.free_distance.sel(witness="held").mean() / 2


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"channels": [0, 1, 2, 3]}, "all channels are held"),
        ({"channels": [4]}, r"channels \[4\] do not exist"),
        ({"n_samples": 1}, "n_samples=1"),
        ({"permutations": 10}, "permutations=10"),
        ({"classifier": lambda phi: phi[:, 0]}, "the classifier made"),
    ],
)
def test_what_cannot_be_held_is_refused(options: dict, words: str) -> None:
    model = patch_model()
    condition = model.draw(2, rows=8, cols=8, seed=3).images
    tap = probekit.tap(model, "mid")

    def sampler(*_: Any, n_samples: int, **__: Any) -> xr.Dataset:
        return xr.Dataset({"samples": condition.expand_dims(sample=n_samples)})

    with pytest.raises(InputError, match=words):
        concepts.hold_concept(model, tap, condition, **{"channels": [1], "sampler": sampler, **QUICK, **options})


def test_samples_that_do_not_fit_their_conditions_are_refused() -> None:
    model = patch_model()
    condition = model.draw(2, rows=8, cols=8, seed=3).images
    samples = condition.expand_dims(sample=3)
    tap = probekit.tap(model, "mid")
    for wrong, words in ((condition, "held: got"), (samples[:, :1], "at least 2 samples"), (samples[:1], "sizes")):
        with pytest.raises(InputError, match=words):
            concepts.concept(tap, wrong, samples, condition, channels=[1], **QUICK)


def test_samples_are_paired_with_their_conditions_by_id() -> None:
    model = patch_model()
    tap, images = probekit.tap(model, "mid"), patch_model().draw(6, rows=8, cols=8, seed=3).images
    given = {"channels": [1], "sigma": 0.01, "draws": 2, **QUICK}
    near = images.expand_dims(sample=2)
    free = near.copy(data=model.draw(12, rows=8, cols=8, seed=1).images.values.reshape(near.shape))
    found = concepts.concept(tap, near, free, images, **given)
    mixed = concepts.concept(
        tap, near.isel(image=slice(None, None, -1)), free.isel(image=[3, 0, 5, 1, 4, 2]), images, **given
    )
    xr.testing.assert_identical(mixed, found)
    with pytest.raises(InputError, match="held is of other images than it is used with"):
        concepts.concept(tap, near.assign_coords(image=list("abcdef")), free, images, **given)
    with pytest.raises(InputError, match="free is of other images than it is used with, or has one twice, such as"):
        concepts.concept(tap, near, free.isel(image=[0, 0, 1, 2, 3, 4]), images, **given)
    without = [one.drop_vars("image") for one in (near, free)]
    xr.testing.assert_identical(concepts.concept(tap, *without, images, **given), found)
