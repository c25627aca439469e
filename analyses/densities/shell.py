"""The command of densities."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from analyses.densities.kernels_distances import MEASURES
from analyses.ground import OUT, Level, Permutations, Resamples, run
from probekit.cli.arguments import Out, Seed
from probekit.cli.checking import checked, one_of, possible_path, whole_of
from probekit.cli.output import results_awaited

__all__ = ["command", "main"]


def command(
    samples: Annotated[
        Path,
        typer.Argument(
            callback=checked(possible_path),
            help="netCDF file with samples, the phi they are conditioned on, its phi_se, and condition, images.",
        ),
    ],
    out: Out = OUT,
    measure: Annotated[
        str, typer.Option(callback=one_of(*MEASURES), help=f"Distance between laws: {', '.join(MEASURES)}.")
    ] = "energy",
    n_pairs: Annotated[
        int | None, typer.Option(callback=whole_of(1), help="Pairs of conditions; by default all.")
    ] = None,
    noise_free: Annotated[
        bool, typer.Option("--noise-free", help="Take the bias by noise off distances: φ of two draws or more.")
    ] = False,
    least_pairs: Annotated[int, typer.Option(callback=whole_of(1), help="Refuse fewer pairs.")] = 200,
    permutations: Permutations = 999,
    resamples: Resamples = 1000,
    level: Level = 0.95,
    seed: Seed = 0,
) -> list[Path]:
    """Whether distances in φ follow distances between the conditional densities."""
    from analyses.densities.analyse import analyse
    from analyses.densities.figure import plot
    from analyses.ground import read, saved

    results_awaited(out, "densities.nc", "densities.png", reads=[samples])
    data = read(samples)
    findings = analyse(
        data,
        measure=measure,
        n_pairs=n_pairs,
        noise_free=noise_free,
        least_pairs=least_pairs,
        permutations=permutations,
        resamples=resamples,
        level=level,
        seed=seed,
    )
    return saved(out, ("densities", findings), ("densities", plot(findings)))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the shell: ``python -m analyses.densities samples.nc -o out/``."""
    return run(command, "densities", arguments)
