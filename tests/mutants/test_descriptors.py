"""Broken on purpose: each fault in descriptors is seen by a law."""

import numpy as np
import pytest

from analyses.descriptors import kernels, kernels_prediction, prediction
from tests.analyses.descriptors.test_laws import peaks_are_where_gratings_are
from tests.analyses.descriptors.test_prediction import (
    a_sharp_border_in_gist_is_not_beyond_it,
    predictions_from_the_same_images_are_no_relation,
    the_p_value_agrees_with_the_interval,
)


def test_filters_with_rows_and_columns_confused_miss_the_grating(monkeypatch: pytest.MonkeyPatch) -> None:
    right = kernels.filters
    monkeypatch.setattr(kernels, "filters", lambda *given: right(*given).transpose(2, 3))
    with pytest.raises(AssertionError):
        peaks_are_where_gratings_are()


def test_filters_whose_centres_are_an_octave_apart_miss_the_grating(monkeypatch: pytest.MonkeyPatch) -> None:
    right = kernels.filters
    monkeypatch.setattr(kernels, "filters", lambda *given: right(*given).roll(1, dims=0))
    with pytest.raises(AssertionError):
        peaks_are_where_gratings_are()


@pytest.mark.parametrize("grouped", [False, True])
def test_remainders_that_share_predictors_are_taken_for_related(grouped: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels_prediction, "_by_prediction", lambda products, *_: 0 * products)
    with pytest.raises(AssertionError):
        predictions_from_the_same_images_are_no_relation(grouped)


def test_classes_by_ridge_regression_alone_leave_a_sharp_border(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        prediction, "probabilities", lambda features, classes, _: np.full((len(features), classes.max() + 1), 10.0)
    )
    with pytest.raises(AssertionError):
        a_sharp_border_in_gist_is_not_beyond_it()


def test_random_signs_alone_contradict_the_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    right = prediction.jackknifed_correlation
    monkeypatch.setattr(prediction, "jackknifed_correlation", lambda *given: (*right(*given)[:2], 0.0))
    with pytest.raises(AssertionError):
        the_p_value_agrees_with_the_interval()
