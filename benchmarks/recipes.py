"""What wakes the middle block: sparsity and neighbours of `mid` through training, by several recipes.

Each RUN is a folder that `probekit train --keep-every` wrote. Patches of photographs of textures, in colour and on
grey of equal mean and contrast, go through the network at every step kept, and through its untrained twins, both
gains: how many channels share the activity (participation ratio), and how often a patch's nearest neighbour in φ of
`mid`, standardised, is of the same photograph. Findings are kept in the output folder, a file a run; the figure and
the table are made of all.

Run: python benchmarks/recipes.py train.zip RUN [RUN …] -o recipes/ [--figure docs/figures/recipes.png]
"""

from __future__ import annotations

import argparse
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from matplotlib import colormaps
from matplotlib.figure import Figure
from torch import nn

import probekit
from analyses import descriptors, sparsity, textures
from analyses.ground import saved, untrained_twins
from probekit.images import ImageSet
from probekit.machine.modes import flushed_denormals
from probekit.train import at_step, steps_kept

SIGMA, DRAWS, TAP = (0.1, 0.3), 4, "mid"
FORMS = ("colour", "grey")
MEASURES = {
    "participation_ratio": "participation ratio of mid",
    "colour": "nearest patch of the same photograph",
    "grey": "the same, equalised grey",
}


def looked_at(network: nn.Module, images: dict[str, ImageSet]) -> xr.Dataset:
    """Participation ratio and rates of the middle block, (sigma), with intervals."""
    found: dict[str, Any] = {}
    for form, patches in images.items():
        with warnings.catch_warnings():
            # Equal mean and contrast are more than a range of intensities.
            warnings.filterwarnings("ignore", "images of .* reach from", UserWarning)
            data = probekit.tap(network, TAP)(patches, sigma=SIGMA, draws=DRAWS, keep_draws=True, progress=False)
        rates = textures.analyse({"network": data}, distances=["standardised"], resamples=400)
        at = {"representation": "network", "block": TAP, "distance": "standardised"}
        for end in ("", "_low", "_high"):
            found[form + end] = rates[f"rate{end}"].sel(at, drop=True)
        if form == "colour":
            ratios = sparsity.participation_ratio(data["phi"].transpose("sigma", "image", "channel").values)
            found["participation_ratio"] = ("sigma", ratios.mean(1))
    return xr.Dataset(found)


@flushed_denormals()
def followed(run: Path, images: dict[str, ImageSet]) -> xr.Dataset:
    """A run at every step kept, and untrained, along `network`."""
    name = run.name
    trained = probekit.load(run / f"{name}.safetensors")
    kept = [step for step in steps_kept(run) if step]
    networks = {f"step {step}": at_step(trained, run, step) for step in kept} | untrained_twins(trained)
    parts = [looked_at(network, images) for network in networks.values()]
    steps = [*kept, *[0] * (len(networks) - len(kept))]
    card = json.loads((run / f"{name}.json").read_text(encoding="utf-8"))["card"]
    per_step = card["images seen"] / card["steps"]
    found = xr.concat(parts, "network", combine_attrs="drop").assign_coords(
        network=list(networks), images_seen=("network", [step * per_step for step in steps])
    )
    psnr = dict(zip(card["psnr"]["sigma"], card["psnr"]["denoiser"], strict=True))
    return found.assign_attrs(psnr=psnr[0.1])


def drawn(found: dict[str, xr.Dataset], sigma: float) -> Figure:
    """A panel a measure, a line a run; at 0 images the untrained networks: gains of 1 open, the paper's crossed."""
    figure = Figure(figsize=(11, 3.8), layout="constrained")
    axes = figure.subplots(1, len(MEASURES))
    colours = colormaps["tab20"](np.linspace(0, 1, 20))[: len(found)]
    for axis, (measure, said) in zip(axes, MEASURES.items(), strict=True):
        for (name, one), colour in zip(found.items(), colours, strict=True):
            here = one.sel(sigma=sigma)
            steps = here.isel(network=here["images_seen"].values > 0)
            axis.plot(steps["images_seen"] / 1000, steps[measure], "o-", ms=2.5, lw=1, color=colour, label=name)
            for twin, marker in zip(
                here.isel(network=here["images_seen"].values == 0)["network"].values, "ox", strict=False
            ):
                value = here[measure].sel(network=twin)
                axis.plot([0], [value], marker, ms=5, color=colour, markerfacecolor="none")
        axis.set(xlabel="thousand images seen", title=said, ylim=(0, None))
        axis.title.set_fontsize(9)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right", frameon=False, fontsize=8)
    return figure


def table(found: dict[str, xr.Dataset], sigma: float) -> str:
    """The last step of each run, and its untrained twins, as Markdown."""
    lines = ["| recipe | PSNR at σ = 0.1 | PR of `mid` | colour | grey |", "| --- | --- | --- | --- | --- |"]
    for name, one in found.items():
        here = one.sel(sigma=sigma)
        last = here.isel(network=int(np.argmax(here["images_seen"].values)))
        twins = here.isel(network=here["images_seen"].values == 0)
        cells = [name, f"{one.attrs['psnr']:.2f}"]
        for measure in MEASURES:
            others = " / ".join(f"{value:.2f}" for value in twins[measure].values)
            ends = [last[f"{measure}{end}"].item() for end in ("_low", "_high")] if measure in FORMS else []
            interval = f" [{ends[0]:.2f}, {ends[1]:.2f}]" if ends else ""
            cells.append(f"**{last[measure].item():.2f}**{interval}; {others}")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photographs", type=Path)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--size", type=int, default=32, help="side of a patch; nine are cut of a photograph")
    parser.add_argument("--count", type=int, default=100, help="photographs, evenly spread over the archive")
    parser.add_argument("--sigma", type=float, default=SIGMA[0], choices=SIGMA, help="noise level that is shown")
    parser.add_argument("--figure", type=Path, default=None)
    parser.add_argument("-o", "--out", type=Path, default=Path("recipes"))
    options = parser.parse_args()
    cut = textures.patches(options.photographs, size=options.size, side=3 * options.size, each=9, bands=3)
    names = np.asarray(cut.labels)
    every = np.unique(names)
    chosen = every[np.linspace(0, len(every) - 1, min(options.count, len(every))).round().astype(int)]
    images = {"colour": cut.subset(np.flatnonzero(np.isin(names, chosen)).tolist())}
    images["grey"] = descriptors.equalised(images["colour"])
    found = {}
    for run in options.runs:
        kept = options.out / f"{run.name}.nc"
        if not kept.exists():
            saved(options.out, (run.name, followed(run, images)))
        found[run.name] = xr.load_dataset(kept, engine="h5netcdf")
        print(f"{run.name} done", flush=True)
    figure = options.figure or options.out / "recipes.png"
    figure.parent.mkdir(parents=True, exist_ok=True)
    drawn(found, options.sigma).savefig(figure, dpi=140)
    print(table(found, options.sigma))


if __name__ == "__main__":
    main()
