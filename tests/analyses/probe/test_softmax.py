"""Softmax regression by its curvature: the minimum that plain coefficients have, whatever the shape of the images."""

import math
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold

from analyses.probe.kernels import tuning_losses
from analyses.probe.kernels_softmax import EXCESS, PRECISION, Regression, minimum


class Drawn(NamedTuple):
    """Standardised channels (images, channels), class numbers (images), the number of classes, a penalty."""

    x: np.ndarray
    y: np.ndarray
    classes: int
    penalty: float


@st.composite
def sets(draw: st.DrawFn) -> Drawn:
    """Wide, tall and square; of full rank or not; with constant channels, equal images and classes of no image."""
    images, channels = draw(st.integers(4, 30)), draw(st.integers(1, 40))
    rank = draw(st.integers(1, min(images, channels)))
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    # Directions of very different sizes, as those of pixels are.
    sizes = 10.0 ** -rng.uniform(0, draw(st.sampled_from([0, 3])), rank)
    x = rng.normal(size=(images, rank)) * sizes @ rng.normal(size=(rank, channels))
    if draw(st.booleans()):
        x[1] = x[0]
    sd = x.std(axis=0)
    x = (x - x.mean(axis=0)) / np.where(sd > 0, sd, 1)
    if draw(st.booleans()):
        x[:, 0] = 0
    there = draw(st.lists(st.integers(0, 5), min_size=2, max_size=4, unique=True))
    y = np.array(there)[np.r_[0, 1, rng.integers(len(there), size=images - 2)]]
    return Drawn(x.astype(np.float32), y, 6, 10.0 ** draw(st.integers(-2, 0)))


def slope(coefficient: np.ndarray, intercept: np.ndarray, of: Drawn) -> tuple[np.ndarray, np.ndarray]:
    """Gradient of the objective by coefficients and intercepts, of classes with images, in double precision."""
    there, known = np.unique(of.y, return_inverse=True)
    w, b, x = coefficient[there], intercept[there], of.x.astype(np.float64)
    logits = x @ w.T + b
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    p[np.arange(len(x)), known] -= 1
    return p.T @ x / len(x) + of.penalty * w, p.mean(axis=0)


def within(of: Drawn) -> float:
    """The most by which the gradient's norm may differ from 0, and from what float32 makes of it.

    Each entry is at most the precision over √classes, in an orthonormal basis of at most min(images, channels), or the
    square of the norm over twice the penalty is at most the excess; of intercepts, over twice 1/classes. Rounding of a
    logit, of a sum of so many products of at most √channels, changes probabilities by that share.
    """
    images, channels = of.x.shape
    rounding = 2.0**-24 * (channels + images) * math.sqrt(channels) * max(1, np.abs(of.x).max()) ** 2
    asked = max(PRECISION * math.sqrt(min(images, channels)), math.sqrt(2 * EXCESS * max(of.penalty, 1 / 2)))
    return asked + 8 * rounding


def it_ends_without_slope(of: Drawn) -> None:
    found = minimum(of.x, of.y, of.classes, of.penalty)
    by_coefficient, by_intercept = slope(found.coefficient, found.intercept, of)
    assert found.converged
    assert np.linalg.norm(by_coefficient) <= within(of)
    assert np.linalg.norm(by_intercept) <= within(of)


def it_is_scikit_learns_on_the_channels_as_they_are(of: Drawn) -> None:
    there, known = np.unique(of.y, return_inverse=True)
    # Of two classes scikit-learn fits the difference, whose square is twice the sum of the halves' squares.
    penalty = of.penalty / 2 if len(there) == 2 else of.penalty
    x = of.x.astype(np.float64)
    plain = LogisticRegression(C=1 / (len(x) * penalty), tol=1e-8, max_iter=100_000).fit(x, known)
    theirs, offset = plain.coef_, plain.intercept_
    if len(there) == 2:
        theirs, offset = (np.concatenate([-one / 2, one / 2]) for one in (theirs, offset))
    found = minimum(of.x, of.y, of.classes, of.penalty)
    absent = np.setdiff1d(np.arange(of.classes), there)
    assert not found.coefficient[absent].any()
    assert np.isneginf(found.intercept[absent]).all()
    ours, own = found.coefficient[there], found.intercept[there]
    # Intercepts are told up to a constant; their gradient sums to 0.
    apart = own - own.mean() - (offset - offset.mean())
    by_coefficient, by_intercept = slope(found.coefficient, found.intercept, of)
    full = np.zeros((of.classes, x.shape[1])), np.full(of.classes, -np.inf)
    full[0][there], full[1][there] = theirs, offset
    rest, rest_of = slope(*full, of)
    # Strongly convex in the coefficients W by the penalty λ, convex in the intercepts b, with gradients g at both ends:
    # λ‖ΔW‖² ≤ Δg_W·ΔW + Δg_b·Δb ≤ ‖Δg_W‖‖ΔW‖ + ‖Δg_b‖‖Δb‖.
    g, h = (np.linalg.norm(a - b) for a, b in ((by_coefficient, rest), (by_intercept, rest_of)))
    bound = (g + math.sqrt(g**2 + 4 * of.penalty * h * np.linalg.norm(apart))) / (2 * of.penalty)
    assert np.linalg.norm(ours - theirs) <= bound + 1e-6


