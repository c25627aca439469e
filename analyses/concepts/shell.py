"""The command of concepts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from analyses.ground import OUT, Level, Permutations, Resamples, run
from probekit.cli.arguments import (
    CHECK,
    DRAWS,
    NETWORK,
    REDUCE,
    Bands,
    Check,
    Crop,
    Draws,
    Images,
    Network,
    Out,
    Quiet,
    Reduce,
    Seed,
    Size,
    check_list,
    images_called,
    network_called,
    numbers,
)
from probekit.cli.checking import number_of, whole_of
from probekit.cli.cluster import Pickled, Scheduler, Threads, Workers, cluster_called
from probekit.cli.output import goes_on, results_awaited

__all__ = ["command", "main"]


def command(
    images: Images,
    network: Network = NETWORK,
    size: Size = None,
    crop: Crop = None,
    bands: Bands = 3,
    check: Check = CHECK,
    block: Annotated[str, typer.Option(help="Tap whose channels are held.")] = "mid",
    at: Annotated[
        float,
        typer.Option(
            callback=number_of("one noise standard deviation ≥ 0", lambda v: v >= 0, "sigma"),
            help="Noise level at which channels are ranked and samples compared.",
        ),
    ] = 0.1,
    draws: Draws = DRAWS,
    reduce: Reduce = REDUCE,
    n_images: Annotated[
        int | None,
        typer.Option(
            callback=whole_of(1), help="At most so many images, at random, among which the exciting ones are found."
        ),
    ] = None,
    channels: Annotated[
        str | None,
        typer.Option(
            callback=check_list(int, "--channels"),
            help="Channels to hold, comma-separated numbers; by default the most selective.",
        ),
    ] = None,
    n_channels: Annotated[int, typer.Option(callback=whole_of(1), help="So many of the most selective.")] = 10,
    together: Annotated[int, typer.Option(callback=whole_of(1), help="Channels held at once.")] = 4,
    exciting: Annotated[
        int, typer.Option(callback=whole_of(1, "n_images"), help="Most exciting images of each channel.")
    ] = 3,
    samples: Annotated[int, typer.Option(callback=whole_of(2, "n_samples"), help="Of each such image.")] = 4,
    levels: Annotated[int, typer.Option(callback=whole_of(2), help="Noise levels that samples go through.")] = 20,
    permutations: Permutations = 999,
    resamples: Resamples = 1000,
    level: Level = 0.95,
    seed: Seed = 0,
    out: Out = OUT,
    workers: Workers = None,
    scheduler: Scheduler = None,
    threads: Threads = None,
    pickled: Pickled = False,
    quiet: Quiet = False,
) -> list[Path]:
    """Whether selective channels are concepts: what samples with a few held share with the images that excite them.

    Samples are kept in the folder, so that a call that was stopped goes on.
    """
    import probekit
    from analyses.concepts.analyse import analyse
    from analyses.concepts.figure import plot
    from analyses.ground import drawn_images, saved

    results_awaited(out, "concepts.nc", "concepts.png", images=images)
    source = drawn_images(images_called(images, size=size, crop=crop, bands=bands, check=check), n_images, seed)
    net, progress = network_called(network), False if quiet else None
    data = probekit.tap(net, block, reduce=reduce)(source, sigma=at, draws=draws, seed=seed, progress=progress)
    cluster = cluster_called(workers, scheduler, threads, pickled=pickled)
    with goes_on(stores := out / "concepts-stores"), cluster as crew:
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
            store=stores,
            client=crew,
            progress=progress,
        )
    return saved(out, ("concepts", found), ("concepts", plot(found)))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the shell: ``python -m analyses.concepts VAL.zip -o out/``."""
    return run(command, "concepts", arguments)
