"""Which reader an image source needs, and which options it takes."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
import xarray as xr
from torch.utils.data import DataLoader, IterableDataset

from probekit.checks import choice, flag, given, is_real, plain, text, whole
from probekit.errors import InputError
from probekit.images.arrays import from_array, from_labelled
from probekit.images.datasets import from_dataset, is_dataset
from probekit.images.decode import Preparation, colour
from probekit.images.files import from_files
from probekit.images.imageset import ImageSet, named, relabelled
from probekit.images.resize import pair
from probekit.images.samples import builtin_samples
from probekit.images.shards import NO_FIELDS, Fields, shards_of
from probekit.images.tables import are_paths, from_paths, from_table, is_table
from probekit.images.tars import is_tar
from probekit.naming import abridged

__all__ = ["Asked", "images_of"]

# Of which files it is looked at when they are loaded whether they can be used.
CHECKS = ("all", "some")
# No format of files counts further.
MOST_FRAMES = 2**31 - 1


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The options of `load`, as they were given."""

    path: Any
    label: Any
    root: Any
    ids: Any
    labels: Any
    size: Any
    crop: Any
    bands: Any
    skip_bad: Any
    background: Any
    frame: Any
    check: Any

    def preparation(self) -> Preparation:
        """What is done to every file; all options of files are checked."""
        which = None if self.frame is None else whole("frame", self.frame, least=0, most=MOST_FRAMES)
        behind = colour("background", self.background)
        return Preparation(pair(self.size, "size"), pair(self.crop, "crop"), _planes(self.bands), behind, which)

    def fields(self) -> Fields:
        """Which fields of the samples in a tar are asked for."""
        _refuse({"root": self.root}, "a tar is given, whose members are looked for nowhere else")
        if self.label is not None and self.labels is not None:
            raise InputError(f"{given('label', self.label)} and labels= are both given: give one of them")
        image = None if self.path is None else text("path", self.path, 'a field of samples, e.g. "jpg", or "*" for all')
        label = None if self.label is None else text("label", self.label, 'a field of samples, e.g. "cls"')
        return Fields(image, label)

    def refuse_of_files(self, *but: str, why: str) -> None:
        """Refuse what only files take, but for some options."""
        found = {
            "size": self.size,
            "crop": self.crop,
            "bands": None if _planes(self.bands) == 3 else self.bands,
            "skip_bad": self.skip_bad or None,
            "background": self.background,
            "frame": self.frame,
            "check": None if self.check == CHECKS[0] else self.check,
        }
        _refuse({name: value for name, value in found.items() if name not in but}, why)

    def refuse_of_tables(self, source: str) -> None:
        """Refuse what only tables take; `source` says what was given."""
        _refuse(
            {"path": self.path, "label": self.label, "root": self.root},
            f"{source} is no table, which is a DataFrame, or the path of a file that is there and called .csv, .tsv or "
            ".parquet; nor is it a tar, or a folder of tars alone",
        )


def images_of(source: Any, asked: Asked) -> ImageSet:
    """The images of whatever holds them, under the ids and labels that are asked for; see `probekit.images.load`."""
    _planes(asked.bands)
    flag("skip_bad", asked.skip_bad)
    choice("check", asked.check, CHECKS)
    if asked.skip_bad and asked.check != CHECKS[0]:
        raise InputError(
            'check="some" and skip_bad=True: which files cannot be used is known when all were decoded: give '
            'check="all", or leave skip_bad out'
        )
    if isinstance(source, os.PathLike):
        source = _path(source)
    samples = isinstance(source, str) and source == "samples"
    if isinstance(source, str) and not samples:
        if not source.strip():
            raise InputError('the path of the images is blank: give a folder, a zip, or "." for the working folder')
        source = Path(source)
    if isinstance(source, pd.DataFrame) or (isinstance(source, Path) and is_table(source)):
        return _listed(source, asked)
    shards = shards_of(source) if isinstance(source, Path) or are_paths(source) else None
    tars = shards is not None or (isinstance(source, Path) and is_tar(source))
    if not tars:
        called = f"what is given, of type {type(source).__name__},"
        if isinstance(source, Path | str):
            called = repr(abridged(str(source)))
        asked.refuse_of_tables(called)
        if are_paths(source):
            return _listed(source, asked)
    if samples:
        asked.refuse_of_files("size", "bands", why="the built-in samples take only size=64 or size=32, and bands")
        found = builtin_samples(64 if asked.size is None else asked.size, _planes(asked.bands))
    elif isinstance(place := source if shards is None else shards.path, Path):
        found = from_files(
            place,
            asked.preparation(),
            asked.skip_bad,
            check_all=asked.check == CHECKS[0],
            container=None if shards is None else shards.tar,
            with_labels=asked.labels is None,
            fields=asked.fields() if tars else NO_FIELDS,
        )
        if shards is not None and not shards.placed:
            found = replace(found, origin="")
    else:
        asked.refuse_of_files(why="only image files are resized, cropped, converted or skipped here")
        found = _in_memory(source, with_labels=asked.labels is None)
    return relabelled(found, asked.ids, asked.labels)


def _path(source: os.PathLike[Any]) -> Any:
    """A path as such; one of bytes as it is."""
    try:
        written = os.fspath(source)
        return Path(written) if isinstance(written, str) else source
    except Exception as error:
        # Whatever an object of others raises when it is asked for its path.
        why = f"{given('source', source)}: it says no path ({type(error).__name__})"
        raise InputError(f"{why}; give the path of a folder, a zip or a table, or images") from error


def _listed(source: Any, asked: Asked) -> ImageSet:
    """The images of the files that a table or a list names."""
    own: dict[str, Any] = {"ids": asked.ids, "labels": asked.labels}
    how: dict[str, Any] = {
        "prepare": asked.preparation(),
        "skip_bad": asked.skip_bad,
        "check_all": asked.check == CHECKS[0],
    }
    if isinstance(source, pd.DataFrame | Path):
        found = from_table(source, path=asked.path, label=asked.label, root=asked.root, **own, **how)
    else:
        found = from_paths(source, **own, **how)
    if found.skipped:
        every = len(found) + len(found.skipped)
        told = f"left out {len(found.skipped)} of {every} files of {found.name}: {named(found.skipped)}"
        warnings.warn(told, stacklevel=4)
    return found


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
    elif isinstance(source, xr.Dataset | Mapping):
        mend = "give one of the arrays in it"
    else:
        mend = (
            "give an array or tensor (N, C, H, W), a DataArray (image, band, row, col), a folder, a zip, tars, "
            '"samples", a table or a list of paths of files, or a torch Dataset; stack lists with numpy.stack'
        )
    raise InputError(f"images cannot be read from a {type(source).__name__}: {mend}")


def _planes(bands: Any) -> Literal[1, 3]:
    if not is_real(plain(bands)) or bands not in (1, 3):
        raise InputError(f"{given('bands', bands)}: give 1 to read files as grey or 3 to read them as RGB")
    return 1 if bands == 1 else 3


def _refuse(options: dict[str, Any], why: str) -> None:
    found = [given(name, value) for name, value in options.items() if value is not None]
    if found:
        raise InputError(f"{', '.join(found)} does not apply here: {why}")
