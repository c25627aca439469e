"""Broken on purpose: each fault in attribution is seen by a closed form or a law."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest
import torch
from torch import Tensor

from analyses.attribution import groups
from probekit.phi.tap import Tap
from tests.analyses.attribution.test_laws import a_group_matches
from tests.analyses.attribution.test_oracles import (
    maps_are_the_closed_form,
    occlusion_takes_the_energy_of_a_patch,
    silencing_is_the_gate_without_the_energy,
)

# The module, which the function of its name hides.
ANALYSE = import_module("analyses.attribution.analyse")
EFFECTS = import_module("analyses.attribution.effects")


def gradient_times_input(
    read: Callable[..., Tensor], y: Tensor, baseline: Tensor, channel: int, *, n_steps: int
) -> Tensor:
    """The gradient at the image, not along the path."""
    y = y.clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad(read(y)[:, channel].sum(), y)
    return gradient * (y - baseline) * (n_steps > 0)


def test_a_gradient_that_is_not_taken_along_the_path_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ANALYSE, "_integrated", gradient_times_input)
    with pytest.warns(UserWarning, match="miss completeness"), pytest.raises(AssertionError):
        maps_are_the_closed_form(0.0)


def test_a_window_whose_pixels_do_not_share_its_change_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    occluded = ANALYSE._occluded
    monkeypatch.setattr(ANALYSE, "_occluded", lambda *args, given: occluded(*args, given=given) * given.window**2)
    with pytest.raises(AssertionError):
        occlusion_takes_the_energy_of_a_patch()


def test_noise_of_another_seed_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    batches: Callable[..., Any] = EFFECTS.batches
    monkeypatch.setattr(EFFECTS, "batches", lambda source, draws, seed, *more: batches(source, draws, seed + 1, *more))
    with pytest.raises(AssertionError):
        silencing_is_the_gate_without_the_energy()


def test_a_neighbour_silenced_instead_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    ablate = Tap.ablate
    monkeypatch.setattr(Tap, "ablate", lambda self, channels: ablate(self, [c + 1 for c in channels]))
    with pytest.raises(AssertionError):
        silencing_is_the_gate_without_the_energy()


def test_a_group_of_any_energy_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups, "_approached", lambda *_: True)
    with pytest.raises(AssertionError):
        a_group_matches(0, 5)
