"""A program of many commands, each named in a table and loaded when it is called."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

import probekit
from analyses.running import invoked, with_verbose

__all__ = ["program_of"]

SETTINGS: Any = {"add_completion": False, "pretty_exceptions_enable": False}


def program_of(
    name: str, commands: Mapping[str, tuple[str, str]], **groups: tuple[str, Mapping[str, tuple[str, str]]]
) -> Callable[[Sequence[str] | None], Any]:
    """The program, to be called with its words.

    Parameters
    ----------
    name
        Of the program.
    commands
        One line for each command, and where it is, MODULE:FUNCTION.
    groups
        Further commands that stand under a word: a line for the word, and their table.
    """
    app = typer.Typer(cls=_lazy(commands), no_args_is_help=True, **SETTINGS)
    app.callback()(_start)
    for word, (said, known) in groups.items():
        group = typer.Typer(cls=_lazy(known), no_args_is_help=True, **SETTINGS)
        group.callback()(_nothing)
        app.add_typer(group, name=word, help=said)
    return invoked(typer.main.get_command(app), name)


def _lazy(known: Mapping[str, tuple[str, str]]) -> type[TyperGroup]:
    class Lazy(TyperGroup):
        """A group whose commands are named in a table, and loaded when they are called."""

        def __init__(self, **settings: Any) -> None:
            super().__init__(**settings)
            named = {name: TyperCommand(name=name, help=said) for name, (said, _) in known.items()}
            self.commands = {**named, **self.commands}

        def resolve_command(self, ctx: Any, args: list[str]) -> Any:
            name, command, rest = super().resolve_command(ctx, args)
            return name, _loaded(str(name), known[str(name)][1]) if name in known else command, rest

    return Lazy


@cache
def _loaded(name: str, place: str) -> Any:
    """A command; what typer reads from its function is the same each time that it is called in a process."""
    module, _, function = place.partition(":")
    made = typer.Typer(**SETTINGS)
    made.command(name)(getattr(import_module(module), function))
    return with_verbose(typer.main.get_command(made))


def _version(asked: bool) -> None:
    if asked:
        typer.echo(probekit.__version__)
        raise typer.Exit


def _start(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Look inside convolutional image denoisers."""


def _nothing() -> None:
    """What stands before the commands of a group."""
