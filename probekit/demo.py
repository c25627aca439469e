"""The main job: φ of the built-in photographs at every tap of a trained denoiser, and what it shows."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from scipy.spatial.distance import cdist
from scipy.stats import kurtosis, skew

from analyses._stats import cluster_bootstrap_mean, participation_ratio
from probekit.images import ImageSet, load
from probekit.models import zoo
from probekit.representation import tap

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.axes import Axes


__all__ = ["run"]

SIGMA = (0.05, 0.1, 0.2, 0.3, 0.5, 0.8, 1.0)
SHOWN_SIGMA = 0.2
SELECTIVE, SHOWN, ALIKE = 6, 8, 2
QUERIES = ("chelsea", "coffee", "china", "grass", "rocket", "page")
NEIGHBOURS = 7


class Sparsity(NamedTuple):
    """Participation ratio per block: mean over images and draws (block, sigma), and its interval over photographs."""

    blocks: tuple[str, ...]
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray


def run(
    out: str | Path, *, name: str = "photo32", draws: int = 10, seed: int = 0, say: Callable[[str], object] = print
) -> Path:
    """Measure, save and draw; the folder then holds ``phi.nc`` and three figures.

    Parameters
    ----------
    out
        Folder for the results, made if need be.
    name
        Denoiser: a bundled name or the path of its weights.
    draws
        Noise draws per image and noise level.
    seed
        Of the noise.
    say
        Where the summary goes, line by line.

    Returns
    -------
    Path
        The folder.
    """
    began = time.monotonic()
    out = Path(out)
    denoiser = zoo.load(name)
    images = load("samples", size=32)
    blocks = zoo.tap_names(denoiser)
    say(f"{denoiser.name}: φ of {len(images)} photograph crops at {', '.join(blocks)} for {len(SIGMA)} noise levels")
    data = tap(denoiser, *blocks)(images, sigma=SIGMA, draws=draws, seed=seed, keep_draws=True)
    control = tap(zoo.untrained(denoiser), *blocks)(images, sigma=SIGMA, draws=1, seed=seed, keep_draws=True)
    out.mkdir(parents=True, exist_ok=True)
    data.drop_vars(["phi_draws", "draw"]).to_netcdf(out / "phi.nc", engine="h5netcdf")

    trained, untrained = _sparsity(data), _sparsity(control)
    mid = data.isel(channel=(data["tap"] == "mid").values).sel(sigma=SHOWN_SIGMA)
    selective = _selective(mid)
    pixels = images.read(range(len(images)))
    figures = {
        "participation_ratio.png": _sparsity_figure(trained, untrained, denoiser.name),
        "selective_channels.png": _selective_figure(mid, selective, pixels.numpy(), denoiser.name),
        "neighbours.png": _neighbours_figure(mid, pixels.numpy(), denoiser.name),
    }
    for file, figure in figures.items():
        figure.savefig(out / file, dpi=130)
    for line in _summary(mid, trained, untrained, selective, images, pixels.numpy()):
        say(line)
    say(f"wrote {', '.join(['phi.nc', *figures])} to {out} in {time.monotonic() - began:.0f} s")
    return out


def _sparsity(data: xr.Dataset) -> Sparsity:
    blocks = tuple(dict.fromkeys(data["tap"].values))
    photographs = data["label"].values
    rows = []
    for block in blocks:
        draws = data["phi_draws"].isel(channel=(data["tap"] == block).values)
        per_image = participation_ratio(draws.transpose("image", "sigma", "draw", "channel").values).mean(axis=2)
        rows.append((per_image.mean(axis=0), *cluster_bootstrap_mean(per_image, photographs)))
    mean, low, high = (np.stack(part) for part in zip(*rows, strict=True))
    return Sparsity(blocks, mean, low, high)


def _selective(mid: xr.Dataset) -> np.ndarray:
    """Channels that are near rest on most images and well above it on several: heaviest right tails first.

    Well above: clear of the noise by 5 standard errors, the strongest response no weaker than the
    median channel's, and shared: the last image shown reaches a third of it. A single odd image is
    no selectivity. Channels that would show much the same images as one already chosen are passed over.
    """
    above = (mid["phi"] - mid["rest"]).transpose("image", "channel").values
    noise = np.sqrt((mid["phi_se"].values ** 2).mean(axis=0) + mid["rest_se"].values ** 2)
    ranked = -np.sort(-above, axis=0)
    strongest, shared = ranked[0], ranked[SHOWN - 1]
    clear = (shared > 5 * noise) & (shared > strongest / 3) & (strongest >= np.median(strongest))
    tail = np.where(clear & (skew(above, axis=0) > 0), kurtosis(above, axis=0), -np.inf)
    chosen: list[int] = []
    for channel in np.argsort(-tail):
        shown = _strongest(above, channel)
        if all(len(np.intersect1d(shown, _strongest(above, other))) <= ALIKE for other in chosen):
            chosen.append(int(channel))
    return np.array(chosen[:SELECTIVE])


def _strongest(phi: np.ndarray, channel: int) -> np.ndarray:
    return np.argsort(-phi[:, channel])[:SHOWN]


def _sparsity_figure(trained: Sparsity, untrained: Sparsity, name: str) -> Figure:
    figure = Figure(figsize=(9, 4.2), layout="constrained")
    by_sigma, by_block = figure.subplots(1, 2, sharey=True)
    colours = dict(zip(trained.blocks, _block_colours(trained.blocks), strict=True))
    for k, block in enumerate(trained.blocks):
        width = 2.6 if block == "mid" else 1.4
        by_sigma.plot(SIGMA, trained.mean[k], "o-", ms=3, lw=width, color=colours[block], label=block)
        by_sigma.fill_between(SIGMA, trained.low[k], trained.high[k], color=colours[block], alpha=0.15, lw=0)
    by_sigma.set_xscale("log")
    by_sigma.set_xticks(SIGMA, [f"{s:g}" for s in SIGMA])
    by_sigma.minorticks_off()
    by_sigma.set(
        xlabel="noise standard deviation σ (image intensity)", ylabel="participation ratio of channel averages"
    )
    by_sigma.legend(frameon=False, ncols=2, fontsize=8)
    by_sigma.set_title("each block against σ", fontsize=10)
    positions = np.arange(len(trained.blocks))
    for level, shade in ((0.1, "0.65"), (0.3, "0.4"), (1.0, "0.0")):
        s = SIGMA.index(level)
        errors = np.abs(np.stack([trained.low[:, s], trained.high[:, s]]) - trained.mean[:, s])
        by_block.errorbar(
            positions, trained.mean[:, s], errors, fmt="o-", ms=4, color=shade, label=f"trained, σ = {level:g}"
        )
    s = SIGMA.index(0.3)
    by_block.plot(positions, untrained.mean[:, s], "s--", ms=4, color="tab:red", label="untrained, σ = 0.3")
    by_block.set_xticks(positions, trained.blocks)
    by_block.set(xlabel="block, in order of the forward pass", ylim=(0, 1))
    by_block.legend(frameon=False, fontsize=8)
    by_block.set_title("along the network", fontsize=10)
    figure.suptitle(
        f"{name}: how many channels share the activity (1: all equally; bands: 95 %, photographs resampled)",
        fontsize=10,
    )
    return figure


def _selective_figure(mid: xr.Dataset, channels: np.ndarray, pixels: np.ndarray, name: str) -> Figure:
    figure = Figure(figsize=(10, 1.25 * len(channels) + 0.6), layout="constrained")
    grid = figure.add_gridspec(len(channels), SHOWN + 1, width_ratios=[2.4] + [1] * SHOWN)
    phi, rest = mid["phi"].transpose("image", "channel").values, mid["rest"].values
    for r, c in enumerate(channels):
        axis = figure.add_subplot(grid[r, 0])
        axis.hist(phi[:, c], bins=40, color="0.35")
        axis.axvline(float(rest[c]), color="tab:orange", lw=1.5, label="rest" if r == 0 else None)
        axis.set_yscale("log")
        axis.tick_params(labelsize=6)
        axis.xaxis.set_major_locator(MaxNLocator(5))
        axis.set_ylabel("images", fontsize=7)
        axis.text(0.97, 0.9, f"channel {c}", transform=axis.transAxes, ha="right", va="top", fontsize=8)
        if r == 0:
            axis.set_title(f"φ at mid, σ = {SHOWN_SIGMA:g}", fontsize=8)
            axis.legend(fontsize=6, frameon=False, loc="center right")
        for k, i in enumerate(_strongest(phi, c)):
            _picture(figure.add_subplot(grid[r, k + 1]), pixels[i], f"{phi[i, c]:.2g}")
    figure.suptitle(
        f"{name}: the images that most excite selective-looking channels (value of φ above each)", fontsize=10
    )
    return figure


def _neighbours_figure(mid: xr.Dataset, pixels: np.ndarray, name: str) -> Figure:
    photographs = mid["label"].values
    phi = mid["phi"].transpose("image", "channel").values
    queries = [int(np.flatnonzero(photographs == q)[2]) for q in QUERIES]
    distances = cdist(phi[queries], phi)
    figure = Figure(figsize=(10, 1.35 * len(queries) + 0.6), layout="constrained")
    axes = figure.subplots(len(queries), NEIGHBOURS + 1)
    for row, query, d in zip(axes, queries, distances, strict=True):
        order = [i for i in np.argsort(d) if i != query][:NEIGHBOURS]
        _picture(row[0], pixels[query], f"query: {photographs[query]}", frame="tab:orange")
        for axis, i in zip(row[1:], order, strict=True):
            _picture(axis, pixels[i], f"{photographs[i]}, {d[i]:.2g}")
    figure.suptitle(
        f"{name}: nearest in φ at mid (σ = {SHOWN_SIGMA:g}, Euclidean distance after each photograph's name)",
        fontsize=10,
    )
    return figure


def _picture(axis: Axes, image: np.ndarray, title: str, frame: str | None = None) -> None:
    axis.imshow(np.moveaxis(image, 0, -1), interpolation="nearest")
    axis.set(xticks=[], yticks=[])
    axis.set_title(title, fontsize=6, pad=2)
    for spine in axis.spines.values():
        spine.set(visible=frame is not None, color=frame, linewidth=2)


def _block_colours(blocks: tuple[str, ...]) -> list[str]:
    known = {"mid": "black"}
    encoder = iter(("#9ecae1", "#4292c6", "#084594", "#08306b"))
    decoder = iter(("#a63603", "#e6550d", "#fdae6b", "#fdd0a2"))
    return [known.get(b) or next(encoder if b.startswith("enc") else decoder, "0.6") for b in blocks]


def _summary(
    mid: xr.Dataset,
    trained: Sparsity,
    untrained: Sparsity,
    selective: np.ndarray,
    images: ImageSet,
    pixels: np.ndarray,
) -> list[str]:
    s = SIGMA.index(SHOWN_SIGMA)
    lines = [f"participation ratio at σ = {SHOWN_SIGMA:g} (95 % interval over photographs; untrained network):"]
    lines += [
        f"  {block:>5} {trained.mean[k, s]:.3f} [{trained.low[k, s]:.3f}, {trained.high[k, s]:.3f}]; "
        f"{untrained.mean[k, s]:.3f}"
        for k, block in enumerate(trained.blocks)
    ]
    above = (mid["phi"] - mid["rest"]).transpose("image", "channel").values
    tails = ", ".join(f"{c} ({kurtosis(above[:, c]):.0f})" for c in selective)
    lines.append(f"selective-looking channels of mid (excess kurtosis over images): {tails}")
    labels = np.asarray(images.labels)
    phi = mid["phi"].transpose("image", "channel").values
    rates = [
        f"{100 * _same_photograph(v, labels):.0f} % {what}"
        for v, what in ((phi, "in φ"), (pixels.reshape(len(pixels), -1), "in pixels"))
    ]
    _, sizes = np.unique(labels, return_counts=True)
    chance = float((sizes * (sizes - 1)).sum() / (len(labels) * (len(labels) - 1)))
    lines.append(f"nearest neighbour from the same photograph: {', '.join(rates)}, {100 * chance:.0f} % by chance")
    return lines


def _same_photograph(vectors: np.ndarray, labels: np.ndarray) -> float:
    distances = cdist(vectors, vectors)
    np.fill_diagonal(distances, np.inf)
    return float((labels[distances.argmin(axis=1)] == labels).mean())
