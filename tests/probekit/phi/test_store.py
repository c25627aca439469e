"""A store is what the call in memory would have returned, however often its writer was killed."""

import json
import math
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
import zarr.storage
from hypothesis import given, settings
from hypothesis import strategies as st

import probekit
from probekit.errors import CapacityError, InputError
from probekit.models.unet import UNet
from probekit.phi import averages, measure, store


def small(seed: int = 0) -> UNet:
    torch.manual_seed(seed)
    return UNet((4, 8), encoder_convs=(1,), middle_convs=1, decoder_convs=(2,))


def pictures(count: int = 10) -> np.ndarray:
    return np.random.default_rng(0).random((count, 3, 8, 8), dtype=np.float32)


def contents(path: Path) -> dict[str, bytes]:
    return {str(p.relative_to(path)): p.read_bytes() for p in sorted(path.rglob("*")) if p.is_file()}


@pytest.fixture(autouse=True)
def small_units(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "CHUNK_BYTES", 400)
    monkeypatch.setattr(averages, "GROUP", 1)


@pytest.fixture(scope="module")
def writer() -> Iterator[Callable[[Path, float | None], tuple[int, float]]]:
    """Write a store in a process of its own, killed after so many seconds of work; exit status and seconds worked."""
    script = Path(__file__).with_name("store_writer.py")
    with subprocess.Popen([sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as p:
        assert p.stdin is not None
        assert p.stdout is not None

        def write(path: Path, seconds: float | None) -> tuple[int, float]:
            path.parent.mkdir(exist_ok=True)
            p.stdin.write(json.dumps([str(path), seconds]) + "\n")
            p.stdin.flush()
            status, worked = json.loads(p.stdout.readline())
            return status, worked

        yield write
        p.stdin.close()


@pytest.fixture(scope="module")
def uninterrupted(writer, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, bytes], float]:
    """The files of a store written in one go, and the seconds of work that it took."""
    folder = tmp_path_factory.mktemp("whole")
    status, worked = writer(folder / "phi.zarr", None)
    assert status == 0
    return contents(folder / "phi.zarr"), worked


# A timer of 0 seconds never rings; and at the end of the work some moments are to come too late.
MOMENTS = st.floats(0.01, 1.1)


@settings(max_examples=15)
@given(moments=st.lists(MOMENTS, min_size=1, max_size=3))
def test_a_writer_killed_at_any_moments_and_resumed_leaves_the_same_bytes(
    writer, uninterrupted, tmp_path_factory: pytest.TempPathFactory, moments: list[float]
) -> None:
    files, worked = uninterrupted
    path = tmp_path_factory.mktemp("killed") / "phi.zarr"
    for moment in moments:
        assert writer(path, moment * worked)[0] in (0, -signal.SIGPROF)
    assert writer(path, None)[0] == 0
    assert contents(path) == files


def test_writers_are_in_fact_killed_between_units(writer, uninterrupted, tmp_path: Path) -> None:
    # How far a writer comes in a share of the work differs from run to run: earlier and earlier, until one is caught.
    for share in np.linspace(0.95, 0.05, 19):
        path = tmp_path / f"{share:.2f}" / "phi.zarr"
        if writer(path, share * uninterrupted[1])[0] == -signal.SIGPROF and path.exists():
            done = zarr.open_group(path, mode="r")["progress/done"][:]
            assert len(done) == 15
            if 0 < (done != 0).sum() < 15:
                return
    pytest.fail("no writer was killed with some units done and others not")


@pytest.mark.parametrize("keep_draws", [False, True])
@pytest.mark.parametrize("labels", [None, list("aabbccddee")])
def test_a_store_holds_what_the_same_call_returns_in_memory(tmp_path: Path, keep_draws: bool, labels) -> None:
    tap, images = probekit.tap(small(), "enc1", "mid"), probekit.images.load(pictures(), labels=labels)
    options = {"sigma": [0.0, 0.3], "draws": 3, "keep_draws": keep_draws, "batch_size": 6}
    stored = tap(images, **options, store=tmp_path / "phi.zarr")
    xr.testing.assert_identical(stored.load(), tap(images, **options))
    again = probekit.open(tmp_path / "phi.zarr")
    xr.testing.assert_identical(again.load(), stored)


def test_a_store_is_read_lazily(tmp_path: Path) -> None:
    path = tmp_path / "phi.zarr"
    written = probekit.tap(small(), "mid")(pictures(), sigma=0.1, draws=1, store=path)
    opened = probekit.open(path)
    shutil.rmtree(path / "phi" / "c")
    # What is read now is read from a disk that has no numbers any more.
    for data in (written, opened):
        with pytest.raises(InputError, match=r"phi of .* cannot be read \(a chunk is missing\): `probekit check"):
            data.phi.load()
    assert opened.phi_se.isnull().all()


def test_plain_xarray_opens_a_store_without_a_warning(tmp_path: Path) -> None:
    data = probekit.tap(small(), "mid")(pictures(), sigma=0.1, draws=1, store=tmp_path / "phi.zarr")
    plain = xr.open_zarr(tmp_path / "phi.zarr", chunks=None)
    xr.testing.assert_equal(plain.drop_vars(["image", "tap"]), data.drop_vars(["image", "tap"]))
    assert plain.image.values.tolist() == data.image.values.tolist()
    assert plain.phi.dims == ("image", "sigma", "channel")


def test_a_finished_store_costs_a_look_at_four_images(tmp_path: Path) -> None:
    tap, path = probekit.tap(small(), "mid"), tmp_path / "phi.zarr"
    options = {"sigma": [0.1, 0.2], "draws": 3, "batch_size": 2}
    tap(pictures(), **options, store=path)
    before, ran = contents(path), []
    real = measure.noisy_batches

    def counted(*arguments: object, **given: object) -> Iterator[object]:
        for batch in real(*arguments, **given):  # pyright: ignore[reportArgumentType]
            ran.append(len(batch.y))
            yield batch

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measure, "noisy_batches", counted)
        tap(pictures(), **options, store=path)
    # The constant image and the first of three units, at two noise levels in three draws.
    assert sum(ran) == 4 * 2 * 3
    assert contents(path) == before


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"sigma": [0.2]}, "sigma"),
        ({"draws": 3}, "draws"),
        ({"seed": 1}, "seed"),
        ({"keep_draws": True}, "keep_draws"),
        ({"batch_size": 5}, "batch_size"),
        ({"ids": list("abcdefghij")}, "ids_sha256"),
    ],
)
def test_a_store_of_another_plan_is_refused_and_left_alone_and_the_difference_named(
    tmp_path: Path, change: dict, named: str
) -> None:
    tap, path = probekit.tap(small(), "mid"), tmp_path / "phi.zarr"
    options = {"sigma": [0.1], "draws": 2, "batch_size": 4}
    tap(pictures(), **options, store=path)
    before = contents(path)
    with pytest.raises(InputError, match=rf"begun with another plan: .*{named} \(.* there, .* now\).*resume"):
        tap(pictures(), **options | change, store=path)
    assert contents(path) == before


