"""Broken on purpose: each fault in attribution is seen by a closed form."""

from collections.abc import Callable
from importlib import import_module

import pytest
import torch
from torch import Tensor

from tests.analyses.attribution.test_oracles import maps_are_the_closed_form

# The module, which the function of its name hides.
ANALYSE = import_module("analyses.attribution.analyse")


def gradient_times_input(read: Callable[..., Tensor], y: Tensor, baseline: Tensor, channel: int, *, n_steps: int) -> Tensor:
    """Broken on purpose: the gradient at the image, not along the path."""
    y = y.clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad(read(y)[:, channel].sum(), y)
    return gradient * (y - baseline) * (n_steps > 0)


def test_a_gradient_that_is_not_taken_along_the_path_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ANALYSE, "_integrated", gradient_times_input)
    with pytest.warns(UserWarning, match="miss completeness"), pytest.raises(AssertionError):
        maps_are_the_closed_form(0.0)
