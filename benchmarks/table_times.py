"""Processor time of the table of controls with the code of another checkout and with this one's, and what they answer.

Images are of classes by what they look like at large, in noise whose neighbours are alike; the network is the bundled
one. φ is measured first, by each of both, and kept: what is timed is the rows of all sources, of every measure but
whether images are found again. Both take turns, each time in a process of its own with one thread. Printed are the
median of the ratios and the largest difference of any number of the tables.

Run: git worktree add /tmp/before COMMIT && python benchmarks/table_times.py /tmp/before [--rounds 2] [--images 2000]
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

if TYPE_CHECKING:
    from probekit.images import ImageSet

__all__ = ["apart", "main", "measured"]

HERE = Path(__file__).parents[1]
SIZE, SIGMA, DRAWS, UNTRAINED = 32, (0.1, 0.2, 0.5), 2, 2


def measured(before: Path, *, rounds: int = 2, images: int = 2000, classes: int = 10) -> list[tuple[str, float, str]]:
    """What was measured: name, value, unit.

    Parameters
    ----------
    before
        Another checkout.
    rounds
        How often both are timed in turn.
    images, classes
        Images measured, as many that are trained on, and their classes.
    """
    trees = {"before": before, "now": HERE}
    taken: dict[str, list[float]] = {name: [] for name in trees}
    with TemporaryDirectory() as folder:
        found = {name: Path(folder) / name for name in trees}
        for lap in range(rounds + 1):
            for name, tree in trees.items():
                seconds = _child(tree, found[name], images, classes, only_phi=not lap)
                taken[name] += [seconds] * bool(lap)
        shift = apart(*(xr.load_dataset(of / "found.nc", engine="h5netcdf") for of in found.values()))
    ratios = [one / other for one, other in zip(taken["before"], taken["now"], strict=True)]
    return [
        *((f"table of {images} images, {name}", statistics.median(taken[name]), "s of processor") for name in trees),
        ("before / now", statistics.median(ratios), "ratio"),
        ("largest difference of a number", shift, "1"),
    ]


def apart(one: xr.Dataset, other: xr.Dataset) -> float:
    """The largest difference of any number, infinite where only one of both is known."""
    shifts = [0.0]
    for name in one.data_vars:
        a, b = (np.asarray(of[name].values, float) for of in (one, other))
        if a.shape != b.shape or not np.array_equal(np.isnan(a), np.isnan(b)):
            return float("inf")
        shifts.append(float(np.nanmax(np.abs(a - b), initial=0)))
    return max(shifts)


def _child(tree: Path, folder: Path, images: int, classes: int, *, only_phi: bool) -> float:
    """Seconds that a process takes for the rows with the code of a checkout."""
    for rows in folder.glob("store/*/numbers.nc"):
        rows.unlink()
    settings = {"PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg"}
    said = subprocess.run(
        [sys.executable, __file__, "--rows", str(folder), str(images), str(classes), str(int(only_phi))],
        env=os.environ | settings,
        cwd=tree,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return float(said.stdout.split()[-1])


def _rows(folder: Path, images: int, classes: int, only_phi: bool) -> float:
    from analyses import controls

    shown, train = (_pictures(part, images, classes) for part in (1, 2))
    every = [name for name in controls.MEASURES if name != "stability"]
    began = time.process_time()
    found = controls.table(
        shown,
        train=train,
        sigma=SIGMA,
        draws=DRAWS,
        untrained=UNTRAINED,
        measures=["precision"] if only_phi else every,
        store=folder / "store",
        progress=False,
    )
    seconds = time.process_time() - began
    found.to_netcdf(folder / "found.nc", engine="h5netcdf")
    return seconds


def _pictures(part: int, count: int, classes: int) -> ImageSet:
    from scipy.ndimage import gaussian_filter

    import probekit

    coarse = gaussian_filter(np.random.default_rng(0).normal(size=(classes, 3, SIZE, SIZE)), (0, 0, 3, 3))
    noise = gaussian_filter(np.random.default_rng(part).normal(size=(count, 3, SIZE, SIZE)), (0, 0, 1.5, 1.5))
    of = np.arange(count) % classes
    values = 0.5 + 0.12 * (0.6 * coarse[of] / coarse.std() + noise / noise.std())
    named: dict[str, Any] = {"ids": [f"{part}-{i}" for i in range(count)], "labels": [f"class {k}" for k in of]}
    return probekit.images.load(values.clip(0, 1).astype(np.float32), **named)


def main() -> None:
    if sys.argv[1:2] == ["--rows"]:
        folder, images, classes, only_phi = sys.argv[2:]
        print(_rows(Path(folder), int(images), int(classes), only_phi == "1"))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--classes", type=int, default=10)
    for name, value, unit in measured(**vars(parser.parse_args())):
        print(f"{name}: {value:.4g}{'' if unit in ('1', 'ratio') else f' {unit}'}")


if __name__ == "__main__":
    main()
