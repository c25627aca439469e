"""Speed of training steps, beside two limits: a large matrix product in the same run, and the maker's arithmetic peak.

Prints images/s and TFLOP/s (medians over rounds in which steps and products alternate), their share of both limits,
and how many steps fit twenty minutes. Operations are those of convolutions, forward and backward, as torch counts
them: 25 GFLOP for a 64×64 image in the paper's network. Beside them there is the rest of a step, which takes time
but is not counted: normalisation, the optimiser, the average, noise, flips.

Run: python benchmarks/training.py                                              # one GPU: the paper's UNet
     python benchmarks/training.py --channels 8,16 --size 16 --batch-size 8     # on a CPU
     python benchmarks/training.py --channels 32,64,128,256 --size 32 --batch-size 32 --ratio [--compile]

With --ratio: images/s in float32 and in bfloat16, and their ratio, from steps that alternate in one run.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
from rates import device_name, flops_of, peak_of, product_rate, seconds_of

from probekit.denoising.denoiser import Denoiser
from probekit.machine.clock import clock
from probekit.machine.modes import flushed_denormals
from probekit.models.unet import UNet
from probekit.train import Recipe
from probekit.train.precision import FLOAT32, candidates
from probekit.train.run import Run


def unet(channels: list[int]) -> UNet:
    scales = len(channels) - 1
    return UNet(channels, encoder_convs=[2] * scales, decoder_convs=range(5, 5 + scales))


def flops_per_image(channels: list[int], size: int) -> tuple[int, int]:
    """Forward alone, and forward and backward, without the gradient of the noisy image, which no step needs."""
    model = unet(channels)
    y = torch.zeros(1, 3, size, size)
    return flops_of(lambda: model(y)), flops_of(lambda: model(y).sum().backward())


def ratio(
    channels: list[int], size: int, batch_size: int, device: torch.device, *, compile: bool, rounds: int
) -> list[tuple[str, float, str]]:
    """Rows (name, value, unit): images/s of training in each precision, and how many times those of float32 these are.

    Medians over rounds, after two that do not count, in each of which every precision makes a step; on one thread of a
    CPU by the time that the thread worked, since other programs take theirs.
    """
    data = torch.randint(0, 256, (4 * batch_size, 3, size, size), dtype=torch.uint8, device=device)
    recipe = Recipe(steps=10**6, batch_size=batch_size)
    runs = {}
    for name in (FLOAT32, *candidates(device)):
        torch.manual_seed(0)
        runs[name] = Run(Denoiser(unet(channels)), recipe, device, compile=compile, precision=name)
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    with flushed_denormals():
        for lap in range(rounds + 2):
            for name, run in runs.items():
                began = clock(device)
                run.advance(data)
                if lap >= 2:
                    seconds[name].append(clock(device) - began)
    how = " compiled" if compile else ""
    rows = [
        (f"training {name}{how}", batch_size / float(np.median(took)), "images/s") for name, took in seconds.items()
    ]
    return rows + [
        (f"{name} over {FLOAT32}{how}", rate / rows[0][1], "ratio")
        for name, (_, rate, _) in zip(list(runs)[1:], rows[1:], strict=True)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--channels", default="64,128,256,512")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--batch-size", type=int, default=512)
    parser.add_argument("--images", type=int, default=4096, help="held on the device, as random bytes")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=5, help="in each round")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--precision", choices=["auto", "float32", "tf32", "bfloat16"], default="auto")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--side", type=int, help="of the matrices; 8192 on a GPU, 1024 on a CPU by default")
    parser.add_argument("--peak", type=float, help="TFLOP/s of the device, where it is not known here")
    parser.add_argument("--ratio", action="store_true", help="only images/s in each precision, and their ratios")
    options = parser.parse_args()
    device, channels = torch.device(options.device), [int(c) for c in options.channels.split(",")]
    torch.manual_seed(0)
    torch.backends.cudnn.benchmark = True
    if options.ratio:
        sizes = channels, options.size, options.batch_size, device
        for name, value, unit in ratio(*sizes, compile=options.compile, rounds=options.rounds):
            print(f"{name}: {value:.3g} {unit}")
        return
    recipe = Recipe(steps=10**6, batch_size=options.batch_size)
    run = Run(Denoiser(unet(channels)), recipe, device, compile=options.compile, precision=options.precision)
    shape = (options.images, 3, options.size, options.size)
    data = torch.randint(0, 256, shape, dtype=torch.uint8, device=device)
    with flushed_denormals():
        run.settle(data)
    dtype = torch.bfloat16 if run.precision == "bfloat16" else torch.float32
    product = product_rate(device, dtype, options.side or (8192 if device.type == "cuda" else 1024))
    forward, both = flops_per_image(channels, options.size)

    seconds, products = [], []
    with flushed_denormals():
        for lap in range(options.rounds + 1):
            took = seconds_of(lambda: [run.advance(data) for _ in range(options.steps)], device) / options.steps
            rate = product()
            # The first round compiles, tries algorithms and fills caches.
            if lap:
                seconds.append(took)
                products.append(rate)
    step = float(np.median(seconds))
    images, done, limit = options.batch_size / step, both * options.batch_size / step, float(np.median(products))
    print(
        f"UNet {options.channels.replace(',', '-')}, {options.size}×{options.size}, batch {options.batch_size}, "
        f"{run.precision}{', compiled' if options.compile else ''}, {device_name(device)}, torch {torch.__version__}"
    )
    print(f"arithmetic: {forward / 1e9:.3g} GFLOP an image forward, {both / 1e9:.3g} forward and backward")
    print(f"a step: {1000 * step:.1f} ms (spread over rounds {100 * float(np.ptp(seconds)) / step:.0f} %)")
    print(f"training: {images:.0f} images/s, {done / 1e12:.3g} TFLOP/s")
    print(f"a large product: {limit / 1e12:.3g} TFLOP/s, {limit / both:.0f} images/s; training at {done / limit:.0%}")
    peak = options.peak or (peak_of(device) if run.precision == "bfloat16" else None)
    if peak is not None:
        ceiling = peak * 1e12
        print(f"the maker's peak: {peak:.0f} TFLOP/s, {ceiling / both:.0f} images/s; training at {done / ceiling:.0%}")
    print(f"twenty minutes: {int(1200 / step)} steps, {1200 * images / 1e6:.2f} million images")
    if device.type == "cuda":
        print(f"memory: {torch.cuda.max_memory_allocated(device) / 2**30:.1f} GiB at most")


if __name__ == "__main__":
    main()
