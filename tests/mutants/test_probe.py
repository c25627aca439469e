"""Broken on purpose: each fault in the probe is seen by a law."""

import sys
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from analyses import probe
from analyses.ground import estimated_mean
from analyses.probe import kernels
from tests.analyses.probe.test_laws import a_constant_answer_gets_no_credit, intervals_cover, nothing_leaks
from tests.analyses.probe.test_oracles import the_solver_finds_the_minimum

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


def test_a_penalty_of_two_classes_taken_for_that_of_their_difference_misses_the_minimum(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Unhalved(LogisticRegression):
        def set_params(self, **given: float) -> Any:
            return super().set_params(C=given["C"] / 2)

    monkeypatch.setattr(kernels, "LogisticRegression", Unhalved)
    with pytest.raises(AssertionError):
        the_solver_finds_the_minimum(2)


def test_a_solver_that_stops_early_misses_the_minimum(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "ITERATIONS", 3)
    with pytest.raises(AssertionError):
        the_solver_finds_the_minimum(3)


def test_ties_that_count_for_the_class_credit_a_constant_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    right = kernels.scores

    def crediting(x: np.ndarray, y: np.ndarray, classifier: kernels.Classifier, top: int) -> kernels.Scores:
        own = np.eye(len(classifier.intercept))[y] * 1e-9
        return right(np.hstack([x, own]), y, classifier._replace(coefficient=_widened(classifier)), top)

    def _widened(classifier: kernels.Classifier) -> np.ndarray:
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
