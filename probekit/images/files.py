"""Image sets of files, in a folder or a zip: looked at once, then decoded when asked for."""

from __future__ import annotations

import logging
import mimetypes
import warnings
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from probekit.errors import InputError
from probekit.images.class_folders import class_folders
from probekit.images.containers import Folder, Zip, hidden, opened
from probekit.images.decode import Preparation, suffixes
from probekit.images.imageset import ImageSet, checked_ids, named
from probekit.images.unusable import Unusable
from probekit.machine.memory import refuse_array
from probekit.naming import check_spelling, name_of

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["from_files", "of_names"]

# Pictures whose kinds mimetypes does not know in every version of Python.
PICTURES = frozenset(
    f".{name}"
    for name in (
        "heic",
        "heif",
        "jxl",
        "exr",
        "hdr",
        "psb",
        "xcf",
        "dng",
        "cr2",
        "cr3",
        "nef",
        "arw",
        "orf",
        "rw2",
        "raf",
    )
)
# Beside few images, more files than this of one kind that are no images may well be the images that were meant.
MANY = 10


class Verified(NamedTuple):
    """The files that can be used, with the CRC-32 of their bytes, the common shape, and why others cannot."""

    sums: dict[str, int]
    shape: tuple[int, int, int]
    bad: dict[str, str]


def from_files(path: Path, prepare: Preparation, skip_bad: bool, *, with_labels: bool = True) -> ImageSet:
    """The image files of a folder or a zip, with classes by folders if wanted; see `probekit.images.load`."""
    container = opened(path)
    files, closed = container.listing()
    seen = [file for file in files if not any(map(hidden, PurePosixPath(file).parts))]
    names = [file for file in seen if _suffix(file) in suffixes()]
    others = [file for file in seen if _suffix(file) not in suffixes() and file not in closed]
    total = len(set(names) | set(closed))
    if not total:
        raise InputError(
            f"{path} holds no image files ({' '.join(sorted(suffixes()))}){_kinds('; there are ', others)}"
        )
    found = of_names(container, names, path, prepare, skip_bad, closed)
    if found.skipped:
        warnings.warn(f"left out {len(found.skipped)} of {total} files in {path}: {named(found.skipped)}", stacklevel=4)
    passed = _passed_over(path, others, len(names))
    # Of all files, so that the classes of others do not change where some are left out.
    every = [*names, *(f"{name}unseen" for name in closed if name.endswith("/"))]
    labels = _folder_labels(every, found.ids, path) if with_labels else None
    return replace(found, labels=labels, skipped=(*found.skipped, *passed), origin=str(path.resolve()))


def of_names(
    container: Folder | Zip,
    names: Sequence[str],
    path: Path,
    prepare: Preparation,
    skip_bad: bool,
    closed: Mapping[str, str] = MappingProxyType({}),
) -> ImageSet:
    """The files of these names in a folder or a zip at `path`, as ids; `closed` could not be looked into, and why."""
    checked_ids(list(map(_spelt, names)), len(names), str(path))
    sums, shape, bad = _verified(container, names, prepare, closed)
    if bad and not (skip_bad and sums):
        raise InputError(
            f"{len(bad)} of {len(set(names) | set(closed))} files in {path} cannot be used: "
            + named([f"{name} ({why})" for name, why in sorted(bad.items())])
            + ". Remove them, bring all to one size with size= and crop=, or pass skip_bad=True to leave them out"
        )
    skipped = tuple(f"{name}: {why}" for name, why in sorted(bad.items()))
    kept = tuple(sums)

    def read(indices: Sequence[int]) -> Tensor:
        changed: list[str] = []
        refuse_array((len(indices), *shape), 4, hint="read fewer images at once")
        images = np.empty((len(indices), *shape), np.float32)
        for image, index in zip(images, indices, strict=True):
            try:
                image[...] = prepare.prepared(prepare.decoded(_same(container, kept[index], sums)))
            except Unusable as error:
                changed.append(f"{kept[index]} ({error})")
        if changed:
            raise InputError(
                f"{named(changed)}: changed in {path} since the images were loaded: put back what was there, or load "
                "them again"
            )
        return torch.from_numpy(images)

    return ImageSet(path.name, kept, None, shape, read, skipped, str(prepare), _sums=tuple(sums.values()))


