"""What semantics takes: φ, names of distances, groups, and what distances in φ are compared with."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from analyses.ground import along, check_numbers
from analyses.semantics.kernels_pairs import METRICS, distance_matrix, same
from analyses.semantics.wordnet import class_table
from probekit import checks, labels
from probekit.errors import InputError

__all__ = [
    "ALONE",
    "GROUPS",
    "PLACE",
    "PLACE_COORDS",
    "Other",
    "checked",
    "defined",
    "given_sets",
    "grouped",
    "matrices",
    "place_coords",
    "representation",
    "selected",
]

Other = str | xr.DataArray | xr.Dataset | pd.DataFrame | Callable[[np.ndarray], np.ndarray]
NOTHING_GIVEN = "nothing"
PLACE = ("sigma", "block", "distance")
PLACE_COORDS = {"block": "block, by the tap at its output", "distance": "distance between two images' φ"}
# Groups of images that an interval over groups needs, and what findings say where images are not grouped.
GROUPS = 10
ALONE = "none: images are independent"


def checked(data: xr.Dataset, distances: Sequence[str] | None) -> tuple[xr.Dataset, list[str]]:
    """The data in memory, and the names of the distances, both found fit for use."""
    check_numbers(data, "phi", "phi_draws")
    labels.check(data, "phi")
    labels.check_ids(data)
    if "phi_draws" in data:
        labels.check(data, "phi_draws")
    if not (data.sizes["sigma"] and data.sizes["channel"]) or data.sizes["image"] < 2:
        raise InputError(
            f"phi has sizes {dict(data['phi'].sizes)}: give at least 2 images, a noise level and a channel"
        )
    return data.compute(), selected("distances", distances, METRICS)


def selected(option: str, names: Sequence[str] | None, known: Iterable[str]) -> list[str]:
    """The names that an option gives, by default all that are known; one name may stand for itself."""
    every = list(known)
    if names is None:
        return every
    found = checks.names(option, names, f"one or several of {', '.join(every)}, or None for all")
    unknown = [name for name in found if name not in every]
    if unknown or not found:
        what = checks.shown(unknown[0]) if unknown else "an empty list"
        raise InputError(f"{option}: {what} was given: choose among {', '.join(every)}")
    return found


def grouped(data: xr.Dataset, clusters: str | None) -> np.ndarray | None:
    """The group of each image that is resampled or left out whole; None where images are independent."""
    return None if clusters is None else labels.classes(data, clusters, option="clusters", least=GROUPS)


def place_coords(data: xr.Dataset, metrics: Sequence[str]) -> dict[str, Any]:
    """The coordinates of findings at each noise level, block and distance."""
    said = {name: METRICS[name] for name in metrics}
    return {
        "block": labels.blocks(data),
        "distance": along("distance", metrics, PLACE_COORDS["distance"], **said),
    }


def defined(x: np.ndarray, where: str, metric: str, *, warn: bool = True) -> bool:
    """Whether features tell images apart; a warning says where they do not."""
    if not np.isfinite(x).all():
        images = int((~np.isfinite(x).all(axis=1)).sum())
        what = f"the {metric} distance is undefined for {images} images without any activity"
    elif same(x):
        what = f"φ is the same for all images, so the {metric} distance tells nothing"
    else:
        return True
    if warn:
        warnings.warn(f"at {where} {what}: findings there are NaN", RuntimeWarning, stacklevel=3)
    return False


def matrices(
    others: Mapping[str, Other], data: xr.Dataset, used: np.ndarray, label: str | None
) -> dict[str, np.ndarray]:
    """Distances (used, used), float32, by the name of what they are distances in.

    Parameters
    ----------
    others
        See `analyses.semantics.correlate`.
    data
        φ, for its image ids and labels.
    used
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
        found[name] = _matrix(name, other, data, used, label)
        pairs = found[name][np.triu_indices(len(used), 1)]
        if not np.isfinite(pairs).all():
            raise InputError(f"others[{name!r}] gives distances that are NaN or infinite: leave out those images")
        if np.ptp(pairs) == 0:
            raise InputError(f"others[{name!r}] is the same for all pairs of images: give what tells images apart")
    return found


def _matrix(name: str, other: Any, data: xr.Dataset, used: np.ndarray, label: str | None) -> np.ndarray:
    if isinstance(other, str):
        return _identity(labels.classes(data, other, option=f"others[{name!r}]")[used])
    if isinstance(other, pd.DataFrame) or (isinstance(other, xr.DataArray) and "image" not in other.dims):
        names, codes = np.unique(labels.classes(data, "label" if label is None else label)[used], return_inverse=True)
        return class_table(other, names).astype(np.float32)[codes][:, codes]
    if isinstance(other, xr.DataArray) and set(other.dims) == {"image", "other_image"}:
        other = aligned(name, other.transpose("image", "other_image"), data, used)
        if "other_image" in other.coords:
            other = aligned(name, other.rename(image="_", other_image="image"), data, used, dim="image")
        elif other.sizes["other_image"] == data.sizes["image"]:
            other = other.isel(other_image=used)
        return _checked(name, other.values, len(used))
    if isinstance(other, xr.DataArray | xr.Dataset):
        one = aligned(name, _features(f"others[{name!r}]", other), data, used)
        if one.ndim == 1 and one.dtype.kind in "OUSTb":
            return _identity(_classes(name, one))
        return distance_matrix(_finite(f"others[{name!r}]", one), "euclidean")
    if callable(other):
        return _checked(name, np.asarray(other(data["image"].values[used])), len(used))
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


def aligned(name: str, other: xr.DataArray, data: xr.Dataset, used: np.ndarray, dim: str = "image") -> xr.DataArray:
    """The rows of another array that are of the same images, by id where it has ids."""
    ids = data["image"].values[used]
    if dim in other.coords:
        index = other[dim].values
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
    return other.isel({dim: used})


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
            what = checks.shown(unknown[0]) if unknown else "an empty set"
            raise InputError(f"given: {what} is not among others: name one or several of {', '.join(names)}")
        sets["+".join(parts)] = tuple(names.index(name) for name in parts)
    return sets


def representation(name: str, control: Any, data: xr.Dataset, used: np.ndarray, site: labels.Site) -> np.ndarray:
    """The features (used, features) of a control that stand beside φ of one noise level and block.

    A Dataset gives its φ of the same noise level and tap; an array is the same beside all.
    """
    if isinstance(control, xr.Dataset) and "phi" in control:
        _check_phi(f"controls[{name!r}]", control)
        level = np.flatnonzero(np.isclose(control["sigma"].values, site.sigma))
        columns = np.flatnonzero(labels.strings(control["tap"].values) == site.name)
        if not (len(level) and len(columns)):
            raise InputError(
                f"controls[{name!r}] lacks σ = {site.sigma:g} or tap {site.name!r}: give it what the data has"
            )
        control = control["phi"].isel(sigma=level[:1], channel=columns)
    if not isinstance(control, xr.DataArray | xr.Dataset):
        raise InputError(f"controls[{name!r}] is a {type(control).__name__}: give φ, or a DataArray (image, feature)")
    shown = f"controls[{name!r}]"
    return _finite(shown, aligned(name, _features(shown, control), data, used))
