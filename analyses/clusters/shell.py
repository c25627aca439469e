"""The command of clusters."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from analyses.clusters.analyse import THRESHOLD, analyse
from analyses.clusters.figure import plot
from analyses.ground import OUT, Data, Level, Permutations, Resamples, read, run, saved
from probekit.cli.arguments import Out, Seed, numbers
from probekit.machine.files import prepared

__all__ = ["command", "main"]


def command(
    data: Data,
    out: Out = OUT,
    n_clusters: Annotated[
        str | None, typer.Option(help="Number, or comma-separated numbers to choose from.", show_default="1 to 50")
    ] = None,
    label: Annotated[str, typer.Option(help="Coordinate along image with classes to compare with.")] = "label",
    no_labels: Annotated[bool, typer.Option("--no-labels", help="Compare with no classes.")] = False,
    threshold: Annotated[float, typer.Option(help="Of prediction strength.")] = THRESHOLD,
    resamples: Resamples = 200,
    permutations: Permutations = 199,
    level: Level = 0.95,
    seed: Seed = 0,
) -> list[Path]:
    """Whether images form groups in φ, how many, and whether these are classes."""
    phi = read(data)
    tried = None if n_clusters is None else numbers(n_clusters, option="--n-clusters")
    prepared(out)
    findings = analyse(
        phi,
        label=None if no_labels else label,
        n_clusters=tried,
        threshold=threshold,
        resamples=resamples,
        permutations=permutations,
        level=level,
        seed=seed,
    )
    return saved(out, ("clusters", findings), ("clusters", plot(findings)))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the shell: ``python -m analyses.clusters phi.zarr -o out/``."""
    return run(command, "clusters", arguments)
