"""The command of subspaces."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from analyses.ground import OUT, Data, Resamples, read, run, saved
from analyses.subspaces.analyse import analyse
from analyses.subspaces.figure import plot
from probekit.cli.arguments import Out, Seed, numbers
from probekit.machine.files import prepared

__all__ = ["command", "main"]


def command(
    data: Data,
    out: Out = OUT,
    n_subspaces: Annotated[int | None, typer.Option(help="Number of subspaces; by default found.")] = None,
    method: Annotated[str, typer.Option(help="Kind of subspace, coordinate or linear.")] = "coordinate",
    max_subspaces: Annotated[int, typer.Option(help="Largest number of groups tried.")] = 32,
    ranks: Annotated[str, typer.Option(help="Dimensions of subspaces compared with PCAs, comma-separated.")] = (
        "1,2,4,8,16"
    ),
    rate: Annotated[float, typer.Option(help="False discovery rate of active channels.")] = 0.05,
    splits: Annotated[int, typer.Option(help="Splits in halves to see whether the answer repeats.")] = 4,
    dimensions: Annotated[
        bool, typer.Option("--dimensions/--no-dimensions", help="Estimate intrinsic dimensions too.")
    ] = True,
    resamples: Resamples = 1000,
    seed: Seed = 0,
) -> list[Path]:
    """Whether φ lies in a union of subspaces, at each tap and noise level."""
    phi = read(data)
    prepared(out)
    findings = analyse(
        phi,
        n_subspaces=n_subspaces,
        method=method,
        max_subspaces=max_subspaces,
        ranks=numbers(ranks, option="--ranks"),
        rate=rate,
        splits=splits,
        resamples=resamples,
        dimensions=dimensions,
        seed=seed,
    )
    return saved(out, ("subspaces", findings), ("subspaces", plot(findings)))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the shell: ``python -m analyses.subspaces phi.zarr -o out/``."""
    return run(command, "subspaces", arguments)
