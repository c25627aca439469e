"""The command line of the rooms: one vocabulary, one way to run a command, one way for it to end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer

from analyses.running import command_of, ended
from probekit import checks
from probekit.cli.checking import checked, fraction_of, possible_path, whole_of

__all__ = ["OF_TEST", "OUT", "Clusters", "Data", "Level", "Permutations", "Resamples", "run"]

OUT = Path("results")

Data = Annotated[
    Path,
    typer.Argument(
        callback=checked(possible_path), help="φ as a Zarr store or a netCDF file, written by `probekit phi`."
    ),
]
Clusters = Annotated[
    str | None, typer.Option(help="Coordinate along image whose groups are resampled whole, e.g. label.")
]
Resamples = Annotated[
    int,
    typer.Option(callback=checked(lambda _, value: checks.resampling(value, 0.95)), help="Of the bootstrap."),
]
COVERAGE = "the interval's coverage, between 0 and 1, e.g. 0.95"
Level = Annotated[float, typer.Option(callback=fraction_of(COVERAGE), help="Coverage of intervals.")]
OF_TEST = "Of the permutation test."
Permutations = Annotated[int, typer.Option(callback=whole_of(100), help=OF_TEST)]


def run(command: Callable[..., list[Path] | None], name: str, arguments: Sequence[str] | None = None) -> int:
    """Run a room's command, and print the paths that it wrote, or in one line why it could not.

    Parameters
    ----------
    command
        A function with typer's annotations that returns the paths it wrote, if it does not tell them itself; its
        docstring is the help.
    name
        Of the room.
    arguments
        Instead of the process's own.

    Returns
    -------
    int
        Exit status: 0; 1 after an error that the package raised; 2 after words that are none of the command's; 130
        after Ctrl-C.
    """
    called = command_of(command, name, f"python -m analyses.{name}")
    return ended(lambda: called(arguments), arguments)
