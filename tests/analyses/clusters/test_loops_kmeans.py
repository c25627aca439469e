"""k-means, also without the bias by noise, against plain loops over images and pairs of them and scikit-learn."""

import itertools
import math
from typing import NamedTuple

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.metrics import silhouette_score

from analyses.clusters import kernels_kmeans as kernels


def unbiased(x: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Squared distances of pairs, less what the noise of both is expected to add to them."""
    d = np.zeros((len(x), len(x)))
    for i, j in itertools.permutations(range(len(x)), 2):
        d[i, j] = float(((x[i] - x[j]) ** 2).sum()) - noise[i] - noise[j]
    return d


def within(d: np.ndarray, cluster: np.ndarray) -> float:
    parts = [np.flatnonzero(cluster == c) for c in np.unique(cluster)]
    return sum(d[np.ix_(part, part)].sum() / (2 * len(part)) for part in parts)


def to_means(d: np.ndarray, cluster: np.ndarray, k: int) -> np.ndarray:
    """Of images to means of clusters, from pairs; no image is near an empty cluster."""
    found = np.full((len(d), k), np.inf)
    for c in np.unique(cluster):
        part = np.flatnonzero(cluster == c)
        found[:, c] = d[:, part].mean(axis=1) - d[np.ix_(part, part)].sum() / (2 * len(part) ** 2)
    return found


def seeded(d: np.ndarray, k: int, rng: np.random.Generator) -> np.ndarray:
    near, cluster, chances = [math.inf] * len(d), [0] * len(d), np.ones(len(d))
    for c in range(k):
        if chances.max() <= 0:
            break
        one = int(rng.choice(len(d), p=chances / chances.sum()))
        for i, far in enumerate(np.where(np.arange(len(d)) == one, -np.inf, d[one])):
            if far < near[i]:
                cluster[i], near[i] = c, far
        chances = np.array([max(far, 0.0) for far in near])
    return np.array(cluster)


class Best(NamedTuple):
    cluster: np.ndarray
    looks: int


def best(x: np.ndarray, noise: np.ndarray, k: int, seed: int, n_init: int) -> Best:
    """Clusters by size, of one size in the order of their seeds; and how often squares within were looked at."""
    d, rng, looks, least, found = unbiased(x, noise), np.random.default_rng(seed), 0, math.inf, np.zeros(len(x), int)
    for _ in range(n_init):
        cluster, left, better = seeded(d, k, rng), math.inf, True
        moved = cluster
        while better:
            looks += 1
            better = within(d, moved) < left
            if better:
                cluster, left = moved, within(d, moved)
                moved = to_means(d, cluster, k).argmin(axis=1)
        if left < least:
            found, least = cluster, left
    return Best(by_size(found, k), looks)


def by_size(cluster: np.ndarray, k: int) -> np.ndarray:
    order = sorted(range(k), key=lambda c: (-int((cluster == c).sum()), c))
    return np.array([order.index(c) for c in cluster])


class Case(NamedTuple):
    x: np.ndarray
    noise: np.ndarray
    k: int
    n_init: int


def noisy(seed: int, images: int, k: int, n_init: int, unit: float = 1.0, loud: float = 1.0) -> Case:
    rng = np.random.default_rng(seed)
    x, noise = rng.normal(size=(images, 3)), rng.gamma(0.5, size=images)
    return Case(unit * (x - x.mean(axis=0)), loud * unit**2 * noise, k, n_init)


def line(places: str, noise: str, k: int, n_init: int) -> Case:
    """Images at whole numbers on a line: sums are exact, and what is equal is equal to the bit."""
    return Case(
        np.array(list(map(float, places.split())))[:, None], np.array(list(map(float, noise.split()))), k, n_init
    )


CASES = {
    "some": noisy(0, 30, 3, 3),
    "two": noisy(1, 25, 2, 5),
    "small units": noisy(2, 30, 4, 2, 1e-3),
    "many clusters of a size": noisy(3, 44, 20, 1),
    # Zero lies as far from either neighbour.
    "a tie": line("-1 0 1", "0 0 0", 2, 1),
    # All runs find these, and the first is taken.
    "equal runs": line("0 2 0 2 100 102 100 102 300 302 300 302", "0 0 0 0 0 0 0 0 0 0 0 0", 3, 5),
    "noise alone": line("-1 0 1 0 2 -2", "9 9 9 9 9 9", 3, 2),
    "fewer places than clusters": line("0 0 0 8 8 4", "0 0 0 0 0 0", 5, 1),
    "single images": line("0 16 48 128", "1 2 1 2", 4, 1),
}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", CASES)
def test_noise_free_partitions_are_those_of_loops_over_unbiased_distances_of_pairs(
    name: str, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, noise, k, n_init = CASES[name]
    looks, own = [], kernels.left_within
    monkeypatch.setattr(kernels, "left_within", lambda *given: looks.append(1) or own(*given))
    found = kernels.partition(x, k, seed=seed, n_init=n_init, noise=noise)
    expected = best(x, noise, k, seed, n_init)
    assert found.cluster.tolist() == expected.cluster.tolist()
    # Each run ends where nothing is gained.
    assert len(looks) == expected.looks
    unit = float(np.abs(x).max())
    for c in range(k):
        part = x[expected.cluster == c]
        mean = part.mean(axis=0) if len(part) else np.zeros(x.shape[1])
        np.testing.assert_allclose(found.centre[c], mean, rtol=1e-9, atol=1e-12 * unit)
    square = to_means(unbiased(x, noise), expected.cluster, k)[np.arange(len(x)), expected.cluster]
    np.testing.assert_allclose(found.distance * np.abs(found.distance), square, rtol=1e-9, atol=1e-12 * unit**2)


def test_the_loops_above_meet_empty_clusters_single_images_ties_and_distances_below_0() -> None:
    sizes = {
        name: np.bincount(best(*case[:3], 0, case.n_init).cluster, minlength=case.k) for name, case in CASES.items()
    }
    assert sizes["noise alone"].tolist() == [6, 0, 0]
    assert sizes["fewer places than clusters"].tolist() == [3, 2, 1, 0, 0]
    assert sizes["single images"].tolist() == [1, 1, 1, 1]
    assert sizes["equal runs"].tolist() == [4, 4, 4]
    assert len(set(sizes["many clusters of a size"])) < 8
    assert (unbiased(*CASES["some"][:2]) < 0).any()


def test_noise_of_centres_and_squares_within_are_sums_over_images() -> None:
    x, noise, *_ = noisy(5, 12, 5, 1)
    cluster = np.array([0, 0, 0, 1, 1, 3, 3, 3, 3, 3, 1, 0])
    found = kernels.centre_noise(cluster, noise, 6)
    expected = [noise[cluster == c].sum() / max((cluster == c).sum(), 1) ** 2 for c in range(6)]
    np.testing.assert_allclose(found, np.where(np.isin(np.arange(6), cluster), expected, -np.inf))
    np.testing.assert_allclose(kernels.left_within(x, cluster, noise, 6), within(unbiased(x, noise), cluster))


@pytest.mark.parametrize(("images", "k", "n_init"), [(30, 3, 1), (45, 20, 1), (30, 4, 3)])
@pytest.mark.parametrize("seed", range(2))
def test_plain_partitions_are_scikit_learns_by_size(images: int, k: int, n_init: int, seed: int) -> None:
    x = noisy(seed, images, k, n_init).x
    fitted = KMeans(k, n_init=n_init, random_state=seed).fit(x)
    found, cluster = kernels.partition(x, k, seed=seed, n_init=n_init), by_size(fitted.labels_, k)
    assert found.cluster.tolist() == cluster.tolist()
    for one, own in zip(cluster, fitted.labels_, strict=True):
        np.testing.assert_array_equal(found.centre[one], fitted.cluster_centers_[own])
    away = [math.dist(one, fitted.cluster_centers_[own]) for one, own in zip(x, fitted.labels_, strict=True)]
    np.testing.assert_allclose(found.distance, away)


def test_of_fewer_different_images_than_clusters_the_last_are_empty() -> None:
    found = kernels.partition(np.repeat([[0.0, 1], [5, 5], [9, 0]], [2, 5, 3], axis=0), 5, seed=0, n_init=2)
    assert np.bincount(found.cluster, minlength=5).tolist() == [5, 3, 2, 0, 0]
    assert found.centre.shape == (5, 2)
    np.testing.assert_allclose(found.distance, 0, atol=1e-12)


def test_runs_have_as_many_steps_as_scikit_learns() -> None:
    assert KMeans().max_iter == kernels.STEPS


@pytest.mark.parametrize("unit", [1e-9, 1.0, 1e6])
def test_scaled_channels_have_mean_0_and_one_common_scale(unit: float) -> None:
    x = (unit * (np.random.default_rng(0).gamma(1.0, size=(40, 3)) * [1, 2, 0] + [900, 2, 3])).astype(np.float32)
    found, centre, scale = kernels.scaled(x)
    each = [[float(one) for one in x[:, c]] for c in range(3)]
    means = [math.fsum(one) / 40 for one in each]
    np.testing.assert_allclose(centre, means, rtol=1e-14)
    root = math.sqrt(sum((v - m) ** 2 for one, m in zip(each, means, strict=True) for v in one) / 120)
    assert scale == pytest.approx(root, rel=1e-12)
    # In float32.
    assert found.dtype == np.float32
    expected = [[(v - m) / root for v in one] for one, m in zip(each, means, strict=True)]
    np.testing.assert_allclose(found, np.transpose(expected), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("size", [200.0, 1e-3])
@pytest.mark.parametrize(("times", "varies"), [(0.9, False), (1.1, True)])
def test_a_millionth_of_the_largest_number_is_rounding(size: float, times: float, varies: bool) -> None:
    # Of two channels one is 0, so that the scale is 1/√2 of the other's.
    x = np.outer(-size * (1 + times * math.sqrt(2) * 1e-6 * np.array([1, -1, 1, -1])), [1.0, 0])
    found, centre, scale = kernels.scaled(x)
    np.testing.assert_allclose(centre, [-size, 0], rtol=1e-12)
    assert scale == pytest.approx(times * 1e-6 * size if varies else 0, rel=1e-5)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[:, 0], np.array([-1, 1, -1, 1]) * math.sqrt(2) * varies, rtol=1e-5)


def test_numbers_that_are_all_0_have_no_scale() -> None:
    found, centre, scale = kernels.scaled(np.zeros((4, 2), np.float32))
    assert not found.any()
    assert centre.tolist() == [0, 0]
    assert scale == 0


def kept(own: np.ndarray, foreign: np.ndarray, k: int) -> float:
    shares = []
    for c in range(k):
        pairs = list(itertools.combinations(foreign[own == c], 2))
        shares.append(sum(a == b for a, b in pairs) / len(pairs) if pairs else 0.0)
    return min(shares)


@pytest.mark.parametrize("sizes", [(5, 2), (2, 7), (5, 1), (6, 0), (3, 4), (4, 5, 6)])
def test_prediction_strength_is_the_least_share_of_pairs_that_are_kept(sizes: tuple[int, ...]) -> None:
    rng, k = np.random.default_rng(sum(sizes)), len(sizes)
    own = np.repeat(np.arange(k), sizes)
    for foreign in (own, *rng.integers(k, size=(6, len(own))), np.zeros(len(own), int)):
        assert kernels.predicted(own, foreign, k) == pytest.approx(kept(own, foreign, k))


def silhouette(x: np.ndarray, cluster: np.ndarray, noise: np.ndarray) -> float:
    d, scores = unbiased(x, noise), []
    d = np.sign(d) * np.sqrt(np.abs(d))
    if not 1 < len(set(cluster)) < len(x):
        return math.nan
    for i, own in enumerate(cluster):
        mine = [d[i, j] for j in np.flatnonzero(cluster == own) if j != i]
        a = float(np.mean(mine)) if mine else 0.0
        b = min(float(d[i, cluster == c].mean()) for c in set(cluster) if c != own)
        known = mine and max(a, b) > 0
        scores.append(min(max((b - a) / max(a, b), -1.0), 1.0) if known else 0.0)
    return float(np.mean(scores))


def expected_curves(x: np.ndarray, numbers: list[int], splits: int, seed: int, noise: np.ndarray | None) -> np.ndarray:
    """(number, curve), with partitions as they are tested above."""
    rng = np.random.default_rng(seed)
    orders = [rng.permutation(len(x)) for _ in range(splits)]
    sample = rng.permutation(len(x))[:1000]
    found = [[1.0, 0.0, math.nan, 1.0] for k in numbers if k == 1]
    for k in [k for k in numbers if k != 1]:
        means = []
        for order in orders:
            halves, both = (order[: len(x) // 2], order[len(x) // 2 :]), []
            for own, other in (halves, halves[::-1]):
                errors = [None if noise is None else noise[half] for half in (own, other)]
                here, there = (
                    kernels.partition(x[half], k, seed=seed, n_init=4, noise=error)
                    for half, error in zip((own, other), errors, strict=True)
                )
                far = np.array([[((one - centre) ** 2).sum() for centre in there.centre] for one in x[own]])
                for c in range(k) if noise is not None else []:
                    part = noise[other][there.cluster == c]
                    far[:, c] = far[:, c] - part.sum() / len(part) ** 2 if len(part) else np.inf
                both.append(kept(here.cluster, far.argmin(axis=1), k))
            means.append(sum(both) / 2)
        whole = kernels.partition(x, k, seed=seed, n_init=4, noise=noise)
        none = np.zeros(len(x))
        d = unbiased(x, none if noise is None else noise)
        total = within(d, none)
        cluster = whole.cluster[sample]
        if noise is not None:
            score = silhouette(x[sample], cluster, noise[sample])
        else:
            score = silhouette_score(x[sample], cluster) if len(set(cluster)) > 1 else math.nan
        error = math.sqrt(sum((m - np.mean(means)) ** 2 for m in means) / (splits - 1) / splits) if splits > 1 else 0.0
        found.append([np.mean(means), error, score, within(d, whole.cluster) / total if total > 0 else math.nan])
    return np.array(found, float)


CURVES = {
    "plain": (noisy(6, 33, 0, 0).x, None, [1, 2, 3, 4], 3),
    "one split": (noisy(7, 24, 0, 0).x, None, [1, 2], 1),
    "plain in small units": (noisy(6, 24, 0, 0, 1e-3).x, None, [2], 2),
    "all the same": (np.zeros((8, 2)), None, [2], 2),
    "noise": (*noisy(8, 33, 0, 0)[:2], [1, 2, 3, 8], 3),
    "little noise": (*noisy(9, 37, 0, 0, loud=0.1)[:2], [2, 3], 4),
    # Some images are less than no distance from another cluster, and more from their own.
    "much noise": (*noisy(5, 33, 0, 0, loud=1.5)[:2], [2, 3], 2),
    "noise in small units": (*noisy(9, 25, 0, 0, 1e-3)[:2], [2, 3], 2),
    "more noise than variance": (*line("-1 0 1 0 2 -2", "9 9 9 9 9 9", 0, 0)[:2], [2], 2),
    "nothing": (np.zeros((8, 2)), np.zeros(8), [2], 2),
    "each its own": (*line("-96 -80 48 128", "0 0 0 0", 0, 0)[:2], [3, 4], 2),
    # Images at 0 are no distance from one another, and by so much noise less than that from the others.
    "neither above 0": (*line("0 0 2 2 2 2", "0 0 0 8 8 8", 0, 0)[:2], [2], 2),
}


@pytest.mark.parametrize("name", CURVES)
def test_curves_are_those_of_halves_that_predict_one_another(name: str) -> None:
    x, noise, numbers, splits = CURVES[name]
    found = kernels.curves(x, numbers, splits=splits, seed=4, n_init=4, noise=noise)
    expected = expected_curves(x, numbers, splits, 4, noise)
    np.testing.assert_allclose(np.transpose(found), expected, rtol=1e-7, atol=1e-9)


def test_the_images_without_distances_above_0_are_a_cluster() -> None:
    # Else they would not be met above.
    x, noise, *_ = CURVES["neither above 0"]
    assert kernels.partition(x, 2, seed=4, n_init=4, noise=noise).cluster.tolist() == [1, 1, 0, 0, 0, 0]


def test_of_more_than_1000_images_the_silhouette_is_that_of_1000_drawn_after_the_splits() -> None:
    x = np.random.default_rng(0).normal(size=(1010, 2))
    found = kernels.curves(x, [3], splits=1, seed=2, n_init=1)
    rng = np.random.default_rng(2)
    sample = [rng.permutation(1010) for _ in range(2)][1][:1000]
    cluster = kernels.partition(x, 3, seed=2, n_init=1).cluster
    assert found.silhouette[0] == pytest.approx(silhouette_score(x[sample], cluster[sample]), rel=1e-12)


CHOSEN = [
    ([0.5, 0.75, 0.25], [0.25, 0.0, 0.0], 0.75, 3),
    ([0.5, 0.75, 0.25], [0.25, 0.0, 0.0], 0.76, 2),
    ([0.9, 0.5, 0.5], [0.0, 0.25, 0.0], 0.75, 3),
    ([0.9, 0.5, 0.5], [0.0, 0.0, 0.25], 0.75, 4),
    ([0.9, 0.9, 0.5], [0.5, 0.0, 0.0], 0.75, 3),
]


@pytest.mark.parametrize(("strength", "error", "threshold", "expected"), CHOSEN)
def test_the_largest_number_that_reaches_the_threshold_within_an_error_is_chosen(
    strength: list[float], error: list[float], threshold: float, expected: int
) -> None:
    unused = np.full(3, np.nan)
    found = kernels.Curves(np.array(strength), np.array(error), unused, unused)
    assert kernels.chosen([2, 3, 4], found, threshold) == expected
    with pytest.raises(ValueError, match="shorter"):
        kernels.chosen([2, 3, 4, 5], found, threshold)
