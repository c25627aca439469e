"""Distances, spreads and what statistics make of distances, against plain loops over images, channels and pairs."""

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import rankdata

from analyses.semantics import kernels_pairs

METRICS = list(kernels_pairs.METRICS)
# Of 16 images one group has half, one more than any other, and some one image.
HALF = np.random.default_rng(0).permutation(np.repeat(np.arange(6), [8, 3, 1, 1, 1, 2]))
UNLIKE = np.random.default_rng(0).permutation(np.repeat(np.arange(5), [3, 5, 1, 4, 3]))
GROUPS = pytest.mark.parametrize("groups", [None, HALF, UNLIKE], ids=["images", "half", "unlike"])


def listed(n: int, groups: np.ndarray | None) -> list[tuple[int, int]]:
    own = range(n) if groups is None else groups
    return [(i, j) for i, j in itertools.combinations(range(n), 2) if own[i] != own[j]]


def active(seed: int, n: int = 16) -> np.ndarray:
    """Activity of five channels, often 0 but never of a whole image; the fourth channel is constant."""
    x = np.maximum(np.random.default_rng(seed).normal(size=(n, 5)), 0)
    x[:, 3] = 0.7
    return x


def variance(x: np.ndarray, groups: np.ndarray | None = None) -> float:
    """Half the mean squared difference over pairs of images, or of images of different groups."""
    values = [float(v) for v in x]
    return math.fsum((values[i] - values[j]) ** 2 for i, j in listed(len(x), groups)) / 2 / len(listed(len(x), groups))


@GROUPS
def test_pairs_that_count_are_of_different_images_or_groups(groups: np.ndarray | None) -> None:
    pairs = listed(16, groups)
    assert list(zip(*(side.tolist() for side in kernels_pairs.pairs_apart(16, groups)), strict=True)) == pairs
    expected = [[(min(i, j), max(i, j)) in pairs for j in range(16)] for i in range(16)]
    found = kernels_pairs.apart(16, groups)
    assert found.dtype == bool
    assert found.tolist() == expected


@GROUPS
def test_deviations_are_those_over_pairs_and_0_where_rounding_is_all_that_varies(groups: np.ndarray | None) -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(16, 5)) * [1, 0.01, 1e-15, 3, 1] + [0, 1, 0, 1e6, -1e6]
    # Rounding of numbers near 10⁶ is 10⁻¹⁰ of what varies.
    expected = [math.sqrt(variance(column, groups)) for column in x.T]
    np.testing.assert_allclose(kernels_pairs.deviations(x, groups), expected, rtol=1e-9)
    single = (100 + rng.normal(size=(16, 3))).astype(np.float32)
    found = kernels_pairs.deviations(single, groups)
    assert found.dtype == np.float64
    expected = [math.sqrt(variance(column, groups)) for column in single.T]
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    steps = np.where(np.arange(16) % 2, 1, -1)[:, None]
    kept = kernels_pairs.deviations(7 * (1 + steps * np.array([1e-2, 1e-11, 1e-13])), groups)
    assert (kept > 0).tolist() == [True, True, False]
    constant = np.tile([0.0, 0.1, 1e9 + 0.1, -3e-7, 1e-20], (16, 1))
    assert kernels_pairs.deviations(constant, groups).tolist() == [0] * 5


def noisy() -> tuple[np.ndarray, np.ndarray]:
    """Channels whose variance is 4 but for one of 1e-4 and a constant one, of which noise takes several shares off."""
    x = np.tile([[-2.0], [0.0], [2.0]], (1, 7)) + np.arange(7)
    x[:, 5], x[:, 6] = 3.0, [-0.01, 0.0, 0.01]
    se = np.array([[0, 1, 1, 3, 1, 1, 0.001], [0, 1, 1, 3, 1, 0, 0.002], [0, 1, 2, 3, 2.01, 1, 0.003]])
    return x, se


def test_the_reliability_of_channels_is_what_noise_leaves_of_their_variance() -> None:
    x, se = noisy()
    shares = [1, 0.75, 0.5, 1 - 9 / 4, 1 - (2 + 2.01**2) / 12, np.nan, 1 - (14e-6 / 3) / 1e-4]
    np.testing.assert_allclose(kernels_pairs.channel_reliability(x, se), shares)
    # Half of the variance is enough, to the bit, and no less.
    kept = [2, 2 * math.sqrt(0.75), 2 * math.sqrt(0.5), 0, 0, 0, 0.01 * math.sqrt(shares[-1])]
    np.testing.assert_allclose(kernels_pairs.signal_deviations(x, se), kept)
    np.testing.assert_allclose(kernels_pairs.spreads(x, se), kept)
    np.testing.assert_allclose(kernels_pairs.spreads(x), [2, 2, 2, 2, 2, 0, 0.01])


