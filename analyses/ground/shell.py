"""The command line of the rooms: one vocabulary, one way to run a command, one way for it to end."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from probekit.errors import ProbeError

__all__ = ["OUT", "Clusters", "Data", "Level", "Permutations", "Resamples", "run"]

OUT = Path("results")

Data = Annotated[Path, typer.Argument(help="φ as a Zarr store or a netCDF file, written by `probekit phi`.")]
Clusters = Annotated[
    str | None, typer.Option(help="Coordinate along image whose groups are resampled whole, e.g. label.")
]
Resamples = Annotated[int, typer.Option(help="Of the bootstrap.")]
Level = Annotated[float, typer.Option(help="Coverage of intervals.")]
Permutations = Annotated[int, typer.Option(help="Of the permutation test.")]


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
        Exit status: 0, 1 after an error that the package raised, 2 after words that are none of the command's.
    """
    program = f"python -m analyses.{name}"
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command(help=command.__doc__)(command)
    given: Any = None if arguments is None else list(map(str, arguments))
    try:
        written = typer.main.get_command(app).main(given, prog_name=program, standalone_mode=False)
    except ProbeError as error:
        print(f"{program}: {error}", file=sys.stderr)
        return 1
    except typer.Exit as end:
        return end.exit_code
    except typer.Abort:
        return 130
    except Exception as error:
        # What click itself refuses of the words knows how to show itself.
        if not hasattr(error, "show"):
            raise
        error.show()  # pyright: ignore[reportAttributeAccessIssue]
        return int(getattr(error, "exit_code", 2))
    if isinstance(written, list):
        print("\n".join(map(str, written)))
    return 0 if not isinstance(written, int) else written
