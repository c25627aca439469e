"""Every number of `probekit demo` and of a report on photographs: recorded, and compared with another version's.

    python benchmarks/same_numbers.py record before --photographs FOLDER    # with one version of the code
    python benchmarks/same_numbers.py record after --photographs FOLDER     # with the other
    python benchmarks/same_numbers.py compare before after --renamed old=new

FOLDER holds val.zip, train-0.zip and synsets.csv; without it only the demo is recorded. Each run has one thread, so
that two recordings on one machine differ by the code alone.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import zipfile
from collections import defaultdict
from pathlib import Path

import numpy as np
import xarray as xr

A_CLASS, TRAIN_A_CLASS = 2, 4
REPORT = {
    "--size": "32",
    "--sigma": "0.1,0.3",
    "--draws": "4",
    "--conditions": "21",
    "--samples": "4",
    "--levels": "5",
}


def part_of(archive: Path, a_class: int, out: Path) -> Path:
    """The first images of every class of a zip, as a smaller zip."""
    taken: dict[str, list[str]] = defaultdict(list)
    with zipfile.ZipFile(archive) as whole, zipfile.ZipFile(out, "w") as part:
        for name in sorted(n for n in whole.namelist() if n.lower().endswith(".jpeg")):
            if len(taken[name.split("/")[0]]) < a_class:
                taken[name.split("/")[0]].append(name)
                part.writestr(name, whole.read(name))
    return out


def recorded(out: Path, photographs: Path | None) -> None:
    """Run the commands, and write what their files hold into numbers.npz."""
    out.mkdir(parents=True, exist_ok=True)
    alone = os.environ | dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    commands = {"demo": [sys.executable, "-m", "probekit", "demo", "--out", str(out / "demo"), "--draws", "4"]}
    if photographs is not None:
        images = part_of(photographs / "val.zip", A_CLASS, out / "images.zip")
        train = part_of(photographs / "train-0.zip", TRAIN_A_CLASS, out / "train.zip")
        options = {"--train": str(train), "--classes": str(photographs / "synsets.csv")} | REPORT
        typed = [str(images), *(word for pair in options.items() for word in pair)]
        commands["report"] = [sys.executable, "-m", "analyses.report", *typed, "-o", str(out / "report"), "--quiet"]
    for name, command in commands.items():
        print(f"{name}: {' '.join(command)}", flush=True)
        subprocess.run(command, check=True, env=alone)
    np.savez_compressed(out / "numbers.npz", **_numbers(out, list(commands)))


def _numbers(out: Path, folders: list[str]) -> dict[str, np.ndarray]:
    """Every variable and coordinate of every file of findings, by file and name; words as strings."""
    numbers = {}
    for file in sorted(f for folder in folders for f in (out / folder).rglob("*.nc")):
        with xr.open_dataset(file, engine="h5netcdf") as found:
            for name, variable in found.variables.items():
                ordered = variable.transpose(*sorted(map(str, variable.dims)))
                values = ordered.values if ordered.dtype.kind in "biuf" else ordered.values.astype(str)
                numbers[f"{file.relative_to(out)}:{name}"] = values
    return numbers


def compared(before: Path, after: Path, renamed: dict[str, str]) -> int:
    """Print what differs, most first; how many variables do."""
    old, new = (dict(np.load(folder / "numbers.npz", allow_pickle=False)) for folder in (before, after))
    parts = {key: key.rsplit(":", 1) for key in old}
    old = {f"{file}:{renamed.get(name, name)}": old[key] for key, (file, name) in parts.items()}
    for key in sorted(old.keys() ^ new.keys()):
        print(f"{'gone' if key in old else 'new '} {key}")
    differing = []
    for key in sorted(old.keys() & new.keys()):
        a, b = old[key], new[key]
        if a.shape != b.shape:
            differing.append((np.inf, f"{key}: shape {a.shape}, now {b.shape}"))
        elif a.dtype.kind in "biuf" and b.dtype.kind in "biuf":
            a, b = a.astype(float), b.astype(float)
            if not np.array_equal(a, b, equal_nan=True):
                absent = int((np.isnan(a) != np.isnan(b)).sum())
                gap = np.nan_to_num(np.abs(a - b), nan=0.0)
                scale = float(np.nanmax(np.abs(a))) or 1.0
                share = f"{(gap > 0).sum()} of {gap.size}"
                text = f"{key}: {share} differ, by {gap.max():.3g} at most ({gap.max() / scale:.2g} of the largest)"
                differing.append((gap.max() / scale, text + (f"; {absent} are absent on one side" if absent else "")))
        elif not np.array_equal(a.astype(str), b.astype(str)):
            differing.append((np.inf, f"{key}: {int((a.astype(str) != b.astype(str)).sum())} of {a.size} words differ"))
    for _, text in sorted(differing, reverse=True):
        print(text)
    print(f"{len(old.keys() & new.keys())} variables compared, {len(differing)} differ")
    return len(differing)


def main() -> int:
    """Record, or compare two recordings."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = parser.add_subparsers(dest="verb", required=True)
    record = parts.add_parser("record", help="run the demo and the report, and keep their numbers")
    record.add_argument("out", type=Path)
    record.add_argument("--photographs", type=Path, help="folder with val.zip, train-0.zip and synsets.csv")
    compare = parts.add_parser("compare", help="what differs between two recordings")
    compare.add_argument("before", type=Path)
    compare.add_argument("after", type=Path)
    compare.add_argument("--renamed", nargs="*", default=[], metavar="OLD=NEW", help="variables with other names now")
    given = parser.parse_args()
    if given.verb == "record":
        recorded(given.out, given.photographs)
        return 0
    return int(compared(given.before, given.after, dict(pair.split("=", 1) for pair in given.renamed)) > 0)


if __name__ == "__main__":
    sys.exit(main())
