"""Image sources: arrays, tensors, labelled arrays, folders, zips, tables and lists of files, Datasets, samples."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict, Unpack

import numpy as np
import pandas as pd
import torch
import xarray as xr
from torch.utils.data import DataLoader, IterableDataset

from probekit.checks import flag, given, is_real, plain, whole
from probekit.errors import InputError
from probekit.images.arrays import from_array, from_labelled
from probekit.images.datasets import from_dataset, is_dataset
from probekit.images.decode import Preparation, colour
from probekit.images.files import from_files
from probekit.images.imageset import ImageSet, checked_ids, named, relabelled
from probekit.images.resize import pair
from probekit.images.samples import builtin_samples
from probekit.images.tables import are_paths, from_paths, from_table, is_table

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["ImageSet", "concatenate", "load", "table"]


class FileOptions(TypedDict, total=False):
    """What `load` and `table` take of image files."""

    size: int | tuple[int, int] | None
    crop: int | tuple[int, int] | None
    bands: Literal[1, 3]
    skip_bad: bool
    background: float | tuple[float, float, float] | None
    frame: int | None


def load(
    source: Any,
    *,
    size: int | tuple[int, int] | None = None,
    crop: int | tuple[int, int] | None = None,
    bands: Literal[1, 3] = 3,
    ids: Iterable[Any] | None = None,
    labels: Iterable[Any] | None = None,
    skip_bad: bool = False,
    background: float | tuple[float, float, float] | None = None,
    frame: int | None = None,
) -> ImageSet:
    """Make an image set of whatever holds images.

    Parameters
    ----------
    source
        - numpy array or tensor (N, C, H, W): floats are taken as they are, uint8 is divided by 255.
          It is read when needed and not copied: leave it as it is until all is measured;
        - ``xarray.DataArray`` with dims image, band, row, col in any order; its ``image`` and
          ``label`` coordinates become ids and labels;
        - path of a folder or a zip of image files, read as RGB in [0, 1]; ids are the paths inside
          it, and class subfolders become labels;
        - list of paths of image files; ids are the paths as given; of a table, see `table`;
        - map-style torch ``Dataset`` of tensors (C, H, W) or of (tensor, label) pairs, which must
          be the same whenever they are read; of ``targets`` and ``classes``, if it has them, come
          the labels, also inside ``Subset`` and ``ConcatDataset``;
        - "samples": crops of the photographs that scikit-image and scikit-learn carry, 64×64, or
          32×32 with ``size=32``; the label is the photograph's name;
        - an `ImageSet`, returned as it is but for `ids` and `labels`.
    size
        Files only: reduce or enlarge to (rows, cols); an int is the length of the shorter side, and the longer one
        keeps the proportions, rounded to the nearest whole number. Every pixel becomes the mean of the area that it
        covers.
    crop
        Files only: then cut (rows, cols), or a square, from the centre; of an odd rest the larger half lies below and
        right.
    bands
        Files and samples only: 3 reads RGB, 1 reads grey.
    ids
        One id per image: strings or whole numbers, made strings; default: positions "0", "1", …, or
        as above.
    labels
        One class per image: strings or whole numbers, made strings; default: as above, or none. None,
        NaN, NA and blanks are missing classes, kept as "", which is warned of: analyses by class
        refuse such images. If all are missing there are no labels.
    skip_bad
        Files only: leave out files that cannot be read or are of another size than most, list them
        in `ImageSet.skipped` and warn; by default they are an error that names them.
    background
        Files only: what transparent pixels are laid on, a grey level or (red, green, blue) in [0, 1]; by default files
        with such pixels cannot be used.
    frame
        Files only: which frame or page to take of animations and stacks, from 0; by default they cannot be used.

    Returns
    -------
    ImageSet

    Warns
    -----
    UserWarning
        If some images have no class, or files are left out.

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
    bands = _planes(bands)
    flag("skip_bad", skip_bad)
    if isinstance(source, os.PathLike) and isinstance(os.fspath(source), str):
        source = Path(source)
    files_only = {
        "crop": crop,
        "bands": None if bands == 3 else bands,
        "skip_bad": skip_bad or None,
        "background": background,
        "frame": frame,
    }
    if isinstance(source, str) and source == "samples":
        _refuse(files_only | {"bands": None}, "the built-in samples take only size=64 or size=32, and bands")
        found = relabelled(builtin_samples(64 if size is None else size, bands), ids, labels)
    elif isinstance(source, str | Path):
        prepare = _preparation(size=size, crop=crop, bands=bands, background=background, frame=frame)
        if isinstance(source, str) and not source.strip():
            raise InputError('the path of the images is blank: give a folder, a zip, or "." for the working folder')
        if is_table(Path(source)):
            raise InputError(f'{source} is a table: give probekit.images.table("{source}", path="column of the files")')
        found = relabelled(from_files(Path(source), prepare, skip_bad), ids, labels)
    elif are_paths(source):
        prepare = _preparation(size=size, crop=crop, bands=bands, background=background, frame=frame)
        found = from_paths(source, ids=ids, labels=labels, prepare=prepare, skip_bad=skip_bad)
        _warn_of_skipped(found)
    else:
        _refuse(files_only | {"size": size}, "only image files are resized, cropped, converted or skipped here")
        found = relabelled(_in_memory(source, with_labels=labels is None), ids, labels)
    if found.labels is not None and not (isinstance(source, ImageSet) and labels is None):
        _warn_of_missing(found)
    return found


