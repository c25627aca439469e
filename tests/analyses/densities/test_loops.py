"""Distances and rank correlations against plain loops over samples, pairs and conditions with scipy."""

import math
import tracemalloc
from itertools import combinations, product

import numpy as np
import pytest
from scipy import stats

from analyses.densities import kernels_distances as distances
from analyses.densities import kernels_ranks as ranks

# Square roots of matrices lose half the digits of what cancels: of distances some 1e-8 of the spread remain.
ROOT = {"rtol": 1e-6, "atol": 1e-7}


def drawn(n: int, m: int, d: int, seed: int = 0, spread: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(d, d))
    return spread * rng.normal(size=(n, d)), spread * (rng.normal(0.3, 1.5, (m, d)) @ mixing)


def bures(a: np.ndarray, b: np.ndarray) -> float:
    """W₂² of normal laws, from matrices (dimensions, dimensions)."""
    s, t = (np.atleast_2d(np.cov(x, rowvar=False, ddof=0)) for x in (a, b))
    values, vectors = np.linalg.eigh(s)
    root = vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T
    both = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ t @ root), 0)).sum()
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(s) + np.trace(t) - 2 * both)


def energy(a: np.ndarray, b: np.ndarray, own: bool) -> float:
    """From every pair of samples, a sample's pair with itself included or not."""
    across = np.mean([math.dist(x, y) for x, y in product(a, b)])
    within = [
        np.mean([math.dist(z[i], z[j]) for i, j in product(range(len(z)), repeat=2) if own or i != j]) for z in (a, b)
    ]
    return float(2 * across - sum(within))


def sliced(a: np.ndarray, b: np.ndarray, projections: int, seed: int) -> float:
    """Root of the mean over the legacy generator's directions of W₂² between sorted samples."""
    directions = np.random.RandomState(seed).randn(a.shape[1], projections)
    squares = []
    for direction in directions.T:
        # As many of either: each sample as often as there are of the other law.
        x, y = (np.sort(np.repeat(one @ direction, many)) for one, many in ((a, len(b)), (b, len(a))))
        squares.append(((x - y) ** 2).mean() / (direction @ direction))
    return math.sqrt(np.mean(squares))


SIZES = [(12, 9, 3), (5, 12, 5), (4, 4, 6), (7, 7, 7), (6, 20, 1)]


@pytest.mark.parametrize(("n", "m", "d"), SIZES)
@pytest.mark.parametrize("seed", [0, 3])
def test_each_measure_is_what_it_says_of_all_pairs_of_samples(n: int, m: int, d: int, seed: int) -> None:
    a, b = drawn(n, m, d, seed, spread=0.2)
    half = min(n, m) // 2
    parts = [(x[:half], x[half : 2 * half]) for x in (a, b)]
    across = np.mean([bures(x, y) for x in parts[0] for y in parts[1]])
    expected = {
        "energy": energy(a, b, own=False),
        "energy_plug_in": energy(a, b, own=True),
        "sliced_wasserstein": sliced(a, b, 7, seed),
        "gaussian_wasserstein": math.sqrt(bures(a, b)),
        "gaussian_wasserstein_debiased": across - np.mean([bures(*both) for both in parts]),
        "patch_wasserstein": math.sqrt(bures(a, b)),
    }
    assert set(expected) == set(distances.MEASURES)
    for measure, value in expected.items():
        found = distances.measured(a, b, measure, projections=7, seed=seed)
        np.testing.assert_allclose(found, value, **ROOT, err_msg=measure)


def test_a_law_is_at_no_distance_from_itself_whatever_rounding_says() -> None:
    for seed in range(20):
        a, _ = drawn(6, 6, 3, seed)
        assert 0 <= distances.gaussian_wasserstein(a, a) < 1e-6


def test_many_samples_of_few_numbers_make_no_matrix_of_samples_by_samples() -> None:
    a, b = drawn(1000, 1000, 2)
    tracemalloc.start()
    distances.gaussian_wasserstein(a, b)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 * 1000 * 1000 / 4


