"""Several networks in one Dataset, along a dim `network`; what each of them is stands in coordinates."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import xarray as xr

from probekit.checks import given, listed, plain
from probekit.errors import InputError
from probekit.labels import once, strings
from probekit.machine.lazily import stacked

__all__ = ["OF_A_NETWORK", "by_network", "compared"]

# What a result says of its network: an attribute of a result of one, a coordinate along `network` of several.
OF_A_NETWORK = ("denoiser", "denoiser_settings", "weights_sha256", "taps", "weights_left_out")
# Of a coordinate that holds what is an attribute of each network's own result.
SAID = {"attribute_of": "network"}
# Coordinates along `network` that say how many places along a dim are the network's own, and what stands in the others.
OWN = "places_along_"
MISSING = {"b": False, "i": 0, "u": 0, "O": "", "U": "", "T": ""}
Labelled = TypeVar("Labelled", xr.Dataset, xr.DataArray)


def by_network(data: Labelled) -> dict[str, Labelled]:
    """What there is of each network, by its name, in order.

    Parameters
    ----------
    data
        φ, or findings, of one network or along a dim `network`, or of one that was selected of several.

    Returns
    -------
    dict
        Of each network the data without that dim, what its coordinates said in the attributes. Data without the dim is
        the one network's, under what `denoiser` calls it.

    Raises
    ------
    InputError
        If the networks have no names, or two have one.
    """
    if "network" not in data.dims:
        return _selected(data) if _is_one_of_several(data) else {str(data.attrs.get("denoiser", "network")): data}
    if "network" not in data.coords or data.indexes["network"].has_duplicates:
        raise InputError("the networks along `network` have no names, or two have one: assign_coords(network=[…])")
    found = {}
    along = [str(key) for key, one in data.coords.items() if one.dims == ("network",) and key != "network"]
    own = [key for key in along if key not in _own_sizes(data)]
    for k, name in enumerate(strings(data.coords["network"].values)):
        one = _own_places(data.isel(network=k))
        told = {key: one.coords[key].item() for key in own}
        kept = one.drop_vars(["network", *own])
        kept.attrs = {key: value for key, value in one.attrs.items() if key not in own} | _known(told)
        found[str(name)] = kept
    return found


def _own_sizes(data: Labelled) -> dict[str, str]:
    """The dims that were padded, by the coordinate that says how many places are a network's own."""
    return {f"{OWN}{dim}": str(dim) for dim in data.dims if f"{OWN}{dim}" in data.coords}


def _own_places(one: Labelled) -> Labelled:
    """What there is of one network, without what other networks alone have along a dim."""
    sizes = _own_sizes(one)
    cut = one.isel({dim: slice(int(one.coords[key].item())) for key, dim in sizes.items()})
    return cut.drop_vars(list(sizes))


def _known(told: Mapping[str, Any]) -> dict[str, Any]:
    """What is said of a network; what is empty, or NaN, is not."""
    return {key: value for key, value in told.items() if value != "" and value == value}


def _is_one_of_several(data: Labelled) -> bool:
    return "network" in data.coords and not data.coords["network"].dims


def _selected(data: Labelled) -> dict[str, Labelled]:
    """The one network, of which coordinates of no dims say what it is."""
    data = _own_places(data)
    own = [
        str(key)
        for key, one in data.coords.items()
        if not one.dims and (key in OF_A_NETWORK or SAID.items() <= one.attrs.items())
    ]
    kept = data.drop_vars(["network", *own])
    kept.attrs = {**data.attrs, **_known({key: data.coords[key].item() for key in own})}
    return {str(strings([data.coords["network"].item()])[0]): kept}


