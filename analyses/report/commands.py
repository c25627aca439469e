"""The commands of the report and of the demo."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from analyses.ground import OUT, Clusters, run
from analyses.report.all_claims import MIDDLE, Compared
from analyses.report.all_claims import run as run_report
from analyses.report.conditional import Sampling
from analyses.report.demo import run as run_demo
from probekit.cli.arguments import (
    DRAWS,
    NETWORK,
    SIGMA,
    Crop,
    Draws,
    Images,
    Network,
    Out,
    Quiet,
    Seed,
    Sigma,
    Size,
    images_called,
    network_called,
    numbers,
)
from probekit.errors import InputError
from probekit.models import zoo

__all__ = ["demo", "main", "report"]


def demo(
    out: Out = Path("demo"),
    network: Network = NETWORK,
    draws: Draws = DRAWS,
    seed: Seed = 0,
) -> None:
    """Measure φ of the built-in photographs at every block of a trained denoiser, and draw what it shows."""
    run_demo(out, network=network_called(network), draws=draws, seed=seed, say=typer.echo)


def report(
    images: Images,
    network: Network = NETWORK,
    size: Size = None,
    crop: Crop = None,
    sigma: Sigma = SIGMA,
    draws: Draws = DRAWS,
    seed: Seed = 0,
    out: Out = OUT,
    clusters: Clusters = None,
    block: Annotated[str, typer.Option(help="Tap that the claims are about.")] = MIDDLE,
    train: Annotated[
        list[str] | None, typer.Option(help="Training images, for claims 2, 5 and 8; can be repeated.")
    ] = None,
    classes: Annotated[str | None, typer.Option(help="CSV file of classes, columns wnid and hypernym_wnids.")] = None,
    n_images: Annotated[int, typer.Option(help="Images of the table of controls, at most.")] = 5000,
    n_train: Annotated[int, typer.Option(help="Its training images, at most.")] = 12500,
    conditions: Annotated[int, typer.Option(help="Images conditioned on, for claims 6 and 7.")] = 24,
    samples: Annotated[int, typer.Option(help="Samples of each.")] = 8,
    levels: Annotated[int, typer.Option(help="Noise levels that samples go through.")] = 20,
    claims: Annotated[str | None, typer.Option(help="Claims to judge, e.g. 1,3,4; by default all that can be.")] = None,
    no_pictures: Annotated[
        bool, typer.Option("--no-pictures", help="Show none of the images, only built-in ones.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Measure a denoiser on images, run the analyses, judge the paper's claims, and write a report."""
    compared = None
    if train:
        compared = Compared(images_called(train, size=size, crop=crop), classes, n_images, n_train)
    elif classes is not None:
        raise InputError("--classes goes with --train: give training images of the same classes too")
    source = images_called(images, size=size, crop=crop)
    # A name is kept, so that the report can show the network's card.
    named = network if network in zoo.available() or network.endswith(".safetensors") else network_called(network)
    run_report(
        source,
        out=out,
        denoiser=named,
        sigma=numbers(sigma, float, option="--sigma"),
        draws=draws,
        seed=seed,
        clusters=clusters,
        block=block,
        compared=compared,
        sampling=Sampling(conditions, samples, levels, not no_pictures),
        only=None if claims is None else numbers(claims, option="--claims"),
        command=f"probekit report {_short(sys.argv[2:] if sys.argv[1:2] == ['report'] else sys.argv[1:])}",
        say=typer.echo,
        progress=False if quiet else None,
    )


def _short(typed: Sequence[str]) -> str:
    """The command's arguments as typed, files by their names."""
    return shlex.join(Path(word).name if "/" in word else word for word in typed)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the shell: ``python -m analyses.report val.zip --network photo32 --size 32 -o results/``."""
    return run(report, "report", arguments)
