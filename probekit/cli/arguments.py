"""The vocabulary of the command line: what each word means, its default, and what it stands for."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from probekit import checks
from probekit.cli.checking import checked, possible_path, whole_of
from probekit.cli.conditions import check_condition, conditions_called
from probekit.cli.networks import is_function, network_called
from probekit.cli.procedural import is_procedural, procedural_called
from probekit.errors import InputError
from probekit.machine.memory import refuse_if_too_large

if TYPE_CHECKING:
    from probekit.images import ImageSet

__all__ = [
    "DRAWS",
    "NETWORK",
    "PRECISION",
    "REDUCE",
    "SIGMA",
    "AnySeed",
    "Background",
    "Bands",
    "BatchSize",
    "Condition",
    "Crop",
    "Draws",
    "DrawsOrAuto",
    "Frame",
    "Images",
    "LabelColumn",
    "Model",
    "Network",
    "Out",
    "PathColumn",
    "Precision",
    "Quiet",
    "Reduce",
    "Seed",
    "Sigma",
    "Size",
    "check_list",
    "check_words",
    "conditions_called",
    "draws_called",
    "images_called",
    "is_function",
    "network_called",
    "numbers",
    "out_option",
    "precision_called",
    "refuse_images_too_large",
    "store_called",
    "words",
]

NETWORK, SIGMA, DRAWS, REDUCE, PRECISION = "photo32", "0.1,0.2,0.5", 10, "mean", "float32"
A_NETWORK = "Bundled name, path of a .safetensors file, or module:function that returns a network."

# Beyond, no file format of images goes.
LARGEST_SIDE = 65_535


def _check_bands(name: str, value: int) -> None:
    if value not in (1, 3):
        raise InputError(f"{name}={value}: give 1 to read files as grey or 3 to read them as RGB")


def _check_sigma(_name: str, value: str) -> None:
    checks.noise_levels(numbers(value, float, option="--sigma"))


def _check_reduce(_name: str, value: str) -> None:
    from probekit.capture.reductions import reduction

    reduction(value)


def precision_called(value: str) -> Any:
    """What layers are to multiply in."""
    from probekit.machine.precision import ASKED

    return checks.choice("--precision", value, ASKED)


def draws_called(value: str) -> Any:
    """A number of draws, or "auto"."""
    from probekit.phi.reliability import draws_given

    try:
        return draws_given(int(value))
    except ValueError:
        return draws_given(value.strip())


def check_list(kind: Callable[[str], Any], option: str, check: Callable[[list[Any]], object] = bool) -> Any:
    """A callback of typer's that lets comma-separated numbers pass."""
    return checked(lambda _, value: check(numbers(value, kind, option=option)))


def check_words(name: str, known: Collection[str]) -> Any:
    """A callback of typer's that lets comma-separated words pass, each of which is known."""

    def check(_name: str, value: str) -> None:
        for word in words(value) or [""]:
            checks.choice(name, word, known)

    return checked(check)


def store_called(text: str) -> Any:
    """Where a store is: a path, or a place that fsspec knows."""
    from probekit.machine.storage import place

    possible_path("path", text)
    return place("path", text, "the path of a folder")


def out_option(said: str) -> Any:
    """The option --out, or -o, of something that can be the path of a file or folder; `said` is its help."""
    return typer.Option("--out", "-o", callback=checked(possible_path), help=said)


