"""Image sets of files, in a folder or a zip: looked at once, then decoded when asked for."""

from __future__ import annotations

import io
import os
import warnings
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError

from probekit.checks import is_real, listed, unwrapped, whole
from probekit.errors import InputError
from probekit.images.imageset import ImageSet, checked_ids, named

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Preparation", "from_files", "pair"]

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm"})
# What Pillow and zipfile raise on damaged, locked or oversized files.
UNREADABLE = (
    OSError,
    ValueError,
    SyntaxError,
    RuntimeError,
    zlib.error,
    zipfile.BadZipFile,
    Image.DecompressionBombError,
)


class Preparation(NamedTuple):
    """What is done to every file: (rows, cols or None) to resize to, (rows, cols) to cut, colour planes."""

    size: tuple[int, int | None] | None
    crop: tuple[int, int | None] | None
    bands: int

    def __str__(self) -> str:
        resized = "" if self.size is None else f"box filter to {self.size[0]}×{self.size[1] or 'any'}, "
        cropped = "" if self.crop is None else f"crop {self.crop[0]}×{self.crop[1] or self.crop[0]}, "
        return f"{resized}{cropped}{'RGB' if self.bands == 3 else 'grey'} / 255"

    def __call__(self, stream: io.BytesIO | Path) -> np.ndarray:
        # Pillow warns of oddities in metadata; pixels that cannot be read are errors.
        with warnings.catch_warnings(action="ignore"), Image.open(stream) as opened:
            if opened.mode.startswith(("I", "F")):
                raise ValueError(
                    f"pixels of more than 8 bits, mode {opened.mode}: read such files yourself, as an array"
                )
            picture = ImageOps.exif_transpose(opened).convert("RGB" if self.bands == 3 else "L")
        if self.size is not None:
            rows, cols = self.size
            if cols is None:
                scale = rows / min(picture.size)
                rows, cols = round(picture.height * scale), round(picture.width * scale)
            picture = picture.resize((cols, rows), Image.Resampling.BOX)
        if self.crop is not None:
            rows, cols = self.crop[0], self.crop[1] or self.crop[0]
            if picture.height < rows or picture.width < cols:
                raise ValueError(f"{picture.height}×{picture.width} is smaller than the crop {rows}×{cols}")
            top, left = (picture.height - rows) // 2, (picture.width - cols) // 2
            picture = picture.crop((left, top, left + cols, top + rows))
        pixels = np.asarray(picture)
        return pixels[None] if self.bands == 1 else np.moveaxis(pixels, -1, 0)


def from_files(path: Path, prepare: Preparation, skip_bad: bool) -> ImageSet:
    """The image files of a folder or a zip; see `probekit.images.load`."""
    if not path.exists():
        raise InputError(f'{path} does not exist: give a folder, a zip, or "samples" for the built-in photographs')
    if path.is_dir():
        container: _Folder | _Zip = _Folder(path)
    elif zipfile.is_zipfile(path):
        container = _Zip(path)
    else:
        raise InputError(f"{path} is neither a folder nor a zip: put single files into a folder, or give an array")
    names = sorted(name for name in container.names() if _is_image(name))
    if not names:
        raise InputError(f"{path} holds no image files ({' '.join(sorted(SUFFIXES))})")
    checked_ids(names, len(names), str(path))
    kept, shape, skipped = _verified(names, lambda name: prepare(container.open(name)), path, skip_bad)

    def read(indices: Sequence[int]) -> Tensor:
        pixels = [prepare(container.open(kept[i])) for i in indices]
        odd = [kept[i] for i, x in zip(indices, pixels, strict=True) if x.shape != shape]
        if odd:
            raise InputError(f"{named(odd)} in {path} differ from the {shape} that they had: load the images again")
        return torch.from_numpy(np.stack(pixels) if pixels else np.empty((0, *shape))).float() / 255

    return ImageSet(path.name, kept, _folder_labels(kept), shape, read, skipped, str(prepare), str(path.resolve()))


class _Folder:
    def __init__(self, path: Path) -> None:
        self.path = path

    def names(self) -> list[str]:
        return [p.relative_to(self.path).as_posix() for p in self.path.rglob("*") if p.is_file()]

    def open(self, name: str) -> io.BytesIO:
        return io.BytesIO((self.path / name).read_bytes())


class _Zip:
    """A zip kept open, since its directory is costly to parse; opened anew in every process."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.opened: tuple[int, zipfile.ZipFile] | None = None

    def archive(self) -> zipfile.ZipFile:
        if self.opened is None or self.opened[0] != os.getpid():
            self.opened = os.getpid(), zipfile.ZipFile(self.path)
        return self.opened[1]

    def names(self) -> list[str]:
        return self.archive().namelist()

    def open(self, name: str) -> io.BytesIO:
        return io.BytesIO(self.archive().read(name))


def _is_image(name: str) -> bool:
    path = PurePosixPath(name)
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in path.parts)
    return not hidden and path.suffix.lower() in SUFFIXES


def _verified(
    names: Sequence[str], decode: Callable[[str], np.ndarray], path: Path, skip_bad: bool
) -> tuple[tuple[str, ...], tuple[int, int, int], tuple[str, ...]]:
    """Decode every file once: (usable names, their common shape, what was left out and why)."""
    shapes: dict[str, tuple[int, ...]] = {}
    bad: dict[str, str] = {}
    for name in names:
        try:
            shapes[name] = decode(name).shape
        except UnidentifiedImageError:
            bad[name] = "not an image that Pillow can read"
        except UNREADABLE as error:
            bad[name] = str(error)
    common = Counter(shapes.values()).most_common(1)
    for name, shape in shapes.items():
        if shape != common[0][0]:
            bad[name] = "{1}×{2} where most are {4}×{5}".format(*shape, *common[0][0])
    if bad and not (skip_bad and common):
        raise InputError(
            f"{len(bad)} of {len(names)} files in {path} cannot be used: "
            + named([f"{name} ({why})" for name, why in sorted(bad.items())])
            + ". Remove them, bring all to one size with size= and crop=, or pass skip_bad=True to leave them out"
        )
    skipped = tuple(f"{name}: {why}" for name, why in sorted(bad.items()))
    if skipped:
        warnings.warn(f"left out {len(skipped)} of {len(names)} files in {path}: {named(skipped)}", stacklevel=4)
    c, h, w = common[0][0]
    return tuple(name for name in names if name not in bad), (c, h, w), skipped


def _folder_labels(names: Sequence[str]) -> tuple[str, ...] | None:
    """The first folder in which the paths differ, where every file lies in one."""
    folders = [PurePosixPath(name).parts[:-1] for name in names]
    depth = 0
    while len({f[: depth + 1] for f in folders}) == 1 and all(len(f) > depth for f in folders):
        depth += 1
    if any(len(f) <= depth for f in folders):
        return None
    return tuple(f[depth] for f in folders)


def pair(value: Any, name: str) -> tuple[int, int | None] | None:
    """(rows, cols) of a pair, (side, None) of a number, None of None."""
    if value is None:
        return None
    alone = is_real(unwrapped(value))
    try:
        sizes = [whole(name, n, least=1) for n in ([value] if alone else listed(name, value, "(rows, cols)"))]
    except InputError:
        sizes = []
    if len(sizes) != (1 if alone else 2):
        raise InputError(f"{name}={value!r}: give a positive int, or (rows, cols)")
    return sizes[0], None if alone else sizes[1]