@pytest.mark.parametrize(("rows", "cols", "side"), [(8, 12, 4), (9, 7, 4), (5, 11, 2), (3, 9, 4), (9, 3, 4), (2, 2, 1)])
def test_tiles_are_squares_cut_from_the_top_left_in_reading_order(rows: int, cols: int, side: int) -> None:
    samples = np.random.default_rng(0).random((3, 2, rows, cols))
    size = min(side, rows, cols)
    places = product(range(0, rows - size + 1, size), range(0, cols - size + 1, size))
    expected = np.stack([samples[:, :, r : r + size, c : c + size].reshape(3, -1) for r, c in places], axis=1)
    np.testing.assert_array_equal(distances.tiles(samples, side), expected)


def test_tiles_are_of_four_pixels_by_four_and_fewer_than_four_samples_are_too_few() -> None:
    assert distances.tiles(np.zeros((2, 3, 8, 8))).shape == (2, 4, 48)
    assert distances.LEAST_SAMPLES == 4


def test_the_distance_of_tiles_is_of_all_of_them_pooled_times_the_root_of_their_number() -> None:
    a, b = (x.reshape(-1, 5, 3) for x in drawn(40, 60, 3))
    found = distances.measured(a, b, "patch_wasserstein", projections=1, seed=0)
    np.testing.assert_allclose(found, math.sqrt(5 * bures(a.reshape(-1, 3), b.reshape(-1, 3))), **ROOT)


@pytest.mark.parametrize("conditions", [2, 3, 9])
@pytest.mark.parametrize("seed", [0, 1])
def test_pairs_are_all_or_some_without_one_twice(conditions: int, seed: int) -> None:
    every = ranks.chosen_pairs(conditions, None, seed)
    assert sorted(map(tuple, every.tolist())) == list(combinations(range(conditions), 2))
    for count in range(1, len(every) + 3):
        found = ranks.chosen_pairs(conditions, count, seed)
        if count >= len(every):
            np.testing.assert_array_equal(found, every)
            continue
        places = [every.tolist().index(pair) for pair in found.tolist()]
        assert places == sorted(set(places))
        assert len(places) == count


def test_some_pairs_are_those_that_the_seed_draws() -> None:
    every = ranks.chosen_pairs(9, None, 0)
    for seed in range(5):
        drawn_places = np.random.default_rng(seed).choice(36, 10, replace=False)
        np.testing.assert_array_equal(ranks.chosen_pairs(9, 10, seed), every[np.sort(drawn_places)])


@pytest.mark.parametrize("chunk", [ranks.CHUNK, 2, 9, 10])
@pytest.mark.parametrize("channels", [0, 1, 3])
def test_distances_of_features_are_a_loop_over_pairs(
    chunk: int, channels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranks, "CHUNK", chunk)
    rng = np.random.default_rng(0)
    features, noise = rng.normal(size=(6, channels)), rng.gamma(1.0, size=6)
    pairs = ranks.chosen_pairs(6, 11, 0)
    plain = [math.dist(features[i], features[j]) for i, j in pairs]
    squares = [d**2 - noise[i] - noise[j] for d, (i, j) in zip(plain, pairs, strict=True)]
    np.testing.assert_allclose(ranks.feature_distances(features, pairs), plain, rtol=1e-12)
    unbiased = [math.copysign(math.sqrt(abs(s)), s) for s in squares]
    np.testing.assert_allclose(ranks.feature_distances(features, pairs, noise), unbiased, rtol=1e-9)
    assert channels < 3 or len(set(np.sign(unbiased))) == 2


