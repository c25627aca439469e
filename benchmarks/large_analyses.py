"""Analyses of stores of many images: seconds, and how far the peak of memory lies above what libraries take.

Each analysis of each store is a process of its own, of one thread. Stores that are not in the folder yet are made
(`probekit.synthetic.stores`: 20 subspaces, 512 channels of two taps, 4 GB for a million images); they stay there.

    python benchmarks/large_analyses.py /scratch/large
    python benchmarks/large_analyses.py /scratch/large --images 10000 100000 --only clusters subspaces

Lines of the table are appended to FOLDER/measured.jsonl too, of which the latest are drawn.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
from matplotlib.figure import Figure
from turns import memory_now, peak_since_reset

__all__ = ["ANALYSES", "measured"]

GIB = 2**30
IMAGES = [10_000, 100_000, 300_000, 1_000_000]
FIGURE = Path(__file__).parents[1] / "docs" / "figures" / "large_analyses.png"
MARKERS = "os^vD*P<>XpdhH|"


def sparsity(data: xr.Dataset) -> None:
    from analyses import sparsity

    sparsity.analyse(data)


def selectivity(data: xr.Dataset) -> None:
    from analyses import selectivity

    selectivity.analyse(data)


def subspaces(data: xr.Dataset) -> None:
    from analyses import subspaces

    subspaces.fit(data)


def subspaces_judged(data: xr.Dataset) -> None:
    from analyses import subspaces

    subspaces.analyse(data, dimensions=False)


def clusters(data: xr.Dataset) -> None:
    from analyses import clusters

    clusters.analyse(data, n_clusters=20)


def clusters_noise_free(data: xr.Dataset) -> None:
    from analyses import clusters

    clusters.analyse(data, n_clusters=20, noise_free=True)


def separation(data: xr.Dataset) -> None:
    from analyses import clusters

    clusters.separation(data)


def neighbours(data: xr.Dataset) -> None:
    from analyses import semantics

    semantics.neighbours(data, query_images=1000, distances=["euclidean"])


def correlation(data: xr.Dataset) -> None:
    from analyses import semantics

    semantics.correlate(data, {"label": "label"}, statistics="distance_correlation", permutations=0)


def probe(data: xr.Dataset) -> None:
    from analyses import probe

    half = np.arange(data.sizes["image"]) % 2 == 0
    train, test = (data.isel(image=np.flatnonzero(part)) for part in (half, ~half))
    probe.analyse(train, test, penalties=[0.001], resamples=100)


def report(data: xr.Dataset) -> None:
    """Claims 1, 3 and 4, φ standing in for its control too: what that costs does not depend on what it says."""
    from analyses import report

    with tempfile.TemporaryDirectory() as out:
        report.of_phi(data, untrained=data, out=out, only=[1, 3, 4], told=report.Told(progress=False))


ANALYSES: dict[str, Callable[[xr.Dataset], None]] = {
    "sparsity": sparsity,
    "selectivity": selectivity,
    "subspaces": subspaces,
    "subspaces, judged": subspaces_judged,
    "clusters": clusters,
    "clusters, noise-free": clusters_noise_free,
    "separation of clusters": separation,
    "neighbours of 1,000": neighbours,
    "distance correlation": correlation,
    "probe": probe,
    "report of claims 1, 3, 4": report,
}


def measured(name: str, store: Path) -> dict[str, Any]:
    """One analysis in this process: seconds, and bytes above what libraries took."""
    import probekit

    torch.set_num_threads(1)
    before = memory_now()
    # What is true of the data stays in the data.
    data, start = probekit.open(store).drop_vars(["type", "subspace"]), time.perf_counter()
    ANALYSES[name](data)
    took = time.perf_counter() - start
    return {"analysis": name, "images": data.sizes["image"], "seconds": took, "bytes": peak_since_reset() - before}


def made(folder: Path, count: int) -> Path:
    """A store of so many images, made if it is not there."""
    from probekit.synthetic.stores import write_union_of_subspaces

    store = folder / f"phi-{count}.zarr"
    if not store.exists():
        write_union_of_subspaces(store, count, n_channels=512, n_subspaces=20, taps=("enc", "mid"))
    return store


def draw(lines: Sequence[dict[str, Any]], out: Path) -> None:
    """The chart: seconds and memory against images, for each analysis."""
    latest = {(one["analysis"], one["images"]): one for one in lines}
    figure = Figure(figsize=(11, 5.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for i, name in enumerate(n for n in ANALYSES if any(key[0] == n for key in latest)):
        counts = sorted(count for analysis, count in latest if analysis == name)
        of = [latest[name, count] for count in counts]
        style: dict[str, Any] = {"marker": MARKERS[i], "color": f"C{i}" if i < 10 else "black", "linewidth": 1.2}
        left.plot(counts, [one["seconds"] for one in of], label=name, **style)
        right.plot(counts, [one["bytes"] / GIB for one in of], **style)
    counts = np.array(sorted({count for _, count in latest}), float)
    fastest = min(one["seconds"] / one["images"] for one in latest.values())
    left.plot(counts, counts * fastest, color="grey", linestyle=":", label="proportional to images")
    left.set(xscale="log", yscale="log", xlabel="images", ylabel="seconds, one thread", title="Time")
    right.set(xscale="log", xlabel="images", ylabel="GiB above libraries", title="Peak of memory", ylim=(0, 2.2))
    right.axhline(2, color="grey", linestyle="--", linewidth=1)
    figure.legend(loc="outside right center", frameon=False)
    figure.suptitle("φ of 512 channels at one noise level, read from disk")
    figure.savefig(out, dpi=130)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="Where the stores are, or are made.")
    parser.add_argument("--images", type=int, nargs="+", default=IMAGES)
    parser.add_argument("--only", nargs="+", choices=list(ANALYSES), default=list(ANALYSES))
    parser.add_argument("--out", type=Path, default=FIGURE, help="The chart.")
    parser.add_argument("--here", action="store_true", help="One analysis of one store, in this process.")
    given = parser.parse_args()
    if given.here:
        print(json.dumps(measured(given.only[0], made(given.folder, given.images[0]))))
        return
    given.folder.mkdir(parents=True, exist_ok=True)
    results = given.folder / "measured.jsonl"
    print("| analysis | images | seconds | GiB above libraries |\n|---|---|---|---|", flush=True)
    for count in given.images:
        made(given.folder, count)
    for name in given.only:
        for count in given.images:
            words = [sys.executable, __file__, str(given.folder), "--images", str(count), "--only", name, "--here"]
            ended = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True)
            one = json.loads(ended.stdout.splitlines()[-1])
            with results.open("a") as file:
                file.write(json.dumps(one) + "\n")
            print(f"| {name} | {count:,} | {one['seconds']:.1f} | {one['bytes'] / GIB:.2f} |", flush=True)
    draw([json.loads(line) for line in results.read_text().splitlines()], given.out)
    print(given.out)


if __name__ == "__main__":
    main()
