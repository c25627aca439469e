"""Selectivity's kernels against scipy and closed forms."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from analyses.selectivity import kernels, kernels_counts, kernels_types


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


@pytest.mark.parametrize("n", [60, 200, 900])
def test_the_normal_law_is_shown_by_pearsons_third_type_with_the_skew_of_the_boundary(n: int) -> None:
    a = np.random.default_rng(0).normal(size=(n, 6)) + np.linspace(0, 1, 6) * marginals(n)
    for column, found in zip(a.T, kernels.shape(a).p_normal, strict=True):
        laplace = stats.laplace.logpdf(column, *stats.laplace.fit(column))
        d = laplace - stats.norm.logpdf(column, *stats.norm.fit(column))
        # The mean of n has the skewness over √n; a Gamma law of shape 16, the least, has ½.
        law = stats.pearson3(min(kernels.BOUNDARY_SKEW / math.sqrt(n), 0.5))
        expected = law.cdf(math.sqrt(n) * d.mean() / max(d.std(), kernels.BOUNDARY_SD))
        assert found == pytest.approx(expected, rel=1e-6, abs=1e-12)


def test_two_peaks_are_closer_to_the_normal_law_than_chance_at_the_boundary_ever_is() -> None:
    n = 200
    a = np.tile([-1.0, 1.0], n // 2)[:, None] + 0.1 * np.random.default_rng(0).standard_normal((n, 4))
    for column, found in zip(a.T, kernels.shape(a).p_normal, strict=True):
        laplace = stats.laplace.logpdf(column, *stats.laplace.fit(column))
        d = laplace - stats.norm.logpdf(column, *stats.norm.fit(column))
        # Pearson's third type ends 2/skewness standard deviations below its mean: there is nothing further down.
        assert math.sqrt(n) * d.mean() / max(d.std(), kernels.BOUNDARY_SD) < -2 * math.sqrt(n) / kernels.BOUNDARY_SKEW
        assert found == pytest.approx(0, abs=1e-12)


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
    np.testing.assert_allclose(kernels_counts.at_least(count, n, rate), stats.binom.sf(count - 1, n, rate), atol=1e-14)
    np.testing.assert_allclose(kernels_counts.at_most(count, n, rate), stats.binom.cdf(count, n, rate), atol=1e-14)


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


@pytest.mark.parametrize("n", [7, 60])
def test_the_standard_error_is_the_largest_of_its_own_and_its_neighbours_and_includes_rests(n: int) -> None:
    rng = np.random.default_rng(3)
    a, se, rest_se = rng.normal(size=(n, 4)), rng.gamma(1.0, size=(n, 4)), rng.gamma(1.0, size=4)
    found, of_rest = kernels.standard_error(a, se, rest_se)
    for c in range(4):
        order = list(np.argsort(a[:, c]))
        near = []
        for i in range(n):
            window = min(20, n)
            first = min(max(order.index(i) - window // 2, 0), n - window)
            near.append(float((se[order[first : first + window], c] ** 2).mean()))
        rest = max(rest_se[c] ** 2, near[int(np.abs(a[:, c]).argmin())])
        assert of_rest[c] == pytest.approx(math.sqrt(rest))
        for i in range(n):
            assert found[i, c] == pytest.approx(math.sqrt(max(se[i, c] ** 2, near[i]) + rest))


def difference(law) -> tuple[float, float, float]:
    """s/b of a law, and standard deviation and skewness of the difference of the fitted laws' log-likelihoods."""
    # Up to where tails no longer count at the sixth power.
    bounds = {"lb": law.ppf(1e-13), "ub": law.isf(1e-13), "limit": 400}
    middle, mean, s = law.median(), law.mean(), law.std()
    b = law.expect(lambda x: abs(x - middle), **bounds)

    def d(x: float) -> float:
        return 0.5 * ((x - mean) / s) ** 2 - abs(x - middle) / b

    centre = law.expect(d, **bounds)
    variance = law.expect(lambda x: (d(x) - centre) ** 2, **bounds)
    return s / b, math.sqrt(variance), law.expect(lambda x: (d(x) - centre) ** 3, **bounds) / variance**1.5


