"""What the package costs over a loop written by hand, on a small network, at batch sizes from 1 to 256.

Both give φ at the middle block of a 16-32-64-128 UNet on 32×32 images: noise, forward pass as far as the
block, spatial means, mean over draws. Medians over interleaved rounds; prints the ratio for each batch size.

Run: python benchmarks/overhead.py [--images 2048] [--rounds 7]
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch
from by_hand import phi_by_hand

import probekit
from probekit.models.unet import UNet

SIGMA = 0.2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    # Enough images that what a call costs once (rest, hash) weighs as in a real run.
    parser.add_argument("--images", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    torch.set_flush_denormal(True)
    torch.manual_seed(0)
    model = UNet((16, 32, 64, 128)).eval().to(memory_format=torch.channels_last)
    tap = probekit.tap(model, "mid")
    print(f"UNet 16-32-64-128, 32×32, {torch.get_num_threads()} threads, medians of {options.rounds} rounds")
    print("batch  images  by hand, images/s  probekit, images/s  time by hand / probekit")
    for batch in (1, 4, 16, 64, 256):
        x = torch.rand(options.images, 3, 32, 32)
        seconds: dict[str, list[float]] = {"hand": [], "probekit": []}
        for lap in range(options.rounds + 1):
            for name in seconds:
                began = time.perf_counter()
                if name == "hand":
                    phi_by_hand(model, x, sigma=SIGMA, batch=batch).numpy()
                else:
                    tap(x, sigma=SIGMA, draws=1, batch_size=batch)
                if lap:
                    seconds[name].append(time.perf_counter() - began)
        hand, mine = (np.array(s) for s in seconds.values())
        rates = (len(x) / float(np.median(s)) for s in (hand, mine))
        print(
            f"{batch:5d}  {len(x):6d}  " + "  ".join(f"{r:18.0f}" for r in rates) + f"  {np.median(hand / mine):23.2f}"
        )


if __name__ == "__main__":
    main()
