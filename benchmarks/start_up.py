"""How soon the program answers and the package is imported, in fresh processes, taken in turns.

Wall-clock seconds, medians over rounds. Help of commands: every command once a round, of which the slowest is named.
What importing costs beside torch and xarray is the difference of medians of processes that import these alone and of
those that import the package too; "all of it" is asked for every name that the package shows.

Run: python benchmarks/start_up.py [--rounds 7]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

from analyses.report.shell import ANALYSES, COMMANDS

ROOT = Path(__file__).parents[1]
PROGRAM = ("-m", "probekit")
LIBRARIES = "import torch, xarray"
STARTS: Mapping[str, Sequence[str]] = {
    "python alone": ("-c", "pass"),
    "probekit --help": (*PROGRAM, "--help"),
    "probekit --version": (*PROGRAM, "--version"),
    "probekit analyse --help": (*PROGRAM, "analyse", "--help"),
    "probekit modls": (*PROGRAM, "modls"),
    LIBRARIES: ("-c", LIBRARIES),
    f"{LIBRARIES}, probekit": ("-c", f"{LIBRARIES}, probekit"),
    f"{LIBRARIES}; from probekit import *": ("-c", f"{LIBRARIES}\nfrom probekit import *"),
    "import probekit": ("-c", "import probekit"),
    "from analyses import sparsity": ("-c", "from analyses import sparsity"),
}
COMMANDS_HELP: Mapping[str, Sequence[str]] = {
    **{f"probekit {name} --help": (*PROGRAM, name, "--help") for name in COMMANDS},
    **{f"probekit analyse {name} --help": (*PROGRAM, "analyse", name, "--help") for name in ANALYSES},
    **{f"python -m analyses.{name} --help": ("-m", f"analyses.{name}", "--help") for name in (*ANALYSES, "report")},
}


def measured(rounds: int = 7) -> list[tuple[str, float, str]]:
    """What was measured, row by row: its name, its value, and the unit of that."""
    took: dict[str, list[float]] = {name: [] for name in (*STARTS, *COMMANDS_HELP)}
    # The first round reads files that the machine keeps in memory from then on, and is left out.
    for lap in range(rounds + 1):
        for name, words in {**STARTS, **COMMANDS_HELP}.items():
            began = time.perf_counter()
            subprocess.run([sys.executable, *words], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            if lap:
                took[name].append(time.perf_counter() - began)
    typical = {name: median(seconds) for name, seconds in took.items()}
    helps = {name: typical[name] for name in COMMANDS_HELP}
    slowest = max(helps, key=lambda name: helps[name])
    return [
        *((name, typical[name], "s") for name in STARTS),
        ("help of a command, median of all", median(helps.values()), "s"),
        (f"help of a command, slowest: {slowest}", helps[slowest], "s"),
        ("import probekit beside torch, xarray", typical[f"{LIBRARIES}, probekit"] - typical[LIBRARIES], "s"),
        (
            "all of probekit beside torch, xarray",
            typical[f"{LIBRARIES}; from probekit import *"] - typical[LIBRARIES],
            "s",
        ),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    for name, value, unit in measured(parser.parse_args().rounds):
        print(f"{value:7.3f} {unit}  {name}")


if __name__ == "__main__":
    main()
