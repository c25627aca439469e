"""The command of sparsity."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from analyses.ground import OUT, Clusters, Data, Level, Resamples, run
from probekit.cli.arguments import Out, Seed
from probekit.cli.output import results_awaited

__all__ = ["command", "main"]


def command(
    data: Data,
    out: Out = OUT,
    clusters: Clusters = None,
    resamples: Resamples = 1000,
    level: Level = 0.95,
    seed: Seed = 0,
) -> list[Path]:
    """How many channels share the activity of an image, at each tap and noise level."""
    from analyses.ground import read, saved
    from analyses.sparsity.analyse import analyse
    from analyses.sparsity.figure import plot

    results_awaited(out, "sparsity.nc", "sparsity.png", reads=[data])
    phi = read(data)
    findings = analyse(phi, clusters=clusters, resamples=resamples, level=level, seed=seed)
    return saved(out, ("sparsity", findings), ("sparsity", plot(findings)))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the shell: ``python -m analyses.sparsity phi.zarr -o out/``."""
    return run(command, "sparsity", arguments)
