"""φ by workers of a cluster: images a second by one and two of them, what the scheduler costs, and a million images.

The million is measured by a network that costs next to nothing, so that what is left is the plan, the store and the
scheduler: real ones. A scheduler and workers are started as a person starts them in a shell.

Run: python benchmarks/distribute.py [--images 1000000] [--only scaling|overhead|million]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from distributed import Client
from torch import nn

import probekit
from probekit.phi.stored import check

HERE = Path(__file__).parent
ROUNDS = 3
OPTIONS = {"sigma": 0.2, "draws": 4}


class Nothing(nn.Module):
    """A network whose middle block is eight multiples of the image."""

    tap_aliases = {"mid": "mid"}  # noqa: RUF012  as networks declare them
    image_channels = 1

    def __init__(self) -> None:
        super().__init__()
        self.mid = nn.Conv2d(1, 8, 1)

    def forward(self, y: torch.Tensor) -> torch.Tensor:
        return self.mid(y)[:, :1]


def nothing() -> nn.Module:
    torch.manual_seed(0)
    return Nothing().requires_grad_(False)


@contextmanager
def cluster(workers: int) -> Iterator[tuple[Client, int]]:
    """A client, and the number of the scheduler's process."""
    began = []
    with TemporaryDirectory() as folder:
        file = f"{folder}/scheduler.json"
        path = os.pathsep.join([str(HERE), str(HERE.parent), os.environ.get("PYTHONPATH", "")])
        env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path}
        quiet: Any = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "env": env}
        program = [sys.executable, "-m", "dask"]
        try:
            options = ["--port", "0", "--no-dashboard", "--scheduler-file", file]
            began.append(subprocess.Popen([*program, "scheduler", *options], **quiet))
            options = ["--nthreads", "1", "--no-dashboard", "--memory-limit", "0", "--scheduler-file", file]
            began += [subprocess.Popen([*program, "worker", *options], **quiet) for _ in range(workers)]
            while not Path(file).exists() or not Path(file).read_text().endswith("}"):
                time.sleep(0.1)
            address = json.loads(Path(file).read_text())["address"]
            with Client(address) as client:
                client.wait_for_workers(workers, timeout=120)
                yield client, began[0].pid
        finally:
            for process in began:
                process.terminate()
            for process in began:
                process.wait()


