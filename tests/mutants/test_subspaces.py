"""Broken on purpose: each fault in subspaces is seen by a law."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from analyses.subspaces import above_rest, kernels_active, kernels_explained, kernels_fit
from probekit.synthetic.subspaces import union_of_subspaces
from tests.analyses.subspaces.test_groups import end_to_end, no_false_gains
from tests.analyses.subspaces.test_laws import (
    HARD,
    assert_pca_of_as_many_parameters_is_no_worse,
    assert_recovered,
    confident,
    misled,
)

MAXIMAL = kernels_active._maximal  # pyright: ignore[reportPrivateUsage]


def vouching(*groups: np.ndarray) -> tuple[np.ndarray, ...]:
    member, stray, *rest = MAXIMAL(*groups)
    return member, np.zeros_like(stray), *rest


@pytest.mark.parametrize(
    ("kind", "owner", "name", "broken"),
    [
        ("supports that share 18 of 20 channels", kernels_active, "_maximal", vouching),
        ("rest too low by 0.2, silent channels", above_rest.AboveRest, "shifted", property(lambda _: None)),
        (
            "gain of an image",
            kernels_active,
            "_shares",
            lambda inside, size: np.eye(len(size))[inside.argmax(axis=1)],
        ),
    ],
    ids=["strays vouched for", "shifts ignored", "images without channels placed for certain"],
)
def test_confidence_without_one_of_its_parts_is_wrong_outside_the_region(
    kind: str, owner: Any, name: str, broken: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owner, name, broken)
    assert misled(HARD[kind], 6) > 0


def ignoring_rest(response: above_rest.AboveRest, rate: float) -> np.ndarray:
    """Active sets by φ itself in place of φ above rest."""
    p = kernels_active.p_values(response.x + 1, response.error, response.degrees, response.floor)
    return kernels_active.active(p, rate=rate)


def off_by_one(groups: kernels_active.Groups, active: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    labels = kernels_active.log_joint(active.astype(np.float32), groups.ones, groups.size).argmax(axis=1)
    return np.roll(groups.member.argmax(axis=1)[labels], 1), np.ones(len(active))


def the_fewer_the_better(_: np.ndarray, size: np.ndarray) -> float:
    return -float(len(size))


@pytest.mark.parametrize(
    ("owner", "name", "broken"),
    [
        (above_rest.AboveRest, "active", ignoring_rest),
        (kernels_active.Groups, "assign", off_by_one),
        (kernels_active, "likelihood", the_fewer_the_better),
    ],
    ids=["rest ignored", "assignment off by one", "evidence for one group"],
)
def test_a_broken_kernel_fails_the_law_of_recovery(
    owner: Any, name: str, broken: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = union_of_subspaces(300, n_channels=40, n_subspaces=4, support=6, overlap=3, noise=0.05)
    assert_recovered(made)
    monkeypatch.setattr(owner, name, broken)
    with pytest.raises(AssertionError):
        assert_recovered(made)


def test_a_pca_of_fewer_parameters_than_it_may_have_fails_the_law_of_parameters(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kernels_explained, "pca_rank", lambda _, *, rank, **__: rank)
    with pytest.raises(AssertionError):
        assert_pca_of_as_many_parameters_is_no_worse(4, 2, 0)


def test_confidence_that_is_always_1_fails_the_law_of_honesty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels_fit.Fit, "confidence", property(lambda _: 1.0))
    right, sure, _ = confident(60)
    # Far more than 4 of 200 are wrong already.
    assert sure - right > 4


def test_groups_laid_end_to_end_whatever_their_sizes_make_independent_channels_gain(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys.modules["analyses.subspaces.analyse"], "shuffled", end_to_end)
    with pytest.raises(AssertionError):
        no_false_gains()