def table(
    source: pd.DataFrame | str | Path,
    path: str,
    *,
    ids: Iterable[Any] | str | None = None,
    labels: Iterable[Any] | str | None = None,
    root: str | Path | None = None,
    **options: Unpack[FileOptions],
) -> ImageSet:
    """Make an image set of the files that a table lists, one a row, in its order.

    Parameters
    ----------
    source
        A ``pandas.DataFrame``, whose index is not used, or the path of a .csv, .tsv or .parquet file.
    path
        The column of the files' paths.
    ids
        The column of the ids, or one id for each row; by default the paths as they are written.
    labels
        The column of the classes, or one for each row; by default there are none.
    root
        The folder that relative paths start from; by default that of the table's file, else the working folder.
    options
        Of files, as `load` has them: size, crop, bands, skip_bad, background, frame.

    Warns
    -----
    UserWarning
        If some images have no class, or files are left out.

    Raises
    ------
    InputError
        If the table cannot be read, lacks a column, names no file or one twice, or files cannot be used.

    Examples
    --------
    >>> images = table("birds.csv", path="file", labels="species", size=64, crop=64)  # doctest: +SKIP
    """
    prepare, skip_bad = _preparation(**options), options.get("skip_bad", False)
    found = from_table(source, path=path, root=root, ids=ids, labels=labels, prepare=prepare, skip_bad=skip_bad)
    _warn_of_skipped(found)
    if found.labels is not None:
        _warn_of_missing(found)
    return found


def _preparation(
    *,
    size: Any = None,
    crop: Any = None,
    bands: Any = 3,
    skip_bad: Any = False,
    background: Any = None,
    frame: Any = None,
) -> Preparation:
    """What is done to every file; all options of files are checked."""
    flag("skip_bad", skip_bad)
    which = None if frame is None else whole("frame", frame, least=0)
    behind = colour("background", background)
    return Preparation(pair(size, "size"), pair(crop, "crop"), _planes(bands), behind, which)


def _planes(bands: Any) -> Literal[1, 3]:
    if not is_real(plain(bands)) or bands not in (1, 3):
        raise InputError(f"{given('bands', bands)}: give 1 to read files as grey or 3 to read them as RGB")
    return 1 if bands == 1 else 3


def _in_memory(source: Any, *, with_labels: bool) -> ImageSet:
    """The images of what holds them itself, with its own labels if these are wanted."""
    if isinstance(source, ImageSet):
        return source
    if isinstance(source, xr.DataArray):
        return from_labelled(source, with_labels=with_labels)
    if isinstance(source, np.ndarray | torch.Tensor):
        return from_array(source)
    if is_dataset(source):
        return from_dataset(source, with_labels=with_labels)
    if isinstance(source, DataLoader):
        mend = "give its Dataset, loader.dataset"
    elif isinstance(source, IterableDataset):
        mend = "give a map-style Dataset, whose items are at positions, or stack its images with numpy.stack"
    elif isinstance(source, pd.DataFrame):
        mend = 'give probekit.images.table(frame, path="column of the files")'
    elif isinstance(source, xr.Dataset | Mapping):
        mend = "give one of the arrays in it"
    else:
        mend = (
            'give an array or tensor (N, C, H, W), a DataArray (image, band, row, col), a folder, a zip, "samples", a '
            "table or a list of paths of files, or a torch Dataset; stack lists with numpy.stack"
        )
    raise InputError(f"images cannot be read from a {type(source).__name__}: {mend}")