def compared(parts: Sequence[Any], names: Any = None, *, of: str = "") -> xr.Dataset:
    """Results of several networks along a new dim `network`, each with what it is in coordinates along it.

    Findings may differ in how many places they have along a dim, such as that of clusters: all then have the most, and
    what is none of a network's own is NaN, 0, "" or False there, until `by_network` cuts it off.

    Parameters
    ----------
    parts
        Datasets of φ or of findings, alike in all but the network, at least two; each of one network.
    names
        One for each; by default what the results call them, numbered where that is the same.
    of
        The analysis whose findings they are, which may say more of each network than φ does.

    Raises
    ------
    InputError
        If one is no Dataset, they differ in more than the network, or names are not one for each, each once.
    """
    for part in parts:
        if not isinstance(part, xr.Dataset):
            raise InputError(f"{given('compare', part)}: give Datasets that taps or analyses return")
        if "network" in part.dims:
            raise InputError("one of the results has several networks already: take it apart first, with by_network")
    called = _called(parts, names)
    parts, own_sizes = _padded([once(part) for part in parts]) if of else ([once(part) for part in parts], {})
    first = parts[0]
    for name, part in zip(called[1:], parts[1:], strict=True):
        _check_alike(called[0], first, name, part, of)
    every = {str(key): None for part in parts for key in part.attrs}
    own = [
        key
        for key in every
        if key in OF_A_NETWORK or any(not _same(part.attrs.get(key), first.attrs.get(key)) for part in parts)
    ]
    for key in own:
        if key in first.variables or key in first.dims:
            raise InputError(f"{key} is an attribute that differs, and a coordinate or variable: drop or rename either")
    results = [*first.data_vars, *(name for name in first.coords if _is_result(first, name))]
    variables = {name: stacked([part[name].variable for part in parts], "network") for name in results}
    told = {key: ("network", _told([part.attrs.get(key) for part in parts]), SAID) for key in own}
    named = {"network": ("network", strings(called), {"long_name": "network"})}
    # All have the same.
    coords = {name: one.variable for name, one in first.coords.items() if name not in variables}
    shared = {key: value for key, value in first.attrs.items() if key not in own}
    return xr.Dataset(variables, {**coords, **named, **told, **own_sizes}, shared)


def _padded(parts: Sequence[xr.Dataset]) -> tuple[list[xr.Dataset], dict[str, xr.Variable]]:
    """Findings with all places of all along dims in which they differ in number, such as that of clusters.

    What has no place of its own is NaN, 0, "" or False. Coordinates along `network` say how many are a network's own,
    by which `by_network` cuts off the others.
    """
    made, sizes = list(parts), {}
    for dim in parts[0].dims:
        counts = [part.sizes.get(dim, 0) for part in parts]
        longest = made[counts.index(max(counts))]
        if len(set(counts)) < 2 or 0 in counts or not all(_begins(longest, part, dim) for part in made):
            continue
        made = [_widened(part, longest, dim) for part in made]
        long_name = f"how many along {dim} are the network's own"
        sizes[f"{OWN}{dim}"] = xr.Variable("network", np.array(counts), {"long_name": long_name})
    return made, sizes


def _begins(longest: xr.Dataset, part: xr.Dataset, dim: Hashable) -> bool:
    """Whether what one has along a dim is the beginning of what the other has there, by its coordinates."""
    along = [{name for name, one in data.coords.items() if dim in one.dims} for data in (longest, part)]
    if along[0] != along[1]:
        return False
    beginning = longest.isel({dim: slice(part.sizes[dim])})
    return all(_equal(beginning.coords[name], part.coords[name]) for name in along[0])


def _widened(part: xr.Dataset, longest: xr.Dataset, dim: Hashable) -> xr.Dataset:
    variables = {}
    for name, one in part.variables.items():
        if dim not in one.dims:
            continue
        if name in part.coords:
            variables[name] = longest.variables[name]
            continue
        shape = [longest.sizes[d] if d == dim else n for d, n in one.sizes.items()]
        values = np.full(shape, MISSING.get(one.dtype.kind, np.nan), one.dtype)
        values[tuple(slice(n) for n in one.shape)] = one.values
        variables[name] = xr.Variable(one.dims, values, one.attrs)
    kept = part.drop_vars(list(variables))
    coords = {name: one for name, one in variables.items() if name in part.coords}
    found = kept.assign({name: one for name, one in variables.items() if name not in coords}).assign_coords(coords)
    # In the order in which they were.
    return found[list(part.data_vars)]


