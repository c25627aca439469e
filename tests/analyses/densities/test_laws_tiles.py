"""Laws of the distance of laws by their tiles, and what eight samples of each rank."""

from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from analyses import densities
from analyses.densities.kernels_distances import gaussian_wasserstein, patch_wasserstein, tiles
from probekit.errors import InputError
from probekit.synthetic.patch_laws import wasserstein2
from probekit.synthetic.patch_model import PatchModel

LAWS = 24


@given(st.integers(0, 1000), st.sampled_from([4, 6, 9, 12]), st.integers(4, 12))
def test_the_distance_by_tiles_is_no_larger_than_that_of_the_whole_laws(seed: int, side: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    scale = rng.gamma(1, size=(2, 1, 2, side, side))
    a, b = scale * rng.normal(size=(2, n, 2, side, side)) + rng.normal(size=(2, 1, 2, side, side))
    whole = gaussian_wasserstein(a.reshape(n, -1), b.reshape(n, -1))
    # Exactly so of the samples' own means and covariances, whose normal laws are what both are between.
    assert patch_wasserstein(tiles(a), tiles(b)) <= whole * (1 + 1e-6)


@given(st.integers(0, 1000), st.floats(-3, 3))
def test_laws_that_differ_by_a_constant_are_as_far_by_tiles_as_they_are(seed: int, shift: float) -> None:
    a = np.random.default_rng(seed).normal(size=(6, 3, 8, 8))
    # The root of a difference of traces: rounding of 1e-13 under the root.
    assert patch_wasserstein(tiles(a), tiles(a + shift)) == pytest.approx(abs(shift) * np.sqrt(a[0].size), abs=1e-4)


@given(st.integers(1, 5), st.integers(4, 13), st.integers(4, 13))
def test_tiles_hold_every_pixel_of_the_whole_tiles_once(n: int, height: int, width: int) -> None:
    x = np.arange(n * 2 * height * width, dtype=float).reshape(n, 2, height, width)
    found = tiles(x)
    assert found.shape == (n, (height // 4) * (width // 4), 32)
    kept = x[:, :, : height // 4 * 4, : width // 4 * 4]
    np.testing.assert_array_equal(np.sort(found.reshape(n, -1)), np.sort(kept.reshape(n, -1)))
    np.testing.assert_array_equal(found[:, 0].reshape(n, 2, 4, 4), x[:, :, :4, :4])


def rank_agreement(measure: str, *, fixed_total: bool, side: int) -> float:
    """Spearman's correlation over pairs of conditional laws with their exact W₂, from 8 samples of each."""
    exact = PatchModel([1.0], [[0.2, 0.1, 0.1, 0.05]]).double()
    energy = np.random.default_rng(0).gamma(1.0, 0.1, size=(LAWS, 4))
    if fixed_total:
        energy = 0.4 * energy / energy.sum(axis=1, keepdims=True)
    images = exact.conditional(energy, n=8, rows=side, cols=side, seed=1).images
    found = densities.over_pairs(images, measure=measure)
    first, second = found["first"].values.astype(int), found["second"].values.astype(int)
    known = wasserstein2(energy[first], energy[second], positions=(side // 2) ** 2)
    correlation: Any = stats.spearmanr(found, known)[0]
    return float(correlation)


@pytest.mark.parametrize("side", [8, 32])
@pytest.mark.parametrize("fixed_total", [False, True])
def test_eight_samples_rank_pairs_by_tiles_as_the_known_wasserstein_distance_does(fixed_total: bool, side: int) -> None:
    # The project's bound for a measure to be trusted; of whole images no measure comes near it with so few samples.
    assert rank_agreement("patch_wasserstein", fixed_total=fixed_total, side=side) >= 0.95
    assert rank_agreement("gaussian_wasserstein", fixed_total=fixed_total, side=side) < 0.95


def test_tiles_are_of_images_only() -> None:
    flat = xr.DataArray(np.zeros((5, 4, 9)), dims=("image", "sample", "col"))
    with pytest.raises(InputError, match=r"is of images, give dims band, row, col"):
        densities.over_pairs(flat, measure="patch_wasserstein")