def test_other_weights_taps_and_reductions_are_other_plans(tmp_path: Path) -> None:
    path, options = tmp_path / "phi.zarr", {"sigma": 0.1, "draws": 1}
    probekit.tap(small(), "mid")(pictures(), **options, store=path)
    for tap, named in (
        (probekit.tap(small(1), "mid"), "weights_sha256"),
        (probekit.tap(small(), "enc1"), "taps"),
        (probekit.tap(small(), "mid", reduce="max"), "reduce"),
    ):
        with pytest.raises(InputError, match=f"{named} "):
            tap(pictures(), **options, store=path)


def test_the_batch_size_of_a_store_is_kept_when_it_is_resumed(tmp_path: Path) -> None:
    tap, path = probekit.tap(small(), "mid"), tmp_path / "phi.zarr"
    tap(pictures(), sigma=0.1, draws=2, batch_size=4, store=path)
    tap(pictures(), sigma=0.1, draws=2, store=path)
    assert store.planned(path, "batch_size") == 4


@settings(max_examples=10)
@given(st.floats(0, 1, exclude_max=True))
def test_a_write_that_fails_leaves_a_store_that_can_be_resumed(
    tmp_path_factory: pytest.TempPathFactory, share: float
) -> None:
    folder = tmp_path_factory.mktemp("full")
    tap, options = probekit.tap(small(), "mid"), {"sigma": [0.1], "draws": 2, "batch_size": 4}
    real, count, room = zarr.storage.LocalStore.set, 0, math.inf

    async def limited(self, *arguments: object, **keywords: object) -> None:
        nonlocal count
        count += 1
        if count > room:
            raise OSError(28, "No space left on device")
        await real(self, *arguments, **keywords)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(zarr.storage.LocalStore, "set", limited)
        tap(pictures(), **options, store=folder / "whole.zarr")
        count, room = 0, int(share * count)
        with pytest.raises(CapacityError, match=r"No space left.*make room and call again"):
            tap(pictures(), **options, store=folder / "phi.zarr")
    tap(pictures(), **options, store=folder / "phi.zarr")
    assert contents(folder / "phi.zarr") == contents(folder / "whole.zarr")
    assert {p.name for p in folder.iterdir()} == {"phi.zarr", "whole.zarr"}


