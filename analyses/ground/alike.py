"""Whether two things were measured alike: the same channels of the same network, reduced in the same way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
import xarray as xr

from analyses.ground.checks import check_numbers
from probekit import labels
from probekit.errors import InputError

__all__ = [
    "beside",
    "by_channel",
    "by_image",
    "check_same_network",
    "drawn_rows",
    "same_attr",
    "same_channels",
    "subsample",
]

Data = TypeVar("Data", xr.Dataset, xr.DataArray)
# What says which channel is which.
CHANNELS = ("tap", "unit")
# What two measurements of one network share.
OF_NETWORK = ("weights_sha256", "denoiser_settings", "taps", "reduce")


def same_channels(first: xr.Dataset | xr.DataArray, second: xr.Dataset | xr.DataArray) -> bool:
    """Whether two have the same channels of the same taps, in the same order."""
    return all(np.array_equal(labels.strings(first[c].values), labels.strings(second[c].values)) for c in CHANNELS)


def same_attr(data: xr.Dataset, own: xr.Dataset, key: str) -> bool:
    """Whether an attr of φ is the tap's own; the part of one tap of a φ of several names them all under "taps"."""
    if key != "taps":
        return data.attrs.get(key) == own.attrs[key]
    return set(own.attrs[key].split(", ")) <= set(str(data.attrs.get(key, "")).split(", "))


def check_same_network(
    first: xr.Dataset, second: xr.Dataset, names: tuple[str, str], keys: Sequence[str] = OF_NETWORK
) -> None:
    """Refuse two measurements that say that they are of different networks, taps or reductions.

    What only one of them says is not compared. Of taps one name at least must be in both, since channels of one tap
    may have been selected from several.

    Parameters
    ----------
    first, second
        What was measured, with its attrs.
    names
        What the error calls them.
    keys
        Attributes to compare.

    Raises
    ------
    InputError
        Naming the attributes that differ.
    """
    differ = [
        key
        for key in keys
        if key in first.attrs and key in second.attrs and not _agree(key, first.attrs[key], second.attrs[key])
    ]
    if differ:
        said = "; ".join(f"{key}: {_short(first.attrs[key])} and {_short(second.attrs[key])}" for key in differ)
        raise InputError(
            f"{names[0]} and {names[1]} are of different networks, taps or reductions ({said}): give both of one, "
            f"or, if it is meant, drop the attribute from one, e.g. del data.attrs[{differ[0]!r}]"
        )


def by_channel(data: xr.DataArray, like: xr.Dataset, name: str) -> xr.DataArray:
    """Bring what has the same channels as `like`, by tap and number, into its order.

    Without the coordinates tap and unit, channels are told by their number along dim `channel`; without that they are
    taken as they come.

    Raises
    ------
    InputError
        If the channels are others; `name` says of what.
    """
    keys = CHANNELS if all(c in data.coords for c in CHANNELS) else ("channel",)
    if any(key not in data.coords for key in keys):
        return data
    own, wanted = (list(zip(*(labels.strings(one[k].values) for k in keys), strict=True)) for one in (data, like))
    return data if own == wanted else data.isel(channel=_order(own, wanted, name, "channels", ", ".join(keys)))


def by_image(data: xr.DataArray, ids: Sequence[str], name: str) -> xr.DataArray:
    """Bring what has ids along dim `image` into the order of `ids`; what has none is taken as it comes.

    Raises
    ------
    InputError
        If the ids are others; `name` says of what.
    """
    if "image" not in data.coords:
        return data
    own = labels.strings(data["image"].values).tolist()
    return data if own == list(ids) else data.isel(image=_order(own, list(ids), name, "images", "image"))


def drawn_rows(data: Data, most: int, seed: int) -> Data:
    """At most so many images of φ, at random, in the order of the data: the same ones whatever order that is.

    Parameters
    ----------
    data
        φ, in memory or not; nothing of it is loaded.
    most, seed
        Number of images ≥ 1, and seed of the drawing, which goes by ids.
    """
    if data.sizes["image"] <= most:
        return data
    drawn = np.random.default_rng(seed).permutation(labels.by_id(data))[:most]
    return data.isel(image=np.sort(drawn))


def subsample(data: xr.Dataset | xr.DataArray, most: int, seed: int) -> np.ndarray:
    """Positions of at most so many images, drawn at random, by id: the same images in whatever order they are given.

    Parameters
    ----------
    data
        With a coordinate `image`.
    most, seed
        Number of images ≥ 1, and seed of the drawing.

    Returns
    -------
    ndarray
        (images), in the order of ids; of all images where there are no more.
    """
    order = labels.by_id(data)
    if len(order) <= most:
        return order
    return order[np.sort(np.random.default_rng(seed).permutation(len(order))[:most])]


def beside(against: Any, data: xr.Dataset, name: str) -> Callable[[labels.Site], np.ndarray]:
    """Other φ of the data's images and noise levels, of the same taps or of one: what of it stands beside a site.

    Returns
    -------
    callable
        Takes a site of the data, and gives (images, channels) in the order of the data's images.

    Raises
    ------
    InputError
        If it is no such φ; `name` says of what.
    """
    check_numbers(against, "phi")
    labels.check(against, "phi")
    one, other = (np.asarray(of["sigma"], float) for of in (against, data))
    # In single precision they are the same levels.
    if one.shape != other.shape or not np.allclose(one, other, rtol=1e-6, atol=0):
        levels = [", ".join(f"{s:g}" for s in one["sigma"].values) for one in (against, data)]
        raise InputError(f"{name} has noise levels {levels[0]}, the data {levels[1]}: give φ at the same")
    blocks, own = labels.blocks(against), labels.blocks(data)
    if list(blocks) != list(own) and len(blocks) > 1:
        raise InputError(
            f"{name} has taps {', '.join(blocks)}, the data {', '.join(own)}: give φ of the same, or of one tap"
        )
    theirs, wanted = (labels.strings(one["image"].values).tolist() for one in (against, data))
    order = _order(theirs, wanted, name, "images", "image")
    phi = against["phi"].transpose("image", "sigma", "channel").values[order]
    taps = labels.strings(against["tap"].values)

    def at(site: labels.Site) -> np.ndarray:
        return phi[:, site.level][:, slice(None) if len(blocks) == 1 else taps == site.name]

    return at


def _order(own: list[Any], wanted: list[Any], name: str, what: str, coords: str) -> list[int]:
    """Where each that is wanted is."""
    if len(set(own)) < len(own) or len(own) != len(wanted) or set(own) != set(wanted):
        odd = next((one for one in own if one not in wanted), own[0] if own else "none")
        odd = " ".join(odd) if isinstance(odd, tuple) else odd
        raise InputError(
            f"{name} is of other {what} than it is used with, or has one twice, such as {odd}: give it of the same "
            f"{what}, or without the coordinates {coords} if it is in their order"
        )
    place = {one: i for i, one in enumerate(own)}
    return [place[one] for one in wanted]


def _agree(key: str, first: Any, second: Any) -> bool:
    if key == "taps":
        return bool(set(str(first).split(", ")) & set(str(second).split(", ")))
    return str(first) == str(second)


def _short(value: Any) -> str:
    words = str(value)
    return repr(words if len(words) <= 40 else words[:12] + "…")