def scaling(images: int = 12_288) -> None:
    """Images a second by one process of one thread, by one and two workers of one, and by two processes apart.

    The last, which nothing connects, is what two of them reach on this machine: its cores may share caches and units.
    """
    torch.set_num_threads(1)
    tap = probekit.tap(probekit.load("photo32"), "mid")
    source = pictures(images)
    seconds: dict[str, list[float]] = {"one process": [], "1 worker": [], "2 workers": [], "2 processes apart": []}
    with TemporaryDirectory() as folder, cluster(1) as (one, _), cluster(2) as (two, _), apart(images // 2) as pair:
        path = Path(folder) / "phi.zarr"
        clients = {"one process": None, "1 worker": one, "2 workers": two}
        for lap in range(ROUNDS + 1):
            for name, found in seconds.items():
                shutil.rmtree(path, ignore_errors=True)
                began = time.perf_counter()
                if name in clients:
                    tap(source, **OPTIONS, store=path, client=clients[name], progress=False)
                else:
                    pair()
                if lap:
                    found.append(time.perf_counter() - began)
    base = float(np.median(seconds["1 worker"]))
    for name, found in seconds.items():
        middle = float(np.median(found))
        print(
            f"photo32, {images} images, 4 draws: {name:17s} {4 * images / middle:8.0f} noisy images/s, "
            f"{base / middle:.2f} × one worker ({min(found):.1f} to {max(found):.1f} s)"
        )


def pictures(count: int) -> np.ndarray:
    return np.random.default_rng(0).random((count, 3, 32, 32), dtype=np.float32)


@contextmanager
def apart(images: int) -> Iterator[Callable[[], None]]:
    """A function that has two processes, which know nothing of each other, measure so many images each."""
    began = [
        subprocess.Popen(
            [sys.executable, __file__, "--half", str(images)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        for _ in range(2)
    ]

    def run() -> None:
        for process in began:
            print("go", file=process.stdin, flush=True)
        for process in began:
            assert process.stdout is not None
            process.stdout.readline()

    try:
        yield run
    finally:
        for process in began:
            process.communicate()


def half(images: int) -> None:
    """Measure so many images, as often as a line is read, and say when that is done."""
    torch.set_num_threads(1)
    tap, source = probekit.tap(probekit.load("photo32"), "mid"), pictures(images)
    for _ in sys.stdin:
        with TemporaryDirectory() as folder:
            tap(source, **OPTIONS, store=Path(folder) / "phi.zarr", progress=False)
        print("done", flush=True)


def overhead(images: int = 100_000) -> None:
    """What a unit costs beyond its measurement: by a worker, over the same by one process."""
    torch.set_num_threads(1)
    tap = probekit.tap(nothing(), "mid")
    source = np.zeros((images, 1, 4, 4), np.float32)
    found: dict[str, list[float]] = {"one process": [], "1 worker": []}
    with TemporaryDirectory() as folder, cluster(1) as (client, _):
        workers = probekit.Workers(client, network="distribute:nothing")
        for lap in range(ROUNDS + 1):
            for name, crew in zip(found, (None, workers), strict=True):
                path = Path(folder) / "phi.zarr"
                shutil.rmtree(path, ignore_errors=True)
                began = time.perf_counter()
                tap(source, sigma=0.2, draws=1, batch_size=128, store=path, client=crew, progress=False)
                if lap:
                    found[name].append(time.perf_counter() - began)
        units = check(path).units
    alone, by_worker = (float(np.median(seconds)) for seconds in found.values())
    print(
        f"{units} units of a network that costs nothing: {1000 * alone / units:.1f} ms a unit by one process, "
        f"{1000 * by_worker / units:.1f} by one worker: {1000 * (by_worker - alone) / units:+.1f} ms for the scheduler"
    )


def million(images: int) -> None:
    """The plan, store and scheduler of so many images: wall time, memory, opening, deciding what is left."""
    with TemporaryDirectory() as folder, cluster(2) as (client, scheduler):
        file, path = Path(folder) / "images.npy", Path(folder) / "phi.zarr"
        np.lib.format.open_memmap(file, "w+", np.uint8, (images, 1, 4, 4)).flush()
        tap = probekit.tap(nothing(), "mid")
        workers = probekit.Workers(client, network="distribute:nothing")
        began = time.perf_counter()
        source = probekit.images.load(np.load(file, mmap_mode="r"))
        print(f"{images:,} images are a set after {time.perf_counter() - began:.1f} s")
        memory: list[tuple[float, int, int]] = []
        over = threading.Event()

        def watch() -> None:
            while not over.wait(1.0):
                memory.append((time.perf_counter() - began, rss(os.getpid()), rss(scheduler)))

        watching = threading.Thread(target=watch)
        watching.start()
        asked: Any = {"sigma": 0.2, "draws": 10, "batch_size": 4096, "store": path, "client": workers}
        tap(source, **asked)
        over.set()
        watching.join()
        took = time.perf_counter() - began
        units = len(list((path / "progress" / "done" / "c").iterdir()))
        size = sum(p.stat().st_size for p in path.rglob("*") if p.is_file())
        print(
            f"{units} units by 2 workers in {took:.0f} s: {images / took:.0f} images/s; {size / 2**20:.0f} MiB on disk"
        )
        for name, column in (("client", 1), ("scheduler", 2)):
            kept = [row[column] / 2**20 for row in memory]
            early, late = kept[len(kept) // 5], kept[-1]
            print(f"memory of the {name}: {early:.0f} MiB after a fifth of the time, {late:.0f} at the end")
        timed("opened", path, "probekit.open(path)")
        (path / "progress" / "done" / "c" / str(units // 2)).unlink()
        began = time.perf_counter()
        tap(source, **asked)
        print(f"gone on with, one unit of {units} missing: {time.perf_counter() - began:.1f} s in all")


def timed(what: str, path: Path, code: str) -> None:
    """Seconds that a line takes in a process of its own, in which the package and xarray are loaded already."""
    program = (
        "import sys, time, probekit, xarray, zarr\nfrom pathlib import Path\n"
        f"import probekit.phi.stored\npath = Path(sys.argv[1])\nbegan = time.perf_counter()\n{code}\n"
        "print(time.perf_counter() - began)"
    )
    env = {**os.environ, "PYTHONPATH": f"{HERE.parent}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    found = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True, check=True, env=env)
    print(f"{what}: {float(found.stdout):.2f} s")


def rss(process: int) -> int:
    """Bytes of memory that a process holds; 0 of one that has ended."""
    with suppress(OSError):
        for line in Path(f"/proc/{process}/status").read_text().splitlines():
            if line.startswith("VmRSS"):
                return int(line.split()[1]) * 1024
    return 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=1_000_000)
    parser.add_argument("--only", choices=("scaling", "overhead", "million"))
    # Of the process itself, as `scaling` starts it.
    parser.add_argument("--half", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.half:
        half(given.half)
        return
    for name, part in {"scaling": scaling, "overhead": overhead, "million": lambda: million(given.images)}.items():
        if given.only in (None, name):
            part()


if __name__ == "__main__":
    main()
