"""Image sources: arrays, tensors, labelled arrays, folders, zips, torch Datasets and built-in photographs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch

from probekit.checks import flag, listed, whole
from probekit.errors import InputError
from probekit.images.arrays import in_memory
from probekit.images.decode import Preparation, colour
from probekit.images.files import from_files
from probekit.images.imageset import ImageSet, checked_ids, named, relabelled
from probekit.images.resize import pair
from probekit.images.samples import builtin_samples

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["ImageSet", "concatenate", "load"]


def load(
    source: Any,
    *,
    size: int | tuple[int, int] | None = None,
    crop: int | tuple[int, int] | None = None,
    bands: Literal[1, 3] = 3,
    ids: Sequence[Any] | None = None,
    labels: Sequence[Any] | None = None,
    skip_bad: bool = False,
    background: float | tuple[float, float, float] | None = None,
    frame: int | None = None,
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
        Files only: reduce or enlarge to (rows, cols); an int is the length of the shorter side, and the longer one
        keeps the proportions, rounded to the nearest whole number. Every pixel becomes the mean of the area that it
        covers.
    crop
        Files only: then cut (rows, cols), or a square, from the centre; of an odd rest the larger half lies below and
        right.
    bands
        Files and samples only: 3 reads RGB, 1 reads grey.
    ids
        One id per image, made strings; default: positions "0", "1", …, or as above.
    labels
        One class name per image, made strings; default: as above, or none.
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
    flag("skip_bad", skip_bad)
    files_only = {
        "crop": crop,
        "bands": None if bands == 3 else bands,
        "skip_bad": skip_bad or None,
        "background": background,
        "frame": frame,
    }
    if isinstance(source, str) and source == "samples":
        _refuse(files_only | {"bands": None}, "the built-in samples take only size=64 or size=32, and bands")
        found = builtin_samples(64 if size is None else size, bands)
    elif isinstance(source, str | Path):
        which = None if frame is None else whole("frame", frame, least=0)
        behind = colour("background", background)
        prepare = Preparation(pair(size, "size"), pair(crop, "crop"), bands, behind, which)
        found = from_files(Path(source), prepare, skip_bad)
    else:
        _refuse(
            files_only | {"size": size},
            "only image files are resized, cropped, converted or skipped here",
        )
        found = in_memory(source)
    return relabelled(found, ids, labels)


def concatenate(sets: Sequence[ImageSet]) -> ImageSet:
    """One image set of several, such as the parts of a data set; ids gain the name of their part.

    Raises
    ------
    InputError
        If there is no set, if sizes differ, or if two parts have the same name.
    """
    sets = listed("sets", sets, "a list of image sets, as load makes them")
    strange = [type(s).__name__ for s in sets if not isinstance(s, ImageSet)]
    if strange:
        raise InputError(f"sets hold a {strange[0]}, which is no image set: give each to load first")
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
        "; ".join(dict.fromkeys(s.origin for s in sets if s.origin)),
    )


def _refuse(options: dict[str, Any], why: str) -> None:
    given = {name: value for name, value in options.items() if value is not None}
    if given:
        raise InputError(f"{', '.join(f'{k}={v!r}' for k, v in given.items())} does not apply here: {why}")
