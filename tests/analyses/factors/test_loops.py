"""Correlations, read-outs and partners of a numeric factor, against plain loops over rows, images and penalties."""

import math

import numpy as np
import pytest
from scipy import stats

from analyses.factors import kernels


@pytest.mark.parametrize("seed", range(3))
def test_mean_features_are_those_of_each_groups_images(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, group = rng.normal(size=(20, 3)), rng.permutation([*range(5), *rng.integers(5, size=15)])
    with np.errstate(invalid="ignore"):
        # The last group has no images.
        found = kernels.means(x, group, 6)
    assert np.isnan(found[5]).all()
    for g in range(5):
        images = [x[i] for i in range(20) if group[i] == g]
        np.testing.assert_allclose(found[g], sum(images) / len(images))


@pytest.mark.parametrize("scale", [1.0, 1e-14, 1e9])
def test_correlations_are_pearsons_of_each_pair_of_rows_and_undefined_of_constant_ones(scale: float) -> None:
    each = np.random.default_rng(0).normal(1.0, 1.0, size=(6, 7))
    # The mean of sevenths has rounding, so that what is left of the constant row is not 0.
    each[2], each[4, 0] = 1 / 7, 0.0
    assert (each[2] - each[2].mean()).any()
    each *= scale
    found = kernels.correlations(each)
    for i, j in np.ndindex(6, 6):
        if 2 in (i, j):
            assert np.isnan(found[i, j])
        else:
            assert found[i, j] == pytest.approx(stats.pearsonr(each[i], each[j]).statistic)


def test_of_no_rows_there_are_no_correlations() -> None:
    assert kernels.correlations(np.empty((0, 3))).shape == (0, 0)


@pytest.mark.parametrize("largest", [0.25, 1.0, 8.0])
@pytest.mark.parametrize("features", [4, 9])
def test_a_row_has_a_direction_from_a_trillionth_of_the_largest_number_on(largest: float, features: int) -> None:
    least = 1e-12 * largest * math.sqrt(features)
    each = np.random.default_rng(1).normal(size=(8, features))
    each[:4] = 0
    each[1, 0], each[2, 1], each[3, 2] = least, -1.001 * least, 0.999 * least
    assert np.linalg.norm(each[1]) == least
    found = kernels.cosines(each, largest=largest)
    none = {0, 1, 3}
    for i, j in np.ndindex(8, 8):
        if none & {i, j}:
            assert np.isnan(found[i, j])
        else:
            a, b = each[i], each[j]
            assert found[i, j] == pytest.approx(sum(a * b) / math.sqrt(sum(a * a)) / math.sqrt(sum(b * b)))


def test_cosines_are_never_beyond_one_by_rounding() -> None:
    rows = np.random.default_rng(2).normal(size=(60, 11))
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    # Else rounding would not show.
    assert (unit @ unit.T).max() > 1
    found = kernels.cosines(np.concatenate([rows, -rows]), largest=5.0)
    assert (found.min(), found.max()) == (-1, 1)
    np.testing.assert_allclose(found[:60, :60].diagonal(), 1)
    np.testing.assert_allclose(found[:60, 60:].diagonal(), -1)


@pytest.mark.parametrize(("images", "folds"), [(12, 3), (14, 4), (5, 5)])
@pytest.mark.parametrize("seed", [0, 70, 2**32 + 5, 2**33 + 5, 3**32])
def test_folds_are_shares_of_the_images_in_shuffled_order(images: int, folds: int, seed: int) -> None:
    order = np.arange(images)
    np.random.RandomState(seed % 2**32).shuffle(order)
    expected = np.empty(images, int)
    # The first folds have one more where images are left over.
    sizes = [images // folds + (k < images % folds) for k in range(folds)]
    for k, size in enumerate(sizes):
        expected[order[sum(sizes[:k]) : sum(sizes[:k]) + size]] = k
    np.testing.assert_array_equal(kernels.fold_numbers(images, folds, seed), expected)


PENALTIES = [10 ** (-5 + step / 2) for step in range(17)]


def ridge(x: np.ndarray, y: np.ndarray, penalty: float) -> tuple[np.ndarray, float]:
    """Weights and intercept that minimise squared errors and the penalty times squared weights."""
    x_mean, y_mean = x.mean(axis=0), y.mean()
    a = x - x_mean
    # As a least-squares problem, which costs fewer digits than its normal equations.
    rows = np.concatenate([a, math.sqrt(penalty) * np.eye(x.shape[1])])
    weights = np.linalg.lstsq(rows, np.concatenate([y - y_mean, np.zeros(x.shape[1])]), rcond=None)[0]
    return weights, float(y_mean - x_mean @ weights)


def left_out(x: np.ndarray, y: np.ndarray, penalty: float) -> float:
    """Sum of squared errors of each image, of a fit on all others."""
    total = 0.0
    for i in range(len(x)):
        others = np.arange(len(x)) != i
        weights, middle = ridge(x[others], y[others], penalty)
        total += float((y[i] - x[i] @ weights - middle) ** 2)
    return total


def read(x: np.ndarray, y: np.ndarray, fold: np.ndarray) -> tuple[np.ndarray, np.ndarray, list[float]]:
    """Squared errors of one target, by the regression and by the mean; and the penalties that were best."""
    error, spread, chosen = np.empty(len(x)), np.empty(len(x)), []
    for k in sorted(set(fold.tolist())):
        fitted = fold != k
        deviation = np.array([s if s > 1e-12 else 1.0 for s in x[fitted].std(axis=0)])
        z = (x - x[fitted].mean(axis=0)) / deviation
        penalty = min(PENALTIES, key=lambda p: left_out(z[fitted], y[fitted], p * fitted.sum()))
        weights, middle = ridge(z[fitted], y[fitted], penalty * fitted.sum())
        chosen.append(penalty)
        for i in np.flatnonzero(~fitted):
            error[i] = (y[i] - z[i] @ weights - middle) ** 2
            spread[i] = (y[i] - y[fitted].mean()) ** 2
    return error, spread, chosen


def test_read_outs_are_ridge_regressions_with_the_penalty_of_least_leave_one_out_error() -> None:
    rng = np.random.default_rng(5)
    x = rng.normal(3, [1, 5, 0.2], size=(18, 3))
    # A channel that does not vary.
    x = np.c_[x, np.full(18, 0.1)]
    targets = np.c_[x @ [1, 0.2, -2, 0] + 5, x[:, 0] + rng.normal(4, 1, size=18), rng.normal(-3, 2, size=18)]
    fold = rng.permutation(np.arange(18) % 3)
    found, spread = kernels.read_out(x, targets, fold)
    assert found.shape == spread.shape == targets.shape
    penalties = set()
    for t in range(3):
        error, of_mean, chosen = read(x, targets[:, t], fold)
        penalties |= set(chosen)
        # Where the target is made of the channels the error is all of the penalty, 10⁻⁵ of the target, and squared.
        np.testing.assert_allclose(found[:, t], error, rtol=1e-6, atol=1e-20)
        np.testing.assert_allclose(spread[:, t], of_mean)
        alone, _ = kernels.read_out(x, targets[:, [t]], fold)
        np.testing.assert_allclose(alone, found[:, [t]], rtol=1e-6, atol=1e-20)
    # Both ends and what lies between.
    assert {PENALTIES[0], PENALTIES[-1]} < penalties


def test_what_is_explained_is_undefined_where_nothing_varies() -> None:
    error = np.array([[0.0, 1.0, 0.2], [0.5, 3.0, 0.0]])
    spread = np.array([[0.0, 0.0, 0.4], [0.25, 2.0, 0.5]])
    expected = [[np.nan, np.nan, 0.5], [-1.0, -0.5, 1.0]]
    np.testing.assert_allclose(kernels.r_squared(error, spread), expected)


@pytest.mark.parametrize("images", [2, 3, 30])
@pytest.mark.parametrize("features", [2, 20])
@pytest.mark.parametrize("common", [0.0, 1e8])
def test_the_nearest_other_image_has_the_least_distance_whatever_all_have_in_common(
    images: int, features: int, common: float
) -> None:
    x = np.random.default_rng(images).normal(size=(images, features)) + common * (-1) ** np.arange(features)
    if images == 30:
        x[7] = x[20]
    found = kernels.nearest_others(x)
    assert found.shape == (images,)
    for i in range(images):
        distances = [math.inf if j == i else math.dist(x[i], x[j]) for j in range(images)]
        assert found[i] == distances.index(min(distances))


def mirrored(places: list[float], mirror: float) -> list[int]:
    """For each place the nearest to where its mirror image is, if that is near enough and another one."""
    near = 1e-4 * max(1.0, max(places) - min(places))
    found = []
    for i, place in enumerate(places):
        wanted = mirror + (mirror - place)
        best = min(range(len(places)), key=lambda j: abs(places[j] - wanted))
        found.append(best if abs(places[best] - wanted) <= near and best != i else -1)
    return found


# The second of each two places misses the mirror image of the first by this.
APART = [0.0, 0.9e-4, 1.5e-4, 0.01]


@pytest.mark.parametrize("mirror", [0.0, 1.0, -0.7, 0.3])
@pytest.mark.parametrize("reach", [0.1, 0.4, 3.0, 50.0])
@pytest.mark.parametrize("apart", APART)
def test_partners_are_places_that_mirror_one_another(mirror: float, reach: float, apart: float) -> None:
    sizes = np.array([0.31, 0.5, 1.0]) * reach
    # Some with a partner, one that is its own, one alone.
    places = [*(mirror + sizes), *(mirror - sizes + apart), mirror, mirror + 0.77 * reach]
    order = np.random.default_rng(0).permutation(len(places))
    places = [places[i] for i in order]
    found = kernels.partners(np.array(places), mirror).tolist()
    assert found == mirrored(places, mirror)
    met = apart <= 1e-4 * max(1.0, max(places) - min(places))
    assert (max(found) >= 0) == met


def test_a_partner_may_be_a_ten_thousandth_off() -> None:
    assert kernels.partners(np.array([0.0, 1e-4]), 0.0).tolist() == [-1, 0]
    assert kernels.partners(np.array([0.0, np.nextafter(1e-4, 1)]), 0.0).tolist() == [-1, -1]
