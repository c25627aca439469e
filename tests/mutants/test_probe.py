"""Broken on purpose: each fault in the probe is seen by a law."""

import sys
from typing import Any

import numpy as np
import pytest

from analyses import probe
from analyses.ground import estimated_mean
from analyses.probe import kernels, kernels_softmax
from analyses.probe.kernels_softmax import Classifier, Regression
from tests.analyses.probe.test_laws import a_constant_answer_gets_no_credit, intervals_cover, nothing_leaks
from tests.analyses.probe.test_oracles import the_solver_finds_the_minimum
from tests.analyses.probe.test_softmax import Drawn, it_ends_without_slope

# The room's `analyse` is the function.
MODULE = sys.modules[probe.analyse.__module__]


def test_standardising_with_the_test_images_leaks(monkeypatch: pytest.MonkeyPatch) -> None:
    right = MODULE._probed

    def leaking(train: Any, test: Any, *rest: Any) -> Any:
        scale = float(np.abs(test.phi).max())
        return right(train.assign(phi=train.phi / scale), test, *rest)

    monkeypatch.setattr(MODULE, "_probed", leaking)
    with pytest.raises(AssertionError):
        nothing_leaks()


WIDE = Drawn(np.random.default_rng(0).normal(size=(9, 30)).astype(np.float32), np.arange(9) % 3, 3, 0.1)


def test_a_basis_that_the_images_do_not_lie_in_misses_the_minimum(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    right = kernels_softmax._in_own_span
    it_ends_without_slope(WIDE)

    def shortened(x: np.ndarray) -> Any:
        features, basis = right(x)
        return features[:, :-1].copy(), basis[:, :-1]

    monkeypatch.setattr(kernels_softmax, "_in_own_span", shortened)
    with pytest.raises(AssertionError):
        it_ends_without_slope(WIDE)


def test_a_slope_without_the_penalty_misses_the_minimum(monkeypatch: pytest.MonkeyPatch) -> None:
    right = Regression._slope

    def unpenalised(self: Regression, coefficient: np.ndarray, intercept: np.ndarray, penalty: float) -> Any:
        return right(self, coefficient, intercept, penalty / 2)

    monkeypatch.setattr(Regression, "_slope", unpenalised)
    for broken in (lambda: it_ends_without_slope(WIDE), lambda: the_solver_finds_the_minimum(2)):
        with pytest.raises(AssertionError):
            broken()


def test_a_fit_that_ends_at_a_larger_excess_is_not_scikit_learns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels_softmax, "EXCESS", 1e-3)
    with pytest.raises(AssertionError):
        it_ends_without_slope(WIDE)


def test_a_solver_that_stops_early_misses_the_minimum(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels_softmax, "ITERATIONS", 3)
    with pytest.raises(AssertionError):
        the_solver_finds_the_minimum(3)


def test_ties_that_count_for_the_class_credit_a_constant_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    right = kernels.scores

    def crediting(x: np.ndarray, y: np.ndarray, classifier: Classifier, top: int) -> kernels.Scores:
        own = np.eye(len(classifier.intercept))[y] * 1e-9
        return right(np.hstack([x, own]), y, classifier._replace(coefficient=_widened(classifier)), top)

    def _widened(classifier: Classifier) -> np.ndarray:
        return np.hstack([classifier.coefficient, np.eye(len(classifier.intercept))])

    monkeypatch.setattr(kernels, "scores", crediting)
    with pytest.raises(AssertionError):
        a_constant_answer_gets_no_credit()


def test_intervals_of_another_level_do_not_cover(monkeypatch: pytest.MonkeyPatch) -> None:
    def narrow(values: np.ndarray, *, level: float, **options: Any) -> Any:
        return estimated_mean(values, level=level - 0.2, **options)

    monkeypatch.setattr(MODULE, "estimated_mean", narrow)
    with pytest.raises(AssertionError):
        intervals_cover()