def concatenate(sets: Sequence[ImageSet]) -> ImageSet:
    """One image set of several, such as the parts of a data set; ids gain the name of their part.

    Where only some parts have labels, the images of the others have the missing class "".

    Warns
    -----
    UserWarning
        If only some parts have labels.

    Raises
    ------
    InputError
        If there is no set, if sizes differ, or if two parts have the same name.
    """
    sets = _listed(sets)
    if not sets:
        raise InputError("there is no image set to concatenate: give at least one")
    if len(sets) == 1:
        return sets[0]
    twice = [name for name, n in Counter(s.name for s in sets).items() if n > 1]
    if twice:
        raise InputError(
            f"{named(twice)} names more than one set: ids begin with the set's name, so rename one of them"
        )
    shapes = {s.name: s.shape for s in sets}
    if len(set(shapes.values())) > 1:
        raise InputError(f"the sets differ in (bands, rows, cols): {shapes}: bring all to one size with size=")
    name = " + ".join(s.name for s in sets)
    ids = checked_ids([f"{s.name}/{i}" for s in sets for i in s.ids], sum(map(len, sets)), name)
    starts = np.cumsum([0, *map(len, sets)])

    def read(indices: Sequence[int]) -> Tensor:
        parts = (np.searchsorted(starts, indices, side="right") - 1).tolist()
        runs = groupby(zip(parts, indices, strict=True), key=lambda one: one[0])
        return torch.cat([sets[p].read([int(i - starts[p]) for _, i in run]) for p, run in runs])

    return ImageSet(
        name,
        ids,
        _joined_labels(sets),
        sets[0].shape,
        read,
        tuple(f"{s.name}/{file}" for s in sets for file in s.skipped),
        "; ".join(dict.fromkeys(s.preparation for s in sets)),
        "; ".join(dict.fromkeys(s.origin for s in sets if s.origin)),
        _joined_sums(sets),
    )


def _joined_sums(sets: Sequence[ImageSet]) -> tuple[int, ...] | None:
    """Checksums of the files of all sets; None where some are of no files, or are prepared otherwise."""
    if any(s._sums is None or s.preparation != sets[0].preparation for s in sets):
        return None
    return tuple(crc for s in sets for crc in s._sums or ())


def _listed(sets: Any) -> list[ImageSet]:
    if not isinstance(sets, Iterable) or isinstance(sets, ImageSet | str | bytes | Mapping):
        raise InputError(f"{given('sets', sets)}: give a list of image sets, as load makes them")
    found: list[ImageSet] = []
    try:
        for one in sets:
            if not isinstance(one, ImageSet):
                raise InputError(f"sets hold a {type(one).__name__}, which is no image set: give each to load first")
            found.append(one)
    except TypeError as error:
        raise InputError(f"{given('sets', sets)}: {error}; give a list of image sets, as load makes them") from error
    return found


def _warn_of_skipped(images: ImageSet) -> None:
    left, every = len(images.skipped), len(images) + len(images.skipped)
    if left:
        told = f"left out {left} of {every} files of {images.name}: {named(images.skipped)}"
        warnings.warn(told, stacklevel=3)


def _warn_of_missing(images: ImageSet) -> None:
    missing = [name for name, label in zip(images.ids, images.labels or (), strict=True) if not label]
    if missing:
        warnings.warn(
            f"{len(missing)} of {len(images)} images of {images.name} have no class: {named(missing)}. "
            "Analyses by class refuse them; images[[bool(label) for label in images.labels]] leaves them out",
            stacklevel=3,
        )


def _joined_labels(sets: Sequence[ImageSet]) -> tuple[str, ...] | None:
    without = [s.name for s in sets if s.labels is None]
    if len(without) == len(sets):
        return None
    if without:
        warnings.warn(
            f"{named(without)} have no classes, and other sets have: analyses by class refuse their images, of class "
            '"". Give labels= when they are loaded, or leave them out',
            stacklevel=3,
        )
    return tuple(label for s in sets for label in s.labels or [""] * len(s))


def _refuse(options: dict[str, Any], why: str) -> None:
    found = {name: value for name, value in options.items() if value is not None}
    if found:
        raise InputError(f"{', '.join(f'{k}={v!r}' for k, v in found.items())} does not apply here: {why}")
