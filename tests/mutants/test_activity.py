"""Broken on purpose: each fault in the rule of signed φ, and in what is made of maps, is seen by a law."""

from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from analyses.ground import activity
from probekit.capture import reductions
from probekit.machine.extents import Extent
from tests.analyses.ground import test_activity as laws
from tests.probekit.capture import test_reductions as made

# Module that takes φ as activity, and an analysis that does so by it.
ENTRIES = {
    "analyses.sparsity.analyse": "sparsity.analyse",
    "analyses.selectivity.analyse": "selectivity.analyse",
    "analyses.subspaces.above_rest": "subspaces.fit",
    "analyses.concepts.analyse": "concepts.analyse",
}


@pytest.mark.parametrize("module", ENTRIES)
def test_a_room_that_does_not_ask_takes_signed_phi(
    module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What else goes wrong then is no error of the kind.
    monkeypatch.setattr(import_module(module), "as_activity", lambda data, *_, **__: data)
    for name in ("selectivity", "sparsity"):
        monkeypatch.setattr(import_module(f"analyses.{name}.analyse"), "as_activity", lambda data, *_, **__: data)
    with pytest.raises((pytest.fail.Exception, AssertionError, ValueError)):
        laws.test_what_asks_where_0_is_refuses_signed_phi_with_one_error(
            laws.REFUSES[ENTRIES[module]], tmp_path, monkeypatch
        )


def test_a_tolerance_that_is_too_wide_or_none_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    for rounding in (1e-3, 0.0):
        monkeypatch.setattr(activity, "ROUNDING", rounding)
        with pytest.raises((AssertionError, pytest.fail.Exception, ValueError)):
            laws.test_what_rounding_leaves_below_0_counts_as_0()


def test_a_tolerance_for_all_taps_together_hides_a_quiet_one(monkeypatch: pytest.MonkeyPatch) -> None:
    refuse = activity._refuse_signed

    def together(data: xr.DataArray, found: Extent, taps: dict, name: str) -> None:
        del taps
        refuse(data, found, {"mid": np.arange(data.sizes["channel"])}, name)

    monkeypatch.setattr(activity, "_refuse_signed", together)
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        laws.test_a_quiet_tap_or_noise_level_is_not_hidden_beside_a_loud_one()


def reducing(monkeypatch: pytest.MonkeyPatch, **functions) -> None:
    monkeypatch.setattr(reductions, "REDUCTIONS", {**reductions.REDUCTIONS, **functions})


def test_squares_without_magnitudes_are_no_energy(monkeypatch: pytest.MonkeyPatch) -> None:
    reducing(monkeypatch, energy=lambda a: a.square().mean((2, 3)).real)
    with pytest.raises(AssertionError):
        made.test_the_energy_of_a_complex_map_is_the_mean_of_its_squared_magnitudes(made.COMPLEX["fft"])


def test_the_deviation_of_the_real_part_is_not_that_of_the_map(monkeypatch: pytest.MonkeyPatch) -> None:
    reducing(monkeypatch, std=lambda a: a.real.std((2, 3), correction=0))
    with pytest.raises(AssertionError):
        made.test_the_standard_deviation_of_a_complex_map_is_that_of_distances_from_its_mean(made.COMPLEX["fft"])


def test_a_square_root_of_squares_has_no_gradient_where_nothing_varies(monkeypatch: pytest.MonkeyPatch) -> None:
    reducing(monkeypatch, std=lambda a: (a - a.mean((2, 3), keepdim=True)).abs().square().mean((2, 3)).sqrt())
    with pytest.raises(AssertionError):
        made.test_gradients_flow_back_through_a_complex_map_also_of_a_constant_image("std")


def test_a_magnitude_is_not_what_a_relu_keeps(monkeypatch: pytest.MonkeyPatch) -> None:
    reducing(monkeypatch, relu_mean=lambda a: a.abs().mean((2, 3)))
    with pytest.raises(AssertionError):
        made.test_the_mean_of_what_a_relu_keeps_is_the_mean_after_the_relu()
