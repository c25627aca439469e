"""Where subspaces are recovered, against noise and overlap, and how right confident answers are; draws recovery.png.

Run: python benchmarks/recovery_region.py [--repeats 10] [--out docs/figures/recovery.png]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from analyses import subspaces
from probekit.synthetic.subspaces import union_of_subspaces

NOISE = (0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4)
OVERLAP = (0, 1, 2, 3, 4)
NUMBER, SUPPORT, IMAGES = 5, 8, 300


def answers(noise: float, overlap: int, repeats: int) -> np.ndarray:
    """Whether right, and confidence, (repeats, 2)."""
    found = []
    for seed in range(repeats):
        data, truth = union_of_subspaces(
            IMAGES, n_channels=64, n_subspaces=NUMBER, support=SUPPORT, overlap=overlap, noise=noise, seed=seed
        )
        fitted = subspaces.fit(data)
        result = subspaces.score(fitted, truth)
        right = result.number_right.item() and result.accuracy.item() >= 0.95
        found.append((right, fitted.confidence.item()))
    return np.array(found, float)


def draw(table: np.ndarray) -> Figure:
    """The figure of answers (noise, overlap, repeats, 2)."""
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    left, middle, right = figure.subplots(1, 3, width_ratios=(1, 1, 0.9))
    for axes, values, title in (
        (left, table[..., 0].mean(axis=2), "Share of answers that are right"),
        (middle, table[..., 1].mean(axis=2), "Mean confidence"),
    ):
        image = axes.imshow(values.T, origin="lower", vmin=0, vmax=1, aspect="auto", cmap="viridis")
        for i, j in np.ndindex(values.shape):
            shade = "black" if values[i, j] > 0.6 else "white"
            axes.text(i, j, f"{values[i, j]:.1f}", ha="center", va="center", color=shade, fontsize=8)
        axes.set_xticks(range(len(NOISE)), [f"{n:g}" for n in NOISE])
        axes.set_yticks(range(len(OVERLAP)), [f"{o / SUPPORT:g}" for o in OVERLAP])
        axes.set(xlabel="noise, mean activity = 1", ylabel="overlap of neighbouring supports", title=title)
        figure.colorbar(image, ax=axes, shrink=0.8)
    answered, confidence = table[..., 0].ravel(), table[..., 1].ravel()
    edges = np.array([0, 0.3, 0.6, 0.9, 1.001])
    bins = np.digitize(confidence, edges) - 1
    counts = np.bincount(bins, minlength=4)[:4]
    shares = np.bincount(bins, answered, minlength=4)[:4] / np.maximum(counts, 1)
    bars = right.bar(range(4), shares, color="C0")
    right.bar_label(bars, [f"n = {n}" for n in counts], fontsize=8)
    right.set_xticks(range(4), ["< 0.3", "0.3–0.6", "0.6–0.9", "≥ 0.9"])
    right.axhline(0.95, color="grey", linestyle="--", linewidth=1)
    right.text(-0.4, 0.955, "95 %", color="grey", fontsize=8, va="bottom")
    right.set(xlabel="confidence", ylabel="share right", ylim=(0, 1.12), title="Confident answers are right")
    figure.suptitle(
        f"{NUMBER} coordinate subspaces of {SUPPORT} channels, 4 common channels, {IMAGES} images, 64 channels"
    )
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "docs" / "figures" / "recovery.png")
    options = parser.parse_args()
    table = np.array([[answers(noise, overlap, options.repeats) for overlap in OVERLAP] for noise in NOISE])
    draw(table).savefig(options.out, dpi=130)
    confident = table[..., 1] >= 0.9
    share = table[..., 0][confident].mean()
    print(f"{confident.sum()} of {confident.size} answers have confidence ≥ 0.9; {share:.1%} of these are right")
    print(options.out)


if __name__ == "__main__":
    main()
