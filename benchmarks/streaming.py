"""Peak memory while φ streams to a store: 20,000 images against 2,000, each in a process of its own.

Run: python benchmarks/streaming.py [--few 2000] [--many 20000]
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from torch.utils.data import Dataset

import probekit
from probekit.models.unet import UNet


class Noise(Dataset[torch.Tensor]):
    """Images made when asked for, so that the set itself takes no memory."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(index))


def stream(count: int) -> None:
    """φ of so many images into a store; prints peak memory in MiB and seconds."""
    torch.manual_seed(0)
    tap = probekit.tap(UNet((8, 16, 32, 64)), "mid")
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        tap(Noise(count), sigma=[0.1, 0.5], draws=1, store=Path(folder) / "phi.zarr")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(peak, time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--few", type=int, default=2000)
    parser.add_argument("--many", type=int, default=20000)
    parser.add_argument("--stream", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.stream:
        stream(options.stream)
        return
    peaks = []
    for count in (options.few, options.many):
        command = [sys.executable, __file__, "--stream", str(count)]
        ended = subprocess.run(command, capture_output=True, text=True, check=True)
        peak, seconds = map(float, ended.stdout.split())
        peaks.append(peak)
        print(f"{count:6d} images: peak memory {peak:.0f} MiB, {count / seconds:.0f} images/s")
    print(f"ratio of peaks: {peaks[1] / peaks[0]:.3f}")


if __name__ == "__main__":
    main()
