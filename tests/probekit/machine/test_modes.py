"""Modes that are set for a while, and put back as they were, also where several threads set them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
import torch
from torch import Tensor, nn

import probekit
from probekit.machine.modes import evaluating


def network() -> nn.Sequential:
    made = nn.Sequential(nn.Conv2d(1, 1, 1), nn.Sequential(nn.Dropout(), nn.ReLU()))
    # Each has a mode of its own.
    made[1].eval()
    made[1][0].train()
    return made


def modes(model: nn.Module) -> list[bool]:
    return [module.training for module in model.modules()]


def test_each_module_has_its_mode_back_behind_blocks_and_an_error() -> None:
    model = network()
    before = modes(model)

    def fails() -> None:
        with evaluating(model), evaluating(model[1]):
            assert not any(modes(model))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    assert modes(model) == before == [True, True, False, True, False]


def test_modules_evaluate_until_the_last_thread_has_left() -> None:
    model = network()
    before = modes(model)
    first, second = evaluating(model), evaluating(model)
    first.__enter__()
    with ThreadPoolExecutor(1) as other:
        other.submit(second.__enter__).result()
        first.__exit__(None, None, None)
        assert not any(modes(model))
        other.submit(second.__exit__, None, None, None).result()
    assert modes(model) == before


def test_modules_that_compare_themselves_are_told_apart() -> None:
    class Alike(nn.ReLU):
        def __eq__(self, other: object) -> bool:
            return isinstance(other, Alike)

        __hash__ = None  # pyright: ignore[reportAssignmentType]

    alike = [Alike(), Alike().eval()]
    with evaluating(nn.ModuleList(alike)):
        assert not any(one.training for one in alike)
    assert [one.training for one in alike] == [True, False]


def test_a_network_that_is_being_trained_is_measured_alike_by_two_threads() -> None:
    """One leaves while the other is between its passes."""
    both, left = Barrier(2, timeout=60), Barrier(2, timeout=60)

    class Waiting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.drop = nn.Conv2d(1, 4, 3, padding=1), nn.Dropout()
            self.out = nn.Conv2d(4, 1, 3, padding=1)
            self.passed = lambda: None

        def forward(self, y: Tensor) -> Tensor:
            self.passed()
            return self.out(self.drop(self.conv(y)))

    torch.manual_seed(0)
    model = Waiting().train()
    tap, x = probekit.tap(model, "drop"), torch.rand(2, 1, 8, 8)
    alone = tap.features(x).detach()
    model.passed = lambda: both.wait() and None

    def quick() -> Tensor:
        found = tap.features(x).detach()
        left.wait()
        return found

    def slow() -> Tensor:
        with evaluating(model):
            model.passed()
            left.wait()
            return model.drop(model.conv(x)).mean((2, 3)).detach()

    with ThreadPoolExecutor(2) as pool:
        for found in [pool.submit(quick), pool.submit(slow)]:
            torch.testing.assert_close(found.result(), alone)
    assert all(modes(model))
