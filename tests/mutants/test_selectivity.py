"""Broken on purpose: each fault in selectivity is seen by a law."""

from importlib import import_module

import numpy as np
import pytest

from analyses.selectivity import decisions, kernels, kernels_types
from tests.analyses.selectivity.test_laws import (
    excited,
    false_discoveries_keep_to_their_rate,
    noise_alone_makes_no_channel_selective_or_common,
    planted_types_are_found,
)
from tests.analyses.selectivity.test_oracles import p_values_of_the_normal_law_are_valid
from tests.analyses.selectivity.test_truth import (
    both_ways_alike_is_not_selective,
    far_images_are_not_overlooked,
    four_fifths_are_not_more,
    groups_keep_false_discoveries_to_their_rate,
    intervals_cover_the_true_shares,
)

# The module, which the function of its name hides.
ANALYSE = import_module("analyses.selectivity.analyse")


def test_without_subtracting_rest_planted_types_are_not_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "above", lambda phi, rest: phi + 0 * rest)
    with pytest.raises(AssertionError):
        planted_types_are_found()


def test_with_the_two_laws_mistaken_for_each_other_planted_types_are_not_found(monkeypatch: pytest.MonkeyPatch) -> None:
    shape = kernels.shape

    def mistaken(activity: np.ndarray, members: np.ndarray | None) -> kernels.Shape:
        found = shape(activity, members)
        return found._replace(tail=-found.tail)

    monkeypatch.setattr(kernels, "shape", mistaken)
    with pytest.raises(AssertionError):
        planted_types_are_found()


def test_with_each_image_trusted_on_its_own_error_noise_alone_is_called_selective(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kernels, "standard_error", lambda _, se, rest_se, __: (np.hypot(se, rest_se), rest_se))
    with pytest.raises(AssertionError):
        noise_alone_makes_no_channel_selective_or_common(0.75, 2, 1000)


def test_without_the_bound_on_vuongs_standard_error_p_values_of_the_normal_law_are_too_small(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kernels, "BOUNDARY_SD", 0.0)
    with pytest.raises(AssertionError):
        p_values_of_the_normal_law_are_valid("gamma", 100)


def test_where_images_far_out_are_allowed_false_common_channels_exceed_their_rate(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ANALYSE, "RATES", ANALYSE.RATES._replace(far=1.0))
    with pytest.raises(AssertionError):
        far_images_are_not_overlooked(1000, 6)


def test_where_rest_is_taken_for_exact_channels_moved_both_ways_are_called_selective(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kernels_types, "wherever", lambda p: p[0])
    with pytest.raises(AssertionError):
        both_ways_alike_is_not_selective("Laplace", 4)
    with pytest.raises(AssertionError):
        four_fifths_are_not_more("common", 0.2)


def test_where_what_is_not_shown_counts_as_absent_shares_are_not_covered(monkeypatch: pytest.MonkeyPatch) -> None:
    def sure(p: np.ndarray, _: float) -> np.ndarray:
        return (p > 0.05).sum(axis=-1)

    monkeypatch.setattr(kernels_types, "most_true", sure)
    monkeypatch.setattr(
        kernels_types,
        "weighed",
        lambda *given, weighed=kernels_types.weighed: (found := weighed(*given))._replace(
            excluded={kind: 1.0 - (p > 0.05) for kind, p in found.shown.items()}
        ),
    )
    with pytest.raises(AssertionError):
        intervals_cover_the_true_shares(100)


def test_with_groups_taken_for_images_false_discoveries_exceed_their_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ANALYSE, "independent", lambda data, _: (None, float(data.sizes["image"])))
    with pytest.raises(AssertionError):
        groups_keep_false_discoveries_to_their_rate()


def test_without_control_false_discoveries_exceed_their_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decisions, "false_discovery_control", lambda p, **_: p)
    with pytest.raises(AssertionError):
        false_discoveries_keep_to_their_rate(excited, "selective")
