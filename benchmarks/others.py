"""φ at the middle block through this package, TorchLens and nnsight, and a loop written by hand; one run.

Each way, as its documentation has it, gives the channel means at the middle block of the paper's UNet for the
same images and noise level. Every way runs in a process of its own, so that its peak memory is its own; the
processes take turns, so that a busy machine is busy for all. Prints images/s, the growth of peak memory over
what the process held before, and ratios of medians.

Run: pip install "probekit-denoisers[bench]"; python benchmarks/others.py [--images 32] [--batch 8] [--rounds 3]
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time

import numpy as np
import torch
from by_hand import means_at_mid
from torch import Tensor

from probekit.models.unet import UNet

SIGMA = 0.2
WAYS = ("probekit", "by hand", "nnsight", "TorchLens")


def through_nnsight(wrapped: object, y: Tensor) -> Tensor:
    with wrapped.trace(y) as tracer:  # type: ignore[attr-defined]
        means = wrapped.middle.output.mean((2, 3)).save()  # type: ignore[attr-defined]
        tracer.stop()
    return means


def measure(way: str, images: int, batch: int) -> dict[str, float]:
    """Seconds and growth of peak memory (MiB) of one way, after a warm-up on one batch."""
    torch.set_flush_denormal(True)
    torch.manual_seed(0)
    model = UNet().eval().to(memory_format=torch.channels_last)
    x = torch.rand(images, 3, 64, 64)
    if way == "probekit":
        import probekit

        tap = probekit.tap(model, "mid")
        run = lambda x: tap(x, sigma=SIGMA, draws=1, batch_size=batch).phi.values  # noqa: E731
    else:
        if way == "by hand":
            one = lambda y: means_at_mid(model, y)  # noqa: E731
        elif way == "nnsight":
            from nnsight import NNsight

            wrapped = NNsight(model)
            one = lambda y: through_nnsight(wrapped, y)  # noqa: E731
        else:
            import torchlens

            one = lambda y: torchlens.extract(model, y, ["middle"])["middle"].mean((2, 3))  # noqa: E731

        def run(x: Tensor) -> np.ndarray:
            with torch.no_grad():
                return torch.cat([one(c + SIGMA * torch.randn_like(c)) for c in x.split(batch)]).numpy()

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    run(x[:batch])
    began = time.perf_counter()
    found = run(x)
    seconds = time.perf_counter() - began
    assert found.reshape(images, -1).shape == (images, 512)
    return {"seconds": seconds, "growth": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=32)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        print(json.dumps(measure(options.way, options.images, options.batch)))
        return
    found: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    for _ in range(options.rounds):
        for way in WAYS:
            command = [sys.executable, __file__, "--way", way]
            command += ["--images", str(options.images), "--batch", str(options.batch)]
            ended = subprocess.run(command, capture_output=True, text=True, check=False)
            if ended.returncode:
                sys.exit(f"{way} failed:\n{ended.stderr}")
            found[way].append(json.loads(ended.stdout.splitlines()[-1]))
    print(
        f"UNet 64-128-256-512, {options.images} images of 64×64, batch {options.batch}, {options.rounds} rounds, "
        f"{torch.get_num_threads()} threads, torch {torch.__version__}"
    )
    mine = np.array([f["seconds"] for f in found["probekit"]])
    for way, rounds in found.items():
        seconds, growth = (np.array([f[key] for f in rounds]) for key in ("seconds", "growth"))
        print(
            f"{way:>10}: {options.images / np.median(seconds):7.1f} images/s, "
            f"peak memory + {np.median(growth):6.0f} MiB, "
            f"{np.median(seconds / mine):5.2f} × the time of probekit"
        )


if __name__ == "__main__":
    main()
