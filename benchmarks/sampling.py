"""Seconds and memory of stochastic reconstruction, beside Algorithm 1 written plainly, in one run.

The same network, images, targets and noise: "plain" is Algorithm 1 as published: a whole forward pass with a hook in
every guidance step, gradients of the parameters too, the whole batch until its slowest sample stops. "algorithm1" is
the same method here; "langevin" the default method at its own 20 levels. Algorithm 1 is timed on part of its 100
levels, and its time for 100 is that times 100 over their number. Each runs in a process of its own, which tells its
peak memory.

"--precisions" has the default method in float32 and in what may be faster, interleaved in one process, on photo32 and
on the paper's UNet at 64 pixels with photo32's weights repeated (fewer levels): processor time, match, gradients.

"--parts" tells what the processor time of one condition's samples goes to, on the same two networks.

"--against FOLDER" has a checkout of other code make the same samples, alternately with this one, in processes of their
own, of one thread: processor time as a ratio, and the match of each.

Run: python benchmarks/sampling.py [--images 2] [--samples 2] [--levels 10] [--precisions | --parts | --against FOLDER]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch

import probekit
from analyses import sampling
from analyses.sampling import kernels, walk
from probekit.images import ImageSet
from probekit.models.widening import widened
from probekit.noise import standard_normal

PUBLISHED = 100
NAMES = ("nothing", "plain", "algorithm1", "langevin")
# Channels of the paper's UNet.
WIDE = (64, 128, 256, 512)
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
    parser.add_argument("--parts", action="store_true")
    parser.add_argument("--against", type=Path)
    parser.add_argument("--worker", choices=NAMES, help=argparse.SUPPRESS)
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one is not None:
        print(json.dumps(one_of(options.one, options.samples)))
        return
    if options.parts:
        print_parts()
        return
    if options.against:
        print_against(options.against.resolve(), options.images, options.samples)
        return
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


def prepared(network: str) -> tuple[probekit.Denoiser, probekit.Tap, sampling.Condition]:
    """A network, its middle block, and the condition of one photograph; of the large one at four levels."""
    denoiser, size, sigmas = probekit.load("photo32"), 32, sampling.levels()
    if network == "UNet":
        denoiser, size, sigmas = widened(denoiser, WIDE), 64, [1.0, 0.2154, 0.0464, 0.01]
    tap = probekit.tap(denoiser, "mid")
    return denoiser, tap, sampling.Condition.from_images(tap, photographs(1, size), sigmas)


def photographs(count: int, size: int) -> ImageSet:
    """The first of the built-in ones."""
    builtin = probekit.images.load("samples", size=size)
    return builtin.subset([builtin.ids.index(i) for i in sorted(i for i in builtin.ids if "/1x1/" in i)[:count]])


def parts_of(network: str, samples: int) -> tuple[dict[str, float], float]:
    """Shares of processor time that one condition's samples take, by what it goes to, and all of it in seconds."""
    denoiser, tap, condition = prepared(network)
    spent: defaultdict[str, float] = defaultdict(float)

    def timed(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            began, before = time.process_time(), sum(spent.values())
            try:
                return function(*given, **named)
            finally:
                # What is timed inside is not counted twice.
                spent[name] += time.process_time() - began - (sum(spent.values()) - before)

        return call

    places: dict[str, tuple[Any, str]] = {
        "forward to the tap": (sampling.Walk, "features"),
        "clean estimates": (sampling.Walk, "estimated"),
        "backward": (torch.autograd, "grad"),
        "noise": (walk, "standard_normal"),
        "curvature": (kernels.Secants, "preconditioned"),
    }
    sampling.reconstruct(denoiser, tap, condition, n_samples=samples, seed=1, correctors=0, progress=False)
    with ExitStack() as stack:
        for name, (owner, place) in places.items():
            stack.enter_context(mock.patch.object(owner, place, timed(name, getattr(owner, place))))
        began = time.process_time()
        sampling.reconstruct(denoiser, tap, condition, n_samples=samples, progress=False)
        whole = time.process_time() - began
    shares = {name: spent[name] / whole for name in places}
    return shares | {"the rest": 1 - sum(shares.values())}, whole


def print_parts() -> None:
    for network, samples in (("photo32", 8), ("UNet", 4)):
        shares, seconds = parts_of(network, samples)
        said = ", ".join(f"{name} {share:.0%}" for name, share in shares.items())
        print(f"{network}, {samples} samples, {seconds:.1f} s: {said}")


def print_against(other: Path, conditions: int, samples: int) -> None:
    """Ratios of processor time and matches of the code in another folder and of this, condition by condition."""
    own = Path(__file__).resolve().parents[1]
    ratios, matches = [], {other: [], own: []}
    for k in range(conditions):
        seconds = {}
        for folder in (other, own):
            run = subprocess.run(
                [sys.executable, __file__, "--one", str(k), "--samples", str(samples)],
                env={**os.environ, "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"},
                capture_output=True,
                text=True,
                check=True,
            )
            found = json.loads(run.stdout)
            seconds[folder] = found["seconds"]
            matches[folder].append(found["match"])
        ratios.append(seconds[other] / seconds[own])
        print(f"condition {k}: {seconds[other]:.2f} s, here {seconds[own]:.2f} s, {ratios[-1]:.2f} times as fast")
    print(f"median of {conditions}: {np.median(ratios):.2f}, from {min(ratios):.2f} to {max(ratios):.2f}")
    for name, folder in (("other", other), ("here", own)):
        medians = np.median(matches[folder], axis=1)
        print(f"{name}: φ error {np.median(medians):.2%} (median), {np.max(matches[folder]):.2%} (worst)")


def one_of(k: int, samples: int) -> dict[str, Any]:
    """Processor seconds of one condition's samples on photo32, once everything is loaded, and the match of each."""
    denoiser = probekit.load("photo32")
    tap = probekit.tap(denoiser, "mid")
    condition = sampling.Condition.from_images(tap, photographs(k + 1, 32).subset([k]), sampling.levels())
    began = time.process_time()
    made = sampling.reconstruct(denoiser, tap, condition, n_samples=samples, progress=False)
    return {"seconds": time.process_time() - began, "match": made.match.values[0].tolist()}


def interleaved(network: str, samples: int) -> dict[str, dict[str, Any]]:
    """Median processor seconds a sample of the default method in each setting, in turn, with other noise each round."""
    denoiser, tap, condition = prepared(network)
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


def measured(name: str, images: int, samples: int, levels: int) -> dict[str, float]:
    """Seconds, median loss at the last level, median relative error of φ, evaluations a sample, peak memory in MiB."""
    denoiser = probekit.load("photo32")
    chosen = photographs(images, 32)
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
    network: Any = denoiser.model
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
