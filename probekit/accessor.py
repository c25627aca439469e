"""`data.probe`: what one asks of φ at once, by name, on the Dataset that a tap returns."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from probekit import checks, labels
from probekit.channels import channel_at, channel_names
from probekit.errors import InputError
from probekit.machine.blocks import image_blocks
from probekit.machine.largest import largest
from probekit.machine.lazily import less
from probekit.networks import compared

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Probe"]

# That are named at once.
MOST_NAMES = 10**7


class Probe:
    """What `data.probe` offers: parts of φ by name, what stands out in it, and several networks side by side.

    Values that lie in a store or in chunks stay there until they are used; the data is never changed.

    Parameters
    ----------
    data
        What a tap returns: phi (image, sigma, channel), and rest (sigma, channel).
    """

    def __init__(self, data: xr.Dataset) -> None:
        self._data = data

    def __repr__(self) -> str:
        return f"<probe of {dict(self._data.sizes)}: .tap .channel .above_rest .top .images .show .compare>"

    def tap(self, *names: Any) -> xr.Dataset:
        """The channels of these taps, given one after another or as a list, in the order of the data.

        Raises
        ------
        InputError
            If there is no tap of such a name, or none is given.

        Examples
        --------
        >>> from probekit.synthetic.subspaces import union_of_subspaces
        >>> data, _ = union_of_subspaces(30, seed=0)
        >>> data.probe.tap("synthetic").sizes["channel"] == data.sizes["channel"]
        True
        """
        taps = labels.strings(self._named()["tap"].values)
        known = labels.blocks(self._data)
        wanted = _texts("tap", names)
        wrong = [name for name in wanted if name not in known]
        if wrong or not wanted:
            asked = checks.given("tap", wrong[0]) if wrong else "no tap is named"
            raise InputError(f"{asked}: the data has the taps {', '.join(known)}; give one or more of these")
        return self._data.isel(channel=np.flatnonzero(np.isin(taps, wanted)))

    def channel(self, *names: Any) -> xr.Dataset:
        """These channels, such as "mid:59", one after another or as a list, in the order they are named in.

        Raises
        ------
        InputError
            If there is no channel of such a name, one is named twice, or none is given.
        """
        places = [channel_at(self._named(), name) for name in _texts("channel", names)]
        if not places or len(set(places)) < len(places):
            raise InputError(f"channels {checks.shown(names)}: give the names of one or more, each once")
        return self._data.isel(channel=places)

    def above_rest(self) -> xr.DataArray:
        """φ less rest, what the channel does with noise alone, of φ's dims; negative where it is below.

        It is not cut off at 0, as analyses do not: channels that images suppress are below rest.

        Raises
        ------
        InputError
            If the data has no phi or no rest.
        """
        data = labels.once(self._taken("phi", "rest"))
        phi = data["phi"]
        units = phi.attrs.get("units", "activation")
        above = less(phi.variable, data["rest"].variable)
        above.attrs = {"long_name": "phi above rest", "units": units}
        return xr.DataArray(above, coords=phi.coords, name="above_rest")

    def top(self, count: int = 5, *, of: str = "channel") -> xr.Dataset:
        """The images that excite each channel most, or the channels that each image excites most.

        Parameters
        ----------
        count
            How many, ≥ 1; fewer where there are fewer.
        of
            "channel" or "image".

        Returns
        -------
        Dataset
            Along `rank`, 0 the strongest: `activity`, φ above rest (φ itself where the data has no rest); of each
            channel `top_image`, the image's id, and, where images have classes, `top_label`, (rank, sigma, channel);
            of each image `top_channel`, such as "mid:59", (rank, image, sigma). Other dims of φ, such as `network`,
            stay. Of equals the image whose id comes first in the alphabet, or the channel that stands first. φ is read
            once, some images at a time.

        Raises
        ------
        InputError
            If phi is missing or holds NaN, or an option is out of its range.

        Examples
        --------
        >>> from probekit.synthetic.subspaces import union_of_subspaces
        >>> data, _ = union_of_subspaces(30, seed=0)
        >>> strongest = data.probe.top(1)
        >>> above = data.probe.above_rest().sel(image=strongest.top_image.isel(rank=0, sigma=0, channel=0).item())
        >>> bool(above.isel(sigma=0, channel=0) == strongest.activity.isel(rank=0, sigma=0, channel=0))
        True
        """
        count = checks.whole("count", count, least=1)
        checks.choice("of", of, ("channel", "image"))
        data = labels.once(self._taken("phi"))
        for dim in ("image", "channel"):
            if dim not in data["phi"].dims:
                raise InputError(f"phi has no dim {dim}: keep it, e.g. select with a list, .isel({dim}=[0])")
        labels.check_ids(data)
        return self._of_images(data, count) if of == "image" else self._of_channels(data, count)

    def _of_channels(self, data: xr.Dataset, count: int) -> xr.Dataset:
        others = [dim for dim in data["phi"].dims if dim != "image"]
        sizes = tuple(data.sizes[dim] for dim in others)
        ids = labels.strings(data["image"].values)
        order = np.empty(len(ids), np.int64)
        order[labels.by_id(data)] = np.arange(len(ids))
        best, held = np.empty((0, math.prod(sizes))), np.empty((0, math.prod(sizes)), np.int64)
        for where, part in _above_in_blocks(data):
            values = part.transpose("image", *others).values.reshape(part.sizes["image"], -1)
            own = largest(values, order[where], count)
            best = np.concatenate([best, np.take_along_axis(values, own, axis=0)])
            held = np.concatenate([held, own + where.start])
            kept = largest(best, order[held], count)
            best, held = np.take_along_axis(best, kept, axis=0), np.take_along_axis(held, kept, axis=0)
        found = {"top_image": ids[held], "activity": best.astype(np.float32)}
        if "label" in data.coords and data["label"].dims == ("image",):
            found["top_label"] = labels.strings(data["label"].values)[held]
        found = {name: values.reshape(-1, *sizes) for name, values in found.items()}
        return self._ranked(found, ("rank", *others), drop="image")

    def _of_images(self, data: xr.Dataset, count: int) -> xr.Dataset:
        others = [dim for dim in data["phi"].dims if dim not in ("image", "channel")]
        names, order = channel_names(self._named()), np.arange(data.sizes["channel"])
        shape = (min(count, len(order)), data.sizes["image"], *(data.sizes[dim] for dim in others))
        best, channels = np.empty(shape, np.float32), np.empty(shape, object)
        for where, part in _above_in_blocks(data):
            turned = part.transpose("channel", "image", *others).values
            values = turned.reshape(len(order), -1)
            own = largest(values, order, count)
            within = (-1, *turned.shape[1:])
            best[:, where] = np.take_along_axis(values, own, axis=0).reshape(within)
            channels[:, where] = names[own].reshape(within)
        found = {"top_channel": channels, "activity": best}
        return self._ranked(found, ("rank", "image", *others), drop="channel")

    def _ranked(self, found: dict[str, np.ndarray], dims: tuple[Hashable, ...], *, drop: str) -> xr.Dataset:
        said = {
            "top_image": "id of the image that excites the channel most",
            "top_label": "its class",
            "top_channel": "name of the channel that the image excites most",
            "activity": "largest phi above rest" if "rest" in self._data else "largest phi",
        }
        units = {"activity": str(self._data["phi"].attrs.get("units", "activation"))}
        coords = {
            str(name): coordinate.variable
            for name, coordinate in self._data.coords.items()
            if drop not in coordinate.dims and set(coordinate.dims) <= set(dims)
        }
        coords["rank"] = xr.Variable("rank", np.arange(len(found["activity"])), {"long_name": "rank, 0 the strongest"})
        variables = {
            name: xr.Variable(
                dims, values, {"long_name": said[name], **({"units": units[name]} if name in units else {})}
            )
            for name, values in found.items()
        }
        return xr.Dataset(variables, coords, dict(self._data.attrs))

    def images(self, *names: Any) -> xr.Dataset:
        """The images of these classes, or of these ids, one after another or as a list, in the order of the data.

        Raises
        ------
        InputError
            If neither a class nor an image is so called, or nothing is named.
        """
        data = self._named("image")
        wanted = _texts("images", names)
        ids = labels.strings(data["image"].values)
        classes = labels.strings(data["label"].values) if "label" in data.coords else np.array([], object)
        known = {*ids.tolist(), *classes.tolist()}
        for name in wanted:
            if name not in known:
                some = [*dict.fromkeys(classes.tolist())] or ids[:3].tolist()
                told = ", ".join(checks.shown(one) for one in some[:8])
                raise InputError(
                    f"{checks.given('images', name)}: the data has no class and no image of this name; give one such "
                    f"as {told}"
                )
        if not wanted:
            raise InputError("images() needs names: give classes or ids of images")
        chosen = pd.Index(ids).isin(wanted) | (pd.Index(classes).isin(wanted) if len(classes) else False)
        return data.isel(image=np.flatnonzero(chosen))

    def show(self, channel: str, *, sigma: float | None = None, images: Any = None) -> Figure:
        """Draw a channel: its response against σ, its distribution over images, and the images it likes and does not.

        Parameters
        ----------
        channel
            Its name, such as "mid:59".
        sigma
            Noise level of the distribution and of the order of images; by default the middle one.
        images
            The images that φ is of, as `probekit.images.load` takes them, found by their ids; at most 18 are read.
            Without them the built-in samples are shown if φ is of these; of others ids are written instead.

        Returns
        -------
        Figure

        Raises
        ------
        InputError
            If there is no such channel or noise level, or the images lack some of the data's.
        """
        from probekit.drawing.channel import drawn

        labels.check_ids(self._taken("phi"))
        data = self.channel(channel)
        labels.check(data, "phi")
        levels = data["sigma"].values.astype(float)
        place = int(np.argsort(levels)[len(levels) // 2]) if sigma is None else _level(levels, sigma)
        return drawn(data, channel, place, images)

    def compare(self, other: xr.Dataset, *more: xr.Dataset, names: Sequence[str] | None = None) -> xr.Dataset:
        """Put networks side by side along a new dim `network`, each with what it is in coordinates along it.

        Parameters
        ----------
        other, more
            φ, or findings, of other networks, of the same images, noise levels, channels, draws and seed.
        names
            One for each network, this one first; by default what the results call them, numbered where that is the
            same.

        Returns
        -------
        Dataset
            `probekit.networks.by_network` takes it apart again.

        Raises
        ------
        InputError
            If they differ in more than the network, saying in what, or names are not one for each, each once.
        """
        return compared([self._data, other, *more], names)

    def _named(self, *coordinates: str) -> xr.Dataset:
        """The data, if it has what names its channels, or the coordinates that are asked for."""
        needed = coordinates or ("tap", "unit")
        missing = [name for name in needed if name not in self._data.coords]
        if missing:
            raise InputError(f"the Dataset has no coordinate {missing[0]!r}: .probe is for what a tap returns")
        return self._data

    def _taken(self, *names: str) -> xr.Dataset:
        """The data, if it has these variables, of real numbers along dims that φ has; no value is read."""
        for name in names:
            if name not in self._data.data_vars:
                raise InputError(f"the Dataset has no {name!r}: .probe is for what a tap returns")
            found = self._data[name]
            if found.dtype.kind not in "fiu":
                raise InputError(
                    f"{name} is of type {found.dtype}: give real numbers, e.g. data[{name!r}].astype(float)"
                )
            more = [str(dim) for dim in found.dims if dim not in self._data[names[0]].dims]
            if more:
                raise InputError(f"{name} has a dim {', '.join(more)} that {names[0]} lacks: select of both alike")
        return self._data


def _above_in_blocks(data: xr.Dataset) -> Iterator[tuple[slice, xr.Variable]]:
    """Where, and φ above rest there in double precision, some images at a time; NaN is refused."""
    phi, rest = data["phi"], data["rest"].variable.compute().astype(np.float64) if "rest" in data else None
    for where, values in image_blocks(phi):
        part = xr.Variable(phi.dims, values.astype(np.float64))
        part = part if rest is None else less(part, rest)
        if not np.isfinite(part.values).all():
            raise InputError(
                "phi, or rest, holds NaN or infinite values, which have no order: drop those images, e.g. "
                "data.isel(image=np.isfinite(data.phi).all(['sigma', 'channel']))"
            )
        yield where, part


def _texts(option: str, names: Sequence[Any]) -> list[str]:
    """Names that are given one after another, or in lists or arrays."""
    found: list[Any] = []
    for name in names:
        several = (
            isinstance(name, Iterable) and not isinstance(name, str | bytes) and checks.attribute(name, "ndim") != 0
        )
        found += checks.listed(option, name, "names as texts", most=MOST_NAMES) if several else [name]
    texts = [checks.unwrapped(one) for one in found]
    for one, name in zip(texts, found, strict=True):
        if not isinstance(one, str):
            raise InputError(f"{checks.given(option, name)}: give texts, e.g. .{option}('a', 'b')")
    return list(map(str, texts))


def _level(levels: np.ndarray, sigma: Any) -> int:
    wanted = checks.number("sigma", sigma, "one of the data's noise levels")
    near = np.flatnonzero(np.isclose(levels, wanted, rtol=1e-9, atol=0))
    if not len(near):
        raise InputError(f"sigma={wanted:g}: the data has {', '.join(f'{s:g}' for s in levels)}; give one of these")
    return int(near[0])
