"""The command of controls."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from analyses.ground import OUT, run
from probekit.cli.arguments import (
    CHECK,
    NETWORK,
    REDUCE,
    SIGMA,
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
    Sigma,
    Size,
    images_called,
    network_called,
    numbers,
    words,
)
from probekit.cli.checking import whole_of
from probekit.cli.cluster import Pickled, Scheduler, Threads, Workers, cluster_called
from probekit.cli.output import goes_on, results_awaited

__all__ = ["command", "main"]

Train = Annotated[str | None, typer.Option(help="Training images of the same classes, comma-separated.")]
Classes = Annotated[Path | None, typer.Option(help="CSV file of classes with columns wnid, hypernym_wnids.")]
Untrained = Annotated[
    int,
    typer.Option(callback=whole_of(0), help="Number of untrained twins of each gains, 1 and the paper's; 0 for none."),
]
Measures = Annotated[
    str | None, typer.Option(help="Measures to make, comma-separated; by default all that these images allow.")
]
Most = Annotated[int, typer.Option(callback=whole_of(1), help="At most so many images.")]
MostTrain = Annotated[int, typer.Option(callback=whole_of(1), help="At most so many training images.")]


def command(
    images: Images,
    out: Out = OUT,
    network: Network = NETWORK,
    block: Annotated[str, typer.Option(help="Tap that all else is compared with.")] = "mid",
    train: Train = None,
    classes: Classes = None,
    size: Size = None,
    crop: Crop = None,
    bands: Bands = 3,
    check: Check = CHECK,
    sigma: Sigma = SIGMA,
    draws: Draws = 20,
    reduce: Reduce = REDUCE,
    untrained: Untrained = 3,
    measures: Measures = None,
    n_images: Most = 2000,
    n_train: MostTrain = 5000,
    seed: Seed = 0,
    workers: Workers = None,
    scheduler: Scheduler = None,
    threads: Threads = None,
    pickled: Pickled = False,
    quiet: Quiet = False,
) -> list[Path]:
    """Does it need training? The same numbers for the trained denoiser and all that it is compared with."""
    from analyses.controls.analyse import table
    from analyses.controls.figure import plot
    from analyses.ground import saved

    results_awaited(out, "controls.nc", "controls.png", images=images)
    measured_on = images_called(images, size=size, crop=crop, bands=bands, check=check)
    others = words(train)
    denoiser, levels = network_called(network), numbers(sigma, float, "--sigma")
    cluster = cluster_called(workers, scheduler, threads, pickled=pickled)
    with goes_on(stores := out / "controls-stores"), cluster as crew:
        found = table(
            measured_on,
            train=images_called(others, size=size, crop=crop, bands=bands, check=check) if others else None,
            classes=classes,
            denoiser=denoiser,
            block=block,
            sigma=levels,
            draws=draws,
            reduce=reduce,
            untrained=untrained,
            measures=words(measures),
            n_images=n_images,
            n_train=n_train,
            store=stores,
            seed=seed,
            client=crew,
            progress=False if quiet else None,
        )
    return saved(out, ("controls", found), ("controls", plot(found)))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the shell: ``python -m analyses.controls val.zip --train train.zip --classes synsets.csv -o out/``."""
    return run(command, "controls", arguments)
