"""The command of subspaces."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from analyses.ground import OUT, Clusters, Data, Resamples, run
from probekit.cli.arguments import Out, Seed
from probekit.cli.checking import one_of, whole_of
from probekit.cli.output import results_awaited

__all__ = ["command", "main"]

METHODS = ("coordinate", "linear")


def command(
    data: Data,
    out: Out = OUT,
    n_subspaces: Annotated[
        int | None, typer.Option(callback=whole_of(1), help="Number of subspaces; by default found.")
    ] = None,
    method: Annotated[
        str, typer.Option(callback=one_of(*METHODS), help="Kind of subspace: coordinate or linear.")
    ] = "coordinate",
    no_dimensions: Annotated[bool, typer.Option("--no-dimensions", help="Skip intrinsic dimensions.")] = False,
    clusters: Clusters = None,
    fit_images: Annotated[
        int, typer.Option(callback=whole_of(20), help="Images fitted at most; all are then sorted.")
    ] = 20_000,
    resamples: Resamples = 1000,
    seed: Seed = 0,
) -> list[Path]:
    """Look for a union of subspaces in φ."""
    from analyses.ground import read, saved
    from analyses.subspaces.analyse import analyse
    from analyses.subspaces.figure import plot

    results_awaited(out, "subspaces.nc", "subspaces.png", reads=[data])
    phi = read(data)
    findings = analyse(
        phi,
        n_subspaces=n_subspaces,
        method=method,
        dimensions=not no_dimensions,
        clusters=clusters,
        fit_images=fit_images,
        resamples=resamples,
        seed=seed,
    )
    return saved(out, ("subspaces", findings), ("subspaces", plot(findings)))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the shell: ``python -m analyses.subspaces phi.zarr -o out/``."""
    return run(command, "subspaces", arguments)
