"""The command of attribution."""

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
    check_list,
    images_called,
    network_called,
    numbers,
)
from probekit.cli.checking import one_of, whole_of
from probekit.cli.output import results_awaited
from probekit.machine.progress import silent

__all__ = ["command", "main"]

METHODS = ("integrated_gradients", "occlusion")


def command(
    images: Images,
    channels: Annotated[
        str,
        typer.Option(callback=check_list(int, "--channels"), help="Numbers of the tap's channels, comma-separated."),
    ],
    network: Network = NETWORK,
    tap: Annotated[str, typer.Option(help="Place in the network.")] = "mid",
    method: Annotated[
        str, typer.Option(callback=one_of(*METHODS), help="integrated_gradients or occlusion.")
    ] = "integrated_gradients",
    first: Annotated[int, typer.Option(callback=whole_of(1), help="Number of images, from the first.")] = 4,
    size: Size = None,
    crop: Crop = None,
    bands: Bands = 3,
    check: Check = CHECK,
    sigma: Sigma = SIGMA,
    draws: Draws = DRAWS,
    reduce: Reduce = REDUCE,
    seed: Seed = 0,
    out: Out = OUT,
    quiet: Quiet = False,
) -> list[Path]:
    """Which pixels drive channels of a denoiser."""
    import probekit
    from analyses.attribution.analyse import attribute
    from analyses.attribution.figure import plot
    from analyses.ground import saved

    results_awaited(out, "attribution.nc", "attribution.png", images=images)
    denoiser = network_called(network)
    source = images_called(images, size=size, crop=crop, bands=bands, check=check)
    with silent(quiet):
        findings = attribute(
            denoiser,
            probekit.tap(denoiser, tap, reduce=reduce),
            source.subset(range(min(first, len(source)))),
            channels=numbers(channels, option="--channels"),
            sigma=numbers(sigma, float, option="--sigma"),
            method=method,  # pyright: ignore[reportArgumentType]
            draws=draws,
            seed=seed,
        )
    return saved(out, ("attribution", findings), ("attribution", plot(findings)))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the shell: ``python -m analyses.attribution images/ --channels 3,17 --sigma 0.1 -o out/``."""
    return run(command, "attribution", arguments)
