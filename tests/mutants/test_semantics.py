"""Broken on purpose: each fault in semantics is seen by a law."""

import math
from importlib import import_module

import numpy as np
import pytest

from analyses.ground import intervals
from analyses.semantics import kernels_correlation, kernels_pairs, retrieval
from tests.analyses.semantics import test_laws_groups as grouped
from tests.analyses.semantics import test_noise_free as free
from tests.analyses.semantics.test_laws import (
    independent_distances_do_not_correlate,
    intervals_cover,
    means_are_of_each_image,
    neighbours_are_at_chance,
    p_values_are_honest,
)


def test_counting_pairs_of_an_image_with_itself_makes_independent_distances_correlate(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(kernels_pairs.STATISTICS, "pearson", lambda d, _: d - d.mean())
    with pytest.raises(AssertionError):
        independent_distances_do_not_correlate()


def test_permuting_rows_alone_makes_p_values_too_small(monkeypatch: pytest.MonkeyPatch) -> None:
    def rows_alone(a: np.ndarray, order: np.ndarray, start: int, _: np.ndarray, out: np.ndarray) -> None:
        out[...] = a[order[start : start + len(out)], start:]

    monkeypatch.setattr(kernels_correlation, "gather", rows_alone)
    with pytest.raises(AssertionError):
        p_values_are_honest()


def test_p_values_that_leave_out_the_data_themselves_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        kernels_correlation,
        "p_values",
        lambda observed, permuted: (np.abs(permuted) >= abs(observed)).mean(dtype=float),
    )
    with pytest.raises(AssertionError):
        p_values_are_honest()


def test_errors_of_pairs_taken_for_independent_do_not_cover(monkeypatch: pytest.MonkeyPatch) -> None:
    # 1/√pairs in place of the spread over images.
    monkeypatch.setattr(
        intervals,
        "jackknife_deviation",
        lambda without: np.full(without.shape[1:], math.sqrt(2) / len(without)),
    )
    with pytest.raises(AssertionError):
        intervals_cover(0.4, repetitions=50)


def test_an_image_among_its_own_neighbours_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def with_itself(x: np.ndarray, k: int, *_: object) -> tuple[np.ndarray, np.ndarray]:
        d = np.linalg.norm(x[:, None] - x, axis=2)
        index = d.argsort(axis=1)[:, :k]
        return index, np.take_along_axis(d, index, axis=1)

    monkeypatch.setattr(retrieval, "nearest", with_itself)
    with pytest.raises(AssertionError):
        neighbours_are_at_chance()


def test_images_left_out_that_count_as_not_found_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    right = retrieval.estimated_mean
    monkeypatch.setattr(retrieval, "estimated_mean", lambda values, **how: right(values[1:], **how))
    with pytest.raises(AssertionError):
        means_are_of_each_image()


def test_pairs_of_crops_of_one_photograph_that_count_are_taken_for_a_relation(monkeypatch: pytest.MonkeyPatch) -> None:
    analyse = import_module("analyses.semantics.analyse")
    right = analyse.transformed
    # Without groups the jackknife, too, takes crops for images.
    monkeypatch.setattr(analyse, "transformed", lambda d, statistic, _: right(d, statistic))
    monkeypatch.setattr(kernels_correlation, "transformed", lambda d, statistic, _: right(d, statistic))
    monkeypatch.setattr(
        analyse, "jackknifed_correlation", lambda r, level, _: intervals.jackknifed_correlation(r, level)
    )
    with pytest.raises(AssertionError):
        grouped.crops_say_nothing_of_classes(repetitions=30)


def test_crops_of_one_photograph_as_neighbours_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    right = retrieval.nearest
    monkeypatch.setattr(retrieval, "nearest", lambda x, k, noise, _: right(x, k, noise))
    with pytest.raises(AssertionError):
        grouped.crops_say_nothing_of_classes(repetitions=30)


def test_permutations_of_images_whose_noise_differs_find_relations(monkeypatch: pytest.MonkeyPatch) -> None:
    analyse = import_module("analyses.semantics.analyse")
    right = analyse.jackknifed_correlation

    def no_p(*given: object) -> tuple[np.ndarray, ...]:
        low, high, p = right(*given)
        return low, high, 0 * p

    monkeypatch.setattr(analyse, "jackknifed_correlation", no_p)
    with pytest.raises(AssertionError):
        free.unequal_noise_is_no_relation()
