"""What semantics takes: φ, its noise, names of distances, groups, what distances are compared with, also WordNet's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from analyses.ground import along, check_noise, check_numbers
from analyses.semantics.kernels_pairs import METRICS, MIN_IMAGES, distance_matrix, pairs_apart, same
from probekit import checks, labels
from probekit.errors import InputError
from probekit.machine.reading import reading
from probekit.machine.warned import warned

__all__ = [
    "ALONE",
    "GROUPS",
    "MIN_IMAGES",
    "PLACE",
    "PLACE_COORDS",
    "QUERY_IMAGES",
    "Other",
    "checked",
    "class_distances",
    "class_table",
    "dealt",
    "defined",
    "given_sets",
    "grouped",
    "matrices",
    "place_coords",
    "representation",
    "selected",
    "subsample",
    "tells_apart",
]

Other = str | xr.DataArray | xr.Dataset | pd.DataFrame | Callable[[np.ndarray], np.ndarray]
NOTHING_GIVEN = "nothing"
PLACE = ("sigma", "block", "distance")
PLACE_COORDS = {"block": "block, by the tap at its output", "distance": "distance between two images' φ"}
# Groups that an interval over groups needs, and what findings say where images are not grouped.
GROUPS = 10
ALONE = "none: images are independent"
# Of more images, so many are looked for, and look for neighbours among all: what is held are these.
QUERY_IMAGES = 20_000
# Of tables of classes with their hypernyms.
COLUMNS = ("wnid", "hypernym_wnids")


def checked(
    data: xr.Dataset, distances: Sequence[str] | None, noise_free: bool = False
) -> tuple[xr.Dataset, list[str]]:
    """The data, in memory if it is of few images, and the names of the distances, both found fit for use."""
    noise_free = checks.flag("noise_free", noise_free)
    check_numbers(data, "phi", "phi_draws")
    labels.check(data, "phi")
    labels.check_ids(data)
    if "phi_draws" in data:
        labels.check(data, "phi_draws")
    if not (data.sizes["sigma"] and data.sizes["channel"]) or data.sizes["image"] < 2:
        raise InputError(
            f"phi has sizes {dict(data['phi'].sizes)}: give at least 2 images, a noise level and a channel"
        )
    if noise_free:
        check_noise(data)
    data = data.compute() if data.sizes["image"] <= QUERY_IMAGES else data
    return data, selected("distances", distances, METRICS)


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


def subsample(data: xr.Dataset, most: int, seed: int, members: np.ndarray | None) -> np.ndarray:
    """Positions of at most so many images or groups of them, by id: the same in whatever order they are given."""
    order = labels.by_id(data)
    if len(order) <= most:
        return order
    rng = np.random.default_rng(seed)
    if members is None:
        return order[np.sort(rng.choice(len(order), most, replace=False))]
    names, codes, counts = np.unique(members[order], return_inverse=True, return_counts=True)
    drawn = rng.permutation(len(names))
    kept = drawn[np.cumsum(counts[drawn]) <= most]
    if len(kept) < GROUPS or counts[kept].sum() < MIN_IMAGES:
        raise InputError(
            f"max_images={most} holds {len(kept)} groups whole: give more, for {GROUPS} groups and {MIN_IMAGES} images "
            "at least"
        )
    return order[np.isin(codes, kept)]


def dealt(data: xr.Dataset, among: int, seed: int) -> np.ndarray:
    """The random group of each image, −1 for those left over: the same in whatever order images are given."""
    count = data.sizes["image"]
    n = min(among, count)
    order = labels.by_id(data)[np.random.default_rng(seed).permutation(count)]
    group = np.full(count, -1)
    used = count // n * n
    group[order[:used]] = np.arange(used) // n
    return group


def place_coords(data: xr.Dataset, metrics: Sequence[str]) -> dict[str, Any]:
    """The coordinates of findings at each noise level, block and distance."""
    said = {name: METRICS[name] for name in metrics}
    return {
        "block": labels.blocks(data),
        "distance": along("distance", metrics, PLACE_COORDS["distance"], **said),
    }


def defined(x: np.ndarray, where: str, metric: str, *, warn: bool = True, noise_free: bool = False) -> bool:
    """Whether features tell images apart; a warning says where they do not."""
    images = int((~np.isfinite(x).all(axis=1)).sum())
    found = images, not x.size, not images and same(x)
    return tells_apart(found, where, metric, warn=warn, noise_free=noise_free)


def tells_apart(found: tuple[int, bool, bool], where: str, metric: str, *, warn: bool, noise_free: bool) -> bool:
    """As `defined`, of the number of images without a distance, and whether no feature is left or all are alike."""
    images, nothing, alike = found
    if images:
        lacking = "whose φ is no larger than its noise" if noise_free else "without any activity"
        what = f"the {metric} distance is undefined for {images} images {lacking}"
    elif noise_free and nothing:
        what = f"no channel varies by more than its noise, so the {metric} distance tells nothing"
    elif alike:
        what = f"φ is the same for all images, so the {metric} distance tells nothing"
    else:
        return True
    if warn:
        warned(f"at {where} {what}: findings there are NaN", RuntimeWarning)
    return False


def matrices(
    others: Mapping[str, Other],
    data: xr.Dataset,
    used: np.ndarray,
    label: str | None,
    groups: np.ndarray | None = None,
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
    groups
        (used), the number of each image's group, of which pairs do not count; None where images are independent.

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
        pairs = found[name][pairs_apart(len(used), groups)]
        if not np.isfinite(pairs).all():
            raise InputError(f"others[{name!r}] gives distances that are NaN or infinite: leave out those images")
        if np.ptp(pairs) == 0:
            raise InputError(
                f"others[{name!r}] is the same for all pairs of images{_of_what(other, data, groups)}: give what tells "
                "images apart"
            )
    return found


def _of_what(other: Any, data: xr.Dataset, groups: np.ndarray | None) -> str:
    """What a message says of pairs that are all alike: which count, and how numbers were taken."""
    said = "" if groups is None else " of different groups, which alone count with clusters"
    if isinstance(other, str) and np.asarray(data[other].values).dtype.kind in "iuf":
        said += (
            f", since the numbers of a coordinate named {other!r} are taken as names of classes (for their differences "
            f"give data[{other!r}] itself)"
        )
    return said


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
    names = labels.strings(rows["wnid"]).tolist()
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
    classes = np.array(names, dtype=object)
    return xr.DataArray(
        distance,
        dims=("label", "other_label"),
        coords={"label": classes, "other_label": classes},
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
    rows, columns = pd.Index(labels.strings(frame.index)), pd.Index(labels.strings(frame.columns))
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

    A Dataset gives its φ of the same noise level and tap, or of its only tap; an array is the same beside all.
    """
    if isinstance(control, xr.Dataset) and "phi" in control:
        _check_phi(f"controls[{name!r}]", control)
        level = np.flatnonzero(np.isclose(control["sigma"].values, site.sigma))
        taps = labels.strings(control["tap"].values)
        columns = np.flatnonzero((taps == site.name) | (len(set(taps)) == 1))
        if not (len(level) and len(columns)):
            raise InputError(
                f"controls[{name!r}] lacks σ = {site.sigma:g} or tap {site.name!r}: give it what the data has"
            )
        control = control["phi"].isel(sigma=level[:1], channel=columns)
    if not isinstance(control, xr.DataArray | xr.Dataset):
        raise InputError(f"controls[{name!r}] is a {type(control).__name__}: give φ, or a DataArray (image, feature)")
    shown = f"controls[{name!r}]"
    return _finite(shown, aligned(name, _features(shown, control), data, used))
