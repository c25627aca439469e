"""The main job: φ of the built-in photographs at every tap of a trained denoiser, and what the analyses find in it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from matplotlib.ticker import MaxNLocator
from scipy.spatial.distance import cdist

from analyses import explore, sampling, selectivity, semantics, sparsity, subspaces
from analyses.ground import (
    PALETTE,
    TWINS,
    as_network,
    block_colours,
    block_marks,
    block_names,
    folder_called,
    level_colours,
    network_looks,
    new_figure,
    picture,
    repeats,
    rounded,
    saved,
    shifted,
    themed,
    titled,
    untrained_twins,
)
from probekit import checks
from probekit.capture.reductions import reduction
from probekit.channels import channel_names
from probekit.cli.arguments import DRAWS, NETWORK, REDUCE
from probekit.errors import InputError
from probekit.images import ImageSet, load
from probekit.machine.files import prepared, whole
from probekit.machine.modes import flushed_denormals
from probekit.machine.progress import at_work_on
from probekit.phi.tap import tap

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from torch import nn

    from probekit.capture.reductions import Reduction

__all__ = ["run"]

SIGMA = (0.05, 0.1, 0.2, 0.3, 0.5, 0.8, 1.0)
SHOWN_SIGMA = 0.2
SELECTIVE, SHOWN, ALIKE = 6, 8, 2
QUERIES = ("chelsea", "coffee", "china", "grass", "rocket", "page")
NEIGHBOURS, SHORT = 7, 12
CONDITIONS, SAMPLES, LEVELS = ("chelsea", "coffee", "flower", "rocket"), 4, 20
TRAINED = "trained"
# What is shown and told of both controls; that with gains of 1 is measured at all noise levels.
CONTROL_SIGMA = (0.1, 0.2, 0.3)
# At the end of the names of files.
SUFFIXES = {TRAINED: "", **dict(zip(TWINS, ("-untrained", "-untrained-paper-gains"), strict=True))}


def run(
    out: str | Path,
    *,
    network: str | Path | nn.Module = NETWORK,
    draws: int = DRAWS,
    reduce: str | Reduction = REDUCE,
    seed: int = 0,
    say: Callable[[str], object] = print,
) -> list[Path]:
    """Measure, analyse, save and draw.

    The folder then holds ``phi.nc``, ``phi-untrained.nc`` and ``phi-untrained-paper-gains.nc`` (the latter at three
    noise levels, and only for networks with normalisations of this package), the findings of `analyses.sparsity`,
    `selectivity` and `subspaces` on all of them and samples of `analyses.sampling` (netCDF), the figures, all numbers
    in ``summary.txt``, and ``explore.html``, in which it can all be looked at.

    Parameters
    ----------
    out
        Folder for the results, made if need be.
    network
        A bundled name, the path of weights, or a network that declares a tap "mid" and takes colour images of 32×32.
    draws
        Noise draws per image and noise level.
    reduce
        What is made of maps, as for `probekit.tap`: "relu_mean" for taps before a ReLU.
    seed
        Of the noise.
    say
        Where it is told what was done, a line a stage.

    Returns
    -------
    list of Path
        What was written.

    Raises
    ------
    InputError
        If the network has no middle block, or cannot take the photographs.
    CapacityError
        If the folder cannot be written to.
    """
    began = time.monotonic()
    folder = folder_called("out", out)
    draws = repeats("draws", draws, least=1)
    seed = checks.seeded(seed)
    reduction(reduce)
    denoiser = as_network(network)
    name = str(getattr(denoiser, "name", type(denoiser).__name__))
    images = load("samples", size=32)
    blocks = block_names(denoiser)
    if "mid" not in blocks:
        raise InputError(f"{name} declares the taps {', '.join(blocks)} and no 'mid': the demo is about a middle block")
    prepared(folder)
    say(f"{name}: φ of {len(images)} photograph crops at {', '.join(blocks)} for {len(SIGMA)} noise levels")
    told = _Stages(say)
    data = {}
    for role, model in {TRAINED: denoiser, **untrained_twins(denoiser)}.items():
        sigma = CONTROL_SIGMA if TWINS.get(role) == "paper" else SIGMA
        data[role] = tap(model, *blocks, reduce=reduce)(images, sigma=sigma, draws=draws, seed=seed, keep_draws=True)
    told.done(f"measured: {'; '.join(data)}")
    found = {role: _findings(one, role) for role, one in data.items()}
    told.done(f"analysed: {_headline(found)}")
    written = []
    for role in data:
        suffix = SUFFIXES[role]
        written += saved(folder, (f"phi{suffix}", data[role].drop_vars(["phi_draws", "draw"])))
        written += saved(folder, *((f"{analysis}{suffix}", findings) for analysis, findings in found[role].items()))

    mid = _middle(data[TRAINED]).sel(sigma=SHOWN_SIGMA)
    pixels = images.read(range(len(images))).numpy()
    types = _middle(found[TRAINED]["selectivity"]).sel(sigma=SHOWN_SIGMA)
    selective = _shown_channels(types)
    with at_work_on("samples"):
        samples = _samples(denoiser, images, reduce, seed)
    written += saved(folder, ("samples", samples))
    told.done(f"sampled from p(x given φ): median error of φ {100 * samples['match'].median().item():.0f} %")
    with at_work_on("figures"):
        figures = {
            "participation_ratio": _sparsity_figure(found, name),
            "channel_types": selectivity.plot(found[TRAINED]["selectivity"]),
            "selective_channels": _selective_figure(mid, types, selective, pixels, name),
            "subspaces": subspaces.plot(found[TRAINED]["subspaces"]),
            "neighbours": _neighbours_figure(mid, pixels, name),
            "samples": sampling.plot(samples),
        }
        written += saved(folder, *figures.items())
    told.done(f"drawn: {', '.join(figures)}")
    with at_work_on("neighbours"):
        near, lines = _neighbours_summary(data, pixels)
    told.done(f"nearest crop of the same photograph: {near}")
    with at_work_on("explorer"):
        page = _explorer(denoiser, network, images, data, samples, reduce).save(folder / "explore.html", progress=False)
    written.append(page)
    told.done(f"explorer: open {page} in a browser")
    summary = folder / "summary.txt"
    with whole(summary) as unfinished:
        unfinished.write_text("".join(f"{line}\n" for line in [*_summary(found), *lines]), encoding="utf-8")
    written.append(summary)
    say(f"made in {time.monotonic() - began:.0f} s; all numbers are in {summary}")
    return written


class _Stages:
    """Says in a line what was done, and how long it took."""

    def __init__(self, say: Callable[[str], object]) -> None:
        self.say, self.since = say, time.monotonic()

    def done(self, what: str) -> None:
        now = time.monotonic()
        self.say(f"{what} ({now - self.since:.0f} s)")
        self.since = now


def _explorer(
    denoiser: nn.Module,
    network: str | Path | nn.Module,
    images: ImageSet,
    data: dict[str, xr.Dataset],
    samples: xr.Dataset,
    reduce: str | Reduction,
) -> explore.Explorer:
    """The page to look at it all, of what was measured already."""
    first = data[TRAINED]
    code = {"images": 'images = probekit.images.load("samples", size=32)'}
    if isinstance(network, str | Path):
        code["load"] = f"denoiser = probekit.load({str(network)!r})"
    untrained = untrained_twins(denoiser)["untrained"]
    own = str(getattr(denoiser, "name", type(denoiser).__name__))
    return explore.explore(
        denoiser,
        images,
        against={"untrained": untrained},
        data={own: first, "untrained": data["untrained"]},
        samples=samples,
        code=code,
        sigma=SIGMA,
        draws=int(first.attrs["draws"]),
        seed=int(first.attrs["seed"]),
        reduce=reduce,
        progress=False,
    )


def _middle(data: xr.Dataset) -> xr.Dataset:
    return data.isel(channel=(data["tap"] == "mid").values)


def _findings(data: xr.Dataset, role: str) -> dict[str, xr.Dataset]:
    """What the analyses find.

    Crops of one photograph are not independent. There are too few photographs for intervals of sparsity, and for types
    of channel and subspaces, for which crops count as independent.
    """
    analyses: dict[str, Callable[[], xr.Dataset]] = {
        "sparsity": lambda: sparsity.analyse(data, clusters="label"),
        "selectivity": lambda: selectivity.analyse(data),
        "subspaces": lambda: subspaces.analyse(_shown(data).drop_vars(["phi_draws", "draw"]), dimensions=False),
    }
    found = {}
    for name, analyse in analyses.items():
        with at_work_on(f"{name}, {role}"):
            found[name] = analyse()
    return found


def _samples(denoiser: nn.Module, images: ImageSet, reduce: str | Reduction, seed: int) -> xr.Dataset:
    """Images that share φ with whole photographs."""
    whole = images.subset([images.ids.index(next(i for i in images.ids if i.startswith(name))) for name in CONDITIONS])
    with flushed_denormals():
        return sampling.reconstruct(
            denoiser,
            tap(denoiser, "mid", reduce=reduce),
            whole,
            n_samples=SAMPLES,
            sigmas=list(np.geomspace(1, 0.03, LEVELS)),
            seed=seed,
            progress=None,
        )


def _shown_channels(types: xr.Dataset) -> list[int]:
    """Selective channels of the middle block to show: heaviest tails first, no two that would show much the same."""
    selective = types.isel(channel=types["type"].values == "selective").sortby("kurtosis", ascending=False)
    chosen: list[int] = []
    shown: list[set[str]] = []
    for k in range(selective.sizes["channel"]):
        pictures = set(selective["top_image"].isel(channel=k, rank=slice(SHOWN)).values)
        strength = selective["top_activity"].isel(channel=k).values
        # A single odd picture is no pattern: the last one shown reaches a third of the first.
        if strength[SHOWN - 1] > strength[0] / 3 and all(len(pictures & other) <= ALIKE for other in shown):
            chosen.append(int(selective["channel"].values[k]))
            shown.append(pictures)
    return chosen[:SELECTIVE]


def _ratio(findings: xr.Dataset) -> xr.Dataset:
    """Participation ratio of ā: mean over crops, and low and high, between which 80 % of them lie, (sigma, block)."""
    here = findings[["sparsity", "per_image"]].sel(vector="draw", measure="participation_ratio", drop=True)
    low, high = (here["per_image"].quantile(q, "image").drop_vars("quantile") for q in (0.1, 0.9))
    return xr.Dataset({"mean": here["sparsity"], "low": low, "high": high})


def _sparsity_figure(found: dict[str, dict[str, xr.Dataset]], name: str) -> Figure:
    trained = _ratio(found[TRAINED]["sparsity"])
    with themed("light"):
        figure = new_figure(10, 4.6)
        by_sigma, by_block = figure.subplots(1, 2, sharey=True)
        _ratio_by_sigma(by_sigma, trained)
        _ratio_by_block(by_block, trained, {r: _ratio(one["sparsity"]) for r, one in found.items() if r in TWINS})
        titled(
            figure, f"{name}: how many channels share the activity (1: all equally; bands and bars hold 80 % of crops)"
        )
    return figure


def _ratio_by_sigma(axis: Axes, trained: xr.Dataset) -> None:
    blocks = list(map(str, trained["block"].values))
    for block, colour, mark in zip(blocks, block_colours(blocks), block_marks(blocks), strict=True):
        here = trained.sel(block=block)
        width = 2.6 if block == "mid" else 1.4
        axis.plot(SIGMA, here["mean"], marker=mark, ms=4, lw=width, color=colour, label=block)
        axis.fill_between(SIGMA, here["low"], here["high"], color=colour, alpha=0.15, lw=0)
    axis.set_xscale("log")
    axis.set_xticks(SIGMA, [f"{s:g}" for s in SIGMA])
    axis.minorticks_off()
    axis.set(xlabel="noise σ (image intensity)", ylabel="participation ratio of channel averages")
    axis.legend(ncols=2)
    axis.set_title("each block against σ")


def _ratio_by_block(axis: Axes, trained: xr.Dataset, controls: dict[str, xr.Dataset]) -> None:
    levels = (SIGMA[0], SHOWN_SIGMA, SIGMA[-1])
    places, lines = np.arange(trained.sizes["block"]), len(levels) + len(controls)
    for k, (level, colour) in enumerate(zip(levels, level_colours(len(levels)), strict=True)):
        here = trained.sel(sigma=level)
        errors = np.abs(np.stack([here["low"], here["high"]]) - here["mean"].values)
        x = places + shifted(k, lines, 0.4)
        axis.errorbar(x, here["mean"], errors, fmt="o-", ms=4, lw=1.2, color=colour, label=f"trained, σ = {level:g}")
    looks = network_looks([TRAINED, *controls])[1:]
    for k, ((role, one), look) in enumerate(zip(controls.items(), looks, strict=True)):
        x = places + shifted(len(levels) + k, lines, 0.4)
        axis.plot(x, one["mean"].sel(sigma=SHOWN_SIGMA), ms=5, **look, label=f"{role}, σ = {SHOWN_SIGMA:g}")
    axis.set_xticks(places, list(map(str, trained["block"].values)))
    axis.set(xlabel="block, in order of the forward pass", ylim=(0, 1))
    axis.legend()
    axis.set_title("along the network")


def _selective_figure(mid: xr.Dataset, types: xr.Dataset, channels: list[int], pixels: np.ndarray, name: str) -> Figure:
    title = f"{name}: the images that most excite selective channels, and the value of φ (activation) above each"
    with themed("light"):
        figure = new_figure(11, 1.4 * max(len(channels), 1) + 0.6)
        titled(figure, title)
        if not channels:
            figure.text(0.5, 0.4, "no selective channel", ha="center")
            return figure
        place = {image: i for i, image in enumerate(mid["image"].values)}
        grid = figure.add_gridspec(len(channels), SHOWN + 1, width_ratios=[2.6] + [1] * SHOWN)
        for r, c in enumerate(channels):
            here = mid.sel(channel=c)
            axis = figure.add_subplot(grid[r, 0])
            _activities(axis, here, first=r == 0, last=r == len(channels) - 1)
            for k, image in enumerate(types["top_image"].sel(channel=c).values[:SHOWN]):
                value = rounded(float(here["phi"].sel(image=image)), 2)
                picture(figure.add_subplot(grid[r, k + 1]), pixels[place[image]], value, fontsize="small")
    return figure


def _activities(axis: Axes, here: xr.Dataset, *, first: bool, last: bool) -> None:
    """How often a channel has which value."""
    axis.hist(here["phi"], bins=40, color=PALETTE["untrained"])
    axis.axvline(float(here["rest"]), color=PALETTE["rest"], lw=1.8, ls="--", label="rest")
    axis.set_yscale("log")
    axis.minorticks_off()
    axis.tick_params(labelsize="small")
    axis.xaxis.set_major_locator(MaxNLocator(5))
    axis.set_ylabel("images", fontsize="small")
    axis.text(0.97, 0.92, channel_names(here)[0], transform=axis.transAxes, ha="right", va="top", fontweight="bold")
    if first:
        axis.set_title(f"φ at mid, σ = {SHOWN_SIGMA:g}")
        axis.legend(loc="center right", fontsize="small")
    if last:
        axis.set_xlabel("φ (activation)", fontsize="small")


def _neighbours_figure(mid: xr.Dataset, pixels: np.ndarray, name: str) -> Figure:
    photographs = mid["label"].values
    phi = mid["phi"].transpose("image", "channel").values
    queries = [int(np.flatnonzero(photographs == q)[2]) for q in QUERIES]
    distances = cdist(phi[queries], phi)
    with themed("light"):
        figure = new_figure(11, 1.5 * len(queries) + 0.6)
        axes = figure.subplots(len(queries), NEIGHBOURS + 1)
        for row, query, d in zip(axes, queries, distances, strict=True):
            order = [i for i in np.argsort(d) if i != query][:NEIGHBOURS]
            picture(row[0], pixels[query], f"query: {photographs[query]}", frame=PALETTE["rest"], fontsize="small")
            for axis, i in zip(row[1:], order, strict=True):
                picture(axis, pixels[i], f"{_short(str(photographs[i]))}, {rounded(d[i], 2)}", fontsize="small")
        titled(
            figure,
            f"{name}: nearest in φ at mid (σ = {SHOWN_SIGMA:g}, Euclidean distance after each photograph's name)",
        )
    return figure


def _short(name: str) -> str:
    """A photograph's name that fits above it."""
    return name if len(name) <= SHORT else f"{name[: SHORT - 1]}…"


