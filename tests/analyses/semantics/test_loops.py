"""Correlations of distances, their jackknife and Mantel's test, against least squares over pairs listed one by one."""

import itertools
import math
import warnings

import numpy as np
import pytest
from scipy.stats import rankdata

from analyses.semantics import kernels_correlation, kernels_pairs
from analyses.semantics.kernels_correlation import Transformed, transformed
from analyses.semantics.kernels_pairs import constant_without

STATISTICS = list(kernels_pairs.STATISTICS)
# Of 16 images 12 are left without the second group, of which the first is half.
GROUPS = np.random.default_rng(0).permutation(np.repeat(np.arange(6), [6, 4, 1, 1, 2, 2]))
Pairs = list[tuple[int, int]]


def listed(groups: np.ndarray) -> Pairs:
    return [(i, j) for i, j in itertools.combinations(range(len(groups)), 2) if groups[i] != groups[j]]


def remainders(columns: np.ndarray, design: np.ndarray) -> np.ndarray:
    """What least squares leave of columns (columns, rows) after regression on a design (rows, variables)."""
    return columns - (design @ np.linalg.lstsq(design, columns.T, rcond=None)[0]).T


def symmetric(upper: np.ndarray) -> np.ndarray:
    return np.triu(upper, 1) + np.triu(upper, 1).T


def tied_distances(seed: int, n: int, count: int) -> list[np.ndarray]:
    """Whole numbers that hang together."""
    rng = np.random.default_rng(seed)
    shared = rng.integers(1, 5, (n, n))
    return [symmetric(shared + rng.integers(0, 3, (n, n))).astype(np.float32) for _ in range(count)]


@pytest.mark.parametrize("groups", [None, GROUPS], ids=["images", "groups"])
@pytest.mark.parametrize("statistic", STATISTICS)
def test_what_is_transformed_has_its_sums_and_for_ranks_its_order(statistic: str, groups: np.ndarray | None) -> None:
    (d,) = tied_distances(1, 16, 1)
    found = kernels_correlation.transformed(d, statistic, groups)
    assert found.statistic == statistic
    assert found.groups is groups
    np.testing.assert_array_equal(found.matrix, kernels_pairs.STATISTICS[statistic](d, groups))
    # Single-precision numbers, summed in double precision.
    np.testing.assert_allclose(found.sums, [math.fsum(row) for row in found.matrix.tolist()], atol=1e-13)
    if statistic != "spearman":
        assert len(found.order) == len(found.starts) == 0
        return
    values = [float(d[i, j]) for i, j in listed(np.arange(16) if groups is None else groups)]
    assert found.order.tolist() == sorted(range(len(values)), key=values.__getitem__)
    ordered = sorted(values)
    assert found.starts.tolist() == [k for k, v in enumerate(ordered) if k == 0 or v != ordered[k - 1]]


def test_products_of_rows_are_summed_in_double_precision() -> None:
    a, b = np.random.default_rng(2).normal(size=(2, 600, 7)).astype(np.float32)
    expected = [
        math.fsum(x * y for x, y in zip(*rows, strict=True)) for rows in zip(a.tolist(), b.tolist(), strict=True)
    ]
    np.testing.assert_allclose(kernels_correlation.products(a, b), expected, rtol=1e-12, atol=1e-14)


def whole_numbers(seed: int, statistic: str, groups: np.ndarray | None) -> Transformed:
    """Large whole numbers as a statistic leaves them, so exactly: of sum 0, or of rows that sum to 0."""
    rng = np.random.default_rng(seed)
    own = np.arange(16) if groups is None else groups
    matrix = np.zeros((16, 16), np.int64)
    while np.count_nonzero(matrix) < 0.9 * 2 * len(listed(own)):
        ring = rng.choice(16, 4, replace=False)
        sides = [(int(ring[k]), int(ring[(k + 1) % 4])) for k in range(4)]
        if all(own[i] != own[j] for i, j in sides):
            # Two of the four numbers meet in each row.
            value = int(rng.integers(2**20, 2**21))
            for sign, (i, j) in zip((1, -1, 1, -1), sides, strict=True):
                matrix[i, j] += sign * value
                matrix[j, i] += sign * value
    if statistic == "pearson":
        for i, j in rng.permutation(listed(own))[:40]:
            (k, m), value = listed(own)[int(rng.integers(10))], int(rng.integers(2**18))
            matrix[[i, j], [j, i]] += value
            matrix[[k, m], [m, k]] -= value
    assert np.abs(matrix).max() < 2**24, "no float32 holds larger whole numbers"
    none = np.zeros(0, np.int32)
    constant = np.zeros(1 + own.max(), bool)
    return Transformed(
        statistic, matrix.astype(np.float32), matrix.sum(axis=1).astype(float), none, none, constant, groups
    )


