"""Representations on disk: Zarr v3 stores that are planned once, written unit by unit, and resumed.

zarr is imported where it is used: it would double the package's import time, and most calls need no store.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from probekit.checks import given
from probekit.errors import CapacityError, InputError

if TYPE_CHECKING:
    import zarr

__all__ = ["Store", "open"]

PROGRESS, LOCK, FORMAT = "progress", "lock", 1
CHUNK_BYTES = 2**22
MAX_UNIT = 1024


class Store:
    """A store being written; `create_or_resume` makes one.

    The images are divided into units of equal size. A unit's chunks are written first and its done
    mark last, so that a process killed at any moment loses the unit in flight and nothing else.
    """

    def __init__(self, path: Path, group: zarr.Group, unit: int) -> None:
        self.path = path
        self.unit = unit
        self._group = group
        self._done = _array(group, f"{PROGRESS}/done")

    @property
    def pending(self) -> list[range]:
        """Positions of the images of each unit that is not done."""
        count = _array(self._group, "image").shape[0]
        done = np.asarray(self._done[:], bool)
        return [range(u * self.unit, min((u + 1) * self.unit, count)) for u in np.flatnonzero(~done)]

    def write(self, positions: range, arrays: Mapping[str, np.ndarray]) -> None:
        """Keep the results of one unit, then mark it done.

        Raises
        ------
        CapacityError
            If they could not be written; the store can be resumed.
        """
        with _full_disk_explained(self.path):
            for name, values in arrays.items():
                _array(self._group, name)[positions.start : positions.stop] = np.asarray(values, np.float32)
            self._done[positions.start // self.unit] = 1


def planned(path: str | Path, field: str) -> Any:
    """A field of the plan of the store at `path`; None where there is no such store or field."""
    path = _path("store", path)
    if not path.exists():
        return None
    plan: Any = _opened(path)[PROGRESS].attrs["plan"]
    return plan.get(field)


def unit_size(count: int, together: int, bytes_per_image: int) -> int:
    """Images per unit: whole multiples of what is computed together, a few MiB of results, at most 1024 or all."""
    wanted = min(count, MAX_UNIT, max(1, CHUNK_BYTES // bytes_per_image))
    return max(1, round(wanted / together)) * together


@contextmanager
def create_or_resume(
    path: str | Path, *, plan: Mapping[str, Any], template: Callable[[], xr.Dataset], ids: Sequence[str], unit: int
) -> Iterator[Store]:
    """The store at `path`, made if there is none, locked while the block runs.

    Parameters
    ----------
    path
        A folder, by custom ending in ``.zarr``.
    plan
        Whatever decides the numbers; a store of another plan is refused.
    template
        Makes the Dataset that the store will hold, its variables along image not yet measured; called only for a new
        store.
    ids
        Of the images.
    unit
        Images per unit.

    Raises
    ------
    InputError
        If `path` holds something else, or a store of another plan (the differing fields are named).
    CapacityError
        If the store cannot be written, or another process is writing it.
    """
    path = _path("store", path)
    plan = json.loads(json.dumps(dict(plan) | {"format": FORMAT, "unit": unit, "ids_sha256": _digest(ids)}))
    if not path.exists():
        made = template()
        with _full_disk_explained(path):
            _create(path, made, plan, unit)
    with locked(path):
        group = _opened(path)
        _refuse_another_plan(path, group, plan)
        # What a killed process was writing; a finished store holds none.
        for leftover in path.rglob("*.partial"):
            leftover.unlink()
        yield Store(path, group, unit)


def open(path: str | Path) -> xr.Dataset:
    """The Dataset of a store, read lazily: values come from disk when they are used.

    Parameters
    ----------
    path
        What was given as ``store=``.

    Returns
    -------
    Dataset
        As a tap returns it. Units that are not done yet are NaN, with a warning that says how many;
        call the tap again with the same arguments to finish them.

    Raises
    ------
    InputError
        If there is no such store.
    """
    path = _path("path", path)
    done = np.asarray(_array(_opened(path), f"{PROGRESS}/done")[:], bool)
    if not done.all():
        warnings.warn(
            f"{path} is unfinished: {int(done.sum())} of {len(done)} units are done, the others read as NaN; "
            "call the tap again with the same arguments to finish it",
            stacklevel=2,
        )
    data = xr.open_zarr(path, chunks=None)
    strings = {name: data[name].astype(object) for name in ("image", "label", "tap") if name in data.coords}
    for name, values in strings.items():
        values.attrs = data[name].attrs
    return data.assign_coords(strings)


def _path(option: str, value: Any) -> Path:
    if not isinstance(value, str | os.PathLike):
        raise InputError(f"{given(option, value)}: give the path of a folder, by custom ending in .zarr")
    return Path(value)


def _create(path: Path, template: xr.Dataset, plan: Mapping[str, Any], unit: int) -> None:
    """Make the store whole in a folder beside, then move it into place."""
    import zarr
    from zarr.errors import ZarrUserWarning

    path.parent.mkdir(parents=True, exist_ok=True)
    making = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".making", dir=path.parent))
    try:
        template.drop_vars([v for v in template if "image" in template[v].dims]).to_zarr(
            making, mode="a", zarr_format=3, consolidated=False
        )
        group = zarr.open_group(making, mode="r+")
        for name, variable in template.data_vars.items():
            if "image" not in variable.dims:
                continue
            group.create_array(
                str(name),
                shape=variable.shape,
                chunks=(unit, *(max(1, n) for n in variable.shape[1:])),
                dtype="float32",
                fill_value=float("nan"),
                dimension_names=[str(d) for d in variable.dims],
                attributes=dict(variable.attrs),
            )
        progress = group.create_group(PROGRESS, attributes={"plan": dict(plan)})
        units = -(-template.sizes["image"] // unit)
        progress.create_array("done", shape=(units,), chunks=(1,), dtype="uint8", fill_value=0, compressors=None)
        with warnings.catch_warnings():
            # Plain xarray looks for consolidated metadata first, and complains where there is none.
            warnings.filterwarnings("ignore", "Consolidated metadata is currently not part", ZarrUserWarning)
            zarr.consolidate_metadata(making)
        (making / LOCK).touch()
        try:
            making.rename(path)
        except OSError:
            # Another process was quicker; its store is looked at like any other.
            if not (path / LOCK).exists():
                raise
    finally:
        _remove(making)


def _remove(folder: Path) -> None:
    """Remove a folder to which zarr's own thread may be writing still, when a write beside it has failed."""
    for pause in (0.0, 0.05, 0.2, 0.5):
        time.sleep(pause)
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists() and (pause or sys.exception() is None):
            return


