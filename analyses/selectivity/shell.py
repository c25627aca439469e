"""The command of selectivity."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from analyses.ground import OUT, Clusters, Data, Level, Resamples, run
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
    clusters: Clusters = None,
    power: Annotated[
        bool, typer.Option("--power", help="Write what fewer of the images decide, too: selectivity-power.")
    ] = False,
    resamples: Resamples = 1000,
    level: Level = 0.95,
    seed: Seed = 0,
) -> list[Path]:
    """Which channels respond to nearly every image, and which to few."""
    from analyses.ground import read, saved
    from analyses.selectivity.analyse import analyse
    from analyses.selectivity.figure import plot
    from analyses.selectivity.power import plot_power, power_curve

    curve = ("selectivity-power.nc", "selectivity-power.png") if power else ()
    results_awaited(out, "selectivity.nc", "selectivity.png", *curve, reads=[data])
    phi = read(data)
    how = {"fdr": fdr, "fdr_method": fdr_method, "clusters": clusters, "level": level, "seed": seed}
    findings = analyse(phi, top=top, resamples=resamples, **how)
    written = saved(out, ("selectivity", findings), ("selectivity", plot(findings)))
    if not power:
        return written
    decided = power_curve(phi, **how)
    name = "selectivity-power"
    return [*written, *saved(out, (name, decided), (name, plot_power(decided)))]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the shell: ``python -m analyses.selectivity phi.zarr -o out/``."""
    return run(command, "selectivity", arguments)
