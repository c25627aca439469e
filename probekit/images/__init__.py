"""Image sources: arrays, tensors, labelled arrays, folders, zips, torch Datasets and built-in photographs."""

from __future__ import annotations

import io
import math
import os
import warnings
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from numbers import Integral
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import torch
import xarray as xr
from PIL import Image, ImageOps, UnidentifiedImageError

from probekit.errors import InputError
from probekit.images.samples import photographs

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

__all__ = ["ImageSet", "concatenate", "load"]

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm"})
MAX_NAMED = 5
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


@dataclass(frozen=True)
class ImageSet:
    """Images of one size, read when asked for.

    Attributes
    ----------
    name : str
        Where the images come from, as results state it.
    ids : tuple[str, ...]
        One stable, unique id per image.
    labels : tuple[str, ...] or None
        One class name per image, where known.
    shape : tuple[int, int, int]
        (bands, rows, columns) of every image.
    skipped : tuple[str, ...]
        Files that were left out on request, each with the reason.
    preparation : str
        What was done to files: resizing, cropping, colour planes; "none" for others.
    """

    name: str
    ids: tuple[str, ...]
    labels: tuple[str, ...] | None
    shape: tuple[int, int, int]
    _read: Callable[[Sequence[int]], Tensor] = field(repr=False)
    skipped: tuple[str, ...] = ()
    preparation: str = "none"

    def __len__(self) -> int:
        return len(self.ids)

    def read(self, indices: Sequence[int]) -> Float[Tensor, "n band row col"]:
        """The images at these positions, float32 (n, C, H, W) on the CPU.

        Raises
        ------
        InputError
            If an image holds NaN or infinite values, or no longer has the set's shape.
        """
        images = self._read(indices).float()
        if tuple(images.shape) != (len(indices), *self.shape):
            raise InputError(f"{self.name} gave shape {tuple(images.shape)[1:]} where {self.shape} was announced")
        # A sum is quicker than a look at every value, and is finite only if they all are.
        if not math.isfinite(images.sum(dtype=torch.float64)):
            bad = [self.ids[i] for i, x in zip(indices, images, strict=True) if not bool(torch.isfinite(x).all())]
            raise InputError(f"{_named(bad)} of {self.name} hold NaN or infinite values: remove or mend them")
        return images

    def subset(self, indices: Sequence[int]) -> ImageSet:
        """The images at these positions, in this order, under their own ids."""
        indices = [range(len(self))[i] for i in indices]
        labels = None if self.labels is None else tuple(self.labels[i] for i in indices)
        parent = self._read
        return replace(
            self,
            ids=_checked_ids([self.ids[i] for i in indices], len(indices), self.name),
            labels=labels,
            _read=lambda positions: parent([indices[p] for p in positions]),
        )


def load(
    source: Any,
    *,
    size: int | tuple[int, int] | None = None,
    crop: int | tuple[int, int] | None = None,
    bands: Literal[1, 3] = 3,
    ids: Sequence[Any] | None = None,
    labels: Sequence[Any] | None = None,
    skip_bad: bool = False,
) -> ImageSet:
    """Make an image set of whatever holds images.

    Parameters
    ----------
    source
        - numpy array or tensor (N, C, H, W): floats are taken as they are, uint8 is divided by 255;
        - ``xarray.DataArray`` with dims image, band, row, col in any order; its ``image`` and
          ``label`` coordinates become ids and labels;
        - path of a folder or a zip of image files, read as RGB in [0, 1]; ids are the paths inside
          it, and class subfolders become labels;
        - map-style torch ``Dataset`` of tensors (C, H, W) or of (tensor, label) pairs;
        - "samples": crops of the photographs that scikit-image and scikit-learn carry, 64×64, or
          32×32 with ``size=32``; the label is the photograph's name;
        - an `ImageSet`, returned as it is but for `ids` and `labels`.
    size
        Files only: reduce or enlarge to (rows, cols) with a box filter; an int scales the shorter
        side to it and keeps the proportions.
    crop
        Files only: then cut (rows, cols), or a square, from the centre.
    bands
        Files only: 3 reads RGB, 1 reads grey.
    ids
        One id per image, made strings; default: positions "0", "1", …, or as above.
    labels
        One class name per image, made strings; default: as above, or none.
    skip_bad
        Files only: leave out files that cannot be read or are of another size than most, list them
        in `ImageSet.skipped` and warn; by default they are an error that names them.

    Returns
    -------
    ImageSet

    Raises
    ------
    InputError
        If the source cannot be used as given; the message says why and how to mend it.

    Examples
    --------
    >>> images = load(np.zeros((2, 3, 8, 8), np.uint8), labels=["cat", "dog"])
    >>> images.ids, images.labels, images.shape
    (('0', '1'), ('cat', 'dog'), (3, 8, 8))
    """
    if bands not in (1, 3):
        raise InputError(f"bands={bands!r}: give 1 to read files as grey or 3 to read them as RGB")
    files_only = {"crop": crop, "bands": None if bands == 3 else bands, "skip_bad": skip_bad or None}
    if isinstance(source, str) and source == "samples":
        _refuse(files_only, "the built-in samples take only size=64 or size=32")
        found = _samples(64 if size is None else size)
    elif isinstance(source, str | Path):
        found = _files(Path(source), _Preparation(_pair(size, "size"), _pair(crop, "crop"), bands), skip_bad)
    else:
        _refuse(files_only | {"size": size}, "only image files are resized, cropped, converted or skipped here")
        found = _in_memory(source)
    return _relabelled(found, ids, labels)


