"""Sparsity against closed forms, brute force, scipy, and covariances that are known."""

import math
from itertools import permutations

import numpy as np
import pytest
from scipy import stats

from analyses.sparsity import kernels as kernels
from analyses.sparsity import participation_ratio

MANY = 20_000


def scatters(x: np.ndarray, parts: int = 2) -> tuple[kernels.Scatter, kernels.Scatter]:
    whole, without = kernels.scatters(lambda: np.array_split(x, parts))
    assert without is not None
    return whole, without


def dimension(x: np.ndarray) -> float:
    squared_trace, trace_square = kernels.spectrum_moments(scatters(x)[0])
    return float(squared_trace / trace_square)


def plain(x: np.ndarray) -> float:
    covariance = np.cov(x.T)
    return float(np.trace(covariance) ** 2 / (covariance**2).sum())


# PR → (E a)²/E a² and Gini → E|a − a′|/(2 E a) as channels grow; exp(H)/C → exp(−E[a ln a]/E a)·E a.
CLOSED = {
    "exponential": (lambda rng: rng.exponential(size=MANY), 1 / 2, 1 / 2, math.exp(-(1 - np.euler_gamma))),
    "half-normal": (lambda rng: abs(rng.normal(size=MANY)), 2 / math.pi, math.sqrt(2) - 1, None),
    "uniform": (lambda rng: rng.random(MANY), 3 / 4, 1 / 3, math.exp(1 / 2) / 2),
}


@pytest.mark.parametrize("law", CLOSED)
def test_measures_of_independent_channels_tend_to_their_closed_forms(law: str) -> None:
    draw, ratio, index, number = CLOSED[law]
    a = draw(np.random.default_rng(0))
    # By the delta method √C times the error has standard deviation 0.5 for the exponential's ratio (variance of
    # a − a²/4), and less for the others, whose tails are lighter or whose functions grow slower: five of these.
    bound = 5 * 0.5 / math.sqrt(MANY)
    assert abs(participation_ratio(a) - ratio) < bound
    assert abs(kernels.gini(a) - index) < bound
    if number is not None:
        assert abs(kernels.effective_number(a) - number) < bound


def test_measures_equal_their_definitions_spelt_out() -> None:
    a = np.random.default_rng(1).gamma(0.7, size=(5, 9))
    a[0, :4] = 0
    c = a.shape[1]
    l1, l2 = a.sum(axis=1), np.sqrt((a**2).sum(axis=1))
    found = dict(zip(kernels.MEASURES, kernels.measures(a).T, strict=True))
    np.testing.assert_allclose(found["participation_ratio"], l1**2 / (c * l2**2))
    np.testing.assert_allclose(found["hoyer"], (math.sqrt(c) - l1 / l2) / (math.sqrt(c) - 1))
    np.testing.assert_allclose(found["gini"], np.abs(a[:, :, None] - a[:, None]).sum(axis=(1, 2)) / (2 * c * l1))
    np.testing.assert_allclose(found["treves_rolls"], (1 - (l1 / c) ** 2 / (l2**2 / c)) / (1 - 1 / c))
    np.testing.assert_allclose(found["effective_number"], np.exp(stats.entropy(a, axis=1)) / c)


def test_the_spectrums_moments_are_the_u_statistics_over_four_distinct_images() -> None:
    x = np.random.default_rng(2).gamma(1.0, size=(6, 3))
    quadruples = [x[list(q)] for q in permutations(range(6), 4)]
    squared_trace = np.mean([((i - j) ** 2).sum() * ((k - m) ** 2).sum() / 4 for i, j, k, m in quadruples])
    trace_square = np.mean([((i - j) @ (k - m)) ** 2 / 4 for i, j, k, m in quadruples])
    np.testing.assert_allclose(kernels.spectrum_moments(scatters(x)[0]), (squared_trace, trace_square))


def test_what_is_left_without_an_image_is_the_scatter_of_the_others() -> None:
    x = np.random.default_rng(5).gamma(0.5, size=(9, 4)) + 3
    _, without = scatters(x, parts=3)
    others = [kernels.scatters(lambda x=x, i=i: [np.delete(x, i, axis=0)], without=False)[0] for i in range(len(x))]
    for name in ("trace", "square", "fourth"):
        np.testing.assert_allclose(getattr(without, name), [getattr(other, name) for other in others])
    assert {other.images for other in others} == {without.images}


