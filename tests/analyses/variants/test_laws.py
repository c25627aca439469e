"""Laws of the variants of sampling: order, conditions that are ignored, and differences that are paired over images."""

from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from analyses import variants
from analyses.ground import interval
from analyses.variants import kernels
from probekit.synthetic.patch_model import PatchModel

QUICK: dict[str, Any] = {"sigmas": [1, 0.2], "resamples": 100, "draws": 2, "held_out": (), "progress": False}
NAMES = ["error of φ", "near copies", "diversity", "seconds"]


def model() -> PatchModel:
    return PatchModel([1.0], [[0.2, 0.05, 0.1, 0.02]], pool=[[0, 1], [2, 3]])


def table(images: xr.DataArray, **options: Any) -> xr.Dataset:
    found = variants.table(images, denoiser=model(), **{**QUICK, **options})
    return found.sel(measure=found.measure != "seconds")


@pytest.fixture(scope="module")
def four() -> tuple[xr.DataArray, xr.Dataset]:
    images = model().draw(4, rows=8, cols=8, seed=0).images.assign_coords(image=list("abcd"))
    return images, table(images)


def order_changes_nothing(images: xr.DataArray, found: xr.Dataset, order: list[int]) -> None:
    xr.testing.assert_allclose(table(images[order]), found, atol=1e-5)


@settings(max_examples=4)
@given(st.permutations(range(4)))
def test_a_permutation_of_images_changes_nothing(four: tuple[xr.DataArray, xr.Dataset], order: list[int]) -> None:
    order_changes_nothing(*four, order)


def ignored_by_what_is_unconditional(seed: int, other: int) -> None:
    one, two = (table(model().draw(2, rows=8, cols=8, seed=s).images, seed=seed) for s in (seed, other + 1001))
    for variant in ("score", "unconditional"):
        xr.testing.assert_equal(one.samples.sel(variant=variant), two.samples.sel(variant=variant))
    held = [found.samples.sel(variant="langevin").values for found in (one, two)]
    assert not np.array_equal(*held)


@settings(max_examples=4)
@given(st.integers(0, 1000), st.integers(0, 1000))
def test_samples_without_a_condition_are_the_same_for_every_condition(seed: int, other: int) -> None:
    ignored_by_what_is_unconditional(seed, other)


def summarised(images: int, seed: int = 0, shift: float = 0.0) -> tuple[Any, Any]:
    """Of three variants, of which the second is the first and `shift`, and the third is drawn anew."""
    rng = np.random.default_rng(seed)
    # Shares lie between 0 and 1, also when something is added.
    first, third = 0.3 + 0.4 * rng.random((2, len(NAMES), images))
    match = np.stack([first[0], first[0] + shift, third[0]])[:, :, None]
    return kernels.summary(np.stack([first, first + shift, third]), match, NAMES, resamples=200, level=0.9, seed=seed)


def differences_are_paired(seed: int, shift: float) -> None:
    _, (value, low, high) = summarised(15, seed, shift)
    for end in (value, low, high):
        # An odd number of images: the median of shifted numbers is their shifted median.
        np.testing.assert_allclose(end[0, :-1], 0, atol=1e-12)
        np.testing.assert_allclose(end[1, :-1], shift, atol=1e-12)
    assert (low[2, :-1] < high[2, :-1]).all()


@given(st.integers(0, 1000), st.floats(-0.3, 0.3))
def test_what_is_added_to_all_images_is_a_difference_without_width(seed: int, shift: float) -> None:
    differences_are_paired(seed, shift)


@given(st.integers(0, 1000), st.integers(2, 20))
def test_values_lie_in_their_intervals_and_seconds_have_none(seed: int, images: int) -> None:
    (value, low, high), (_, difference_low, difference_high) = summarised(images, seed)
    assert (low[:, :-1] <= value[:, :-1] + 1e-12).all()
    assert (value[:, :-1] <= high[:, :-1] + 1e-12).all()
    assert np.isfinite(value).all()
    for end in (low, high, difference_low, difference_high):
        assert np.isnan(end[:, -1]).all()


def test_of_a_single_image_there_are_values_and_no_intervals() -> None:
    (value, low, high), (difference, difference_low, difference_high) = summarised(1)
    assert np.isfinite([value, difference]).all()
    assert np.isnan([low, high, difference_low, difference_high]).all()


def test_the_interval_of_the_error_is_that_of_the_median_and_of_copies_wilsons() -> None:
    rng = np.random.default_rng(0)
    numbers, match = rng.random((2, len(NAMES), 12)), rng.random((2, 12, 3))
    numbers[:, NAMES.index("near copies")] = 0
    (value, low, high), _ = kernels.summary(numbers, match, NAMES, resamples=200, level=0.9, seed=1)
    np.testing.assert_array_equal(value[:, 0], np.median(match, axis=(1, 2)))
    ends = interval(kernels.resampled_medians(match, resamples=200, seed=1), 0.9, units=12)
    np.testing.assert_array_equal([low[:, 0], high[:, 0]], ends)
    # Where no copy was seen the bootstrap knows of no width; Wilson's formula does.
    assert (high[:, 1] > 0.1).all()