BOUNDARY = {
    "exponential power": stats.gennorm(1.41645),
    "Student's t": stats.t(7.13212),
    "gamma": stats.gamma(2.89931),
    "inverse Gaussian": stats.invgauss(0.138430),
    "Weibull": stats.weibull_min(1.372432),
    "lognormal": stats.lognorm(0.340422),
}


@pytest.mark.parametrize("name", BOUNDARY)
def test_under_laws_of_the_boundary_the_difference_is_no_wider_and_no_less_skewed_than_is_taken(name: str) -> None:
    ratio, deviation, skew = difference(BOUNDARY[name])
    assert ratio == pytest.approx(2 * math.sqrt(math.e) / math.sqrt(2 * math.pi), rel=1e-5)
    assert deviation <= kernels.BOUNDARY_SD
    # What lacks in skew has room in width.
    assert skew >= kernels.BOUNDARY_SKEW or deviation < 0.7 * kernels.BOUNDARY_SD


def p_values_of_the_normal_law_are_valid(name: str, n: int) -> None:
    channels = 4000
    a = BOUNDARY[name].rvs((n, channels), random_state=np.random.default_rng(4))
    p = kernels.shape(a).p_normal
    for size in (0.05, 0.01, 0.001):
        # 3.5 binomial standard deviations.
        assert (p <= size).mean() <= size + 3.5 * math.sqrt(size * (1 - size) / channels)


@pytest.mark.parametrize("n", [40, 100, 400])
@pytest.mark.parametrize("name", BOUNDARY)
def test_p_values_of_the_normal_law_under_laws_of_the_boundary_are_valid(name: str, n: int) -> None:
    p_values_of_the_normal_law_are_valid(name, n)


def test_probabilities_of_types_are_between_0_and_1_and_large_where_the_type_is_plain() -> None:
    rng = np.random.default_rng(5)
    n = 400
    raised = 5 + rng.normal(size=n)
    activity = np.stack(
        [
            rng.choice([-5.0, 5.0], n) + 0.1 * rng.normal(size=n),  # fails the criteria of all types but mixed
            np.full(n, 5.0),
            np.zeros(n),
            raised,
            -raised,
            np.where(rng.random(n) < 0.05, 20 * rng.exponential(size=n), 0),
            rng.laplace(size=n),
        ],
        axis=1,
    )
    error = np.full(activity.shape, 0.1)
    zones, shape = kernels.zones(activity, error, np.full(7, 0.01)), kernels.shape(activity)
    rates = kernels_types.Rates(false_alarm=0.01, rare=0.02, few=0.3, nearly_none=0.05, far=0.01)
    found = kernels_types.weighed(zones, shape, kernels_counts.Counts(n), rates).probability
    values = np.stack([found[kind] for kind in kernels_types.ONE_OF])
    assert values.min() >= 0
    assert values.max() <= 1
    assert found["mixed"][0] > 0.9
    assert found["silent"][2] > 0.9
    assert found["common"][3] > 0.5
    assert found["suppressed"][4] > 0.9
    # Of a constant channel it is unknown whether the normal law is closer, or a heavier one: common is as likely as
    # not, and nothing speaks for mixed.
    assert 0.3 < found["common"][1] <= 0.5
    assert found["mixed"][1] < 0.05


def test_typical_responses_are_weighed_by_themselves_and_no_image_owns_them() -> None:
    size = np.random.default_rng(0).exponential(size=(1000, 3))
    ordered = np.sort(size, axis=0)
    # The four largest of a thousand count as the fifth.
    ordered[-4:] = ordered[-5]
    np.testing.assert_allclose(kernels.typical(size), (ordered**2).sum(axis=0) / ordered.sum(axis=0))
    broken = size.copy()
    broken[[3, 70]] *= 1e6
    # Two more count as the largest, and the cut rises to what was third: of Σb² = 2000 some 2 · 6² + 4 · (6.5² − 5.5²).
    assert (np.abs(kernels.typical(broken) / kernels.typical(size) - 1) < 0.1).all()
    assert kernels.typical(np.zeros((20, 1))) == 0


