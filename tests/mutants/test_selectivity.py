"""Broken on purpose: each fault in selectivity is seen by a law."""

from functools import partial
from importlib import import_module

import numpy as np
import pytest

from analyses.selectivity import kernels
from tests.analyses.selectivity.test_laws import (
    false_discoveries_keep_to_their_rate,
    noise_alone_makes_no_channel_selective_or_common,
    on_the_boundary,
    planted_types_are_found,
    skewed,
)

# The module, which the function of its name hides.
ANALYSE = import_module("analyses.selectivity.analyse")


def test_without_subtracting_rest_planted_types_are_not_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "above", lambda phi, rest: phi + 0 * rest)
    with pytest.raises(AssertionError):
        planted_types_are_found()


def test_with_the_two_laws_mistaken_for_each_other_planted_types_are_not_found(monkeypatch: pytest.MonkeyPatch) -> None:
    shape = kernels.shape

    def mistaken(activity: np.ndarray) -> kernels.Shape:
        found = shape(activity)
        return found._replace(tail=-found.tail)

    monkeypatch.setattr(kernels, "shape", mistaken)
    with pytest.raises(AssertionError):
        planted_types_are_found()


def test_with_each_image_trusted_on_its_own_error_noise_alone_is_called_selective(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kernels, "standard_error", lambda _, se, rest_se: np.hypot(se, rest_se))
    with pytest.raises(AssertionError):
        noise_alone_makes_no_channel_selective_or_common(0.75, 2, 1000)


def test_without_the_bound_on_vuongs_standard_error_false_common_channels_exceed_their_rate(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kernels, "BOUNDARY_SD", 0.0)
    with pytest.raises(AssertionError):
        false_discoveries_keep_to_their_rate(partial(skewed, "gamma"), "common", 100)


def test_without_control_false_discoveries_exceed_their_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ANALYSE, "false_discovery_control", lambda p, **_: p)
    with pytest.raises(AssertionError):
        false_discoveries_keep_to_their_rate(on_the_boundary, "selective")
