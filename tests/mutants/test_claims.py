"""Broken on purpose: a claim that forgets one of its untrained controls is seen by its laws."""

from importlib import import_module
from typing import Any

import numpy as np
import pytest

from analyses import cues, noise_level, textures
from analyses.claims import criteria, judge, of_comparisons, of_phi, of_textures
from analyses.ground import TWINS
from probekit import labels
from tests.analyses.claims import test_absent as absent
from tests.analyses.claims import test_dropped as dropped
from tests.analyses.claims import test_further as further
from tests.analyses.claims import test_judge as laws
from tests.analyses.claims import test_lacking as lacking

# The package has a function of that name.
verdict = import_module("analyses.noise_level.verdict")
HALF_WAY = np.linspace(0.5, 0.03, 100)


@pytest.mark.parametrize(("kept", "beaten"), [(0, "untrained"), (1, "paper_gains")])
def test_a_control_that_is_not_compared_with_lets_a_claim_hold(kept: int, beaten: str, monkeypatch: Any) -> None:
    trained, untrained = laws.sparse_and_dense()
    law = laws.test_a_claim_that_is_beyond_one_control_and_not_the_other_does_not_hold
    law(trained, untrained, beaten)
    right = of_phi.beyond_each

    def one(make: Any, own: Any, twins: Any, excess: Any) -> Any:
        name = list(TWINS)[kept]
        return right(make, own, {name: twins[name]}, excess)

    monkeypatch.setattr(of_phi, "beyond_each", one)
    with pytest.raises(AssertionError):
        law(trained, untrained, beaten)


@pytest.mark.parametrize("name", TWINS)
def test_rows_of_a_control_that_are_passed_over_let_a_claim_hold(name: str, monkeypatch: Any) -> None:
    law = laws.test_a_row_of_either_untrained_control_that_is_as_high_keeps_a_claim_from_holding
    law(f"{name} 0 mid")
    right = of_comparisons.beyond

    def passing(make: Any, control: str, own: Any, excess: Any, less: str) -> Any:
        return right(make, control, own, None if less == f"that of {name} 0 mid" else excess, less)

    monkeypatch.setattr(of_comparisons, "beyond", passing)
    with pytest.raises(AssertionError):
        law(f"{name} 0 mid")


FOUND_AGAIN = absent.test_images_found_among_few_or_from_another_level_do_not_judge_stability


@pytest.mark.parametrize(
    ("module", "name", "broken", "law", "arguments"),
    [
        (of_phi, "MARGIN", 0.5, absent.test_that_an_encoder_block_does_not_drop_is_shown_within_a_margin, "drop"),
        (of_phi, "LEVELS", (0.9,), absent.test_other_noise_levels_than_those_of_the_claim_do_not_judge_it, ""),
        (of_comparisons, "AMONG", 5, FOUND_AGAIN, "few"),
        (judge, "verdict_of", lambda _: "holds", absent.test_without_a_number_nothing_is_decided, ""),
    ],
)
def test_what_is_absent_or_slight_is_counted_and_seen(
    module: Any, name: str, broken: Any, law: Any, arguments: str, monkeypatch: Any
) -> None:
    pair = [*laws.sparse_and_dense()]
    given = {
        "drop": (pair, (-0.05, -0.03), "does not hold"),
        "few": ({"stability_among": 5}, "1,000 images to find it among"),
        "": (pair,),
    }[arguments]
    law(*given)
    monkeypatch.setattr(module, name, broken)
    with pytest.raises(AssertionError):
        law(*given)


HOLDS_BY_ALL = dropped.test_a_claim_holds_only_by_all_that_it_asks_for_and_names_what_it_lacks


@pytest.mark.parametrize(
    ("module", "name", "broken", "law", "arguments"),
    [
        (of_phi, "LEVELS", (0.1, 0.2), HOLDS_BY_ALL, (1,)),
        (of_phi, "_encoder", lambda _: {}, HOLDS_BY_ALL, (1,)),
        (of_phi, "KINDS", ("selective",), HOLDS_BY_ALL, (3,)),
        (of_comparisons, "INDEPENDENT", None, HOLDS_BY_ALL, (2,)),
        (of_comparisons, "NEAR", 1.0, dropped.test_a_probe_counts_at_the_noise_level_of_the_claim_alone, ()),
        (of_comparisons, "CHANCE", "", dropped.test_a_probe_counts_at_the_noise_level_of_the_claim_alone, ()),
        (of_textures, "FORMS", {"colour": "in colour"}, HOLDS_BY_ALL, (9,)),
        (textures, "PATCHES", 0, HOLDS_BY_ALL, (9,)),
        (cues, "TREATMENTS", ("as they are",), HOLDS_BY_ALL, (10,)),
        (labels, "block_before", lambda blocks, block: blocks[blocks.index(block) - 1], dropped.LARGEST, ()),
        (noise_level, "ON_PATH", 10.0, dropped.test_claim_11_is_judged_by_its_own_bounds_and_levels, ()),
        (verdict, "STEPS", 2, lacking.REACHING, (np.geomspace(1, 0.03, 9), False, 0.0, "holds")),
        (verdict, "ABOUT", 0.9, lacking.REACHING, (np.linspace(1, 0.05, 100), False, 0.0, "holds")),
        (
            verdict,
            "levels",
            lambda _: [0.4, 0.1, 0.03],
            lacking.REACHING,
            (np.linspace(0.5, 0.03, 100), False, 0.0, "holds"),
        ),
        (of_comparisons, "LEAST_DRAWS", 5, lacking.test_claim_2_says_of_how_many_draws_and_is_not_refuted_by_few, ()),
        (of_comparisons, "BEYOND", "", lacking.test_classes_of_fewer_than_three_images_do_not_judge_claim_5, ()),
        (
            of_textures,
            "RELIABLE",
            0.9,
            further.test_distances_are_trusted_where_their_reliability_is_shown,
            (0.93, "does not hold"),
        ),
        (verdict, "LEVELS", 2, dropped.test_claim_11_is_judged_by_its_own_bounds_and_levels, ()),
        (verdict, "RANGE", (0.0, 9.0), dropped.test_claim_11_is_judged_by_its_own_bounds_and_levels, ()),
        (of_phi, "SURE", 0.0, dropped.test_overlap_without_confidence_is_said_not_to_tell_a_union, (0.03,)),
        (criteria, "ROUNDING", 9.0, dropped.test_an_interval_whose_ends_are_swapped_is_refused, ("", "above")),
    ],
)
def test_what_a_claim_asks_for_and_is_passed_over_is_seen(
    module: Any, name: str, broken: Any, law: Any, arguments: Any, monkeypatch: Any
) -> None:
    law(*arguments)
    monkeypatch.setattr(module, name, broken)
    # pytest.raises of a law fails by an exception of its own.
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        law(*arguments)
