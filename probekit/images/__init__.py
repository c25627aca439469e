"""Image sources: arrays, tensors, labelled arrays, folders, zips, tables and lists of files, Datasets, samples."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from probekit.images.concatenation import concatenate
from probekit.images.imageset import ImageSet, named
from probekit.images.sources import Asked, images_of

__all__ = ["ImageSet", "concatenate", "load"]


def load(
    source: Any,
    *,
    path: str | None = None,
    label: str | None = None,
    root: str | Path | None = None,
    size: int | tuple[int, int] | None = None,
    crop: int | tuple[int, int] | None = None,
    bands: Literal[1, 3] = 3,
    ids: Iterable[Any] | str | None = None,
    labels: Iterable[Any] | None = None,
    skip_bad: bool = False,
    background: float | tuple[float, float, float] | None = None,
    frame: int | None = None,
    check: Literal["all", "some"] = "all",
) -> ImageSet:
    """Make an image set of whatever holds images.

    Parameters
    ----------
    source
        - numpy array or tensor (N, C, H, W): floats are taken as they are, uint8 is divided by 255.
          It is read when needed and not copied: leave it as it is until all is measured;
        - ``xarray.DataArray`` with dims image, band, row, col in any order; its ``image`` and
          ``label`` coordinates become ids and labels;
        - path of a folder, a zip or a tar of image files, read as RGB in [0, 1]; ids are the paths inside it, and
          labels the folders at the first level where folders differ: files that lie above have a missing class, and
          folders that differ further inside are warned of. Where folders do not differ there are no labels, unless
          files lie beside a folder;
        - several tars as one set: a pattern, "shards-{000..099}.tar" or "shards-*.tar", or a list of paths. By the
          conventions of WebDataset, what has one name up to its first dot is one sample, and its class is what
          ``NAME.cls`` holds, or ``label`` in ``NAME.json``, where there are such;
        - table of image files, one a row: a ``pandas.DataFrame``, whose index is not used, or the path of a .csv, .tsv
          or .parquet file; with `path`;
        - list of paths of image files; ids are the paths as given;
        - map-style torch ``Dataset`` of tensors (C, H, W) or of (tensor, label) pairs, which must
          be the same whenever they are read; of ``targets`` and ``classes``, if it has them, come
          the labels, also inside ``Subset`` and ``ConcatDataset``;
        - "samples": crops of the photographs that scikit-image and scikit-learn carry, 64×64, or
          32×32 with ``size=32``; the label is the photograph's name;
        - an `ImageSet`, returned as it is but for `ids` and `labels`.
    path
        Of tables, the column of the files' paths, which are the ids unless `ids` is given. Of tars whose samples have
        several images, which of them is meant: what comes after the first dot, such as "jpg"; "jpg;png" is the first
        of these that there is, "*" each by itself.
    label
        Of tables, the column of the classes; by default there are none. Of tars, the field of a sample that holds its
        class, such as "cls" or "txt"; by default as above.
    root
        Tables only: the folder that relative paths start from; by default that of the table's file, or the working
        folder.
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
        as above. Of tables, also the column that holds them.
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
    check
        Files only: "all" decodes each when they are loaded, so that what cannot be used is known at once; "some"
        decodes 256, evenly spread, and of the others only reads the bytes (of zips not even these): a file that cannot
        be used, or is of another size, is then an error when it is read.

    Returns
    -------
    ImageSet

    Warns
    -----
    UserWarning
        If some images have no class, files are left out, or folders inside those of classes may be meant.

    Raises
    ------
    InputError
        If the source cannot be used as given; the message says why and how to mend it.

    Examples
    --------
    >>> import numpy as np
    >>> images = load(np.zeros((2, 3, 8, 8), np.uint8), labels=["cat", "dog"])
    >>> images.ids, images.labels, images.shape
    (('0', '1'), ('cat', 'dog'), (3, 8, 8))
    >>> images = load("birds.csv", path="file", label="species", size=64, crop=64)  # doctest: +SKIP
    """
    asked = Asked(
        path=path,
        label=label,
        root=root,
        ids=ids,
        labels=labels,
        size=size,
        crop=crop,
        bands=bands,
        skip_bad=skip_bad,
        background=background,
        frame=frame,
        check=check,
    )
    found = images_of(source, asked)
    if found.labels is not None and not (isinstance(source, ImageSet) and labels is None):
        _warn_of_missing(found)
    return found


def _warn_of_missing(images: ImageSet) -> None:
    missing = [name for name, label in zip(images.ids, images.labels or (), strict=True) if not label]
    if missing:
        warnings.warn(
            f"{len(missing)} of {len(images)} images of {images.name} have no class: {named(missing)}. "
            "Analyses by class refuse them; images[[bool(label) for label in images.labels]] leaves them out",
            stacklevel=3,
        )
