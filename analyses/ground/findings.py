"""Findings by specification: what a room returns is declared once, and labels, checks and tables come of it."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np
import pandas as pd
import xarray as xr

from probekit import labels
from probekit.checks import plain
from probekit.errors import InputError
from probekit.machine.warned import warned
from probekit.networks import by_network, compared

__all__ = ["Estimate", "Findings", "Variable", "along"]

OPTION = (str, int, float)
MARK = "{findings}"
WIDTH = 110
# What a variable may hold: the kinds of numpy's types, and how an error says it.
HELD: Mapping[str, tuple[str, str]] = {
    "numbers": ("fiub", "real numbers"),
    "counts": ("iu", "whole numbers ≥ 0"),
    "flags": ("b", "True and False"),
    "names": ("OUTS", "names"),
}
# Attributes that are numbers between 0 and 1.
FRACTIONS = ("level", "fdr", "threshold", "rate", "share")
# Coordinates that are taken over from the data, by dim.
OF_DATA = {"image": ("image",), "sigma": ("sigma",), "channel": ("channel", "tap", "unit")}
F = TypeVar("F", bound=Callable[..., Any])
# First parameters of functions that analyse φ.
OF_PHI = ("data", "train")


class Estimate(NamedTuple):
    """A number, or an array of them, with the ends of its interval."""

    value: Any
    low: Any
    high: Any


class Variable(NamedTuple):
    """A variable of findings.

    Attributes
    ----------
    dims
        Its dims, in order.
    long_name, units
        As attributes; "1" is of no unit.
    interval
        What its interval is made of, e.g. "images resampled": the findings then have NAME_low and NAME_high.
    optional
        Whether findings may lack it.
    holds
        Numbers, counts (whole numbers of at least 0), flags (True and False) or names.
    """

    dims: tuple[str, ...]
    long_name: str
    units: str = "1"
    interval: str = ""
    optional: bool = False
    holds: Literal["numbers", "counts", "flags", "names"] = "numbers"


class Findings:
    """What an analysis returns.

    Parameters
    ----------
    analysis
        Name of the analysis, which its findings carry as an attribute.
    variables
        Each variable, once.
    coords
        What each coordinate of the findings' own says.
    source
        The function that returns them, as messages name it; by default the analysis, if it names a function, or its
        `analyse`.
    """

    def __init__(
        self,
        analysis: str,
        variables: Mapping[str, Variable],
        coords: Mapping[str, str] | None = None,
        *,
        source: str = "",
    ) -> None:
        self.analysis, self.variables, self.coords = analysis, dict(variables), dict(coords or {})
        self.source = source or (analysis if "." in analysis else f"{analysis}.analyse")

    def label(
        self,
        values: Mapping[str, Any],
        data: xr.Dataset,
        *,
        coords: Mapping[str, Any] | None = None,
        attrs: Mapping[str, Mapping[str, Any]] | None = None,
        **options: Any,
    ) -> xr.Dataset:
        """Label an analysis' results.

        Parameters
        ----------
        values
            Arrays by variable; an `Estimate` where the specification says interval.
        data
            What was analysed: coordinates along the dims that are used, and all attrs, are taken over, but for
            coordinates named like something else in the findings.
        coords
            Coordinates of further dims: values along the dim of the same name, or (dim, values) with a text from the
            specification, or whole xarray variables.
        attrs
            Further attributes of variables, also such as take the place of their long name and units.
        options
            How it was done, kept as attrs: numbers and strings, others as printed; None is left out.

        Returns
        -------
        Dataset

        Warns
        -----
        UserWarning
            If a coordinate of the data is left out.
        """
        unknown = [name for name in values if name not in self.variables]
        lacking = [name for name, v in self.variables.items() if name not in values and not v.optional]
        if unknown or lacking:
            raise ValueError(f"{self.analysis} declares no {unknown} and was given no {lacking}")
        made: dict[str, Any] = {}
        for name, given in values.items():
            for key, array in self._parts(name, given):
                made[key] = (self.variables[name].dims, np.asarray(array), self._texts(name, key, options, attrs or {}))
        dims = {d for variable in made.values() for d in variable[0]}
        shown = {
            key: value if isinstance(value, OPTION) and not isinstance(value, bool) else str(value)
            for key, value in ((key, plain(value)) for key, value in options.items())
            if value is not None
        }
        own = {name: self._coord(name, given) for name, given in (coords or {}).items()}
        along_used = {str(name): c.variable for name, c in data.coords.items() if c.dims and set(c.dims) <= dims}
        taken = {name for name, c in along_used.items() if name in made or _is_other(name, c, own, dims)}
        kept = {name: c for name, c in along_used.items() if name not in taken}
        _tell_left_out([name for name in along_used if name in taken], self.source)
        all_coords = {name: _indexed(xr.as_variable(c)) for name, c in {**kept, **own}.items()}
        return xr.Dataset(made, coords=all_coords, attrs={**data.attrs, "analysis": self.analysis, **shown})

    def distinct(self, data: xr.Dataset) -> xr.Dataset:
        """Data without coordinates that are named like variables of the findings, which cannot hold both.

        Warns
        -----
        UserWarning
            Naming them.
        """
        names = [str(name) for name in data.coords if any(name in self._keys(own) for own in self.variables)]
        _tell_left_out(names, self.source)
        return data.drop_vars(names)

    def check(
        self,
        findings: Any,
        *names: str,
        dims: tuple[str, ...] = (),
        attrs: tuple[str, ...] = (),
        along: Mapping[str, Iterable[str]] | None = None,
    ) -> None:
        """Refuse what the analysis did not return.

        Parameters
        ----------
        findings
            What was given.
        names
            Variables that are needed, with their intervals; by default all that findings always have.
        dims
            Dims that are needed; by default those of the variables needed.
        attrs
            Attributes that are needed, each a number or a text; `level` and other fractions of 1 are numbers.
        along
            Names that are needed along dims.

        Raises
        ------
        InputError
            Naming what is lacking, or is something else than the analysis returns.
        """
        source = f"{self.source} returns"
        if not isinstance(findings, xr.Dataset):
            raise InputError(f"the findings are a {type(findings).__name__}: give what {source}")
        needed = names or tuple(name for name, v in self.variables.items() if not v.optional)
        every = [key for name in needed for key in self._keys(name)]
        lacking = [key for key in every if key not in findings.variables]
        if lacking:
            raise InputError(f"the findings lack {', '.join(lacking)}: give what {source}, with all dims")
        wanted = dims or tuple(dict.fromkeys(d for n in needed if n in self.variables for d in self.variables[n].dims))
        squeezed = [dim for dim in wanted if dim not in findings.dims]
        if squeezed:
            raise InputError(
                f"the findings have no dim {', '.join(squeezed)}: give what {source} with all dims; select with a "
                f"list, e.g. .isel({squeezed[0]}=[0])"
            )
        empty = [dim for dim in wanted if not findings.sizes[dim]]
        if empty:
            raise InputError(f"the findings hold nothing along {', '.join(empty)}: give what {source}, of one at least")
        dropped = [name for name in attrs if name not in findings.attrs]
        if dropped:
            raise InputError(
                f"the findings lost their attributes {', '.join(dropped)}: give what {source}, or compute under "
                "xarray.set_options(keep_attrs=True)"
            )
        # All that is there, since figures draw also what findings may lack.
        for name, variable in self.variables.items():
            for key in self._keys(name):
                if key in findings.variables:
                    self._check_variable(findings[key], variable, source)
        odd = [name for name in attrs if not _is_attribute(name, findings.attrs[name])]
        if odd:
            raise InputError(f"attributes {', '.join(odd)} of the findings hold something else: give what {source}")
        labels.check_coordinates(findings, of="the findings")
        for dim in self.coords:
            if dim in findings.dims and dim in findings.coords and findings[dim].dims == (dim,):
                _check_own(dim, findings[dim].values, source)
        for dim, needed_names in (along or {}).items():
            known = labels.strings(findings[dim].values) if dim in findings.coords else []
            absent = [name for name in needed_names if name not in known]
            if absent:
                raise InputError(f"the findings have no {dim} {', '.join(absent)}: give what {source}, of all {dim}s")

    def taken(self, findings: Any, *names: str, **needed: Any) -> xr.Dataset:
        """Findings in memory, however they were opened, once `check` found them good.

        Arrays of Dask, as of a store that was opened lazily, lack methods that figures use, such as `item`.
        """
        self.check(findings, *names, **needed)
        return findings.compute()

    def rows(self) -> list[tuple[str, str, str, str, str]]:
        """The table of variables: name, dims, meaning, units, interval."""
        return [
            (name, ", ".join(v.dims) or "–", v.long_name, "" if v.units == "1" else v.units, v.interval)
            for name, v in self.variables.items()
        ]

    def described(self, function: F) -> F:
        """Put the table where the function's docstring says ``{findings}``.

        A function of φ, whose first parameter is `data` or `train`, then takes several networks too.
        """
        said = function.__doc__ or ""
        before, mark, after = said.partition(MARK)
        if not mark:
            raise ValueError(f"the docstring of {function.__name__} has no {MARK}")
        margin = before[before.rfind("\n") + 1 :]
        function.__doc__ = before + textwrap.indent(self._text(WIDTH - len(margin)), margin).lstrip() + after
        first = next(iter(inspect.signature(function).parameters), "")
        return _over_networks(function) if first in OF_PHI else function

    def _text(self, width: int) -> str:
        lines = []
        for name, dims, meaning, units, interval in self.rows():
            of = f" ({dims})" if dims != "–" else ""
            ends = f"; interval `{name}_low` to `{name}_high`: {interval}" if interval else ""
            line = f"`{name}`{of}: {meaning}" + (f", in {units}" if units else "") + ends
            lines.append(textwrap.fill(line, width, subsequent_indent="  ", break_long_words=False))
        return "\n".join(lines)

    def _check_variable(self, found: xr.DataArray, variable: Variable, source: str) -> None:
        """Refuse what has other dims than declared, lost their coordinates, or holds something else."""
        dims = tuple(map(str, found.dims))
        if set(dims) - set(variable.dims) or (len(dims) == len(variable.dims) and dims != variable.dims):
            raise InputError(
                f"{found.name} of the findings has dims {', '.join(dims)}: give what {source}, of dims "
                f"{', '.join(variable.dims) or 'none'} in this order"
            )
        needed = [c for dim in dims for c in OF_DATA.get(dim, ())]
        lost = [name for name in needed if name not in found.coords]
        if lost:
            raise InputError(f"the findings lost their coordinates {', '.join(lost)}: give what {source}")
        kinds, what = HELD[variable.holds]
        if found.dtype.kind not in kinds or (variable.holds == "counts" and bool((found < 0).any())):
            raise InputError(
                f"{found.name} of the findings holds something else than {what} (type {found.dtype}): give what "
                f"{source}"
            )

    def _keys(self, name: str) -> list[str]:
        with_ends = name in self.variables and self.variables[name].interval
        return [name, f"{name}_low", f"{name}_high"] if with_ends else [name]

    def _parts(self, name: str, given: Any) -> list[tuple[str, Any]]:
        keys = self._keys(name)
        if len(keys) > 1 and not (isinstance(given, tuple) and len(given) == len(keys)):
            raise ValueError(f"{self.analysis}: {name} has an interval, give an Estimate")
        return list(zip(keys, given if len(keys) > 1 else (given,), strict=True))

    def _texts(
        self, name: str, key: str, options: Mapping[str, Any], attrs: Mapping[str, Mapping[str, Any]]
    ) -> dict[str, Any]:
        variable = self.variables[name]
        said: dict[str, Any] = {"long_name": variable.long_name, "units": variable.units, **attrs.get(name, {})}
        if key == name:
            return said
        end = "lower" if key.endswith("_low") else "upper"
        percent = f"{100 * float(options['level']):g} % " if "level" in options else ""
        return {
            "long_name": f"{name}: {end} end of its {percent}interval, {variable.interval}",
            "units": said["units"],
        }

    def _coord(self, name: str, given: Any) -> Any:
        if isinstance(given, xr.Variable | xr.DataArray):
            return given
        dim, values, *rest = given if isinstance(given, tuple) else (name, given)
        if rest:
            return given
        return along(dim, values, self.coords[name])


def _indexed(coord: xr.Variable) -> xr.Variable:
    """A coordinate in a precision that there are indexes of."""
    return xr.Variable(coord.dims, coord.values.astype(float), coord.attrs) if coord.dtype == np.float16 else coord


def _is_other(name: str, coord: xr.Variable, own: Mapping[str, Any], dims: set[str]) -> bool:
    """Whether a coordinate of the data has the name of another of the findings, along other dims."""
    found = xr.as_variable(own[name]).dims if name in own else (name,) if name in dims else coord.dims
    return coord.dims != found


def _tell_left_out(names: list[str], source: str) -> None:
    if names:
        warned(
            f"coordinates {', '.join(names)} of the data are left out of what {source} returns, which has something "
            f"else of that name: rename them to keep them, e.g. data.rename({names[0]}='own_{names[0]}')",
            UserWarning,
        )


def _is_attribute(name: str, value: Any) -> bool:
    value = plain(value)
    if name in FRACTIONS:
        return isinstance(value, float) and 0 < value < 1
    return isinstance(value, OPTION) and not isinstance(value, bool)


def _check_own(dim: str, values: np.ndarray, source: str) -> None:
    # pandas has no index of half precision.
    index = pd.Index(values.astype(float) if values.dtype == np.float16 else values)
    # Numbers, such as those of samples, may come again where parts were joined; names tell rows apart.
    named_twice = index.dtype.kind in "OUT" and not index.is_unique
    if isinstance(index, pd.MultiIndex) or index.dtype.kind not in "fiubOUT" or index.hasnans or named_twice:
        raise InputError(f"{dim} of the findings names no different values: give what {source}")
    if index.dtype == object and not all(isinstance(one, str) for one in values):
        raise InputError(f"{dim} of the findings holds what is no name: give what {source}")


def along(dim: str, values: Any, long_name: str, **attrs: Any) -> tuple[str, np.ndarray, dict[str, Any]]:
    """A coordinate along one dim; words as objects, which files keep at any length."""
    array = np.asarray(values)
    if array.dtype.kind in "US":
        array = array.astype(object)
    return dim, array, {"long_name": long_name, **attrs}


def _over_networks(function: F) -> F:
    """The function, and of φ along a dim `network` what it finds of each network by itself, along that dim."""

    @wraps(function)
    def analysed(*args: Any, **options: Any) -> Any:
        several = [one for one in (*args, *options.values()) if _of_several(one)]
        if not several:
            return function(*map(_alone, args), **{key: _alone(one) for key, one in options.items()})
        parts = [by_network(one) for one in several]
        names = list(parts[0])
        if any(list(part) != names for part in parts):
            every = "; ".join(", ".join(part) for part in parts)
            raise InputError(f"what is given is of different networks ({every}): give all of the same, in one order")
        apart = {id(one): part for one, part in zip(several, parts, strict=True)}

        def of(value: Any, name: str) -> Any:
            return apart[id(value)][name] if _of_several(value) else _alone(value)

        found = [
            function(*(of(one, name) for one in args), **{key: of(one, name) for key, one in options.items()})
            for name in names
        ]
        return compared(found, names, of=f"{function.__module__.split('.')[-2]}.{function.__name__}")

    return analysed  # pyright: ignore[reportReturnType]


def _alone(value: Any) -> Any:
    """φ of one network that was selected of several, as that network's own; anything else as it is."""
    if not isinstance(value, xr.Dataset | xr.DataArray) or "network" not in value.coords:
        return value
    found: Any = by_network(value)  # pyright: ignore[reportArgumentType]
    return next(iter(found.values()))


def _of_several(value: Any) -> bool:
    return isinstance(value, xr.Dataset | xr.DataArray) and "network" in value.dims
