"""φ measured by the workers of a cluster: real processes, some of which are killed, hang, or have no room left."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from clusters import ASKED, CHUNK_BYTES, IMAGES, NETWORK, TOLD, environment, processes, sums

import probekit
from probekit.phi import store as stores

distributed = pytest.importorskip("distributed")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    found = tmp_path_factory.mktemp("cluster")
    (found / "tripping.py").write_text(NETWORK)
    before = dict(os.environ)
    os.environ.update(environment(found))
    sys.path.insert(0, str(found))
    yield found
    sys.path.remove(str(found))
    sys.modules.pop("tripping", None)
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(autouse=True)
def small_units(monkeypatch: pytest.MonkeyPatch) -> None:
    # Workers take the size of units from the store.
    monkeypatch.setattr(stores, "CHUNK_BYTES", CHUNK_BYTES)


@pytest.fixture(scope="module")
def network(folder: Path) -> torch.nn.Module:
    assert (folder / "tripping.py").exists()
    import tripping

    return tripping.make()


@pytest.fixture(scope="module")
def both(folder: Path) -> Iterator[Any]:
    # Its workers are told by files there.
    assert os.environ[TOLD] == str(folder)
    with processes(folder, 2, nannies=True) as (address, *_), distributed.Client(address) as client:
        yield client


@pytest.fixture
def client(both: Any) -> Any:
    """Of a cluster of two workers, those that were killed before among them."""
    both.wait_for_workers(2, timeout=120)
    return both


@pytest.fixture(scope="module")
def alone(network: torch.nn.Module, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What one process writes."""
    path = tmp_path_factory.mktemp("alone") / "phi.zarr"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stores, "CHUNK_BYTES", CHUNK_BYTES)
        before = torch.get_num_threads()
        torch.set_num_threads(1)
        probekit.tap(network, "mid")(IMAGES, **ASKED, store=path)
        torch.set_num_threads(before)
    return sums(path)


def told(folder: Path, *names: str) -> None:
    for name in ("slow", "hang", "die", "always-die", "warn"):
        (folder / name).unlink(missing_ok=True)
    for name in names:
        (folder / name).touch()


@pytest.fixture
def say(folder: Path) -> Iterator[Callable[..., None]]:
    yield lambda *names: told(folder, *names)
    told(folder)


def by(client: Any, **options: Any) -> probekit.Workers:
    return probekit.Workers(client, network="tripping:make", **options)


def units(path: Path) -> int:
    return len(list((path / "progress" / "done" / "c").glob("*")))


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_any_number_of_workers_leaves_the_bytes_of_one_process(folder, network, alone, tmp_path, workers) -> None:
    path = tmp_path / "phi.zarr"
    with processes(folder, workers) as (address, *_), distributed.Client(address) as client:
        client.wait_for_workers(workers, timeout=60)
        data = probekit.tap(network, "mid")(IMAGES, **ASKED, store=path, client=by(client))
        heard = client.run(lambda: os.getpid())
    assert len(heard) == workers
    assert units(path) == 20
    assert sums(path) == alone
    assert data.phi.shape == (640, 2, 8)


def test_a_finished_store_needs_no_worker(client, network, tmp_path, alone) -> None:
    path = tmp_path / "phi.zarr"
    tap = probekit.tap(network, "mid")
    tap(IMAGES, **ASKED, store=path, client=by(client))
    before = {p: p.stat().st_mtime_ns for p in path.rglob("*")}
    tap(IMAGES, **ASKED, store=path, client=by(client))
    assert {p: p.stat().st_mtime_ns for p in path.rglob("*")} == before
    assert sums(path) == alone


@pytest.mark.parametrize("moment", [1, 4, 9, 15])
def test_a_worker_killed_at_any_moment_costs_nothing_but_time(
    client, network, tmp_path, alone, say, moment: int
) -> None:
    path = tmp_path / "phi.zarr"
    say("slow")
    killed = _kill_when(path, moment, lambda: list(client.run(os.getpid).values())[:1])
    probekit.tap(network, "mid")(IMAGES, **ASKED, store=path, client=by(client))
    assert killed() == 1
    assert sums(path) == alone