@GROUPS
def test_reliability_and_spreads_over_groups_are_those_of_their_pairs(groups: np.ndarray | None) -> None:
    rng = np.random.default_rng(2)
    x, se = active(2), rng.uniform(0.1, 0.4, (16, 5)).astype(np.float32) * [1, 1.5, 0, 1, 0.2]
    varying = [0, 1, 2, 4]
    full = np.array([variance(x[:, c], groups) for c in varying])
    shares = np.array([1 - math.fsum(float(s) ** 2 for s in se[:, c]) / 16 for c in varying])
    shares = 1 - (1 - shares) / full
    found = kernels_pairs.channel_reliability(x, se, groups)
    np.testing.assert_allclose(found[varying], shares)
    assert np.isnan(found[3])
    expected = np.zeros(5)
    expected[varying] = np.sqrt(np.where(shares >= 0.5, full * shares, 0))
    np.testing.assert_allclose(kernels_pairs.signal_deviations(x, se, groups), expected)
    np.testing.assert_allclose(kernels_pairs.spreads(x, se, groups), expected)
    np.testing.assert_allclose(kernels_pairs.spreads(x, groups=groups), kernels_pairs.deviations(x, groups))


def featured(x: np.ndarray, metric: str, spread: np.ndarray) -> list[list[float]]:
    """Features of each image by its metric."""
    if metric == "standardised":
        return [[v / s for v, s in zip(row, spread, strict=True) if s > 0] for row in x.tolist()]
    return [[v / (math.hypot(*row) if metric == "cosine" else 1) for v in row] for row in x.tolist()]


@pytest.mark.parametrize("given", [None, [0.3, 2.0, 0.0, 0.5, 1.5]])
@pytest.mark.parametrize("metric", METRICS)
def test_features_are_what_the_metric_says(metric: str, given: list[float] | None) -> None:
    x = active(3)
    spread = np.array([math.sqrt(variance(column)) for column in x.T] if given is None else given)
    spread[3] *= given is not None
    found = kernels_pairs.prepared(x, metric, None if given is None else spread)
    np.testing.assert_allclose(found, featured(x, metric, spread), rtol=1e-12)
    assert kernels_pairs.prepared(x.astype(np.float32), metric).dtype == np.float64


@pytest.mark.parametrize("size", [1e-200, 1.0, 1e200])
def test_the_cosine_is_undefined_without_activity_and_does_not_depend_on_its_size(size: float) -> None:
    x = active(4)
    expected = np.array(featured(x, "cosine", x[0]))
    x[2] = expected[2] = 0
    expected[2] = np.nan
    np.testing.assert_allclose(kernels_pairs.prepared(size * x, "cosine"), expected, rtol=1e-12)


@pytest.mark.parametrize("given", [None, [0.3, 2.0, 0.0, 0.5, 1.5]])
@pytest.mark.parametrize("metric", METRICS)
def test_features_without_noise_are_those_of_loops(metric: str, given: list[float] | None) -> None:
    x = 3 * active(5)
    # One active channel, of which little is noise; noise alone; a norm that is just its noise; nothing at all.
    x[:4] = 0
    x[0, 1], x[2, 1] = 2.0, 2.0
    se = np.random.default_rng(5).uniform(0.05, 0.2, x.shape)
    se[2:4] = 0
    se[2, 0] = 2.0
    spread = np.array(given) if given else kernels_pairs.signal_deviations(x, se)
    assert given or (spread > 0).sum() > 2
    found, noise = kernels_pairs.noise_free(x, se, metric, None if given is None else spread)
    for i, (row, errors) in enumerate(zip(x.tolist(), se.tolist(), strict=True)):
        mine, own = row, math.fsum(s**2 for s in errors)
        if metric == "standardised":
            mine = [v / s for v, s in zip(row, spread, strict=True) if s > 0]
            own = math.fsum((e / s) ** 2 for e, s in zip(errors, spread, strict=True) if s > 0)
        elif metric == "cosine":
            left = math.fsum(v**2 for v in row) - own
            assert (left > 0) == (i not in (1, 2, 3))
            left = left if left > 0 else math.nan
            mine, own = [v / math.sqrt(left) for v in row], own / left
        np.testing.assert_allclose(found[i], mine, rtol=1e-12)
        np.testing.assert_allclose(noise[i], own, rtol=1e-12)


