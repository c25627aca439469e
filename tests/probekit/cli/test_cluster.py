"""Workers as the command line names them: started here, or of a scheduler that runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clusters import NETWORK, environment, processes, sums
from PIL import Image

from analyses.report.shell import main

pytest.importorskip("distributed")
SMALL = ("--sigma", "0.1,0.4", "--draws", "2", "--size", "8", "--crop", "8", "--batch-size", "4", "--quiet")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "tripping.py").write_text(NETWORK)
    (tmp_path / "photographs").mkdir()
    for i in range(40):
        pixels = np.random.default_rng(i).integers(0, 256, (8, 12, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "photographs" / f"{i}.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def called(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "probekit", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment(folder), check=False)


def phi(folder: Path, out: str, *options: str) -> subprocess.CompletedProcess[str]:
    return called(folder, "phi", "tripping:make", "photographs", "-o", out, *SMALL, *options)


def test_workers_of_this_machine_and_of_a_scheduler_write_what_one_process_writes(folder: Path) -> None:
    for out, options in (("one.zarr", ()), ("two.zarr", ("--workers", "2"))):
        found = phi(folder, out, *options)
        assert found.returncode == 0, found.stderr
        assert found.stdout.strip() == out
    with processes(folder, 2) as (address, *_):
        found = phi(folder, "three.zarr", "--scheduler", address)
        assert found.returncode == 0, found.stderr
    assert sums(folder / "one.zarr") == sums(folder / "two.zarr") == sums(folder / "three.zarr")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("-o", "a.zarr", "--threads", "2"), "--threads is of workers: give --workers or --scheduler"),
        (("-o", "a.zarr", "--pickled"), "--pickled is of workers: give --workers or --scheduler"),
        (("-o", "a.nc", "--workers", "2"), "--workers: workers write a .zarr store, and a.nc is none"),
        (("-o", "a.zarr", "--workers", "2", "--scheduler", "tcp://x:1"), "give one"),
        (("-o", "a.zarr", "--workers", "0"), "workers=0"),
        (("-o", "a.zarr", "--scheduler", "nonsense://x:1"), "is no address"),
        (("-o", "s3://bucket/a.nc"), "it cannot be reached"),
        (("-o", "memory://bucket/a.nc"), "is a .zarr store: give -o NAME.zarr"),
    ],
)
def test_what_cannot_be_asked_of_workers_is_one_clear_line(
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...],
    said: str,
) -> None:
    arguments = ["phi", "photo32", "photographs", *SMALL, *options]
    monkeypatch.setattr(sys, "argv", ["probekit", *arguments])
    assert main() in (1, 2)
    assert said in " ".join(capsys.readouterr().err.split())
    assert not (folder / "a.zarr").exists()


def test_without_dask_the_extra_is_named(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import probekit

    monkeypatch.setitem(sys.modules, "distributed", None)
    monkeypatch.setattr(
        sys, "argv", ["probekit", "phi", "photo32", "photographs", "-o", "a.zarr", *SMALL, "--workers", "2"]
    )
    assert main() == 1
    assert 'pip install "probekit-denoisers[distribute]"' in capsys.readouterr().err
    client: Any = object()
    with pytest.raises(probekit.InputError, match="distribute"):
        probekit.tap(probekit.load("photo32"), "mid")(folder / "photographs", sigma=0.1, store="b.zarr", client=client)
    monkeypatch.setitem(sys.modules, "upath", None)
    with pytest.raises(probekit.InputError, match="distribute"):
        probekit.open("s3://bucket/a.zarr")
