"""How well the default method keeps laws that are known: the tables of docs/sampling.md, from the patch model.

"energies": of two variances pooled in one channel, the error of the mean energy of the first in exact standard
deviations, and the ratio of standard deviations. "shares": of two classes, the share of the first, exact and of samples
at so many levels and correctors, and what tells that it is wrong. "tails": the same error, and the work of guidance, as
φ goes into the tail of what images have.

Run: python benchmarks/sampling_laws.py [--samples 500] [--tables energies shares tails]
"""

from __future__ import annotations

import argparse
import math
from typing import Any

import numpy as np
import torch
import xarray as xr

import probekit
from analyses import sampling
from probekit.synthetic.patch_laws import SplitLaw
from probekit.synthetic.patch_model import PatchModel

# Variances, φ, positions.
ENERGIES = (
    ((0.2, 0.05), 0.25, 64),
    ((0.2, 0.05), 0.4, 64),
    ((0.2, 0.05), 0.13, 64),
    ((0.5, 0.01), 0.4, 16),
    ((1.0, 0.3), 0.9, 16),
    ((0.05, 0.02), 0.05, 36),
    ((0.3, 0.25), 0.7, 64),
    ((0.9, 0.01), 0.5, 64),
)
# Variances of two classes, their priors, φ; at 64 positions.
SHARES = (
    (((0.2, 0.05), (0.12, 0.1)), (0.5, 0.5), 0.3),
    (((0.2, 0.05), (0.1, 0.1)), (0.5, 0.5), 0.28),
    (((0.3, 0.02), (0.1, 0.15)), (0.5, 0.5), 0.29),
    (((0.2, 0.05), (0.05, 0.2)), (0.7, 0.3), 0.25),
)
# Levels, and options.
WAYS: tuple[tuple[int, dict[str, int]], ...] = ((20, {}), (60, {}), (60, {"correctors": 10, "last_correctors": 10}))
TAILS = (0.25, 0.13, 0.4, 0.6, 0.8, 1.0)
LAST = 0.003


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=500)
    tables = {"energies": print_energies, "shares": print_shares, "tails": print_tails}
    parser.add_argument("--tables", nargs="+", choices=tables, default=list(tables))
    options = parser.parse_args()
    for name in options.tables:
        tables[name](options.samples)


def sampled(
    classes: tuple[tuple[float, float], ...], prior: tuple[float, ...], phi: float, positions: int, n: int, **how: Any
) -> tuple[xr.Dataset, np.ndarray, PatchModel]:
    """Samples of a pooled energy, and the energies (sample, 2) of its two components."""
    model = PatchModel(prior, [[*v, 0, 0] for v in classes], pool=[[0, 1], [2, 3]]).double()
    side = 2 * math.isqrt(positions)
    image = model.conditional([phi, 0], n=1, rows=side, cols=side, seed=1).images.isel(sample=0, drop=True)
    made = sampling.reconstruct(model, probekit.tap(model, "mid"), image, n_samples=n, progress=False, **how)
    with torch.no_grad():
        energies = model.analysis(torch.as_tensor(made["samples"].values[0])).square().mean((2, 3)).numpy()
    return made, energies[:, :2], model


def down(levels: int) -> np.ndarray:
    return np.geomspace(1, LAST, levels)


def split_error(energies: np.ndarray, law: SplitLaw) -> tuple[float, float]:
    first = energies[:, 0]
    return float((first.mean() - law.mean()) / law.std()), float(first.std(ddof=1) / law.std())


def print_energies(n: int) -> None:
    print("variances    φ     P   error of the mean  ratio  gradients  passes")
    for variances, phi, positions in ENERGIES:
        made, energies, _ = sampled((variances,), (1.0,), phi, positions, n, sigmas=down(20))
        away, ratio = split_error(energies, SplitLaw(variances, phi=phi, positions=positions))
        taken = float(made.guidance_steps.sum("level").mean()), float(made.evaluations.mean())
        print(f"{variances!s:12s} {phi:<5g} {positions:<3d} {away:6.2f} {ratio:17.2f} {taken[0]:10.0f} {taken[1]:7.0f}")


def print_shares(n: int) -> None:
    print("variances, φ: exact share of the first; by levels and correctors: share, excess of the second, persistence")
    for classes, prior, phi in SHARES:
        said, exact = [], math.nan
        for levels, options in WAYS:
            made, energies, model = sampled(classes, prior, phi, 64, n, sigmas=down(levels), **options)
            likely = [math.log(p) - 32 * (np.log(v) + energies / v).sum(1) for p, v in zip(prior, classes, strict=True)]
            kinds = np.array(["first", "second"], dtype=object)[np.argmax(likely, axis=0)][None]
            told = sampling.shares(made.assign_coords(kind=(("image", "sample"), kinds)), groups="kind").isel(image=0)
            exact = float(model.posterior_given_phi([phi, 0], rows=16, cols=16)[0, 0])
            excess = float(told.excess.sel(group="second")) if "second" in kinds else math.nan
            name = f"{levels} levels, {', '.join(f'{k}={v}' for k, v in options.items()) or 'as it is'}"
            said.append(f"{name}: {float((kinds == 'first').mean()):.2f}, {excess:.2f}, {float(told.persistence):.2f}")
        print(f"{classes}, {phi}: {exact:.2f}; {'; '.join(said)}", flush=True)


def print_tails(n: int) -> None:
    print("φ: work a level, error of the first energy in exact standard deviations")
    for phi in TAILS:
        made, energies, _ = sampled(((0.2, 0.05),), (1.0,), phi, 64, n, sigmas=down(20))
        away, _ = split_error(energies, SplitLaw((0.2, 0.05), phi=phi, positions=64))
        print(f"{phi:4g}: {float(sampling.shares(made).work.mean()) / 19:.2f}, {away:.2f}")


if __name__ == "__main__":
    main()
