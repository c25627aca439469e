"""The command of factors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from analyses.ground import OUT, Data, Level, Resamples, run
from probekit.cli.arguments import (
    CHECK,
    NETWORK,
    Check,
    Crop,
    Network,
    Out,
    Quiet,
    Seed,
    Size,
    images_called,
    network_called,
    words,
)
from probekit.cli.checking import one_of, whole_of
from probekit.cli.output import results_awaited
from probekit.machine.progress import silent

__all__ = ["command", "main"]

SCALES = ("log", "linear")
# Names of files that differences go to, in the order of `CONTROLS`.
FILES = ("untrained", "untrained-paper-gains", "pixels", "gist")


def command(
    data: Data,
    out: Out = OUT,
    factor: Annotated[str, typer.Option(help="Coordinate along image with the factor's values, as numbers.")] = "label",
    scale: Annotated[str, typer.Option(callback=one_of(*SCALES), help="Of the factor: log or linear.")] = "log",
    mirror: Annotated[
        float | None, typer.Option(help="Value about which others are mirror images, such as 1 for aspects.")
    ] = None,
    bins: Annotated[
        int | None, typer.Option(callback=whole_of(2), help="Sort values into so many groups of equally many images.")
    ] = None,
    folds: Annotated[int, typer.Option(callback=whole_of(2), help="Of the cross-validation.")] = 5,
    same_images: Annotated[
        str | None,
        typer.Option(help="The images of φ, comma-separated: untrained twins, pixels and gist of them are controls."),
    ] = None,
    network: Network = NETWORK,
    size: Size = None,
    crop: Crop = None,
    check: Check = CHECK,
    resamples: Resamples = 1000,
    level: Level = 0.95,
    seed: Seed = 0,
    quiet: Quiet = False,
) -> list[Path]:
    """How a numeric factor, such as the aspect of ovals, lies in φ: correlations, how well it is read."""
    from analyses.factors.analyse import analyse
    from analyses.factors.controls import CONTROLS, controls
    from analyses.factors.figure import plot
    from analyses.factors.paired import compare
    from analyses.ground import read, saved
    from probekit.denoising.inputs import input_channels

    named = words(same_images) or []
    differences = [f"less-{name}.nc" for name in FILES] if named else []
    results_awaited(out, "factors.nc", "factors.png", *differences, reads=[data], images=named)
    phi = read(data)
    asked = {"factor": factor, "scale": scale, "mirror": mirror, "bins": bins, "folds": folds}
    asked |= {"resamples": resamples, "level": level, "seed": seed}
    findings = analyse(phi, **asked)
    if not named:
        return saved(out, ("factors", findings), ("factors", plot(findings)))
    denoiser = network_called(network)
    shown = images_called(named, size=size, crop=crop, bands=input_channels(denoiser) or 3, check=check)
    with silent(quiet):
        beside = {name: analyse(each, **asked) for name, each in controls(denoiser, phi, shown, seed=seed).items()}
    files = dict(zip(CONTROLS, FILES, strict=True))
    less = {
        f"less-{files[name]}": compare(findings, other, resamples=resamples, level=level, seed=seed)
        for name, other in beside.items()
    }
    return saved(out, ("factors", findings), *less.items(), ("factors", plot(findings, beside)))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the shell: ``python -m analyses.factors phi.nc --factor label --mirror 1 -o out/``."""
    return run(command, "factors", arguments)
