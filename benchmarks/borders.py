"""What the outermost ring of positions, which zero padding reaches first, does to φ: the table of docs/analyses.md.

Run: python benchmarks/borders.py [--network photo32] [--images 357] [--draws 10]
"""

from __future__ import annotations

import argparse

import numpy as np

import probekit
from analyses import sparsity
from analyses.ground import block_names, untrained_twins

SIGMA = 0.2


def changes(whole: np.ndarray, inside: np.ndarray) -> float:
    """‖φ inside − φ‖/‖φ‖ over images and channels."""
    return float(np.linalg.norm(inside - whole) / np.linalg.norm(whole))


def main() -> None:
    """Print a line for each network and reduction."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", default="photo32")
    parser.add_argument("--images", type=int, default=357)
    parser.add_argument("--draws", type=int, default=10)
    asked = parser.parse_args()
    trained = probekit.load(asked.network)
    blocks = block_names(trained)
    images = probekit.images.load("samples", size=32)
    images = images.subset(np.linspace(0, len(images) - 1, asked.images).astype(int).tolist())
    print(f"| participation ratio at σ = {SIGMA:g} | {' | '.join(blocks)} |")
    print("|---|" + "---|" * len(blocks))
    for name, network in {asked.network: trained, **untrained_twins(trained)}.items():
        phi = {}
        for reduce in ("mean", "mean_inside"):
            tap = probekit.tap(network, *blocks, reduce=reduce)
            data = tap(images, sigma=[SIGMA], draws=asked.draws, keep_draws=True)
            found = sparsity.analyse(data, clusters="label")["sparsity"]
            ratios = found.sel(vector="draw", measure="participation_ratio", sigma=SIGMA)
            cells = [f"{ratios.sel(block=block).item():.3f}" for block in blocks]
            print(f"| {name}, `{reduce}` | {' | '.join(cells)} |", flush=True)
            phi[reduce] = [data["phi"].values[:, 0, data["tap"].values == block] for block in blocks]
        cells = [f"{changes(*pair):.2f}" for pair in zip(phi["mean"], phi["mean_inside"], strict=True)]
        print(f"| {name}, change of φ | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
