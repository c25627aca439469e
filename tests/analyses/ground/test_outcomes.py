"""What intervals say of criteria, and criteria of a claim: laws of the order of numbers, and one pair of functions."""

from importlib import import_module
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analyses.ground import outcome, verdict_of
from probekit.errors import InputError

OUTCOMES = "holds", "does not hold", "undecided", "not judged"
# Steps of 2⁻¹⁰, which sums and negations keep exactly, and which are larger than what counts as rounding.
STEPS = st.integers(-5000, 5000).map(lambda step: step / 1024)
ENDS = st.tuples(STEPS, STEPS).map(sorted)
BOUNDS = st.integers(0, 3000).map(lambda step: step / 1024)


@given(ENDS, STEPS)
def test_above_holds_of_all_numbers_in_the_interval_or_of_none_or_is_undecided(ends: list[float], bound: float) -> None:
    truths = {end > bound for end in ends}
    expected = {frozenset({True}): "holds", frozenset({False}): "does not hold"}.get(frozenset(truths), "undecided")
    assert outcome(ends[0], ends[1], bound) == expected


@given(ENDS, BOUNDS)
def test_within_holds_of_all_numbers_in_the_interval_or_of_none_or_is_undecided(
    ends: list[float], bound: float
) -> None:
    low, high = ends
    # An interval that reaches from one side beyond the bound to the other has numbers within.
    inside = [min(max(0.0, low), high), low, high]
    truths = {abs(number) <= bound for number in inside}
    expected = {frozenset({True}): "holds", frozenset({False}): "does not hold"}.get(frozenset(truths), "undecided")
    assert outcome(low, high, bound, "within") == expected


@given(ENDS, ENDS, BOUNDS, st.sampled_from(["above", "within"]))
def test_a_narrower_interval_never_turns_an_outcome_round(
    ends: list[float], other: list[float], bound: float, comparison: str
) -> None:
    low, high = max(ends[0], other[0]), min(ends[1], other[1])
    if low > high:
        return
    wide = outcome(ends[0], ends[1], bound, comparison)  # type: ignore[arg-type]
    assert wide == "undecided" or outcome(low, high, bound, comparison) == wide  # type: ignore[arg-type]


@given(ENDS, BOUNDS)
def test_within_does_not_know_signs(ends: list[float], bound: float) -> None:
    assert outcome(ends[0], ends[1], bound, "within") == outcome(-ends[1], -ends[0], bound, "within")


@pytest.mark.parametrize("comparison", ["above", "within"])
@pytest.mark.parametrize("ends", [(np.nan, np.nan), (np.nan, 9.0), (9.0, np.nan), (np.nan, 0.0), (-9.0, np.nan)])
def test_an_end_that_is_not_known_decides_nothing(ends: tuple[float, float], comparison: str) -> None:
    assert outcome(ends[0], ends[1], 0.5, comparison) == "undecided"  # type: ignore[arg-type]


def test_rounding_is_no_evidence() -> None:
    assert outcome(1e-12, 2e-12) == outcome(0.0, 0.0) == "does not hold"
    assert outcome(1e-6, 1.0) == "holds"
    assert outcome(-0.1 - 1e-12, 0.1 + 1e-12, 0.1, "within") == "holds"
    assert outcome(0.1 + 1e-6, 0.2, 0.1, "within") == "does not hold"


def test_a_comparison_that_is_none_is_refused() -> None:
    with pytest.raises(InputError, match=r"comparison='below': give one of above, within"):
        outcome(0.0, 1.0, 0.0, "below")  # type: ignore[arg-type]


@given(st.lists(st.sampled_from(OUTCOMES), max_size=6))
def test_the_verdict_depends_on_which_outcomes_there_are_alone(outcomes: list[str]) -> None:
    said = verdict_of(outcomes)
    assert said == verdict_of(reversed(outcomes)) == verdict_of(outcomes * 2)
    assert (said == "holds") == (bool(outcomes) and all(one == "holds" for one in outcomes))
    assert (said == "partly") == ({"holds", "does not hold"} <= set(outcomes))
    assert (said == "does not hold") == ("holds" not in outcomes and "does not hold" in outcomes)
    assert (said == "not judged") == ("not judged" in outcomes and "does not hold" not in outcomes)


@given(st.lists(st.sampled_from(OUTCOMES), min_size=1, max_size=5))
def test_what_is_open_turns_no_verdict_but_one_that_is_open_and_none_to_what_holds(outcomes: list[str]) -> None:
    open_ = [k for k, one in enumerate(outcomes) if one in ("undecided", "not judged")]
    said, settled = verdict_of(outcomes), set()
    for ways in product(("holds", "does not hold"), repeat=len(open_)):
        told = list(outcomes)
        for k, way in zip(open_, ways, strict=True):
            told[k] = way
        settled.add(verdict_of(told))
    if said in ("holds", "partly"):
        assert settled == {said}
    elif said == "does not hold":
        # One criterion that does not hold is enough for the claim as it is put.
        assert "holds" not in settled
    else:
        assert len(settled) > 1


def test_no_criterion_decides_nothing_and_each_set_of_outcomes_has_its_verdict() -> None:
    assert verdict_of([]) == "undecided"
    every = {verdict_of(pair) for pair in product(OUTCOMES, OUTCOMES)}
    assert every == {"holds", "partly", "does not hold", "undecided", "not judged"}


@given(st.lists(st.sampled_from(OUTCOMES), max_size=5))
def test_one_more_criterion_that_is_not_judged_leaves_what_is_refuted_and_nothing_else(outcomes: list[str]) -> None:
    said = verdict_of(outcomes)
    more = verdict_of([*outcomes, "not judged"])
    assert more == (said if said in ("partly", "does not hold") else "not judged")


@pytest.mark.parametrize("module", ["cues.verdict", "noise_level.verdict", "textures.judging", "claims.judge"])
def test_rooms_join_outcomes_by_the_same_functions(module: str) -> None:
    loaded = import_module(f"analyses.{module}")
    assert getattr(loaded, "outcome", outcome) is outcome
    assert loaded.verdict_of is verdict_of
