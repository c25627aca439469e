"""How often types of channel are right: coverage of shares, what is told of each type, false alarms, groups of images.

Channels whose types are known by construction, φ = rest + activity + a normal error of 0.05 per value. A network has 60
channels: 10 % silent, 40 % common, 20 % suppressed, 20 % selective, 10 % mixed, drawn.

Run: python benchmarks/channel_types.py [--networks 50]
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable

import numpy as np
import xarray as xr

from analyses import selectivity
from probekit import labels

ERROR, EACH = 0.05, 60
SHARES = {"silent": 0.1, "common": 0.4, "suppressed": 0.2, "selective": 0.2, "mixed": 0.1}
Law = Callable[[np.random.Generator, tuple[int, int]], np.ndarray]
KNOWN: dict[str, Law] = {
    "silent": lambda _, size: np.zeros(size),
    "common": lambda rng, size: rng.normal(1, 0.2, size),
    "suppressed": lambda rng, size: -(1 + 0.3 * rng.standard_normal(size)),
    "selective": lambda rng, size: np.where(rng.random(size) < 0.12, 0.5 + rng.exponential(0.5, size), 0),
    "mixed": lambda rng, size: 0.6 + rng.exponential(0.5, size),
}


def far(share: float, deviations: float) -> Law:
    """Normal, but for a share of images so many standard deviations of the whole law out, on either side."""
    out = deviations * math.sqrt((1 - share) / (1 - deviations**2 * share))

    def drawn(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
        normal = rng.standard_normal(size)
        return 10 + np.where(rng.random(size) < share, rng.choice([-1, 1], size) * out, normal)

    return drawn


# Of none of the types named.
NULLS: dict[str, tuple[Law, str]] = {
    "Laplace about rest": (lambda rng, size: rng.laplace(0, 1, size), "selective"),
    "−(1 + 0.3 N)": (KNOWN["suppressed"], "common"),
    "1.2 % of images 4 sd out": (far(0.01221, 4), "common"),
    "0.65 % of images 5 sd out": (far(0.00652, 5), "common"),
    "0.42 % of images 6 sd out": (far(0.0042, 6), "common"),
    "0.2 % of images 8 sd out": (far(0.00201, 8), "common"),
}


def dataset(activity: np.ndarray, networks: int, draws: int, seed: int) -> xr.Dataset:
    """φ about a rest of 40; each network is a tap."""
    rng = np.random.default_rng(seed)
    images, channels = activity.shape

    def error(*shape: int) -> np.ndarray:
        return ERROR * np.sqrt(rng.chisquare(draws - 1, shape) / (draws - 1))

    arrays = {
        "phi": (40 + activity + ERROR * rng.standard_normal(activity.shape))[:, None],
        "phi_se": error(images, 1, channels),
        "rest": 40 + ERROR * rng.standard_normal((1, channels)),
        "rest_se": error(1, channels),
    }
    return labels.representation(
        arrays,
        ids=[str(i) for i in range(images)],
        labels=None,
        sigma=[0.1],
        channels={f"network {k}": channels // networks for k in range(networks)},
        attrs={"draws": draws},
    )


def of_known(images: int, networks: int, draws: int) -> tuple[xr.Dataset, np.ndarray]:
    """Networks whose channels' types are drawn, and the types."""
    rng = np.random.default_rng(images)
    kinds = rng.choice(list(SHARES), size=networks * EACH, p=list(SHARES.values()))
    activity = np.empty((images, len(kinds)))
    for kind, law in KNOWN.items():
        activity[:, kinds == kind] = law(rng, (images, int((kinds == kind).sum())))
    return dataset(activity, networks, draws, seed=images), kinds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", type=int, default=50)
    networks = parser.parse_args().networks
    print("told, and share of networks whose interval covers")
    print("draws  images  " + "".join(f"{kind:>18}" for kind in SHARES))
    for draws in (4, 20):
        for images in (50, 200, 500, 1000, 2000):
            data, kinds = of_known(images, networks, draws)
            found = selectivity.analyse(data, resamples=100).isel(sigma=0)
            cells = []
            for kind, share in SHARES.items():
                told = (found["type"].values[kinds == kind] == kind).mean()
                here = found.sel(kind=kind)
                covers = ((here["fraction_low"] <= share) & (here["fraction_high"] >= share)).mean()
                cells.append(f"{told:>10.0%}, {covers.item():>6.0%}")
            print(f"{draws:5d}  {images:6d}  " + "".join(cells))
    print("\nof channels that are not of the type: p < 0.05, and networks of 60 with any called so")
    for name, (law, kind) in NULLS.items():
        for images in (200, 500, 1000, 2000):
            activity = law(np.random.default_rng(images), (images, networks * EACH))
            found = selectivity.analyse(dataset(activity, networks, 4, seed=1), resamples=100)
            below = (found[f"p_{kind}"] < 0.05).mean().item()
            called = (found["number"].sel(kind=kind) > 0).mean().item()
            print(f"{name:26} {kind:10} {images:5d} images  {below:6.3f}  {called:6.2f}")
    print("\neach of 200 images five times, laws equally close: networks of 60 with any channel called selective")
    gamma = (np.random.default_rng(2).gamma(2.8993, size=(200, networks * EACH)) - 2.8993) / math.sqrt(2.8993)
    once = dataset(0.3 + 0.35 * gamma, networks, 10, seed=3)
    five = once.isel(image=np.repeat(np.arange(200), 5))
    five = five.assign_coords(
        photograph=("image", five["image"].values), image=np.arange(1000).astype(str).astype(object)
    )
    for name, data, clusters in (("once", once, None), ("five", five, None), ("five, named", five, "photograph")):
        found = selectivity.analyse(data, clusters=clusters, resamples=100)
        print(f"{name:12} {(found['number'].sel(kind='selective') > 0).mean().item():.2f}")


if __name__ == "__main__":
    main()