def _summary(found: dict[str, dict[str, xr.Dataset]]) -> list[str]:
    """Sparsity, types of channel and subspaces at the shown noise level, trained and untrained."""
    ratios = {role: _ratio(one["sparsity"]).sel(sigma=SHOWN_SIGMA) for role, one in found.items()}
    trained = ratios.pop(TRAINED)
    lines = [f"participation ratio at σ = {SHOWN_SIGMA:g} (80 % of crops in brackets; {'; '.join(ratios)}):"]
    for block in trained["block"].values:
        here = trained.sel(block=block)
        controls = "; ".join(f"{one['mean'].sel(block=block).item():.3f}" for one in ratios.values())
        lines.append(
            f"  {block:>5} {here['mean'].item():.3f} [{here['low'].item():.3f}, {here['high'].item():.3f}]; {controls}"
        )
    for role in found:
        number = found[role]["selectivity"]["number"].sel(sigma=SHOWN_SIGMA, block="mid")
        types = ", ".join(f"{int(number.sel(kind=kind))} {kind}" for kind in number["kind"].values)
        here = found[role]["subspaces"].isel(sigma=0, block=0)
        lines.append(f"channels of mid at σ = {SHOWN_SIGMA:g}, {role}, as if crops were independent: {types}")
        lines.append(
            f"subspaces of mid, {role}: {here['n_subspaces'].item()} found with confidence "
            f"{here['confidence'].item():.2f}; overlap of active sets {here['overlap_within'].item():.2f} within, "
            f"{here['overlap_between'].item():.2f} between"
        )
    return lines


