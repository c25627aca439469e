"""Broken on purpose: each fault in selectivity is seen by a law."""

from importlib import import_module

import numpy as np
import pytest

from analyses.selectivity import decisions, kernels, kernels_counts, kernels_types
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
    one_image_in_other_units_changes_no_type,
    rest_that_is_noisier_than_images_moves_no_silent_channel,
    unequal_groups_keep_false_discoveries_to_their_rate,
)

# Modules, one of which the function of its name hides.
ANALYSE = import_module("analyses.selectivity.analyse")
MEASURING = import_module("analyses.selectivity.measuring")


def test_without_subtracting_rest_planted_types_are_not_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "above", lambda phi, rest: phi + 0 * rest)
    with pytest.raises(AssertionError):
        planted_types_are_found()


def test_with_the_two_laws_mistaken_for_each_other_planted_types_are_not_found(monkeypatch: pytest.MonkeyPatch) -> None:
    shape = kernels.shape

    def mistaken(activity: np.ndarray, members: np.ndarray | None) -> kernels.Shape:
        found = shape(activity, members)
        return found._replace(heavy=-found.heavy)

    monkeypatch.setattr(kernels, "shape", mistaken)
    with pytest.raises(AssertionError):
        planted_types_are_found()


def test_with_each_image_trusted_on_its_own_error_noise_alone_is_a_response(
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
        lambda *given, weighed=kernels_types.weighed, **how: (found := weighed(*given, **how))._replace(
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


def test_where_images_of_all_groups_are_scaled_alike_large_groups_count_as_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Scaled(kernels_counts.Counts):
        def __init__(self, images: int, members: np.ndarray | None = None) -> None:
            super().__init__(images)
            self.units = kernels_counts.effective(members, images)

        def at_least(self, count: np.ndarray, rate: float) -> np.ndarray:
            return kernels_counts.at_least(count * self.units / self.images, self.units, rate)

    monkeypatch.setattr(ANALYSE, "Counts", Scaled)
    with pytest.raises(AssertionError):
        unequal_groups_keep_false_discoveries_to_their_rate("six", "far")


def test_where_images_of_a_group_count_each_signs_of_few_groups_are_taken_for_a_direction(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kernels, "_independent", lambda which, _: which.sum(axis=0).astype(float))
    with pytest.raises(AssertionError):
        unequal_groups_keep_false_discoveries_to_their_rate("Pareto", "signs")


def test_where_one_image_says_what_is_typical_it_silences_all_channels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "typical", lambda size: (size**2).sum(axis=0) / size.sum(axis=0))
    with pytest.raises(AssertionError):
        one_image_in_other_units_changes_no_type(255.0)


def test_where_rest_is_trusted_on_its_own_error_silent_channels_are_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        import_module("analyses.selectivity.measuring"),
        "_error_of_rest",
        lambda data: data["rest_se"].values.astype(float),
    )
    with pytest.raises(AssertionError):
        rest_that_is_noisier_than_images_moves_no_silent_channel()