def concatenate(sets: Sequence[ImageSet]) -> ImageSet:
    """One image set of several, such as the parts of a data set; ids gain the name of their part.

    Raises
    ------
    InputError
        If there is no set, if sizes differ, or if two parts have the same name.
    """
    if not sets:
        raise InputError("there is no image set to concatenate: give at least one")
    if len(sets) == 1:
        return sets[0]
    twice = [name for name, n in Counter(s.name for s in sets).items() if n > 1]
    if twice:
        raise InputError(
            f"{_named(twice)} names more than one set: ids begin with the set's name, so rename one of them"
        )
    shapes = {s.name: s.shape for s in sets}
    if len(set(shapes.values())) > 1:
        raise InputError(f"the sets differ in (bands, rows, cols): {shapes}: bring all to one size with size=")
    name = " + ".join(s.name for s in sets)
    ids = _checked_ids([f"{s.name}/{i}" for s in sets for i in s.ids], sum(map(len, sets)), name)
    labels = [label for s in sets for label in s.labels or ()]
    starts = np.cumsum([0, *map(len, sets)])

    def read(indices: Sequence[int]) -> Tensor:
        parts = np.searchsorted(starts, indices, side="right") - 1
        return torch.cat([sets[p].read([int(i - starts[p])]) for p, i in zip(parts, indices, strict=True)])

    return ImageSet(
        name,
        ids,
        tuple(labels) if len(labels) == len(ids) else None,
        sets[0].shape,
        read,
        tuple(f"{s.name}/{file}" for s in sets for file in s.skipped),
        "; ".join(dict.fromkeys(s.preparation for s in sets)),
    )


def _in_memory(source: Any) -> ImageSet:
    if isinstance(source, ImageSet):
        return source
    if isinstance(source, xr.DataArray):
        return _labelled_array(source)
    if isinstance(source, np.ndarray | torch.Tensor):
        return _array(source, f"{type(source).__name__} of shape {tuple(source.shape)}")
    if hasattr(source, "__getitem__") and hasattr(source, "__len__") and not isinstance(source, list | tuple | Mapping):
        return _dataset(source)
    raise InputError(
        f"images cannot be read from a {type(source).__name__}: give an array or tensor (N, C, H, W), a DataArray "
        '(image, band, row, col), a folder, a zip, a torch Dataset, or "samples"; stack lists with numpy.stack'
    )


def _array(source: np.ndarray | Tensor, name: str) -> ImageSet:
    if source.ndim != 4:
        raise InputError(
            f"images have shape {tuple(source.shape)}: give (N, C, H, W)"
            + ("; for one image write images[None]" if source.ndim == 3 else "")
        )
    if 0 in source.shape:
        raise InputError(f"images have shape {tuple(source.shape)}: there is nothing in them")
    kind = source.dtype.kind if isinstance(source, np.ndarray) else ("f" if source.is_floating_point() else "")
    eight_bit = source.dtype in (torch.uint8, np.dtype(np.uint8))
    if kind != "f" and not eight_bit:
        raise InputError(f"images are {source.dtype}: give floats in the denoiser's range, or uint8 in 0…255")

    def read(indices: Sequence[int]) -> Tensor:
        if isinstance(source, np.ndarray):
            # Only what is asked for is copied: the array may be mapped from disk.
            chosen = torch.from_numpy(source[np.asarray(indices, int)].astype(np.float32))
        else:
            chosen = source.detach()[list(indices)].cpu().float()
        return chosen / 255 if eight_bit else chosen

    shape = (int(source.shape[1]), int(source.shape[2]), int(source.shape[3]))
    return ImageSet(name, tuple(map(str, range(source.shape[0]))), None, shape, read)


def _labelled_array(source: xr.DataArray) -> ImageSet:
    wanted = ("image", "band", "row", "col")
    if set(source.dims) != set(wanted):
        raise InputError(f"the DataArray has dims {tuple(map(str, source.dims))}: rename them to {wanted}")
    source = source.transpose(*wanted)
    found = _array(np.asarray(source.values), str(source.name or "DataArray"))
    ids = source["image"].values if "image" in source.coords else None
    labels = None
    if "label" in source.coords:
        labels = np.broadcast_to(source["label"].values, source.sizes["image"])
    return _relabelled(found, ids, labels)