def test_two_writers_of_one_store_are_refused(tmp_path: Path) -> None:
    tap, path = probekit.tap(small(), "mid"), tmp_path / "phi.zarr"
    tap(pictures(), sigma=0.1, draws=1, store=path)
    (path / "phi/c/0/0/0").unlink()
    with store.locked(path), pytest.raises(CapacityError, match="being written by another process"):
        tap(pictures(), sigma=0.1, draws=1, store=path)
    with pytest.warns(UserWarning, match="measured again"):
        tap(pictures(), sigma=0.1, draws=1, store=path)
    # One that is finished is only read.
    with store.locked(path):
        tap(pictures(), sigma=0.1, draws=1, store=path)


def test_an_unfinished_store_opens_with_a_warning_and_nan_where_it_lacks_units(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tap, path = probekit.tap(small(), "mid"), tmp_path / "phi.zarr"
    monkeypatch.setattr(store, "CHUNK_BYTES", 160)
    real = store.Store.write

    def twice(self: store.Store, positions: range, arrays: dict) -> None:
        if positions.start >= 4:
            raise KeyboardInterrupt
        real(self, positions, arrays)

    with monkeypatch.context() as patch:
        patch.setattr(store.Store, "write", twice)
        with pytest.raises(KeyboardInterrupt):
            tap(pictures(), sigma=0.1, draws=1, batch_size=2, store=path)
    with pytest.warns(UserWarning, match=r"unfinished: 2 of 5 units are done.*same arguments"):
        data = probekit.open(path)
    assert np.isfinite(data.phi[:4]).all()
    assert data.phi[4:].isnull().all()


@pytest.mark.parametrize("make", [lambda p: p.mkdir(), lambda p: p.write_text("mine"), lambda _: None])
def test_what_is_no_store_is_refused_and_left_alone(tmp_path: Path, make) -> None:
    path = tmp_path / "mine.zarr"
    make(path)
    with pytest.raises(InputError, match=r"mine.zarr (does not exist|cannot be read)"):
        probekit.open(path)
    if path.exists():
        before = path.read_text() if path.is_file() else list(path.iterdir())
        with pytest.raises(InputError, match="is not a store that this package wrote"):
            probekit.tap(small(), "mid")(pictures(), sigma=0.1, draws=1, store=path)
        assert (path.read_text() if path.is_file() else list(path.iterdir())) == before


def test_a_copied_store_opens_elsewhere(tmp_path: Path) -> None:
    data = probekit.tap(small(), "mid")(pictures(), sigma=0.1, draws=1, store=tmp_path / "a.zarr").load()
    shutil.copytree(tmp_path / "a.zarr", tmp_path / "b.zarr")
    xr.testing.assert_identical(probekit.open(tmp_path / "b.zarr").load(), data)
