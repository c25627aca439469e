"""The command of clusters."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from analyses.ground import OF_TEST, OUT, Data, Level, Resamples, run
from probekit import checks
from probekit.cli.arguments import Out, Seed, check_list, numbers
from probekit.cli.checking import number_of, whole_of
from probekit.cli.output import results_awaited

__all__ = ["command", "main"]


def command(
    data: Data,
    out: Out = OUT,
    n_clusters: Annotated[
        str | None,
        typer.Option(
            callback=check_list(int, "--n-clusters", lambda tried: checks.counts("n_clusters", tried)),
            help="Number, or comma-separated numbers to choose from.",
            show_default="1 to 50",
        ),
    ] = None,
    label: Annotated[str, typer.Option(help="Coordinate along image with classes to compare with.")] = "label",
    no_labels: Annotated[bool, typer.Option("--no-labels", help="Compare with no classes.")] = False,
    noise_free: Annotated[
        bool, typer.Option("--noise-free", help="Take the bias by noise off distances: φ of two draws or more.")
    ] = False,
    threshold: Annotated[
        float,
        typer.Option(
            callback=number_of("a prediction strength in (0, 1], e.g. 0.8", lambda v: 0 < v <= 1),
            help="Of prediction strength.",
        ),
    ] = 0.8,
    fit_images: Annotated[
        int, typer.Option(callback=whole_of(20), help="Images clustered at most; the others go to the nearest centre.")
    ] = 20_000,
    resamples: Resamples = 200,
    permutations: Annotated[int, typer.Option(callback=whole_of(99), help=OF_TEST)] = 199,
    level: Level = 0.95,
    seed: Seed = 0,
) -> list[Path]:
    """Whether images form groups in φ, how many, and whether these are classes."""
    from analyses.clusters.analyse import analyse
    from analyses.clusters.figure import plot
    from analyses.ground import read, saved

    results_awaited(out, "clusters.nc", "clusters.png", reads=[data])
    phi = read(data)
    tried = None if n_clusters is None else numbers(n_clusters, option="--n-clusters")
    findings = analyse(
        phi,
        label=None if no_labels else label,
        n_clusters=tried,
        noise_free=noise_free,
        threshold=threshold,
        fit_images=fit_images,
        resamples=resamples,
        permutations=permutations,
        level=level,
        seed=seed,
    )
    return saved(out, ("clusters", findings), ("clusters", plot(findings)))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the shell: ``python -m analyses.clusters phi.zarr -o out/``."""
    return run(command, "clusters", arguments)
