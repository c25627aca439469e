"""Networks as the command line names them: bundled, in a file, or made by a function of the user's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from probekit.cli.checking import possible_path

if TYPE_CHECKING:
    from torch import nn

__all__ = ["is_function", "network_called"]


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
    from probekit.models import made, zoo

    if is_function(name):
        return made.made_by(name)
    possible_path("network", name)
    return zoo.load(name)
