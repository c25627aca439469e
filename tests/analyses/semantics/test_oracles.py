"""Distances, neighbours, correlations, permutation tests against scipy, scikit-learn, dcor, scikit-bio, brute force."""

import math
import warnings
from itertools import permutations

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy.spatial.distance import pdist, squareform
from scipy.stats import pearsonr, spearmanr
from sklearn.neighbors import NearestNeighbors

from analyses import semantics
from analyses.ground import jackknife_deviation, levelled
from analyses.semantics import kernels_correlation, kernels_pairs
from probekit import labels

N = 40
STATISTICS = list(kernels_pairs.STATISTICS)


def dataset(phi: np.ndarray, sigma: tuple[float, ...] = (0.1,), label: list[str] | None = None) -> xr.Dataset:
    """φ (image, sigma, channel) of one tap."""
    return labels.representation(
        {"phi": phi},
        ids=[f"image {i}" for i in range(len(phi))],
        labels=label,
        sigma=sigma,
        channels={"mid": phi.shape[2]},
        attrs={"denoiser": "none"},
    )


def features(seed: int, n: int = N, channels: int = 6) -> np.ndarray:
    return np.random.default_rng(seed).gamma(0.7, size=(n, channels))


def matrices(n: int = N, count: int = 4) -> list[np.ndarray]:
    """Distances that hang together: each is partly of what the others are."""
    shared = features(100, n)
    return [
        kernels_pairs.distance_matrix(np.hstack([shared, (1 + k) * features(k, n, 2)]), "euclidean")
        for k in range(count)
    ]


def pairs(d: np.ndarray) -> np.ndarray:
    return d[np.triu_indices(len(d), 1)].astype(np.float64)


def correlation(given: list[np.ndarray], statistic: str, groups: np.ndarray | None = None) -> np.ndarray:
    """Of the first two matrices given the rest, over all images and without each, or each group."""
    variables = [kernels_correlation.transformed(d, statistic, groups) for d in given]
    products = kernels_correlation.gram(variables, variables)
    return kernels_correlation.partial(products, tuple(range(2, len(given))))


@pytest.mark.parametrize(("metric", "scipy_name"), [("euclidean", "euclidean"), ("cosine", "cosine")])
def test_distances_are_those_of_scipy(metric: str, scipy_name: str) -> None:
    x = features(0)
    # Single precision keeps 24 bits of distances of order 1.
    np.testing.assert_allclose(kernels_pairs.distance_matrix(x, metric), squareform(pdist(x, scipy_name)), atol=1e-6)


def test_standardised_distances_are_those_of_scipy() -> None:
    x = features(1)
    expected = squareform(pdist(x, "seuclidean", V=x.var(axis=0, ddof=1)))
    np.testing.assert_allclose(kernels_pairs.distance_matrix(x, "standardised"), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("statistic", "scipy_test"), [("pearson", pearsonr), ("spearman", spearmanr)])
def test_correlations_over_pairs_are_those_of_scipy(statistic: str, scipy_test) -> None:
    a, b = matrices(count=2)
    classes = (np.arange(N)[:, None] % 3 != np.arange(N) % 3).astype(np.float32)
    for other in (b, classes):
        expected = scipy_test(pairs(a), pairs(other)).statistic
        assert correlation([a, other], statistic)[0] == pytest.approx(expected, abs=1e-6)


