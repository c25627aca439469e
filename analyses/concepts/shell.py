"""The command of concepts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

import probekit
from analyses.concepts.analyse import analyse
from analyses.concepts.figure import plot
from analyses.ground import OUT, Level, Permutations, Resamples, drawn_images, run, saved
from probekit.cli.arguments import (
    DRAWS,
    NETWORK,
    REDUCE,
    Bands,
    Crop,
    Draws,
    Images,
    Network,
    Out,
    Quiet,
    Reduce,
    Seed,
    Size,
    images_called,
    network_called,
    numbers,
)
from probekit.machine.files import prepared

__all__ = ["command", "main"]


def command(
    images: Images,
    network: Network = NETWORK,
    size: Size = None,
    crop: Crop = None,
    bands: Bands = 3,
    block: Annotated[str, typer.Option(help="Tap whose channels are held.")] = "mid",
    at: Annotated[float, typer.Option(help="Noise level at which channels are ranked and samples compared.")] = 0.1,
    draws: Draws = DRAWS,
    reduce: Reduce = REDUCE,
    n_images: Annotated[
        int | None, typer.Option(help="At most so many images, at random, among which the exciting ones are found.")
    ] = None,
    channels: Annotated[
        str | None, typer.Option(help="Channels to hold, comma-separated numbers; by default the most selective.")
    ] = None,
    n_channels: Annotated[int, typer.Option(help="So many of the most selective.")] = 10,
    together: Annotated[int, typer.Option(help="Channels held at once.")] = 4,
    exciting: Annotated[int, typer.Option(help="Most exciting images of each channel.")] = 3,
    samples: Annotated[int, typer.Option(help="Of each such image.")] = 4,
    levels: Annotated[int, typer.Option(help="Noise levels that samples go through.")] = 20,
    permutations: Permutations = 999,
    resamples: Resamples = 1000,
    level: Level = 0.95,
    seed: Seed = 0,
    out: Out = OUT,
    quiet: Quiet = False,
) -> list[Path]:
    """Whether selective channels are concepts: what samples with a few held share with the images that excite them.

    Samples are kept in the folder, so that a call that was stopped goes on.
    """
    source = drawn_images(images_called(images, size=size, crop=crop, bands=bands), n_images, seed)
    net, progress = network_called(network), False if quiet else None
    prepared(out)
    data = probekit.tap(net, block, reduce=reduce)(source, sigma=at, draws=draws, seed=seed, progress=progress)
    found = analyse(
        source,
        data,
        denoiser=net,
        channels=None if channels is None else numbers(channels, option="--channels"),
        n_channels=n_channels,
        together=together,
        sigma=at,
        n_images=exciting,
        n_samples=samples,
        levels=levels,
        draws=draws,
        permutations=permutations,
        resamples=resamples,
        level=level,
        seed=seed,
        store=out / "concepts-stores",
        progress=progress,
    )
    return saved(out, ("concepts", found), ("concepts", plot(found)))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the shell: ``python -m analyses.concepts VAL.zip -o out/``."""
    return run(command, "concepts", arguments)
