"""Time and memory of sparsity and selectivity over many images, beside the obvious way, in one run.

φ is 512 channels at one noise level, in memory as float32: gamma-distributed errors about rest, with common and
selective channels. Each size runs in a process of its own, which tells its peak memory beyond the data. The obvious
way is what one would write with scipy: participation ratio and Gini index image by image, moments, a Laplace and a
normal fit channel by channel; it is timed on a part of the images and channels and scaled up.

Run: python benchmarks/sparsity_selectivity.py [--images 5000 15000 50000] [--channels 512]
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
import xarray as xr
from scipy import stats

from analyses import selectivity, sparsity
from probekit.synthetic.subspaces import union_of_subspaces

PART = 0.02


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, nargs="+", default=[5000, 15000, 50000])
    parser.add_argument("--channels", type=int, default=512)
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        print(json.dumps(measured(options.images[0], options.channels)))
        return
    print(
        "images  data, MiB  sparsity, s  selectivity, s  together, s  by hand, s  by hand / together  peak beyond, MiB"
    )
    for images in options.images:
        arguments = ["--images", str(images), "--channels", str(options.channels), "--worker"]
        run = subprocess.run([sys.executable, __file__, *arguments], capture_output=True, text=True, check=True)
        r = json.loads(run.stdout)
        together = r["sparsity"] + r["selectivity"]
        print(
            f"{images:6d}  {r['data']:9.0f}  {r['sparsity']:11.1f}  {r['selectivity']:14.1f}  {together:11.1f}  "
            f"{r['hand']:10.1f}  {r['hand'] / together:18.1f}  {r['peak']:16.0f}"
        )


def measured(images: int, channels: int) -> dict[str, float]:
    """Seconds of each analysis and of the obvious way; MiB of the data, and of the peak beyond what was there."""
    data = many(images, channels)
    before = peak()
    seconds = {"sparsity": timed(sparsity.analyse, data), "selectivity": timed(selectivity.analyse, data)}
    beyond = peak() - before
    return {**seconds, "hand": by_hand(data), "peak": beyond, "data": data.nbytes / 2**20}


def many(images: int, channels: int) -> xr.Dataset:
    """A small set whose images are repeated with other amplitudes, made in place of the right size."""
    small = union_of_subspaces(1000, n_channels=channels, n_subspaces=12, support=20, common=64).data
    rng = np.random.default_rng(0)
    rows = rng.integers(1000, size=images)
    data = small.isel(image=rows)
    for start in range(0, images, 1000):
        data["phi"].values[start : start + 1000] *= rng.uniform(
            0.9, 1.1, (len(rows[start : start + 1000]), 1, channels)
        )
    return data.assign_coords(image=("image", np.arange(images).astype(str).astype(object)))


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def timed(analyse: Callable[[xr.Dataset], object], data: xr.Dataset) -> float:
    began = time.perf_counter()
    analyse(data)
    return time.perf_counter() - began


def by_hand(data: xr.Dataset) -> float:
    """Seconds that loops over images and over channels would take for part of what the analyses give."""
    phi, rest = data["phi"].values[:, 0], data["rest"].values[0]
    rows, columns = max(1, int(PART * len(phi))), max(1, int(PART * phi.shape[1]))
    began = time.perf_counter()
    for a in phi[:rows].astype(float):
        _ = a.sum() ** 2 / (len(a) * (a**2).sum())
        _ = np.abs(a[:, None] - a).sum() / (2 * len(a) * a.sum())
    by_image = time.perf_counter() - began
    began = time.perf_counter()
    for c in range(columns):
        a = phi[:, c].astype(float) - rest[c]
        _ = stats.skew(a, bias=False), stats.kurtosis(a, bias=False)
        _ = stats.laplace.logpdf(a, *stats.laplace.fit(a)).sum() - stats.norm.logpdf(a, *stats.norm.fit(a)).sum()
        _ = np.argsort(a)
    by_channel = time.perf_counter() - began
    return by_image * len(phi) / rows + by_channel * phi.shape[1] / columns


if __name__ == "__main__":
    main()
