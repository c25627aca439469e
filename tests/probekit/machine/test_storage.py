"""Places that fsspec reaches: what is written whole, what can be made only once, and who holds a lock."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from probekit.errors import CapacityError, InputError
from probekit.machine import storage
from probekit.machine.storage import files_below, held, is_remote, place, put

upath = pytest.importorskip("upath")


@pytest.fixture
def far() -> Iterator[Path]:
    found = place("store", "memory://bucket/things", "a place")
    yield found
    found.fs.rm("/bucket", recursive=True) if found.fs.exists("/bucket") else None


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "BEAT", 0.05)
    monkeypatch.setattr(storage, "SILENCE", 0.5)


def test_text_with_a_scheme_is_far_away_and_files_are_paths(tmp_path: Path) -> None:
    assert is_remote(place("store", "memory://a/b.zarr", ""))
    assert is_remote(place("store", upath.UPath("memory://a/b.zarr"), ""))
    for here in (tmp_path / "x", str(tmp_path / "x"), f"file://{tmp_path}/x", upath.UPath(tmp_path / "x")):
        found = place("store", here, "")
        assert not is_remote(found)
        assert isinstance(found, Path)
        assert str(found) == str(tmp_path / "x")


@pytest.mark.parametrize("value", ["nope://a", 3, None, "", b"memory://a"])
def test_what_is_no_place_is_refused(value: object) -> None:
    with pytest.raises(InputError, match="store="):
        place("store", value, "the path of a folder")


def test_what_must_not_be_there_is_made_once(far: Path) -> None:
    put(far / "a", b"1", exclusive=True)
    with pytest.raises(FileExistsError):
        put(far / "a", b"2", exclusive=True)
    put(far / "b" / "c", b"3")
    assert (far / "a").read_bytes() == b"1"
    assert files_below(far) == {"a", "b/c"}


def test_of_many_that_want_a_lock_one_gets_it(far: Path) -> None:
    got, refused, go = [], [], threading.Event()

    def want() -> None:
        go.wait()
        try:
            with held(far / "lock"):
                got.append(1)
                time.sleep(1.5)
        except CapacityError as error:
            refused.append(str(error))

    threads = [threading.Thread(target=want) for _ in range(6)]
    for thread in threads:
        thread.start()
    go.set()
    for thread in threads:
        thread.join()
    assert len(got) == 1
    assert len(refused) == 5
    assert "is being written by another process" in refused[0]
    assert not (far / "lock").exists()


def test_a_lock_whose_holder_was_killed_is_taken_over_by_one(far: Path) -> None:
    put(far / "lock", b'{"host": "gone", "process": 7, "token": "x", "beats": 3}')
    got, refused = [], []

    def want() -> None:
        try:
            with held(far / "lock"):
                got.append(1)
                time.sleep(1.5)
        except CapacityError:
            refused.append(1)

    threads = [threading.Thread(target=want) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 1
    assert len(refused) == 3


def test_a_lock_that_another_took_over_is_not_released(far: Path) -> None:
    with held(far / "lock"):
        put(far / "lock", b"another's")
        time.sleep(0.3)
    assert (far / "lock").read_bytes() == b"another's"
