"""The factors that a procedural image is made from: their ranges, distributions, metrics and labels."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import xarray as xr

from probekit import labels
from probekit.checks import listed, real_array, shown
from probekit.errors import InputError
from probekit.machine.installed import installed_version

__all__ = ["FACTORS", "Factor", "Settings", "check_settings", "tabulate"]

# Any keys, so that what a Dataset unpacks to is accepted too.
Settings = xr.Dataset | Mapping[Any, Any]


@dataclass(frozen=True, kw_only=True)
class Factor:
    """One factor: what it may be, how it is distributed and how far apart two of its values are.

    Attributes
    ----------
    kind : {"category", "whole", "real", "circular"}
        A name; a whole number; a real number; a number of turns, where 1 would be 0 again.
    long_name, units : str
        As the labels of results have them.
    low, high : float
        Smallest and largest value; a circular factor lies in [low, high).
    values : tuple[str, ...]
        The names that a category may have.
    """

    kind: Literal["category", "whole", "real", "circular"]
    long_name: str
    units: str = "1"
    low: float = 0.0
    high: float = 1.0
    values: tuple[str, ...] = ()

    @property
    def allowed(self) -> str:
        """The range in words."""
        if self.kind == "category":
            return "one of " + ", ".join(map(repr, self.values))
        if self.kind == "whole":
            return f"a whole number in [{self.low:g}, {self.high:g}]"
        return f"a number in [{self.low:g}, {self.high:g}" + (")" if self.kind == "circular" else "]")

    def quantile(self, u: np.ndarray) -> np.ndarray:
        """The values at quantiles u in [0, 1) of the factor's uniform distribution."""
        if self.kind == "category":
            return np.array(self.values, dtype=object)[(u * len(self.values)).astype(int)]
        if self.kind == "whole":
            return (self.low + np.floor(u * (self.high - self.low + 1))).astype(np.int64)
        return self.low + u * (self.high - self.low)

    def distance(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """A metric in [0, 1]: 0 or 1 for categories, else the difference (the shorter way round) over the largest."""
        if self.kind == "category":
            return (a != b).astype(np.float64)
        apart = np.abs(np.asarray(a, np.float64) - b)
        if self.kind == "circular":
            return 2 * np.minimum(apart, 1 - apart)
        return apart / (self.high - self.low)

    def checked(self, name: str, given: Any) -> np.ndarray:
        """The given values in the factor's own dtype.

        Raises
        ------
        InputError
            Naming the factor, the first value outside its range, and the range.
        """
        if self.kind == "category":
            values = self._names(name, given)
            good = np.isin(values, np.array(self.values, dtype=object))
        else:
            values = real_array(name, given, self.allowed)
            below = values < self.high if self.kind == "circular" else values <= self.high
            good = (values >= self.low) & below & (self.kind != "whole" or values == np.round(values))
        if not good.all():
            at = tuple(np.argwhere(~good)[0])
            where = f" at position {at[0]}" if at else ""
            raise InputError(f"{name} is {shown(values.astype(object)[at])}{where}: give {self.allowed}")
        return values if self.kind == "category" else values.astype(np.int64 if self.kind == "whole" else np.float64)

    def _names(self, name: str, found: Any) -> np.ndarray:
        """Names as an array of str objects: of no dims where it is one."""
        if isinstance(found, np.ndarray | xr.DataArray | xr.Variable):
            array = np.asarray(found.values if isinstance(found, xr.DataArray | xr.Variable) else found).astype(object)
        elif isinstance(found, str):
            array = np.array(str.__str__(found), dtype=object)
        else:
            items = listed(name, found, self.allowed)
            array = np.empty(len(items), object)
            for k, item in enumerate(items):
                array[k] = item
        wrong = [one for one in array.ravel() if not isinstance(one, str)]
        if wrong:
            raise InputError(f"{name} is {shown(wrong[0])}: give {self.allowed}")
        return array


FACTORS: Mapping[str, Factor] = MappingProxyType(
    {
        "shape": Factor(
            kind="category", long_name="shape of the objects", values=("disc", "square", "triangle", "cross", "star")
        ),
        "count": Factor(kind="whole", long_name="number of objects", low=1, high=5),
        "area": Factor(
            kind="real", long_name="area of all objects together", units="fraction of the image", low=0.045, high=0.09
        ),
        "aspect": Factor(
            kind="real", long_name="width over height of each object", units="octaves", low=-0.6, high=0.6
        ),
        "hue": Factor(kind="circular", long_name="hue of the objects", units="turns from red by green to blue"),
        "position_row": Factor(
            kind="real",
            long_name="centroid of the objects, from the top",
            units="fraction of the side",
            low=0.375,
            high=0.625,
        ),
        "position_col": Factor(
            kind="real",
            long_name="centroid of the objects, from the left",
            units="fraction of the side",
            low=0.375,
            high=0.625,
        ),
        "texture": Factor(
            kind="category", long_name="pattern of the background", values=("stripes", "checks", "rings")
        ),
        "frequency": Factor(
            kind="real", long_name="spatial frequency of the background", units="cycles per side", low=2, high=6
        ),
        "contrast": Factor(
            kind="real", long_name="amplitude of the background's pattern", units="intensity", low=0.05, high=0.3
        ),
        "brightness": Factor(
            kind="real", long_name="grey level that the pattern swings about", units="intensity", low=0.3, high=0.7
        ),
    }
)


def tabulate(settings: Settings, *, n: int | None = None, needed: Sequence[str] = tuple(FACTORS)) -> xr.Dataset:
    """Check settings and label them.

    Parameters
    ----------
    settings
        One value (also in an array of length 1), or one per image, of each factor; a Dataset's ids are kept.
    n
        The number of images; default: what the settings say, or 1.
    needed
        Factors that must be there; all others are refused.

    Returns
    -------
    Dataset
        One variable (image) per factor needed, in the order of `needed`.

    Raises
    ------
    InputError
        If a factor is unknown, missing, out of its range, or not of one length.
    """
    _check_names(settings, needed)
    given = {name: _along_image(name, settings[name]) for name in needed}
    sizes = {name: values.size for name, values in given.items() if values.ndim}
    if n is None:
        n = max(sizes.values(), default=1) if 0 not in sizes.values() else 0
    for name, size in sizes.items():
        if size not in (1, n):
            raise InputError(f"{name} has {size} values for {n} images: give one value, or one per image")
    coords = {"image": xr.Variable("image", _ids(settings, n), {"long_name": labels.COORDINATES["image"]})}
    variables = {
        name: xr.Variable(
            "image",
            np.broadcast_to(FACTORS[name].checked(name, values), n).copy(),
            {"long_name": FACTORS[name].long_name, "units": FACTORS[name].units, "range": FACTORS[name].allowed},
        )
        for name, values in given.items()
    }
    attrs = {"probekit_version": installed_version(), "generator": "probekit.synthetic.shapes"}
    return xr.Dataset(variables, coords=coords, attrs=attrs)


def check_settings(settings: Any) -> None:
    """Refuse what holds no settings.

    Raises
    ------
    InputError
        If it is neither a Dataset nor a mapping.
    """
    if not isinstance(settings, xr.Dataset | Mapping):
        raise InputError(
            f"the settings are a {type(settings).__name__}: give a Dataset, as draw_settings makes it, or a mapping"
        )


def _check_names(settings: Settings, needed: Sequence[str]) -> None:
    check_settings(settings)
    try:
        names: list[Hashable] = list(settings.data_vars if isinstance(settings, xr.Dataset) else settings)
    except Exception as error:
        raise InputError(
            f"the settings cannot be read ({type(error).__name__}): give a Dataset or a mapping"
        ) from error
    unknown = [str(name) for name in names if name not in FACTORS]
    if unknown:
        raise InputError(f"{', '.join(unknown)}: no such factor; the factors are {', '.join(FACTORS)}")
    missing = [name for name in needed if name not in names]
    if missing:
        raise InputError(f"the settings lack {', '.join(missing)}: give every factor a value, or draw them at random")


def _along_image(name: str, given: Any) -> np.ndarray:
    if isinstance(given, xr.DataArray | xr.Variable):
        if given.dims not in ((), ("image",)):
            raise InputError(f"{name} has dims {tuple(map(str, given.dims))}: give it the one dim image, or none")
        return np.asarray(given.values)
    values = FACTORS[name].checked(name, given)
    if values.ndim > 1:
        raise InputError(f"{name} has shape {values.shape}: give one value, or one per image")
    return values


def _ids(settings: Settings, n: int) -> np.ndarray:
    if isinstance(settings, xr.Dataset) and settings.coords.get("image") is not None and settings["image"].size == n:
        return np.atleast_1d(settings["image"].values).astype(str).astype(object)
    return np.array([str(i) for i in range(n)], dtype=object)
