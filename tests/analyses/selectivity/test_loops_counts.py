"""What numbers of images say of a rate, against scipy's distributions and sums over groups one by one."""

import numpy as np
import pytest
from scipy import stats

from analyses.selectivity import kernels_counts

RATES = [0.004, 0.3, 0.5, 0.9]
GROUPS = [[1], [5], [2, 3], [7, 3, 3, 12, 1], [4, 4, 4], [1, 1, 1, 1, 1, 1], [6, 1, 2]]


def drawn_whole(sizes: list[int], rate: float) -> np.ndarray:
    """P(X = 0, 1, …, n), one group after another: with the others, or none of it."""
    law = np.array([1.0])
    for size in sizes:
        law = np.convolve(law, [1 - rate, *[0.0] * (size - 1), rate])
    return law


def members(sizes: list[int]) -> np.ndarray:
    of = np.repeat(np.arange(len(sizes)), sizes)
    return np.random.default_rng(0).permutation(of)


@pytest.mark.parametrize("sizes", GROUPS)
def test_groups_are_worth_the_square_of_all_over_the_sum_of_their_squares(sizes: list[int]) -> None:
    n = sum(sizes)
    assert kernels_counts.effective(members(sizes), n) == pytest.approx(n * n / sum(m * m for m in sizes))
    assert kernels_counts.effective(None, n) == n


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("n", [1, 2, 9])
def test_of_independent_images_the_law_is_binomial(n: int, rate: float) -> None:
    counts = kernels_counts.Counts(n)
    for count in range(n + 1):
        at_least, at_most = stats.binom.sf(count - 1, n, rate), stats.binom.cdf(count, n, rate)
        for one in (counts.at_least(np.array(count), rate), kernels_counts.at_least(np.array(count), n, rate)):
            assert one == pytest.approx(at_least, rel=1e-9)
        for one in (counts.at_most(np.array(count), rate), kernels_counts.at_most(np.array(count), n, rate)):
            assert one == pytest.approx(at_most, rel=1e-9)
        # Jeffreys' prior, Beta(½, ½), with so many successes and failures more.
        lower = stats.beta.cdf(rate, count + 0.5, n - count + 0.5)
        assert counts.lower(np.array(count), rate) == pytest.approx(lower, rel=1e-9)


@pytest.mark.parametrize("n", [7.3, 10.05, np.array([2.5, 10.02, 31.0])])
def test_between_whole_numbers_the_beta_law_goes_on(n: float | np.ndarray) -> None:
    count = np.array([0.4, 1.0, 2.2]) if np.ndim(n) else np.array([0.0, 0.4, 1.0, 2.2, 6.0, np.floor(n), n])
    at_least, at_most = kernels_counts.at_least(count, n, 0.3), kernels_counts.at_most(count, n, 0.3)
    for i, (k, of) in enumerate(zip(count, np.broadcast_to(n, count.shape), strict=True)):
        assert at_least[i] == pytest.approx(stats.beta.cdf(0.3, k, of - k + 1) if k > 0 else 1.0, rel=1e-9)
        assert at_most[i] == pytest.approx(stats.beta.sf(0.3, k + 1, of - k) if k < of else 1.0, rel=1e-9)


@pytest.mark.parametrize("more", [-1e-9, 0.0, 1e-12, 0.5])
def test_but_for_a_trace_of_an_image_all_are_surely_at_most_all(more: float) -> None:
    assert kernels_counts.at_most(np.array([1.0 + more, 0.2]), np.array([1.0, 0.2 + 1e-10]), 0.999).tolist() == [1, 1]


def test_a_trace_is_a_billionth_of_an_image_and_no_more() -> None:
    assert kernels_counts.at_most(np.array(0.0), 1e-9, 0.999) == 1
    # (1 − rate)^(n − count) of none.
    found = kernels_counts.at_most(np.array(0.0), 2e-9, 1 - 1e-12)
    assert found == pytest.approx(1 + 2e-9 * np.log(1e-12), rel=1e-12)
    assert found < 1


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("sizes", GROUPS)
def test_the_law_of_whole_groups_is_that_of_sums_one_after_another(sizes: list[int], rate: float) -> None:
    found = kernels_counts.whole_groups(np.array(sizes), rate)
    assert found.min() >= 0
    np.testing.assert_allclose(found, drawn_whole(sizes, rate), atol=1e-14)


@pytest.mark.parametrize("sizes", GROUPS)
def test_of_groups_p_values_are_sums_of_that_law_and_never_below_a_trillionth(sizes: list[int]) -> None:
    n = sum(sizes)
    counts = kernels_counts.Counts(n, members(sizes))
    every = np.arange(n + 1)
    # Each rate twice, since what is known of it is kept.
    for rate in (*RATES, 1e-9, *RATES):
        law = drawn_whole(sizes, rate)
        found = counts.at_least(every, rate), counts.at_most(every, rate), counts.lower(every, rate)
        for count in range(n + 1):
            more, least, most = law[count + 1 :].sum(), law[count:].sum(), law[: count + 1].sum()
            expected = [max(least, 1e-12), max(most, 1e-12), (least + more) / 2]
            np.testing.assert_allclose([one[count] for one in found], expected, rtol=1e-9, atol=1e-13)


def test_probabilities_of_groups_are_none_beyond_1_or_below_0_by_rounding() -> None:
    sizes = [3, 8, 1, 5, 13, 2, 2, 9]
    every = np.arange(sum(sizes) + 1)
    counts = kernels_counts.Counts(sum(sizes), members(sizes))
    laws = {rate: kernels_counts.whole_groups(np.array(sizes), rate) for rate in np.linspace(0.01, 0.99, 60)}
    # Else rounding would not show.
    assert any(law.sum() > 1 for law in laws.values())
    for rate in laws:
        for p in (counts.at_least(every, rate), counts.at_most(every, rate)):
            assert p.min() >= 1e-12
            assert p.max() <= 1
        assert counts.lower(every, rate).min() >= 0