def _headline(found: dict[str, dict[str, xr.Dataset]]) -> str:
    """The participation ratio of the middle and its selective channels, trained and untrained."""
    told = []
    for role, one in found.items():
        ratio = _ratio(one["sparsity"])["mean"].sel(sigma=SHOWN_SIGMA, block="mid").item()
        count = int(one["selectivity"]["number"].sel(sigma=SHOWN_SIGMA, block="mid", kind="selective"))
        told.append(f"{role} {ratio:.2f}, {count} selective")
    return f"participation ratio at mid and channels, σ = {SHOWN_SIGMA:g}: {'; '.join(told)}"


def _neighbours_summary(data: dict[str, xr.Dataset], pixels: np.ndarray) -> tuple[str, list[str]]:
    """How often the nearest crop is of the same photograph, and an image is found again in other noise."""
    lines, told, chance = [], [], np.nan
    for role in data:
        near = semantics.neighbours(_shown(data[role]), k=1, distances=["euclidean"]).isel(sigma=0, block=0, distance=0)
        chance = near["precision_chance"].item()
        kept = semantics.stability(_middle(data[role]).sel(sigma=[0.1, 0.3]), reference=0.1, distances=["euclidean"])
        found = kept["top1"].sel(sigma=0.3, noise="shared").isel(block=0, distance=0)
        told.append(f"{role} {100 * near['precision'].item():.0f} %")
        lines.append(
            f"nearest crop in φ at σ = {SHOWN_SIGMA:g} of the same photograph, {role}: "
            f"{100 * near['precision'].item():.0f} %; found again by φ at σ = 0.3 among those at 0.1: "
            f"{100 * found.item():.0f} %"
        )
    labels = data[TRAINED]["label"].values
    rate = _same_photograph(pixels.reshape(len(pixels), -1), labels)
    lines.append(f"the same in pixels: {100 * rate:.0f} %; by chance: {100 * chance:.0f} %")
    return f"{'; '.join(told)}; in pixels {100 * rate:.0f} %; by chance {100 * chance:.0f} %", lines


def _shown(data: xr.Dataset) -> xr.Dataset:
    return _middle(data).sel(sigma=[SHOWN_SIGMA])


def _same_photograph(vectors: np.ndarray, labels: np.ndarray) -> float:
    distances = cdist(vectors, vectors)
    np.fill_diagonal(distances, np.inf)
    return float((labels[distances.argmin(axis=1)] == labels).mean())
