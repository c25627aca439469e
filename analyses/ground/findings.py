"""Findings by specification: what a room returns is declared once, and labels, checks and tables come of it."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

import numpy as np
import xarray as xr

from probekit.checks import plain
from probekit.errors import InputError

__all__ = ["Estimate", "Findings", "Variable", "along"]

OPTION = (str, int, float)
MARK = "{findings}"
WIDTH = 110
F = TypeVar("F", bound=Callable[..., Any])


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
    """

    dims: tuple[str, ...]
    long_name: str
    units: str = "1"
    interval: str = ""
    optional: bool = False


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
            What was analysed: coordinates along the dims that are used, and all attrs, are taken over.
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
        kept = {name: c.variable for name, c in data.coords.items() if c.dims and set(c.dims) <= dims}
        shown = {
            key: value if isinstance(value, OPTION) and not isinstance(value, bool) else str(value)
            for key, value in ((key, plain(value)) for key, value in options.items())
            if value is not None
        }
        own = {name: self._coord(name, given) for name, given in (coords or {}).items()}
        return xr.Dataset(made, coords={**kept, **own}, attrs={**data.attrs, "analysis": self.analysis, **shown})

    def check(self, findings: Any, *names: str, dims: tuple[str, ...] = (), attrs: tuple[str, ...] = ()) -> None:
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
            Attributes that are needed.

        Raises
        ------
        InputError
            Naming what is lacking.
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
        dropped = [name for name in attrs if name not in findings.attrs]
        if dropped:
            raise InputError(
                f"the findings lost their attributes {', '.join(dropped)}: give what {source}, or compute under "
                "xarray.set_options(keep_attrs=True)"
            )

    def rows(self) -> list[tuple[str, str, str, str, str]]:
        """The table of variables: name, dims, meaning, units, interval."""
        return [
            (name, ", ".join(v.dims) or "–", v.long_name, "" if v.units == "1" else v.units, v.interval)
            for name, v in self.variables.items()
        ]

    def described(self, function: F) -> F:
        """Put the table where the function's docstring says ``{findings}``."""
        said = function.__doc__ or ""
        before, mark, after = said.partition(MARK)
        if not mark:
            raise ValueError(f"the docstring of {function.__name__} has no {MARK}")
        margin = before[before.rfind("\n") + 1 :]
        function.__doc__ = before + textwrap.indent(self._text(WIDTH - len(margin)), margin).lstrip() + after
        return function

    def _text(self, width: int) -> str:
        lines = []
        for name, dims, meaning, units, interval in self.rows():
            of = f" ({dims})" if dims != "–" else ""
            ends = f"; interval `{name}_low` to `{name}_high`: {interval}" if interval else ""
            line = f"`{name}`{of}: {meaning}" + (f", in {units}" if units else "") + ends
            lines.append(textwrap.fill(line, width, subsequent_indent="  ", break_long_words=False))
        return "\n".join(lines)

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


def along(dim: str, values: Any, long_name: str, **attrs: Any) -> tuple[str, np.ndarray, dict[str, Any]]:
    """A coordinate along one dim; words as objects, which files keep at any length."""
    array = np.asarray(values)
    if array.dtype.kind in "US":
        array = array.astype(object)
    return dim, array, {"long_name": long_name, **attrs}