def _dataset(source: Any) -> ImageSet:
    if len(source) == 0:
        raise InputError(f"{type(source).__name__} is empty: there are no images in it")

    def image(index: int) -> Tensor:
        item = source[index]
        item = item[0] if isinstance(item, tuple | list) else item
        if not isinstance(item, torch.Tensor | np.ndarray) or item.ndim != 3:
            raise InputError(
                f"item {index} of {type(source).__name__} is a {type(item).__name__}: give a Dataset of tensors "
                "(C, H, W) or of (tensor, label) pairs, converting PIL images in its transform"
            )
        return _array(item[None], "item").read([0])[0]

    def read(indices: Sequence[int]) -> Tensor:
        images = [image(i) for i in indices]
        odd = [str(i) for i, x in zip(indices, images, strict=True) if x.shape != images[0].shape]
        if odd:
            raise InputError(f"items {_named(odd)} of {type(source).__name__} differ in shape: give images of one size")
        return torch.stack(images)

    first = source[0]
    labels = None
    if isinstance(first, tuple | list) and len(first) > 1:
        targets = getattr(source, "targets", None)
        targets = [source[i][1] for i in range(len(source))] if targets is None else list(targets)
        classes = getattr(source, "classes", None)
        labels = tuple(str(classes[int(t)] if classes else _plain(t)) for t in targets)
    c, h, w = image(0).shape
    return ImageSet(type(source).__name__, tuple(map(str, range(len(source)))), labels, (c, h, w), read)


def _plain(target: Any) -> Any:
    return target.item() if isinstance(target, torch.Tensor | np.generic) and target.ndim == 0 else target


def _samples(size: Any) -> ImageSet:
    if size not in (32, 64):
        raise InputError(f"the built-in samples come as 64×64 or 32×32, not size={size!r}: give 64 or 32")
    pixels, ids, labels = photographs(size)
    return replace(_array(pixels, f"samples {size}×{size}"), ids=ids, labels=labels)


class _Preparation(NamedTuple):
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


def _files(path: Path, prepare: _Preparation, skip_bad: bool) -> ImageSet:
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
    _checked_ids(names, len(names), str(path))
    kept, shape, skipped = _verified(names, lambda name: prepare(container.open(name)), path, skip_bad)

    def read(indices: Sequence[int]) -> Tensor:
        pixels = [prepare(container.open(kept[i])) for i in indices]
        odd = [kept[i] for i, x in zip(indices, pixels, strict=True) if x.shape != shape]
        if odd:
            raise InputError(f"{_named(odd)} in {path} differ from the {shape} that they had: load the images again")
        return torch.from_numpy(np.stack(pixels) if pixels else np.empty((0, *shape))).float() / 255

    return ImageSet(path.name, kept, _folder_labels(kept), shape, read, skipped, str(prepare))


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
            + _named([f"{name} ({why})" for name, why in sorted(bad.items())])
            + ". Remove them, bring all to one size with size= and crop=, or pass skip_bad=True to leave them out"
        )
    skipped = tuple(f"{name}: {why}" for name, why in sorted(bad.items()))
    if skipped:
        warnings.warn(f"left out {len(skipped)} of {len(names)} files in {path}: {_named(skipped)}", stacklevel=4)
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


def _relabelled(found: ImageSet, ids: Any, labels: Any) -> ImageSet:
    if ids is not None:
        found = replace(found, ids=_checked_ids(ids, len(found), found.name))
    if labels is not None:
        values = tuple(str(_plain(v)) for v in labels)
        if len(values) != len(found):
            raise InputError(f"{len(values)} labels for {len(found)} images: give one per image")
        found = replace(found, labels=values)
    return found


def _checked_ids(ids: Sequence[Any], count: int, name: str) -> tuple[str, ...]:
    values = tuple(str(_plain(v)) for v in ids)
    if len(values) != count:
        raise InputError(f"{len(values)} ids for {count} images: give one per image")
    repeated = [v for v, n in Counter(values).items() if n > 1]
    if repeated:
        raise InputError(
            f"ids {_named(repeated)} of {name} occur more than once: ids name images and address their noise, "
            "so each must be unique"
        )
    return values


def _named(items: Sequence[str]) -> str:
    more = len(items) - MAX_NAMED
    return ", ".join(items[:MAX_NAMED]) + (f" and {more} more" if more > 0 else "")


def _pair(value: Any, name: str) -> tuple[int, int | None] | None:
    """(rows, cols) of a pair, (side, None) of a number, None of None."""
    if value is None:
        return None
    pair = [value] if isinstance(value, Integral) else list(value) if isinstance(value, Sequence | np.ndarray) else []
    positive = all(isinstance(n, Integral) and not isinstance(n, bool) and int(n) > 0 for n in pair)
    if not positive or len(pair) != (1 if isinstance(value, Integral) else 2):
        raise InputError(f"{name}={value!r}: give a positive int, or (rows, cols)")
    return int(pair[0]), None if len(pair) == 1 else int(pair[1])


def _refuse(options: dict[str, Any], why: str) -> None:
    given = {name: value for name, value in options.items() if value is not None}
    if given:
        raise InputError(f"{', '.join(f'{k}={v!r}' for k, v in given.items())} does not apply here: {why}")
