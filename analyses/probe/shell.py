"""The command of the probe."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from analyses.ground import OUT, Data, Level, Resamples, run
from probekit import checks
from probekit.cli.arguments import Out, Seed, check_list, numbers
from probekit.cli.checking import checked, one_of, possible_path, whole_of
from probekit.cli.output import results_awaited

__all__ = ["command", "main"]

PROTOCOLS, PENALTIES = ("softmax", "ddae"), (1.0, 0.1, 0.03, 0.01, 0.003, 0.001, 0.0001)


def _check_penalties(tried: list[float]) -> None:
    from analyses.probe.checks import penalties_of

    penalties_of(tried)


def command(
    data: Data,
    train: Annotated[Path, typer.Option(callback=checked(possible_path), help="φ of the training images.")],
    out: Out = OUT,
    label: Annotated[str, typer.Option(help="Coordinate along image with the classes.")] = "label",
    protocol: Annotated[
        str, typer.Option(callback=one_of(*PROTOCOLS), help="How to fit: softmax or ddae.")
    ] = "softmax",
    penalties: Annotated[
        str,
        typer.Option(
            callback=check_list(float, "--penalties", _check_penalties),
            help="Penalties tried by softmax, comma-separated.",
        ),
    ] = ",".join(f"{penalty:g}" for penalty in PENALTIES),
    fit_images: Annotated[int, typer.Option(callback=whole_of(3), help="Training images fitted to at most.")] = 100_000,
    sizes: Annotated[
        str | None,
        typer.Option(
            callback=check_list(int, "--sizes", lambda sizes: checks.counts("sizes", sizes)),
            help="Numbers of training images of a learning curve, comma-separated.",
        ),
    ] = None,
    resamples: Resamples = 1000,
    level: Level = 0.95,
    seed: Seed = 0,
) -> list[Path]:
    """How much of the class a linear classifier reads from φ, at each tap and noise level."""
    from analyses.ground import read, saved
    from analyses.probe.analyse import analyse
    from analyses.probe.figure import plot

    results_awaited(out, "probe.nc", "probe.png", reads=[data, train])
    phi, fitted_on = read(data), read(train)
    findings = analyse(
        fitted_on,
        phi,
        label=label,
        protocol=protocol,
        penalties=numbers(penalties, float, "--penalties"),
        fit_images=fit_images,
        sizes=() if sizes is None else numbers(sizes, int, "--sizes"),
        resamples=resamples,
        level=level,
        seed=seed,
    )
    return saved(out, ("probe", findings), ("probe", plot(findings)))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the shell: ``python -m analyses.probe val.zarr --train train.zarr -o out/``."""
    return run(command, "probe", arguments)
