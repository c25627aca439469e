"""Time and memory to find subspaces as images grow, and against self-expression of all images by all others.

The growing fit has one noise level and 512 channels, each size in a process of its own; memory is what the fit adds, at
its peak, to the data.
The naive way clusters the affinities |C| + |C|ᵀ of every image with scikit-learn, told the number of subspaces.

Run: python benchmarks/subspaces.py [--images 5000 15000 50000] [--naive 2000]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import xarray as xr
from sklearn.cluster import SpectralClustering
from sklearn.linear_model import orthogonal_mp_gram

from analyses import subspaces
from analyses.subspaces import kernels_fit
from probekit.synthetic.subspaces import SubspaceData, union_of_subspaces

NUMBER = 10


def made(count: int) -> SubspaceData:
    return union_of_subspaces(count, n_channels=512, n_subspaces=NUMBER, support=10, overlap=2, common=40, noise=0.1)


def kibibytes(field: str) -> int:
    """Memory of this process by the name that Linux gives it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1])


def grow(folder: Path, method: str) -> None:
    """Fit the images of a folder; prints seconds, MiB added to the data, subspaces found and accuracy."""
    data, truth = (xr.load_dataset(folder / name, engine="h5netcdf") for name in ("data.nc", "truth.nc"))
    # The peak that a process reports begins anew with each program, unlike that of getrusage.
    before = kibibytes("VmRSS")
    began = time.perf_counter()
    found = subspaces.fit(data, method=method)
    seconds = time.perf_counter() - began
    added = (kibibytes("VmHWM") - before) / 1024
    print(seconds, added, found.n_subspaces.item(), subspaces.score(found, truth).accuracy.item())


def naive(data: SubspaceData) -> np.ndarray:
    """Labels by spectral clustering of each image's sparse expression by all others."""
    x = (data.data.phi - data.data.rest).isel(sigma=0).values[:, ~data.truth.common.values].astype(float)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    gram = x @ x.T
    code = np.zeros_like(gram)
    for i in range(len(x)):
        others = np.delete(np.arange(len(x)), i)
        code[i, others] = orthogonal_mp_gram(gram[np.ix_(others, others)], gram[others, i], n_nonzero_coefs=8)
    weights = np.abs(code) + np.abs(code).T + 1e-6
    method = SpectralClustering(NUMBER, affinity="precomputed", assign_labels="cluster_qr", random_state=0)
    return np.asarray(method.fit_predict(weights), int)


def side_by_side(count: int) -> None:
    data = made(count)
    seconds, shares = {}, {}
    for name in ("naive", "coordinate", "linear"):
        began = time.perf_counter()
        if name == "naive":
            labels = naive(data)
        else:
            labels = subspaces.fit(data.data, method=name, splits=0, n_subspaces=NUMBER).subspace.values
        seconds[name] = time.perf_counter() - began
        shares[name] = kernels_fit.agreement(data.truth.subspace.values, labels)
    for name, spent in seconds.items():
        print(
            f"{count} images, told the number, {name}: {spent:.1f} s, {seconds['naive'] / spent:.1f} times as fast as "
            f"the naive way, accuracy {shares[name]:.3f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, nargs="+", default=[5000, 15000, 50000])
    parser.add_argument("--naive", type=int, default=2000)
    parser.add_argument("--grow", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.grow:
        grow(Path(options.grow[0]), options.grow[1])
        return
    for count in options.images:
        with tempfile.TemporaryDirectory() as folder:
            for name, part in made(count)._asdict().items():
                part.to_netcdf(Path(folder) / f"{name}.nc", engine="h5netcdf")
            for method in ("coordinate", "linear"):
                command = [sys.executable, __file__, "--grow", folder, method]
                ended = subprocess.run(command, capture_output=True, text=True, check=True)
                seconds, added, number, accuracy = map(float, ended.stdout.split())
                print(
                    f"{method}, {count} images: {seconds:.1f} s, {1e6 * seconds / count:.0f} µs an image, "
                    f"{added:.0f} MiB beyond the data, {number:.0f} of {NUMBER} subspaces, accuracy {accuracy:.3f}",
                    flush=True,
                )
    side_by_side(options.naive)


if __name__ == "__main__":
    main()