@pytest.mark.parametrize("shape", [(7,), (3, 7), (4, 3, 7), (7, 7, 7)])
def test_rank_correlation_is_scipys_of_each_pair_of_rows(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(4)
    a, b = rng.integers(0, 5, size=(2, *shape)).astype(float)
    found = ranks.spearman(a, b)
    assert found.shape == shape[:-1]
    for place in np.ndindex(shape[:-1]):
        np.testing.assert_allclose(found[place], stats.spearmanr(a[place], b[place])[0], rtol=1e-9, atol=1e-12)
    assert np.isnan(ranks.spearman(a, np.ones(shape))).all()
    assert np.isnan(ranks.spearman(np.ones(shape), b)).all()


def weighed() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    a, b = rng.integers(0, 6, size=(2, 14)).astype(float)
    weights = rng.integers(0, 4, size=(6, 14)).astype(float)
    # One in which two pairs count, one with a single pair and one with none.
    weights[3:] = 0
    weights[3, [2, 5]], weights[4, 1] = 1, 2
    return a, b, weights


def test_weighted_ranks_count_what_is_below_and_half_of_what_is_level() -> None:
    a, _, weights = weighed()
    found = ranks.weighted_ranks(a, weights)
    for r, i in np.ndindex(weights.shape):
        assert found[r, i] == weights[r, a < a[i]].sum() + weights[r, a == a[i]].sum() / 2


def test_weighted_correlation_is_that_of_values_written_out_as_often_as_they_count() -> None:
    rng = np.random.default_rng(6)
    *_, weights = weighed()
    a, b = rng.normal(2, 1, (2, *weights.shape))
    found = ranks.weighted_correlation(a, b, weights)
    for r in range(4):
        x, y = (np.repeat(one[r], weights[r].astype(int)) for one in (a, b))
        np.testing.assert_allclose(found[r], np.corrcoef(x, y)[0, 1], rtol=1e-9)
    assert np.isnan(found[4:]).all()


@pytest.mark.parametrize("a", [0.1, 4.7, 1e-9])
def test_values_that_are_the_same_where_they_count_have_no_correlation_whatever_rounding_says(a: float) -> None:
    rng = np.random.default_rng(0)
    weights = rng.integers(0, 4, size=(300, 9)).astype(float)
    weights[:, :3] = 0
    weights[:, -1] += 1
    values, other = np.full((300, 9), a), rng.random((300, 9))
    values[:, :3] = rng.random((300, 3))
    assert np.isnan(ranks.weighted_correlation(values, other, weights)).all()
    assert np.isnan(ranks.weighted_correlation(other, values, weights)).all()
    values[:, -1] *= 1 + 1e-5
    several = (weights[:, 3:-1] > 0).any(axis=1)
    assert np.isfinite(ranks.weighted_correlation(values, other, weights)).tolist() == several.tolist()


@pytest.mark.parametrize("chunk", [ranks.CHUNK, 5, 41])
@pytest.mark.parametrize("seed", [0, 7])
def test_resamples_are_of_conditions_and_hold_pairs_of_different_ones(
    chunk: int, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranks, "CHUNK", chunk)
    rng = np.random.default_rng(seed)
    # Two conditions of eight are in no pair.
    conditions = np.array([1, 2, 4, 5, 6, 7])
    pairs = conditions[ranks.chosen_pairs(6, 13, 0)]
    target, *variables = rng.integers(0, 4, size=(3, 13)).astype(float)
    found = ranks.resampled_correlations(variables, target, pairs, resamples=23, seed=seed)
    assert found.shape == (23, 2)
    stream, empty = np.random.default_rng(seed), 0
    for row in found:
        drawn_as_often = dict(zip(conditions, stream.multinomial(6, [1 / 6] * 6), strict=True))
        times = [drawn_as_often[i] * drawn_as_often[j] for i, j in pairs]
        for variable, value in zip(variables, row, strict=True):
            x, y = np.repeat(variable, times), np.repeat(target, times)
            if min(len(set(x)), len(set(y))) < 2:
                assert math.isnan(value)
                empty += 1
            else:
                np.testing.assert_allclose(value, stats.spearmanr(x, y)[0], rtol=1e-9, atol=1e-12)
    assert empty < 23


@pytest.mark.parametrize("chunk", [ranks.CHUNK, 4, 29])
@pytest.mark.parametrize("noisy", [False, True])
@pytest.mark.parametrize(("seed", "channels", "relation"), [(0, 2, 0.0), (1, 2, 0.3), (2, 1, 0.0), (3, 3, 1.0)])
def test_the_p_value_is_of_features_dealt_out_anew(
    chunk: int, noisy: bool, seed: int, channels: int, relation: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranks, "CHUNK", chunk)
    rng = np.random.default_rng(seed)
    conditions = np.array([0, 2, 3, 5])
    features, noise = rng.normal(size=(6, channels)), rng.gamma(1.0, size=6) if noisy else None
    pairs = conditions[ranks.chosen_pairs(4, 5, 0)]

    def measured(order: np.ndarray) -> list[float]:
        dealt = dict(zip(conditions, conditions[order], strict=True))
        out = []
        for i, j in pairs:
            square = math.dist(features[dealt[i]], features[dealt[j]]) ** 2
            square -= 0 if noise is None else noise[dealt[i]] + noise[dealt[j]]
            out.append(math.copysign(math.sqrt(abs(square)), square))
        return out

    target = relation * np.array(measured(np.arange(4))) + rng.random(5)
    observed, stream = stats.spearmanr(measured(np.arange(4)), target)[0], np.random.default_rng(seed)
    # Ranks of five pairs: correlations that differ do so by 0.1 at least.
    every = [stats.spearmanr(measured(stream.permutation(4)), target)[0] for _ in range(43)]
    expected = (1 + sum(one > observed - 0.01 for one in every)) / 44
    found = ranks.permutation_p(features, target, pairs, permutations=43, seed=seed, noise=noise)
    assert found == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("noisy", [False, True])
def test_correlations_a_little_below_the_observed_one_do_not_reach_it(noisy: bool) -> None:
    # Of 66 pairs correlations are dense: within 0.1 below the observed one are some.
    rng = np.random.default_rng(0)
    features, pairs = rng.normal(size=(12, 2)), ranks.chosen_pairs(12, None, 0)
    target, noise = rng.random(66), rng.gamma(1.0, size=12) if noisy else np.zeros(12)

    def correlation(order: np.ndarray) -> float:
        return stats.spearmanr(ranks.feature_distances(features[order], pairs, noise[order]), target)[0]

    observed, stream = correlation(np.arange(12)), np.random.default_rng(2)
    every = [correlation(stream.permutation(12)) for _ in range(200)]
    assert sum(observed - 0.1 < one < observed for one in every) > 5
    expected = (1 + sum(one >= observed for one in every)) / 201
    found = ranks.permutation_p(features, target, pairs, permutations=200, seed=2, noise=noise if noisy else None)
    assert found == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("of", ["target", "features"])
def test_what_is_the_same_for_all_conditions_has_no_p_value(of: str) -> None:
    rng = np.random.default_rng(0)
    pairs = ranks.chosen_pairs(5, None, 0)
    features = np.ones((5, 2)) if of == "features" else rng.normal(size=(5, 2))
    target = np.ones(10) if of == "target" else rng.random(10)
    assert math.isnan(ranks.permutation_p(features, target, pairs, permutations=9, seed=0))


def test_no_more_numbers_than_a_chunk_are_held_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    features, pairs = rng.normal(size=(30, 40)), ranks.chosen_pairs(30, None, 0)
    target = rng.random(len(pairs))

    def peak(chunk: int) -> list[int]:
        monkeypatch.setattr(ranks, "CHUNK", chunk)
        found = []
        for one in (
            lambda: ranks.feature_distances(features, pairs),
            lambda: ranks.resampled_correlations([target], target, pairs, resamples=60, seed=0),
            lambda: ranks.permutation_p(features, target, pairs, permutations=60, seed=0),
        ):
            tracemalloc.start()
            one()
            found.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
        return found

    # Twenty and more times the numbers, beside those that are always held.
    assert all(few < many / 4 for few, many in zip(peak(800), peak(10**6), strict=True))
