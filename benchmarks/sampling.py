"""Seconds and memory of stochastic reconstruction, beside Algorithm 1 written plainly, in one run.

The same network, images, targets and noise: "plain" is Algorithm 1 as published: a whole forward pass with a hook in
every guidance step, gradients of the parameters too, the whole batch until its slowest sample stops. "algorithm1" is
the same method here; "langevin" the default method at its own 20 levels. Algorithm 1 is timed on part of its 100
levels, and its time for 100 is that times 100 over their number. Each runs in a process of its own, which tells its
peak memory.

"--precisions" has the default method in float32 and in what may be faster, interleaved in one process, on photo32 and
on the paper's UNet at 64 pixels with random weights (fewer levels): processor time, match, gradients.

Run: python benchmarks/sampling.py [--images 2] [--samples 2] [--levels 10] [--precisions]
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from typing import Any

import numpy as np
import torch

import probekit
from analyses import sampling
from probekit.images import ImageSet
from probekit.models.unet import UNet
from probekit.noise import standard_normal

PUBLISHED = 100
NAMES = ("nothing", "plain", "algorithm1", "langevin")
# What is interleaved: settings, by what they are called.
SETTINGS: dict[str, dict[str, Any]] = {
    "float32": {},
    "a tenth at all levels": {"tolerance_before": 0.1},
    "bfloat16": {"precision": "bfloat16"},
    "auto": {"precision": "auto"},
}
ROUNDS = 3
# Of a sample's draws, those that the package uses at level t begin at 64 t.
STRIDE = 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=2)
    parser.add_argument("--samples", type=int, default=2)
    parser.add_argument("--levels", type=int, default=10)
    parser.add_argument("--precisions", action="store_true")
    parser.add_argument("--worker", choices=NAMES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        print(json.dumps(measured(options.worker, options.images, options.samples, options.levels)))
        return
    if options.precisions:
        for network in ("photo32", "UNet"):
            for name, r in interleaved(network, options.images * options.samples).items():
                print(
                    f"{network:8s}  {name:22s}  {r['seconds']:7.2f} s a sample  {r['gain']:5.2f}"
                    f"  φ error {r['match']:6.2%}  {r['gradients']:5.0f} gradients  in {r['precision']}"
                )
        return
    found = apart(options.images, options.samples, options.levels)
    base = found.pop("nothing")["peak"]
    print(f"photo32, {options.images} images × {options.samples} samples, {torch.get_num_threads()} threads")
    print(
        "method      levels  seconds  s, whole schedule  plain/this  last loss    φ error  gradients  passes  peak, MiB"
    )
    whole = {
        name: r["seconds"] * (PUBLISHED / options.levels if name != "langevin" else 1) for name, r in found.items()
    }
    for name, r in found.items():
        print(
            f"{name:10s}  {r['levels']:6d}  {r['seconds']:7.1f}  {whole[name]:17.1f}"
            f"  {whole['plain'] / whole[name]:10.1f}  {r['loss']:9.2e}  {r['match']:9.1%}"
            f"  {r['gradients']:9.0f}  {r['passes']:6.0f}  {r['peak'] - base:9.0f}"
        )


def apart(images: int, samples: int, levels: int) -> dict[str, dict[str, float]]:
    """What each method takes, in a process of its own."""
    found = {}
    for name in NAMES:
        arguments = ["--images", str(images), "--samples", str(samples), "--levels", str(levels), "--worker", name]
        run = subprocess.run([sys.executable, __file__, *arguments], capture_output=True, text=True, check=True)
        found[name] = json.loads(run.stdout)
    return found


def interleaved(network: str, samples: int) -> dict[str, dict[str, Any]]:
    """Median processor seconds a sample of the default method in each setting, in turn, with other noise each round."""
    if network == "photo32":
        denoiser, size, sigmas = probekit.load("photo32"), 32, None
    else:
        torch.manual_seed(0)
        denoiser, size, sigmas = UNet(), 64, [1.0, 0.2154, 0.0464, 0.01]
    tap = probekit.tap(denoiser, "mid")
    builtin = probekit.images.load("samples", size=size)
    image = builtin.subset([next(k for k, i in enumerate(builtin.ids) if "/1x1/" in i)])
    condition = sampling.Condition.from_images(tap, image, sampling.levels() if sigmas is None else sigmas)
    made: dict[str, list[tuple[float, Any]]] = {name: [] for name in SETTINGS}
    for seed in range(ROUNDS):
        for name, settings in SETTINGS.items():
            began = time.process_time()
            one = sampling.reconstruct(
                denoiser, tap, condition, n_samples=samples, seed=seed, progress=False, **settings
            )
            made[name].append(((time.process_time() - began) / samples, one))
    seconds = {name: float(np.median([s for s, _ in runs])) for name, runs in made.items()}
    return {
        name: {
            "seconds": seconds[name],
            "gain": float(np.median([a / b for (a, _), (b, _) in zip(made["float32"], runs, strict=True)])),
            "match": float(np.median([one.match.values for _, one in runs])),
            "gradients": float(np.mean([one.guidance_steps.sum("level").mean() for _, one in runs])),
            "precision": ", ".join(dict.fromkeys(one.attrs["precision"] for _, one in runs)),
        }
        for name, runs in made.items()
    }


def rows() -> list[tuple[str, float, str]]:
    """What a page of benchmarks says of sampling: what was measured, how much, in which unit."""
    found = apart(2, 2, 10)
    whole = {name: r["seconds"] * (PUBLISHED / 10 if name != "langevin" else 1) for name, r in found.items()}
    of_unet = interleaved("UNet", 4)
    return [
        ("a sample by the default method, photo32", whole["langevin"] / 4, "s"),
        ("as fast as Algorithm 1 as published", whole["plain"] / whole["langevin"], "times"),
        ("its error of φ", 100 * found["langevin"]["match"], "%"),
        ("that of Algorithm 1 as published", 100 * found["plain"]["match"], "%"),
        ("bfloat16 as fast as float32, UNet of 13.7 million parameters", of_unet["bfloat16"]["gain"], "times"),
    ]


def measured(name: str, images: int, samples: int, levels: int) -> dict[str, float]:
    """Seconds, median loss at the last level, median relative error of φ, evaluations a sample, peak memory in MiB."""
    denoiser = probekit.load("photo32")
    builtin = probekit.images.load("samples", size=32)
    chosen = builtin.subset([builtin.ids.index(i) for i in sorted(i for i in builtin.ids if "/1x1/" in i)[:images]])
    tap = probekit.tap(denoiser, "mid")
    # The published spacing, thinned to so many levels.
    sigmas = [float(s) for s in np.linspace(1, 0.03, levels)]
    tap(chosen, sigma=sigmas[:1], draws=1)
    began = time.perf_counter()
    found: dict[str, float] = {"levels": len(sigmas), "loss": 0, "match": 0, "gradients": 0, "passes": 0}
    if name == "plain":
        found |= plain(denoiser, tap, chosen, sigmas, samples)
    elif name != "nothing":
        schedule = sigmas if name == "algorithm1" else sampling.levels()
        made = sampling.reconstruct(
            denoiser, tap, chosen, n_samples=samples, sigmas=schedule, method=name, progress=False
        )
        found |= {
            "levels": len(schedule),
            "loss": float(made.loss.isel(level=-1).median()),
            "match": float(made.match.median()),
            "gradients": float(made.guidance_steps.sum("level").mean()),
            "passes": float(made.evaluations.mean()),
        }
    found["seconds"] = time.perf_counter() - began
    found["peak"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return found


def plain(
    denoiser: probekit.Denoiser, tap: probekit.Tap, images: ImageSet, sigmas: list[float], samples: int
) -> dict[str, float]:
    """Algorithm 1 as one would write it."""
    network = denoiser.model
    kept: list[torch.Tensor] = []
    handle = network.middle.register_forward_hook(lambda _m, _i, output: kept.append(output))
    phi = torch.from_numpy(tap(images, sigma=sigmas, draws=10).phi.values)
    kept.clear()
    target = phi.repeat_interleave(samples, dim=0)
    ids = [f"{i}/{k}" for i in images.ids for k in range(samples)]
    x = torch.full((len(ids), *images.shape), 0.5)
    gradients = 0
    final = torch.zeros(len(ids))
    for t, sigma in enumerate(sigmas):
        z = standard_normal(images.shape, seed=0, ids=ids, draws=[STRIDE * t] * len(ids))
        y = (x + sigma * z).requires_grad_()
        optimiser = torch.optim.Adam([y], lr=0.01)
        first = None
        for step in range(101):
            optimiser.zero_grad()
            network(y)
            loss = (kept.pop().mean((2, 3)) - target[:, t]).square().mean(1)
            loss.sum().backward()
            gradients += 1
            final = loss.detach()
            first = final if first is None else first
            if step == 100 or bool((final <= 0.01 * first).all()):
                break
            optimiser.step()
        with torch.no_grad():
            x = network(y)
            kept.clear()
    handle.remove()
    ended = tap(x.numpy(), sigma=sigmas[-1:], draws=10).phi.values[:, 0]
    wanted = target[:, -1].numpy()
    match = np.linalg.norm(ended - wanted, axis=1) / np.linalg.norm(wanted, axis=1)
    return {
        "loss": float(final.median()),
        "match": float(np.median(match)),
        "gradients": gradients,
        "passes": gradients + len(sigmas),
    }


if __name__ == "__main__":
    main()
