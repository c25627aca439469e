"""The shell face: ``probekit COMMAND``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from analyses.report.demo import run as run_demo
from probekit.cli.look import models, phi, taps
from probekit.cli.train import train
from probekit.errors import ProbeError

__all__ = ["app", "main"]


def demo(
    out: Annotated[Path, typer.Option(help="Folder for phi.nc and the figures.")] = Path("demo"),
    denoiser: Annotated[str, typer.Option(help="Bundled name or path of a .safetensors file.")] = "photo32",
    draws: Annotated[int, typer.Option(help="Noise draws per image and noise level.")] = 10,
) -> None:
    """Measure φ of the built-in photographs at every block of a trained denoiser, and draw what it shows."""
    run_demo(out, name=denoiser, draws=draws, say=typer.echo)


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
