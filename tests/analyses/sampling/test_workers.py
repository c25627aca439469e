"""Samples made by the workers of a cluster: real processes, some of which are killed."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import xarray as xr

import probekit
from analyses import sampling
from probekit.machine.modes import threaded
from tests.clusters import IMAGES, NETWORK, TOLD, environment, processes, sums

distributed = pytest.importorskip("distributed")
# Five batches, of two images each, and two samples of each of these.
FEW: dict[str, Any] = {"n_samples": 2, "sigmas": [0.5, 0.2, 0.1], "draws": 1, "batch_size": 4}
ASKED: dict[str, Any] = FEW | {"correctors": 1, "last_correctors": 1, "guidance_steps": 2, "final_draws": 1}
CONDITIONS = IMAGES[:10]
OWN = """
from analyses import sampling

@sampling.sampler("once")
def once(walk, sigmas, *, share=1.0):
    walk.enter(sigmas[0])
    return share * walk.denoise(walk.start + sigmas[0] * walk.noise(0), sigmas[0])
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    found = tmp_path_factory.mktemp("cluster")
    (found / "tripping.py").write_text(NETWORK)
    (found / "own_sampler.py").write_text(OWN)
    before = dict(os.environ)
    os.environ.update(environment(found))
    sys.path.insert(0, str(found))
    yield found
    sys.path.remove(str(found))
    for name in ("tripping", "own_sampler"):
        sys.modules.pop(name, None)
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="module")
def network(folder: Path) -> torch.nn.Module:
    assert (folder / "tripping.py").exists()
    import tripping

    return tripping.make()


@pytest.fixture(scope="module")
def client(folder: Path) -> Iterator[Any]:
    # Its workers are told by files there.
    assert os.environ[TOLD] == str(folder)
    with processes(folder, 2, nannies=True) as (address, *_), distributed.Client(address) as client:
        client.wait_for_workers(2, timeout=120)
        yield client


def sampled(network: torch.nn.Module, store: Path | None = None, **how: Any) -> xr.Dataset:
    tap = how.pop("tap", None) or probekit.tap(network, "mid")
    with threaded(1):
        return sampling.reconstruct(network, tap, CONDITIONS, store=store, **ASKED | how)


@pytest.fixture(scope="module")
def alone(network: torch.nn.Module, tmp_path_factory: pytest.TempPathFactory) -> tuple[xr.Dataset, dict[str, str]]:
    """What one process makes, and keeps."""
    path = tmp_path_factory.mktemp("alone") / "samples"
    return sampled(network, path), sums(path)


def by(client: Any, **options: Any) -> probekit.Workers:
    return probekit.Workers(client, network="tripping:make", **options)


def parts(path: Path) -> int:
    return len(list(path.glob("[0-9]*.nc")))


def whole(found: xr.Dataset, path: Path, alone: tuple[xr.Dataset, dict[str, str]]) -> None:
    xr.testing.assert_identical(found, alone[0])
    assert sums(path) == alone[1]


def test_one_worker_makes_the_samples_of_one_process(folder, network, alone, tmp_path) -> None:
    with processes(folder, 1) as (address, *_), distributed.Client(address) as client:
        client.wait_for_workers(1, timeout=60)
        found = sampled(network, tmp_path / "s", client=by(client))
    whole(found, tmp_path / "s", alone)


def test_so_do_two_and_this_process_none_of_them(client, network, alone, tmp_path, monkeypatch) -> None:
    from analyses.sampling import analyse

    def never(*_: Any) -> None:
        raise AssertionError("this process made samples itself")

    monkeypatch.setattr(analyse, "images_of", never)
    found = sampled(network, tmp_path / "s", client=by(client))
    whole(found, tmp_path / "s", alone)
    # A store that is whole needs no worker, and of a worker nothing that it could not have.
    xr.testing.assert_identical(sampled(network, tmp_path / "s", client=client), found)


@pytest.fixture
def slow(folder: Path) -> Iterator[None]:
    (folder / "slow").touch()
    yield
    (folder / "slow").unlink(missing_ok=True)


def kill_when(path: Path, done: int, pids: list[int]) -> Callable[[], int]:
    """Kill processes once so many images are done; gives how many were."""
    killed: list[int] = []

    def watch() -> None:
        for _ in range(6000):
            if parts(path) >= done:
                for pid in pids:
                    os.kill(pid, signal.SIGKILL)
                    killed.append(pid)
                return
            time.sleep(0.01)

    thread = threading.Thread(target=watch)
    thread.start()

    def count() -> int:
        thread.join()
        return len(killed)

    return count


@pytest.mark.usefixtures("slow")
def test_a_worker_killed_in_the_middle_costs_nothing_but_time(client, network, alone, tmp_path) -> None:
    killed = kill_when(tmp_path / "s", 2, list(client.run(os.getpid).values())[:1])
    found = sampled(network, tmp_path / "s", client=by(client))
    assert killed() == 1
    whole(found, tmp_path / "s", alone)


