"""The vocabulary of the command line: what each word means, its default, and what it stands for."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from probekit.errors import InputError

if TYPE_CHECKING:
    from torch import nn

    from probekit.images import ImageSet

__all__ = [
    "DRAWS",
    "NETWORK",
    "REDUCE",
    "SIGMA",
    "Background",
    "Bands",
    "BatchSize",
    "Condition",
    "Crop",
    "Draws",
    "Frame",
    "Images",
    "Model",
    "Network",
    "Out",
    "Quiet",
    "Reduce",
    "Seed",
    "Sigma",
    "Size",
    "conditions_called",
    "images_called",
    "network_called",
    "numbers",
    "words",
]

NETWORK, SIGMA, DRAWS, REDUCE = "photo32", "0.1,0.2,0.5", 10, "mean"
A_NETWORK = "Bundled name, path of a .safetensors file, or module:function that returns a network."

Images = Annotated[
    list[str],
    typer.Argument(
        help="Folders or zips of images, patterns such as 'train-*.zip', shapes:COUNT, or samples, the built-in ones."
    ),
]
Model = Annotated[str, typer.Argument(metavar="NETWORK", help=A_NETWORK)]
Network = Annotated[str, typer.Option("--network", "--denoiser", help=A_NETWORK)]
Size = Annotated[
    int | None, typer.Option(help="Scale the shorter side of files to this (area averages); by default as they are.")
]
Crop = Annotated[int | None, typer.Option(help="Then cut a square of this side from the middle of files.")]
Bands = Annotated[int, typer.Option(help="3 reads images as RGB, 1 as grey, for networks of one plane.")]
Sigma = Annotated[str, typer.Option(help="Noise levels, comma-separated, in units of intensity.")]
Draws = Annotated[int, typer.Option(help="Noise draws of each image and noise level.")]
Reduce = Annotated[
    str,
    typer.Option(
        help="What is made of each channel's map: mean, relu_mean (of what a ReLU would keep: for taps before one), "
        "max, std or energy."
    ),
]
Background = Annotated[
    str | None, typer.Option(help="What transparent pixels of files lie on: a grey level in 0…1, or R,G,B.")
]
Frame = Annotated[int | None, typer.Option(help="Which frame or page of animations and stacks to take, from 0.")]
Seed = Annotated[int, typer.Option(help="Of the noise and of all that is drawn at random.")]
Out = Annotated[Path, typer.Option("--out", "-o", help="Folder for the results, made if need be.")]
BatchSize = Annotated[int | None, typer.Option(help="Noisy images in one forward pass.")]
Condition = Annotated[
    list[str] | None,
    typer.Option(
        help="NAME=FILE: what else the network takes of each image. .npy in their order, .npz with ids and values, or "
        ".nc or .zarr with dim image. May be repeated."
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress bar.")]


def numbers(text: str, kind: Callable[[str], Any] = int, option: str = "") -> list[Any]:
    """The comma-separated numbers in `text`.

    Raises
    ------
    InputError
        If it is something else; `option` says of what.
    """
    try:
        return [kind(part) for part in text.split(",")]
    except ValueError:
        example = "16,32,64,128" if kind is int else "0.1,0.3,1.0"
        of = f"{option}: " if option else ""
        raise InputError(f"{of}{text!r} is not a list of numbers: write them like {example}") from None


def words(text: str | None) -> list[str] | None:
    """The comma-separated words in `text`; None where there is none."""
    return None if text is None else [word.strip() for word in text.split(",") if word.strip()]


def conditions_called(options: Sequence[str] | None) -> dict[str, Any] | None:
    """What NAME=FILE stand for: arrays mapped from disk, or labelled by image; None where there are none.

    Raises
    ------
    InputError
        If one is written otherwise, a name comes twice, or a file holds no such values.
    """
    found: dict[str, Any] = {}
    for option in options or ():
        name, equals, file = option.partition("=")
        if not (name and equals and file):
            raise InputError(f"--condition {option}: write NAME=FILE, e.g. given=fields.npy")
        if name in found:
            raise InputError(f"--condition {option}: {name} is given twice; give each once")
        found[name] = _values_of(name, Path(file))
    return found or None


def _values_of(name: str, file: Path) -> Any:
    """The values of a condition in a file."""
    import numpy as np
    import xarray as xr

    if file.suffix not in (".npy", ".npz", ".nc", ".zarr"):
        raise InputError(f"--condition {name}={file}: give a file that ends in .npy, .npz, .nc or .zarr")
    try:
        if file.suffix == ".npy":
            return np.load(file, mmap_mode="r")
        if file.suffix == ".npz":
            with np.load(file) as archive:
                known = sorted(archive.files)
                if known == ["ids", "values"]:
                    ids, values = archive["ids"], archive["values"]
                    dims = ("image", *(f"dim {k}" for k in range(1, values.ndim)))
                    return xr.DataArray(values, dims=dims, coords={"image": ids})
        elif file.suffix == ".nc":
            with xr.open_dataset(file, engine="h5netcdf") as data:
                known = sorted(map(str, data.data_vars))
                if name in known or len(known) == 1:
                    return data[name if name in known else known[0]].load()
        else:
            data = xr.open_zarr(file, chunks=None, consolidated=False)
            known = sorted(map(str, data.data_vars))
            if name in known or len(known) == 1:
                return data[name if name in known else known[0]]
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"--condition {name}={file}: it cannot be read ({error})") from error
    wanted = "the arrays ids and values" if file.suffix == ".npz" else f"a variable called {name}, or one only"
    raise InputError(f"--condition {name}={file}: it holds {', '.join(known) or 'nothing'}; it must hold {wanted}")


def network_called(name: str) -> nn.Module:
    """A denoiser by bundled name, by the path of its .safetensors file, or by module:function that makes it."""
    from torch import nn

    from probekit.models import zoo

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
    made = make
    if callable(make) and not isinstance(make, nn.Module):
        try:
            inspect.signature(make).bind()
        except TypeError as error:
            raise InputError(f"{name}: {error}; it is called without any: give its arguments defaults") from error
        made = make()
    if not isinstance(made, nn.Module):
        raise InputError(f"{name} gave a {type(made).__name__}: it must return a torch.nn.Module")
    return made


def images_called(
    names: Sequence[str],
    *,
    size: int | None = None,
    crop: int | None = None,
    bands: int = 3,
    skip_bad: bool = False,
    background: str | None = None,
    frame: int | None = None,
) -> ImageSet:
    """The images of folders, zips and shapes:COUNT or shapes:COUNT:SEED, joined; or of "samples", the built-in ones.

    Of the built-in photographs all, or those whose ids follow. `background` is a grey level or three, comma-separated.

    Raises
    ------
    InputError
        If there are none of such a name, or they cannot be joined.
    """
    from probekit.images import concatenate, load

    given: dict[str, Any] = {"size": size, "crop": crop, "bands": bands, "skip_bad": skip_bad or None, "frame": frame}
    if background is not None:
        levels = numbers(background, float, option="--background")
        given["background"] = levels[0] if len(levels) == 1 else levels
    given = {key: value for key, value in given.items() if value is not None}
    if names and names[0] == "samples":
        # Built-in photographs are squares already.
        builtin = load("samples", **{key: value for key, value in given.items() if key != "crop" or crop != size})
        missing = [n for n in names[1:] if n not in builtin.ids]
        if missing:
            raise InputError(
                f"samples: no built-in photograph {', '.join(missing)}: ids are {', '.join(builtin.ids[:3])}, …; and "
                "samples stands alone, without folders or zips"
            )
        return builtin.subset([builtin.ids.index(n) for n in names[1:]]) if names[1:] else builtin
    if "samples" in names:
        raise InputError("samples stands alone: give it without folders or zips")
    if not names:
        raise InputError("no images are named: give folders or zips of images, shapes:COUNT, or samples")
    every = [file for name in names for file in _matching(name)]
    sets = [_set_called(name, **given) for name in every]
    return sets[0] if len(sets) == 1 else concatenate(sets)


def _matching(name: str) -> list[str]:
    """The files that a pattern such as train-*.zip stands for; a name without a star stands for itself."""
    if "*" not in name:
        return [name]
    found = sorted(map(str, Path(Path(name).anchor or ".").glob(str(Path(name).relative_to(Path(name).anchor)))))
    if not found:
        raise InputError(f"{name}: no file is called so; give folders or zips of images")
    return found


def _set_called(name: str, **options: Any) -> ImageSet:
    from probekit.images import load
    from probekit.synthetic import shapes

    kind, *given = name.split(":")
    if kind != "shapes":
        return load(Path(name), **options)
    if not 1 <= len(given) <= 2 or not all(part.isdecimal() for part in given):
        raise InputError(f"{name}: write shapes:COUNT or shapes:COUNT:SEED, e.g. shapes:1000, for procedural images")
    count, seed = int(given[0]), int(given[-1]) if len(given) > 1 else 0
    if options.get("bands", 3) != 3:
        raise InputError(f"{name}: procedural images are drawn in colour: give files for a grey network, or --bands 3")
    return replace(load(shapes.draw(count, size=options.get("size") or 32, seed=seed).images), name=name)
