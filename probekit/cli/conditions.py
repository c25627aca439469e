"""Conditions as the command line names them: NAME=FILE."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from probekit.cli.checking import possible_path
from probekit.errors import InputError
from probekit.machine.reading import reading

__all__ = ["check_condition", "conditions_called"]

KINDS = (".npy", ".npz", ".nc", ".zarr")


def conditions_called(options: Sequence[str] | None) -> dict[str, Any] | None:
    """What NAME=FILE stand for: arrays mapped from disk, or labelled by image; None where there are none.

    Raises
    ------
    InputError
        If one is written otherwise, a name comes twice, or a file holds no such values.
    """
    found: dict[str, Any] = {}
    for option in options or ():
        name, file = _parts(option)
        if name in found:
            raise InputError(f"--condition {option}: {name} is given twice; give each once")
        found[name] = _values_of(name, file)
    return found or None


def check_condition(_name: str, option: str) -> None:
    """Refuse what is not NAME=FILE of a kind of file that is read."""
    _parts(option)


def _parts(option: str) -> tuple[str, Path]:
    name, equals, file = option.partition("=")
    if not (name and equals and file):
        raise InputError(f"--condition {option}: write NAME=FILE, e.g. given=fields.npy")
    if Path(file).suffix not in KINDS:
        raise InputError(f"--condition {option}: give a file that ends in {', '.join(KINDS[:-1])} or {KINDS[-1]}")
    possible_path("condition", file)
    return name, Path(file)


def _values_of(name: str, file: Path) -> Any:
    """The values of a condition in a file."""
    import numpy as np
    import xarray as xr

    known: list[str] = []
    told = f"--condition {name}={file}: it"
    with reading(told, f"give a file of values, one an image, that is what its ending says ({', '.join(KINDS)})"):
        if file.suffix == ".npy":
            values = np.load(file, mmap_mode="r")
            if not isinstance(values, np.ndarray):
                raise InputError(f"{told} holds several arrays: call it .npz, or give one array")
            return values
        if file.suffix == ".npz":
            # Opened here, since numpy leaves a file open that is damaged.
            with file.open("rb") as stream:
                archive = np.load(stream)
                if not isinstance(archive, np.lib.npyio.NpzFile):
                    raise InputError(f"{told} holds one array alone: call it .npy, or give ids and values")
                known = sorted(archive.files)
                if known == ["ids", "values"]:
                    ids, values = archive["ids"], archive["values"]
                    dims = ("image", *(f"dim {k}" for k in range(1, values.ndim)))
                    return xr.DataArray(values, dims=dims, coords={"image": ids})
        elif file.suffix == ".nc":
            with xr.open_dataset(file, engine="h5netcdf") as data:
                known = sorted(map(str, data.data_vars))
                if name in known or len(known) == 1:
                    return data[name if name in known else known[0]].load()
        else:
            data = xr.open_zarr(file, chunks=None, consolidated=False)
            known = sorted(map(str, data.data_vars))
            if name in known or len(known) == 1:
                return data[name if name in known else known[0]]
    wanted = "the arrays ids and values" if file.suffix == ".npz" else f"a variable called {name}, or one only"
    raise InputError(f"{told} holds {', '.join(known) or 'nothing'}; it must hold {wanted}")
