"""Image sets of files that are listed: in a table of pandas, in a file of such, or as paths."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
import pandas as pd
import xarray as xr

from probekit import checks
from probekit.checks import given, listed
from probekit.errors import InputError
from probekit.images.containers import Folder
from probekit.images.decode import Preparation
from probekit.images.files import of_names
from probekit.images.imageset import ImageSet, check_order, checked_ids, checked_labels
from probekit.naming import MAX_NAMED, name_of, named

__all__ = ["are_paths", "from_paths", "from_table", "is_table"]

TABLES = {".csv": ",", ".tsv": "\t", ".parquet": None}


def are_paths(source: Any) -> TypeGuard[Sequence[str | os.PathLike[str]]]:
    """Whether it lists paths, and holds at least one."""
    strings = isinstance(source, pd.Series | pd.Index) or (isinstance(source, np.ndarray) and source.dtype.kind in "OU")
    several = isinstance(source, list | tuple) or (strings and source.ndim == 1)
    return several and len(source) > 0 and all(isinstance(one, str | os.PathLike) for one in source)


def is_table(path: Path) -> bool:
    """Whether it is a file that is called like a table."""
    try:
        return path.suffix.lower() in TABLES and path.is_file()
    except (OSError, ValueError):
        return False


def from_table(
    source: pd.DataFrame | Path, *, path: Any, label: Any, root: Any, ids: Any, labels: Any, **how: Any
) -> ImageSet:
    """The image files that a table names, one a row; see `probekit.images.load`."""
    if path is None:
        shown = "frame" if isinstance(source, pd.DataFrame) else f'"{source}"'
        of = "a DataFrame" if isinstance(source, pd.DataFrame) else source
        raise InputError(f'{of} is a table: give load({shown}, path="column of the files")')
    if label is not None and labels is not None:
        raise InputError(
            f"{given('label', label)} and labels= are both given: give label=, the column of the classes, or "
            "labels=, one class for each row"
        )
    if isinstance(labels, str):
        raise InputError(
            f"{given('labels', labels)}: give label=, the column of the classes, or one class for each row"
        )
    table, name = (source, "DataFrame") if isinstance(source, pd.DataFrame) else (_read(source), source.name)
    files = _column(table, "path", path, name)
    if not files:
        raise InputError(f"{name} has no rows: give one for each image")
    missing = [str(k) for k, file in enumerate(files) if not isinstance(file, os.PathLike) and name_of(file) == ""]
    if missing:
        raise InputError(f"{name} names no file in rows {named(missing)} of {path!r}, counted from 0: drop these rows")
    for option, values in (("ids", ids), ("labels", labels)):
        # The rows' names are only asked for where something might go by them.
        if isinstance(values, pd.Series | xr.DataArray):
            check_order(option, values, list(map(str, map(name_of, table.index))))
    if root is None and isinstance(source, Path):
        root = source.parent
    return replace(
        from_paths(
            files,
            root=root,
            ids=_column(table, "ids", ids, name) if isinstance(ids, str | int) else ids,
            labels=labels if label is None else _column(table, "label", label, name),
            **how,
        ),
        name=name if isinstance(source, Path) else f"DataFrame of {len(table)} rows",
    )


def from_paths(
    paths: Sequence[Any],
    *,
    ids: Any,
    labels: Any,
    prepare: Preparation,
    skip_bad: bool,
    check_all: bool = True,
    root: Any = None,
) -> ImageSet:
    """The image files at these paths, relative ones from `root` or the working folder; see `probekit.images.load`."""
    folder, files = _folder(root), _files(list(paths))
    name = f"list of {len(files)} files"
    places = [os.path.abspath(folder / file) for file in files]  # noqa: PTH100, since links are not followed
    twice = pd.Index(places).duplicated()
    if twice.any():
        at = int(twice.argmax())
        raise InputError(
            f"{files[at]} is listed more than once, again at position {at}: list each file once, e.g. drop_duplicates"
        )
    check_order("ids", ids, files)
    own = checked_ids(files if ids is None else ids, len(files), name)
    check_order("labels", labels, own, files)
    classes = None if labels is None else checked_labels(labels, len(files))
    found = of_names(Folder(folder), files, folder, prepare, skip_bad, check_all=check_all)
    where = {file: k for k, file in enumerate(files)}
    kept = [where[file] for file in found.ids]
    return replace(
        found, name=name, ids=tuple(own[k] for k in kept), labels=classes and tuple(classes[k] for k in kept)
    )


def _read(file: Path) -> pd.DataFrame:
    """A table as it stands: texts, of which only what is empty is missing, not the country NA."""
    separator = TABLES[file.suffix.lower()]
    try:
        if separator is None:
            return pd.read_parquet(file)
        with warnings.catch_warnings(action="error"):
            # Rows longer than the header would make an index of its first column.
            return pd.read_csv(
                file, sep=separator, dtype=str, keep_default_na=False, index_col=False, encoding="utf-8-sig"
            )
    except ImportError as error:
        raise InputError(f"{file} cannot be read, since pyarrow is not installed: install it, or give CSV") from error
    except Exception as error:
        said = " ".join(str(error).split())[:200]
        raise InputError(
            f"{file} cannot be read as a table ({said}): give CSV, TSV or Parquet in UTF-8, with a row of names first; "
            "others by pandas, as a DataFrame"
        ) from error


def _column(table: pd.DataFrame, option: str, column: Any, name: str) -> list[Any]:
    known = list(table.columns)
    if not isinstance(column, str | int) or isinstance(column, bool) or known.count(column) != 1:
        number = known.count(column) if isinstance(column, str) else 0
        found = "more than one such column" if number > 1 else "no such column"
        raise InputError(f"{given(option, column)}: {name} has {found}; {_columns(table)}")
    return table[column].tolist()


def _columns(table: pd.DataFrame) -> str:
    known = [repr(one) for one in table.columns]
    alone = "; where these are not parted by commas, read it with pandas.read_csv(sep=…)" if len(known) == 1 else ""
    return f"it has {named(known[: 4 * MAX_NAMED]) or 'none'}{alone}"


def _folder(root: Any) -> Path:
    if root is None:
        return Path.cwd()
    folder = checks.path("root", root, "the folder that relative paths start from").absolute()
    try:
        if folder.is_dir():
            return folder
    except OSError:
        pass
    raise InputError(f"{given('root', root)} is no folder: give the one that relative paths start from")


def _files(paths: Sequence[Any]) -> list[str]:
    """Paths as they are written."""
    files = [_written(one) for one in listed("paths", paths, "paths")]
    bad = [k for k, file in enumerate(files) if not file]
    if bad:
        raise InputError(f"{given('path', paths[bad[0]])} at position {bad[0]} is no path: give strings or Paths")
    return [str(file) for file in files]


def _written(path: Any) -> str | None:
    """A path as it is written, None where it is none."""
    try:
        return name_of(os.fspath(path) if isinstance(path, os.PathLike) else path)
    except Exception:
        # Whatever an object of others raises when it is asked for its path.
        return None
