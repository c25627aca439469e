"""Finished images of a long reconstruction, one netCDF file each, in a folder that says what it was begun with."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import xarray as xr

from probekit.errors import InputError
from probekit.machine.files import writing_to

__all__ = ["Pieces"]

PLAN = "plan.json"


class Pieces:
    """A folder of pieces; refused if it was begun with another plan.

    Raises
    ------
    InputError
        If the folder holds something else, or was begun with other arguments, which are named; if a plan or piece
        cannot be read.
    CapacityError
        If the folder cannot be written to.
    """

    def __init__(self, folder: str | Path, plan: Mapping[str, Any], ids: Sequence[str]) -> None:
        if not isinstance(folder, str | PathLike):
            raise InputError(f"store={folder!r}: give the path of a folder")
        self._folder = Path(folder)
        wanted = {key: str(value) for key, value in plan.items()} | {"images": json.dumps(list(ids))}
        path = self._folder / PLAN
        if self._folder.exists() and not self._folder.is_dir():
            raise InputError(f"{folder} is no folder: give a folder for the samples, or a new name")
        if path.exists():
            begun = _plan(path)
            differ = sorted(k for k in {*begun, *wanted} if begun.get(k) != wanted.get(k))
            if differ:
                shown = "; ".join(f"{k}: {_short(begun.get(k))}, now {_short(wanted.get(k))}" for k in differ)
                raise InputError(
                    f"{folder} was begun with another plan ({shown}): give another folder, or the same plan"
                )
            return
        if self._folder.exists() and any(p.name != _part(path).name for p in self._folder.iterdir()):
            raise InputError(f"{folder} is not empty and holds no {PLAN}: give a new folder for the samples")
        with writing_to(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
        _whole(path, lambda part: part.write_text(json.dumps(wanted, indent=1, ensure_ascii=False), encoding="utf-8"))

    def done(self, i: int) -> bool:
        """Whether image i is finished."""
        return self._path(i).exists()

    def keep(self, i: int, piece: xr.Dataset) -> None:
        """Keep a finished image, whole or not at all."""
        _whole(self._path(i), lambda part: piece.to_netcdf(part, engine="h5netcdf"))

    def read(self, i: int) -> xr.Dataset:
        """A finished image."""
        try:
            return xr.load_dataset(self._path(i), engine="h5netcdf")
        except (OSError, ValueError) as error:
            raise InputError(
                f"{self._path(i)} cannot be read ({error}): delete it, and its image is made again"
            ) from error

    def _path(self, i: int) -> Path:
        return self._folder / f"{i:06d}.nc"


def _whole(path: Path, write: Any) -> None:
    part = _part(path)
    with writing_to(path.parent):
        write(part)
        part.replace(path)


def _part(path: Path) -> Path:
    return path.with_suffix(".part")


def _plan(path: Path) -> dict[str, str]:
    try:
        begun = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error}): give another folder for the samples") from error
    if not isinstance(begun, dict):
        raise InputError(f"{path} is no plan of samples: give another folder for them")
    return begun


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:28]}…{text[-28:]}"
