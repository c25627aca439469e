"""Speed of φ at the middle block, against the two things one would write by hand; one run, side by side.

(a) the whole forward pass with a plain forward hook; (b) a forward pass written out as far as the middle
block. All three make their noise, in evaluation mode without gradients, on the same UNet and images.
Prints images/s and the ratios, medians over interleaved rounds.

Run: python benchmarks/phi_at_mid.py [--images 256] [--rounds 5] [--batch 8]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch
from by_hand import phi_by_hand
from torch import Tensor

import probekit
from probekit.models.unet import UNet

SIGMA = 0.2


def with_a_plain_hook(model: UNet, x: Tensor, batch: int) -> Tensor:
    kept: list[Tensor] = []
    handle = model.middle.register_forward_hook(lambda _m, _i, a: kept.append(a.mean((2, 3))))
    with torch.no_grad():
        for clean in x.split(batch):
            model(clean + SIGMA * torch.randn_like(clean))
    handle.remove()
    return torch.cat(kept)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=8)
    options = parser.parse_args()
    torch.set_flush_denormal(True)
    torch.manual_seed(0)
    model = UNet().eval().to(memory_format=torch.channels_last)
    x = torch.rand(options.images, 3, 64, 64)
    tap = probekit.tap(model, "mid")
    ways: dict[str, Callable[[], object]] = {
        "probekit.tap": lambda: tap(x, sigma=SIGMA, draws=1, batch_size=options.batch),
        "(a) whole pass with a hook": lambda: with_a_plain_hook(model, x, options.batch),
        "(b) written out to mid": lambda: phi_by_hand(model, x, sigma=SIGMA, batch=options.batch),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for way in ways.values():
        way()
    for _ in range(options.rounds):
        for name, way in ways.items():
            began = time.perf_counter()
            way()
            seconds[name].append(time.perf_counter() - began)
    print(
        f"UNet 64-128-256-512, {options.images} images of 64×64, batch {options.batch}, {options.rounds} rounds, "
        f"{torch.get_num_threads()} threads, torch {torch.__version__}"
    )
    medians = {name: float(np.median(s)) for name, s in seconds.items()}
    for name, median in medians.items():
        spread = np.ptp(seconds[name]) / median
        print(f"{name:>28}: {options.images / median:7.1f} images/s (spread over rounds {100 * spread:.0f} %)")
    mine = np.array(seconds["probekit.tap"])
    for name in list(ways)[1:]:
        ratio = np.median(np.array(seconds[name]) / mine)
        print(f"probekit.tap is {ratio:.2f} × as fast as {name}")


if __name__ == "__main__":
    main()
