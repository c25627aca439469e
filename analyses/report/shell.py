"""The program `probekit`: what there is to be called is named here, and loaded when it is called."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Annotated, Any, ClassVar

import typer
from typer.core import TyperCommand, TyperGroup

__all__ = ["ANALYSES", "COMMANDS", "app", "main"]

# What pip calls the package.
DISTRIBUTION = "probekit-denoisers"
# One line for each command, and where it is.
COMMANDS: Mapping[str, tuple[str, str]] = {
    "demo": (
        "Measure φ of the built-in photographs at every block of a trained denoiser, and draw what it shows.",
        "analyses.report.demo:command",
    ),
    "models": ("List the bundled denoisers, with how well they denoise.", "probekit.cli.look:models"),
    "taps": (
        "List what can be tapped in a network: name, alias, map shape, calls, share of the work to reach it.",
        "probekit.cli.look:taps",
    ),
    "draw": (
        "Draw a network: blocks with tap names, map sizes and costs, and what feeds what.",
        "probekit.cli.look:draw",
    ),
    "phi": ("Write the representation φ of images to a file that xarray opens.", "probekit.cli.look:phi"),
    "check": ("Read a store through, and say what of it is whole.", "probekit.cli.look:check"),
    "train": ("Train a denoiser and write its weights with a model card.", "probekit.cli.train:train"),
    "report": (
        "Measure a denoiser on images, run the analyses, judge the paper's claims, and write a report.",
        "analyses.report.all_claims:command",
    ),
}
ANALYSES: Mapping[str, str] = {
    "sparsity": "How many channels share the activity of an image, at each tap and noise level.",
    "selectivity": "Which channels respond to nearly every image, and which to few.",
    "subspaces": "Look for a union of subspaces in φ.",
    "semantics": "Is distance in φ semantic: stability over noise, neighbours, correlations with other distances.",
    "clusters": "Whether images form groups in φ, how many, and whether these are classes.",
    "probe": "How much of the class a linear classifier reads from φ, at each tap and noise level.",
    "descriptors": "Descriptors of images, as semantics compares φ with them: --others descriptors.nc.",
    "controls": "Does it need training? The same numbers for the trained denoiser and all that it is compared with.",
    "sampling": "Images sampled from p(x | φ) of images, and what they share.",
    "variants": "What each ingredient of conditional sampling does: match, variety, near copies, other blocks, "
    "untrained network.",
    "densities": "Whether distances in φ follow distances between the conditional densities.",
    "attribution": "Which pixels drive channels of a denoiser.",
    "concepts": "Whether selective channels are concepts: what samples with a few held share with the images that "
    "excite them.",
    "generalisation": "Whether a denoiser has learnt its training images by heart: PSNR on both sets, near copies "
    "among samples.",
}


class Lazy(TyperGroup):
    """A group whose commands are named in a table, and loaded when they are called."""

    known: ClassVar[Mapping[str, tuple[str, str]]] = {}

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        named = {name: TyperCommand(name=name, help=said) for name, (said, _) in self.known.items()}
        self.commands = {**named, **self.commands}

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name, command, rest = super().resolve_command(ctx, args)
        return name, _loaded(str(name), self.known[str(name)][1]) if name in self.known else command, rest


class Program(Lazy):
    """The commands of the program."""

    known = COMMANDS


class Analyses(Lazy):
    """The command of each room of analyses."""

    known: ClassVar[Mapping[str, tuple[str, str]]] = {
        name: (said, f"analyses.{name}.shell:command") for name, said in ANALYSES.items()
    }


def _loaded(name: str, place: str) -> Any:
    module, _, function = place.partition(":")
    made = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    made.command(name)(getattr(import_module(module), function))
    return typer.main.get_command(made)


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import PackageNotFoundError, version

        # Not probekit.__version__, the same text: importing that loads torch.
        try:
            typer.echo(version(DISTRIBUTION))
        except PackageNotFoundError:
            typer.echo("0+unknown")
        raise typer.Exit


app = typer.Typer(cls=Program, add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)
analyse = typer.Typer(cls=Analyses, add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)
app.add_typer(analyse, name="analyse", help="Analyse φ, a network or samples: one command for each analysis.")


@app.callback()
def probekit(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Look inside convolutional image denoisers."""


@analyse.callback()
def _analyse() -> None:
    """Analyse φ, a network or samples: one command for each analysis."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program, and print the paths that it wrote, or in one line why it could not.

    Parameters
    ----------
    arguments
        Instead of the process's own.

    Returns
    -------
    int
        Exit status: 0, 1 after an error that the package raised, 2 after words that are none of the command's.
    """
    try:
        written = typer.main.get_command(app).main(arguments, prog_name="probekit", standalone_mode=False)
    except Exception as error:
        return _status(error)
    if isinstance(written, list):
        typer.echo("\n".join(map(str, written)))
    # What a command ends early with, as after --help, comes back as a number.
    return written if isinstance(written, int) else 0


def _status(error: Exception) -> int:
    """The exit status after an error, which is told in a line; what is no error of the user's is raised."""
    if hasattr(error, "show"):
        # What the command line itself refuses.
        error.show()  # pyright: ignore[reportAttributeAccessIssue]
        return int(getattr(error, "exit_code", 2))
    if isinstance(error, typer.Abort):
        return 130
    # An error of the package's comes from a command, which has loaded it.
    errors = sys.modules.get("probekit.errors")
    if errors is None or not isinstance(error, errors.ProbeError):
        raise error
    typer.echo(f"probekit: {error}", err=True)
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
