"""Image sets of files, in a folder, a zip or tars: looked at once, then decoded when asked for."""

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
from typing import NamedTuple

import numpy as np

from probekit.errors import InputError
from probekit.images.class_folders import class_folders, folder_of
from probekit.images.containers import Container, Folder, hidden, opened
from probekit.images.decode import Preparation, suffixes
from probekit.images.imageset import ImageSet, checked_ids, checked_labels, named
from probekit.images.members import Members
from probekit.images.reading import FileReader, in_order
from probekit.images.shards import NO_FIELDS, Fields, samples_of
from probekit.images.tars import Tar
from probekit.images.unusable import Unusable
from probekit.naming import check_spelling, name_of

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


# With check="some", so many files are decoded when a set is loaded.
DECODED = 256
# Files that are read before what is known of them is put down.
TOGETHER = 64


class Verified(NamedTuple):
    """Files that can be used, by position, with the CRC-32 of their bytes; their common shape; why others cannot.

    pixels is how many a file has, about.
    """

    good: np.ndarray
    sums: np.ndarray
    shape: tuple[int, int, int]
    bad: dict[str, str]
    pixels: int


def from_files(
    path: Path,
    prepare: Preparation,
    skip_bad: bool,
    *,
    check_all: bool = True,
    container: Container | None = None,
    with_labels: bool = True,
    fields: Fields = NO_FIELDS,
) -> ImageSet:
    """The image files of a folder, a zip or tars, with classes if wanted; see `probekit.images.load`."""
    container = opened(path) if container is None else container
    files, closed = container.listing()
    seen = [file for file in files if not _is_hidden(file)]
    names, others, chosen = [], [], suffixes()
    for file in seen:
        if _suffix(file) in chosen:
            names.append(file)
        elif file not in closed:
            others.append(file)
    labelled = None
    if isinstance(container, Tar):
        names, others, labelled = samples_of(container, path, names, others, fields, with_labels=with_labels)
    total = len({*names, *closed})
    if not total:
        tars = [file for file in others if _suffix(file) == ".tar"]
        mend = f'; of tars give a pattern, load("{path}/*.tar")' if tars and isinstance(container, Folder) else ""
        raise InputError(
            f"{path} holds no image files ({' '.join(sorted(chosen))}){_kinds('; there are ', others)}{mend}"
        )
    found = of_names(container, names, path, prepare, skip_bad, closed, check_all=check_all)
    if found.skipped:
        warnings.warn(f"left out {len(found.skipped)} of {total} files in {path}: {named(found.skipped)}", stacklevel=4)
    passed = _passed_over(path, others, len(names))
    labels = None
    if labelled is not None:
        every = dict(zip(names, labelled, strict=True))
        labels = checked_labels([every[name] for name in found.ids], len(found))
    elif with_labels:
        # Of all files, so that the classes of others do not change where some are left out.
        labels = _folder_labels([*names, *(f"{name}unseen" for name in closed if name.endswith("/"))], found.ids, path)
    return replace(found, labels=labels, skipped=(*found.skipped, *passed), origin=str(path.resolve()))


def of_names(
    container: Container,
    names: Sequence[str],
    path: Path,
    prepare: Preparation,
    skip_bad: bool,
    closed: Mapping[str, str] = MappingProxyType({}),
    *,
    check_all: bool = True,
) -> ImageSet:
    """The files of these names in a container at `path`, as ids; `closed` could not be looked into, and why.

    All are decoded to see which can be used, or, where not `check_all`, some.
    """
    names = tuple(names)
    checked_ids(list(map(_spelt, names)), len(names), str(path))
    members = container.at(names)
    good, sums, shape, bad, pixels = _verified(members, prepare, closed, check_all=check_all)
    if bad and not (skip_bad and len(good)):
        raise InputError(
            f"{len(bad)} of {len(set(names) | set(closed))} files in {path} cannot be used: "
            + named([f"{name} ({why})" for name, why in sorted(bad.items())])
            + ". Remove them, bring all to one size with size= and crop=, or pass skip_bad=True to leave them out"
        )
    skipped = tuple(f"{name}: {why}" for name, why in sorted(bad.items()))
    if len(good) < len(names):
        members, sums = members.part(good), sums[good]
    read = FileReader(members, prepare, sums, shape, path=path, pixels=pixels, decoded=check_all)
    return ImageSet(path.name, tuple(members.names), None, shape, read, skipped, str(prepare), _sums=sums)