def test_a_scheduler_that_is_killed_is_told_and_the_call_made_again_goes_on(folder, network, alone, tmp_path) -> None:
    path = tmp_path / "s"
    (folder / "slow").touch()
    try:
        with processes(folder, 2) as (address, scheduler, _), distributed.Client(address) as client:
            client.wait_for_workers(2, timeout=60)
            kill_when(path, 2, [scheduler.pid])
            with pytest.raises(probekit.CapacityError, match=r"the scheduler of .* is gone"):
                sampled(network, path, client=by(client))
    finally:
        (folder / "slow").unlink()
    assert 2 <= parts(path) < 10
    # A batch of which a part was kept is made whole once more, so that none of its samples differs.
    kept = sorted(path.glob("[0-9]*.nc"))
    kept[0].unlink()
    times = {one: one.stat().st_mtime_ns for one in kept[1:]}
    with processes(folder, 1) as (address, *_), distributed.Client(address) as client:
        client.wait_for_workers(1, timeout=60)
        found = sampled(network, path, client=by(client))
    assert {one: one.stat().st_mtime_ns for one in times} == times
    whole(found, path, alone)


def test_this_process_goes_on_from_what_workers_kept_and_the_other_way_round(client, network, alone, tmp_path) -> None:
    path = tmp_path / "s"
    sampled(network, path, client=by(client))
    for gone, how in (("000003", {}), ("000007", {"client": by(client)})):
        (path / f"{gone}.nc").unlink()
        whole(sampled(network, path, **how), path, alone)


@pytest.mark.usefixtures("slow")
def test_two_calls_on_one_store_leave_what_one_leaves(client, network, alone, tmp_path) -> None:
    import tripping

    path, second = tmp_path / "s", []
    thread = threading.Thread(target=lambda: second.append(sampled(tripping.make(), path)))
    thread.start()
    found = sampled(network, path, client=by(client))
    thread.join()
    whole(found, path, alone)
    whole(second[0], path, alone)


def test_a_network_of_unknown_origin_is_refused_or_pickled_on_request(client, network, alone, tmp_path) -> None:
    with pytest.raises(probekit.InputError, match=r"module:function.*pickled=True"):
        sampled(network, tmp_path / "a", client=client)
    found = sampled(network, tmp_path / "b", client=probekit.Workers(client, pickled=True))
    whole(found, tmp_path / "b", alone)


def test_what_workers_would_sample_otherwise_is_refused_with_what_differs(client, network, tmp_path) -> None:
    with pytest.raises(probekit.InputError, match=r"weights_sha256.*as it was loaded"):
        sampled(network, tmp_path / "a", client=probekit.Workers(client, network="tripping:other"))
    tap = probekit.tap(network, "mid")
    with tap.ablate([1]), pytest.raises(probekit.InputError, match=r"modules.*edits, hooks and changes"):
        sampled(network, tmp_path / "b", client=by(client), tap=tap)
    assert not parts(tmp_path / "a") + parts(tmp_path / "b")


def test_workers_keep_samples_in_a_store_alone(client, network) -> None:
    with pytest.raises(probekit.InputError, match=r"client= needs store="):
        sampled(network, client=by(client))


def test_methods_matches_and_reductions_of_ones_own_travel_by_their_modules(client, folder, network, tmp_path) -> None:
    import own_sampler

    asked = FEW | {"method": own_sampler.once, "share": 0.5, "match": sampling.Match(channels=[0, 2])}
    tap = probekit.tap(network, "mid", reduce="energy")
    here = sampling.reconstruct(network, tap, CONDITIONS, store=tmp_path / "here", **asked)
    there = sampling.reconstruct(network, tap, CONDITIONS, store=tmp_path / "there", client=by(client), **asked)
    xr.testing.assert_allclose(here, there, rtol=1e-5)
    # Where workers cannot import it, that is said, and how to mend it.
    (folder / "own_sampler.py").rename(folder / "own_sampler.away")
    try:
        with processes(folder, 1) as (address, *_), distributed.Client(address) as fresh:
            fresh.wait_for_workers(1, timeout=60)
            with pytest.raises(probekit.InputError, match=r"own_sampler.*install the module"):
                sampling.reconstruct(network, tap, CONDITIONS, store=tmp_path / "not", client=by(fresh), **asked)
    finally:
        (folder / "own_sampler.away").rename(folder / "own_sampler.py")


def test_bundled_networks_travel_by_their_names_and_conditions_of_phi_too(client, tmp_path) -> None:
    images = IMAGES[:4].repeat(2, axis=2).repeat(2, axis=3)
    network = probekit.load("photo32")
    tap = probekit.tap(network, "mid")
    given = sampling.Condition.from_phi(tap, tap(images, sigma=0.2, draws=2), [0.3, 0.1], shape=(3, 16, 16))
    how: dict[str, Any] = {"n_samples": 1, "draws": 1, "correctors": 0, "guidance_steps": 2, "batch_size": 2}
    here = sampling.reconstruct(network, tap, given, store=tmp_path / "here", **how)
    there = sampling.reconstruct(network, tap, given, store=tmp_path / "there", client=client, **how)
    xr.testing.assert_allclose(here, there, rtol=1e-3, atol=1e-4)


def test_denormal_numbers_are_flushed_on_workers_where_they_are_here(client) -> None:
    from probekit.distribute.run import each
    from probekit.machine.modes import flushed_denormals
    from probekit.machine.progress import Bar

    workers = probekit.Workers(client)
    assert not any(found for _, found in each(workers, _Flushing(), range(3), Bar()))
    with flushed_denormals():
        assert all(found for _, found in each(workers, _Flushing(), range(3), Bar()))
    assert not any(found for _, found in each(workers, _Flushing(), range(3), Bar()))


class _Flushing:
    def ready(self) -> Callable[[int], bool]:
        from probekit.machine.modes import flushing_denormals

        return lambda _: flushing_denormals()