@given(sets())
def test_a_fit_ends_where_the_objective_has_no_slope(of: Drawn) -> None:
    it_ends_without_slope(of)


@given(sets())
def test_a_fit_is_scikit_learns_on_the_channels_as_they_are(of: Drawn) -> None:
    it_is_scikit_learns_on_the_channels_as_they_are(of)


@given(sets(), st.permutations([1.0, 0.3, 0.1, 0.03]))
def test_penalties_in_any_order_end_without_slope(of: Drawn, penalties: list[float]) -> None:
    regression = Regression(of.x, of.y, of.classes)
    for penalty in penalties:
        found = regression.fit(penalty)
        for part in slope(found.coefficient, found.intercept, of._replace(penalty=penalty)):
            assert np.linalg.norm(part) <= within(of)


@given(sets(), st.integers(0, 2**16))
def test_a_rotation_of_the_channels_rotates_the_coefficients_and_changes_no_answer(of: Drawn, seed: int) -> None:
    channels = of.x.shape[1]
    turn = np.linalg.qr(np.random.default_rng(seed).normal(size=(channels, channels)))[0]
    turned = of._replace(x=(of.x @ turn).astype(np.float32))
    one, other = (minimum(each.x, each.y, each.classes, each.penalty) for each in (of, turned))
    there = np.unique(of.y)
    apart = one.intercept[there] - other.intercept[there]
    # Both are within the precision of the minimum; see the bound against scikit-learn.
    g = 2 * within(of)
    bound = (g + math.sqrt(g**2 + 4 * of.penalty * g * np.linalg.norm(apart - apart.mean()))) / (2 * of.penalty)
    assert np.linalg.norm(one.coefficient @ turn - other.coefficient) <= bound


@given(sets(), st.integers(1, 40))
def test_constant_channels_have_no_coefficient_and_change_no_other(of: Drawn, more: int) -> None:
    padded = np.pad(of.x, ((0, 0), (0, more)))
    found = minimum(padded, of.y, of.classes, of.penalty)
    assert np.abs(found.coefficient[:, of.x.shape[1] :]).max() <= 1e-6
    own = found._replace(coefficient=found.coefficient[:, : of.x.shape[1]])
    for part in slope(own.coefficient, own.intercept, of):
        # Of a basis of as many as before, or as there are images.
        assert np.linalg.norm(part) <= within(of._replace(x=padded))


def test_correlated_channels_take_few_steps() -> None:
    rng = np.random.default_rng(0)
    # One direction a thousand times the others, as brightness is among pixels.
    x = (rng.normal(size=(400, 60)) + 30 * rng.normal(size=(400, 1))).astype(np.float32)
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    y = rng.integers(8, size=400)
    of = Drawn(x, y, 8, 0.01)
    regression = Regression(*of[:3])
    regression.fit(of.penalty)
    plain = LogisticRegression(C=1 / (400 * of.penalty), tol=PRECISION / math.sqrt(8), max_iter=5000)
    assert 4 * regression.steps < plain.fit(x, y).n_iter_[0]
    it_ends_without_slope(of)


@pytest.mark.parametrize(("images", "channels"), [(60, 200), (200, 20)])
def test_cross_validated_losses_of_wide_and_of_tall_inputs_are_scikit_learns(images: int, channels: int) -> None:

    rng = np.random.default_rng(1)
    y = np.arange(images) % 3
    x = (rng.normal(size=(3, channels))[y] / 2 + rng.normal(size=(images, channels))).astype(np.float32)
    penalties = (1.0, 0.3)
    found = tuning_losses(x, y, penalties, np.random.default_rng(2))
    folds = StratifiedKFold(3, shuffle=True, random_state=int(np.random.default_rng(2).integers(2**32)))
    expected = np.zeros(2)
    for inside, outside in folds.split(x, y):
        mean, sd = x[inside].mean(axis=0, dtype=float), x[inside].std(axis=0, dtype=float)
        z = (x - mean) / sd
        for k, penalty in enumerate(penalties):
            plain = LogisticRegression(C=1 / (len(inside) * penalty), tol=1e-8, max_iter=10_000)
            p = plain.fit(z[inside], y[inside]).predict_proba(z[outside])
            expected[k] -= np.log(p[np.arange(len(outside)), y[outside]]).sum() / images
    # A loss changes by at most twice the largest change of a logit: ‖x‖‖ΔW‖, ‖ΔW‖ ≤ ‖gradient‖/penalty.
    reach = 3 * math.sqrt(channels)
    slopes = [within(Drawn(x[: 2 * images // 3], y, 3, penalty)) / penalty for penalty in penalties]
    bound = 2 * reach * np.array(slopes)
    tried = np.isfinite(found)
    assert tried[0]
    assert (np.abs(found - expected) <= bound)[tried].all()
