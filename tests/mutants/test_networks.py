"""Broken on purpose: each fault in what is asked of φ by name, and of several networks, is seen by a law."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import errors

import probekit.accessor as accessor
import probekit.machine.lazily as lazily
import probekit.networks as networks
from tests.analyses.ground import test_networks as of_analyses
from tests.probekit import test_accessor as laws
from tests.probekit.machine import test_largest, test_lazily

SEEN = (AssertionError, ExceptionGroup, errors.Flaky)
LARGEST = accessor.largest


def ties_by_place(values: np.ndarray, order: np.ndarray, count: int) -> np.ndarray:
    plain = (
        np.arange(len(values)) if order.ndim == 1 else np.broadcast_to(np.arange(len(values))[:, None], values.shape)
    )
    return LARGEST(values, plain, count)


def smallest(values: np.ndarray, order: np.ndarray, count: int) -> np.ndarray:
    return LARGEST(-values, order, count)


@pytest.mark.parametrize("broken", [ties_by_place, smallest])
def test_another_order_than_by_value_and_id_is_seen(monkeypatch: pytest.MonkeyPatch, broken: object) -> None:
    monkeypatch.setattr(accessor, "largest", broken)
    with pytest.raises(SEEN):
        laws.test_the_top_images_are_those_of_a_plain_sort_ties_by_id()
    monkeypatch.setattr(test_largest, "largest", broken)
    with pytest.raises(SEEN):
        test_largest.test_they_are_those_of_a_plain_sort_with_ties_by_order_and_nan_last()


def test_labels_of_unsorted_images_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    # As argsort of a labelled array gives them: positions that are sorted, under labels that are not.
    monkeypatch.setattr(
        accessor, "largest", lambda values, order, count: np.sort(LARGEST(values, order, count), axis=0)
    )
    with pytest.raises(SEEN):
        laws.test_the_top_images_are_those_of_a_plain_sort_ties_by_id()


def test_rest_that_is_added_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accessor, "less", lambda whole, part: whole + part)
    with pytest.raises(SEEN):
        laws.test_above_rest_is_phi_less_rest_with_its_names(laws.phi())


def test_rest_at_other_places_than_phi_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(self: lazily._Less, key: tuple[object, ...]) -> np.ndarray:
        found = self.whole[key]
        return (found - self.part[tuple(0 for _ in self.part.dims)]).values

    monkeypatch.setattr(lazily._Less, "_read", read)
    with pytest.raises(SEEN):
        test_lazily.test_a_difference_is_the_plain_one_at_any_selection()


def test_the_firsts_sha256_for_all_is_seen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(networks, "OF_A_NETWORK", ())
    monkeypatch.setattr(networks, "_same", lambda *_: True)
    with pytest.raises((*SEEN, AttributeError)):
        laws.test_two_networks_side_by_side_come_apart_as_they_were(laws.phi(), tmp_path)


def test_places_of_other_networks_that_are_left_are_seen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def left(one: xr.Dataset) -> xr.Dataset:
        return one.drop_vars(list(networks._own_sizes(one)))

    monkeypatch.setattr(networks, "_own_places", left)
    with pytest.raises(SEEN):
        of_analyses.test_findings_of_other_sizes_have_what_no_network_lacks_and_come_apart_as_they_were(tmp_path)


def test_one_networks_findings_for_all_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    from analyses.ground import findings

    def first_twice(data: xr.Dataset) -> dict[str, xr.Dataset]:
        apart = networks.by_network(data)
        return dict.fromkeys(apart, next(iter(apart.values())))

    monkeypatch.setattr(findings, "by_network", first_twice)
    with pytest.raises(SEEN):
        of_analyses.test_each_network_s_findings_are_those_of_it_alone("sparsity")
