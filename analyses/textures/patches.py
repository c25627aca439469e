"""Patches of photographs of textures: non-overlapping squares, in colour or grey."""

from __future__ import annotations

import hashlib
import os
import warnings
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from probekit import checks
from probekit import images as image_sources
from probekit.errors import InputError
from probekit.images import ImageSet
from probekit.images.arrays import luminance
from probekit.images.containers import hidden, opened
from probekit.images.decode import Preparation, suffixes
from probekit.images.files import of_names
from probekit.images.imageset import checked_ids
from probekit.images.members import Where, taken
from probekit.images.parts import Made
from probekit.images.resize import area_means, pair, scaled
from probekit.images.tables import are_paths, is_table
from probekit.naming import named

__all__ = ["patches", "photographs_sha256"]

# A step of 8 bits: what varies by less shows the rounding of its file more than a texture.
FLAT = 1 / 255


class Place(NamedTuple):
    """Where a patch lies: the photograph's number, and the row and column of its upper left pixel."""

    photograph: int
    row: int
    col: int


def patches(
    photographs: Any,
    *,
    size: int = 64,
    side: int | None = 192,
    each: int | None = 8,
    bands: int | None = None,
    seed: int = 0,
) -> ImageSet:
    """Cut non-overlapping square patches from photographs of textures, one photograph being one class.

    A grid of as many squares as there is room for lies in the middle of each photograph, and `each` of them are drawn.
    A square whose luminance varies by less than a step of 8 bits (standard deviation below 1/255) is none.

    Parameters
    ----------
    photographs
        A folder or zip of image files, or a list of paths, of any sizes and proportions; or whatever else
        `probekit.images.load` takes but tables, of which the images are the photographs.
    size
        Side of a patch in pixels.
    side
        The shorter side that each photograph is first reduced or enlarged to, by the means of areas; None for none.
    each
        Patches of a photograph at most, drawn at random by the photograph's id alone; None for all.
    bands
        1 for luminance (ITU-R 601), 3 for RGB, of grey images three times the same; by default 3 of files, and of
        others as they are.
    seed
        Of the drawing.

    Returns
    -------
    ImageSet
        Ids "PHOTOGRAPH#ROW,COL" with the place of the upper left pixel in the photograph as it is resized; the label is
        the photograph's id. Photographs, and the patches of each, are in the order given, row by row.

    Warns
    -----
    UserWarning
        If a photograph gives fewer than two patches: it is left out.

    Raises
    ------
    InputError
        If photographs cannot be read, none gives two patches, or an option is out of its range.

    Examples
    --------
    >>> found = patches(np.random.default_rng(0).random((3, 1, 8, 12)), size=4, side=None, each=None)
    >>> found.shape, len(found), found.ids[:2], found.labels[:2]
    ((1, 4, 4), 18, ('0#0,0', '0#0,4'), ('0', '0'))
    """
    size, seed = checks.whole("size", size, least=1), checks.seeded(seed)
    side = None if side is None else checks.whole("side", side, least=1)
    each = None if each is None else checks.whole("each", each, least=2)
    if bands is not None and checks.whole("bands", bands) not in (1, 3):
        raise InputError(f"{checks.given('bands', bands)}: give 1 for luminance, 3 for RGB, or None")
    every = list(_photographs(photographs, side, bands))
    ids = [one.ids[0] for one in every]
    checked_ids(ids, len(ids), "the photographs")
    places, left = _places(every, size, each, seed)
    if not places:
        raise InputError(
            f"none of {len(every)} photographs gives two patches of {size}×{size} pixels: {named(left)}; give a "
            "smaller size=, or a larger side="
        )
    if left:
        warnings.warn(
            f"left out {len(left)} of {len(every)} photographs, which give fewer than two patches of {size}×{size}: "
            f"{named(left)}; give a smaller size or a larger side for more",
            stacklevel=2,
        )
    first = every[places[0].photograph]

    drawn = f"squares of {size}, {'all' if each is None else each} a photograph"
    name = f"patches of {_name(photographs, first)}"
    return ImageSet(
        name,
        checked_ids([f"{ids[p.photograph]}#{p.row},{p.col}" for p in places], len(places), name),
        tuple(ids[p.photograph] for p in places),
        (first.shape[0], size, size),
        Cut(every, places, size),
        preparation=f"{first.preparation}; {drawn}",
        origin=_origin(photographs),
    )


