"""The images that words of the command line name: folders, zips, tars, files, tables, and those that are drawn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from probekit.cli.checking import numbers, possible_path, words
from probekit.cli.procedural import is_procedural, procedural_called
from probekit.errors import InputError
from probekit.machine.memory import refuse_if_too_large

if TYPE_CHECKING:
    from probekit.images import ImageSet

__all__ = ["CHECKS", "images_called", "parted", "refuse_images_too_large"]

# Of which files it is looked at when they are loaded whether they can be used, as `probekit.images.load` has it.
CHECKS = ("all", "some")
TAR = ".tar"


def images_called(
    names: Sequence[str],
    *,
    size: int | None = None,
    crop: int | None = None,
    bands: int = 3,
    background: str | None = None,
    check: str = CHECKS[0],
    **files: Any,
) -> ImageSet:
    """The images of folders, zips, tars, files, tables and procedural ones, such as shapes:COUNT, joined; or "samples".

    Of the built-in photographs all, or those whose ids follow. All tars are one set, and so are all single image files;
    whether it was the shell that replaced a pattern by what it stands for makes no difference. `background` is a grey
    level or three, comma-separated; `check` and `files`, further options of files and tables, are as
    `probekit.images.load` takes them, and `check` says nothing of images that come from no files.

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
    written = [one for name in names for one in parted(name)]
    every = [file for name in written for file in _matching(name)]
    columns = {key: given.pop(key) for key in ("path", "label") if key in given}
    tables = [name for name in every if is_table(Path(name))]
    if tables and "path" not in columns:
        raise InputError(f"{tables[0]} is a table: probekit phi reads it with --path, the column of its files' paths")
    tars = [name for name in every if _is_called_tar(name)]
    with_columns = {*tables, *tars, *(name for name in every if _holds_samples(name))}
    if columns and not with_columns:
        raise InputError(
            f"{' and '.join(f'--{key}' for key in columns)}: there is no table among the images, and no tar: give a "
            ".csv, .tsv or .parquet file, or tars, or leave these out"
        )
    of_files = {**given, "check": check}
    images = [name for name in every if _is_image(name)]
    sets = [load(images, **of_files)] if images else []
    if tars:
        # A pattern by itself is what the set is called by.
        alone = len(written) == 1 and written[0].lower().endswith(TAR)
        called = written[0] if alone else tars[0] if len(tars) == 1 else tars
        sets.append(load(Path(called) if isinstance(called, str) else called, **of_files, **columns))
    for name in every:
        if name in images or name in tars:
            continue
        if is_procedural(name):
            sets.append(_drawn(name, given))
            continue
        possible_path("images", name)
        sets.append(load(Path(name), **of_files, **(columns if name in with_columns else {})))
    return sets[0] if len(sets) == 1 else concatenate(sets)


def parted(name: str) -> list[str]:
    """The tars of a comma-separated list of them; what is none is itself, and so is a file whose name has commas.

    Raises
    ------
    InputError
        If some of the list are called like tars, and others not.
    """
    folder = str(Path(name).parent)
    # Names of files and folders may have commas.
    if "," not in name or is_procedural(name) or _is_there(name) or ("," in folder and _is_there(folder)):
        return [name]
    parts = words(name) or [name]
    others = [part for part in parts if not part.lower().endswith(TAR)]
    if 0 < len(others) < len(parts):
        raise InputError(
            f"{name} lists tars and {others[0]!r}, which is called like none: give it as a word of its own"
        )
    return [name] if others else parts


def _matching(name: str) -> list[str]:
    """The files that a pattern such as train-*.zip or shards-{000..099}.tar stands for; another name is itself."""
    braces = "{" in name
    if (not braces and "*" not in name and not _is_called_tar(name)) or is_procedural(name) or _is_there(name):
        return [name]
    from probekit.images.shards import expanded, tars_called

    if tars := tars_called(name):
        return list(map(str, tars))
    return [file for one in (expanded(name) if braces else [name]) for file in _globbed(one)]


def _globbed(name: str) -> list[str]:
    if "*" not in name:
        return [name]
    anchor = Path(name).anchor
    try:
        found = sorted(map(str, Path(anchor or ".").glob(str(Path(name).relative_to(anchor)))))
    except (ValueError, OSError, NotImplementedError) as error:
        raise InputError(f"{name} is no pattern ({error}): write one such as 'train-*.zip'") from error
    if not found:
        raise InputError(f"{name}: no file is called so; give folders, zips or tars of images")
    return found


def _is_there(name: str) -> bool:
    try:
        return Path(name).exists()
    except (OSError, ValueError):
        return False


def _is_called_tar(name: str) -> bool:
    """Whether a file is called so, there or not; what is a folder or a zip under such a name is read as such alone."""
    try:
        return name.lower().endswith(TAR) and not is_procedural(name) and not Path(name).is_dir()
    except (OSError, ValueError):
        return False


def _holds_samples(name: str) -> bool:
    """Whether it is a tar under another name, or a folder of tars."""
    from probekit.images.shards import tars_in
    from probekit.images.tars import is_tar

    return is_tar(Path(name)) or bool(tars_in(Path(name)))


def _is_image(name: str) -> bool:
    """Whether it is one image file."""
    from probekit.images.decode import suffixes

    path = Path(name)
    return path.suffix.lower() in suffixes() and path.is_file()


def _drawn(name: str, options: dict[str, Any]) -> ImageSet:
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