@pytest.mark.parametrize(
    ("x", "alike"),
    [
        (np.zeros((0, 3)), True),
        (np.zeros((3, 0)), True),
        (np.zeros((3, 2)), True),
        (np.full((1, 1), 2.0), True),
        (np.tile([0.1, -7.0], (5, 1)), True),
        (np.tile([1e-3, -1e-3], (5, 1)), True),
        (1e-20 * np.array([[1.0, 1.0], [1.0, 2.0]]), False),
        (np.array([[1.0, 1.0], [1.0, 1.05]]), False),
        (np.array([[0.0, 1e9], [0.0, 1e9 + 1e-4]]), True),
        (np.array([[0.0, 1e9], [0.0, 1e9 + 1e-2]]), False),
    ],
)
def test_images_are_alike_where_rounding_is_all_that_varies(x: np.ndarray, alike: bool) -> None:
    assert kernels_pairs.same(x) == alike


def with_copies(seed: int) -> np.ndarray:
    """Images among which several are the same, and two nearly; channels lie far from 0 on either side."""
    x = active(seed, 24)
    x[12:18] = x[6:12]
    x[19] = x[18] * (1 + np.array([1e-3, 0, 0, 0, 1e-3]))
    return x


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e6])
@pytest.mark.parametrize("given", [None, [0.3, 2.0, 0.0, 0.5, 1.5]])
@pytest.mark.parametrize("metric", METRICS)
def test_distances_are_those_of_loops_and_0_between_copies(
    metric: str, given: list[float] | None, scale: float
) -> None:
    x = with_copies(6)
    if metric != "cosine":
        x = x + np.array([1e4, -1e4, 0, 3e4, 1e3])
    x *= scale
    spread = np.array([math.sqrt(variance(column)) for column in x.T] if given is None else given)
    spread[3] *= given is not None
    features = featured(x, metric, spread)
    found = kernels_pairs.distance_matrix(x, metric, spread=None if given is None else spread)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, found.T)
    for i, j in np.ndindex(24, 24):
        d = math.dist(features[i], features[j])
        if (i == j) or {i, j} in [{k, k + 6} for k in range(6, 12)]:
            assert found[i, j] == 0
        else:
            # Single precision, and rounding of squares of what lies far from 0.
            assert found[i, j] == pytest.approx(d**2 / 2 if metric == "cosine" else d, rel=1e-5)


def test_images_that_are_all_alike_have_distance_0() -> None:
    for value in (0.0, 0.1, 1e5 + 0.1):
        assert not kernels_pairs.distance_matrix(np.full((7, 3), value), "euclidean").any()


@pytest.mark.parametrize("given", [None, [0.3, 2.0, 0.0, 0.5, 1.5]])
@pytest.mark.parametrize("metric", METRICS)
def test_distances_without_noise_are_signed_roots_or_half_of_what_is_unbiased(
    metric: str, given: list[float] | None
) -> None:
    x = with_copies(7)
    se = np.random.default_rng(7).uniform(0.02, 0.1, x.shape)
    spread = None if given is None else np.array(given)
    features, noise = kernels_pairs.noise_free(x, se, metric, spread)
    found = kernels_pairs.distance_matrix(x, metric, se, spread)
    assert found.dtype == np.float32
    assert found.min() < 0
    for i, j in np.ndindex(24, 24):
        square = math.dist(features[i], features[j]) ** 2 - noise[i] - noise[j]
        d = square / 2 if metric == "cosine" else math.copysign(math.sqrt(abs(square)), square)
        assert found[i, j] == (0 if i == j else pytest.approx(d, rel=1e-5))


def of_values(d: np.ndarray, _: list[tuple[int, int]]) -> np.ndarray:
    return d - d.mean()


def of_ranks(d: np.ndarray, _: list[tuple[int, int]]) -> np.ndarray:
    return (rankdata(d) - (len(d) + 1) / 2) / len(d)


def of_effects(d: np.ndarray, pairs: list[tuple[int, int]]) -> np.ndarray:
    """What an effect of each image leaves, by least squares."""
    design = np.array([[float(k in pair) for k in range(16)] for pair in pairs])
    return d - design @ np.linalg.lstsq(design, d, rcond=None)[0]


