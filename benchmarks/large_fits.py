"""Analyses that fit or search, on stores of many images: seconds, and how far the peak of memory lies above libraries'.

Each analysis of each store is a process of its own, one thread. Stores are given by their paths, such as
`probekit.synthetic` makes them, in the order of their numbers of images:

    python benchmarks/large_fits.py phi-10000.zarr phi-100000.zarr phi-1000000.zarr --only clusters subspaces
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr

__all__ = ["FITS", "measured"]

GIB = 2**30


def peak() -> int:
    """Bytes of the process's largest resident set so far."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def opened(path: str, *, chunks: bool) -> xr.Dataset:
    """A store, read when its values are used; as arrays of dask if need be."""
    import probekit

    return xr.open_zarr(path, chunks={}) if chunks else probekit.open(path)


def subspaces(data: xr.Dataset) -> xr.Dataset:
    from analyses import subspaces

    return subspaces.fit(data)


def subspaces_judged(data: xr.Dataset) -> xr.Dataset:
    from analyses import subspaces

    return subspaces.analyse(data, dimensions=False)


def subspaces_linear(data: xr.Dataset) -> xr.Dataset:
    from analyses import subspaces

    return subspaces.fit(data, method="linear", n_subspaces=20)


def clusters(data: xr.Dataset) -> xr.Dataset:
    from analyses import clusters

    return clusters.analyse(data, n_clusters=20)


def clusters_number(data: xr.Dataset) -> xr.Dataset:
    from analyses import clusters

    return clusters.analyse(data, n_clusters=(10, 20, 40))


def clusters_noise_free(data: xr.Dataset) -> xr.Dataset:
    from analyses import clusters

    return clusters.analyse(data, n_clusters=20, noise_free=True)


def separation(data: xr.Dataset) -> xr.Dataset:
    from analyses import clusters

    return clusters.separation(data)


def neighbours(data: xr.Dataset) -> xr.Dataset:
    from analyses import semantics

    return semantics.neighbours(data, query_images=1000, distances=["euclidean"])


def neighbours_all(data: xr.Dataset) -> xr.Dataset:
    from analyses import semantics

    return semantics.neighbours(data, query_images=1000)


def neighbours_noise_free(data: xr.Dataset) -> xr.Dataset:
    from analyses import semantics

    return semantics.neighbours(data, query_images=1000, distances=["euclidean"], noise_free=True)


def correlations(data: xr.Dataset) -> xr.Dataset:
    from analyses import semantics

    return semantics.correlate(data, {"label": "label"}, statistics="distance_correlation", permutations=0)


def probe(data: xr.Dataset) -> xr.Dataset:
    from analyses import probe

    half = np.arange(data.sizes["image"]) % 2 == 0
    train, test = (data.isel(image=np.flatnonzero(part)) for part in (half, ~half))
    return probe.analyse(train, test, penalties=[0.001], resamples=100)


FITS: dict[str, Callable[[xr.Dataset], xr.Dataset]] = {
    "subspaces": subspaces,
    "subspaces, judged": subspaces_judged,
    "subspaces, linear": subspaces_linear,
    "clusters": clusters,
    "clusters, number chosen": clusters_number,
    "clusters, noise-free": clusters_noise_free,
    "separation": separation,
    "neighbours of 1,000": neighbours,
    "neighbours of 1,000, three distances": neighbours_all,
    "neighbours of 1,000, noise-free": neighbours_noise_free,
    "distance correlation": correlations,
    "probe": probe,
}


def measured(name: str, path: str, *, chunks: bool) -> dict[str, Any]:
    """One analysis in this process: seconds, bytes above what libraries took, and what it said of its sample."""
    torch.set_num_threads(1)
    before = peak()
    data, start = opened(path, chunks=chunks), time.perf_counter()
    found = FITS[name](data)
    took = time.perf_counter() - start
    said = {key: found.attrs[key] for key in ("images_fitted", "query_images", "images") if key in found.attrs}
    return {**said, "seconds": took, "bytes": peak() - before, "count": data.sizes["image"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("stores", nargs="+")
    parser.add_argument("--only", nargs="+", choices=list(FITS), default=list(FITS))
    parser.add_argument("--chunks", action="store_true", help="Open stores as arrays of dask.")
    parser.add_argument("--here", action="store_true", help="Measure in this process, one analysis of one store.")
    given = parser.parse_args()
    if given.here:
        one = measured(given.only[0], given.stores[0], chunks=given.chunks)
        seconds, size = one.pop("seconds"), one.pop("bytes")
        print(f"| {given.only[0]} | {one.pop('count'):,} | {seconds:.1f} | {size / GIB:.2f} | {one} |", flush=True)
        return
    print("| analysis | images | seconds | GiB above libraries | of them |\n|---|---|---|---|---|", flush=True)
    for name in given.only:
        for store in given.stores:
            extra = ["--chunks"] if given.chunks else []
            subprocess.run([sys.executable, __file__, store, "--only", name, "--here", *extra], check=True)


if __name__ == "__main__":
    main()
