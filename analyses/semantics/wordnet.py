"""Graded distances between classes: paths through the hypernyms of WordNet, or any table that is given."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from probekit import checks
from probekit.errors import InputError
from probekit.labels import strings
from probekit.machine.reading import reading

__all__ = ["class_distances", "class_table"]

COLUMNS = ("wnid", "hypernym_wnids")


def class_distances(table: str | Path | pd.DataFrame, *, separator: str = " > ") -> xr.DataArray:
    """Distances between classes by the path through their lowest common hypernym in WordNet.

    The number of is-a steps from one class up to the lowest hypernym that both chains hold, and down to the other: 0
    for a class and itself, 2 for sisters (path length of Rada et al. 1989, along one chain of hypernyms a class).

    Parameters
    ----------
    table
        One row per class, or a CSV file of such: columns ``wnid`` and ``hypernym_wnids``, the chain of WordNet ids
        from the root down to the class, the class itself last or left out.
    separator
        Between the ids of a chain.

    Returns
    -------
    DataArray
        ``(label, other_label)``, steps, float64; symmetric.

    Raises
    ------
    InputError
        If the file or a column is missing, a class is there twice, or two classes share no hypernym.

    Examples
    --------
    >>> animals = pd.DataFrame({
    ...     "wnid": ["dog", "cat", "oak"],
    ...     "hypernym_wnids": ["being > animal > dog", "being > animal > cat", "being > plant > tree > oak"],
    ... })
    >>> class_distances(animals).sel(label="dog").values.tolist()
    [0.0, 2.0, 5.0]
    """
    checks.text("separator", separator, "what stands between the ids of a chain, e.g. ' > '")
    rows = _rows(table)
    names = strings(rows["wnid"]).tolist()
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"class {twice[0]!r} has several rows in the table: give one row per class")
    chains = [str(chain).split(separator) for chain in rows["hypernym_wnids"]]
    chains = [chain if chain[-1] == name else [*chain, name] for name, chain in zip(names, chains, strict=True)]
    # How far each class lies below each of its hypernyms; far beyond any path for what is none.
    nodes = {node: k for k, node in enumerate(dict.fromkeys(node for chain in chains for node in chain))}
    steps = np.full((len(names), len(nodes)), np.inf)
    for row, chain in zip(steps, chains, strict=True):
        row[[nodes[node] for node in chain]] = np.arange(len(chain))[::-1]
    distance = np.stack([(steps + own).min(axis=1) for own in steps])
    apart = np.argwhere(~np.isfinite(distance))
    if len(apart):
        a, b = (names[k] for k in apart[0])
        raise InputError(f"classes {a!r} and {b!r} share no hypernym: start every chain at the same root, e.g. entity")
    labels = np.array(names, dtype=object)
    return xr.DataArray(
        distance,
        dims=("label", "other_label"),
        coords={"label": labels, "other_label": labels},
        name="class_distance",
        attrs={"long_name": "path length through the lowest common hypernym", "units": "steps"},
    )


def _rows(table: str | Path | pd.DataFrame) -> pd.DataFrame:
    if not isinstance(table, pd.DataFrame):
        table = checks.path("table", table, "a DataFrame or a CSV file with columns wnid, …")
        with reading(table, "give a CSV file with columns wnid, …"):
            # As it stands there: a class may be called NA.
            table = pd.read_csv(table, dtype=str, keep_default_na=False)
    missing = [name for name in COLUMNS if list(table.columns).count(name) != 1]
    if missing:
        raise InputError(
            f"the class table has columns {', '.join(map(str, table.columns))} and not one {missing[0]!r}: name the "
            "class column wnid, and the chain of hypernyms hypernym_wnids"
        )
    if table.empty:
        raise InputError("the class table has no rows: give one for each class")
    cells = table[list(COLUMNS)]
    empty = (np.asarray(cells.isna()) | np.asarray(cells.astype(str) == "")).any(axis=1)
    if empty.any():
        raise InputError(
            f"row {int(empty.argmax())} of the class table lacks its wnid or hypernyms: fill in or drop it"
        )
    return table


def class_table(table: xr.DataArray | pd.DataFrame, classes: Sequence[str] | np.ndarray) -> np.ndarray:
    """Distances between the given classes, from a square table whose rows and columns are labelled by classes.

    Raises
    ------
    InputError
        If the table is not square, symmetric, finite and 0 on its diagonal, or lacks a class.
    """
    frame = table if isinstance(table, pd.DataFrame) else _frame(table)
    wanted = "a list of names of classes, one at least"
    classes = [checks.text("classes", name, wanted) for name in checks.listed("classes", classes, wanted)]
    if not classes:
        raise InputError(f"classes is empty: give {wanted}")
    if isinstance(frame.index, pd.MultiIndex) or isinstance(frame.columns, pd.MultiIndex):
        raise InputError("the class table has several levels of names: give one name for each class")
    rows, columns = pd.Index(strings(frame.index)), pd.Index(strings(frame.columns))
    if not (rows.is_unique and columns.is_unique and set(rows) == set(columns)):
        raise InputError(f"the class table is {frame.shape}: give a square one, with the same classes down and across")
    lacking = [name for name in classes if name not in rows]
    if lacking:
        raise InputError(
            f"the class table lacks class {str(lacking[0])!r} ({len(lacking)} of {len(classes)} are missing): "
            "add it, or leave out its images"
        )
    part = frame.set_axis(rows, axis=0).set_axis(columns, axis=1).loc[classes, classes]
    try:
        values = part.to_numpy(float)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"the class table holds what is no number ({error}): give distances between classes"
        ) from error
    good = np.isfinite(values).all() and (values >= 0).all() and np.array_equal(values, values.T)
    if not good or np.diagonal(values).any():
        raise InputError("the class table is no table of distances: make it finite, ≥ 0, symmetric, 0 on the diagonal")
    return values


def _frame(table: xr.DataArray) -> pd.DataFrame:
    if not isinstance(table, xr.DataArray):
        raise InputError(f"the class table is a {type(table).__name__}: give a DataFrame or a DataArray, square")
    if table.ndim != 2 or any(dim not in table.coords for dim in table.dims):
        raise InputError(f"the class table has dims {table.dims}: give two, each with a coordinate of class names")
    down, across = (table.indexes[dim] for dim in table.dims)
    return pd.DataFrame(table.values, index=down, columns=across)
