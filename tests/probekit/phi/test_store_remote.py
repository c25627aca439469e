"""Stores in what fsspec reaches: the same files as in a folder, made, gone on with, looked through and locked."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

import probekit
from probekit.machine import storage
from probekit.machine.storage import files_below, place, put
from probekit.models.unet import UNet
from probekit.phi import store as stores
from probekit.phi.stored import check

pytest.importorskip("upath")
IMAGES = np.random.default_rng(0).random((256, 3, 8, 8), dtype=np.float32)
ASKED: dict[str, Any] = {"sigma": [0.0, 0.2], "draws": 2, "batch_size": 8}
URL = "memory://bucket/sub/phi.zarr"


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "CHUNK_BYTES", 6000)
    monkeypatch.setattr(storage, "BEAT", 0.05)
    monkeypatch.setattr(storage, "SILENCE", 0.3)


@pytest.fixture
def far() -> Iterator[Any]:
    found: Any = place("store", URL, "a place")
    yield found
    if found.fs.exists("/bucket"):
        found.fs.rm("/bucket", recursive=True)


@pytest.fixture(scope="module")
def tap() -> probekit.Tap:
    torch.manual_seed(0)
    return probekit.tap(UNet((4, 8), encoder_convs=(1,), middle_convs=1, decoder_convs=(2,)), "mid")


def sums(folder: Path) -> dict[str, str]:
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in files_below(folder) - {"lock"}}


def test_an_object_store_holds_the_files_of_a_folder(far: Any, tap: probekit.Tap, tmp_path: Path) -> None:
    here = tap(IMAGES, **ASKED, store=tmp_path / "phi.zarr")
    there = tap(IMAGES, **ASKED, store=URL)
    assert sums(far) == sums(tmp_path / "phi.zarr")
    xr.testing.assert_identical(here.load(), there.load())
    xr.testing.assert_identical(here, probekit.open(URL).load())
    assert check(URL).whole
    assert not (far / "lock").exists()


@pytest.mark.parametrize("gone", ["phi/c/3/0/0", "phi_se/c/0/0/0", "progress/done/c/7", "sha256sums.txt", "rest/c/0/0"])
def test_what_is_lost_is_made_again(far: Any, tap: probekit.Tap, gone: str) -> None:
    tap(IMAGES, **ASKED, store=URL)
    before = sums(far)
    (far / gone).unlink()
    if gone != "sha256sums.txt":
        assert not check(URL).whole
    with warnings.catch_warnings(action="ignore"):
        tap(IMAGES, **ASKED, store=URL)
    assert sums(far) == before


def test_a_damaged_chunk_is_found(far: Any, tap: probekit.Tap) -> None:
    tap(IMAGES, **ASKED, store=URL)
    before = sums(far)
    content = (far / "phi/c/2/0/0").read_bytes()
    put(far / "phi/c/2/0/0", content[:40] + bytes([content[40] ^ 1]) + content[41:])
    assert list(check(URL).damaged) == [2]
    with pytest.raises(probekit.InputError, match="checksum is another"):
        probekit.open(URL).phi.load()
    with pytest.warns(UserWarning, match="measured again"):
        tap(IMAGES, **ASKED, store=URL)
    assert sums(far) == before


def test_a_store_that_was_cut_short_as_it_was_made_is_made(far: Any, tap: probekit.Tap) -> None:
    tap(IMAGES, **ASKED, store=URL)
    before = sums(far)
    # As a process leaves it that is killed while it puts the first files there.
    for name in files_below(far) - {"image/zarr.json", "image/c/0"}:
        (far / name).unlink()
    put(far / "lock", b'{"host": "gone", "process": 7, "token": "x", "beats": 3}')
    tap(IMAGES, **ASKED, store=URL)
    assert sums(far) == before


def test_what_is_no_store_is_left_alone(far: Any, tap: probekit.Tap) -> None:
    put(far / "something.txt", b"of mine")
    with pytest.raises(probekit.InputError, match="not a store that this package wrote"):
        tap(IMAGES, **ASKED, store=URL)
    assert files_below(far) == {"something.txt"}


def test_another_plan_is_refused(far: Any, tap: probekit.Tap) -> None:
    tap(IMAGES, **ASKED, store=URL)
    before = sums(far)
    with pytest.raises(probekit.InputError, match="begun with another plan: draws"):
        tap(IMAGES, **ASKED | {"draws": 3}, store=URL)
    assert sums(far) == before


def test_a_store_that_another_process_writes_is_refused(far: Any, tap: probekit.Tap) -> None:
    tap(IMAGES, **ASKED, store=URL)
    (far / "progress/done/c/7").unlink()
    with storage.held(far / "lock"), pytest.raises(probekit.CapacityError, match="written by another process"):
        tap(IMAGES, **ASKED, store=URL)
    tap(IMAGES, **ASKED, store=URL)
    assert check(URL).whole


def test_a_store_removed_while_it_is_written_is_an_error(far: Any, tap: probekit.Tap) -> None:
    written: list[int] = []
    write = stores.Store.write

    def writes(self: stores.Store, positions: range, arrays: Any) -> None:
        written.append(positions.start)
        if len(written) == 3:
            far.fs.rm(far.path, recursive=True)
        write(self, positions, arrays)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stores.Store, "write", writes)
        with pytest.raises(probekit.CapacityError, match="was removed or replaced"):
            tap(IMAGES, **ASKED, store=URL)
    assert not files_below(far) - {"lock"}


def test_workers_write_to_an_object_store(far: Any, tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")
    tap = probekit.tap(probekit.load("photo32"), "mid")
    images = IMAGES[:64].repeat(2, axis=2).repeat(2, axis=3)
    tap(images, **ASKED, store=tmp_path / "phi.zarr")
    # fsspec's memory is that of one process, and so workers are threads of it.
    options: dict[str, Any] = {"memory_limit": 0, "dashboard_address": "127.0.0.1:0"}
    cluster = distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=False, **options)
    with cluster, distributed.Client(cluster) as client:
        tap(images, **ASKED, store=URL, client=probekit.Workers(client, threads=torch.get_num_threads()))
    assert sums(far) == sums(tmp_path / "phi.zarr")


def test_local_files_by_their_url_are_a_folder(tap: probekit.Tap, tmp_path: Path) -> None:
    tap(IMAGES, **ASKED, store=f"file://{tmp_path}/phi.zarr")
    assert check(tmp_path / "phi.zarr").whole
