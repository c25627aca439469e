"""What is looked at when files are loaded, what when they are read, and what several threads may not change."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from probekit.errors import InputError
from probekit.images import load, reading
from probekit.images.quiet import QUIET
from tests.probekit.images.packing import folder, png, tarred, zipped

PACK: dict[str, Any] = {"folder": folder, "zip": zipped, "tar": tarred}


@pytest.fixture(params=["one thread", "several threads"])
def threads(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Files decoded in one thread, and in several however small they are."""
    before = torch.get_num_threads()
    if request.param == "several threads":
        monkeypatch.setattr(reading, "WORTH_THREADS", 0)
        monkeypatch.setattr(reading, "usable_cores", lambda: 4)
        torch.set_num_threads(4)
    yield request.param
    torch.set_num_threads(before)


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("kind", PACK)
def test_with_some_checked_a_sound_set_is_the_same_set(kind: str, tmp_path: Path) -> None:
    path = PACK[kind](tmp_path / kind, {f"{c}/{k:03}.png": png(k) for k in range(400) for c in "ab"})
    every, some = load(path), load(path, check="some")
    assert (every.ids, every.labels, every.shape) == (some.ids, some.labels, some.shape)
    assert every.fingerprint() == some.fingerprint() == every[::-1][::-1].fingerprint()
    assert torch.equal(every.read(range(800)), some.read(range(800)))
    assert every[::7].fingerprint() == some[::7].fingerprint() != every.fingerprint()


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("kind", PACK)
def test_with_some_checked_what_cannot_be_used_is_named_when_it_is_read(kind: str, tmp_path: Path) -> None:
    files = {f"{k:04}.png": png(k % 9) for k in range(1000)}
    # Between those that are looked at, every fourth.
    odd = {"0001.png": b"no image", "0005.png": png(1, 7, 8), "0009.png": png(1)[:60], "0013.png": png(3, 1, 1)}
    path = PACK[kind](tmp_path / kind, files | odd)
    images = load(path, check="some")
    assert images.read([0, 2, 4]).shape == (3, 3, 6, 8)
    why = [r"not an image that Pillow can read", "7×8 where most are 6×8", r".+", "1×1 where most are 6×8"]
    for name, said in zip(odd, why, strict=True):
        with pytest.raises(InputError, match=rf'^{name} \({said}\): cannot be used, and not all .*check="some": load'):
            images.read([0, images.ids.index(name)])
    with pytest.raises(InputError, match=r"^0013\.png \(.*\), 0001\.png \(.*\): cannot be used"):
        images.read([13, 0, 1])
    with pytest.raises(InputError, match=r"4 of 1000 files .*0001\.png \(not an image"):
        load(path)


def test_with_some_checked_a_change_is_told_from_what_could_never_be_used(tmp_path: Path) -> None:
    path = folder(tmp_path / "f", {f"{k:04}.png": png(k % 9) for k in range(600)} | {"0001.png": b"no image"})
    images = load(path, check="some")
    (path / "0003.png").write_bytes(png(50))
    with pytest.raises(InputError, match=r"^0003\.png \(its content is another\): changed in"):
        images.read([1, 3])
    with pytest.raises(InputError, match=r"^0001\.png \(not an image.*cannot be used"):
        images.read([1])


def test_with_some_checked_what_is_looked_at_is_refused_at_once(tmp_path: Path) -> None:
    files = {f"{k:04}.png": png(k % 9) for k in range(1000)}
    for name, content in (("0000.png", b"no image"), ("0999.png", png(0, 7, 8))):
        with pytest.raises(InputError, match=rf"1 of 1000 files .*{name}"):
            load(zipped(tmp_path / "z.zip", files | {name: content}), check="some")


@pytest.mark.parametrize("source", [np.zeros((2, 3, 4, 4)), "samples"])
def test_where_there_are_no_files_there_is_nothing_to_check(source: Any) -> None:
    with pytest.raises(InputError, match=r"check='some' does not apply here"):
        load(source, check="some")


def test_bad_options_of_checking_are_refused(tmp_path: Path) -> None:
    path = folder(tmp_path / "f", {"a.png": png()})
    with pytest.raises(InputError, match=r"check='none': give one of all, some"):
        load(path, check="none")  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match=r'check="some" and skip_bad=True: which files cannot be used'):
        load(path, check="some", skip_bad=True)


# Several threads