@pytest.mark.parametrize("groups", [None, GROUPS], ids=["images", "groups"])
@pytest.mark.parametrize("statistic", ["pearson", "distance_correlation"])
def test_inner_products_without_each_are_those_of_least_squares_over_the_pairs_left(
    statistic: str, groups: np.ndarray | None
) -> None:
    variables = [whole_numbers(seed, statistic, groups) for seed in range(3)]
    own = np.arange(16) if groups is None else groups
    expected = []
    for g in (-1, *range(own.max() + 1)):
        pairs = [(i, j) for i, j in listed(own) if g not in (own[i], own[j])]
        columns = np.array([[v.matrix[i, j] for i, j in pairs] for v in variables], float)
        effects = [[float(k in pair) for k in range(16)] for pair in pairs]
        design = np.array(effects) if statistic == "distance_correlation" else np.ones((len(pairs), 1))
        left = remainders(columns, design)
        expected.append(2 * left @ left.T)
    # Double precision throughout: single would be off by 1e-8.
    atol = 1e-11 * np.abs(expected).max()
    np.testing.assert_allclose(kernels_correlation.gram(variables, variables), expected, rtol=0, atol=atol)
    across = kernels_correlation.gram(variables[:1], variables[1:])
    np.testing.assert_allclose(across, np.array(expected)[:, :1, 1:], rtol=0, atol=atol)
    turned = kernels_correlation.gram(variables[1:], [variables[0], variables[2]])
    np.testing.assert_allclose(turned, np.array(expected)[:, 1:, [0, 2]], rtol=0, atol=atol)


@pytest.mark.parametrize("statistic", STATISTICS)
@pytest.mark.parametrize("groups", [None, GROUPS], ids=["images", "groups"])
def test_without_the_only_image_or_group_of_its_class_a_class_varies_no_more(
    statistic: str, groups: np.ndarray | None
) -> None:
    own = np.arange(16) if groups is None else groups
    apart = (own[:, None] == 3) != (own == 3)
    variables = [
        transformed(d.astype(np.float32), statistic, groups)
        for d in (apart * 0.1 + 0.7 * (own[:, None] != own), np.abs(np.subtract.outer(np.arange(16) ** 2, own)) / 3)
    ]
    found = kernels_correlation.gram(variables, variables)
    assert variables[0].constant.tolist() == [g == 3 for g in range(own.max() + 1)]
    assert not variables[1].constant.any()
    assert found[1 + 3, 0, 0] == 0
    assert (found[:, 1, 1] > 0).all()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isnan(kernels_correlation.partial(found[1 + 3], ()))
        assert np.isnan(kernels_correlation.partial(found[1 + 3][::-1, ::-1][:, [0, 1, 1]][[0, 1, 1]], (2,)))
    # What one image's distances vary by is all that its effect explains.
    assert np.isfinite(kernels_correlation.partial(found[0], ())) == (statistic != "distance_correlation")


def test_a_matrix_is_constant_without_a_group_where_a_loop_over_its_pairs_says_so() -> None:
    rng = np.random.default_rng(0)
    met = set()
    for case in range(200):
        own = rng.permutation(np.arange(8) % rng.integers(2, 9))
        d = np.full((8, 8), rng.choice([0.0, 0.1, 3.0]))
        for i in rng.permutation(8)[: case % 3]:
            d[i], d[:, i] = rng.choice([0.1, 0.1 * (1 + 9e-6), 0.1 * (1 + 2e-5), 0.0, 4.0], (2, 8))
        d = np.maximum(d, d.T)
        expected = []
        for g in range(own.max() + 1):
            left = [d[i, j] for i in range(8) for j in range(8) if len({own[i], own[j], g}) == 3]
            expected.append(not left or max(left) - min(left) <= 1e-5 * max(map(abs, left)))
        assert constant_without(d, own).tolist() == expected
        met |= set(expected)
        if own.max() == 7:
            order = np.argsort(own)
            assert constant_without(d[order][:, order]).tolist() == expected
    assert met == {True, False}