def test_a_permutation_of_which_nothing_is_left_has_no_correlation() -> None:
    # The first permutation makes variable 0 the given one, with rounding in the rest; the second is as the data are.
    inner = np.array([[1.0, 0.5, 0.0], [0.5, 1.0, 0.25], [0.0, 0.25, 1.0]])
    same = np.array([[1.0, 0.3, 1.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    moved = np.stack([same, inner])
    found = kernels_correlation.permuted_statistics(inner, moved, (2,))
    np.testing.assert_allclose(found, [0, 0.5 / np.sqrt(1 - 0.25**2)])


def test_a_variable_that_is_constant_in_one_table_leaves_the_others_their_inverse() -> None:
    x = np.random.default_rng(0).normal(size=(3, 40, 2)) * [1.0, 1e-9]
    x[1, :, 0] = 0
    inverse, sound = kernels_correlation.inverted(np.swapaxes(x, 1, 2) @ x)
    assert sound.tolist() == [True, False, True]
    for i in (0, 2):
        np.testing.assert_allclose(inverse[i], np.linalg.inv(x[i].T @ x[i]), rtol=1e-9)


def test_distance_correlation_is_that_of_dcor_plain_and_partial() -> None:
    with warnings.catch_warnings():
        # numba's own deprecations on import are not this package's. This is the only test that imports dcor: two
        # processes that compile it at once, and write its cache, may both end.
        warnings.simplefilter("ignore")
        dcor = pytest.importorskip("dcor")
        shared = features(9)
        one, two, three = (shared + features(k) for k in (1, 2, 3))
        plain = dcor.u_distance_correlation_sqr(one, two)
        partial = dcor.partial_distance_correlation(one, two, three)
    a, b, c = (kernels_pairs.distance_matrix(x, "euclidean") for x in (one, two, three))
    assert correlation([a, b], "distance_correlation")[0] == pytest.approx(plain, abs=1e-5)
    assert correlation([a, b, c], "distance_correlation")[0] == pytest.approx(partial, abs=1e-5)


@pytest.mark.parametrize("statistic", ["pearson", "spearman"])
def test_partial_correlations_are_those_of_residuals_from_least_squares(statistic: str) -> None:
    given = matrices()
    columns = np.stack([pairs(d) for d in given])
    if statistic == "spearman":
        columns = pd.DataFrame(columns.T).rank().to_numpy().T
    design = np.column_stack([np.ones(columns.shape[1]), *columns[2:]])
    left = [y - design @ np.linalg.lstsq(design, y, rcond=None)[0] for y in columns[:2]]
    assert correlation(given, statistic)[0] == pytest.approx(pearsonr(*left).statistic, abs=1e-5)


@pytest.mark.parametrize("statistic", ["pearson", "distance_correlation"])
@pytest.mark.parametrize("count", [2, 4])
def test_the_jackknife_leaves_out_each_image_exactly(statistic: str, count: int) -> None:
    given = matrices(count=count)
    without = correlation(given, statistic)[1:]
    for i in (0, 7, N - 1):
        kept = np.delete(np.arange(N), i)
        again = correlation([d[np.ix_(kept, kept)] for d in given], statistic)[0]
        assert without[i] == pytest.approx(again, abs=1e-5)


def test_the_jackknife_of_ranks_follows_ranking_again_to_first_order() -> None:
    n = 80
    given = matrices(n, count=3)
    first = correlation(given, "spearman")
    again = []
    for i in range(n):
        kept = np.delete(np.arange(n), i)
        again.append(correlation([d[np.ix_(kept, kept)] for d in given], "spearman")[0])
    # What is left out is of order 1/n of each change: 10/n of their spread is ten times as much.
    changes, exact = first[1:] - first[0], np.array(again) - first[0]
    assert np.abs(changes - exact).max() <= 10 / n * np.abs(exact).max()


def test_all_arrangements_of_few_images_are_summed_as_spelt_out() -> None:
    a, b = (d[:5, :5].copy() for d in matrices(count=2))
    orders = np.array(list(permutations(range(5))))
    found = kernels_correlation.permuted_products([a], [b], orders)[:, 0, 0]
    expected = [sum(a[p[i], p[j]] * b[i, j] for i in range(5) for j in range(5)) for p in orders]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("residuals", [True, False])
def test_partial_mantel_statistics_are_those_of_permuted_matrices_spelt_out(residuals: bool) -> None:
    given = matrices(count=4)
    mats = [kernels_pairs.centred(d) for d in given]
    orders = np.random.default_rng(3).permuted(np.tile(np.arange(N), (6, 1)), axis=1)
    products = np.array([[(a * b).sum(dtype=float) for b in mats] for a in mats])
    moved = kernels_correlation.permuted_products(mats, mats, orders)
    found = kernels_correlation.permuted_statistics(products, moved, (2, 3), residuals=residuals)
    columns = np.stack([pairs(d) for d in mats])
    design = np.column_stack([np.ones(columns.shape[1]), *columns[2:]])

    def left(y: np.ndarray) -> np.ndarray:
        return y - design @ np.linalg.lstsq(design, y, rcond=None)[0]

    source = squareform(left(columns[0]), checks=False) if residuals else mats[0].astype(float)
    expected = [pearsonr(left(pairs(source[np.ix_(p, p)])), left(columns[1])).statistic for p in orders]
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("method", ["pearson", "spearman"])
def test_pairwise_mantel_tests_are_those_of_scikit_bio(method: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        stats = pytest.importorskip("skbio.stats.distance")
        rng = np.random.default_rng(8)
        x = rng.normal(size=(N, 3))
        ids = [f"image {i}" for i in range(N)]
        # One weakly related, one not at all, in orders of their own: both match by id.
        place = {"related": rng.permutation(N), "unrelated": rng.permutation(N)}
        values = {
            "related": (0.4 * x + rng.normal(size=(N, 3)))[place["related"]],
            "unrelated": rng.normal(size=(N, 3)),
        }
        d = {name: kernels_pairs.distance_matrix(one, "euclidean") for name, one in values.items()}
        theirs = [stats.DistanceMatrix(kernels_pairs.distance_matrix(x, "euclidean").astype(float), ids)]
        theirs += [stats.DistanceMatrix(d[name].astype(float), [ids[i] for i in place[name]]) for name in place]
        expected = stats.pwmantel(theirs, labels=["phi", *place], method=method, permutations=1999, seed=6)
    others = {
        name: xr.DataArray(d[name], dims=("image", "other_image"), coords=named(place[name], ids)) for name in place
    }
    found = semantics.correlate(
        dataset(np.ascontiguousarray(x[:, None])), others, distances="euclidean", statistics=method, permutations=1999
    ).squeeze()
    for name in place:
        r, p = expected.loc[("phi", name), ["statistic", "p-value"]]
        assert found.correlation.sel(other=name).item() == pytest.approx(r, abs=1e-5)
        assert 0.001 < p < 0.999
        # Two independent estimates of one p, each of variance ≤ p(1 − p)/1999: 5 standard deviations of the difference.
        far = abs(found.p_permutation.sel(other=name).item() - p)
        assert far <= 5 * np.sqrt(2 * p * (1 - p) / 1999) + 2 / 2000


def named(place: np.ndarray, ids: list[str]) -> dict[str, tuple[str, np.ndarray]]:
    """Coordinates of a matrix of distances whose rows are of the images at these places."""
    names = np.array([ids[i] for i in place], dtype=object)
    return {dim: (dim, names) for dim in ("image", "other_image")}


@pytest.mark.parametrize("statistic", ["pearson", "distance_correlation"])
@pytest.mark.parametrize("count", [2, 4])
def test_the_jackknife_leaves_out_each_group_exactly(statistic: str, count: int) -> None:
    given = matrices(count=count)
    groups = unlike_groups()
    without = correlation(given, statistic, groups)[1:]
    for g in range(groups.max() + 1):
        kept = np.flatnonzero(groups != g)
        left = np.unique(groups[kept], return_inverse=True)[1]
        again = correlation([d[np.ix_(kept, kept)] for d in given], statistic, left)[0]
        assert without[g] == pytest.approx(again, abs=1e-5)


def unlike_groups() -> np.ndarray:
    """Twelve groups of 1 to 7 images."""
    return np.unique(np.random.default_rng(2).integers(12, size=N), return_inverse=True)[1]


@pytest.mark.parametrize("count", [2, 4])
@pytest.mark.parametrize("statistic", STATISTICS)
def test_correlations_of_groups_are_least_squares_over_pairs_of_different_groups(statistic: str, count: int) -> None:
    given, groups = matrices(count=count), unlike_groups()
    listed = [(i, j) for i in range(N) for j in range(i) if groups[i] != groups[j]]
    columns = np.array([[d[i, j] for i, j in listed] for d in given], float)
    if statistic == "spearman":
        columns = pd.DataFrame(columns.T).rank().to_numpy().T
    design = np.ones((len(listed), 1))
    if statistic == "distance_correlation":
        # An effect of each image: over all pairs its residuals are Székely's and Rizzo's centred distances.
        design = np.array([[float(k in pair) for k in range(N)] for pair in listed])
    columns = columns - (design @ np.linalg.lstsq(design, columns.T, rcond=None)[0]).T
    one, two = (y - columns[2:].T @ np.linalg.lstsq(columns[2:].T, y, rcond=None)[0] for y in columns[:2])
    expected = one @ two / math.sqrt((one @ one) * (two @ two))
    assert correlation(given, statistic, groups)[0] == pytest.approx(expected, abs=1e-5)


def test_a_group_of_half_the_images_is_centred_as_others_are() -> None:
    # Of 40 images 20, and 18 of 36 without the second group.
    for first, second in ((20, 4), (18, 4)):
        groups = np.repeat(np.arange(8), [first, second, *[1] * 5, N - first - second - 5])
        given = matrices(count=2)
        without = correlation(given, "distance_correlation", groups)
        for g in (1, 3):
            kept = np.flatnonzero(groups != g)
            left = np.unique(groups[kept], return_inverse=True)[1]
            again = correlation([d[np.ix_(kept, kept)] for d in given], "distance_correlation", left)[0]
            assert without[1 + g] == pytest.approx(again, abs=1e-5)


@pytest.mark.parametrize("noisy", [False, True])
@pytest.mark.parametrize("metric", list(kernels_pairs.METRICS))
def test_neighbours_and_chance_of_groups_are_those_of_loops(metric: str, noisy: bool) -> None:
    rng = np.random.default_rng(5)
    n, k = 60, 3
    x, se = rng.gamma(2, size=(n, 5)), rng.uniform(0.01, 0.1, size=(n, 5))
    groups = np.concatenate([np.zeros(20, int), 1 + rng.integers(12, size=n - 20)])
    label = [str(one) for one in rng.integers(3, size=n)]
    data = dataset(x[:, None], label=label).assign_coords(photograph=("image", [f"p{g}" for g in groups]))
    data = data.assign(phi_se=(data.phi.dims, se[:, None].astype(np.float32)))
    found = semantics.neighbours(data, k=k, distances=metric, clusters="photograph", noise_free=noisy, resamples=100)
    x, se = data.phi.values[:, 0].astype(float), data.phi_se.values[:, 0].astype(float) * noisy
    if metric == "standardised":
        square = np.array([(x[i] - x[j]) ** 2 / 2 for i in range(n) for j in range(n) if groups[i] != groups[j]])
        spread = np.sqrt(square.mean(axis=0) - (se**2).mean(axis=0))
        x, se = x / spread, se / spread
    index, shares, chances = [], [], []
    for i in range(n):
        others = [j for j in range(n) if groups[j] != groups[i]]
        noise = (se**2).sum(axis=1)
        if metric == "cosine":
            norm = np.sqrt((x**2).sum(axis=1) - noise)
            d = [-(x[i] @ x[j]) / norm[i] / norm[j] for j in others]
        else:
            d = [((x[i] - x[j]) ** 2).sum() - noise[i] - noise[j] for j in others]
        index.append([others[m] for m in np.argsort(d)[:k]])
        shares.append(np.mean([label[j] == label[i] for j in index[-1]]))
        chances.append(np.mean([label[j] == label[i] for j in others]))
    np.testing.assert_array_equal(found.neighbor_index.squeeze(), index)
    assert found.precision.item() == pytest.approx(np.mean(shares))
    assert found.precision_chance.item() == pytest.approx(np.mean(chances))


def test_neighbours_of_large_groups_are_found_beyond_the_group() -> None:
    rng = np.random.default_rng(6)
    groups = np.repeat(np.arange(12), 100)
    x = 10 * rng.normal(size=(12, 3))[groups] + rng.normal(size=(1200, 3))
    index, distance = kernels_pairs.nearest(x, 2, None, groups)
    d = squareform(pdist(x))
    d[groups[:, None] == groups] = np.inf
    np.testing.assert_array_equal(index, d.argsort(axis=1)[:, :2])
    np.testing.assert_allclose(distance, np.sort(d, axis=1)[:, :2])


@pytest.mark.parametrize("statistic", STATISTICS)
def test_groups_of_one_image_are_images(statistic: str) -> None:
    alone, each = (
        kernels_correlation.gram(*[[kernels_correlation.transformed(d, statistic, g) for d in matrices(count=3)]] * 2)
        for g in (None, np.arange(N))
    )
    # Sums of products of single-precision numbers below 1.
    np.testing.assert_allclose(each, alone, rtol=1e-5, atol=1e-6)


def test_the_jackknife_of_ranks_without_groups_is_the_derivative_of_weighted_ranks() -> None:
    a, b = matrices(count=2)
    groups = np.unique(np.random.default_rng(3).integers(9, size=N), return_inverse=True)[1]
    variables = [kernels_correlation.transformed(d, "spearman", groups) for d in (a, b)]
    found = kernels_correlation.gram(variables, variables)[:, 0, 1]
    i, j = np.triu_indices(N, 1)
    kept = groups[i] != groups[j]
    i, j = i[kept], j[kept]
    count, step = len(i), 1e-4
    # Of each pair (rows) the pairs that are below it, ties by half.
    belows = [(d[:, None] > d) + 0.5 * (d[:, None] == d) for d in (pairs(d)[kept] for d in (a, b))]
    for g in range(groups.max() + 1):
        touching = (groups[i] == g) | (groups[j] == g)
        weights = np.where(touching, np.array([[1 - step], [1 + step]]), 1.0)
        share = weights / weights.sum(axis=1, keepdims=True)
        rank = [weights @ below.T / weights.sum(axis=1, keepdims=True) - 0.5 for below in belows]
        less, more = (share * rank[0] * rank[1]).sum(axis=1)
        # Weights of 1 − h take off a share h of the group; without all of it the rest counts 1/(1 − its share).
        slope = (less - more) / (2 * step) * count / (count - touching.sum())
        assert found[1 + g] - found[0] == pytest.approx(slope, rel=1e-3, abs=1e-7)


def test_errors_over_groups_of_unlike_sizes_are_those_robust_to_clusters() -> None:
    rng = np.random.default_rng(4)
    groups = np.repeat(np.arange(12), rng.integers(1, 9, size=12))
    x = rng.normal(size=len(groups)) + rng.normal(size=12)[groups]
    sizes = np.bincount(groups)
    values = np.array([x.mean(), *(x[groups != g].mean() for g in range(12))])
    found = jackknife_deviation(levelled(values, sizes / len(x)))
    # Of a mean: G/(G − 1) Σ (Σ residuals of a group)² / n².
    residuals = np.bincount(groups, x - x.mean())
    assert found == pytest.approx(math.sqrt(12 / 11 * (residuals**2).sum()) / len(x))


def test_permutations_exchange_whole_groups_of_one_size() -> None:
    groups = np.array([0, 1, 1, 0, 2, 3, 3, 2, 4, 4, 4, 5, 6, 5, 5, 6, 6])
    orders = kernels_correlation.permutations_of(len(groups), 200, 0, groups)
    for order in orders:
        np.testing.assert_array_equal(np.sort(order), np.arange(len(groups)))
        moved = {(int(g), int(groups[k])) for g, k in zip(groups, order, strict=True)}
        # Each group comes from one group, of its size, its images in order.
        assert len(moved) == 7
        assert all((groups == g).sum() == (groups == k).sum() for g, k in moved)
        assert all((np.diff(order[groups == g]) > 0).all() for g in range(7))
    # 4! · 3! arrangements of equal chance: 200 draws miss none of 4 places with probability 4 (3/4)²⁰⁰.
    assert {int(groups[order[0]]) for order in orders} == {0, 1, 2, 3}


def test_mantel_p_values_are_those_of_scikit_bio() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        stats = pytest.importorskip("skbio.stats.distance")
        rng = np.random.default_rng(4)
        x = rng.normal(size=(N, 3))
        # Related so weakly that p is neither 0 nor 1.
        a = kernels_pairs.distance_matrix(x, "euclidean")
        b = kernels_pairs.distance_matrix(0.35 * x + rng.normal(size=(N, 3)), "euclidean")
        r, p, _ = stats.mantel(a.astype(float), b.astype(float), permutations=1999, seed=5)
    phi = np.ascontiguousarray(x[:, None])
    given = xr.DataArray(b, dims=("image", "other_image"))
    found = semantics.correlate(
        dataset(phi), {"b": given}, distances=["euclidean"], statistics=["pearson"], permutations=1999
    )
    assert found.correlation.item() == pytest.approx(r, abs=1e-5)
    assert 0.001 < p < 0.999
    # Two independent estimates of one p, each of variance ≤ p(1 − p)/1999: 5 standard deviations of the difference.
    assert abs(found.p_permutation.item() - p) <= 5 * np.sqrt(2 * p * (1 - p) / 1999) + 2 / 2000


@pytest.mark.parametrize(("n", "k"), [(30, 29), (40, 3), (1500, 10), (1003, 25)])
def test_neighbours_are_those_of_scikit_learn(n: int, k: int) -> None:
    x = features(n, n, 12)
    index, distance = kernels_pairs.nearest(x.astype(np.float32), k)
    expected = NearestNeighbors(n_neighbors=k, algorithm="kd_tree").fit(x.astype(np.float32).astype(float)).kneighbors()
    np.testing.assert_allclose(distance, expected[0], rtol=1e-9)
    np.testing.assert_array_equal(index, expected[1])


def test_neighbours_that_single_precision_cannot_tell_apart_are_still_exact() -> None:
    rng = np.random.default_rng(6)
    x = 1 + 1e-7 * rng.normal(size=(2000, 4))
    x[0] = 1000
    index, distance = kernels_pairs.nearest(x, 5)
    # Two far groups: within one, single precision about the mean sees hardly any difference.
    expected = squareform(pdist(x))
    np.fill_diagonal(expected, np.inf)
    np.testing.assert_allclose(distance, np.sort(expected, axis=1)[:, :5], rtol=1e-6)
    assert (index != np.arange(2000)[:, None]).all()


def test_of_equally_near_images_the_first_comes_first() -> None:
    x = np.repeat(np.arange(4.0), 50)[:, None] * np.ones(3)
    index, distance = kernels_pairs.nearest(x, 3)
    assert index[60].tolist() == [50, 51, 52]
    assert index[50].tolist() == [51, 52, 53]
    assert not distance.any()


def test_ranks_are_those_of_sorting_all_distances() -> None:
    key = features(7, 60, 3)
    query = key + 0.5 * features(8, 60, 3)
    both = np.stack([key, query], axis=1)
    found = semantics.stability(dataset(both, (0.1, 0.3)), distances=["euclidean"], resamples=100)
    d = np.linalg.norm(query[:, None].astype(np.float32) - key.astype(np.float32), axis=2)
    rank = (d <= np.diagonal(d)[:, None]).sum(axis=1)
    here = found.sel(sigma=0.3, noise="shared").squeeze()
    assert here.top1.item() == pytest.approx((rank == 1).mean())
    assert here.reciprocal_rank.item() == pytest.approx((1 / rank).mean())
    assert here.median_rank.item() == np.median(rank)
    assert found.top1_chance.item() == pytest.approx(1 / 60)
    assert found.reciprocal_rank_chance.item() == pytest.approx((1 / np.arange(1, 61)).mean())


def test_precision_is_the_share_of_neighbours_of_the_same_class() -> None:
    x = features(9, 50, 4)
    label = [str(i % 3) for i in range(50)]
    found = semantics.neighbours(dataset(x[:, None], label=label), k=4, distances=["cosine"], resamples=100)
    index = NearestNeighbors(n_neighbors=4, metric="cosine").fit(x.astype(np.float32)).kneighbors()[1]
    classes = np.array(label)
    assert found.precision.item() == pytest.approx((classes[index] == classes[:, None]).mean())
    same = classes[:, None] == classes
    assert found.precision_chance.item() == pytest.approx((same.sum() - 50) / (50 * 49))


def test_paths_through_wordnet_are_shortest_paths_in_the_tree() -> None:
    rng = np.random.default_rng(10)
    parent = {k: int(rng.integers(k)) for k in range(1, 60)}
    leaves = sorted(set(parent) - set(parent.values()))

    def chain(node: int) -> list[int]:
        return [node] if node == 0 else [*chain(parent[node]), node]

    table = pd.DataFrame(
        {"wnid": [f"n{k}" for k in leaves], "hypernym_wnids": [" > ".join(f"n{j}" for j in chain(k)) for k in leaves]}
    )
    found = semantics.class_distances(table)
    for a in leaves[:10]:
        for b in leaves:
            apart = set(chain(a)) ^ set(chain(b))
            assert found.sel(label=f"n{a}", other_label=f"n{b}").item() == len(apart)


def test_deviations_over_groups_are_those_of_pairs_of_different_groups() -> None:
    rng = np.random.default_rng(0)
    groups = rng.integers(4, size=15)
    x = rng.normal(size=(15, 3)) * [1, 5, 0.1]
    pairs = [(i, j) for i in range(15) for j in range(15) if groups[i] != groups[j]]
    expected = np.sqrt(np.mean([(x[i] - x[j]) ** 2 / 2 for i, j in pairs], axis=0))
    np.testing.assert_allclose(kernels_pairs.deviations(x, groups), expected)
    np.testing.assert_allclose(kernels_pairs.deviations(x), x.std(axis=0, ddof=1))
    # Means of numbers that are the same are these only up to rounding.
    constant = np.array([[0.1, 1e9 + 0.1, -3e-7]]).repeat(15, axis=0)
    assert not kernels_pairs.deviations(constant, groups).any()
    assert not kernels_pairs.deviations(constant).any()
