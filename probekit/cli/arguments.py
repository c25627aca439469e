"""The vocabulary of the command line: what each word means, its default, and what it stands for."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Annotated, Any

import typer

from probekit import checks
from probekit.cli.checking import checked, numbers, one_of, possible_path, whole_of, words
from probekit.cli.conditions import check_condition, conditions_called
from probekit.cli.image_sets import CHECKS, images_called, parted, refuse_images_too_large
from probekit.cli.networks import is_function, network_called
from probekit.errors import InputError

__all__ = [
    "CHECK",
    "DRAWS",
    "NETWORK",
    "PRECISION",
    "REDUCE",
    "SIGMA",
    "AnySeed",
    "Background",
    "Bands",
    "BatchSize",
    "Check",
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
CHECK = CHECKS[0]
A_NETWORK = "Bundled name, path of a .safetensors file, or module:function that returns a network."

# Beyond, no file format of images goes.
LARGEST_SIDE = 65_535


def _check_bands(name: str, value: int) -> None:
    if value not in (1, 3):
        raise InputError(f"{name}={value}: give 1 to read files as grey or 3 to read them as RGB")


def _check_images(name: str, value: str) -> None:
    for one in parted(value):
        # What braces stand for may be shorter than what is between them.
        if "{" not in one:
            possible_path(name, one)


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
        callback=checked(_check_images),
        help="Folders or zips of images, tars ('shards-{000..099}.tar', 'shards/*.tar', a.tar,b.tar, or a folder of "
        "them: all of these are one set), image files, patterns such as 'train-*.zip', shapes:COUNT, ovals:COUNT, or "
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
Check = Annotated[
    str,
    typer.Option(
        "--check",
        metavar="|".join(CHECKS),
        callback=one_of(*CHECKS),
        help="Of image files: all are decoded when they are loaded, so that what cannot be used is named at once; or "
        "some, 256 of them, which is quicker of a million: another that cannot be used is named when it is read.",
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
        "--path",
        help="Of tables, .csv, .tsv or .parquet, among the images: the column of the paths of image files. Of tars: "
        "which field of a sample is its image, where it has several, such as jpg.",
    ),
]
LabelColumn = Annotated[
    str | None,
    typer.Option("--label", help="Of tables: the column of the classes. Of tars: the field of a sample that holds it."),
]
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
