"""The command of sampling."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from analyses.ground import OUT, run
from probekit.cli.arguments import (
    CHECK,
    DRAWS,
    NETWORK,
    PRECISION,
    REDUCE,
    Bands,
    Check,
    Condition,
    Crop,
    Draws,
    Images,
    Network,
    Out,
    Precision,
    Quiet,
    Reduce,
    Seed,
    Size,
    conditions_called,
    images_called,
    network_called,
    numbers,
    precision_called,
)
from probekit.cli.checking import checked, possible_path, whole_of
from probekit.cli.cluster import Pickled, Scheduler, Threads, Workers, cluster_called
from probekit.cli.output import goes_on, results_awaited
from probekit.errors import InputError

__all__ = ["command", "main"]


def _check_method(_name: str, method: str) -> None:
    from analyses.sampling.analyse import levels

    levels(method)


def command(
    images: Images,
    network: Network = NETWORK,
    tap: Annotated[str, typer.Option(help="What is matched.")] = "mid",
    size: Size = None,
    crop: Crop = None,
    bands: Bands = 3,
    check: Check = CHECK,
    samples: Annotated[int, typer.Option(callback=whole_of(1, "n_samples"), help="Of each image.")] = 4,
    sample_size: Annotated[
        str | None,
        typer.Option(
            callback=checked(lambda _, text: sides_called(text)),
            help="Size of the samples, N or ROWS,COLS; by default that of the images.",
        ),
    ] = None,
    method: Annotated[str, typer.Option(callback=checked(_check_method), help="Which sampler.")] = "langevin",
    count: Annotated[
        int | None,
        typer.Option(
            "--levels", callback=whole_of(2, "levels"), help="Noise levels, between the method's first and last."
        ),
    ] = None,
    draws: Draws = DRAWS,
    reduce: Reduce = REDUCE,
    seed: Seed = 0,
    precision: Precision = PRECISION,
    condition: Condition = None,
    store: Annotated[
        Path | None, typer.Option(callback=checked(possible_path), help="Folder that finished images are kept in.")
    ] = None,
    out: Out = OUT,
    workers: Workers = None,
    scheduler: Scheduler = None,
    threads: Threads = None,
    pickled: Pickled = False,
    quiet: Quiet = False,
) -> list[Path]:
    """Images sampled from p(x | φ) of images, and what they share."""
    import probekit
    from analyses.ground import saved
    from analyses.sampling.analyse import levels, reconstruct
    from analyses.sampling.description import describe
    from analyses.sampling.figure import plot
    from analyses.sampling.methods import geometric

    results_awaited(out, "samples.nc", "sampling.nc", "sampling.png", images=images)
    ends = levels(method)
    if store is None and (workers is not None or scheduler is not None):
        said = "--workers" if workers is not None else "--scheduler"
        raise InputError(f"{said}: workers keep samples in a folder: give --store FOLDER")
    denoiser = network_called(network)
    with goes_on(store), cluster_called(workers, scheduler, threads, pickled=pickled) as crew:
        made = reconstruct(
            denoiser,
            probekit.tap(denoiser, tap, reduce=reduce),
            images_called(images, size=size, crop=crop, bands=bands, check=check),
            n_samples=samples,
            size=None if sample_size is None else sides_called(sample_size),
            sigmas=None if count is None else geometric(ends[0], ends[-1], count),
            method=method,
            draws=draws,
            seed=seed,
            store=store,
            precision=precision_called(precision),
            conditions=conditions_called(condition),
            client=crew,
            progress=False if quiet else None,
        )
    return saved(out, ("samples", made), ("sampling", describe(made)), ("sampling", plot(made)))


def sides_called(text: str) -> tuple[int, int]:
    """The size of samples that is written N or ROWS,COLS.

    Raises
    ------
    InputError
        If none is.
    """
    from analyses.sampling.methods import sides_of

    try:
        sides = numbers(text, option="--sample-size")
        return sides_of(sides[0] if len(sides) == 1 else sides)
    except InputError:
        raise InputError(f"--sample-size {text!r}: write N or ROWS,COLS, whole numbers ≥ 1") from None


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the shell: ``python -m analyses.sampling IMAGES... --network photo32 -o out/``."""
    return run(command, "sampling", arguments)
