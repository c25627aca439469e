"""Intervals that every room shares: closed forms, and coverage with few units."""

import math

import numpy as np
import pytest
from scipy.stats import binomtest, t

from analyses.ground import estimated_mean, holm, interval, jackknife_deviation, resampled_means, wilson

LEVEL = 0.95


@pytest.mark.parametrize("units", [100, 400])
def test_the_interval_of_a_mean_is_students_for_normal_numbers(units: int) -> None:
    rng = np.random.default_rng(units)
    values = rng.normal(size=(units, 60))
    mean, low, high = estimated_mean(values, resamples=40_000, level=LEVEL, seed=1)
    half = t.ppf((1 + LEVEL) / 2, units - 1) * values.std(axis=0, ddof=1) / math.sqrt(units)
    np.testing.assert_allclose(mean, values.mean(axis=0))
    # A tail of 2.5 % of 40,000 resamples is known to 0.7 % of the half width (√(pq/R) over the density there): five
    # times that, and as much again for the bootstrap's own tails, which differ from the normal law's by order 1/n.
    assert (abs((high - low) / 2 / half - 1) < 0.05).all()


def test_the_widening_is_a_change_of_level_alone_and_goes_away_with_many_units() -> None:
    drawn = np.random.default_rng(0).normal(size=(100_000, 1))
    plain = np.quantile(drawn, [0.025, 0.975])
    np.testing.assert_allclose(np.ravel(interval(drawn, LEVEL, units=10**7)), plain, rtol=1e-3)
    few = np.ravel(interval(drawn, LEVEL, units=10))
    # Normal statistics of standard deviation 1: the ends are at Student's quantile times √(10/9).
    np.testing.assert_allclose(few, np.array([-1, 1]) * t.ppf(0.975, 9) * math.sqrt(10 / 9), rtol=0.02)


def test_of_a_single_unit_nothing_is_known() -> None:
    low, high = interval(np.zeros((100, 3)), LEVEL, units=1)
    assert np.isnan([low, high]).all()
    assert low.shape == (3,)


def test_missing_values_are_left_out_of_their_column() -> None:
    values = np.array([[1.0, np.nan], [3.0, 5.0], [np.nan, 7.0]])
    assert estimated_mean(values, resamples=100).value.tolist() == [2.0, 6.0]
    assert np.isnan(estimated_mean(np.full((3, 1), np.nan), resamples=100).value).all()


def test_whole_clusters_are_resampled() -> None:
    members = np.repeat(["a", "b", "c"], 4)
    values = np.repeat([0.0, 1.0, 2.0], 4)
    drawn = resampled_means(values, clusters=members, resamples=500, seed=0)
    assert set(np.round(drawn * 3).astype(int)) == set(range(7))
    assert np.allclose(drawn * 3, np.round(drawn * 3))


def test_the_jackknifes_deviation_of_a_mean_is_its_standard_error() -> None:
    values = np.random.default_rng(3).gamma(1.0, size=30)
    without = (values.sum() - values) / 29
    assert jackknife_deviation(without) == pytest.approx(values.std(ddof=1) / math.sqrt(30))


@pytest.mark.parametrize(("hits", "n"), [(0, 10), (3, 10), (10, 10), (50, 200)])
def test_wilsons_interval_is_scipys(hits: int, n: int) -> None:
    low, high = wilson(np.array(hits / n), n, LEVEL)
    expected = binomtest(hits, n).proportion_ci(LEVEL, method="wilson")
    assert (float(low), float(high)) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_holms_correction_of_a_worked_example() -> None:
    p = np.array([[0.01], [0.04], [0.03], [np.nan]])
    np.testing.assert_allclose(holm(p), [[0.03], [0.06], [0.06], [np.nan]])


@pytest.mark.parametrize(("rate", "span"), [(1.0, (0, 1)), (0.0, (0, 1)), (0.0, (-1, 1))])
def test_units_that_are_all_alike_leave_open_what_others_could_be(rate: float, span: tuple[float, float]) -> None:
    units, level = 12, 0.95
    found = estimated_mean(np.full((units, 2), rate), span=span, level=level, resamples=100)
    # A share s of others is missed by all twelve with probability (1 − s)¹², 2.5 % at the largest that is not excluded.
    share = 1 - 0.025 ** (1 / units)
    np.testing.assert_allclose(found.low, rate + share * (span[0] - rate))
    np.testing.assert_allclose(found.high, rate + share * (span[1] - rate))
    plain = estimated_mean(np.full((units, 2), rate), level=level, resamples=100)
    assert (plain.low == plain.high).all()


def test_a_rate_that_a_few_units_do_not_show_is_covered() -> None:
    # One unit in ten is a miss: of ten units none is in 35 % of sets, where resampling alone says 1 for sure.
    rng = np.random.default_rng(0)
    values = (rng.random((10, 400)) < 0.9).astype(float)
    low, high = estimated_mean(values, span=(0, 1), resamples=400)[1:]
    plain_low, _ = estimated_mean(values, resamples=400)[1:]
    assert ((low <= 0.9) & (high >= 0.9))[values.all(axis=0)].all()
    assert not (plain_low <= 0.9)[values.all(axis=0)].any()


def test_values_that_vary_are_left_as_they_are() -> None:
    values = np.random.default_rng(0).random((30, 3))
    both = (estimated_mean(values, resamples=200, span=span) for span in (None, (0.0, 1.0)))
    for one, other in zip(*both, strict=True):
        np.testing.assert_array_equal(one, other)
