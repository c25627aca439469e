"""What words on a command line stand for: lists of numbers, denoisers, images."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from probekit.errors import InputError
from probekit.images import ImageSet, concatenate, load
from probekit.models import zoo
from probekit.synthetic import shapes

__all__ = ["denoiser_called", "images_called", "numbers"]


def numbers(text: str, kind: Callable[[str], Any] = int) -> list[Any]:
    """The comma-separated numbers in `text`."""
    try:
        return [kind(part) for part in text.split(",")]
    except ValueError:
        example = "16,32,64,128" if kind is int else "0.1,0.3,1.0"
        raise InputError(f"{text!r} is not a list of numbers: write them like {example}") from None


def denoiser_called(name: str) -> nn.Module:
    """A denoiser by bundled name, by the path of its .safetensors file, or by module:function that makes it."""
    module, colon, function = name.partition(":")
    if not colon or name.endswith(".safetensors"):
        return zoo.load(name)
    sys.path.insert(0, str(Path.cwd()))
    try:
        make = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise InputError(
            f"{name}: {error}; give module:function, importable from here, that returns a denoiser"
        ) from error
    finally:
        sys.path.pop(0)
    made = make() if callable(make) and not isinstance(make, nn.Module) else make
    if not isinstance(made, nn.Module):
        raise InputError(f"{name} gave a {type(made).__name__}: it must return a torch.nn.Module")
    return made


def images_called(names: Sequence[str], **options: Any) -> ImageSet:
    """The images of folders, zips and shapes:COUNT or shapes:COUNT:SEED, joined, or the built-in ones ("samples")."""
    if "samples" in names:
        if len(names) > 1:
            raise InputError("samples stands alone: give it without folders or zips")
        given = {key: value for key, value in options.items() if value}
        return load("samples", **given)
    return concatenate([_set_called(name, **options) for name in names])


def _set_called(name: str, **options: Any) -> ImageSet:
    kind, *given = name.split(":")
    if kind != "shapes":
        return load(Path(name), **options)
    if not 1 <= len(given) <= 2 or not all(part.isdecimal() for part in given):
        raise InputError(f"{name}: write shapes:COUNT or shapes:COUNT:SEED, e.g. shapes:1000, for procedural images")
    count, seed = int(given[0]), int(given[-1]) if len(given) > 1 else 0
    return replace(load(shapes.draw(count, size=options.get("size") or 32, seed=seed).images), name=name)