Images = Annotated[
    list[str],
    typer.Argument(
        callback=checked(possible_path),
        help="Folders or zips of images, image files, patterns such as 'train-*.zip', shapes:COUNT, ovals:COUNT, or "
        "samples, the built-in ones.",
    ),
]
Model = Annotated[str, typer.Argument(metavar="NETWORK", help=A_NETWORK)]
Network = Annotated[str, typer.Option("--network", "--denoiser", help=A_NETWORK)]
Size = Annotated[
    int | None,
    typer.Option(
        callback=whole_of(1, most=LARGEST_SIDE),
        help="Scale the shorter side of files to this (area averages); by default as they are.",
    ),
]
Crop = Annotated[
    int | None,
    typer.Option(
        callback=whole_of(1, most=LARGEST_SIDE), help="Then cut a square of this side from the middle of files."
    ),
]
Bands = Annotated[
    int,
    typer.Option(callback=checked(_check_bands), help="3 reads images as RGB, 1 as grey, for networks of one plane."),
]
Sigma = Annotated[
    str,
    typer.Option(callback=checked(_check_sigma), help="Noise levels, comma-separated, in units of intensity."),
]
Draws = Annotated[int, typer.Option(callback=whole_of(1), help="Noise draws of each image and noise level.")]
DrawsOrAuto = Annotated[
    str,
    typer.Option(
        callback=checked(lambda _, value: draws_called(value)),
        help="Noise draws of each image and noise level; auto: as many, up to 64, as make distances reliable.",
    ),
]
Reduce = Annotated[
    str,
    typer.Option(
        callback=checked(_check_reduce),
        help="What is made of each channel's map: mean, relu_mean (of what a ReLU would keep: for taps before one), "
        "max, std or energy; mean_inside and so on: without the outermost ring of positions.",
    ),
]
Precision = Annotated[
    str,
    typer.Option(
        callback=checked(lambda _, value: precision_called(value)),
        help="In what the network's layers multiply: float32; bfloat16, bfloat16x2 (weights as sums of two) or tf32, "
        "faster where the hardware has them; auto: the fastest whose error the noise hides.",
    ),
]
Background = Annotated[
    str | None,
    typer.Option(
        callback=check_list(float, "--background"),
        help="What transparent pixels of files lie on: a grey level in 0…1, or R,G,B.",
    ),
]
Frame = Annotated[
    int | None,
    typer.Option(callback=whole_of(0), help="Which frame or page of animations and stacks to take, from 0."),
]
PathColumn = Annotated[
    str | None,
    typer.Option(
        "--path", help="Of tables, .csv, .tsv or .parquet, among the images: the column of the paths of image files."
    ),
]
LabelColumn = Annotated[str | None, typer.Option("--label", help="Of tables: the column of the classes.")]
OF_ALL = "Of the noise and of all that is drawn at random."
# Noise may be of any seed; what else is drawn asks for one that is not negative.
AnySeed = Annotated[int, typer.Option(help=OF_ALL)]
Seed = Annotated[int, typer.Option(callback=whole_of(0), help=OF_ALL)]
Out = Annotated[Path, out_option("Folder for the results, made if need be.")]
BatchSize = Annotated[int | None, typer.Option(callback=whole_of(1), help="Noisy images in one forward pass.")]
Condition = Annotated[
    list[str] | None,
    typer.Option(
        callback=checked(check_condition),
        help="NAME=FILE: what else the network takes of each image. .npy in their order, .npz with ids and values, or "
        ".nc or .zarr with dim image. May be repeated.",
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


def images_called(
    names: Sequence[str],
    *,
    size: int | None = None,
    crop: int | None = None,
    bands: int = 3,
    background: str | None = None,
    **files: Any,
) -> ImageSet:
    """The images of folders, zips, files, tables and procedural ones, such as shapes:COUNT, joined; or of "samples".

    Of the built-in photographs all, or those whose ids follow. `background` is a grey level or three, comma-separated;
    `files` are further options of files and tables, as `probekit.images.load` takes them.

    Raises
    ------
    InputError
        If there are none of such a name, or they cannot be joined.
    """
    from probekit.images import concatenate, load
    from probekit.images.tables import is_table

    given: dict[str, Any] = {"size": size, "crop": crop, "bands": bands, **files}
    if background is not None:
        levels = numbers(background, float, option="--background")
        given["background"] = levels[0] if len(levels) == 1 else levels
    given = {key: value for key, value in given.items() if value is not None and value is not False}
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
        raise InputError("no images are named: give folders or zips of images, shapes:COUNT, ovals:COUNT, or samples")
    if size is not None:
        refuse_images_too_large(1, bands, size, size, hint=f"give a smaller --size than {size}")
    every = [file for name in names for file in _matching(name)]
    columns = {key: given.pop(key) for key in ("path", "label") if key in given}
    tables = [name for name in every if is_table(Path(name))]
    if tables and "path" not in columns:
        raise InputError(f"{tables[0]} is a table: probekit phi reads it with --path, the column of its files' paths")
    if columns and not tables:
        raise InputError(
            f"{' and '.join(f'--{key}' for key in columns)}: there is no table among the images: give a .csv, .tsv or "
            ".parquet file, or leave these out"
        )
    images = [name for name in every if _is_image(name)]
    sets = [load(images, **given)] if images else []
    sets += [
        _set_called(name, **given, **(columns if name in tables else {})) for name in every if name not in set(images)
    ]
    return sets[0] if len(sets) == 1 else concatenate(sets)


def _matching(name: str) -> list[str]:
    """The files that a pattern such as train-*.zip stands for; a name without a star stands for itself."""
    if "*" not in name:
        return [name]
    anchor = Path(name).anchor
    try:
        found = sorted(map(str, Path(anchor or ".").glob(str(Path(name).relative_to(anchor)))))
    except (ValueError, OSError, NotImplementedError) as error:
        raise InputError(f"{name} is no pattern ({error}): write one such as 'train-*.zip'") from error
    if not found:
        raise InputError(f"{name}: no file is called so; give folders or zips of images")
    return found


def _is_image(name: str) -> bool:
    """Whether it is one image file."""
    from probekit.images.decode import suffixes

    path = Path(name)
    return path.suffix.lower() in suffixes() and path.is_file()


def _set_called(name: str, **options: Any) -> ImageSet:
    from probekit.images import load

    possible_path("images", name)
    if not is_procedural(name):
        return load(Path(name), **options)
    strange = [f"--{option}" for option in ("background", "frame") if option in options]
    if strange:
        raise InputError(f"{name}: procedural images come from no files: leave {' and '.join(strange)} out")
    return procedural_called(name, **{key: options[key] for key in ("size", "crop", "bands") if key in options})


def refuse_images_too_large(count: int, *shape: int, hint: str) -> None:
    """Refuse images that would not fit in memory, in float32.

    Raises
    ------
    CapacityError
        If they would not.
    """
    import torch

    refuse_if_too_large(4 * count * math.prod(shape), 0, device=torch.device("cpu"), hint=hint)
