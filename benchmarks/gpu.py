"""φ at the middle block on a GPU: speed, share of the arithmetic limit, what noise costs, agreement.

Prints images/s of `probekit.tap`, whose random bits the CPU makes while the GPU computes; of the same pass written
out by hand with the device's own noise; of the pass alone on images that are noisy already; and of the CPU's bits
alone. Operations are those of the network cut off after the middle block, as torch counts them, and the limit is a
large matrix product in the same precision (TF32 where convolutions use it) in the same run. Then φ on the CPU and on
the GPU are compared.

Run: python benchmarks/gpu.py [--images 4096] [--rounds 7] [--batch 512]
"""

from __future__ import annotations

import argparse
import copy
import sys
from collections.abc import Callable

import numpy as np
import torch
from by_hand import means_at_mid, phi_by_hand
from rates import device_name, flops_of, product_rate, seconds_of

import probekit
from probekit.models.unet import UNet
from probekit.noise import random_bits

SIGMA = 0.2


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=4096)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--channels", default="64,128,256,512")
    parser.add_argument("--device", default="cuda", help="cpu only to try this file out")
    options = parser.parse_args()
    device = torch.device(options.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        print("no CUDA device: there is nothing to measure here", file=sys.stderr)
        return 1
    torch.manual_seed(0)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32
    channels = [int(c) for c in options.channels.split(",")]
    scales = len(channels) - 1
    here = UNet(channels, encoder_convs=[2] * scales, decoder_convs=range(5, 5 + scales)).eval()
    here = here.to(memory_format=torch.channels_last)
    there = copy.deepcopy(here).to(device)
    x = torch.rand(options.images, 3, options.size, options.size)
    ids = [str(i) for i in range(len(x))]
    clean = x.to(device)
    tap = probekit.tap(there, "mid")
    product = product_rate(device, torch.float32, 8192 if device.type == "cuda" else 512)
    each = flops_of(lambda: means_at_mid(here, x[:1]))

    def pass_alone() -> None:
        with torch.no_grad():
            for part in clean.split(options.batch):
                means_at_mid(there, part)

    ways: dict[str, Callable[[], object]] = {
        "probekit.tap, bits of the CPU": lambda: tap(x, sigma=SIGMA, draws=1, batch_size=options.batch),
        "by hand, noise of the device": lambda: phi_by_hand(there, clean, sigma=SIGMA, batch=options.batch),
        "the pass alone": pass_alone,
        "bits of the CPU alone": lambda: random_bits(x.shape[1:], seed=0, ids=ids, draws=[0] * len(ids)),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    products = []
    for lap in range(options.rounds + 1):
        for name, way in ways.items():
            took = seconds_of(way, device)
            if lap:
                seconds[name].append(took)
        products.append(product())
    limit = float(np.median(products))
    print(
        f"UNet {options.channels.replace(',', '-')}, {len(x)} images of {options.size}×{options.size}, batch "
        f"{options.batch}, {options.rounds} rounds, {device_name(device)}, torch {torch.__version__}"
    )
    print(f"arithmetic to mid: {each / 1e9:.3g} GFLOP an image; a large product: {limit / 1e12:.3g} TFLOP/s")
    for name, took in seconds.items():
        rate = len(x) / float(np.median(took))
        share = "" if name.startswith("bits") else f", {rate * each / limit:.0%} of the product's"
        print(f"{name:>31}: {rate:9.0f} images/s{share}")

    few = x[:64]
    phi = [probekit.tap(net, "mid")(few, sigma=SIGMA, draws=2)["phi"].values for net in (here, there)]
    apart = np.linalg.norm(phi[0] - phi[1]) / np.linalg.norm(phi[0])
    print(f"CPU against {device.type}: relative difference of φ {apart:.1e}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
