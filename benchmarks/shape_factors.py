"""Which factors of procedural images do distances in φ follow: the denoiser trained on them, untrained, and pixels.

Spearman's correlation, over all pairs of images, of distances in φ at the middle block with the distance in each
factor alone, with jackknife intervals, and its difference from that of pixels. Draws docs/figures/shape_factors.png.

Run: python benchmarks/shape_factors.py [--images 600] [--draws 4] [-o shape_factors.png]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

import probekit
from analyses import descriptors, semantics
from probekit.machine.modes import flushed_denormals
from probekit.models import zoo
from probekit.synthetic import shapes

SIGMA, SEED = 0.1, 2
COLOURS = {"shapes32": "tab:blue", "shapes32-untrained": "0.5", "photo32": "tab:green", "pixels": "tab:orange"}


def factor_distances(truth: xr.Dataset) -> dict[str, xr.DataArray]:
    """Distances of all pairs in each factor, (image, other_image)."""
    other = truth.drop_vars("image").rename(image="other_image")
    found = shapes.factor_distances(truth.drop_vars("image"), other)
    return {str(name): found[name].transpose("image", "other_image") for name in found.data_vars}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=600)
    parser.add_argument("--draws", type=int, default=4)
    parser.add_argument("-o", "--out", type=Path, default=Path("docs/figures/shape_factors.png"))
    options = parser.parse_args()
    images, truth = shapes.draw(options.images, seed=SEED)
    trained = probekit.load("shapes32")
    networks = {"shapes32": trained, "shapes32-untrained": zoo.untrained(trained), "photo32": probekit.load("photo32")}
    pixels = descriptors.pixels(probekit.images.load(images))
    factors = factor_distances(truth)
    found = {}
    for name, network in networks.items():
        with flushed_denormals():
            data = probekit.tap(network, "mid")(images, sigma=[SIGMA], draws=options.draws)
        found[name] = semantics.correlate(
            data,
            factors,
            controls={"pixels": pixels},
            distances=["euclidean"],
            statistics=["spearman"],
            permutations=0,
            max_images=options.images,
        ).isel(sigma=0, block=0, distance=0, statistic=0, given=0)
    figure = drawn(found, list(factors))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(options.out, dpi=130)
    print("factor        " + "".join(f"{name:>30s}" for name in [*found, "pixels"]))
    for factor in factors:
        cells = []
        for part in found.values():
            one = part.sel(other=factor)
            low, high = float(one.difference_low.item()), float(one.difference_high.item())
            against = "above" if low > 0 else "below" if high < 0 else "like"
            ends = f"[{one.correlation_low.item():.3f}, {one.correlation_high.item():.3f}]"
            cells.append(f"{one.correlation.item():6.3f} {ends} {against}")
        cells.append(f"{found['shapes32'].control_correlation.sel(other=factor).item():.3f}")
        print(f"{factor:14s}" + "".join(f"{cell:>30s}" for cell in cells))
    print(f"above, below, like: than pixels, 95 %; {options.images} images, σ = {SIGMA:g}; wrote {options.out}")


def drawn(found: dict[str, xr.Dataset], factors: list[str]) -> Figure:
    figure = Figure(figsize=(8, 4.6), layout="constrained")
    axis = figure.subplots()
    rows = np.arange(len(factors))
    for i, (name, part) in enumerate(found.items()):
        one = part.sel(other=factors)
        errors = np.abs(np.stack([one.correlation_low, one.correlation_high]) - one.correlation.values)
        place = rows + 0.18 * (i - 1.5)
        axis.errorbar(one.correlation, place, xerr=errors, fmt="o", ms=4, color=COLOURS[name], label=f"φ of {name}")
    pixels = found["shapes32"].control_correlation.sel(other=factors).values.ravel()
    axis.plot(pixels, rows + 0.27, "D", ms=4, color=COLOURS["pixels"], label="pixels")
    axis.axvline(0, color="0.7", lw=0.8)
    axis.set_yticks(rows, [factor.replace("_", " ") for factor in factors])
    axis.invert_yaxis()
    axis.set(xlabel="Spearman's correlation of distances with distance in the factor, over pairs (bars: 95 %)")
    axis.legend(frameon=False, fontsize=8)
    return figure


if __name__ == "__main__":
    main()