def _verified(
    container: Folder | Zip, names: Sequence[str], prepare: Preparation, closed: Mapping[str, str]
) -> Verified:
    """Decode every file once; the shape that most have is the common one."""
    sums: dict[str, int] = {}
    shapes: dict[str, tuple[int, int, int]] = {}
    bad = {_spelt(name): f"cannot be looked into: {why}" for name, why in closed.items()}
    for name in names:
        try:
            if _spelt(name) != name:
                raise Unusable("its path is not UTF-8, as results need it: rename it")
            encoded = container.read(name)
            shapes[name] = prepare.shape(prepare.decoded(encoded))
            sums[name] = zlib.crc32(encoded)
        except ValueError as error:
            bad[_spelt(name)] = str(error)
    common = Counter(shapes.values()).most_common(1)
    shape = common[0][0] if common else (prepare.bands, 0, 0)
    for name, found in shapes.items():
        if found != shape:
            bad[name] = "{1}×{2} where most are {4}×{5}".format(*found, *shape)
    return Verified({name: crc for name, crc in sums.items() if name not in bad}, shape, bad)


def _same(container: Folder | Zip, name: str, sums: dict[str, int]) -> bytes:
    """The bytes of a file, provided that they are those that were verified."""
    encoded = container.read(name)
    if zlib.crc32(encoded) != sums[name]:
        raise Unusable("its content is another")
    return encoded


def _passed_over(path: Path, others: Sequence[str], images: int) -> list[str]:
    """Tell of files that are no images by their suffix: (pictures among them, each with the reason)."""
    pictures = [file for file in others if _is_picture(file)]
    if others:
        logging.getLogger("probekit").info("passed over in %s%s", path, _kinds(": ", others))
    most = Counter(map(_suffix, others)).most_common(1)
    many = most[0][1] if most else 0
    if pictures or many > max(MANY, 2 * images):
        warnings.warn(
            f"beside {images} images, {path} holds {len(others)} files that are not read"
            f"{_kinds(': ', pictures or others)}. Convert them if they are images, or move them elsewhere",
            stacklevel=5,
        )
    return [f"{_spelt(file)}: Pillow here reads no {_suffix(file)}" for file in pictures]


def _is_picture(file: str) -> bool:
    kind = mimetypes.guess_type(PurePosixPath(file).name)[0] or ""
    return _suffix(file) in PICTURES or kind.startswith("image/")


def _kinds(beginning: str, files: Iterable[str]) -> str:
    """How many files there are of each suffix, after some words; nothing of no files."""
    counts = Counter(_suffix(file) or "without suffix" for file in files)
    listed = named([f"{count} {_spelt(kind)}" for kind, count in counts.most_common()])
    return f"{beginning}{listed}" if counts else ""


def _suffix(file: str) -> str:
    return PurePosixPath(file).suffix.lower()


def _spelt(name: str) -> str:
    """A name as it can be written: bytes that are not UTF-8 as escapes, if there are any."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return ascii(name)
    return name


def _folder_labels(names: Sequence[str], kept: Sequence[str], path: Path) -> tuple[str, ...] | None:
    """Classes of the files that are kept, by the folders of all; None where there are none."""
    classes, inside = class_folders(names)
    labels = tuple(name_of(classes.get(name)) or "" for name in kept)
    if not any(labels):
        return None
    try:
        check_spelling("class folders", labels)
    except InputError as error:
        raise InputError(f"{error}; rename folders of {path}, or give labels=") from None
    if inside:
        known = named([label for label in dict.fromkeys(labels) if label])
        warnings.warn(
            f"classes of {path} are its first folders that differ, {known}, and inside these are folders "
            f"{named(inside)}: if those are the classes, load one of the first folders, or give labels=",
            stacklevel=5,
        )
    return labels