@pytest.mark.parametrize("moment", [2, 11])
def test_all_workers_killed_at_once_are_waited_for(client, network, tmp_path, alone, say, moment: int) -> None:
    path = tmp_path / "phi.zarr"
    say("slow")
    killed = _kill_when(path, moment, lambda: list(client.run(os.getpid).values()))
    probekit.tap(network, "mid")(IMAGES, **ASKED, store=path, client=by(client))
    assert killed() == 2
    assert sums(path) == alone


def _kill_when(
    path: Path, done: int, whom: Callable[[], list[int]], by_what: signal.Signals = signal.SIGKILL
) -> Callable[[], int]:
    """Kill processes once so many units are done; gives how many were."""
    pids = whom()
    count: list[int] = []

    def watch() -> None:
        for _ in range(6000):
            if path.exists() and units(path) >= done:
                for pid in pids:
                    os.kill(pid, by_what)
                    count.append(pid)
                return
            time.sleep(0.01)

    thread = threading.Thread(target=watch)
    thread.start()

    def killed() -> int:
        thread.join()
        return len(count)

    return killed


def test_a_worker_that_dies_in_a_pass_is_replaced(client, network, tmp_path, alone, say) -> None:
    tap = probekit.tap(network, "mid")
    path = tmp_path / "phi.zarr"
    tap(IMAGES, **ASKED, store=path, client=by(client))
    _forget_half(path)
    # Not while this process looks at the first images of what is done.
    say("slow")
    threading.Timer(1.0, lambda: say("slow", "die")).start()
    with pytest.warns(UserWarning, match="measured again"):
        tap(IMAGES, **ASKED, store=path, client=by(client))
    assert sums(path) == alone


def _forget_half(path: Path) -> None:
    for k in range(5, 20):
        (path / "phi" / "c" / str(k) / "0" / "0").unlink()


def test_a_unit_that_kills_every_worker_is_an_error_that_says_so(client, network, tmp_path, say) -> None:
    path = tmp_path / "phi.zarr"
    # This process looks at two noisy images at a time, workers at eight.
    say("always-die")
    with pytest.raises(probekit.CapacityError, match="one worker after the other died"):
        probekit.tap(network, "mid")(IMAGES, **ASKED, store=path, client=by(client))
    client.wait_for_workers(2, timeout=60)


def test_a_worker_that_hangs_is_not_waited_for(folder, network, tmp_path, alone, say, caplog) -> None:
    path = tmp_path / "phi.zarr"
    with processes(folder, 2) as (address, *_), distributed.Client(address) as client:
        client.wait_for_workers(2, timeout=60)
        tap = probekit.tap(network, "mid")
        tap(IMAGES, **ASKED, store=path, client=by(client))
        _forget_half(path)
        say("slow")
        threading.Timer(1.0, lambda: say("slow", "hang")).start()
        with caplog.at_level("WARNING", "probekit"), pytest.warns(UserWarning, match="measured again"):
            tap(IMAGES, **ASKED, store=path, client=by(client, patience=3.0))
        assert "is given to another worker too" in caplog.text
    assert sums(path) == alone


@pytest.mark.parametrize("moment", [0, 6])
def test_a_worker_whose_process_is_stopped_is_not_waited_for(
    folder, network, tmp_path, alone, say, moment: int
) -> None:
    path = tmp_path / "phi.zarr"
    say("slow")
    with processes(folder, 2) as (address, _, workers), distributed.Client(address) as client:
        client.wait_for_workers(2, timeout=60)
        _kill_when(path, moment, lambda: [workers[0].pid], signal.SIGSTOP)
        probekit.tap(network, "mid")(IMAGES, **ASKED, store=path, client=by(client, patience=3.0))
    assert sums(path) == alone


def test_a_scheduler_that_is_killed_is_told_and_the_call_made_again_goes_on(
    folder, network, tmp_path, alone, say
) -> None:
    path = tmp_path / "phi.zarr"
    tap = probekit.tap(network, "mid")
    say("slow")
    with processes(folder, 2) as (address, scheduler, _), distributed.Client(address) as client:
        client.wait_for_workers(2, timeout=60)
        _kill_when(path, 3, lambda: [scheduler.pid])
        with pytest.raises(probekit.CapacityError, match=r"the scheduler of .* is gone"):
            tap(IMAGES, **ASKED, store=path, client=by(client))
    there = units(path)
    assert 3 <= there < 20
    say()
    with processes(folder, 1) as (address, *_), distributed.Client(address) as client:
        client.wait_for_workers(1, timeout=60)
        tap(IMAGES, **ASKED, store=path, client=by(client))
    assert sums(path) == alone


