"""What rooms that have no specification yet are labelled, checked and run by."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from analyses.ground.keep import read, saved
from probekit.errors import InputError, ProbeError
from probekit.machine.files import prepared

if TYPE_CHECKING:
    from matplotlib.figure import Figure

OPTION = (str, int, float)


def variable(
    dims: tuple[str, ...] | str, values: Any, long_name: str, units: str = "1", **attrs: str
) -> tuple[Any, np.ndarray, dict[str, str]]:
    """A variable of findings, as `xarray.Dataset` takes it, with its long name and units."""
    return dims, np.asarray(values), {"long_name": long_name, "units": units, **attrs}


def findings(
    variables: Mapping[str, Any],
    data: xr.Dataset,
    *,
    analysis: str,
    coords: Mapping[str, Any] | None = None,
    **options: Any,
) -> xr.Dataset:
    """Label an analysis' results.

    Parameters
    ----------
    variables
        What `variable` gives, by name.
    data
        What was analysed: coordinates along the dims that `variables` use, and all attrs, are taken over.
    analysis
        Name of the analysis, kept in the attr of this name.
    coords
        Coordinates of further dims.
    options
        How it was done; kept as attrs (numbers and strings, others as printed; None is left out).

    Returns
    -------
    Dataset
    """
    dims = {d for value in variables.values() for d in ([value[0]] if isinstance(value[0], str) else value[0])}
    kept = {name: c.variable for name, c in data.coords.items() if c.dims and set(c.dims) <= dims}
    shown = {
        key: value if isinstance(value, OPTION) and not isinstance(value, bool) else str(value)
        for key, value in options.items()
        if value is not None
    }
    return xr.Dataset(variables, coords={**kept, **(coords or {})}, attrs={**data.attrs, "analysis": analysis, **shown})


def legacy_run(
    analyse: Callable[..., xr.Dataset],
    plot: Callable[[xr.Dataset], Figure],
    *,
    name: str,
    description: str,
    options: Callable[[argparse.ArgumentParser], None] = lambda _: None,
    arguments: list[str] | None = None,
) -> int:
    """The command line of an analysis: read φ, analyse it, write NAME.nc and NAME.png into a folder.

    Parameters
    ----------
    analyse
        From the Dataset, and options by keyword, to findings.
    plot
        From findings to a figure.
    name, description
        Of the analysis.
    options
        Adds options to the parser; each is passed to `analyse` under its name.
    arguments
        Instead of the process's own.

    Returns
    -------
    int
        Exit status: 0, or 1 after an error that the package raised, which is printed.
    """
    parser = argparse.ArgumentParser(prog=f"python -m analyses.{name}", description=description)
    parser.add_argument("data", type=Path, help="φ as a Zarr store or a netCDF file, written by `probekit phi`")
    parser.add_argument("-o", "--out", type=Path, default=Path(), help="folder for the results (default: here)")
    options(parser)
    given = vars(parser.parse_args(arguments))
    source, out = given.pop("data"), given.pop("out")

    def written() -> list[Path]:
        data = read(source)
        prepared(out)
        result = analyse(data, **given)
        return saved(out, (name, result), (name, plot(result)))

    return command(parser, written)


def command(parser: argparse.ArgumentParser, make: Callable[[], Iterable[Path]]) -> int:
    """Run what a command does, and print the paths that it wrote, or in one line why it could not.

    Returns
    -------
    int
        Exit status: 0, or 1 after an error that the package raised.
    """
    try:
        written = make()
    except ProbeError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1
    print("\n".join(map(str, written)))
    return 0


def check_findings(
    findings: Any,
    analysis: str,
    names: Collection[str],
    *,
    dims: Collection[str] = (),
    attrs: Collection[str] = (),
    verb: str = "analyse",
) -> None:
    """Refuse to draw what an analysis did not return.

    Parameters
    ----------
    findings
        What was given.
    analysis, verb
        Module and function that should have returned it.
    names, dims, attrs
        Variables, dims and attributes that are needed.

    Raises
    ------
    InputError
        Naming what is lacking.
    """
    source = f"{analysis}.{verb} returns"
    if not isinstance(findings, xr.Dataset):
        raise InputError(f"the findings are a {type(findings).__name__}: give what {source}")
    lacking = [name for name in names if name not in findings.variables]
    if lacking:
        raise InputError(f"the findings lack {', '.join(lacking)}: give what {source}, with all dims")
    squeezed = [dim for dim in dims if dim not in findings.dims]
    if squeezed:
        raise InputError(
            f"the findings have no dim {', '.join(squeezed)}: give what {source} with all dims; select with a list, "
            f"e.g. .isel({squeezed[0]}=[0])"
        )
    lost = [name for name in attrs if name not in findings.attrs]
    if lost:
        raise InputError(
            f"the findings lost their attributes {', '.join(lost)}: give what {source}, or compute under "
            "xarray.set_options(keep_attrs=True)"
        )
