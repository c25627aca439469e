"""The command of cues."""

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
)
from probekit.cli.checking import whole_of
from probekit.cli.output import goes_on, results_awaited

__all__ = ["command", "main"]

Most = Annotated[int | None, typer.Option(callback=whole_of(1), help="At most so many images; by default all.")]


def command(
    images: Images,
    out: Out = OUT,
    network: Network = NETWORK,
    size: Size = None,
    crop: Crop = None,
    bands: Bands = 3,
    check: Check = CHECK,
    sigma: Sigma = "0.1",
    draws: Draws = DRAWS,
    reduce: Reduce = REDUCE,
    n_images: Most = None,
    seed: Seed = 0,
    quiet: Quiet = False,
) -> list[Path]:
    """Texture or shape: which of the two an image shares with its nearest neighbour in φ, where they disagree."""
    from analyses.cues.figure import plot
    from analyses.cues.table import Settings, table
    from analyses.cues.verdict import verdict
    from analyses.ground import saved

    results_awaited(out, "cues.nc", "cues-verdict.nc", "cues.png", images=images)
    settings = Settings(
        sigma=numbers(sigma, float, "--sigma"), draws=draws, reduce=reduce, n_images=n_images, seed=seed
    )
    measured_on = images_called(images, size=size, crop=crop, bands=bands, check=check)
    denoiser = network_called(network)
    with goes_on(stores := out / "cues-stores"):
        found = table(measured_on, denoiser, settings=settings, store=stores, progress=False if quiet else None)
    judged = [("cues-verdict", verdict(found))] if "mid" in map(str, found["block"].values) else []
    return saved(out, ("cues", found), *judged, ("cues", plot(found)))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the shell: ``python -m analyses.cues cue-conflict.zip --network photo32 -o out/``."""
    return run(command, "cues", arguments)