@pytest.mark.parametrize("groups", [None, GROUPS], ids=["images", "groups"])
def test_products_of_ranks_change_by_the_slope_of_weighted_ranks(groups: np.ndarray | None) -> None:
    given = tied_distances(3, 16, 3)
    variables = [kernels_correlation.transformed(d, "spearman", groups) for d in given]
    own = np.arange(16) if groups is None else groups
    pairs = listed(own)
    values = [np.array([d[i, j] for i, j in pairs]) for d in given]
    belows = [np.array([[(w < v) + (w == v) / 2 for w in value] for v in value]) for value in values]
    found = kernels_correlation.gram(variables, variables)
    # Ranks are held in single precision.
    rtol, atol = 1e-6, 1e-7
    for p, q in np.ndindex(3, 3):
        ranks = [rankdata(values[k]) for k in (p, q)]
        one, two = ((rank - rank.mean()) / len(pairs) for rank in ranks)
        np.testing.assert_allclose(found[0, p, q], (one * two).mean(), rtol=rtol, atol=atol)

        def weighted(weights: np.ndarray, p: int, q: int) -> float:
            share = weights / weights.sum()
            return float(share @ ((belows[p] @ share - 0.5) * (belows[q] @ share - 0.5)))

        for g in range(own.max() + 1):
            mine = np.array([float(g in (own[i], own[j])) for i, j in pairs])
            step = 1e-4
            slope = (weighted(1 - step * mine, p, q) - weighted(1 + step * mine, p, q)) / (2 * step)
            # Without all of the group the rest counts 1/(1 − its share).
            change = slope * len(pairs) / (len(pairs) - mine.sum())
            np.testing.assert_allclose(found[1 + g, p, q] - found[0, p, q], change, rtol=rtol, atol=atol)


@pytest.mark.parametrize("given", [(), (2,), (3,), (3, 2)])
@pytest.mark.parametrize("shape", [(), (5,), (2, 3)])
def test_partial_correlations_are_those_of_what_least_squares_leave(
    shape: tuple[int, ...], given: tuple[int, ...]
) -> None:
    rng = np.random.default_rng(4)
    x = rng.normal(size=(*shape, 4, 30)) + rng.normal(size=(*shape, 1, 30))
    x *= np.array([3.0, 0.2, 50.0, 0.01])[:, None]
    found = kernels_correlation.partial(x @ np.swapaxes(x, -1, -2), given)
    assert found.shape == shape
    for at in np.ndindex(shape):
        one, two = remainders(x[at][:2], x[at][list(given)].T)
        assert found[at] == pytest.approx(one @ two / math.sqrt((one @ one) * (two @ two)), rel=1e-9)


@pytest.mark.parametrize("constant", [0, 1, 2, 3])
@pytest.mark.parametrize("given", [(), (2,), (2, 3)])
def test_a_variable_that_is_constant_in_some_tables_has_no_correlation_there(
    constant: int, given: tuple[int, ...]
) -> None:
    x = np.random.default_rng(5).normal(size=(2, 3, 4, 20))
    x[0, 1, constant] = x[1, 2, constant] = 0
    found = kernels_correlation.partial(x @ np.swapaxes(x, -1, -2), given)
    unknown = np.array([[False, True, False], [False, False, True]])
    np.testing.assert_array_equal(np.isnan(found), unknown & (constant in (0, 1, *given)))


@pytest.mark.parametrize("scale", [1e-3, 1e3])
@pytest.mark.parametrize(("share", "known"), [(1e-5, True), (2e-6, True), (5e-7, False)])
@pytest.mark.parametrize("of", [0, 1])
def test_what_is_left_of_a_variable_counts_above_a_millionth_of_it(
    of: int, share: float, known: bool, scale: float
) -> None:
    # Variable `of` is the given one but for this share; the other has half of its own, and what is left is the same.
    x = np.zeros((3, 2))
    x[2, 0] = 1
    x[of], x[1 - of] = [1, math.sqrt(share)], [1, 1]
    found = kernels_correlation.partial((x @ x.T) * scale**2, (2,))
    assert np.isnan(found) == (not known)
    assert not known or found == pytest.approx(1, abs=1e-6)


