"""The vocabulary of results: dims, coordinates, attributes; the one place that builds and checks them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr

from probekit.checks import LONGEST, given
from probekit.errors import InputError
from probekit.machine.blocks import image_blocks
from probekit.machine.extents import Extent, extents
from probekit.machine.installed import installed_version
from probekit.naming import name_of

__all__ = [
    "Site",
    "activation_maps",
    "block_before",
    "blocks",
    "by_id",
    "check",
    "check_coordinates",
    "check_ids",
    "classes",
    "encoders",
    "once",
    "provenance",
    "representation",
    "sites",
    "strings",
]

# Beyond these, squares overflow or vanish in double precision.
TINY, HUGE = 1e-100, 1e100
# Numbers of channels and units are far below.
MOST = 2**53
# Blocks before and behind the middle one are called enc1, enc2, … and dec2, dec1.
ENCODER, DECODER = "enc", "dec"
# Asked for once: it takes milliseconds.
VERSION = installed_version()
SIGMA_UNITS = "standard deviation in intensity units of [0, 1] images"
VARIABLES: Mapping[str, tuple[tuple[str, ...], str]] = {
    "phi": (("image", "sigma", "channel"), "spatial reduction of each channel, mean over noise draws"),
    "phi_se": (("image", "sigma", "channel"), "standard error of phi over noise draws"),
    "phi_draws": (("image", "sigma", "draw", "channel"), "spatial reduction of each channel, one noise draw"),
    "rest": (("sigma", "channel"), "phi of a constant mid-grey image: the response to noise alone"),
    "rest_se": (("sigma", "channel"), "standard error of rest over noise draws"),
    "activation": (("image", "sigma", "channel", "row", "col"), "activation map of one noise draw"),
}
COORDINATES: Mapping[str, str] = {
    "image": "image id",
    "label": "class of the image",
    "sigma": "noise standard deviation",
    "channel": "channel over all taps",
    "tap": "tap that the channel belongs to",
    "unit": "channel within its tap",
    "draw": "noise draw",
    "row": "row of the map",
    "col": "column of the map",
}


def representation(
    arrays: Mapping[str, np.ndarray],
    *,
    ids: Sequence[str],
    labels: Sequence[str] | None,
    sigma: Sequence[float],
    channels: Mapping[str, int],
    attrs: Mapping[str, str | int | float],
) -> xr.Dataset:
    """The Dataset of a representation.

    Parameters
    ----------
    arrays
        phi, phi_se (image, sigma, channel), rest, rest_se (sigma, channel) and, if kept, phi_draws
        (image, sigma, draw, channel); stored as float32.
    ids, labels
        One id, and where known one class, per image.
    sigma
        Noise levels.
    channels
        Number of channels of each tap, in order.
    attrs
        What `provenance` gives.

    Returns
    -------
    Dataset
        As the label schema has it.
    """
    coords = _coords(ids=ids, labels=labels, sigma=sigma, channels=channels)
    if "phi_draws" in arrays:
        coords["draw"] = _index("draw", np.arange(arrays["phi_draws"].shape[2]))
    variables = {name: _variable(name, values) for name, values in arrays.items()}
    return xr.Dataset(variables, coords=coords, attrs=dict(attrs))


def activation_maps(
    values: np.ndarray,
    *,
    ids: Sequence[str],
    labels: Sequence[str] | None,
    sigma: Sequence[float],
    tap: str,
    attrs: Mapping[str, str | int | float],
) -> xr.DataArray:
    """The DataArray of activation maps (image, sigma, channel, row, col) of one tap."""
    coords = _coords(ids=ids, labels=labels, sigma=sigma, channels={tap: values.shape[2]})
    coords["row"] = _index("row", np.arange(values.shape[3]))
    coords["col"] = _index("col", np.arange(values.shape[4]))
    variable = _variable("activation", values)
    variable.attrs.update(attrs)
    return xr.DataArray(variable, coords=coords, name="activation")


def provenance(
    *,
    denoiser: str,
    settings: str,
    weights_sha256: str,
    taps: Mapping[str, str],
    reduce: str,
    draws: int,
    seed: int,
    noise: str,
    images: str,
) -> dict[str, str | int | float]:
    """Attributes that every result carries: what was measured, on what, how."""
    return {
        "probekit_version": VERSION,
        "denoiser": denoiser,
        "denoiser_settings": settings,
        "weights_sha256": weights_sha256,
        "taps": ", ".join(f"{name}={path}" for name, path in taps.items()),
        "reduce": reduce,
        "draws": draws,
        "seed": seed,
        "noise": noise,
        "sigma_units": SIGMA_UNITS,
        "image_source": images,
    }


def check(data: Any, *names: str, finite: bool = True) -> dict[str, Extent]:
    """Refuse a Dataset that lacks what an analysis needs; values are read through once, and not held.

    Parameters
    ----------
    data
        What the analysis was given.
    names
        Variables that it needs, of the dims of the label schema.
    finite
        Whether they must be free of NaN and infinities.

    Returns
    -------
    dict
        Between which values each variable lies, for further checks.

    Raises
    ------
    InputError
        Naming what was found, what was expected and how to mend it.
    """
    if not isinstance(data, xr.Dataset):
        raise InputError(f"the data is a {type(data).__name__}: give the Dataset that a tap returns")
    for name in names:
        dims = VARIABLES[name][0]
        if name not in data:
            raise InputError(f"the Dataset has no {name!r}, only {_spoken(data.data_vars)}: give what a tap returns")
        # Taken once: each step of a labelled array costs more than all the numbers of a small one.
        found = data[name]
        if found.dims != dims:
            lacking = next((dim for dim in dims if dim not in found.dims), dims[0])
            mend = f"keep all dims, e.g. select with a list, .isel({lacking}=[0]), and .transpose{dims} last"
            if "network" in found.dims:
                mend = "give one network's, of probekit.networks.by_network(data), or each in turn"
            raise InputError(f"{name} has dims {_spoken(found.dims)} instead of {_spoken(dims)}: {mend}")
        missing = [c for c in (*dims, *(("tap", "unit") if "channel" in dims else ())) if c not in data.coords]
        if missing:
            raise InputError(f"{name} lacks the coordinates {_spoken(missing)}: give what a tap returns")
        check_coordinates(found)
        if found.dtype.kind not in "fiu":
            raise InputError(f"{name} is of type {found.dtype}: give real numbers, e.g. data[{name!r}].astype(float)")
    found = extents(data, *names)
    for name, extent in found.items():
        dims = VARIABLES[name][0]
        if finite and not extent.finite:
            # Where every image has such a value it is channels that are at fault.
            dropped = "image" if dims[0] == "image" and extent.faulty < extent.images else "channel"
            over = [dim for dim in dims if dim != dropped]
            raise InputError(
                f"{name} holds NaN or infinite values: drop those {dropped}s, e.g. "
                f"data.isel({dropped}=np.isfinite(data.{name}).all({over}))"
            )
        largest = extent.largest
        if largest and np.isfinite(largest) and not TINY < largest < HUGE:
            raise InputError(
                f"{name} is {largest:.3g} at most, the square of which no number of double precision holds: give it in "
                "other units"
            )
    return found


def check_coordinates(data: xr.Dataset | xr.DataArray, *, of: str = "") -> None:
    """Refuse coordinates of the label schema that are not what they say, of the dims that the data has.

    Ids and taps name something; noise levels are different finite numbers ≥ 0; channels and units are whole numbers,
    each unit of a tap once.

    Parameters
    ----------
    data
        With coordinates of the label schema; those that it lacks are not looked at.
    of
        What `data` is, as the error says it.

    Raises
    ------
    InputError
        Naming the coordinate and what it holds.
    """
    where, coordinates = f" of {of}" if of else "", data.coords.variables
    for name, dim in (("image", "image"), ("sigma", "sigma"), *((c, "channel") for c in ("channel", "tap", "unit"))):
        if name not in coordinates or dim not in data.dims:
            continue
        coordinate = coordinates[name]
        if coordinate.dims != (dim,):
            raise InputError(f"{name}{where} has dims {_spoken(coordinate.dims)}: give one for each {dim}, along {dim}")
        values = coordinate.values
        if name in ("image", "tap"):
            _check_names(name, values, where)
        elif name == "sigma":
            _check_levels(values, where)
        else:
            _check_numbered(name, values, where)
    if "channel" in data.dims and "tap" in coordinates and "unit" in coordinates:
        taps, units = coordinates["tap"].values, coordinates["unit"].values
        pairs = list(zip(strings(taps).tolist(), units.astype(np.int64).tolist(), strict=True))
        if len(set(pairs)) < len(pairs):
            twice = pd.MultiIndex.from_tuples(pairs)
            tap, unit = twice[twice.duplicated()][0]
            raise InputError(f"unit {unit} of tap {tap!r}{where} occurs more than once: give each channel once")


def _check_names(name: str, values: np.ndarray, where: str) -> None:
    unnamed = [not v.strip() if isinstance(v, str) else _is_no_name(v) for v in values]
    if any(unnamed):
        first = values[unnamed.index(True)]
        raise InputError(
            f"{name}{where} is missing or no name in {sum(unnamed)} places, such as {first!r}: give a name for each"
        )


def _is_no_name(value: Any) -> bool:
    return not pd.api.types.is_scalar(value) or bool(pd.isna(value)) or value is pd.NaT or not str(value).strip()


def _check_levels(values: np.ndarray, where: str) -> None:
    if values.dtype.kind not in "fiu":
        raise InputError(f"sigma{where} is of type {values.dtype}: give real numbers, e.g. data['sigma'].astype(float)")
    wrong = values[~(np.isfinite(values) & (values >= 0))].tolist()
    if wrong:
        raise InputError(f"sigma{where} holds {wrong[:3]}: noise standard deviations are finite and ≥ 0, give these")
    if len(np.unique(values)) < len(values):
        raise InputError(f"sigma{where} holds a noise level twice: give each once, with .drop_duplicates('sigma')")


def _check_numbered(name: str, values: np.ndarray, where: str) -> None:
    whole = values.dtype.kind in "iu" or (
        values.dtype.kind == "f" and bool((np.isfinite(values) & (np.floor(values) == values)).all())
    )
    if not whole or (values < 0).any() or (values.astype(float) > MOST).any():
        raise InputError(f"{name}{where} is no list of whole numbers ≥ 0: give what a tap returns")


def once(data: Any) -> Any:
    """A Dataset in which `rest` and `rest_se` have no image dim, such as ``xr.concat(parts, "image")`` gives them.

    Anything else is returned as it is.

    Raises
    ------
    InputError
        If they differ between images: the parts are of different networks, noise or places.
    """
    if not isinstance(data, xr.Dataset):
        return data
    for name in ("rest", "rest_se"):
        if name in data and "image" in data[name].dims and data.sizes["image"]:
            first = data[name].isel(image=0, drop=True).compute()
            own = np.expand_dims(first.values, data[name].dims.index("image"))
            alike = (((part == own) | (_nan(part) & _nan(own))).all() for _, part in image_blocks(data[name]))
            if not all(alike):
                raise InputError(
                    f"{name} differs between images: the parts that were put together are of different networks, taps "
                    "or noise (draws, seed); measure them alike"
                )
            data = data.assign({name: first})
    return data


def _nan(values: np.ndarray) -> Any:
    return np.isnan(values) if values.dtype.kind == "f" else False


def check_ids(data: xr.Dataset | xr.DataArray, *, of: str = "images") -> None:
    """Refuse image ids that occur more than once.

    Parameters
    ----------
    data
        With a coordinate `image`.
    of
        What the ids are of, as the error says it.

    Raises
    ------
    InputError
        Naming one of them.
    """
    ids = pd.Index(strings(data["image"].values))
    if not ids.is_unique:
        twice = ids[ids.duplicated()][0]
        raise InputError(f"ids of {of} occur more than once, such as {twice}: give each image once, under its own id")


def classes(
    data: xr.Dataset | xr.DataArray, name: Any, *, option: str = "label", of: str = "the data", least: int = 2
) -> np.ndarray:
    """The class of each image, or whatever groups a coordinate sorts images into, as strings.

    Parameters
    ----------
    data
        With coordinates along `image`.
    name
        Of the coordinate.
    option
        Option that named the coordinate, and
    of
        what `data` is, as the error says it.
    least
        Number of different classes that are needed.

    Returns
    -------
    ndarray
        (image), str objects.

    Raises
    ------
    InputError
        If there is no such coordinate along `image`, an image has no class (None, NaN or an empty string, which is what
        files keep of these), or there are fewer classes than are needed.
    """
    if not isinstance(name, str) or name not in data.coords or data[name].dims != ("image",):
        known = _spoken(c for c in data.coords if data[c].dims == ("image",))
        if not isinstance(name, str):
            raise InputError(
                f"{given(option, name)}: give the name of a coordinate along image of {of}, which has {known}; of "
                f"values make one with assign_coords({option}=('image', …))"
            )
        meant = name if name.isidentifier() and len(name) <= LONGEST else option
        raise InputError(
            f"{given(option, name)} is no coordinate along image of {of}, which has {known}: give one of these, or add "
            f"it with assign_coords({meant}=('image', …))"
        )
    found = strings(data[name].values)
    missing = sum(not one.strip() for one in found)
    if missing:
        raise InputError(f"{name} is missing for {missing} images of {of}: leave these out, or give them a class")
    count = len(set(found))
    if count < least:
        only = f"all images are of class {str(found[0])!r}" if count == 1 else f"there are {count} different classes"
        raise InputError(f"{name} of {of}: {only}, and {least} at least are needed: give more, or another {option}=")
    return found


class Site(NamedTuple):
    """A noise level and a tap of a representation.

    Attributes
    ----------
    level, block
        Their positions, among the noise levels and the taps.
    sigma, name
        The noise level, and the tap's name.
    channels
        Positions of the tap's channels.
    """

    level: int
    block: int
    sigma: float
    name: str
    channels: np.ndarray


def blocks(data: xr.Dataset | xr.DataArray) -> list[str]:
    """The taps of a representation, in the order of their channels."""
    return list(dict.fromkeys(strings(data["tap"].values)))


def encoders(blocks: Iterable[str], block: str) -> dict[int, str]:
    """Those of the blocks that are called enc1, enc2, … and stand before a block, by their numbers, in order."""
    own = _number(block)
    found = {number: name for name in blocks if (number := _number(name)) and (not own or number < own)}
    return dict(sorted(found.items()))


def _number(block: str) -> int:
    """Number of an encoder block, 0 of others."""
    said = re.fullmatch(rf"{ENCODER}([1-9]\d*)", block)
    return int(said[1]) if said else 0


def block_before(blocks: Sequence[str], block: str) -> str:
    """The block that feeds a block: the encoder block of the largest number, in whichever order they are given.

    Where none is so called, the one that is given before it, decoder blocks (dec…) left out; "" where there is none.
    What is not among the blocks cannot be known: of a network whose enc3 was never tapped, enc2 is the last.
    """
    numbered = encoders(blocks, block)
    if numbered and not block.startswith(DECODER):
        return list(numbered.values())[-1]
    before = list(blocks)[: list(blocks).index(block)] if block in blocks else []
    before = before if block.startswith(DECODER) else [name for name in before if not name.startswith(DECODER)]
    return before[-1] if before else ""


def sites(data: xr.Dataset | xr.DataArray) -> Iterator[Site]:
    """Every tap at every noise level of a representation, tap by tap."""
    taps = strings(data["tap"].values)
    for block, name in enumerate(blocks(data)):
        channels = np.flatnonzero(taps == name)
        for level, sigma in enumerate(data["sigma"].values):
            yield Site(level, block, float(sigma), name, channels)


def by_id(data: xr.Dataset | xr.DataArray) -> np.ndarray:
    """Positions of the images in the order of their ids: what is drawn by it does not depend on the images' order."""
    return np.argsort(strings(data["image"].values), kind="stable")


