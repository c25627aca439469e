"""What channels of a block like at a glance: the patches that excite each most, with its activation maps beside."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from torch import nn

from analyses import selectivity
from analyses.ground import (
    Findings,
    Theme,
    Variable,
    as_network,
    chosen_channels,
    new_figure,
    noise_level,
    picture,
    repeats,
    themed,
    titled,
)
from probekit import checks, labels, tap
from probekit import images as image_sources
from probekit.channels import channel_names
from probekit.errors import InputError
from probekit.machine.memory import refuse_array

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from probekit.capture.reductions import Reduction

__all__ = ["EXCITED", "excited", "sheet"]

PLACE = ("channel", "rank")
# Where all maps of a channel are 0.
TINY = 1e-30
# Channels shown by default, and the share of the largest height below which a channel is left out.
SHOWN, SILENT = 8, 0.01
EXCITED = Findings(
    "textures.excited",
    {
        "patch": Variable((*PLACE, "band", "row", "col"), "the patch, without noise", "intensity"),
        "activation_map": Variable(
            (*PLACE, "map_row", "map_col"), "the channel's activation map of one noise draw", "activation"
        ),
        "activity": Variable(PLACE, "φ above rest", "activation"),
        "name": Variable(PLACE, "id of the patch", holds="names"),
        "photographs": Variable(("channel",), "different photographs among the patches shown", holds="counts"),
    },
    coords={"rank": "number of the patch, 0 the one that excites most"},
)


@EXCITED.described
def excited(
    images: Any,
    *,
    denoiser: str | Path | nn.Module = "photo32",
    block: str = "mid",
    channels: Any = None,
    sigma: float = 0.1,
    top: int = 6,
    draws: int = 2,
    reduce: str | Reduction = "mean",
    seed: int = 0,
) -> xr.Dataset:
    """The patches that excite channels most, and where in them.

    Parameters
    ----------
    images
        Patches, 20 at least, such as `patches` gives.
    denoiser
        Bundled name, path or module.
    block
        The tap; its maps are not negative (see `selectivity.analyse`).
    channels
        Numbers of channels; by default the 8 that are excited most: whose `top` patches stand furthest above the median
        patch, in units of φ. Channels where they stand less than a hundredth as far above it as in the channel that is
        excited most, as of silent ones, are left out, so that there may be fewer than 8.
    sigma
        Noise level.
    top
        Patches of each channel.
    draws, seed
        Of noise.
    reduce
        What is made of maps, as for `probekit.tap`: by it patches excite.

    Returns
    -------
    Dataset
        {findings}

        By default attr `channels_left_out` counts those that are left out.

    Raises
    ------
    InputError
        If patches are too few, there is no such block or channel, none is excited, or an option is out of its range.
    """
    sigma, seed = noise_level(sigma), checks.seeded(seed)
    top, draws = repeats("top", top, least=1), repeats("draws", draws, least=1)
    block = checks.text("block", block, "the name of a tap, such as 'mid'")
    source = image_sources.load(images)
    if top > len(source):
        raise InputError(f"top={top} of {len(source)} patches: give {len(source)} at most")
    tapped = tap(as_network(denoiser), block, reduce=reduce)
    data = tapped(source, sigma=[sigma], draws=draws, seed=seed, progress=False)
    found = selectivity.analyse(data, top=top, resamples=100, seed=seed).isel(sigma=0)
    left_out = None
    if channels is None:
        chosen, left_out = most_excited(data["phi"].isel(sigma=0).values, top)
        if not len(chosen):
            raise InputError(f"no channel of {block} is excited by any patch more than by others: give another block")
    else:
        chosen = chosen_channels(channels, data.sizes["channel"])
    best = found[["top_image", "top_activity"]].isel(channel=chosen).transpose("channel", "rank")
    names = labels.strings(best["top_image"].values.ravel()).reshape(best["top_image"].shape)
    shown = list(dict.fromkeys(names.ravel().tolist()))
    refuse_array((*names.shape, *source.shape), 4, hint="give fewer channels or a smaller top")
    of = source.sel(image=shown)
    maps = tapped.maps(of, sigma=sigma, seed=seed).isel(sigma=0)
    place = np.array([[shown.index(name) for name in row] for row in names])
    pixels = of.read(range(len(of))).numpy()
    photograph = names if source.labels is None else np.array(of.labels, object)[place]
    values = maps.isel(channel=chosen).transpose("image", "channel", ...).values
    return EXCITED.label(
        {
            "patch": pixels[place],
            "activation_map": values[place, np.arange(len(chosen))[:, None]],
            "activity": best["top_activity"].values,
            "name": names,
            "photographs": np.array([len(set(row)) for row in photograph]),
        },
        data[["phi"]].isel(channel=chosen),
        coords={"rank": np.arange(names.shape[1])},
        block=block,
        shown_sigma=float(sigma),
        channels_left_out=left_out,
    )


def most_excited(phi: np.ndarray, top: int) -> tuple[np.ndarray, int]:
    """The channels of φ (image, channel) that are excited most, most first, and how many are hardly excited at all."""
    height = np.sort(phi, axis=0)[-top:].mean(axis=0, dtype=np.float64) - np.median(phi, axis=0)
    # What is left of equal numbers is rounding.
    height[height <= 1e-6 * np.abs(phi).max(axis=0, initial=0)] = 0
    kept = np.flatnonzero((height > 0) & (height >= SILENT * height.max(initial=0)))
    return kept[np.argsort(-height[kept], kind="stable")][:SHOWN], len(height) - len(kept)


def sheet(findings: xr.Dataset, *, theme: Theme = None) -> Figure:
    """Draw the patches that excite each channel, a row each, with the channel's maps beside them.

    Parameters
    ----------
    findings
        What `excited` returns.
    theme
        "light" (default), "dark", "print", or settings of matplotlib by name, laid over those that hold.

    Returns
    -------
    Figure
        Maps of one channel have one scale, black being 0.

    Raises
    ------
    InputError
        If these are no findings of `excited`.
    """
    findings = EXCITED.taken(
        findings, "patch", "activation_map", "activity", "photographs", attrs=("block", "shown_sigma")
    )
    with themed(theme):
        return _sheet(findings)


def _sheet(findings: xr.Dataset) -> Figure:
    channels, ranks = findings.sizes["channel"], findings.sizes["rank"]
    figure = new_figure(1.4 + 1.1 * ranks * 2, 0.6 + 0.8 * channels)
    axes = figure.subplots(channels, 2 * ranks, squeeze=False)
    names = channel_names(findings)
    for c, row in enumerate(axes):
        here = findings.isel(channel=c)
        largest = max(float(np.nanmax(here["activation_map"].values)), TINY)
        for r in range(ranks):
            picture(row[2 * r], here["patch"].isel(rank=r).values)
            picture(row[2 * r + 1], here["activation_map"].isel(rank=r).values[None], limits=(0.0, largest))
        said = f"{names[c]}\n{int(here['photographs'])} of {ranks}"
        row[0].set_ylabel(said, fontsize="small", rotation=0, ha="right", va="center")
    sigma = float(findings.attrs["shown_sigma"])
    said = "patches that excite a channel most, and its maps; beside it how many photographs they are of"
    titled(figure, f"σ = {sigma:g}: {said}")
    return figure
