"""Broken on purpose: a claim that forgets one of its untrained controls is seen by its laws."""

from typing import Any

import pytest

from analyses.claims import judge, of_comparisons, of_phi
from analyses.ground import TWINS
from tests.analyses.claims import test_absent as absent
from tests.analyses.claims import test_judge as laws


@pytest.mark.parametrize(("kept", "beaten"), [(0, "untrained"), (1, "paper_gains")])
def test_a_control_that_is_not_compared_with_lets_a_claim_hold(kept: int, beaten: str, monkeypatch: Any) -> None:
    drawn = [laws.network(enc2=laws.DENSE, enc3=laws.DENSE, mid=mid) for mid in (laws.SPARSE, laws.DENSE)]
    trained, untrained = map(laws.findings, drawn)
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
    drawn = [laws.network(enc2=laws.DENSE, enc3=laws.DENSE, mid=mid) for mid in (laws.SPARSE, laws.DENSE)]
    pair = [laws.findings(one) for one in drawn]
    given = {
        "drop": (pair, (-0.05, -0.03), "does not hold"),
        "few": ({"stability_among": 5}, "1,000 images to find it among"),
        "": (pair,),
    }[arguments]
    law(*given)
    monkeypatch.setattr(module, name, broken)
    with pytest.raises(AssertionError):
        law(*given)
