"""Fitting, choosing a penalty and scoring, against plain loops over images and classes with scipy's minimiser."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from sklearn.model_selection import StratifiedKFold

from analyses.probe import kernels, kernels_softmax
from analyses.probe.kernels_softmax import Classifier, Regression, minimum

# The solver stops where no entry of the gradient is above 10⁻⁴: coefficients are within 10⁻⁴ over the penalty, which is
# 0.1 and more here.
SOLVED = {"rtol": 0, "atol": 1e-3}


def drawn(seed: int, images: int, classes: int, channels: int = 3) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.arange(images) % classes)
    means = rng.normal(size=(classes, channels))
    return (means[y] + rng.normal(size=(images, channels))).astype(np.float32), y


def probabilities(logits: np.ndarray) -> np.ndarray:
    parts = np.exp(logits - logits.max(axis=1, keepdims=True))
    return parts / parts.sum(axis=1, keepdims=True)


def best(x: np.ndarray, y: np.ndarray, classes: int, penalty: float) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients and intercepts at the least mean −log p + penalty/2 · Σ coefficient²; −∞ of classes not there."""
    there, known = np.unique(y, return_inverse=True)
    padded = np.c_[np.ones(len(x)), x.astype(float)]

    def value(flat: np.ndarray) -> tuple[float, np.ndarray]:
        rows = flat.reshape(len(there), -1)
        p = probabilities(padded @ rows.T)
        free = np.c_[np.zeros(len(rows)), rows[:, 1:]]
        slope = (p - np.eye(len(there))[known]).T @ padded / len(x) + penalty * free
        return -np.log(p[np.arange(len(x)), known]).mean() + penalty / 2 * (free**2).sum(), slope.ravel()

    start = np.zeros(len(there) * padded.shape[1])
    rows = minimize(value, start, jac=True, method="L-BFGS-B", options={"gtol": 1e-9, "ftol": 0}).x
    coefficient, intercept = np.zeros((classes, x.shape[1])), np.full(classes, -np.inf)
    rows = rows.reshape(len(there), -1)
    coefficient[there], intercept[there] = rows[:, 1:], rows[:, 0] - rows[:, 0].mean()
    return coefficient, intercept


def is_best(found: Classifier, x: np.ndarray, y: np.ndarray, classes: int, penalty: float) -> None:
    coefficient, intercept = best(x, y, classes, penalty)
    there = np.unique(y)
    assert found.converged
    assert found.coefficient.shape == (classes, x.shape[1])
    np.testing.assert_allclose(found.coefficient, coefficient, **SOLVED)
    # A constant on all intercepts changes no probability.
    own = found.intercept - found.intercept[there].mean()
    np.testing.assert_allclose(own, intercept, rtol=0, atol=1e-2)


@pytest.mark.parametrize("penalty", [0.1, 0.7])
@pytest.mark.parametrize(("there", "classes"), [((0, 1), 2), ((1, 3), 4), ((0, 1, 2), 3), ((0, 2, 3, 4), 6), ((1,), 3)])
def test_the_minimum_is_scipys_whichever_classes_have_images(
    there: tuple[int, ...], classes: int, penalty: float
) -> None:
    x, y = drawn(0, 41, len(there))
    y = np.array(there)[y]
    found = minimum(x, y, classes, penalty)
    is_best(found, x, y, classes, penalty)
    regression = Regression(x, y, classes)
    regression.fit(2.0)
    is_best(regression.fit(penalty), x, y, classes, penalty)


def test_one_class_alone_is_named_for_certain() -> None:
    found = minimum(np.ones((3, 2)), np.full(3, 1), 3, 1.0)
    assert found.intercept.tolist() == [-np.inf, 0, -np.inf]
    assert not found.coefficient.any()


def test_a_fit_begins_where_the_last_one_ended() -> None:
    x, y = drawn(1, 40, 3)
    regression = Regression(x, y, 3)
    regression.fit(0.1)
    cold = regression.steps
    regression.fit(0.1)
    # From the end one step shows that there is no slope, or that no point is better.
    assert regression.steps <= 1 < cold


