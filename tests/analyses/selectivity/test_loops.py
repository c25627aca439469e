"""Standard errors, zones and lists of images against plain loops over channels and images."""

import math

import numpy as np
import pytest
from scipy import stats

from analyses.selectivity import kernels

SHIFTS = (0, 1, 1.5, 2, 2.5, 3, 3.5, 4)


def errors(a: np.ndarray, se: np.ndarray, rest_se: float, window: int) -> tuple[list[float], float]:
    """Of one channel: each image's variance or that of those whose a is nearest in order, whichever is larger."""
    n = len(a)
    window = min(window, n)
    order = sorted(range(n), key=lambda i: (a[i], se[i]))
    near = {}
    for place, i in enumerate(order):
        first = min(max(place - window // 2, 0), n - window)
        near[i] = sum(se[j] ** 2 for j in order[first : first + window]) / window
    least = min(abs(a))
    rest = max(rest_se**2, *(near[i] for i in range(n) if abs(a[i]) == least), 0.0)
    return [math.sqrt(max(se[i] ** 2, near[i]) + rest) for i in range(n)], math.sqrt(rest)


@pytest.mark.parametrize("options", [{}, {"neighbours": 1}, {"neighbours": 4}, {"neighbours": 7}])
@pytest.mark.parametrize("n", [1, 5, 20, 21, 70])
@pytest.mark.parametrize("ties", [False, True])
def test_standard_errors_are_the_larger_of_their_own_and_their_neighbours(n: int, ties: bool, options: dict) -> None:
    rng = np.random.default_rng(n)
    a = rng.normal(size=(n, 5))
    if ties:
        # Several images are nearest to rest, on either side.
        a = np.sign(a) * np.ceil(2 * abs(a))
    se, rest_se = rng.gamma(1.0, 0.3, size=(n, 5)), np.array([0.0, 0.1, 0.3, 0.6, 2.0])
    found, of_rest = kernels.standard_error(a, se, rest_se, **options)
    for c in range(5):
        expected, rest = errors(a[:, c], se[:, c], rest_se[c], options.get("neighbours", 20))
        # Sums of neighbours are taken as differences of sums of all.
        np.testing.assert_allclose(found[:, c], expected, rtol=1e-9)
        assert of_rest[c] == pytest.approx(rest, rel=1e-9)


def usual(size: np.ndarray) -> float:
    """Σb²/Σb of sizes of which the largest, 1 in 250 and one at least, count as the next."""
    b = sorted(size)
    cut = math.ceil((len(b) - 1) / 250)
    b = [min(x, b[len(b) - 1 - cut]) for x in b]
    return sum(x * x for x in b) / sum(b) if any(b) else 0.0


@pytest.mark.parametrize("n", [1, 2, 3, 80, 300, 700])
def test_typical_responses_are_weighed_by_themselves(n: int) -> None:
    size = np.random.default_rng(n).exponential(size=(n, 4)) ** 2
    size[:, 1] = 0
    size[:, 2] = 0.3
    size[1:, 3] = 0
    np.testing.assert_allclose(kernels.typical(size), [usual(column) for column in size.T])


def test_activity_is_what_is_beyond_rest() -> None:
    phi, rest = np.random.default_rng(0).normal(size=(4, 3)), np.array([1.0, -2.0, 0.5])
    found = kernels.above(phi, rest)
    for i, c in np.ndindex(4, 3):
        assert found[i, c] == phi[i, c] - rest[c]


def worth(chosen: list[int], members: np.ndarray | None) -> float:
    """Kish's number of independent images that these are worth."""
    if members is None or not chosen:
        return len(chosen)
    own = [members[i] for i in chosen]
    return len(own) ** 2 / sum(own.count(g) ** 2 for g in set(own))


def activities(n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Channels (images, channels) with their errors and those of rest: random ones, and on a grid that meets bounds."""
    rng = np.random.default_rng(n)
    grid = rng.integers(-6, 7, size=n).astype(float)
    alone = np.full(n, 0.01)
    alone[n // 2] = 3.0
    columns = [
        # Clear of rest from 5 errors on, exactly, and near within 1; shifts of whole steps.
        (grid / 4, 0.0625 * 4 / 5, 0.25),
        (grid / 4, 0.25, 0.25),
        (rng.normal(0.2, 1, n), 0.1, 0.15),
        (rng.normal(0, 1, n), 0.3, 0.4),
        # Errors so small that a tenth of what is typical bounds both zones.
        (rng.exponential(size=n) - 0.1, 1e-4, 0.02),
        (rng.laplace(size=n), 0.0, 0.05),
        (np.ones(n), 0.01, 0.0),
        # Exactly a tenth of what is typical: in no zone but near.
        (np.array([0.125 * 10, *[0.125] * (n - 1)]), 0.125, 0.0),
        (np.zeros(n), 0.0, 0.0),
        (np.zeros(n), 0.1, 0.1),
        (alone, 0.1, 0.05),
        (-alone, 0.1, 0.05),
    ]
    errors_of = np.stack([of * np.ones(n) for _, of, _ in columns], axis=1)
    errors_of[:, 3] *= rng.gamma(2.0, 0.5, size=n)
    return np.stack([a for a, *_ in columns], axis=1), errors_of, np.array([rest for *_, rest in columns])


@pytest.mark.parametrize("in_groups", [False, True])
@pytest.mark.parametrize("n", [40, 90])
def test_zones_are_counted_image_by_image(n: int, in_groups: bool) -> None:
    activity, error, of_rest = activities(n)
    members = np.unique(np.random.default_rng(0).integers(0, n // 3, n), return_inverse=True)[1] if in_groups else None
    found = kernels.zones(activity, error, of_rest, members)
    for c in range(activity.shape[1]):
        a = activity[:, c]
        small = 0.1 * usual(abs(a))
        bound, off = (np.maximum(times * error[:, c], small) for times in (5, 1))
        images = range(n)
        assert found.above[c] == sum(a[i] > bound[i] for i in images)
        assert found.below[c] == sum(-a[i] > bound[i] for i in images)
        assert found.near[c] == sum(abs(a[i]) <= off[i] for i in images)
        for s, shift in enumerate(SHIFTS):
            for sign, counts, worths in (
                (1, found.if_higher, found.worth_if_higher),
                (-1, found.if_lower, found.worth_if_lower),
            ):
                # As a where rest lies elsewhere, with the bounds of where it was taken to be.
                by = sign * shift * of_rest[c]
                expected = [
                    sum(side * a[i] > least[i] + side * by for i in images)
                    for least in (bound, off)
                    for side in (1, -1)
                ]
                assert counts[:, s, c].tolist() == expected
                chosen = [i for i in images if abs(a[i] - by) > bound[i]]
                assert worths[s, c] == pytest.approx(worth(chosen, members))


def test_errors_may_be_the_same_of_all_images() -> None:
    activity, _, of_rest = activities(40)
    every = np.full(activity.shape[1], 0.1)
    for one, other in zip(
        kernels.zones(activity, every, of_rest),
        kernels.zones(activity, np.tile(every, (40, 1)), of_rest),
        strict=True,
    ):
        np.testing.assert_array_equal(one, other)


def first_of(column: np.ndarray, top: int) -> list[int]:
    return sorted(range(len(column)), key=lambda i: (-column[i], i))[:top]


@pytest.mark.parametrize("n", [6, 40, 3000])
@pytest.mark.parametrize("top", [1, 2, 5, 6, 39, 40, 41])
def test_the_strongest_images_are_in_falling_order(n: int, top: int) -> None:
    a = np.random.default_rng(n).normal(size=(n, 6))
    found = kernels.strongest(a, top)
    assert found.shape == (min(top, n), 6)
    for c in range(6):
        assert found[:, c].tolist() == first_of(a[:, c], top)


@pytest.mark.parametrize("top", [4, 12, 20])
def test_of_the_strongest_that_are_equal_the_first_image_comes_first(top: int) -> None:
    a = np.random.default_rng(0).normal(size=(12, 6))
    # The first four or none of five more are asked for: no two that are equal lie on either side of the last.
    a[[2, 5, 7, 11]] = 9.0
    a[[0, 3, 10]] = -9.0
    found = kernels.strongest(a, top)
    for c in range(6):
        assert found[:, c].tolist() == first_of(a[:, c], top)


@pytest.mark.parametrize("n", [12, 40, 300])
def test_of_equal_images_at_the_end_of_the_list_the_first_are_in_it(n: int) -> None:
    a = np.random.default_rng(0).integers(0, 4, size=(n, 30)).astype(float)
    found = kernels.strongest(a, 7)
    for c in range(30):
        assert found[:, c].tolist() == first_of(a[:, c], 7)


def test_lists_overlap_by_the_share_that_both_hold() -> None:
    rng = np.random.default_rng(0)
    lists = np.stack([np.stack([rng.permutation(9)[:4] for _ in range(12)], axis=1) for _ in range(2)])
    lists[1, :, 0], lists[1, :, 1] = lists[0, ::-1, 0], (lists[0, :, 1] + 20)
    found = kernels.overlap(*lists)
    for c in range(12):
        assert found[c] == len(set(lists[0, :, c]) & set(lists[1, :, c])) / 4
    assert found[:2].tolist() == [1, 0]


def test_rank_correlations_are_scipys_of_each_two_series() -> None:
    series = np.random.default_rng(1).integers(0, 6, size=(3, 15, 5)).astype(float) * 1.7
    series[2, :, 3] = 0.1
    found = kernels.rank_correlation(series)
    for s, t, c in np.ndindex(3, 3, 5):
        if c == 3 and 2 in (s, t):
            assert np.isnan(found[s, t, c])
        else:
            assert found[s, t, c] == pytest.approx(stats.spearmanr(series[s, :, c], series[t, :, c]).statistic)


@pytest.mark.parametrize("bins", [1, 4, 7])
def test_histograms_have_equal_bins_from_the_least_to_the_largest(bins: int) -> None:
    rng = np.random.default_rng(bins)
    a = rng.normal(3, 1, size=(50, 4))
    # Numbers on the edges between bins, where each belongs to the upper one, but the largest.
    a[:, 1] = rng.permutation([*range(bins + 1)] * 50)[:50] * 0.5 - 1
    a[:, 3] = 0.7
    counts, low, high = kernels.histogram(a, bins)
    assert counts.shape == (bins, 4)
    for c in range(4):
        assert (low[c], high[c]) == (min(a[:, c]), max(a[:, c]))
        expected = [0] * bins
        for x in a[:, c]:
            share = (x - low[c]) / (high[c] - low[c]) if c != 3 else 0.0
            expected[min(int(share * bins), bins - 1)] += 1
        assert counts[:, c].tolist() == expected