def _opened(path: Path) -> zarr.Group:
    import zarr

    try:
        group = zarr.open_group(path, mode="r+" if os.access(path, os.W_OK) else "r", use_consolidated=False)
        if "plan" in group[PROGRESS].attrs:
            return group
    except (OSError, KeyError, ValueError) as error:
        raise InputError(f"{path} is not a store that this package wrote ({error}): give another path") from error
    raise InputError(f"{path} is not a store that this package wrote: give another path")


def _refuse_another_plan(path: Path, group: zarr.Group, plan: Mapping[str, Any]) -> None:
    there: Any = group[PROGRESS].attrs["plan"]
    differing = [
        f"{key} ({there.get(key)!r} there, {plan.get(key)!r} now)"
        for key in sorted({*there, *plan})
        if there.get(key) != plan.get(key)
    ]
    if differing:
        raise InputError(
            f"{path} was begun with another plan: {'; '.join(differing)}. Give the same arguments to resume it, "
            "or another path"
        )


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the store's lock, which the system releases when this process ends, however it ends."""
    import fcntl  # not on Windows, where stores cannot be written

    try:
        handle = os.open(path / LOCK, os.O_RDWR)
    except OSError as error:
        raise InputError(f"{path} is not a store that this package wrote ({error}): give another path") from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise CapacityError(
                f"{path} is being written by another process: wait for it, or give another path"
            ) from error
        yield
    finally:
        os.close(handle)


@contextmanager
def _full_disk_explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CapacityError(
            f"{path} could not be written ({error}): what is done is kept; make room and call again to go on"
        ) from error


def _array(group: zarr.Group, name: str) -> zarr.Array:
    found: Any = group[name]
    return found


def _digest(ids: Sequence[str]) -> str:
    return hashlib.sha256("\0".join(ids).encode(errors="surrogatepass")).hexdigest()