def test_the_jackknife_interval_of_a_mean_without_skewness_is_students() -> None:
    half = np.random.default_rng(6).random(100)
    values = np.concatenate([half, -half])
    without = (values.sum() - values) / (len(values) - 1)
    # Of values between two ends, with a kurtosis below 3, the error's degrees of freedom are n − 1.
    error = values.std(ddof=1) / math.sqrt(len(values)) * stats.t.ppf(0.975, len(values) - 1)
    np.testing.assert_allclose(kernels.jackknife_interval(0.0, without, 0.95), (-error, error))


def test_the_jackknife_interval_of_a_mean_is_halls_where_values_are_skewed() -> None:
    values = np.random.default_rng(7).exponential(size=300)
    without = (values.sum() - values) / (len(values) - 1)
    low, high = kernels.jackknife_interval(values.mean(), without, 0.95)
    # Hall's g(t) = t + a t² + a² t³/3 + a/2, with a = skewness/(3 √n), takes each end to Student's quantile.
    a = stats.skew(values) / (3 * math.sqrt(len(values)))
    t = (values.mean() - np.array([low, high])) / stats.sem(values)
    degrees = min(299, 600 / (stats.kurtosis(values, fisher=False) - 1))
    np.testing.assert_allclose(t + a * t**2 + a**2 * t**3 / 3 + a / 2, stats.t.ppf([0.975, 0.025], degrees), rtol=1e-6)


@pytest.mark.parametrize("n", [20, 60])
@pytest.mark.parametrize("heavy", [False, True], ids=["normal", "heavy-tailed"])
def test_the_spectrums_moments_are_unbiased_whatever_the_number_of_images(n: int, heavy: bool) -> None:
    rng = np.random.default_rng(3)
    scale = np.linspace(0.2, 2, 24)
    repetitions = 1500
    # Exponential entries have variance 1, as normal ones.
    draw = rng.exponential if heavy else rng.standard_normal
    found = np.array([kernels.spectrum_moments(scatters(draw(size=(n, 24)) * scale)[0]) for _ in range(repetitions)])
    error = found.std(axis=0, ddof=1) / math.sqrt(repetitions)
    truth = np.array([(scale**2).sum() ** 2, (scale**4).sum()])
    # Means of 1500 repetitions are near normal; 8 values in all cases stay within 4.5 of their standard errors but
    # for a chance of 8 · 7e-6.
    assert (abs(found.mean(axis=0) - truth) < 4.5 * error).all()


def inverses(dimensions: int, n: int, heavy: bool, repetitions: int = 300) -> np.ndarray:
    """1/dimension times the truth, (repetitions, 3): by this estimate, the plain ratio, and that less 1/n."""
    rng = np.random.default_rng(dimensions * 1000 + n)
    scale = np.where(np.arange(48) < dimensions, 1.0, 0.0)
    draw = rng.exponential if heavy else rng.standard_normal
    samples = [draw(size=(n, 48)) * scale for _ in range(repetitions)]
    return dimensions * np.array([(1 / dimension(x), 1 / plain(x), 1 / plain(x) - 1 / n) for x in samples])


@pytest.mark.parametrize("heavy", [False, True], ids=["normal", "heavy-tailed"])
@pytest.mark.parametrize(("dimensions", "n"), [(4, 30), (12, 30), (40, 30), (12, 120), (40, 120)])
def test_the_dimension_is_nearer_to_the_truth_than_the_plain_ratio_corrected_or_not(
    dimensions: int, n: int, heavy: bool
) -> None:
    found = inverses(dimensions, n, heavy)
    mine, raw, corrected = np.abs(found.mean(axis=0) - 1)
    error = found[:, 0].std(ddof=1) / math.sqrt(len(found))
    # Equal eigenvalues: the two sums err together, and the ratio's bias of second order is within the simulation's
    # error, 4 standard errors in 10 cases (chance 10 · 6e-5).
    assert mine < 4 * error
    assert mine < corrected < raw


def test_kendalls_tau_is_scipys_for_rankings_without_ties() -> None:
    values = np.random.default_rng(4).normal(size=(7, 3))
    first, second = np.triu_indices(7, 1)
    found = kernels.kendall(np.sign(values[first] - values[second]))
    for i, j in ((0, 1), (0, 2), (1, 2)):
        expected, _ = stats.kendalltau(values[:, i], values[:, j])
        assert found[i, j] == pytest.approx(expected)
