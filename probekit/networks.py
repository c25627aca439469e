"""Several networks in one Dataset, along a dim `network`; what each of them is stands in coordinates."""

from __future__ import annotations

from collections.abc import Sequence
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
    own = [str(key) for key, one in data.coords.items() if one.dims == ("network",) and key != "network"]
    for k, name in enumerate(strings(data.coords["network"].values)):
        one = data.isel(network=k)
        told = {key: one.coords[key].item() for key in own}
        kept = one.drop_vars(["network", *own])
        # What is empty, or NaN, was not said of this network.
        kept.attrs = {key: value for key, value in one.attrs.items() if key not in own}
        kept.attrs |= {key: value for key, value in told.items() if value != "" and value == value}
        found[str(name)] = kept
    return found


def _is_one_of_several(data: Labelled) -> bool:
    return "network" in data.coords and not data.coords["network"].dims


def _selected(data: Labelled) -> dict[str, Labelled]:
    """The one network, of which coordinates of no dims say what it is."""
    own = [key for key in OF_A_NETWORK if key in data.coords and not data.coords[key].dims]
    kept = data.drop_vars(["network", *own])
    kept.attrs = {**data.attrs, **{key: told for key in own if (told := str(data.coords[key].item()))}}
    return {str(strings([data.coords["network"].item()])[0]): kept}


def compared(parts: Sequence[Any], names: Any = None, *, of: str = "") -> xr.Dataset:
    """Results of several networks along a new dim `network`, each with what it is in coordinates along it.

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
    parts = [once(part) for part in parts]
    called = _called(parts, names)
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
    variables = {name: stacked([part[name].variable for part in parts], "network") for name in first.data_vars}
    told = {key: ("network", _told([part.attrs.get(key) for part in parts])) for key in own}
    named = {"network": ("network", strings(called), {"long_name": "network"})}
    # All have the same.
    coords = {name: one.variable for name, one in first.coords.items()}
    shared = {key: value for key, value in first.attrs.items() if key not in own}
    return xr.Dataset(variables, {**coords, **named, **told}, shared)


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
    for variable in one.data_vars:
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


def _equal(one: xr.DataArray, other: xr.DataArray) -> bool:
    if one.dims != other.dims or one.shape != other.shape:
        return False
    if one.dtype.kind in "OUS" or other.dtype.kind in "OUS":
        return bool((strings(one.values.ravel()) == strings(other.values.ravel())).all())
    return bool(np.array_equal(one.values, other.values, equal_nan=one.dtype.kind == "f"))
