"""Broken on purpose: conditions that are not each image's own are seen."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from probekit.denoising.conditions import Conditions, Entries, of_rows
from tests.analyses.sampling import test_network_conditions as sampled
from tests.probekit.phi import test_conditions as laws

READ = Entries.read


def swapped(self: Entries, positions: Sequence[int]) -> torch.Tensor:
    """Each image has the next one's."""
    return READ(self, [(p + 1) % len(self.rows) for p in positions])


def not_by_id(self: Entries, positions: Sequence[int]) -> torch.Tensor:
    """In the order in which they are given, whosever they are."""
    return READ(replace(self, rows=range(len(self.rows))), positions)


def of_first_rows(conditions: dict[str, Any], rows: Any) -> dict[str, Any]:
    """Every batch has those of the first."""
    count = len(of_rows(conditions, rows)["kind"])
    return of_rows(conditions, slice(0, count))


def phi_is_under_its_own() -> bool:
    x, known = laws.world(5)
    order = [3, 1, 0, 2, 4]
    conditions = {"planes": laws.labelled(known["planes"], [laws.name_of(i) for i in range(5)], laws.Path())}
    conditions |= {name: known[name][order] for name in ("kind", "mask")}
    ids = [laws.name_of(i) for i in order]
    data = laws.tapped()(x[order], sigma=laws.SIGMA, draws=3, ids=ids, batch_size=2, conditions=conditions)
    return np.allclose(data.phi.values, laws.oracle(x, known, 3)[order], rtol=1e-4, atol=1e-5)


def test_whole_code_passes_the_law_that_broken_code_fails() -> None:
    assert phi_is_under_its_own()
    assert sampled.kept_its_own("langevin")


@pytest.mark.parametrize("broken", [swapped, not_by_id])
def test_entries_of_other_images_are_seen(broken: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Entries, "read", broken)
    assert not phi_is_under_its_own()


def test_entries_of_another_batch_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("probekit.capture.passes.of_rows", of_first_rows)
    assert not phi_is_under_its_own()


@pytest.mark.parametrize("method", ["langevin", "algorithm1", "unconditional", "particles"])
def test_samples_under_conditions_of_other_images_are_seen(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    at = Conditions.at

    def shifted(self: Conditions, positions: Sequence[int], place: torch.Tensor) -> dict[str, Any]:
        return at(self, [(p + 1) % len(self) for p in positions], place)

    monkeypatch.setattr(Conditions, "at", shifted)
    assert not sampled.kept_its_own(method)


def test_rows_of_samples_that_are_mixed_up_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("analyses.sampling.walk.of_rows", lambda c, rows: of_rows(c, rows.flip(0)))
    assert not sampled.kept_its_own("langevin")