@pytest.mark.parametrize("rate", [0.004, 0.3, 0.8])
@pytest.mark.parametrize("sizes", [[7, 3, 3, 12, 1], [4, 4, 4], [1] * 6, [9]])
def test_the_law_of_whole_groups_is_that_of_all_subsets(sizes: list[int], rate: float) -> None:
    expected = np.zeros(sum(sizes) + 1)
    for chosen in itertools.product([False, True], repeat=len(sizes)):
        drawn = sum(m for m, one in zip(sizes, chosen, strict=True) if one)
        expected[drawn] += np.prod([rate if one else 1 - rate for one in chosen])
    np.testing.assert_allclose(kernels_counts.whole_groups(np.array(sizes), rate), expected, atol=1e-14)
    counts = kernels_counts.Counts(sum(sizes), np.repeat(np.arange(len(sizes)), sizes))
    for count in range(sum(sizes) + 1):
        least, most = expected[count:].sum(), expected[: count + 1].sum()
        assert counts.at_least(np.array(count), rate) == pytest.approx(least, abs=1e-12)
        assert counts.at_most(np.array(count), rate) == pytest.approx(most, abs=1e-12)
        more = expected[count + 1 :].sum()
        assert counts.lower(np.array(count), rate) == pytest.approx((least + more) / 2, abs=1e-12)


def test_groups_of_one_image_each_have_the_binomial_law() -> None:
    count = np.arange(51)
    own, named = kernels_counts.Counts(50), kernels_counts.Counts(50, np.arange(50))
    for rate in (0.01, 0.5):
        np.testing.assert_allclose(named.at_least(count, rate), own.at_least(count, rate), atol=1e-11)
        np.testing.assert_allclose(named.at_most(count, rate), own.at_most(count, rate), atol=1e-11)
        # Jeffreys' posterior lies between P(X ≥ count) and P(X > count), as their mean does.
        np.testing.assert_allclose(
            named.lower(count, rate), own.lower(count, rate), atol=stats.binom.pmf(count, 50, rate).max() / 2
        )


def test_images_of_one_group_that_are_clear_of_rest_are_worth_one() -> None:
    members = np.repeat([0, 1, 2, 3], [10, 5, 1, 4])
    activity = np.zeros((20, 2))
    activity[:12, 0], activity[15:17, 0] = 1, -1
    activity[15:16, 1] = 1
    found = kernels.zones(activity, np.full((20, 2), 0.1), np.array([0.3, 0.0]), members)
    # 10, 2, 1 and 1 images of four groups; one of a single group.
    np.testing.assert_allclose(found.worth_if_higher[0], [14**2 / (100 + 4 + 1 + 1), 1])
    # Where rest is higher by 1.5 · 0.3 or more, a step of 1 is no more than 0.55: still clear; of 2.5, no longer.
    np.testing.assert_allclose(found.worth_if_higher[:, 1], 1)
    assert found.worth_if_lower[0, 0] == found.worth_if_higher[0, 0]


@pytest.mark.parametrize("n", [1, 2, 3, 400])
@pytest.mark.parametrize("steps", [1, 3, 1e9], ids=["many equal", "some equal", "none equal"])
def test_images_of_equal_activity_come_by_their_errors_then_as_they_are(n: int, steps: float) -> None:
    rng = np.random.default_rng(n)
    values, errors = np.round(rng.normal(size=(n, 7)) * steps) / steps, rng.integers(0, 4, (n, 7)) / 4
    values[:, 3] = 0
    np.testing.assert_array_equal(kernels._sorted(values, errors), np.lexsort((errors, values), axis=0))
