"""docs/performance.md, its numbers and its figure; or, with --quick, some rows again and what has changed since.

To add a table, add a `Section` to SECTIONS: a title, a sentence on what is measured, and a function without arguments
that gives rows (name, ratio or one a round, rate in words).

Run: python benchmarks/performance.py [--quick] [--docs docs]; `make bench`, `make bench-quick`
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

import analysis_times
import memory
import sampling
import speed
import start_up
import torch
import training
from performance_page import Section, measured, read, report, write

DOCS = Path(__file__).parents[1] / "docs"
# In few rounds and without other tools, whose processes take long to start.
QUICK = {"ways": speed.PLAIN, "rounds": 3}


def soon() -> list[tuple[str, float, str]]:
    """How soon the program answers, over importing what the package stands on."""
    seconds = {name: value for name, value, _ in start_up.measured(3)}
    base = seconds[start_up.LIBRARIES]
    helps = next(name for name in seconds if name.startswith("help of a command, slowest"))
    names = ("probekit --help", "probekit --version", "probekit modls", helps, f"{start_up.LIBRARIES}, probekit")
    return [(f"`{name}`", base / seconds[name], f"{seconds[name]:.2f} s; {base:.2f} s") for name in names]


def trained() -> list[tuple[str, float, str]]:
    """Images a second of training in bfloat16 over float32."""
    rows = training.ratio([32, 64, 128, 256], 32, 32, torch.device("cpu"), compile=False, rounds=5)
    (_, plain, _), *others = (row for row in rows if row[2] == "images/s")
    return [(name, rate / plain, f"{rate:.0f} images/s; float32 {plain:.0f}") for name, rate, _ in others]


def sampled() -> list[tuple[str, float, str]]:
    """Conditional samples by the default method, beside Algorithm 1 of the paper written as published."""
    found = sampling.apart(2, 2, SAMPLED_LEVELS)
    mine = found["langevin"]
    rows = []
    for key, name in (("plain", "Algorithm 1 as published"), ("algorithm1", "Algorithm 1 of this package")):
        seconds = found[key]["seconds"] * sampling.PUBLISHED / SAMPLED_LEVELS
        rate = f"{seconds / 4:.0f} s a sample, error of φ {found[key]['match']:.1%}"
        rows.append(
            (name, seconds / mine["seconds"], f"{rate}; default {mine['seconds'] / 4:.1f} s, {mine['match']:.1%}")
        )
    return rows


def analysed() -> list[tuple[str, float, str]]:
    """Parts of analyses beside the straightforward way."""
    rows = analysis_times.measured()
    seconds = {name: f"{value:.2f} s" for name, value, unit in rows if unit != "ratio"}
    return [(name.split(": ")[0], value, seconds[name.split(": ")[0]]) for name, value, unit in rows if unit == "ratio"]


SAMPLED_LEVELS = 5
SECTIONS = (
    Section(
        "φ at the middle block of the paper's network",
        "UNet 64-128-256-512, 128 images of 64×64 in batches of 8, one noise level, one draw. Its weights are those of "
        "`photo32`, each channel repeated, so that φ scatters over draws as a trained network's does. "
        'The ratio is the time of the way that is named over that of this package; for `precision="auto"`, of four '
        "times as many images and with its trial, that of this package in float32 over it. The hook and other tools "
        "get half of the images, and are compared by the time that an image takes.",
        speed.middle,
        partial(speed.middle, **QUICK),
    ),
    Section(
        "Share of the machine's arithmetic limit",
        "In the same rounds: operations of convolutions a second as far as the middle block, over those of a large "
        "matrix product of the same type. 1 is the limit; normalisation, pooling and noise are not counted.",
        speed.limit,
        partial(speed.limit, **QUICK),
    ),
    Section(
        "Memory that each way takes",
        "In the same processes: by how much the most memory that a process held grew while it worked, over that of "
        "this package.",
        speed.memory,
    ),
    Section(
        "φ at the middle block of a small network",
        "UNet 16-32-64-128, 1,024 images of 32×32, at several batch sizes: what the package costs over a loop where "
        "passes are short. The hook gets a quarter of the images, other tools a 64th or one batch.",
        speed.batch_sizes,
        partial(speed.batch_sizes, **QUICK, batches=(4, 16, 256)),
    ),
    Section(
        "Several blocks at once",
        "The paper's network, 32 images of 64×64 in batches of 8, six blocks as far as `dec2` in one pass.",
        speed.several,
    ),
    Section(
        "Many noise levels and draws",
        "UNet 16-32-64-128, 32 images of 32×32 in batches of 32, five noise levels, eight draws.",
        speed.levels,
    ),
    Section(
        "What noise levels could share",
        "The first layer is linear: conv(x + σz) = conv(x) + σ conv(z), so levels could share both. The time of a pass "
        "over that of one which only adds them: so little that the package does not.",
        speed.linear,
    ),
    Section(
        "Memory that grows with results",
        "What a call holds at most, with few and with many images, noise levels, blocks of 1,024 channels, and draws "
        "that are kept. The ratio is that of the bytes that φ, its standard errors and draws take to those by which "
        "the peak grows: 1 where nothing but results is held.",
        memory.linear,
    ),
    Section(
        "Memory that a store or averaging bounds",
        "The same for draws that are averaged, and where results go to a store, of which a unit of images is held at a "
        "time: the more levels, blocks and kept draws, the more it takes. The ratio is that of the growth of the peak "
        "with few to that with many: 1 where it does not depend on how many there are.",
        memory.flat,
    ),
    Section(
        "Training",
        "UNet 32-64-128-256, 32×32, batch 32, as written: images a second in bfloat16 over float32.",
        trained,
    ),
    Section(
        "Samples from p(x | φ)",
        "`photo32`, 2 photographs of 32×32, 2 samples of each, `mid` matched: the time of another way over that of the "
        "default method. Algorithm 1 is timed at 5 of its 100 levels, and counted 20 times.",
        sampled,
    ),
    Section(
        "Analyses",
        "Probe (penalised softmax regression, 40 classes) and gist, beside scikit-learn's LogisticRegression and the "
        "amplitudes of whole padded images: seconds of a processor.",
        analysed,
    ),
    Section(
        "How soon it answers",
        "Fresh processes: the seconds of `import torch, xarray` over those of the command or import that is named.",
        soon,
    ),
)


def main() -> int:
    """Measure, then write the page or say what has changed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="measure some rows again, and compare them with the page")
    parser.add_argument("--docs", type=Path, default=DOCS, help="folder of performance.md, .json and figures/")
    options = parser.parse_args()
    if options.quick:
        said, status = report(read(options.docs), measured(SECTIONS, quick=True))
        print(said)
        return status
    write(measured(SECTIONS), options.docs)
    return 0


if __name__ == "__main__":
    sys.exit(main())