def _verified(members: Members, prepare: Preparation, closed: Mapping[str, str], *, check_all: bool) -> Verified:
    """Read every file once, and decode all or some; the shape that most of these have is the common one."""
    names, count = members.names, len(members.names)
    known = members.sums()
    sums = np.zeros(count, np.uint32) if known is None else known
    # Which of the shapes that occur each file has; −1 of those that cannot be used, −2 where it is not known.
    which = np.full(count, -1, np.int32)
    shapes: dict[tuple[int, int, int], int] = {}
    bad = {_spelt(name): f"cannot be looked into: {why}" for name, why in closed.items()}
    sampled = range(count) if check_all else np.unique(np.linspace(0, count - 1, min(count, DECODED)).astype(int))
    looked_at = np.zeros(count, bool)
    looked_at[sampled] = True

    def look(k: int) -> tuple[int, tuple[int, int, int] | None, int] | str:
        """The checksum of a file, its shape and pixels if it is decoded; or why it cannot be used."""
        try:
            if _spelt(names[k]) != names[k]:
                raise Unusable("its path is not UTF-8, as results need it: rename it")
            if known is not None and not looked_at[k]:
                return int(known[k]), None, 0
            encoded = members.read(k)
            decoded = prepare.decoded(encoded) if looked_at[k] else None
            shape = None if decoded is None else prepare.shape(decoded)
            return zlib.crc32(encoded), shape, 0 if decoded is None else decoded.shape[0] * decoded.shape[1]
        except ValueError as error:
            return str(error)

    pixels = 0
    for start in range(0, count, TOGETHER):
        block = range(start, min(start + TOGETHER, count))
        for k, seen in zip(block, in_order(look, block, pixels), strict=True):
            if isinstance(seen, str):
                bad[_spelt(names[k])] = seen
                continue
            crc, shape, size = seen
            if known is None:
                sums[k] = crc
            which[k] = -2 if shape is None else shapes.setdefault(shape, len(shapes))
            pixels = size or pixels
    counted = np.bincount(which[which >= 0], minlength=len(shapes))
    common = int(counted.argmax()) if len(shapes) else -1
    every = list(shapes)
    shape = every[common] if shapes else (prepare.bands, 0, 0)
    for k in np.flatnonzero((which >= 0) & (which != common)).tolist():
        bad[names[k]] = "{1}×{2} where most are {4}×{5}".format(*every[which[k]], *shape)
    good = np.flatnonzero((which == -2) | ((which >= 0) & (which == common)))
    return Verified(good, sums, shape, bad, pixels)


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
    """The last part of a name from its last dot on, in small letters; as of `pathlib`, which takes a while to ask."""
    name = file[file.rfind("/") + 1 :]
    at = name.rfind(".")
    return name[at:].lower() if 0 < at < len(name) - 1 else ""


def _is_hidden(file: str) -> bool:
    """Whether it is kept out of sight, or lies in a folder that is."""
    # Most are not, which is quickly seen.
    if file[:1] != "." and "/." not in file and "__MACOSX" not in file:
        return False
    return any(map(hidden, PurePosixPath(file).parts))


def _spelt(name: str) -> str:
    """A name as it can be written: bytes that are not UTF-8 as escapes, if there are any."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return ascii(name)
    return name


def _folder_labels(names: Sequence[str], kept: Sequence[str], path: Path) -> tuple[str, ...] | None:
    """Classes of the files that are kept, by the folders of all; None where there are none."""
    classes, inside = class_folders({folder_of(name) for name in names})
    # One string for each class, whatever the number of images.
    named_so = {folder: name_of(label) or "" for folder, label in classes.items()}
    labels = tuple([named_so.get(folder_of(name), "") for name in kept])
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
