"""The shell face: ``probekit COMMAND``."""

from __future__ import annotations

import typer

from probekit.cli.look import demo, models, phi, taps
from probekit.cli.train import train
from probekit.errors import ProbeError

__all__ = ["app", "main"]

app = typer.Typer(
    help="Look inside convolutional image denoisers.", no_args_is_help=True, pretty_exceptions_enable=False
)
for command in (demo, models, taps, phi, train):
    app.command()(command)


def main() -> None:
    """Run the command line; the package's own errors become one line and exit code 1."""
    try:
        app()
    except ProbeError as error:
        typer.echo(f"error: {error}", err=True)
        raise SystemExit(1) from None
