"""Which factors of procedural images distances in φ follow, and which are read from φ; beside untrained, pixels, gist.

Distances: Spearman's correlation, over all pairs of images, of distances in φ at the middle block with the distance in
each factor alone, jackknife intervals over images. Reading: R² of numeric factors by ridge regression and accuracy of
shape and texture by a linear classifier, on images not fitted on. Differences are paired over images.
Draws docs/figures/shape_factors.png and shape_reading.png.

Run: python benchmarks/shape_factors.py [--network shapes32] [--images 600] [--draws 4] [-o docs/figures]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import probekit
from analyses import factors, probe, semantics
from analyses.ground import GUIDE, PALETTE
from probekit.machine.modes import flushed_denormals
from probekit.synthetic import shapes

SIGMAS, SEED, TAP = (0.1, 0.3, 0.6), 2, "mid"
# How numeric factors are scaled; hue is a circle, and left out.
NUMERIC = {
    "count": "log",
    "area": "log",
    "aspect": "linear",
    "position_row": "linear",
    "position_col": "linear",
    "frequency": "log",
    "contrast": "log",
    "brightness": "linear",
}
NAMED = ("shape", "texture")
COLOURS = {
    "trained": PALETTE["trained"],
    "untrained": PALETTE["untrained"],
    "untrained, paper's gains": "black",
    "pixels": PALETTE["descriptor"],
    "gist": PALETTE["other network"],
}


def factor_distances(truth: xr.Dataset) -> dict[str, xr.DataArray]:
    """Distances of all pairs in each factor, (image, other_image)."""
    other = truth.drop_vars("image").rename(image="other_image")
    found = shapes.factor_distances(truth.drop_vars("image"), other)
    return {str(name): found[name].transpose("image", "other_image") for name in found.data_vars}


def correlated(phi: dict[str, xr.Dataset], truth: xr.Dataset) -> dict[str, xr.Dataset]:
    """Correlations of distances at the least noise level, by representation."""
    distances, count = factor_distances(truth), truth.sizes["image"]
    return {
        name: semantics.correlate(
            data.isel(sigma=[0]),
            distances,
            distances=["euclidean"],
            statistics=["spearman"],
            permutations=0,
            max_images=count,
        ).isel(sigma=0, block=0, distance=0, statistic=0, given=0)
        for name, data in phi.items()
    }


def read(phi: dict[str, xr.Dataset], truth: xr.Dataset) -> dict[str, dict[str, xr.Dataset]]:
    """How well each factor is read, (sigma), by factor and representation, with the difference of what is trained."""
    found: dict[str, dict[str, xr.Dataset]] = {}
    half = truth.sizes["image"] // 2
    for name in (*NUMERIC, *NAMED):
        made = {}
        for row, data in phi.items():
            data = data.assign_coords({name: ("image", truth[name].values)})
            if name in NAMED:
                train, test = data.isel(image=slice(half)), data.isel(image=slice(half, None))
                made[row] = probe.analyse(train, test, label=name)
            else:
                bins = None if name == "count" else 10
                made[row] = factors.analyse(data, factor=name, scale=NUMERIC[name], bins=bins)
        number, compare = ("accuracy", probe.compare) if name in NAMED else ("r2", factors.compare)
        less = {row: compare(made["trained"], one) for row, one in made.items() if row != "trained"}
        found[name] = {row: _numbers(one.isel(block=0), number) for row, one in made.items()}
        for row, one in less.items():
            found[name][row] = found[name][row].assign(
                {f"less{end}": ("sigma", one[f"{number}{end}"].values.reshape(-1)) for end in ("", "_low", "_high")}
            )
    return found


def _numbers(one: xr.Dataset, number: str) -> xr.Dataset:
    """A number with its interval at every noise level; pixels and gist have one, which stands for all."""
    found = xr.Dataset({f"value{end}": one[f"{number}{end}"] for end in ("", "_low", "_high")})
    return found if found.sizes["sigma"] > 1 else found.isel(sigma=[0] * len(SIGMAS)).assign_coords(sigma=list(SIGMAS))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", default="shapes32")
    parser.add_argument("--images", type=int, default=600)
    parser.add_argument("--draws", type=int, default=4)
    parser.add_argument("-o", "--out", type=Path, default=Path("docs/figures"))
    options = parser.parse_args()
    images, truth = shapes.draw(options.images, seed=SEED)
    trained = probekit.load(options.network)
    with flushed_denormals():
        data = probekit.tap(trained, TAP)(images, sigma=SIGMAS, draws=options.draws)
        phi = {"trained": data, **factors.controls(trained, data, images)}
    found, reading = correlated(phi, truth), read(phi, truth)
    options.out.mkdir(parents=True, exist_ok=True)
    drawn(found).savefig(options.out / "shape_factors.png", dpi=130)
    drawn_reading(reading).savefig(options.out / "shape_reading.png", dpi=130)
    print(f"Spearman's correlation of distances, σ = {SIGMAS[0]:g}, {options.images} images\n")
    print(_lines(["factor", *found]))
    for factor in next(iter(found.values()))["other"].values:
        cells = [one.sel(other=factor) for one in found.values()]
        ends = [f"{c.correlation:.3f} [{c.correlation_low:.3f}, {c.correlation_high:.3f}]" for c in cells]
        print(_lines([str(factor), *ends]))
    print("\nR², of shape and texture accuracy; arrows: what is trained is above or below it, 95 %\n")
    print(_lines(["factor", "σ", *phi]))
    for factor, rows in reading.items():
        for s, sigma in enumerate(SIGMAS):
            print(_lines([factor, f"{sigma:g}", *(_cell(one, s) for one in rows.values())]))


def _cell(one: xr.Dataset, s: int) -> str:
    at = one.isel(sigma=s)
    mark = "" if "less" not in one else " ↑" if at.less_low > 0 else " ↓" if at.less_high < 0 else ""
    return f"{at.value.item():.2f}{mark}"


def _lines(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def drawn(found: dict[str, xr.Dataset]) -> Figure:
    """Correlations of distances, a row a factor."""
    figure = Figure(figsize=(8, 4.6), layout="constrained")
    axis = figure.subplots()
    factors_ = list(map(str, next(iter(found.values()))["other"].values))
    for i, (name, one) in enumerate(found.items()):
        ends = [one["correlation"].values, one["correlation_low"].values, one["correlation_high"].values]
        _points(axis, np.arange(len(factors_)) + 0.15 * (i - 2), ends, name)
    axis.set_yticks(np.arange(len(factors_)), [factor.replace("_", " ") for factor in factors_])
    axis.set(xlabel="Spearman's correlation of distances with distance in the factor, over pairs (bars: 95 %)")
    axis.axvline(0, **GUIDE)
    axis.invert_yaxis()
    axis.legend(frameon=False, fontsize=8)
    return figure


def drawn_reading(reading: dict[str, dict[str, xr.Dataset]]) -> Figure:
    """How well factors are read, a panel a noise level, a row a factor."""
    figure = Figure(figsize=(11, 4.8), layout="constrained")
    axes = figure.subplots(1, len(SIGMAS), sharey=True, sharex=True)
    for s, axis in enumerate(axes):
        for i, row in enumerate(next(iter(reading.values()))):
            each = [one[row].isel(sigma=s) for one in reading.values()]
            ends = [np.array([one[f"value{end}"].item() for one in each]) for end in ("", "_low", "_high")]
            _points(axis, np.arange(len(reading)) + 0.15 * (i - 2), ends, row)
        axis.axvline(0, **GUIDE)
        axis.set(title=f"σ = {SIGMAS[s]:g}", xlim=(-0.2, 1.02), xlabel="R², or accuracy")
    axes[0].set_yticks(np.arange(len(reading)), [factor.replace("_", " ") for factor in reading])
    axes[0].invert_yaxis()
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=5, frameon=False, fontsize=8)
    return figure


def _points(axis: Axes, y: np.ndarray, ends: list[np.ndarray], name: str) -> None:
    middle, low, high = ends
    errors = np.maximum(0, np.stack([middle - low, high - middle]))
    axis.errorbar(middle, y, xerr=errors, fmt="o", ms=3.5, lw=1, color=COLOURS[name], label=name)


if __name__ == "__main__":
    main()
