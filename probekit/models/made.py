"""Networks made by a function of the user's own, called module:function; and how a network can be made once more."""

from __future__ import annotations

import importlib
import inspect
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any
from weakref import WeakKeyDictionary

from torch import nn

from probekit.errors import InputError, ProbeError

__all__ = ["is_function", "made_by", "origin_of", "remember"]

WANTED = "give module:function, importable from here, that returns a network"
# How networks came about, as long as they live.
_ORIGINS: WeakKeyDictionary[nn.Module, Callable[[], nn.Module]] = WeakKeyDictionary()


def remember(network: nn.Module, make: Callable[[], nn.Module]) -> nn.Module:
    """Note how a network can be made once more, in another process too; gives the network back.

    Parameters
    ----------
    network
        The network, as it was just made.
    make
        Makes another of the same weights; it can be pickled.
    """
    _ORIGINS[network] = make
    return network


def origin_of(network: nn.Module) -> Callable[[], nn.Module] | None:
    """What makes a network once more, as it was when it was loaded; None where nobody noted it."""
    return _ORIGINS.get(network)


def is_function(name: str) -> bool:
    """Whether a name is module:function; else it is a bundled name or a path."""
    return ":" in name and not name.endswith(".safetensors")


def made_by(name: str, folder: str | None = None) -> nn.Module:
    """What the function called module:function returns.

    Parameters
    ----------
    name
        Of the module, importable from the working folder, and of the function, which is called without arguments.
    folder
        Where else the module may lie.

    Raises
    ------
    InputError
        If the module fails while it is imported, or the function needs arguments, fails, or returns no module of
        torch's.
    """
    module, _, function = name.partition(":")
    if not all(part.isidentifier() for part in (*module.split("."), function)):
        raise InputError(f"{name}: write module:function, e.g. my_networks:make")
    folder = folder or str(Path.cwd())
    with _importable_from(folder):
        with _of_the_users(name, f"importing {module}"):
            found = importlib.import_module(module)
        made = make = _attribute(found, function, name)
        if callable(make) and not isinstance(make, nn.Module):
            _check_no_arguments(make, name)
            with _of_the_users(name, f"{function}()"):
                made = make()
    if not isinstance(made, nn.Module):
        raise InputError(f"{name} gave a {type(made).__name__}: it must return a torch.nn.Module")
    return remember(made, partial(made_by, name, folder))


@contextmanager
def _importable_from(folder: str) -> Iterator[None]:
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        # What was imported may have changed the list too.
        if folder in sys.path:
            sys.path.remove(folder)


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
