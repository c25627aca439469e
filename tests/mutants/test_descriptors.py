"""Broken on purpose: each fault in descriptors is seen by a law."""

import pytest

from analyses.descriptors import kernels
from tests.analyses.descriptors.test_laws import peaks_are_where_gratings_are


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
