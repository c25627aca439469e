"""Predictions by other folds and what two remainders share, against plain loops over images, folds and pairs."""

import math
from functools import cache
from itertools import product
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, KFold

from analyses.descriptors import kernels_classes as classes_of
from analyses.descriptors import kernels_prediction as kernels

Folds = list[tuple[np.ndarray, np.ndarray]]


def same(found: Folds, expected: Any) -> bool:
    pairs = zip(found, expected, strict=True)
    return all(np.array_equal(a, b) for one, other in pairs for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("seed", [0, 5, 100, 2**32 - 1])
def test_folds_are_scikit_learns_of_the_last_32_bits_of_the_seed(seed: int) -> None:
    expected = list(KFold(3, shuffle=True, random_state=seed).split(np.zeros((11, 1))))
    for one in (seed, seed + 2**32, seed + 3 * 2**32):
        assert same(kernels.folds_of(11, 3, one, None), expected)
    assert not same(kernels.folds_of(11, 3, seed + 1, None), expected)


def test_groups_stay_whole() -> None:
    groups = np.array([0, 1, 2, 0, 1, 2, 3, 3, 3, 4, 0])
    found = kernels.folds_of(11, 3, 0, groups)
    assert same(found, GroupKFold(3).split(np.zeros(11), groups=groups))
    assert all(not set(groups[left]) & set(groups[fitted]) for fitted, left in found)


def distances(features: np.ndarray) -> np.ndarray:
    squares = np.array([[((x - y) ** 2).sum() for y in features] for x in features])
    apart = sorted(squares[i, j] for i, j in product(range(len(features)), repeat=2) if i < j and squares[i, j] > 0)
    half = len(apart) // 2
    return squares / (apart[half] if len(apart) % 2 else (apart[half - 1] + apart[half]) / 2)


@pytest.mark.parametrize("kind", ["normal", "flag", "two"])
def test_squared_distances_are_in_units_of_the_median_of_those_that_are_not_0(kind: str) -> None:
    rng = np.random.default_rng(0)
    features = 0.3 * rng.normal(size=(2 if kind == "two" else 9, 3))
    if kind == "flag":
        features = np.round(2 * features)
        assert (np.unique(features, axis=0, return_counts=True)[1] > 1).any()
    np.testing.assert_allclose(kernels.squared_distances(features), distances(features), rtol=1e-9)


@pytest.mark.parametrize("shape", [(), (2,), (2, 3)])
@pytest.mark.parametrize("constant", [0, 2, 3, 4])
def test_the_error_is_a_mean_over_channels_that_vary(shape: tuple[int, ...], constant: int) -> None:
    rng = np.random.default_rng(1)
    target, predicted = rng.normal(1, [1, 2, 3, 4], (5, 4)), rng.normal(size=(*shape, 5, 4))
    target[:, :constant] = 0.1
    found = kernels.error(target, predicted)
    assert np.shape(found) == shape
    for place in np.ndindex(shape):
        each = [
            np.mean([(predicted[place][i, c] - target[i, c]) ** 2 for i in range(5)]) / np.var(target[:, c])
            for c in range(constant, 4)
        ]
        np.testing.assert_allclose(found[place], np.mean(each) if each else 0, rtol=1e-9)


GAMMAS, PENALTIES = (0.02, 0.1, 0.5, 2.0), (1e-6, 1e-4, 1e-2, 1.0)


def ridge(features: np.ndarray, targets: list[np.ndarray], folds: Folds) -> list[tuple]:
    """Width, penalty, predictions and weights of the least error, from solved linear systems."""
    count, best = len(features), [(np.inf,)] * len(targets)
    for gamma, penalty in product(GAMMAS, PENALTIES):
        kernel, weights = np.exp(-gamma * distances(features)), np.zeros((count, count))
        for fitted, left in folds:
            within = kernel[np.ix_(fitted, fitted)]
            most = penalty * np.linalg.eigvalsh(within).max()
            of_remainders = kernel[np.ix_(left, fitted)] @ np.linalg.inv(within + most * np.eye(len(fitted)))
            # What remainders do not say is the mean's.
            weights[np.ix_(left, fitted)] = of_remainders + (1 - of_remainders.sum(1, keepdims=True)) / len(fitted)
        for t, target in enumerate(targets):
            predicted, spread = weights @ target, target.var(axis=0)
            kept = spread > 1e-20
            error = (((predicted - target) ** 2).mean(axis=0)[kept] / spread[kept]).mean() if kept.any() else 0.0
            if error < best[t][0]:
                best[t] = (error, gamma, penalty, predicted, weights)
    return [one[1:] for one in best]


def related(features: np.ndarray) -> list[np.ndarray]:
    """Targets from smooth to wavy and from little noise to much, one of them constant."""
    rng = np.random.default_rng(5)
    line = features @ rng.normal(size=(2, 2))
    noise = [rng.normal(size=line.shape) for _ in range(6)]
    return [
        5 + line,
        line + 0.2 * noise[0],
        np.c_[line + noise[1], np.full(len(line), 0.1)],
        noise[2][:, :1],
        np.sin(1.5 * features) + 0.01 * noise[3],
        np.sin(2 * line) + 0.1 * noise[4],
        np.full((len(line), 1), 3.0),
        np.cos(4 * features) + 0.02 * noise[5],
    ]


@pytest.mark.parametrize("grouped", [False, True])
def test_predictions_and_weights_are_those_of_solved_systems_at_the_best_width_and_penalty(grouped: bool) -> None:
    features = np.random.default_rng(3).normal(size=(36, 2))
    targets = related(features)
    folds = kernels.folds_of(36, 3, 0, np.arange(36) // 2 if grouped else None)
    found = kernels.crossfitted(kernels.solved(features, folds), targets)
    for own, (_, penalty, predicted, weights) in zip(found, ridge(features, targets, folds), strict=True):
        # Of a condition of 1/penalty as many times the rounding of double precision; weights are of single precision.
        np.testing.assert_allclose(own.predicted, predicted, rtol=1e-6, atol=1e-9 + 1e-14 / penalty)
        np.testing.assert_allclose(own.weights, weights, rtol=1e-6, atol=1e-6)


def test_every_width_and_penalty_is_the_best_of_some_target_above() -> None:
    features = np.random.default_rng(3).normal(size=(36, 2))
    best = [ridge(features, related(features), kernels.folds_of(36, 3, 0, g)) for g in (None, np.arange(36) // 2)]
    chosen = [one for both in best for one in both]
    assert {one[0] for one in chosen} == set(GAMMAS)
    assert {one[1] for one in chosen} == set(PENALTIES)


def remainders(count: int = 9) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(2)
    both = rng.normal(size=(count, 2))
    weights = rng.random((count, count)) * (rng.random((count, count)) < 0.6)
    first, second = (np.c_[rng.normal(size=(count, 3)), both] for _ in "ab")
    return first, second, weights / weights.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("groups", [None, [0, 0, 1, 2, 2, 2, 1, 3, 4], list(range(9))])
def test_what_remainders_share_is_a_loop_over_pairs(weighted: bool, groups: list[int] | None) -> None:
    first, second, weights = remainders()
    codes = list(range(9)) if groups is None else groups
    own = first @ first.T
    if weighted:
        # M D Mᵀ by its definition: D has the products of images of one group.
        m = np.eye(9) - weights
        reach = [math.sqrt((m[i] ** 2).sum()) for i in range(9)]
        for i, j in np.ndindex(9, 9):
            own[i, j] -= sum(
                m[i, k] * m[j, n] * (first[k] @ first[n]) / (reach[k] * reach[n])
                for k, n in np.ndindex(9, 9)
                if codes[k] == codes[n]
            )

    def over(kept: list[int]) -> float:
        pairs = [(i, j) for i, j in product(kept, repeat=2) if codes[i] != codes[j]]
        top = sum(own[i, j] * (second[i] @ second[j]) for i, j in pairs)
        sizes = [sum((x[i] @ x[j]) ** 2 for i, j in pairs) for x in (first, second)]
        return top / math.sqrt(sizes[0] * sizes[1])

    given = None if groups is None else np.array(groups)
    found, products = kernels.shared(first, second, given, weights=weights if weighted else None)
    left_out = [over([i for i in range(9) if codes[i] != g]) for g in range(max(codes) + 1)]
    np.testing.assert_allclose(found, [over(list(range(9))), *left_out], rtol=1e-9)
    for g, h in np.ndindex(products.shape):
        pairs = [(i, j) for i, j in np.ndindex(9, 9) if (codes[i], codes[j]) == (g, h) and g != h]
        expected = sum(own[i, j] * (second[i] @ second[j]) for i, j in pairs)
        np.testing.assert_allclose(products[g, h], expected, rtol=1e-9, atol=1e-12)
    assert len(products) == max(codes) + 1


def test_remainders_that_are_0_share_nothing_that_is_known() -> None:
    first, second, _ = remainders()
    assert np.isnan(kernels.shared(0 * first, second)[0]).all()
    assert np.isnan(kernels.shared(first, 0 * second)[0]).all()


@pytest.mark.parametrize("count", [3, 6])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_random_signs_are_counted_one_by_one_equal_sums_too(count: int, seed: int) -> None:
    table = np.random.default_rng(seed).integers(-3, 5, size=(count, count)).astype(float)
    table = np.triu(table, 1) + np.triu(table, 1).T
    stream, reached = np.random.default_rng(seed), 0
    for _ in range(50):
        signs = stream.choice([-1.0, 1.0], size=count)
        total = sum(signs[i] * signs[j] * table[i, j] for i, j in np.ndindex(count, count))
        reached += total >= table.sum()
    assert kernels.flipped(table, 50, seed) == pytest.approx((1 + reached) / 51, rel=1e-12)


def test_signs_that_are_all_the_same_give_the_data_themselves_whatever_rounding_says() -> None:
    rng = np.random.default_rng(0)
    for count in (2, 4, 7):
        # Of products that all are positive no other signs give as much.
        made = rng.random((count, count)) / 3
        table = made + made.T
        signs = np.random.default_rng(5).choice([-1.0, 1.0], size=(200, count))
        same = int((np.abs(signs.sum(axis=1)) == count).sum())
        assert kernels.flipped(table, 200, 5) == (1 + same) / 201


@pytest.mark.parametrize("of", [0, 1])
@pytest.mark.parametrize("grouped", [False, True])
def test_without_the_only_image_or_group_that_shares_anything_nothing_is_known(grouped: bool, of: int) -> None:
    rng = np.random.default_rng(0)
    codes = np.repeat(np.arange(6), 2) if grouped else np.arange(12)
    for _ in range(40):
        # All images are orthogonal to one another but for the one that is not.
        alone, both = np.diag(rng.uniform(0.5, 2, 12)), [rng.normal(size=(12, 12)) for _ in range(2)]
        alone[3] = rng.normal(size=12) / 3
        both[of] = alone @ np.linalg.qr(rng.normal(size=(12, 12)))[0]
        found, _ = kernels.shared(*both, codes if grouped else None)
        assert np.flatnonzero(np.isnan(found)).tolist() == [1 + codes[3]]


STRENGTHS = (0.1, 1.0, 10.0, 100.0, 1e3, 1e4)


def components(kernel: np.ndarray, fitted: np.ndarray) -> np.ndarray:
    """The hundred leading components of all images by those fitted on, whose variances sum to 1."""
    values, vectors = np.linalg.eigh(kernel[np.ix_(fitted, fitted)])
    kept = [k for k in np.argsort(values)[::-1][:100] if values[k] > 1e-9 * values.max()]
    made = np.stack([kernel[:, fitted] @ vectors[:, k] / math.sqrt(values[k]) for k in kept], axis=1)
    return made / math.sqrt((made[fitted] ** 2).sum() / len(fitted))


@cache
def logistic(kind: str) -> tuple[float | None, float, np.ndarray]:
    """Width, inverse penalty and probabilities of the least error."""
    features, classes, folds = folded(kind)
    best: tuple = (np.inf, None, 0.0, None)
    count = classes.max() + 1
    for gamma in (None, 0.5):
        kernel = features @ features.T if gamma is None else np.exp(-gamma * distances(features))
        every = [components(kernel, fitted) for fitted, _ in folds]
        models, last = [LogisticRegression(warm_start=True) for _ in folds], np.inf
        for strength in STRENGTHS:
            found = np.zeros((len(classes), count))
            for made, model, (fitted, left) in zip(every, models, folds, strict=True):
                there = sorted(set(classes[fitted]))
                if len(there) > 1:
                    model.set_params(C=strength).fit(made[fitted], classes[fitted])
                    found[np.ix_(left, there)] = model.predict_proba(made[left])
                else:
                    found[left, there[0]] = 1
            each = [np.mean((found[:, c] - (classes == c)) ** 2) / np.var(classes == c) for c in range(count)]
            error = np.mean([one for c, one in enumerate(each) if 0 < np.mean(classes == c) < 1])
            if error < best[0]:
                best = (error, gamma, strength, found)
            if error > last:
                break
            last = error
    return best[1:]


def told(kind: str) -> tuple[np.ndarray, np.ndarray, int]:
    """Features, classes, folds: of borders from none to sharp, straight or round, and of classes in one fold alone."""
    rng = np.random.default_rng(7)
    images = {"many": 165, "wide": 24, "one": 9}.get(kind, 45)
    x = rng.normal(size=(images, 6 if kind == "wide" else 2))
    noise = rng.normal(size=images)
    classes = {
        "none": noise > 0,
        "weak": x[:, 0] + 3 * noise > 0,
        "noisy": x[:, 0] + noise > 0,
        "clear": x[:, 0] + 0.3 * noise > 0,
        "sharp": x[:, 0] > 0.2,
        "three": (x[:, 0] > 0).astype(int) + (x[:, 1] > 0.5),
        "ring": (x**2).sum(axis=1) > 1.4,
        "many": (x**2).sum(axis=1) + 0.5 * noise > 1.4,
        "wide": (x**2).sum(axis=1) + 0.3 * noise > 6,
        "one": np.arange(images) >= 4,
        "rare": np.where(np.arange(images) == 3, 2, x[:, 0] > 0),
        "collinear": x[:, 0] + 0.1 * noise > 0,
    }[kind].astype(int)
    if kind == "collinear":
        x = np.c_[x[:, 0], x[:, 0] + 6e-5 * x[:, 1]]
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    return x, classes, 2 if kind == "one" else 3


KINDS = ("none", "weak", "noisy", "clear", "sharp", "three", "ring", "many", "wide", "one", "rare", "collinear")


def folded(kind: str) -> tuple[np.ndarray, np.ndarray, Folds]:
    x, classes, folds = told(kind)
    if kind == "one":
        # Each half of the images is of one class, and predicts that of the other.
        halves = np.arange(4), np.arange(4, 9)
        return x, classes, [(halves[0], halves[1]), (halves[1], halves[0])]
    return x, classes, kernels.folds_of(len(x), folds, 0, None)


@pytest.mark.parametrize("kind", KINDS)
def test_classes_are_told_by_regression_on_components_at_the_best_kernel_and_penalty(kind: str) -> None:
    expected = logistic(kind)[2]
    found = classes_of.probabilities(*folded(kind))
    # The solver's path is the same but for rounding of the components, which hundreds of its steps enlarge.
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_every_penalty_and_kernel_is_the_best_of_some_classes_above() -> None:
    best = [logistic(kind) for kind in KINDS]
    assert {one[1] for one in best} == set(STRENGTHS)
    assert {one[0] for one in best} == {None, 0.5}
