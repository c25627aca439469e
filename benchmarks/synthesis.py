"""Texture synthesis: how many statistics of a photograph samples have that are made from φ of one patch of it.

Photographs are cut into 16 patches. φ of one is the condition; samples are of its size by several methods and by
the untrained network, and by the default method also twice as large. Statistics are those of `texture_statistics`,
whose spread comes from the other patches of each photograph, but for two, which are judged like samples ("patches").
The statistics of larger samples are means over their tiles. Needs plenoptic, `pip install plenoptic`.

Run: python benchmarks/synthesis.py [--textures unseen.zip] [--network photo32] [--size 32] [-o synthesis/]
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from texture_statistics import texture_statistics

import probekit
from analyses import sampling
from analyses.ground import picture, saved
from probekit.errors import InputError
from probekit.images import ImageSet
from probekit.models import zoo

ACROSS = 4
BUILT_IN = ("brick", "grass", "gravel")
HELD_OUT = 2
LEAST_CONTRAST = 0.02
# Names in the table: method, whether the network is trained, and how many times the side of a patch samples are.
ROWS = {
    "langevin": ("langevin", True, 1),
    "langevin, larger": ("langevin", True, 2),
    "unconditional": ("unconditional", True, 1),
    "guidance alone": ("guidance", True, 1),
    "langevin, untrained": ("langevin", False, 1),
    "guidance alone, untrained": ("guidance", False, 1),
}


def main() -> None:
    parser = arguments(__doc__, network="photo32", size=32, out="synthesis")
    parser.add_argument("--rows", nargs="*", default=list(ROWS), choices=list(ROWS))
    options = parser.parse_args()
    given, further, reference = patches(options.textures, options.size, options.photographs, options.seed)
    trained = probekit.load(options.network)
    untrained = zoo.untrained(trained, seed=options.seed)
    made = {}
    print(f"{options.network}, {len(given)} photographs, patches of {options.size}, {options.samples} samples of each")
    print("samples                     matched  own    other  nearest  error of φ  seconds")
    shown("patches", further, reference, "")
    others = further.assign_coords(label=("image", np.roll(further["label"].values, 1)))
    shown("patches of others", others, reference, "")
    for name in options.rows:
        method, is_trained, times = ROWS[name]
        network = trained if is_trained else untrained
        began = time.perf_counter()
        made[name] = sampling.reconstruct(
            network,
            probekit.tap(network, options.tap),
            given,
            n_samples=options.samples,
            size=times * options.size,
            sigmas=list(np.geomspace(1, 0.01, options.levels)),
            method=method,
            seed=options.seed,
            progress=False,
        )
        seconds = time.perf_counter() - began
        shown(name, made[name], reference, f"{float(made[name].match.median()):10.1%}  {seconds:7.1f}")
    if made:
        print(*saved(options.out, ("synthesis", drawn(given, made))))


def arguments(said: str | None, *, network: str, size: int, out: str) -> argparse.ArgumentParser:
    """The options of samples made from φ of patches of photographs."""
    parser = argparse.ArgumentParser(description=said, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--textures", default="samples", help="images, one photograph a texture; by default built-in")
    parser.add_argument("--network", default=network, help="name of a network, or a file of its weights")
    parser.add_argument("--tap", default="mid")
    parser.add_argument("--size", type=int, default=size, help="side of a patch; a photograph is cut into 4 × 4")
    parser.add_argument("--photographs", type=int, default=4)
    parser.add_argument("--samples", type=int, default=2)
    parser.add_argument("--levels", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--out", type=Path, default=Path(out))
    return parser


def patches(textures: str, size: int, count: int, seed: int) -> tuple[ImageSet, xr.Dataset, ImageSet]:
    """A condition of each photograph, two further patches of it as if they were samples, and the others."""
    names, cut = built_in(size, count) if textures == "samples" else photographs(textures, size, count, seed)
    # One in the middle is the condition.
    middle = ACROSS**2 // 2 + 1
    rest = np.random.default_rng(seed).permutation(np.delete(np.arange(ACROSS**2), middle))
    further = xr.Dataset(
        {"samples": (("image", "sample", "band", "row", "col"), cut[:, rest[:HELD_OUT]])},
        coords={"image": np.array(names, dtype=object), "label": ("image", np.array(names, dtype=object))},
    )
    kept = rest[HELD_OUT:]
    reference = probekit.images.load(
        cut[:, kept].reshape(-1, 3, size, size),
        ids=[f"{name}#{k}" for name in names for k in kept],
        labels=[name for name in names for _ in kept],
    )
    return probekit.images.load(cut[:, middle], ids=names, labels=names), further, reference


def built_in(size: int, count: int) -> tuple[list[str], np.ndarray]:
    """Names and patches (photograph, patch, band, row, col) of built-in photographs, textures first."""
    loaded = probekit.images.load("samples", size=size)
    every = dict.fromkeys(map(str, loaded.labels or ()))
    names = chosen([*BUILT_IN, *(name for name in every if name not in BUILT_IN)], count)
    at = [k for name in names for k, own in enumerate(loaded.ids) if own.startswith(f"{name}/{ACROSS}x{ACROSS}/")]
    return names, loaded.read(at).numpy().reshape(count, ACROSS**2, *loaded.shape)


def photographs(textures: str, size: int, count: int, seed: int) -> tuple[list[str], np.ndarray]:
    """The same of photographs drawn from files, the largest square in their middle; none with a blank patch."""
    side = ACROSS * size
    loaded = probekit.images.load(textures, size=side, crop=side)
    drawn = np.random.default_rng(seed).permutation(len(loaded))
    cut = loaded.read(drawn.tolist()).numpy().reshape(-1, 3, ACROSS, size, ACROSS, size).transpose(0, 2, 4, 1, 3, 5)
    cut = cut.reshape(-1, ACROSS**2, 3, size, size)
    # A patch of one intensity has no correlations.
    varied = np.flatnonzero(cut.mean(axis=2).std(axis=(2, 3)).min(axis=1) > LEAST_CONTRAST)
    at = chosen(varied.tolist(), count)
    return [loaded.ids[drawn[k]] for k in at], cut[at]


def chosen(known: list[Any], count: int) -> list[Any]:
    """The first so many."""
    if not 2 <= count <= len(known):
        raise InputError(f"--photographs {count}: give a number from 2 to {len(known)}")
    return known[:count]


def shown(name: str, samples: xr.Dataset, reference: ImageSet, end: str) -> None:
    """Print a row of the table."""
    found = texture_statistics(samples, reference)
    means = [float(found[v].mean()) for v in ("distance_own", "distance_other", "nearest_own")]
    print(
        f"{name:26s}  {float(found.matched.sel(statistics='all').mean()):7.1%}  {means[0]:5.2f}  {means[1]:5.2f}"
        f"  {means[2]:7.0%}  {end}"
    )


def drawn(given: ImageSet, made: dict[str, xr.Dataset]) -> Figure:
    """The condition, and one sample of each kind at its own size."""
    side = given.shape[1]
    widths = [1, *(samples.sizes["col"] / side for samples in made.values())]
    figure = Figure(figsize=(1.3 * sum(widths) + 0.4, 1.33 * max(widths) * len(given) + 0.3), layout="constrained")
    axes = figure.subplots(len(given), len(widths), squeeze=False, width_ratios=widths)
    for i, row in enumerate(axes):
        images = [given.read([i]).numpy()[0], *(samples["samples"].values[i, 0] for samples in made.values())]
        for axis, image in zip(row, images, strict=True):
            picture(axis, np.clip(image, 0, 1), limits=(0, 1))
    for axis, title in zip(axes[0], ["condition", *made], strict=True):
        axis.set_title(title.replace(", ", ",\n"), fontsize=6)
    return figure


if __name__ == "__main__":
    main()
