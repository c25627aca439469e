"""Laws of distances between densities: symmetry, invariance, and tests that err as seldom as they say."""

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
import torch
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from analyses import densities
from analyses.densities import kernels_ranks
from analyses.densities.kernels_distances import MEASURES, measured

SIMULATIONS, CONDITIONS = 500, 12
# A number of rejections that a test which errs at most as often as it says exceeds once in a million.
ONCE_IN_A_MILLION = 1e-6


def samples(seed: int, n: int = 12, scale: float = 1.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return scale * rng.normal(size=(n, 5)) + rng.normal(size=5)


def kernel(measure: str, a: np.ndarray, b: np.ndarray) -> float:
    return measured(a, b, measure, projections=30, seed=3)


def array(values: np.ndarray, *dims: str) -> xr.DataArray:
    return xr.DataArray(values, dims=dims)


@given(st.sampled_from(list(MEASURES)), st.integers(0, 1000))
def test_a_distance_is_the_same_both_ways(measure: str, seed: int) -> None:
    a, b = samples(seed), samples(seed + 1, n=16, scale=2.0)
    assert kernel(measure, a, b) == pytest.approx(kernel(measure, b, a), rel=1e-9, abs=1e-9)


@given(st.sampled_from(["energy_plug_in", "sliced_wasserstein", "gaussian_wasserstein"]), st.integers(0, 1000))
def test_the_distance_of_samples_to_themselves_is_zero_and_to_others_it_is_not(measure: str, seed: int) -> None:
    a = samples(seed)
    # The Gaussian distance is the root of a difference of traces, whose rounding is some 1e-15 of them.
    assert kernel(measure, a, a) == pytest.approx(0, abs=1e-6)
    assert kernel(measure, a, a + 1) > 0.1


@given(st.sampled_from(["energy", "gaussian_wasserstein", "gaussian_wasserstein_debiased"]), st.integers(0, 1000))
def test_turning_and_moving_both_laws_changes_nothing(measure: str, seed: int) -> None:
    a, b = samples(seed), samples(seed + 1)
    turn = stats.ortho_group(5, seed=seed).rvs()
    moved = kernel(measure, a @ turn + 3, b @ turn + 3)
    assert moved == pytest.approx(kernel(measure, a, b), rel=1e-6, abs=1e-6)


@given(st.sampled_from(list(MEASURES)), st.integers(0, 1000), st.floats(0.1, 10))
def test_a_distance_scales_with_the_unit_of_intensity_or_its_square(measure: str, seed: int, unit: float) -> None:
    a, b = samples(seed), samples(seed + 1)
    power = 2 if measure.endswith("debiased") else 1
    assert kernel(measure, unit * a, unit * b) == pytest.approx(unit**power * kernel(measure, a, b), rel=1e-6, abs=1e-6)


@given(st.integers(0, 100), st.permutations(range(10)))
def test_the_order_of_conditions_changes_nothing(seed: int, order: list[int]) -> None:
    rng = np.random.default_rng(seed)
    x = array(rng.normal(size=(10, 8, 3)) + rng.normal(size=(10, 1, 3)), "image", "sample", "col")
    phi = array(rng.normal(size=(10, 3)), "image", "channel")
    x, phi = (v.assign_coords(image=[f"id {i}" for i in range(10)]) for v in (x, phi))
    found = densities.over_pairs(x, measure="gaussian_wasserstein")
    moved = densities.over_pairs(x.isel(image=order), measure="gaussian_wasserstein")
    known = {
        frozenset((a, b)): d for a, b, d in zip(found.first.values, found.second.values, found.values, strict=True)
    }
    for a, b, d in zip(moved.first.values, moved.second.values, moved.values, strict=True):
        assert d == pytest.approx(known[frozenset((a, b))], rel=1e-9)
    options = {"least_pairs": 45, "resamples": 100, "permutations": 100}
    one, other = (
        densities.correlate(found, phi, **options),
        densities.correlate(moved, phi.isel(image=order), **options),
    )
    assert one.correlation.item() == pytest.approx(other.correlation.item(), abs=1e-12)


@given(st.integers(2, 2000), st.integers(1, 300), st.integers(0, 100))
def test_chosen_pairs_are_different_and_of_different_conditions(conditions: int, count: int, seed: int) -> None:
    pairs = kernels_ranks.chosen_pairs(conditions, count, seed)
    assert len(np.unique(pairs, axis=0)) == len(pairs) == min(count, conditions * (conditions - 1) // 2)
    assert (pairs[:, 0] < pairs[:, 1]).all()
    assert pairs.min() >= 0
    assert pairs.max() < conditions


@given(st.floats(0.01, 10), st.integers(0, 100))
def test_one_law_is_at_no_divergence_from_itself_along_noise(variance: float, seed: int) -> None:
    x = torch.from_numpy(samples(seed))

    def denoise(y, sigma):
        return y * variance / (variance + sigma**2)

    found = densities.along_noise(denoise, denoise, x, sigma=[0.1, 0.5, 1], seed=seed)
    assert found.divergence.item() == found.beyond.item() == 0


def unrelated(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """φ of conditions, distances that know nothing of it but share conditions among pairs, and the pairs."""
    rng = np.random.default_rng(seed)
    pairs = kernels_ranks.chosen_pairs(CONDITIONS, None, 0)
    features, other = rng.standard_t(3, size=(2, CONDITIONS, 1))
    return features, kernels_ranks.feature_distances(other, pairs), pairs


@cache
def p_values(test: Callable[..., float]) -> np.ndarray:
    return np.array([test(*unrelated(seed), permutations=99, seed=seed) for seed in range(SIMULATIONS)])


def seldom_small(p: np.ndarray) -> None:
    assert (p > 0).all()
    for alpha in (0.01, 0.05, 0.2, 0.5):
        # Of a permutation test P(p ≤ α) ≤ α exactly, so the count is below a binomial variable.
        assert (p <= alpha).sum() <= stats.binom.isf(ONCE_IN_A_MILLION, len(p), alpha)


def test_p_values_of_unrelated_distances_are_no_smaller_than_uniform_ones_and_never_zero() -> None:
    seldom_small(p_values(kernels_ranks.permutation_p))


def excludes_zero(resample: Callable[..., np.ndarray]) -> int:
    """How often of 200 a 95 % interval for unrelated distances leaves out 0, their correlation in the population."""
    out = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        pairs = kernels_ranks.chosen_pairs(20, None, 0)
        a, b = (kernels_ranks.feature_distances(rng.normal(size=(20, 1)), pairs) for _ in range(2))
        # Without the widening that reported intervals have, which would hide a resampling that is a little too narrow.
        low, high = np.quantile(resample(a, b, pairs, seed), [0.025, 0.975])
        out += not low <= 0 <= high
    return out


def conditions_resampled(a, b, pairs, seed) -> np.ndarray:
    return kernels_ranks.resampled_correlations([a], b, pairs, resamples=200, seed=seed)[:, 0]


def intervals_miss_seldom(resample: Callable[..., np.ndarray]) -> None:
    # More misses than this happen once in a million where each interval misses with probability 0.05.
    assert excludes_zero(resample) <= stats.binom.isf(ONCE_IN_A_MILLION, 200, 0.05)


def test_intervals_miss_the_known_correlation_as_seldom_as_they_say() -> None:
    intervals_miss_seldom(conditions_resampled)


def test_the_interval_of_a_difference_is_paired() -> None:
    rng = np.random.default_rng(0)
    x = array(rng.normal(size=(25, 10, 2)) + rng.normal(size=(25, 1, 2)), "image", "sample", "col")
    phi = x.mean("sample").rename(col="channel")
    found = densities.correlate(densities.over_pairs(x, measure="gaussian_wasserstein"), phi, pixels=phi)
    assert found.difference.item() == found.difference_low.item() == found.difference_high.item() == 0
