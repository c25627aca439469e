"""Representations written block by block: of the law of those in memory, however many, and nothing half-written."""

from __future__ import annotations

import shutil
from collections import namedtuple
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from scipy import stats

import probekit
from probekit.errors import CapacityError, InputError
from probekit.synthetic import stores
from probekit.synthetic.stores import write_union_of_subspaces
from probekit.synthetic.subspaces import union_of_subspaces

LAW: dict[str, Any] = {"n_channels": 20, "n_subspaces": 3, "support": 4, "common": 2, "sigma": (0.1, 0.5)}
# False alarms of a test of seeds that are fixed.
ALPHA = 1e-4


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "BLOCK", 8)


def test_the_truth_is_that_of_the_same_seed_in_memory(tmp_path: Path) -> None:
    data, truth = write_union_of_subspaces(tmp_path / "a.zarr", 3000, seed=5, **LAW)
    other = union_of_subspaces(3000, seed=5, **LAW).truth
    for name in ("support", "common", "dimension", "basis", "type"):
        xr.testing.assert_identical(truth[name].variable, other[name].variable)
    assert data["type"].values.tolist() == truth["type"].values.tolist()
    assert data["subspace"].values.tolist() == truth["subspace"].values.tolist()
    assert set(data["label"].values) == {"subspace 0", "subspace 1", "subspace 2"}


def test_images_are_of_the_law_that_is_drawn_in_memory(tmp_path: Path) -> None:
    data, truth = write_union_of_subspaces(tmp_path / "a.zarr", 3000, seed=5, **LAW)
    other = union_of_subspaces(3000, seed=5, **LAW)
    numbers = [np.bincount(one["subspace"], minlength=3) for one in (truth, other.truth)]
    assert stats.chi2_contingency(numbers).pvalue > ALPHA
    # Each channel of each noise level by itself: as many tests, of which none may alarm.
    for name in ("phi", "phi_se"):
        one, two = data[name].values.reshape(3000, -1), other.data[name].values.reshape(3000, -1)
        found = [stats.ks_2samp(a, b).pvalue for a, b in zip(one.T, two.T, strict=True)]
        assert min(found) > ALPHA / len(found)


@pytest.mark.usefixtures("small_blocks")
def test_the_first_images_are_the_same_however_many_there_are(tmp_path: Path) -> None:
    few, many = (write_union_of_subspaces(tmp_path / f"{n}.zarr", n, seed=1, **LAW).data for n in (11, 30))
    xr.testing.assert_identical(few.load(), many.isel(image=slice(11)).load())
    assert not np.array_equal(many.phi[:8], many.phi[8:16])


@pytest.mark.usefixtures("small_blocks")
def test_what_is_returned_is_what_is_opened(tmp_path: Path) -> None:
    data = write_union_of_subspaces(tmp_path / "a.zarr", 11, taps=["enc", "mid"], seed=1, **LAW).data
    opened = probekit.open(tmp_path / "a.zarr")
    xr.testing.assert_identical(opened.load(), data.load())
    assert opened["tap"].values.tolist() == ["enc"] * 10 + ["mid"] * 10
    assert opened["phi"].dtype == np.float32
    assert np.isfinite(opened["phi"]).all()


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown option": ({"channels": 5}, "no option is called channels: give some of n_channels, "),
    "no taps": ({"taps": []}, "taps=\\[\\]: give different names"),
    "taps of one name": ({"taps": ["a", "a"]}, "give different names"),
    "more taps than channels": ({"taps": list("abcdefghijklmnopqrstu")}, "20 channels are too few for 21 taps"),
    "no images": ({"n_images": 0}, "n_images=0"),
}


@pytest.mark.parametrize(("given", "says"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_written_is_refused_and_nothing_made(given: dict, says: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=says):
        write_union_of_subspaces(tmp_path / "a.zarr", **{"n_images": 11, **LAW, **given})
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_is_kept(tmp_path: Path) -> None:
    (tmp_path / "a.zarr").mkdir()
    with pytest.raises(InputError, match="exists"):
        write_union_of_subspaces(tmp_path / "a.zarr", 11, **LAW)
    assert list((tmp_path / "a.zarr").iterdir()) == []


def test_more_than_there_is_room_for_is_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # φ and its error are 11 × 2 × 20 × 2 numbers of 4 bytes.
    needed, room = 3520, namedtuple("room", "total used free")
    for free in (needed, needed - 1):
        monkeypatch.setattr(shutil, "disk_usage", lambda _, free=free: room(free, 0, free))
        if free == needed:
            write_union_of_subspaces(tmp_path / "a.zarr", 11, **LAW)
            continue
        with pytest.raises(CapacityError, match=r"takes .* and .* are free there"):
            write_union_of_subspaces(tmp_path / "new" / "b.zarr", 11, **LAW)
    assert [one.name for one in tmp_path.iterdir()] == ["a.zarr"]


@pytest.mark.usefixtures("small_blocks")
def test_a_write_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(xr.Dataset, "to_zarr", full)
    with pytest.raises(CapacityError, match="No space left"):
        write_union_of_subspaces(tmp_path / "a.zarr", 11, **LAW)
    assert list(tmp_path.iterdir()) == []
