"""Broken on purpose: each fault in cues is seen by a law or an oracle."""

from importlib import import_module

import numpy as np
import pytest

from analyses.cues import kernels
from probekit import labels
from tests.analyses.cues import test_judging as judged
from tests.analyses.cues.test_laws import order_changes_nothing, what_is_swapped_changes_sides
from tests.analyses.cues.test_oracles import (
    chances_are_counted,
    images_that_share_both_are_no_neighbours,
    intervals_cover,
    noise_is_at_chance,
    the_shares_are_those_of_the_law,
)

# The package has a function of that name.
analyse = import_module("analyses.cues.analyse")
verdict = import_module("analyses.cues.verdict")


def test_neighbours_that_share_both_cues_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(analyse, "nearest_of_other_cells", lambda neighbours, _: neighbours[..., 0])
    with pytest.raises(AssertionError):
        images_that_share_both_are_no_neighbours()


def test_images_resampled_as_if_they_were_independent_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def alone(rng: np.random.Generator, count: int, codes: np.ndarray) -> np.ndarray:
        return rng.multinomial(len(codes), np.full(len(codes), 1 / len(codes)), size=count)

    monkeypatch.setattr(kernels, "_drawn", alone)
    with pytest.raises(AssertionError):
        intervals_cover(1, 1, 0)


def test_one_factor_resampled_alone_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    both = kernels.crossed_means

    def one(values: np.ndarray, first: np.ndarray, _: np.ndarray, **how: int) -> np.ndarray:
        return both(values, first, np.zeros_like(first), **how)

    monkeypatch.setattr(kernels, "crossed_means", one)
    with pytest.raises(AssertionError):
        intervals_cover(0, 1, 0)


def test_textures_taken_for_shapes_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    sharing = kernels.sharing
    monkeypatch.setattr(analyse, "sharing", lambda near, codes: sharing(near, codes // 2))
    with pytest.raises(AssertionError):
        the_shares_are_those_of_the_law(1.2, 1.0, 1.0)


def test_an_image_that_is_its_own_neighbour_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        analyse, "nearest_of_other_cells", lambda neighbours, _: np.broadcast_to(np.arange(192), neighbours.shape[:-1])
    )
    with pytest.raises(AssertionError):
        noise_is_at_chance()


def test_chance_that_counts_images_of_both_cues_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "_count", lambda codes: np.bincount(codes)[codes] + 1)
    with pytest.raises(AssertionError):
        chances_are_counted(np.arange(60) % 5, np.arange(60) // 5)


def test_an_order_that_is_the_images_own_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labels, "by_id", lambda data: np.arange(data.sizes["image"]))
    with pytest.raises(AssertionError):
        order_changes_nothing(1)


def test_a_difference_of_the_wrong_sign_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(analyse, "sharing", lambda near, _: np.ones(near.shape))
    with pytest.raises(AssertionError):
        what_is_swapped_changes_sides()


@pytest.mark.parametrize(
    ("name", "broken", "gone"),
    [
        ("asked_twins", lambda _: ["untrained"], "untrained, paper's gains"),
        ("TREATMENTS", ("as they are",), "equalised grey"),
        ("_asked", lambda *_: ["mid"], "enc3"),
    ],
)
def test_a_verdict_by_what_is_there_alone_is_seen(
    name: str, broken: object, gone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verdict, name, broken)
    with pytest.raises(AssertionError):
        judged.test_the_verdict_is_that_of_the_table_of_claims(gone, {})
