"""The command of selectivity."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from analyses.ground import OUT, Data, Level, Resamples, read, run, saved
from analyses.selectivity.analyse import analyse
from analyses.selectivity.figure import plot
from probekit.cli.arguments import Out, Seed
from probekit.cli.checking import fraction_of, one_of, whole_of
from probekit.cli.output import results_awaited

__all__ = ["command", "main"]


def command(
    data: Data,
    out: Out = OUT,
    fdr: Annotated[
        float,
        typer.Option(
            callback=fraction_of("a false discovery rate between 0 and 1, e.g. 0.05"), help="False discovery rate."
        ),
    ] = 0.05,
    fdr_method: Annotated[
        str, typer.Option(callback=one_of("bh", "by"), help="bh, or by for any dependence between channels.")
    ] = "bh",
    top: Annotated[int, typer.Option(callback=whole_of(1), help="Images kept that excite each channel most.")] = 16,
    resamples: Resamples = 1000,
    level: Level = 0.95,
    seed: Seed = 0,
) -> list[Path]:
    """Which channels respond to nearly every image, and which to few."""
    results_awaited(out, "selectivity.nc", "selectivity.png", reads=[data])
    phi = read(data)
    findings = analyse(phi, fdr=fdr, fdr_method=fdr_method, top=top, resamples=resamples, level=level, seed=seed)
    return saved(out, ("selectivity", findings), ("selectivity", plot(findings)))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the shell: ``python -m analyses.selectivity phi.zarr -o out/``."""
    return run(command, "selectivity", arguments)