@pytest.mark.parametrize("iterations", [1, 2, 500])
def test_a_fit_that_made_all_the_steps_it_may_has_not_converged(
    iterations: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y = drawn(1, 40, 3)
    monkeypatch.setattr(kernels_softmax, "ITERATIONS", iterations)
    regression = Regression(x, y, 3)
    found = regression.fit(0.01)
    assert found.converged == (iterations == 500)
    assert (regression.steps == iterations) == (iterations < 500)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_channels_are_standardised_in_double_precision_and_constant_ones_drop_out(dtype: type) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(3, 2, (50, 8)).astype(dtype)
    x[:, 1], x[:, 2], x[:, 3] = 0, 0.1, 1e-9 * x[:, 3]
    # Deviations of a millionth and less of the largest number are none; a little more is one.
    x[:, 4:7] = 1000 + 1000 * np.array([1e-7, 0.8e-6, 1.5e-6]) * np.where(np.arange(50) % 2, 1, -1)[:, None]
    x[:, 7] = np.arange(50) == 0
    mean, sd = kernels.standardised(x)
    assert mean.dtype == sd.dtype == np.float64
    for c, column in enumerate(x.astype(float).T):
        assert mean[c] == pytest.approx(sum(column) / 50, rel=1e-12, abs=1e-15)
        spread = math.sqrt(sum((v - sum(column) / 50) ** 2 for v in column) / 50)
        assert sd[c] == (np.inf if spread <= 1e-6 * abs(column).max() else pytest.approx(spread, rel=1e-9))
    assert np.isinf(sd).tolist() == [False, True, True, False, True, True, False, False]


@pytest.mark.parametrize(("images", "size"), [(20, 7), (20, 20), (20, 1), (9, 4)])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_subset_is_of_evenly_spaced_places_in_the_order_of_classes(images: int, size: int, seed: int) -> None:
    y = np.random.default_rng(seed).integers(0, 4, images)
    stream = np.random.default_rng(seed)
    within, offset = stream.random(images), stream.random()
    order = sorted(range(images), key=lambda i: (y[i], within[i]))
    expected = sorted(order[math.floor((k + offset) * images / size)] for k in range(size))
    assert kernels.subset(y, size, np.random.default_rng(seed)).tolist() == expected


class Least(np.random.Generator):
    """Draws the largest number below 1 every time."""

    def random(self, size: int | None = None):  # type: ignore[override]
        largest = float(np.nextafter(1, 0))
        return largest if size is None else np.full(size, largest)


@pytest.mark.parametrize("size", [2, 3, 7])
def test_no_offset_leads_beyond_the_last_image(size: int) -> None:
    found = kernels.subset(np.zeros(7, int), size, Least(np.random.PCG64(0)))
    assert len(found) == size
    assert found.max() == 6


def test_penalties_are_tuned_on_classes_with_an_image_for_each_of_three_folds() -> None:
    y = np.array([0, 0, 0, 1, 1, 2, 4, 4, 4, 4, 0, 1, 5])
    part = np.array([0, 1, 3, 4, 5, 6, 7, 8, 10, 11])
    assert kernels.tuned_on(part, y).tolist() == [i for i in part if sum(y[j] == y[i] for j in part) >= 3]
    assert kernels.tuned_on(part[:3], y).tolist() == []


def crossvalidated(x: np.ndarray, y: np.ndarray, penalties: Sequence[float], rng: np.random.Generator) -> np.ndarray:
    """Mean loss of images left out of three folds, from the strongest penalty until it first rises."""
    folds = StratifiedKFold(3, shuffle=True, random_state=int(rng.integers(2**32)))
    found, last = dict.fromkeys(penalties, math.nan), math.inf
    for penalty in sorted(set(penalties), reverse=True):
        lost = []
        for inside, outside in folds.split(x, y):
            mean, sd = x[inside].astype(float).mean(axis=0), x[inside].astype(float).std(axis=0)
            sd[sd < 1e-6] = np.inf
            coefficient, intercept = best((x[inside] - mean) / sd, y[inside], y.max() + 1, penalty)
            p = probabilities((x[outside] - mean) / sd @ coefficient.T + intercept)
            lost += [-math.log(one[own]) for one, own in zip(p, y[outside], strict=True)]
        found[penalty] = sum(lost) / len(y)
        if found[penalty] > last:
            break
        last = found[penalty]
    return np.array([found[one] for one in penalties])


PENALTIES = (0.5, 8.0, 0.1, 2.0)
LEARNABLE = [(0, 2, 1.0), (1, 3, 1.0), (2, 3, 0.2), (3, 4, 0.0), (4, 2, 0.4)]


@pytest.mark.parametrize(("seed", "classes", "signal"), LEARNABLE)
def test_losses_of_penalties_are_cross_validated_until_they_rise(seed: int, classes: int, signal: float) -> None:
    x, y = drawn(seed, 31, classes)
    x = (signal * x + (1 - signal) * np.random.default_rng(seed).normal(size=x.shape)).astype(np.float32)
    found, expected = (
        of(x, y, PENALTIES, np.random.default_rng(seed)) for of in (kernels.tuning_losses, crossvalidated)
    )
    np.testing.assert_allclose(found, expected, **SOLVED)
    # Of noise the loss rises before the weakest penalty.
    assert np.isnan(expected).any() == (signal == 0)


def test_penalties_of_the_same_loss_are_all_tried() -> None:
    # Of constant channels every penalty has the loss of the classes' shares.
    _, y = drawn(0, 30, 2)
    found = kernels.tuning_losses(np.ones((30, 2), np.float32), y, PENALTIES, np.random.default_rng(0))
    np.testing.assert_allclose(found, math.log(2), rtol=1e-6)


PROTOCOL = kernels.Protocol("softmax", 6, PENALTIES, tuning_images=40, epochs=2, seed=3)


def of_raw(x: np.ndarray, y: np.ndarray, penalty: float) -> tuple[np.ndarray, np.ndarray]:
    """The best classifier of standardised channels, as it acts on φ as it is."""
    mean, sd = x.astype(float).mean(axis=0), x.astype(float).std(axis=0)
    sd[sd < 1e-6] = np.inf
    coefficient, intercept = best((x - mean) / sd, y, 6, penalty)
    there = np.isfinite(intercept)
    raw = coefficient / sd
    moved = intercept - raw @ mean
    return raw, moved - moved[there].mean()


def lopsided() -> tuple[np.ndarray, np.ndarray]:
    """Classes 1, 2, 4 and 5, the last of two images; a constant channel, and others of any mean and size."""
    x, y = drawn(6, 62, 3, 4)
    y = np.array([1, 2, 4])[y]
    y[:2] = 5
    return (x * [1, 5, 0, 0.3] + [0, 7, 2, -1]).astype(np.float32), y


def is_raw(found: kernels.Trained, x: np.ndarray, y: np.ndarray) -> None:
    coefficient, intercept = of_raw(x, y, found.strength / len(y))
    there = np.unique(y)
    np.testing.assert_allclose(found.classifier.coefficient, coefficient, rtol=0, atol=4e-3)
    own = found.classifier.intercept - found.classifier.intercept[there].mean()
    np.testing.assert_allclose(own, intercept, rtol=0, atol=2e-2)


@pytest.mark.parametrize("tuning_images", [40, 90])
@pytest.mark.parametrize("seed", [0, 2**40])
def test_the_penalty_of_least_loss_keeps_its_product_with_the_images_it_was_fitted_on(
    tuning_images: int, seed: int
) -> None:
    x, y = lopsided()
    found = kernels.trained(x, y, PROTOCOL._replace(tuning_images=tuning_images, seed=seed))
    rng = np.random.default_rng(seed)
    part = kernels.tuned_on(kernels.subset(y, min(tuning_images, 62), rng), y)
    numbers = [sorted(set(y[part])).index(one) for one in y[part]]
    losses = kernels.tuning_losses(x[part], np.array(numbers), PENALTIES, rng)
    np.testing.assert_array_equal(found.losses, losses)
    # Two of three folds are fitted on.
    least = PENALTIES[min(np.flatnonzero(np.isfinite(losses)), key=lambda k: losses[k])]
    assert found.strength == pytest.approx(least * len(part) * 2 / 3)
    is_raw(found, x, y)
    assert found.classifier.converged


@pytest.mark.parametrize(("penalties", "strength"), [((2.0,), None), ((0.5,), None), ((0.5,), 9.0), (PENALTIES, 9.0)])
def test_a_strength_that_is_given_or_a_penalty_alone_is_not_tuned(
    penalties: tuple[float, ...], strength: float | None
) -> None:
    x, y = lopsided()
    found = kernels.trained(x, y, PROTOCOL._replace(penalties=penalties), strength=strength)
    assert found.strength == pytest.approx(penalties[0] * 62 if strength is None else strength)
    assert np.isnan(found.losses).all()
    assert len(found.losses) == len(penalties)
    is_raw(found, x, y)


@pytest.mark.parametrize("top", [1, 2, 3])
def test_scores_count_classes_ahead_of_the_own_and_level_with_it(top: int) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.integers(-2, 3, size=(60, 2)).astype(float), rng.integers(0, 4, 60)
    classifier = Classifier(rng.integers(-1, 2, size=(4, 2)).astype(float), np.array([0.0, 1, 0, -1]))
    found = kernels.scores(x, y, classifier, top)
    level = 0
    for i in range(60):
        logits = [float(c @ x[i]) + b for c, b in zip(classifier.coefficient, classifier.intercept, strict=True)]
        others = [one for k, one in enumerate(logits) if k != y[i]]
        level += logits[y[i]] == max(others)
        ahead = sum(one >= logits[y[i]] for one in others)
        assert (found.first[i], found.among[i]) == (ahead == 0, ahead < top)
        assert found.loss[i] == pytest.approx(math.log(sum(map(math.exp, logits))) - logits[y[i]], abs=1e-12)
    assert level > 3


@pytest.mark.parametrize(("images", "channels", "epochs", "seed"), [(130, 3, 3, 0), (257, 2, 2, 5)])
def test_the_ddae_probe_is_adam_written_out(images: int, channels: int, epochs: int, seed: int) -> None:
    x, y = drawn(2, images, 3, channels)
    stream = torch.Generator().manual_seed(seed)
    # Uniform within 1/√channels.
    uniform = [torch.rand(shape, generator=stream).double().numpy() for shape in ((3, channels), (3,))]
    values = [(2 * one - 1) / math.sqrt(channels) for one in uniform]
    moments, step = [[0.0, 0.0], [0.0, 0.0]], 0
    for epoch in range(epochs):
        rate = 0.001 * (1 + math.cos(math.pi * epoch / epochs)) / 2
        order = torch.randperm(images, generator=stream).numpy()
        for first in range(0, images, 128):
            batch, step = order[first : first + 128], step + 1
            off = (probabilities(x[batch] @ values[0].T + values[1]) - np.eye(3)[y[batch]]) / len(batch)
            for value, moment, slope in zip(values, moments, (off.T @ x[batch], off.sum(axis=0)), strict=True):
                moment[0], moment[1] = 0.9 * moment[0] + 0.1 * slope, 0.999 * moment[1] + 0.001 * slope**2
                root = np.sqrt(moment[1] / (1 - 0.999**step)) + 1e-8
                value -= rate * moment[0] / (1 - 0.9**step) / root
    protocol = PROTOCOL._replace(name="ddae", classes=3, epochs=epochs, seed=seed)
    found = kernels.trained(x, y, protocol)
    # Single precision of numbers up to 1, a few steps of 10⁻³ of relative error 10⁻⁴ at small gradients.
    np.testing.assert_allclose(found.classifier.coefficient, values[0], rtol=0, atol=2e-6)
    np.testing.assert_allclose(found.classifier.intercept, values[1], rtol=0, atol=2e-6)
    assert found.classifier.converged
    assert found.strength == 0
    assert np.isnan(found.losses).all()
    assert len(found.losses) == len(PENALTIES)
