"""What distances in φ are compared with: labels, tables between classes, descriptors, given distances."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from analyses.ground import check_numbers
from analyses.semantics.kernels_pairs import distance_matrix
from analyses.semantics.wordnet import class_table
from probekit import checks, labels
from probekit.errors import InputError

__all__ = ["Other", "given_sets", "matrices", "representation"]

Other = str | xr.DataArray | xr.Dataset | pd.DataFrame | Callable[[np.ndarray], np.ndarray]
NOTHING_GIVEN = "nothing"


def matrices(
    others: Mapping[str, Other], data: xr.Dataset, rows: np.ndarray, label: str | None
) -> dict[str, np.ndarray]:
    """Distances (rows, rows), float32, by the name of what they are distances in.

    Parameters
    ----------
    others
        See `analyses.semantics.correlate`.
    data
        φ, for its image ids and labels.
    rows
        Positions of the images that are used.
    label
        Coordinate of the classes that tables between classes refer to.

    Raises
    ------
    InputError
        If something lacks an image, is no distance or is equal for all pairs of images.
    """
    others = checks.mapping("others", others, "a mapping, e.g. {'label': 'label', 'gist': gist}")
    if not others:
        raise InputError("others is empty: give a mapping, e.g. {'label': 'label', 'gist': gist}")
    found = {}
    for name, other in others.items():
        if name == NOTHING_GIVEN or "+" in name:
            raise InputError(f"others: the name {name!r} stands for sets of names: give another one")
        found[name] = _matrix(name, other, data, rows, label)
        pairs = found[name][np.triu_indices(len(rows), 1)]
        if not np.isfinite(pairs).all():
            raise InputError(f"others[{name!r}] gives distances that are NaN or infinite: leave out those images")
        if np.ptp(pairs) == 0:
            raise InputError(f"others[{name!r}] is the same for all pairs of images: give what tells images apart")
    return found


def _matrix(name: str, other: Any, data: xr.Dataset, rows: np.ndarray, label: str | None) -> np.ndarray:
    if isinstance(other, str):
        return _identity(labels.classes(data, other, option=f"others[{name!r}]")[rows])
    if isinstance(other, pd.DataFrame) or (isinstance(other, xr.DataArray) and "image" not in other.dims):
        names, codes = np.unique(labels.classes(data, "label" if label is None else label)[rows], return_inverse=True)
        return class_table(other, names).astype(np.float32)[codes][:, codes]
    if isinstance(other, xr.DataArray) and set(other.dims) == {"image", "other_image"}:
        other = aligned(name, other.transpose("image", "other_image"), data, rows)
        if "other_image" in other.coords:
            other = aligned(name, other.rename(image="_", other_image="image"), data, rows, dim="image")
        elif other.sizes["other_image"] == data.sizes["image"]:
            other = other.isel(other_image=rows)
        return _checked(name, other.values, len(rows))
    if isinstance(other, xr.DataArray | xr.Dataset):
        one = aligned(name, _features(f"others[{name!r}]", other), data, rows)
        if one.ndim == 1 and one.dtype.kind in "OUSTb":
            return _identity(_classes(name, one))
        return distance_matrix(_finite(f"others[{name!r}]", one), "euclidean")
    if callable(other):
        return _checked(name, np.asarray(other(data["image"].values[rows])), len(rows))
    raise InputError(
        f"others[{name!r}] is a {type(other).__name__}: give a coordinate's name, a DataArray (image, feature), a "
        "square table between classes, or a function from image ids to distances"
    )


def _classes(name: str, one: xr.DataArray) -> np.ndarray:
    if one.dtype.kind == "O" and not all(isinstance(value, str | bool | np.bool_) for value in one.values):
        raise InputError(
            f"others[{name!r}] holds objects that are no names of classes: give strings for every image, or numbers, "
            "e.g. with .astype(float)"
        )
    if (labels.strings(one.values) == "").any():
        raise InputError(f"others[{name!r}] has images of no class, '': leave these out, or give them a class")
    return labels.strings(one.values)


def _identity(classes: np.ndarray) -> np.ndarray:
    codes = np.unique(classes, return_inverse=True)[1]
    return (codes[:, None] != codes).astype(np.float32)


def _features(name: str, other: xr.DataArray | xr.Dataset) -> xr.DataArray:
    if isinstance(other, xr.Dataset):
        if "phi" not in other:
            raise InputError(f"{name} is a Dataset without phi: give what a tap returns, or one DataArray")
        _check_phi(name, other)
        if other.sizes["sigma"] != 1:
            raise InputError(f"{name} is φ at {other.sizes['sigma']} noise levels: select one, e.g. .sel(sigma=[0.1])")
        other = other["phi"]
    if "image" not in other.dims:
        raise InputError(f"{name} has dims {other.dims}: give one whose dims are (image, feature)")
    return other.transpose("image", ...)


def _check_phi(name: str, data: xr.Dataset) -> None:
    """Refuse what is no representation, whatever images it holds besides those that are used."""
    try:
        labels.check(data, "phi", finite=False)
        check_numbers(data, "phi")
    except InputError as error:
        raise InputError(f"{name}: {error}") from error


def aligned(name: str, other: xr.DataArray, data: xr.Dataset, rows: np.ndarray, dim: str = "image") -> xr.DataArray:
    """The rows of another array that are of the same images, by id where it has ids."""
    ids = data["image"].values[rows]
    if dim in other.coords:
        index = other.indexes[dim]
        known = pd.Index(labels.strings(index))
        if not known.is_unique:
            raise InputError(f"{name!r} has several rows of one image: give one row per image")
        place = known.get_indexer(pd.Index(labels.strings(ids)))
        if (place < 0).any():
            raise InputError(
                f"{name!r} lacks image {ids[place < 0][0]!r} ({int((place < 0).sum())} are missing): give a row for "
                "every image of the data"
            )
        return other.isel({dim: place})
    if other.sizes[dim] != data.sizes["image"]:
        raise InputError(
            f"{name!r} has {other.sizes[dim]} images without ids and the data {data.sizes['image']}: give it the "
            "coordinate image, or as many rows"
        )
    return other.isel({dim: rows})


def _finite(name: str, one: xr.DataArray) -> np.ndarray:
    if one.dtype.kind not in "fiub":
        raise InputError(f"{name} is of type {one.dtype}: give real numbers, e.g. with .astype(float)")
    values = np.asarray(one.values, np.float64).reshape(one.sizes["image"], -1)
    if not np.isfinite(values).all():
        raise InputError(f"{name} holds NaN or infinite values: leave out those images")
    if not values.shape[1]:
        raise InputError(f"{name} has no features: give one at least")
    return values


def _checked(name: str, d: np.ndarray, n: int) -> np.ndarray:
    if d.shape != (n, n):
        raise InputError(f"others[{name!r}] gives distances of shape {d.shape}: ({n}, {n}) was expected")
    if d.dtype.kind not in "fiub" or not np.isfinite(d).all():
        raise InputError(f"others[{name!r}] gives distances that are not all finite numbers: leave out those images")
    d = d.astype(np.float32)
    # Rounding of how they were computed is forgiven.
    slack = 1e-5 * float(np.abs(d).max(initial=0))
    if np.abs(d - d.T).max(initial=0) > slack or np.abs(np.diagonal(d)).max(initial=0) > slack or d.min() < -slack:
        raise InputError(f"others[{name!r}] gives no distances: make them ≥ 0, symmetric, and 0 on the diagonal")
    d = np.maximum(np.maximum(d, d.T), 0)
    np.fill_diagonal(d, 0)
    return d


def given_sets(given: Sequence[str | Sequence[str]], names: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Sets of names to hold fixed, as numbers, by what they are called; the empty one first.

    Raises
    ------
    InputError
        If a name is not among those that are compared with.
    """
    said = f"names or sets of names among {', '.join(names)}, such as ({names[0]!r},), or () for none"
    sets: dict[str, tuple[int, ...]] = {NOTHING_GIVEN: ()}
    for one in [given] if isinstance(given, str) else checks.listed("given", given, said):
        parts = tuple(checks.names("given", one, said))
        unknown = [name for name in parts if name not in names]
        if unknown or not parts:
            what = repr(unknown[0]) if unknown else "an empty set"
            raise InputError(f"given: {what} is not among others: name one or several of {', '.join(names)}")
        sets["+".join(parts)] = tuple(names.index(name) for name in parts)
    return sets


def representation(name: str, control: Any, data: xr.Dataset, rows: np.ndarray, sigma: float, block: str) -> np.ndarray:
    """The features (rows, features) of a control that stand beside φ of one noise level and block.

    A Dataset gives its φ of the same noise level and tap; an array is the same beside all.
    """
    if isinstance(control, xr.Dataset) and "phi" in control:
        _check_phi(f"controls[{name!r}]", control)
        level = np.flatnonzero(np.isclose(control["sigma"].values, sigma))
        columns = np.flatnonzero(labels.strings(control["tap"].values) == block)
        if not (len(level) and len(columns)):
            raise InputError(f"controls[{name!r}] lacks σ = {sigma:g} or tap {block!r}: give it what the data has")
        control = control["phi"].isel(sigma=level[:1], channel=columns)
    if not isinstance(control, xr.DataArray | xr.Dataset):
        raise InputError(f"controls[{name!r}] is a {type(control).__name__}: give φ, or a DataArray (image, feature)")
    shown = f"controls[{name!r}]"
    return _finite(shown, aligned(name, _features(shown, control), data, rows))