def test_a_remainder_of_just_the_least_share_is_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    # A quarter, which rounding does not change, in place of a millionth.
    inner = np.array([[4.0, 1.0, 3.0], [1.0, 4.0, 0.0], [3.0, 0.0, 3.0]])
    expected = 1 / math.sqrt(1 * 4)
    assert kernels_correlation.partial(inner, (2,)) == pytest.approx(expected)
    assert kernels_correlation.permuted_statistics(inner, inner[None], (2,)).tolist() == pytest.approx([expected])
    monkeypatch.setattr(kernels_correlation, "NOTHING", 0.25)
    monkeypatch.setattr(kernels_correlation, "NOTHING", 0.25)
    assert np.isnan(kernels_correlation.partial(inner, (2,)))
    assert kernels_correlation.permuted_statistics(inner, inner[None], (2,), residuals=False).tolist() == [0]


def test_rounding_leads_to_no_correlation_beyond_one() -> None:
    inner = np.array([[[1.0, 1.0 + 1e-9], [1.0 + 1e-9, 1.0]], [[1.0, -1.0 - 1e-9], [-1.0 - 1e-9, 1.0]]])
    assert kernels_correlation.partial(inner, ()).tolist() == [1, -1]


def test_nothing_left_but_rounding_of_what_goes_with_it_has_no_correlation() -> None:
    more = np.nextafter(0.5, 1)
    inner = np.array([[1.0, more, 1.0], [more, 1.0, 0.5], [1.0, 0.5, 1.0]])
    assert np.isnan(kernels_correlation.partial(inner, (2,)))