def _no_file_beyond(size: int) -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def test_a_worker_without_room_on_its_disk_is_given_no_more_and_others_do_its_part(
    client, network, tmp_path, alone, say
) -> None:
    path = tmp_path / "phi.zarr"
    # So that the other does not do all before this one is ready.
    say("slow")
    full = next(iter(client.nthreads()))
    client.run(_no_file_beyond, 100, workers=[full])
    try:
        with pytest.warns(RuntimeWarning, match="had no room left") as heard:
            probekit.tap(network, "mid")(IMAGES, **ASKED, store=path, client=by(client))
        assert full in str([str(one.message) for one in heard])
        assert sums(path) == alone
    finally:
        client.run(_no_file_beyond, 2**40, workers=[full])


def test_where_no_worker_has_room_the_call_ends_and_goes_on_once_there_is(client, network, tmp_path, alone) -> None:
    path = tmp_path / "phi.zarr"
    tap = probekit.tap(network, "mid")
    client.run(_no_file_beyond, 100)
    try:
        with pytest.raises(probekit.CapacityError, match="could not be written") as found:
            tap(IMAGES, **ASKED, store=path, client=by(client))
        assert "while worker tcp://" in str(found.value.__notes__)
    finally:
        client.run(_no_file_beyond, 2**40)
    tap(IMAGES, **ASKED, store=path, client=by(client))
    assert sums(path) == alone


def test_two_calls_on_one_store_are_refused(client, network, tmp_path, alone, say) -> None:
    path = tmp_path / "phi.zarr"
    say("slow")
    failed: list[BaseException] = []

    def second() -> None:
        for _ in range(6000):
            if path.exists() and units(path) >= 2:
                break
            time.sleep(0.01)
        try:
            probekit.tap(network, "mid")(IMAGES, **ASKED, store=path)
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=second)
    thread.start()
    probekit.tap(network, "mid")(IMAGES, **ASKED, store=path, client=by(client))
    thread.join()
    assert isinstance(failed[0], probekit.CapacityError)
    assert "is being written by another process" in str(failed[0])
    assert sums(path) == alone


def test_what_workers_would_measure_otherwise_is_refused_with_what_differs(client, network, tmp_path) -> None:
    tap = probekit.tap(network, "mid")
    with pytest.raises(probekit.InputError, match="weights_sha256") as found:
        tap(IMAGES, **ASKED, store=tmp_path / "a.zarr", client=probekit.Workers(client, network="tripping:other"))
    assert "A worker makes the network as it was loaded" in str(found.value)
    with tap.ablate([1]), pytest.raises(probekit.InputError, match="modules"):
        tap(IMAGES, **ASKED, store=tmp_path / "b.zarr", client=by(client))


def test_a_network_of_unknown_origin_is_refused_or_pickled_on_request(client, network, tmp_path, alone) -> None:
    tap = probekit.tap(network, "mid")
    with pytest.raises(probekit.InputError, match=r"module:function.*pickled=True"):
        tap(IMAGES, **ASKED, store=tmp_path / "a.zarr", client=client)
    tap(IMAGES, **ASKED, store=tmp_path / "b.zarr", client=probekit.Workers(client, pickled=True))
    assert sums(tmp_path / "b.zarr") == alone


def test_bundled_networks_and_files_travel_by_their_names(client, tmp_path) -> None:
    images, asked = IMAGES[:40, :, :, :].repeat(2, axis=2).repeat(2, axis=3), {"sigma": 0.2, "draws": 2}
    probekit.models.zoo.save(probekit.load("photo32"), tmp_path / "mine.safetensors")
    for name in ("photo32", tmp_path / "mine.safetensors"):
        tap = probekit.tap(probekit.load(name), "mid")
        here = tap(images, **asked, batch_size=8)
        there = tap(images, **asked, batch_size=8, store=tmp_path / f"{Path(name).stem}.zarr", client=client)
        np.testing.assert_allclose(there.phi, here.phi, rtol=1e-5, atol=1e-7)