def _same(one: Any, other: Any) -> bool:
    """Whether two attributes say the same; of arrays all that is in them."""
    return one is other or (one is not None and other is not None and np.array_equal(one, other))


def _told(values: list[Any]) -> np.ndarray:
    """What attributes say of each network: numbers, NaN where there is none, or texts, empty where there is none."""
    said = [plain(value) for value in values]
    if all(one is None or isinstance(one, int | float) for one in said):
        return np.array([np.nan if one is None else one for one in said])
    return strings(["" if one is None else one if isinstance(one, str) else repr(one) for one in said])


def _called(parts: Sequence[xr.Dataset], names: Any) -> list[str]:
    if names is not None:
        found = list(listed("names", names, "a name for each network"))
        if not all(isinstance(name, str) and name.strip() for name in found) or len(set(found)) < len(found):
            raise InputError(f"{given('names', names)}: give texts, each once")
        if len(found) != len(parts):
            raise InputError(f"{given('names', names)}: there are {len(parts)} networks; give a name for each")
        return list(map(str, found))
    known: list[str] = []
    for part in parts:
        name = str(part.attrs.get("denoiser", "network"))
        number = 2
        called = name
        while called in known:
            called, number = f"{name} ({number})", number + 1
        known.append(called)
    return known


def _check_alike(name: str, one: xr.Dataset, other_name: str, other: xr.Dataset, of: str) -> None:
    """Refuse what differs in more than the network."""
    mended = "measure both on the same images, with the same sigma, draws, seed, reduce and taps"
    if of:
        mended = (
            f"analyse each by itself, {{name: {of}(one) for name, one in probekit.networks.by_network(data).items()}}"
        )
    variables = sorted(map(str, set(one.data_vars) ^ set(other.data_vars)))
    if variables:
        raise InputError(f"{name} and {other_name} do not both have {', '.join(variables)}: {mended}")
    for variable in [*one.data_vars, *(key for key in one.coords if _is_result(one, key) and key in other.coords)]:
        if one[variable].dims != other[variable].dims:
            raise InputError(
                f"{variable} of {name} has dims {one[variable].dims}, of {other_name} {other[variable].dims}: {mended}"
            )
    for dim in one.dims:
        if one.sizes[dim] != other.sizes[dim]:
            raise InputError(
                f"{name} has {one.sizes[dim]} along {dim} and {other_name} {other.sizes[dim]}: "
                + (mended if of else f"select what both have, or {mended}")
            )
    for key in dict.fromkeys([*one.coords, *other.coords]):
        if key in one.coords and key in other.coords and _is_result(one, key) and _is_result(other, key):
            continue
        if key not in one.coords or key not in other.coords or not _equal(one.coords[key], other.coords[key]):
            raise InputError(
                f"{key} of {name} and of {other_name} differ: "
                + (mended if of else f"select the same, in the same order, e.g. with .sel or .isel, or {mended}")
            )
    if of:
        return
    differs = [
        key
        for key in sorted(map(str, set(one.attrs) | set(other.attrs)))
        if key not in (*OF_A_NETWORK, "precision", "probekit_version")
        # What was found to be precise enough, or reliable with so many draws, may differ between networks.
        and not key.startswith(("precision_", "draws_"))
        and not _same(one.attrs.get(key), other.attrs.get(key))
    ]
    if differs:
        key = differs[0]
        raise InputError(
            f"{key} is {one.attrs.get(key)!r} of {name} and {other.attrs.get(key)!r} of {other_name}: {mended}"
        )


def _is_result(data: xr.Dataset, name: Hashable) -> bool:
    """Whether a variable, which xarray takes for a coordinate since a dim has its name, is none: of which subspace."""
    return name in data.dims and name in data.coords and name not in data.coords[name].dims


def _equal(one: xr.DataArray, other: xr.DataArray) -> bool:
    if one.dims != other.dims or one.shape != other.shape:
        return False
    if one.dtype.kind in "OUS" or other.dtype.kind in "OUS":
        return bool((strings(one.values.ravel()) == strings(other.values.ravel())).all())
    return bool(np.array_equal(one.values, other.values, equal_nan=one.dtype.kind == "f"))