@pytest.mark.parametrize("shape", [(), (4,), (2, 4)])
def test_inverses_do_not_depend_on_units_and_drop_what_is_given_twice(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(6)
    x = rng.normal(size=(*shape, 3, 20)) * np.array([1e4, 1.0, 1e-5])[:, None]
    inverse, sound = kernels_correlation.inverted(x @ np.swapaxes(x, -1, -2))
    assert sound.shape == shape
    assert sound.all()
    # Nearly the same variable twice: at 1e-4 of its variance both count, at 1e-9 they are one.
    other = rng.normal(size=(*shape, 20))
    for at in np.ndindex(shape):
        np.testing.assert_allclose(inverse[at] @ x[at] @ x[at].T, np.eye(3), rtol=1e-9, atol=1e-9 * 1e9)
        np.testing.assert_allclose(inverse[at], np.linalg.inv(x[at] @ x[at].T), rtol=1e-6)
    for share, twice in ((1e-4, False), (1e-9, True)):
        x[..., 1, :] = 1e-4 * x[..., 0, :] + math.sqrt(share) * other
        found, _ = kernels_correlation.inverted(x @ np.swapaxes(x, -1, -2))
        for at in np.ndindex(shape):
            rank = np.linalg.matrix_rank(found[at] * np.outer(*[np.sqrt((x[at] ** 2).sum(axis=1))] * 2), hermitian=True)
            assert rank == (2 if twice else 3)


def test_inverses_say_which_tables_have_a_constant_variable() -> None:
    x = np.random.default_rng(7).normal(size=(2, 3, 2, 9)) * 0.01
    x[0, 1, 0] = x[1, 2, 1] = x[1, 0] = 0
    inverse, sound = kernels_correlation.inverted(x @ np.swapaxes(x, -1, -2))
    assert sound.tolist() == [[True, False, True], [False, True, False]]
    for at in np.ndindex(2, 3):
        np.testing.assert_allclose(inverse[at], np.linalg.pinv(x[at] @ x[at].T, hermitian=True), rtol=1e-9, atol=1e-9)


def test_orders_are_arrangements_and_their_seed_repeats_them() -> None:
    found = kernels_correlation.permutations_of(40, 30, 1)
    assert found.shape == (30, 40)
    np.testing.assert_array_equal(np.sort(found, axis=1), np.tile(np.arange(40), (30, 1)))
    assert len({tuple(order) for order in found.tolist()}) == 30
    np.testing.assert_array_equal(found, kernels_correlation.permutations_of(40, 30, 1))
    assert (found != kernels_correlation.permutations_of(40, 30, 2)).any()
    # Each of the 3! arrangements is missed by 100 draws with probability (5/6)¹⁰⁰.
    assert len({tuple(order) for order in kernels_correlation.permutations_of(3, 100, 0).tolist()}) == 6
    assert found.dtype == kernels_correlation.permutations_of(16, 2, 1, GROUPS).dtype == np.int32


def test_groups_change_places_whole_with_their_images_in_order() -> None:
    sizes = [7, 1, 3, 7, 30, 1, 3, 3, 1, 7, 30]
    groups = np.random.default_rng(8).permutation(np.repeat(np.arange(11), sizes))
    found = kernels_correlation.permutations_of(len(groups), 50, 3, groups)
    for order in found:
        goes = [int(groups[order[groups == g][0]]) for g in range(11)]
        assert sorted(goes) == list(range(11))
        for g, to in enumerate(goes):
            assert order[groups == g].tolist() == np.flatnonzero(groups == to).tolist()
    for g in range(11):
        assert len({int(order[groups == g][0]) for order in found}) == sizes.count(sizes[g])
    np.testing.assert_array_equal(found, kernels_correlation.permutations_of(len(groups), 50, 3, groups))
    assert (found != kernels_correlation.permutations_of(len(groups), 50, 4, groups)).any()


@pytest.mark.parametrize(("n", "count"), [(37, 35), (5, 3), (16, 16), (17, 0)])
def test_products_of_permuted_matrices_are_those_of_loops(n: int, count: int) -> None:
    rng = np.random.default_rng(9)
    # Whole numbers, so that sums in single precision are exact.
    matrices = [symmetric(rng.integers(-20, 20, (n, n))).astype(np.float32) for _ in range(5)]
    moved, fixed = matrices[:2], matrices[2:]
    orders = np.array([rng.permutation(n) for _ in range(count)]).reshape(count, n)
    found = kernels_correlation.permuted_products(moved, fixed, orders)
    assert found.shape == (count, 2, 3)
    for k, p, q in np.ndindex(count, 2, 3):
        assert found[k, p, q] == (moved[p][np.ix_(orders[k], orders[k])] * fixed[q]).sum()


@pytest.mark.parametrize("residuals", [None, True, False])
@pytest.mark.parametrize("given", [(), (2,), (3, 2)])
def test_permuted_statistics_are_correlations_of_what_least_squares_leave(
    given: tuple[int, ...], residuals: bool | None
) -> None:
    rng = np.random.default_rng(10)
    shared = rng.normal(size=(9, 9))
    mats = [scale * symmetric(shared + rng.normal(size=(9, 9))) for scale in (2.0, 0.3, 5.0, 0.1)]
    orders = [rng.permutation(9) for _ in range(12)]
    inner = np.array([[(a * b).sum() for b in mats] for a in mats])
    moved = np.array([[[(a[np.ix_(p, p)] * b).sum() for b in mats] for a in mats] for p in orders])
    moved[:, 1] = np.nan
    how = {} if residuals is None else {"residuals": residuals}
    found = kernels_correlation.permuted_statistics(inner, moved, given, **how)
    design = np.array([mats[g].ravel() for g in given]).reshape(len(given), 81).T
    one, two = remainders(np.array([m.ravel() for m in mats[:2]]), design)
    source = mats[0] if residuals is False else one.reshape(9, 9)
    for order, r in zip(orders, found, strict=True):
        (left,) = remainders(source[np.ix_(order, order)].reshape(1, 81), design)
        assert r == pytest.approx(left @ two / math.sqrt((left @ left) * (two @ two)), rel=1e-9)


@pytest.mark.parametrize("scale", [1e-3, 1e3])
@pytest.mark.parametrize(("share", "known"), [(1e-5, True), (5e-7, False)])
def test_a_permuted_variable_of_which_a_millionth_is_left_has_correlation_0(
    share: float, known: bool, scale: float
) -> None:
    x = np.array([[1.0, math.sqrt(share)], [1.0, 1.0], [1.0, 0.0]])
    inner = (x @ x.T) * scale**2
    found = kernels_correlation.permuted_statistics(inner, inner[None], (2,), residuals=False)
    assert found.tolist() == pytest.approx([1.0 if known else 0.0], abs=1e-6)


def test_a_permuted_variable_of_which_rounding_alone_is_left_has_correlation_0() -> None:
    inner = np.array([[1.0, 0.5, 0.0], [0.5, 1.0, 0.25], [0.0, 0.25, 1.0]])
    moved = np.array([[[1.0, 0.3, 1.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]], inner])
    found = kernels_correlation.permuted_statistics(inner, moved, (2,))
    np.testing.assert_allclose(found, [0, 0.5 / math.sqrt(1 - 0.25**2)])


@pytest.mark.parametrize("observed", [0.5, -0.5, 0.0, np.nan, np.inf])
def test_p_values_count_what_is_as_far_from_0_up_to_rounding(observed: float) -> None:
    just = abs(observed) - 1e-5
    permuted = np.array(
        [0.5, -0.5, 0.5 - 5e-6, 5e-6 - 0.5, 0.5 - 2e-5, 0.45, 0.9, -0.9, 0.0, just, np.nextafter(just, 0)]
    )
    found = kernels_correlation.p_values(observed, permuted)
    if not math.isfinite(observed):
        assert math.isnan(found)
        return
    # What is 1e-5 nearer to 0 counts as equal, and nothing that is nearer still.
    far = {0.5: 7, -0.5: 7, 0.0: 11}[observed]
    assert found == (1 + far) / 12


@pytest.mark.parametrize("count", [0, 30])
@pytest.mark.parametrize("groups", [None, GROUPS], ids=["images", "groups"])
@pytest.mark.parametrize("statistic", STATISTICS)
def test_a_comparison_is_of_each_with_each_given_each_set(
    statistic: str, groups: np.ndarray | None, count: int
) -> None:
    d = tied_distances(11, 16, 5)
    given = [(), (1,), (2, 0)]
    orders = kernels_correlation.permutations_of(16, count, 1, groups)
    names = dict(zip("abc", d[2:], strict=True))
    side = kernels_correlation.Comparison(names, statistic, given, orders, groups)
    *both, a, b, c = (kernels_correlation.transformed(one, statistic, groups) for one in d)
    others = [a, b, c]
    found = np.stack([side.correlations(own) for own in both])
    assert found.shape == (2, 17 if groups is None else 7, 3, 3)
    p = side.p_values([own.matrix for own in both], found[:, 0])
    assert p.shape == (2, 3, 3)
    for (n, own), k, (g, fixed) in itertools.product(enumerate(both), range(3), enumerate(given)):
        if k in fixed:
            assert np.isnan(found[n, :, k, g]).all()
            assert np.isnan(p[n, k, g])
            continue
        variables = [own, others[k], *(others[f] for f in fixed)]
        numbers = tuple(range(2, len(variables)))
        expected = kernels_correlation.partial(kernels_correlation.gram(variables, variables), numbers)
        np.testing.assert_allclose(found[n, :, k, g], expected, rtol=1e-9)
        if not count:
            assert np.isnan(p[n, k, g])
            continue
        mats = [v.matrix.astype(float) for v in variables]
        inner = np.array([[(a * b).sum() for b in mats] for a in mats])
        moved = np.array([[[(a[np.ix_(o, o)] * b).sum() for b in mats] for a in mats] for o in orders])
        statistics = kernels_correlation.permuted_statistics(inner, moved, numbers)
        assert p[n, k, g] == kernels_correlation.p_values(float(found[n, 0, k, g]), statistics)


def test_a_comparison_with_nothing_held_fixed_has_p_values_that_differ() -> None:
    d = tied_distances(12, 16, 3)
    orders = kernels_correlation.permutations_of(16, 60, 1)
    side = kernels_correlation.Comparison({"a": d[1], "turned": d[2][::-1, ::-1]}, "pearson", [()], orders)
    own = kernels_correlation.transformed(d[0], "pearson")
    related, unrelated = side.p_values([own.matrix], side.correlations(own)[:1])[0, :, 0]
    assert related == 1 / 61
    assert 0.05 < unrelated < 1