@pytest.mark.parametrize("options", [{}, {"size": 5, "crop": 4}, {"bands": 1}, {"size": 9, "bands": 1}])
def test_threads_change_no_bit_of_what_is_read(tmp_path: Path, options: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    path = zipped(tmp_path / "z.zip", {f"{k:03}.png": png(k) for k in range(60)})
    alone = load(path, **options)
    expected = alone.read(range(60))
    used: set[str] = set()
    decoded = reading.Preparation.decoded

    def noted(prepare: Any, encoded: bytes) -> np.ndarray:
        used.add(threading.current_thread().name)
        return decoded(prepare, encoded)

    monkeypatch.setattr(reading.Preparation, "decoded", noted)
    assert torch.equal(alone.read(range(60)), expected)
    assert used == {"MainThread"}
    monkeypatch.setattr(reading, "WORTH_THREADS", 0)
    monkeypatch.setattr(reading, "usable_cores", lambda: 4)
    torch.set_num_threads(4)
    try:
        for _ in range(3):
            several = load(path, **options)
            assert torch.equal(several.read(range(60)), expected)
            assert torch.equal(several.read([59, 3, 3 + 7]), expected[[59, 3, 10]])
        assert several.fingerprint() == alone.fingerprint()
    finally:
        torch.set_num_threads(1)
    assert any(name.startswith("probekit-decode") for name in used)


def test_large_files_are_decoded_in_as_many_threads_as_torch_may_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Measured: of files of less than 256×256 pixels threads gain nothing."""
    monkeypatch.setattr(reading, "usable_cores", lambda: 4)
    met = threading.Barrier(3, timeout=30)

    def work(_: int) -> str:
        # Each waits for two others, so that there are three.
        met.wait()
        return threading.current_thread().name

    large = load(folder(tmp_path / "f", {f"{k}.png": png(k, 256, 256) for k in range(3)}))._read
    small = load(folder(tmp_path / "g", {f"{k}.png": png(k, 255, 256) for k in range(3)}))._read
    assert isinstance(large, reading.FileReader)
    assert isinstance(small, reading.FileReader)
    torch.set_num_threads(3)
    try:
        names = reading.in_order(work, range(3), large.pixels)
        assert len(set(names)) == 3
        assert "MainThread" in names
        assert set(reading.in_order(lambda _: threading.current_thread().name, range(9), small.pixels)) == {
            "MainThread"
        }
    finally:
        torch.set_num_threads(1)


def test_what_threads_raise_is_raised_of_the_first_item_and_no_further_item_is_begun(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reading, "usable_cores", lambda: 4)
    begun: list[int] = []
    both = threading.Barrier(4, timeout=30)

    def work(k: int) -> int:
        begun.append(k)
        if k < 4:
            both.wait()
        raise KeyError(k)

    torch.set_num_threads(4)
    try:
        with pytest.raises(KeyError, match="0"):
            reading.in_order(work, range(1000), reading.WORTH_THREADS)
    finally:
        torch.set_num_threads(1)
    assert len(begun) < 20


@pytest.mark.usefixtures("threads")
def test_errors_of_several_files_are_told_in_the_same_order(tmp_path: Path) -> None:
    files = {f"{k:02}.png": png(k) for k in range(40)}
    path = folder(tmp_path / "f", files)
    images = load(path)
    for name in ("31.png", "04.png", "17.png", "22.png"):
        (path / name).write_bytes(b"other")
    (path / "09.png").unlink()
    with pytest.raises(InputError) as caught:
        images.read(range(39, -1, -1))
    changed = "its content is another"
    said = f"31.png ({changed}), 22.png ({changed}), 17.png ({changed}), 09.png (it is not there), 04.png ({changed})"
    assert str(caught.value).startswith(f"{said}: changed in {path} since")


# Warnings


def odd_metadata(path: Path) -> Path:
    """A picture of whose metadata Pillow warns."""
    palette = Image.new("P", (8, 6))
    palette.putpalette(bytes(range(256)) * 3)
    palette.info["transparency"] = bytes([255] * 256)
    palette.save(path, transparency=bytes([255] * 256))
    return path


@pytest.mark.usefixtures("threads")
def test_nobody_is_warned_of_what_pillow_finds_odd_and_filters_are_as_before(tmp_path: Path) -> None:
    (tmp_path / "f").mkdir()
    for k in range(8):
        odd_metadata(tmp_path / f"f/{k}.png")
    before = list(warnings.filters)
    with warnings.catch_warnings(record=True, action="always") as told:
        load(tmp_path / "f").read(range(8))
    assert not told
    assert warnings.filters == before


def test_threads_that_read_at_once_leave_the_filters_as_they_were() -> None:
    before, ready = list(warnings.filters), threading.Barrier(8)

    def read(k: int) -> None:
        ready.wait()
        for _ in range(300):
            with QUIET:
                if k % 2:
                    with QUIET:
                        warnings.warn("an oddity", stacklevel=1)
                warnings.warn("an oddity", stacklevel=1)

    running = [threading.Thread(target=read, args=(k,)) for k in range(8)]
    for one in running:
        one.start()
    for one in running:
        one.join()
    assert warnings.filters == before
    with pytest.warns(UserWarning, match="after"):
        warnings.warn("after", stacklevel=1)
