"""Procedural images of ovals of one aspect: one graded factor, all else drawn at random.

An image shows `count` white ovals on black, which all have one aspect, the ratio of width to height, and whose axes
lie along rows and columns. Each oval's area is uniform in a range. Its centre is uniform over the places where it lies
in the image as a whole, so that none is cut at the border; ovals may lie over one another, and then show as one white
region. The mean intensity says next to nothing of the aspect.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
import xarray as xr

from probekit import labels
from probekit.checks import instance, listed, number, real_array, seeded, shown, whole
from probekit.errors import InputError
from probekit.images.imageset import ImageSet
from probekit.images.members import Where, part_of
from probekit.machine.installed import installed_version
from probekit.machine.memory import refuse_array
from probekit.synthetic.oval_coverage import coverage, half_axes

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["ASPECTS", "GRID", "OvalData", "draw", "draw_settings", "image_set", "render"]

# Classes, and a finer grid that reaches beyond them: 19 aspects from 0.1 to 10, evenly spaced in their logarithm.
ASPECTS = (0.2, 0.5, 1.0, 2.0, 5.0)
GRID = tuple(float(10 ** (k / 9)) for k in range(-9, 10))
# Areas in images of so many rows and columns; at other sizes they are the same shares of the image.
AREA, SIDE = (60.0, 100.0), 80
COUNT = 20
LARGEST_ASPECT, LARGEST_SIDE, MOST_OVALS = 100.0, 2**12, 2**12
OF_OVALS = {
    "area": ("area of the oval", "pixels"),
    "row": ("centre of the oval, from the top", "pixels"),
    "col": ("centre of the oval, from the left", "pixels"),
}
AN_ASPECT = f"ratios of width to height from {1 / LARGEST_ASPECT:g} to {LARGEST_ASPECT:g}, one or one per image"


class OvalData(NamedTuple):
    """Images of ovals and what is true of them.

    Attributes
    ----------
    images : DataArray
        (image, band, row, col), float32 in [0, 1]; its coordinate `aspect` is the number, `label` the same as a text.
    truth : Dataset
        aspect (image); area, row and col (image, oval), in pixels.
    """

    images: xr.DataArray
    truth: xr.Dataset


def draw(
    n: int,
    *,
    size: int = SIDE,
    seed: int,
    count: int = COUNT,
    area: Sequence[float] | None = None,
    aspect: Any = None,
    bands: int = 1,
) -> OvalData:
    """Draw images of ovals.

    Parameters
    ----------
    n
        Number of images, at least 1.
    size
        Rows, and columns, of an image.
    seed
        Non-negative integer. Image i depends on the seed, on i and on the other settings, not on n.
    count
        Ovals in an image, at least 1.
    area
        Smallest and largest area of an oval, in pixels; by default 60 and 100 at 80×80, and as large a share of the
        image at other sizes.
    aspect
        Width over height of an image's ovals, one for all images or one per image, such as ``np.resize(GRID, n)``; by
        default each image's is drawn from `ASPECTS`.
    bands
        Bands, all alike.

    Returns
    -------
    OvalData
        images (image, band, row, col) and truth (image, oval), with ids "0", "1", …

    Raises
    ------
    InputError
        If an option is out of its range, or an oval would be larger than the image.

    Examples
    --------
    >>> images, truth = draw(3, size=40, seed=0, count=5, aspect=[0.5, 1, 2])
    >>> images.shape, images.label.values.tolist(), dict(truth.sizes)
    ((3, 1, 40, 40), ['0.5', '1', '2'], {'image': 3, 'oval': 5})
    """
    truth = draw_settings(n, size=size, seed=seed, count=count, area=area, aspect=aspect)
    return OvalData(render(truth, size=size, bands=bands), truth)


def draw_settings(
    n: int,
    *,
    size: int = SIDE,
    seed: int,
    count: int = COUNT,
    area: Sequence[float] | None = None,
    aspect: Any = None,
) -> xr.Dataset:
    """Draw aspects, areas and places without drawing the images; parameters, result and errors as `draw`'s truth.

    Examples
    --------
    >>> bool(draw_settings(2, seed=0).equals(draw_settings(5, seed=0).isel(image=[0, 1])))
    True
    """
    n, seed, size = whole("n", n, least=1), seeded(seed), whole("size", size, least=1, most=LARGEST_SIDE)
    count = whole("count", count, least=1, most=MOST_OVALS)
    least, most = _areas(area, size)
    refuse_array((n, 1 + 6 * count), 8, hint="give fewer images")
    # Row by row: however many images there are, each has the same numbers.
    uniform = np.random.default_rng(seed).random((n, 1 + 3 * count))
    drawn = np.array(ASPECTS)[(uniform[:, 0] * len(ASPECTS)).astype(int)]
    aspects = drawn if aspect is None else _aspects(aspect, n)
    u = uniform[:, 1:].reshape(n, 3, count)
    areas = least + u[:, 0] * (most - least)
    half = half_axes(areas, aspects[:, None])
    _check_fits(half, areas, aspects, size)
    row, col = (axis + at * (size - 2 * axis) for axis, at in zip(half, (u[:, 1], u[:, 2]), strict=True))
    return _tabulated(aspects, {"area": areas, "row": row, "col": col}).assign_attrs(seed=seed, size=size)


def render(settings: xr.Dataset, *, size: int = SIDE, bands: int = 1) -> xr.DataArray:
    """Draw the images that settings describe: the same settings always give the same bits.

    A pixel is the share of it that ovals cover, exact for each oval, and 1 − Π(1 − c) of all.

    Parameters
    ----------
    settings
        As `draw_settings` gives them; an oval whose centre is near the border is cut there.
    size
        Rows, and columns, of an image.
    bands
        Bands, all alike.

    Returns
    -------
    DataArray
        (image, band, row, col), float32 in [0, 1], with the coordinates `aspect` and `label`.

    Raises
    ------
    InputError
        If settings are missing, of other dims, no numbers or out of their range.

    Examples
    --------
    >>> one = draw_settings(1, size=40, seed=0, count=5)
    >>> float(abs(render(one, size=40).sum() - one.area.sum()) / one.area.sum()) < 0.5
    True
    """
    size, bands = whole("size", size, least=1, most=LARGEST_SIDE), whole("bands", bands, least=1)
    found = _checked(settings, size)
    n = len(found["aspect"])
    refuse_array((n, bands + 1, size, size), 4, hint="give fewer images, or a smaller size")
    pixels = np.repeat(_pixels(found, range(n), size)[:, None], bands, axis=1)
    names = labels.strings(settings["image"].values) if "image" in settings.coords else labels.strings(range(n))
    coords: dict[str, Any] = {"image": xr.Variable("image", names, {"long_name": labels.COORDINATES["image"]})}
    coords |= {"band": np.arange(bands), "row": np.arange(size), "col": np.arange(size)}
    coords["aspect"] = xr.Variable("image", found["aspect"], {"long_name": "width over height", "units": "1"})
    coords["label"] = xr.Variable("image", _named(found["aspect"]), {"long_name": labels.COORDINATES["label"]})
    attrs = {**settings.attrs, "long_name": "image of ovals", "units": "intensity"}
    return xr.DataArray(pixels, dims=("image", "band", "row", "col"), coords=coords, name="ovals", attrs=attrs)


def image_set(settings: xr.Dataset, *, size: int = SIDE, bands: int = 1) -> ImageSet:
    """The same images as an image set, each drawn when it is read: of a large set only the settings are in memory.

    Parameters
    ----------
    settings, size, bands
        As for `render`.

    Returns
    -------
    ImageSet
        With the aspects as labels.

    Raises
    ------
    InputError
        As for `render`.

    Examples
    --------
    >>> image_set(draw_settings(1000, seed=0, aspect=2))
    ImageSet('ovals', 1000 images of 1×80×80, 1 class: 2)
    """
    size, bands = whole("size", size, least=1, most=LARGEST_SIDE), whole("bands", bands, least=1)
    found = _checked(settings, size)
    ids = labels.strings(settings["image"].values) if "image" in settings.coords else range(len(found["aspect"]))
    return ImageSet(
        "ovals", tuple(map(str, ids)), tuple(_named(found["aspect"])), (bands, size, size), Drawn(found, size, bands)
    )


class Drawn:
    """Reads images of ovals by drawing them; a part of them has the settings of these alone."""

    def __init__(self, found: dict[str, np.ndarray], size: int, bands: int) -> None:
        self.found, self.size, self.bands = found, size, bands

    def __call__(self, indices: Sequence[int]) -> Tensor:
        drawn = torch.from_numpy(_pixels(self.found, indices, self.size))
        return drawn[:, None].expand(-1, self.bands, -1, -1)

    def part(self, where: Where) -> Drawn:
        """A reader of some of these."""
        return Drawn({name: part_of(values, where) for name, values in self.found.items()}, self.size, self.bands)


def _pixels(found: dict[str, np.ndarray], indices: Sequence[int], size: int) -> np.ndarray:
    drawn = np.empty((len(indices), size, size), np.float32)
    for k, i in enumerate(indices):
        each = {name: found[name][i] for name in OF_OVALS}
        drawn[k] = coverage(float(found["aspect"][i]), **each, size=size)
    return drawn


def _named(aspects: np.ndarray) -> np.ndarray:
    return np.array([f"{aspect:g}" for aspect in aspects], dtype=object)


def _tabulated(aspects: np.ndarray, each: dict[str, np.ndarray]) -> xr.Dataset:
    names = labels.strings(range(len(aspects)))
    said = {"long_name": "width over height of the ovals", "units": "1"}
    variables: dict[str, Any] = {"aspect": ("image", aspects, said)}
    for name, values in each.items():
        long_name, units = OF_OVALS[name]
        variables[name] = (("image", "oval"), values, {"long_name": long_name, "units": units})
    coords = {"image": xr.Variable("image", names, {"long_name": labels.COORDINATES["image"]})}
    attrs = {"probekit_version": installed_version(), "generator": "probekit.synthetic.ovals"}
    return xr.Dataset(variables, coords=coords, attrs=attrs)


def _areas(area: Any, size: int) -> tuple[float, float]:
    if area is None:
        return AREA[0] * (size / SIDE) ** 2, AREA[1] * (size / SIDE) ** 2
    what = "the smallest and the largest area in pixels, e.g. (60, 100)"
    ends = [number("area", one, what, good=lambda a: a > 0) for one in listed("area", area, what, most=2)]
    if len(ends) != 2 or ends[0] > ends[1]:
        raise InputError(f"area={shown(area)}: give {what}")
    return ends[0], ends[1]


def _aspects(aspect: Any, n: int) -> np.ndarray:
    values = real_array("aspect", aspect, AN_ASPECT)
    if values.ndim > 1 or values.size not in (1, n):
        raise InputError(f"aspect has shape {values.shape} for {n} images: give {AN_ASPECT}")
    _check_aspects(values.ravel())
    return np.broadcast_to(values.ravel(), n).copy()


def _check_aspects(values: np.ndarray) -> None:
    wrong = values[~((values >= 1 / LARGEST_ASPECT) & (values <= LARGEST_ASPECT))]
    if wrong.size:
        raise InputError(f"aspect is {wrong[0]:g}: give {AN_ASPECT}")


def _check_fits(half: tuple[np.ndarray, np.ndarray], areas: np.ndarray, aspects: np.ndarray, size: int) -> None:
    longest = np.maximum(*half)
    if 2 * longest.max() > size:
        i, k = np.unravel_index(longest.argmax(), longest.shape)
        raise InputError(
            f"an oval of area {areas[i, k]:.4g} and aspect {aspects[i]:g} is {2 * longest[i, k]:.4g} pixels long, in "
            f"images of {size}×{size}: give a smaller area, a larger size, or an aspect nearer to 1"
        )


def _checked(settings: Any, size: int) -> dict[str, np.ndarray]:
    """The settings as arrays, found to be some."""
    what = "a Dataset, as draw_settings makes it"
    instance("settings", settings, xr.Dataset, what)
    lacking = [name for name in ("aspect", *OF_OVALS) if name not in settings]
    if lacking:
        raise InputError(f"the settings lack {', '.join(lacking)}: give {what}")
    for name in ("aspect", *OF_OVALS):
        wanted = ("image",) if name == "aspect" else ("image", "oval")
        if settings[name].dims != wanted or not settings[name].size:
            sizes = dict(settings[name].sizes)
            raise InputError(f"{name} has dims {sizes}: give it along {', '.join(wanted)}, one at least")
    found = {name: real_array(name, settings[name].values, "real numbers") for name in ("aspect", *OF_OVALS)}
    _check_aspects(found["aspect"])
    for name, (low, high) in {"area": (0, size * size), "row": (0, size), "col": (0, size)}.items():
        good = (found[name] >= low) & (found[name] <= high) & ((name != "area") | (found[name] > 0))
        if not good.all():
            raise InputError(
                f"{name} is {found[name][~good][0]:g} in an image of {size}×{size}: give pixels from {low} to {high}"
                + (", more than 0" if name == "area" else "")
            )
    return found
