"""Broken on purpose: each fault in textures is seen by a law or an oracle."""

from importlib import import_module
from typing import Any

import pytest
import xarray as xr

from analyses.semantics import per_image
from tests.analyses.textures import test_judging as judged
from tests.analyses.textures import test_laws as laws
from tests.analyses.textures import test_oracles as oracles
from tests.analyses.textures import test_patches as cuts

# The package has a function of that name.
analyse = import_module("analyses.textures.analyse")
patches = import_module("analyses.textures.patches")
judging = import_module("analyses.textures.judging")


def test_patches_resampled_as_if_they_were_independent_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    mean = analyse.estimated_mean
    monkeypatch.setattr(analyse, "estimated_mean", lambda values, **how: mean(values, **{**how, "clusters": None}))
    with pytest.raises(AssertionError):
        laws.test_more_patches_of_as_many_photographs_tell_no_more_of_other_photographs()


def test_neighbours_that_are_searched_among_few_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def few(data: xr.Dataset, **how: Any) -> xr.Dataset:
        found = per_image(data, **{**how, "k": 5})
        return found.assign(precision=found["precision"])

    monkeypatch.setattr(analyse, "per_image", few)
    with pytest.raises(AssertionError):
        oracles.test_the_rate_of_gaussian_textures_is_what_an_independent_simulation_of_their_features_gives()


def test_patches_that_are_not_told_apart_and_counted_as_right_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(analyse, "per_image", lambda data, **how: per_image(data, **how).fillna({"precision": 1.0}))
    with pytest.raises(AssertionError):
        oracles.test_what_is_the_label_is_always_right_and_noise_is_at_chance("euclidean")


def test_a_verdict_of_any_rival_instead_of_all_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    verdict = judging.verdict
    monkeypatch.setattr(
        laws.textures,
        "verdict",
        lambda found, block, **how: verdict(found, block, **{**how, "rivals": ("untrained",)}),
    )
    cases = next(
        mark.args[1]
        for mark in laws.test_claim_9_is_judged_by_all_rivals_in_colour_and_grey.pytestmark
        if mark.name == "parametrize"
    )
    failed = 0
    for case in cases:
        try:
            laws.test_claim_9_is_judged_by_all_rivals_in_colour_and_grey(*getattr(case, "values", case))
        except AssertionError:
            failed += 1
    assert failed


def test_patches_that_overlap_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    place = patches.Place
    monkeypatch.setattr(patches, "Place", lambda photograph, row, col: place(photograph, row // 2, col // 2))
    with pytest.raises(AssertionError):
        cuts.test_patches_are_squares_of_their_photograph_at_the_place_that_their_id_says_and_do_not_overlap()


def test_patches_that_are_not_counted_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judging, "PATCHES", 2)
    with pytest.raises(AssertionError):
        judged.test_the_verdict_is_that_of_the_table_of_claims("", {}, 2)


@pytest.mark.parametrize("gone", ["untrained", "grey"])
def test_what_is_lacking_and_called_undecided_is_seen(gone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    verdict_of = judging.verdict_of
    monkeypatch.setattr(
        judging,
        "verdict_of",
        lambda outcomes: verdict_of("undecided" if one == "not judged" else one for one in outcomes),
    )
    with pytest.raises(AssertionError):
        judged.test_the_verdict_is_that_of_the_table_of_claims(gone, {}, 8)


def test_a_twin_that_cannot_be_and_is_asked_for_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    verdict = judging.verdict
    monkeypatch.setattr(
        judged.textures, "verdict", lambda found, *of, **how: verdict(found.assign_attrs(twins=""), *of, **how)
    )
    with pytest.raises(AssertionError):
        judged.test_a_network_that_can_have_one_untrained_twin_is_judged_beside_it({})
