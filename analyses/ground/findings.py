"""What findings are made of: labels and provenance taken over from the data, files, and the command line."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

import probekit
from probekit.errors import InputError, ProbeError
from probekit.machine.files import prepared, writing_to

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from probekit.images import ImageSet

__all__ = ["command", "findings", "images_called", "keep", "run", "variable"]

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


def run(
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
        return keep(out, (name, result), (name, plot(result)))

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


def keep(out: Path, *results: tuple[str, xr.Dataset | Figure]) -> list[Path]:
    """Write Datasets as NAME.nc and figures as NAME.png into a folder, each whole or not at all.

    Returns
    -------
    list of Path
        What was written, in order.

    Raises
    ------
    CapacityError
        If the folder cannot be written to.
    """
    written = []
    for name, result in results:
        path = out / (f"{name}.nc" if isinstance(result, xr.Dataset) else f"{name}.png")
        unfinished = path.with_name(path.name + ".partial")
        with writing_to(out):
            try:
                if isinstance(result, xr.Dataset):
                    result.to_netcdf(unfinished, engine="h5netcdf")
                else:
                    result.savefig(unfinished, dpi=150, format="png")
                unfinished.replace(path)
            finally:
                unfinished.unlink(missing_ok=True)
        written.append(path)
    return written


def images_called(names: Sequence[str], size: int) -> ImageSet:
    """Images of folders and zips, or built-in photographs: all of "samples", or those of the ids that follow it.

    Raises
    ------
    InputError
        If there are none of such a name.
    """
    if names[0] == "samples":
        builtin = probekit.images.load("samples", size=size)
        missing = [n for n in names[1:] if n not in builtin.ids]
        if missing:
            raise InputError(f"no built-in images {missing}: ids are {', '.join(builtin.ids[:3])}, …")
        return builtin.subset([builtin.ids.index(n) for n in names[1:]]) if names[1:] else builtin
    sets = [probekit.images.load(name, size=size, crop=size) for name in names]
    return sets[0] if len(sets) == 1 else probekit.images.concatenate(sets)


def read(path: Path) -> xr.Dataset:
    """φ from a Zarr store or a netCDF file, in memory."""
    if not path.exists():
        raise InputError(f"{path} does not exist: give a store or netCDF file that `probekit phi` has written")
    if path.is_dir():
        return probekit.open(path).load()
    try:
        return xr.load_dataset(path, engine="h5netcdf")
    except OSError as error:
        raise InputError(f"{path} is no netCDF file ({error}): give what `probekit phi` has written") from error
