"""Networks as the command line names them: bundled, in a file, or made by a function of the user's own."""

from __future__ import annotations

import importlib
import inspect
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from probekit.cli.checking import possible_path
from probekit.errors import InputError, ProbeError

if TYPE_CHECKING:
    from torch import nn

__all__ = ["is_function", "network_called"]

WANTED = "give module:function, importable from here, that returns a network"


def is_function(name: str) -> bool:
    """Whether a name is module:function; else it is a bundled name or a path."""
    return ":" in name and not name.endswith(".safetensors")


def network_called(name: str) -> nn.Module:
    """A denoiser by bundled name, by the path of its .safetensors file, or by module:function that makes it.

    Raises
    ------
    InputError
        If there is none of that name, the function's module fails while it is imported, or the function needs
        arguments, fails, or returns something else.
    ModelError
        If a file cannot be read.
    """
    from torch import nn

    from probekit.models import zoo

    if not is_function(name):
        possible_path("network", name)
        return zoo.load(name)
    module, _, function = name.partition(":")
    if not all(part.isidentifier() for part in (*module.split("."), function)):
        raise InputError(f"{name}: write module:function, e.g. my_networks:make")
    with _importable_from_here():
        with _of_the_users(name, f"importing {module}"):
            found = importlib.import_module(module)
        made = make = _attribute(found, function, name)
        if callable(make) and not isinstance(make, nn.Module):
            _check_no_arguments(make, name)
            with _of_the_users(name, f"{function}()"):
                made = make()
    if not isinstance(made, nn.Module):
        raise InputError(f"{name} gave a {type(made).__name__}: it must return a torch.nn.Module")
    return made


@contextmanager
def _importable_from_here() -> Iterator[None]:
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        yield
    finally:
        # What was imported may have changed the list too.
        if here in sys.path:
            sys.path.remove(here)


@contextmanager
def _of_the_users(name: str, what: str) -> Iterator[None]:
    """Whatever a user's own code raises is said in a line, with the place in it."""
    try:
        yield
    except (KeyboardInterrupt, ProbeError):
        raise
    except BaseException as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        place = "" if last.filename.startswith("<") else f" at {last.filename}, line {last.lineno}"
        said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        # A module that is not there is no failure of anybody's.
        missing = isinstance(error, ModuleNotFoundError) and error.name == name.partition(":")[0]
        told = str(error) if missing else f"{what} raised {said}{place}"
        raise InputError(f"{name}: {told}; {WANTED}") from error


def _attribute(module: ModuleType, function: str, name: str) -> Any:
    try:
        return getattr(module, function)
    except AttributeError as error:
        near = get_close_matches(function, dir(module), n=1)
        hint = f", did you mean {near[0]}?" if near else ""
        raise InputError(f"{name}: {module.__name__} has no {function}{hint}; {WANTED}") from error


def _check_no_arguments(make: Callable[..., Any], name: str) -> None:
    try:
        inspect.signature(make).bind()
    except TypeError as error:
        raise InputError(f"{name}: {error}; it is called without any: give its arguments defaults") from error
    except ValueError:
        # Built-in functions may not tell what they take.
        return