class Cut:
    """Reads patches of photographs; a part of them has the photographs that these are of."""

    def __init__(self, photographs: Sequence[ImageSet], places: Sequence[Place], size: int) -> None:
        self.photographs, self.places, self.size = photographs, places, size

    def __call__(self, indices: Sequence[int]) -> Tensor:
        cut, size = [], self.size
        for number, run in groupby((self.places[i] for i in indices), key=lambda place: place.photograph):
            # Decoded once for all its patches that come one after the other.
            pixels = self.photographs[number].read([0])[0]
            cut += [pixels[:, place.row : place.row + size, place.col : place.col + size] for place in run]
        return torch.stack(cut)

    def part(self, where: Where) -> Cut:
        """A reader of some of these."""
        places = taken(self.places, where)
        numbers = {old: new for new, old in enumerate(dict.fromkeys(place.photograph for place in places))}
        mine = [self.photographs[number] for number in numbers]
        return Cut(mine, [place._replace(photograph=numbers[place.photograph]) for place in places], self.size)


def photographs_sha256(photographs: Any) -> str:
    """SHA-256 of the ids and content of photographs, which are given as for `patches`; raises as it does."""
    every = list(_photographs(photographs, None, None))
    return hashlib.sha256(repr([(one.ids[0], one.fingerprint()) for one in every]).encode()).hexdigest()


def _photographs(source: Any, side: int | None, bands: int | None) -> Iterator[ImageSet]:
    """Each photograph as an image set of its own, since all of one set are of one size."""
    if isinstance(source, str) and source != "samples":
        source = Path(source)
    if isinstance(source, Path) and is_table(source):
        raise InputError(f"{source} is a table: give a list of the paths of its files")
    if isinstance(source, os.PathLike):
        path = Path(source)
        container = opened(path)
        files = [f for f in container.listing().files if not any(map(hidden, PurePosixPath(f).parts))]
        names = [file for file in files if PurePosixPath(file).suffix.lower() in suffixes()]
        if not names:
            raise InputError(f"{path} holds no image files: give a folder or zip of photographs")
        prepare = Preparation(pair(side, "side"), None, 3 if bands is None else bands)
        yield from (of_names(container, [name], path, prepare, skip_bad=False) for name in names)
    elif are_paths(source):
        for one in source:
            yield image_sources.load([one], size=side, bands=3 if bands != 1 else 1)
    else:
        yield from (_resized(one, side, bands) for one in image_sources.load(source))


def _resized(image: ImageSet, side: int | None, bands: int | None) -> ImageSet:
    """One image in memory as a file would be read."""
    planes, rows, cols = image.shape
    if bands is not None and planes not in (bands, 1, 3):
        raise InputError(f"bands={bands} of images of {planes} bands: give bands=None, which takes them as they are")
    try:
        new = scaled(rows, cols, None if side is None else (side, None))
    except ValueError as error:
        raise InputError(f"{checks.given('side', side)}: {error}; give a smaller side") from None

    shape = (planes if bands is None else bands, *new)
    done = "" if new == (rows, cols) else f"; area averages to {side}×any"
    return replace(
        image,
        shape=shape,
        _read=Made(image, partial(_as_of_files, bands=bands, new=new)),
        _sums=None,
        preparation=image.preparation + done,
    )


def _as_of_files(pixels: Tensor, *, bands: int | None, new: tuple[int, int]) -> Tensor:
    """Images of so many bands, if that is said, and of so many rows and columns."""
    if bands == 1:
        pixels = luminance(pixels)
    elif bands == 3:
        pixels = pixels.expand(-1, 3, -1, -1)
    if new == tuple(pixels.shape[2:]):
        return pixels
    means = [area_means(one.permute(1, 2, 0).double().numpy(), *new) for one in pixels]
    return torch.from_numpy(np.stack(means)).permute(0, 3, 1, 2).float().contiguous()


def _places(every: Sequence[ImageSet], size: int, each: int | None, seed: int) -> tuple[list[Place], list[str]]:
    """The patches that are drawn, and the photographs that have none to spare."""
    places, left = [], []
    for number, photograph in enumerate(every):
        name, (_, rows, cols) = photograph.ids[0], photograph.shape
        n_rows, n_cols = rows // size, cols // size
        if n_rows * n_cols < 2:
            left.append(f"{name} ({rows}×{cols})")
            continue
        top, across = (rows - n_rows * size) // 2, (cols - n_cols * size) // 2
        grid = [Place(number, top + r * size, across + c * size) for r in range(n_rows) for c in range(n_cols)]
        grey = luminance(photograph.read([0]))[0, 0]
        spread = [float(grey[p.row : p.row + size, p.col : p.col + size].std(correction=0)) for p in grid]
        grid = [place for place, contrast in zip(grid, spread, strict=True) if contrast >= FLAT]
        if len(grid) < 2:
            left.append(f"{name} (without contrast)")
            continue
        if each is not None and each < len(grid):
            rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
            grid = [grid[i] for i in sorted(rng.permutation(len(grid))[:each].tolist())]
        places += grid
    return places, left


def _name(source: Any, first: ImageSet) -> str:
    return f"{len(source)} files" if are_paths(source) else first.name


def _origin(source: Any) -> str:
    return str(Path(source).resolve()) if isinstance(source, str | os.PathLike) and source != "samples" else ""
