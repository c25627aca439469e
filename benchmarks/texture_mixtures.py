"""Samples between two textures: of (1 − s) φ₁ + s φ₂, and how far their statistics lie from both photographs.

Patches of photographs are taken two by two, as by `synthesis`; distances are those of `texture_statistics`, in standard
deviations of patches of a photograph. Needs plenoptic, `pip install plenoptic`.

Run: python benchmarks/texture_mixtures.py [--textures unseen.zip] [--network texture48] [--size 64] [-o mixtures/]
"""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from synthesis import arguments, patches
from texture_statistics import texture_statistics

import probekit
from analyses import sampling
from analyses.ground import picture, saved
from probekit.errors import InputError
from probekit.images import ImageSet
from probekit.phi.tap import Tap

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)


def main() -> None:
    options = arguments(__doc__, network="texture48", size=64, out="mixtures").parse_args()
    if options.photographs % 2:
        raise InputError(f"--photographs {options.photographs}: give an even number, two by two")
    given, _, reference = patches(options.textures, options.size, options.photographs, options.seed)
    network = probekit.load(options.network)
    tap = probekit.tap(network, options.tap)
    sigmas = list(np.geomspace(1, 0.01, options.levels))
    line = mixtures(tap, given, sigmas)
    samples = sampling.reconstruct(
        network,
        tap,
        sampling.Condition.from_phi(tap, line, sigmas, shape=given.shape),
        n_samples=options.samples,
        seed=options.seed,
        progress=False,
    )
    print(f"{options.network}, {len(given) // 2} pairs, patches of {options.size}, {options.samples} samples of each")
    print("share of second   to first  to second  to others  error of φ")
    for share, one in distances(samples, given, reference).groupby("share"):
        means = (one[name].mean() for name in ("first", "second", "others"))
        print(f"{share:15g}", *(f"{float(mean):9.2f}" for mean in means), f"{float(one.match.median()):11.1%}")
    print(*saved(options.out, ("mixtures", drawn(given, samples))))


def mixtures(tap: Tap, given: ImageSet, sigmas: list[float]) -> xr.Dataset:
    """φ on the lines between images two by two, joined along `image`."""
    phi = tap(given, sigma=sigmas, draws=10, progress=False)
    pairs = [(phi.isel(image=[i]), phi.isel(image=[i + 1])) for i in range(0, len(given) - 1, 2)]
    return xr.concat([sampling.interpolate(*pair, SHARES) for pair in pairs], "image", combine_attrs="override")


def distances(samples: xr.Dataset, given: ImageSet, reference: ImageSet) -> xr.Dataset:
    """Distances to the first photograph of each pair, to the second, and to the others, (image, sample)."""
    ends = np.array(given.labels, dtype=object)[: samples.sizes["image"] // len(SHARES) * 2].reshape(-1, 2)
    found = {}
    for name, own in zip(("first", "second"), ends.T, strict=True):
        labelled = samples.drop_vars("label", errors="ignore").assign_coords(
            label=("image", np.repeat(own, len(SHARES)))
        )
        found[name] = texture_statistics(labelled, reference)
    count = len(np.unique(np.array(reference.labels, dtype=object)))
    # The mean over all but the first holds the second.
    others = (found["first"].distance_other * (count - 1) - found["second"].distance_own) / max(count - 2, 1)
    return xr.Dataset(
        {
            **{name: one.distance_own.drop_vars("label", errors="ignore") for name, one in found.items()},
            "others": others.drop_vars("label", errors="ignore"),
            "match": samples.match,
        }
    )


def drawn(given: ImageSet, samples: xr.Dataset) -> Figure:
    """A row a pair: its first patch, a sample at each share, its second."""
    rows = samples.sizes["image"] // len(SHARES)
    figure = Figure(figsize=(1.2 * (len(SHARES) + 2), 1.3 * rows + 0.2), layout="constrained")
    axes = figure.subplots(rows, len(SHARES) + 2, squeeze=False)
    for i, row in enumerate(axes):
        first, second = (given.read([2 * i + k]).numpy()[0] for k in (0, 1))
        between = samples["samples"].values[i * len(SHARES) : (i + 1) * len(SHARES), 0]
        for axis, image in zip(row, [first, *between, second], strict=True):
            picture(axis, np.clip(image, 0, 1), limits=(0, 1))
    for axis, title in zip(axes[0], ["photograph", *(f"share {s:g}" for s in SHARES), "photograph"], strict=True):
        axis.set_title(title, fontsize=7)
    return figure


if __name__ == "__main__":
    main()