TRANSFORMS = pytest.mark.parametrize(
    ("statistic", "expected"),
    [("pearson", of_values), ("spearman", of_ranks), ("distance_correlation", of_effects)],
)
Transform = Callable[[np.ndarray, list[tuple[int, int]]], np.ndarray]


@GROUPS
@pytest.mark.parametrize(("size", "spread"), [(0.2, 0.05), (1000.0, 1.0), (0.0, 3.0), (1.0, 2e-4)])
@TRANSFORMS
def test_transformed_distances_are_those_over_the_pairs_that_count(
    statistic: str, expected: Transform, size: float, spread: float, groups: np.ndarray | None
) -> None:
    d = np.triu(size + spread * np.random.default_rng(8).normal(size=(16, 16)), 1)
    # Noise-free distances can lie below 0, here the farthest from it.
    d[0, 1] -= 5 * size * (spread < size / 2 < 1)
    d = np.round(d, 1 if size == 1000 else 4).astype(np.float32)
    d = d + d.T
    pairs = listed(16, groups)
    values = np.array([d[i, j] for i, j in pairs], float)
    unit = 1.0 if statistic == "spearman" else np.abs(values).max()
    out = np.zeros((16, 16))
    for (i, j), value in zip(pairs, expected(values, pairs) / unit, strict=True):
        out[i, j] = out[j, i] = value
    found = kernels_pairs.STATISTICS[statistic](d, groups)
    assert found.dtype == np.float32
    # Single precision of what is left, whatever was taken off.
    np.testing.assert_allclose(found, out, rtol=1e-6, atol=1e-6 * np.abs(out).max())


@GROUPS
@pytest.mark.parametrize("value", [0.0, 0.1, 1234.5])
@TRANSFORMS
def test_of_distances_that_are_all_the_same_nothing_is_left(
    statistic: str, expected: Transform, value: float, groups: np.ndarray | None
) -> None:
    d = (value * (1 - np.eye(16))).astype(np.float32)
    assert np.abs(expected(np.full(9, value), listed(16, None)[:9])).max() < 1e-10
    assert not kernels_pairs.STATISTICS[statistic](d, groups).any()


def test_what_varies_by_one_in_a_hundred_thousand_is_rounding_and_more_is_not() -> None:
    signs = np.zeros((4, 4), np.float32)
    signs[0, 1:], signs[1:, 0] = 1, 1
    for low, high, kept in ((99998, 100000, False), (99997, 100000, True), (99999, 100000, False)):
        d = np.where(signs > 0, high, low).astype(np.float32)
        np.fill_diagonal(d, 0)
        found = kernels_pairs.centred(d)
        half = (high - low) / 2 / high
        np.testing.assert_allclose(found[0, 1:], half if kept else 0, rtol=1e-6)


def test_effects_sum_to_those_of_least_squares_over_pairs_of_different_groups() -> None:
    rng = np.random.default_rng(9)
    # Cases without some group; with a group of half the images, or more; where a group is one less than the rest.
    cases = [(3, 2, 1, 2, 1), (0, 2, 1, 2, 1), (4, 2, 0, 1, 1), (6, 2, 1, 0, 1), (2, 1, 1, 0, 1), (1, 0, 4, 2, 1)]
    cases += [(1, 1, 1, 1, 1), (2, 2, 2, 2, 2), (0, 0, 1, 1, 2), (7, 1, 2, 2, 2)]
    rows, totals, owns = np.zeros((5, len(cases))), [], []
    for case, sizes in enumerate(cases):
        own = np.repeat(np.arange(5), sizes)
        pairs = [(i, j) for i, j in itertools.combinations(range(len(own)), 2) if own[i] != own[j]]
        values = rng.normal(size=len(pairs))
        design = np.array([[float(k in pair) for k in range(len(own))] for pair in pairs])
        effects = np.linalg.lstsq(design, values, rcond=None)[0]
        totals.append(effects.sum())
        owns.append([effects[own == g].sum() for g in range(5)])
        for g in range(5):
            rows[g, case] = sum(v * ((own[i] == g) + (own[j] == g)) for v, (i, j) in zip(values, pairs, strict=True))
    total, found = kernels_pairs.additive(rows, np.array(cases).T)
    np.testing.assert_allclose(total, totals, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(found, np.transpose(owns), rtol=1e-9, atol=1e-12)
