"""The command of training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from analyses.ground import OUT, Clusters, Resamples, run
from probekit.cli.arguments import (
    CHECK,
    DRAWS,
    NETWORK,
    SIGMA,
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
from probekit.cli.checking import checked, possible_path, whole_of
from probekit.cli.output import results_awaited
from probekit.machine.progress import silent

__all__ = ["command", "main"]


def command(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="RUN",
            callback=checked(possible_path),
            help="Folder of a run of `probekit train` with --keep-every.",
        ),
    ],
    images: Images,
    network: Network = NETWORK,
    taps: Annotated[
        str | None, typer.Option("--tap", help="Taps, comma-separated; by default those that the network declares.")
    ] = None,
    sigma: Sigma = SIGMA,
    draws: Draws = DRAWS,
    reduce: Reduce = "mean",
    size: Size = None,
    crop: Crop = None,
    check: Check = CHECK,
    n_images: Annotated[int, typer.Option(callback=whole_of(1), help="Images at most.")] = 1000,
    clusters: Clusters = None,
    resamples: Resamples = 1000,
    store: Annotated[
        Path | None,
        typer.Option(callback=checked(possible_path), help="Folder that keeps each step: a stopped command goes on."),
    ] = None,
    seed: Seed = 0,
    device: Annotated[str | None, typer.Option(help="cpu or cuda; a GPU is taken if there is one.")] = None,
    out: Out = OUT,
    quiet: Quiet = False,
) -> list[Path]:
    """What training does to blocks: sparsity, types of channel, robustness, neighbours, step by step.

    The network is the one that was trained, OUT/NAME.safetensors; its own weights do not matter.
    """
    from analyses.ground import saved
    from analyses.training.analyse import Settings, analyse
    from analyses.training.figure import plot
    from probekit.denoising.denoiser import Denoiser
    from probekit.train.processes import usable

    place = usable(device)
    results_awaited(out, "training.nc", "training.png", images=images)
    model = network_called(network).to(place)
    # Bare networks are taken as blind, as they are in training.
    denoiser = model if isinstance(model, Denoiser) else Denoiser(model)
    settings = Settings(
        taps=words(taps),
        sigma=numbers(sigma, float, option="--sigma"),
        draws=draws,
        reduce=reduce,
        n_images=n_images,
        clusters=clusters,
        resamples=resamples,
        seed=seed,
    )
    source = images_called(images, size=size, crop=crop, check=check)
    with silent(quiet):
        findings = analyse(denoiser, folder, source, settings=settings, store=store)
    return saved(out, ("training", findings), ("training", plot(findings)))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the shell: ``python -m analyses.training RUN IMAGES --network NAME.safetensors -o out/``."""
    return run(command, "training", arguments)