def test_warnings_of_workers_are_heard_once(client, network, tmp_path) -> None:
    with pytest.warns(UserWarning, match=r"images of .* reach from") as heard:
        probekit.tap(network, "mid")(IMAGES * 3, **ASKED, store=tmp_path / "phi.zarr", client=by(client))
    assert len([one for one in heard if "reach from" in str(one.message)]) <= 2


def test_warnings_for_developers_stay_with_workers(client, network, say, tmp_path) -> None:
    say("warn")
    with warnings.catch_warnings(record=True) as heard:
        probekit.tap(network, "mid")(IMAGES, **ASKED, store=tmp_path / "phi.zarr", client=by(client))
    said = {(one.category, text) for one in heard if (text := str(one.message)).startswith("said by")}
    assert {category for category, text in said if text != f"said by {os.getpid()}"} == {UserWarning}


def test_images_that_workers_cannot_see_are_an_error_that_says_where(client, network, tmp_path) -> None:
    import shutil

    from PIL import Image

    for k in range(4):
        (tmp_path / "images").mkdir(exist_ok=True)
        Image.fromarray((IMAGES[k].transpose(1, 2, 0) * 255).astype(np.uint8)).save(tmp_path / "images" / f"{k}.png")
    images = probekit.images.load(tmp_path / "images")
    tap = probekit.tap(network, "mid")
    tap(images, **ASKED, store=tmp_path / "a.zarr", client=by(client))
    np.testing.assert_array_equal(
        probekit.open(tmp_path / "a.zarr").phi, tap(images, **ASKED, store=tmp_path / "b.zarr").phi
    )
    shutil.move(tmp_path / "images" / "2.png", tmp_path / "elsewhere.png")
    with pytest.raises(probekit.InputError, match=r"2\.png"):
        tap(images, **ASKED, store=tmp_path / "c.zarr", client=by(client))


def test_progress_says_how_many_images_a_second_and_how_many_workers(client, network, tmp_path, capsys) -> None:
    probekit.tap(network, "mid")(IMAGES, **ASKED, store=tmp_path / "phi.zarr", client=by(client), progress=True)
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert "1,920 img in" in last
    assert "img/s" in last
    assert "2 workers" in last


def test_workers_let_go_of_a_network_once_the_work_is_over(client, network, tmp_path) -> None:
    probekit.tap(network, "mid")(IMAGES, **ASKED, store=tmp_path / "phi.zarr", client=by(client))
    for _ in range(100):
        held = client.run(_jobs_held)
        if not any(held.values()):
            break
        time.sleep(0.1)
    assert not any(held.values()), held


def _jobs_held() -> int:
    from probekit.distribute import worker

    return len(worker._READY)


def test_workers_without_a_store_are_refused_and_so_is_what_is_no_client(client, network, tmp_path) -> None:
    tap = probekit.tap(network, "mid")
    with pytest.raises(probekit.InputError, match="client= needs store="):
        tap(IMAGES, **ASKED, client=by(client))
    for value in ("tcp://localhost:8786", client.scheduler, 2):
        with pytest.raises(probekit.InputError, match=r"give a distributed\.Client"):
            tap(IMAGES, **ASKED, store=tmp_path / "phi.zarr", client=value)
    for option, value in (("threads", 0), ("patience", -1), ("network", ""), ("pickled", "yes")):
        with pytest.raises(probekit.InputError, match=option):
            probekit.Workers(client, **{option: value})
    with pytest.raises(probekit.InputError, match="give one"):
        probekit.Workers(client, network="photo32", pickled=True)


def test_threads_are_those_asked_for(client) -> None:
    from probekit.distribute.run import each
    from probekit.machine.progress import Bar

    for threads, expected in ((None, 1), (2, 2)):
        found = dict(each(by(client, threads=threads), _Counting(), range(3), Bar()))
        assert set(found.values()) == {(expected, expected)}


class _Counting:
    def ready(self) -> Callable[[int], tuple[int, int]]:
        def count(_: int) -> tuple[int, int]:
            import torch
            from threadpoolctl import threadpool_info

            blas = [one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"]
            return torch.get_num_threads(), max(blas)

        return count