def strings(values: Iterable[Any]) -> np.ndarray:
    """Names as an array of str objects, whatever kind of array a file gave them back as; "" where one is missing."""
    found = list(values)
    # Asked for very often, of what is in order.
    if set(map(type, found)) != {str}:
        found = list(map(_string, found))
    # Objects, so that joining results never cuts a long string; netCDF and Zarr keep their values.
    return np.array(found, dtype=object)


def _string(value: Any) -> str:
    name = value if isinstance(value, str) else name_of(value)
    return str(value if name is None else name)


def _coords(
    *, ids: Sequence[str], labels: Sequence[str] | None, sigma: Sequence[float], channels: Mapping[str, int]
) -> dict[str, xr.Variable]:
    coords = {
        "image": _index("image", strings(ids)),
        "sigma": _index("sigma", np.asarray(sigma, np.float64), units=SIGMA_UNITS),
        "channel": _index("channel", np.arange(sum(channels.values()))),
        "tap": _along("channel", "tap", strings([name for name, n in channels.items() for _ in range(n)])),
        "unit": _along("channel", "unit", np.concatenate([np.arange(n) for n in channels.values()])),
    }
    if labels is not None:
        coords["label"] = _along("image", "label", strings(labels))
    return coords


def _index(name: str, values: np.ndarray, **attrs: str) -> xr.Variable:
    return _along(name, name, values, **attrs)


def _along(dim: str, name: str, values: np.ndarray, **attrs: str) -> xr.Variable:
    return xr.Variable((dim,), values, {"long_name": COORDINATES[name], **attrs})


def _variable(name: str, values: np.ndarray) -> xr.Variable:
    dims, long_name = VARIABLES[name]
    attrs = {"long_name": long_name, "units": "activation"}
    return xr.Variable(dims, np.asarray(values, np.float32), attrs)


def _spoken(names: Any) -> str:
    return ", ".join(map(str, names)) or "nothing"
