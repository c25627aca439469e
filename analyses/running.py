"""How a command is made of a function, run, and ended: what it wrote, or in one line why it could not, and a status.

Loads nothing that takes time: what a command needs is loaded while it runs, so that Ctrl-C is told in a line then too.
"""

from __future__ import annotations

import io
import logging
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from typing import Any

from analyses.beating import beating

__all__ = ["command_of", "ended", "invoked", "one_line", "with_verbose"]

# What shells report of programs that a signal ended, 128 and its number: Ctrl-C, and a reader that has enough.
STOPPED, UNREAD = 130, 141
LINE_ENDS = re.compile(r"\s*[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]+\s*")


def ended(work: Callable[[], Any], words: Sequence[str] | None = None) -> int:
    """Do the work of a command, print the paths that it gives, and turn what it raises into a line and a status.

    Parameters
    ----------
    work
        What the command does; what it returns, if a list, are the paths.
    words
        It was called with, instead of the process's own: with --quiet among them, nothing says that it is at work.

    Returns
    -------
    int
        Exit status: 0; 1 after an error of the package's, or one of the machine's, such as a full disk; 2 after words
        that are none of the command's; 130 after Ctrl-C; 141 where nobody reads the output on. What else is raised is
        an error of the program's, and is passed on.
    """
    try:
        with _in_lines(), nullcontext() if "--quiet" in _given(words) else beating():
            written = work()
            if isinstance(written, list) and sys.stdout is not None:
                print("\n".join(map(str, written)))
            if sys.stdout is not None:
                sys.stdout.flush()
    except KeyboardInterrupt as stopped:
        return _told("; ".join(["stopped", *getattr(stopped, "__notes__", ())]), STOPPED)
    except BrokenPipeError:
        # Python would complain once more when it closes the output.
        with suppress(OSError, ValueError, AttributeError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # pyright: ignore[reportOptionalMemberAccess]
        return UNREAD
    except Exception as error:
        return _status(error)
    # What a command ends early with, as after --help, comes back as a number.
    return written if isinstance(written, int) else 0


def command_of(function: Callable[..., Any], name: str, program: str) -> Callable[[Sequence[str] | None], Any]:
    """A command of a function with typer's annotations, to be called with its words.

    Parameters
    ----------
    function
        Its docstring is the help; what it returns is what the command gives.
    name
        Of the command.
    program
        What help and errors call it.
    """
    import typer

    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command(name, help=function.__doc__)(function)
    return invoked(with_verbose(typer.main.get_command(app)), program)


def invoked(command: Any, program: str) -> Callable[[Sequence[str] | None], Any]:
    """A command of click's to be called with its words; unlike its own `main`, it lets every error and Ctrl-C pass."""

    def call(words: Sequence[str] | None) -> Any:
        with command.make_context(program, _given(words)) as context:
            return command.invoke(context)

    return call


def _given(words: Sequence[str] | None) -> list[str]:
    return sys.argv[1:] if words is None else list(map(str, words))


def with_verbose(command: Any) -> Any:
    """The command with one more option, --verbose, which shows what the package decides by itself."""
    import typer

    app = typer.Typer(add_completion=False)
    said = "Say on standard error what is decided: device, batch size, what is taken up again."
    option = typer.Option(False, "--verbose", callback=_show_decisions, help=said)

    def shown(verbose: bool = option) -> None:
        del verbose

    app.command()(shown)
    (made,) = typer.main.get_command(app).params
    made.expose_value = False
    command.params.append(made)
    return command


def _show_decisions(asked: bool) -> None:
    if asked:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(_Line())
        logger = logging.getLogger("probekit")
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)


def one_line(said: object) -> str:
    """A text as one line that a terminal shows as it is."""
    joined = LINE_ENDS.sub(" ", str(said).strip())
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in joined)


class _Line(logging.Formatter):
    """What is logged, as the program says everything else."""

    def format(self, record: logging.LogRecord) -> str:
        return f"probekit: {one_line(record.getMessage())}"


@contextmanager
def _in_lines() -> Iterator[None]:
    """Warnings are lines of the program's; logs end with the command; what the output cannot spell is escaped."""
    logger = logging.getLogger("probekit")
    spelled, handlers, level = warnings.formatwarning, list(logger.handlers), logger.level
    warnings.formatwarning = lambda message, *_, **__: f"probekit: {one_line(message)}\n"
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        yield
    finally:
        warnings.formatwarning = spelled
        logger.handlers[:] = handlers
        logger.setLevel(level)


def _status(error: Exception) -> int:
    """The exit status after an error, which is told in a line; what is no error of the user's is raised."""
    # An error of the package's comes from a command, which has loaded it.
    errors = sys.modules.get("probekit.errors")
    if errors is not None and isinstance(error, errors.ProbeError):
        return _told("; ".join([str(error), *getattr(error, "__notes__", ())]), 1)
    if isinstance(error, MemoryError | OSError):
        return _told(f"{str(error) or 'the memory is full'}: the machine could not do it", 1)
    if type(error).__name__ == "NoArgsIsHelpError":
        error.show()  # pyright: ignore[reportAttributeAccessIssue]
        return 2
    if hasattr(error, "format_message"):
        return _told(_refused(error), int(getattr(error, "exit_code", 2)))
    # What a command ends early with.
    if type(error).__name__ in ("Exit", "Abort"):
        return int(getattr(error, "exit_code", STOPPED))
    raise error


def _refused(error: Any) -> str:
    """What the command line itself refuses, and where it is told what there is."""
    said = str(error.format_message()).rstrip(".")
    context = getattr(error, "ctx", None)
    return said if context is None else f"{said}; {context.command_path} --help tells what there is"


def _told(said: str, status: int) -> int:
    with suppress(OSError):
        print(f"probekit: {one_line(said)}", file=sys.stderr, flush=True)
    return status
