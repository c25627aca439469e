"""Selectivity's kernels against scipy and closed forms."""

import math

import numpy as np
import pytest
from scipy import stats

from analyses import _marginals as kernels


def marginals(n: int = 200, channels: int = 6) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.gamma(np.linspace(0.3, 4, channels), size=(n, channels)) - 0.4


def test_moments_are_scipys_corrected_for_bias() -> None:
    a = marginals()
    found = kernels.shape(a)
    np.testing.assert_allclose(found.skew, stats.skew(a, bias=False))
    np.testing.assert_allclose(found.kurtosis, stats.kurtosis(a, bias=False))
    np.testing.assert_allclose(found.sd, a.std(axis=0, ddof=1))


def test_lifetime_sparseness_is_vinje_and_gallants_of_the_response_above_rest() -> None:
    a = marginals()
    n, r = len(a), np.where(a > 0, a, 0)
    expected = (1 - (r.sum(axis=0) / n) ** 2 / ((r**2).sum(axis=0) / n)) / (1 - 1 / n)
    np.testing.assert_allclose(kernels.shape(a).lifetime, expected)


def test_the_tail_statistic_is_vuongs_of_the_fitted_laws() -> None:
    a = marginals()
    for column, found in zip(a.T, kernels.shape(a).tail, strict=True):
        laplace = stats.laplace.logpdf(column, *stats.laplace.fit(column))
        d = laplace - stats.norm.logpdf(column, *stats.norm.fit(column))
        assert found == pytest.approx(math.sqrt(len(d)) * d.mean() / d.std())


def test_the_tail_statistic_tells_laplace_from_normal_samples() -> None:
    rng = np.random.default_rng(1)
    n, channels = 400, 500
    heavy, normal = rng.laplace(size=(n, channels)), rng.standard_normal((n, channels))
    # Under the normal law the expected difference is ln √(π/2) + ½ ln 2π + ½ − ln 2 − 1 = −0.049, under Laplace's
    # ½ ln 2 + ½ ln 2π + ½ − ln 2 − 1 = +0.072; means over the channels within 5 of their standard errors.
    for a, expected in ((normal, -0.04857), (heavy, 0.07236)):
        b = np.abs(a - np.median(a, axis=0)).mean(axis=0)
        d = np.log(a.std(axis=0) / b) + 0.5 * np.log(2 * np.pi) - 0.5 - np.log(2)
        # The fitted scales bring a bias of order 1/n each.
        assert abs(d.mean() - expected) < 5 * d.std() / math.sqrt(channels) + 2 / n
        assert np.sign(kernels.shape(a).tail.mean()) == np.sign(expected)


@pytest.mark.parametrize("rate", [0.001, 0.2, 0.5])
def test_rates_are_tested_exactly(rate: float) -> None:
    n, count = 50, np.arange(51)
    np.testing.assert_allclose(kernels.at_least(count, n, rate), stats.binom.sf(count - 1, n, rate), atol=1e-14)
    np.testing.assert_allclose(kernels.at_most(count, n, rate), stats.binom.cdf(count, n, rate), atol=1e-14)


def test_rank_correlations_are_spearmans() -> None:
    series = np.random.default_rng(2).normal(size=(3, 40, 2))
    series[:, :5] = 0
    found = kernels.rank_correlation(series)
    for c in range(2):
        for i, j in ((0, 0), (0, 1), (0, 2), (1, 2)):
            expected, _ = stats.spearmanr(series[i, :, c], series[j, :, c])
            assert found[i, j, c] == pytest.approx(expected)


@pytest.mark.parametrize("top", [1, 7, 200])
def test_the_strongest_images_are_the_first_of_a_descending_sort(top: int) -> None:
    a = marginals()
    np.testing.assert_array_equal(kernels.strongest(a, top), np.argsort(-a, axis=0, kind="stable")[:top])


def test_histograms_are_numpys() -> None:
    a = marginals()
    counts, low, high = kernels.histogram(a, 12)
    for c in range(a.shape[1]):
        expected, edges = np.histogram(a[:, c], bins=12)
        np.testing.assert_array_equal(counts[:, c], expected)
        assert (low[c], high[c]) == pytest.approx((edges[0], edges[-1]))


@pytest.mark.parametrize("draws", [4, 20])
def test_the_error_scale_of_a_silent_channel_is_its_true_one_or_larger(draws: int) -> None:
    rng = np.random.default_rng(3)
    n, channels, truth = 400, 300, 0.3
    se = truth * np.sqrt(rng.chisquare(draws - 1, (n, channels)) / (draws - 1))
    rest_se = truth * np.sqrt(rng.chisquare(draws - 1, channels) / (draws - 1))
    found = kernels.error_scale(se, rest_se, draws)
    # No image's falls under √2 times the typical error. A median of n is within 1.25 σ/√n of its expectation; in
    # variance, χ²'s relative σ is √(2/(draws − 1)), and its density at the median is no thinner than the normal's by
    # more than half: five such errors.
    relative = 5 * 1.25 * 1.5 * math.sqrt(2 / (draws - 1)) / math.sqrt(n) / (stats.chi2.median(draws - 1) / (draws - 1))
    assert (found.min(axis=0) >= math.sqrt(2) * truth * math.sqrt(max(0, 1 - relative))).all()
    assert found.mean() > math.sqrt(2) * truth
