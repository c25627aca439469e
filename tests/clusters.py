"""A network that workers can be made to trip over, and clusters of real processes."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

Process = subprocess.Popen[bytes]
TESTS = Path(__file__).parent
# What a worker's process is told by files in this folder, at its next pass.
TOLD = "PROBEKIT_TOLD"
NETWORK = """
import os, signal, time, warnings
from pathlib import Path
from typing import Any

import torch

from probekit.models.unet import UNet

FOLDER = Path(os.environ.get("PROBEKIT_TOLD", "/nonexistent"))


class Tripping(UNet):
    def forward(self, y):
        if (FOLDER / "slow").exists():
            time.sleep(0.02)
        if (FOLDER / "warn").exists():
            warnings.simplefilter("always")
            for category in (UserWarning, DeprecationWarning, ResourceWarning):
                warnings.warn(f"said by {os.getpid()}", category)
        for name in ("hang", "die"):
            try:
                (FOLDER / name).unlink()
            except OSError:
                continue
            if name == "die":
                os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(600)
        if (FOLDER / "always-die").exists() and y.shape[0] > 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().forward(y)


def make():
    torch.manual_seed(0)
    return Tripping((4, 8), encoder_convs=(1,), middle_convs=1, decoder_convs=(2,))


def other():
    torch.manual_seed(1)
    return Tripping((4, 8), encoder_convs=(1,), middle_convs=1, decoder_convs=(2,))
"""
IMAGES = np.random.default_rng(0).random((640, 3, 8, 8), dtype=np.float32)
# 20 units of 32 images each, with the size of chunks that tests set.
ASKED = {"sigma": [0.0, 0.2], "draws": 2, "batch_size": 8}
CHUNK_BYTES = 6000


def sums(folder: Path) -> dict[str, str]:
    """SHA-256 of every file of a store but its lock."""
    files = [p for p in sorted(folder.rglob("*")) if p.is_file() and p.name != "lock"]
    return {p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def environment(folder: Path) -> dict[str, str]:
    """Of processes that import this checkout, and modules of a folder."""
    path = os.pathsep.join([str(folder), str(TESTS), str(TESTS.parent), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", TOLD: str(folder)}


@contextmanager
def processes(
    folder: Path, workers: int, *, nannies: bool = False
) -> Iterator[tuple[str, subprocess.Popen[bytes], list[subprocess.Popen[bytes]]]]:
    """A scheduler and workers as a person starts them in a shell; gives the address, and all processes.

    With `nannies` each worker has one, which starts another where it is killed.
    """
    began: list[Process] = []
    quiet: Any = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "env": environment(folder), "cwd": folder}
    # Children end with them.
    quiet["start_new_session"] = True
    file = folder / f"scheduler-{os.getpid()}-{time.monotonic_ns()}.json"
    program = [sys.executable, "-m", "dask"]
    try:
        began.append(
            subprocess.Popen(
                [*program, "scheduler", "--port", "0", "--no-dashboard", "--scheduler-file", file], **quiet
            )
        )
        for _ in range(workers):
            options = ["--nthreads", "1", "--no-dashboard", "--memory-limit", "0"]
            options += [] if nannies else ["--no-nanny"]
            began.append(subprocess.Popen([*program, "worker", "--scheduler-file", str(file), *options], **quiet))
        address = ""
        for _ in range(600):
            with suppress(OSError, ValueError):
                address = json.loads(file.read_text())["address"]
                break
            time.sleep(0.1)
        assert address, "no scheduler has started within a minute"
        yield address, began[0], began[1:]
    finally:
        for process in began:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        for process in began:
            process.wait()
