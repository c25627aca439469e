"""Representations written to disk: Zarr v3 stores that are planned once, written unit by unit, and resumed.

zarr is imported where it is used: it would double the package's import time, and most calls need no store.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from probekit.errors import CapacityError, InputError
from probekit.machine import storage
from probekit.machine.files import beside, sweep
from probekit.phi import layout

if TYPE_CHECKING:
    import xarray as xr
    import zarr

__all__ = [
    "Store",
    "create_or_resume",
    "digest",
    "full_plan",
    "is_begun",
    "locked",
    "planned",
    "refuse_another_plan",
    "unit_size",
]

CHUNK_BYTES = 2**22
MAX_UNIT = 1024
# Noisy images: some seconds of a small network, some minutes of a large one, on one core.
MAX_NOISY = 4096
log = logging.getLogger(__name__)


class Store:
    """A store being written; `create_or_resume` makes one.

    The images are divided into units of equal size. A unit's chunks are written first and its done
    mark last, so that a process killed at any moment loses the unit in flight and nothing else.

    Attributes
    ----------
    path : Path
        Of its folder.
    unit : int
        Images per unit.
    begun : bool
        Whether it was there before this call.
    """

    def __init__(self, path: Path, group: zarr.Group, unit: int, *, begun: bool) -> None:
        self.path = path
        self.unit = unit
        self.begun = begun
        self._group = group
        self._done = layout.array(group, layout.DONE)
        self._arrays = layout.measured(group)
        self._count = layout.array(group, "image").shape[0]
        self._identity = _identity(path)

    @property
    def done(self) -> list[range]:
        """Positions of the images of each unit that is done."""
        return [self._positions(u) for u in layout.done_units(self.path, self._group)]

    @property
    def pending(self) -> list[range]:
        """Positions of the images of each unit that is not done."""
        done = set(layout.done_units(self.path, self._group))
        return [self._positions(u) for u in range(self._done.shape[0]) if u not in done]

    def not_whole(self, units: Sequence[range]) -> list[range]:
        """Those of the units that are not done, or not as they were marked; of these the marks are taken away."""
        numbers = {positions.start // self.unit: positions for positions in units}
        done = set(layout.done_units(self.path, self._group))
        damaged = layout.faults(self.path, self._group, [u for u in numbers if u in done], read=True)
        self.forget(list(damaged))
        return [positions for u, positions in numbers.items() if u not in done or u in damaged]

    def read(self, name: str) -> zarr.Array:
        """An array of the store."""
        return layout.array(self._group, name)

    def write(self, positions: range, arrays: Mapping[str, np.ndarray]) -> None:
        """Keep the results of one unit, then mark it done.

        Raises
        ------
        CapacityError
            If they could not be written; the store can be resumed, unless it was removed meanwhile.
        """
        with _full_disk_explained(self.path):
            self._refuse_another()
            for name, values in arrays.items():
                self._arrays[name][positions.start : positions.stop] = np.asarray(values, np.float32)
            self._refuse_another()
            number = positions.start // self.unit
            self._done[number] = layout.mark_of(self.path, self._arrays, number)

    def _refuse_another(self) -> None:
        """Refuse to write into a folder that was removed, where a piece of one would be made, or is another now."""
        if _identity(self.path) == self._identity:
            return
        raise CapacityError(
            f"{self.path} was removed or replaced while it was being written: leave a store alone until it is "
            "finished, and measure again"
        )

    def forget(self, units: Sequence[int]) -> None:
        """Take away the done marks of units whose values are damaged."""
        with _full_disk_explained(self.path):
            for unit in units:
                self._done[unit] = 0

    def _positions(self, unit: int) -> range:
        return range(unit * self.unit, min((unit + 1) * self.unit, self._count))


def planned(path: str | Path, field: str) -> Any:
    """A field of the plan of the store at `path`; None where there is no such store or field."""
    path = storage.place("store", path, layout.FOLDER)
    return layout.plan_of(path).get(field) if is_begun(path) else None


def unit_size(count: int, together: int, bytes_per_image: int, versions: int = 1) -> int:
    """Images per unit: whole multiples of what is computed together, a few MiB of results, at most 1024 or all.

    Of so many noisy versions of each image, a few thousand: what a process that is killed loses, and the least that
    one of several workers does.
    """
    wanted = min(count, MAX_UNIT, max(1, CHUNK_BYTES // bytes_per_image), max(1, MAX_NOISY // versions))
    return max(1, round(wanted / together)) * together


@contextmanager
def create_or_resume(
    path: str | Path, *, plan: Mapping[str, Any], template: Callable[[], xr.Dataset], ids: Sequence[str], unit: int
) -> Iterator[Store]:
    """The store at `path`, made if there is none, locked while the block runs if anything is left to do.

    What is done is read through once: units whose chunks are missing, or differ from their checksums,
    are no longer done. Files of the store that the plan decides, such as coordinates, are made anew
    where they are damaged.

    Parameters
    ----------
    path
        A folder, by custom ending in ``.zarr``.
    plan
        Whatever decides the numbers; a store of another plan is refused.
    template
        Makes the Dataset that the store will hold, its variables along image not yet measured; called only for a new
        store, or one that is damaged.
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
    path = storage.place("store", path, layout.FOLDER)
    plan = full_plan(plan, ids, unit)
    begun = is_begun(path)
    if not begun:
        made = template()
        with _full_disk_explained(path):
            _create(path, made, plan, unit)
    refuse_another_plan(path, plan)
    if layout.unsealed(path):
        with locked(path):
            _mend(path, template(), plan, unit)
    group = layout.opened(path)
    found = Store(path, group, unit, begun=begun)
    damaged = layout.faults(path, group, layout.done_units(path, group), read=True)
    if not damaged and not found.pending:
        yield found
        return
    with locked(path):
        # Under the lock all is as the last writer left it.
        writer = Store(path, layout.opened(path, writable=True), unit, begun=begun)
        if damaged:
            shown = "; ".join(f"images {layout.span(group, u)}: {why}" for u, why in list(damaged.items())[:3])
            warnings.warn(
                f"{path} has units that were marked as done and are not whole ({len(damaged)} of them; {shown}): they "
                "are measured again",
                stacklevel=6,
            )
            writer.forget(list(damaged))
        if not storage.is_remote(path):
            # What a killed process was writing; a finished store holds none.
            for leftover in path.rglob("*.partial"):
                leftover.unlink(missing_ok=True)
        log.info("%s: %d units are done, %d to do", path, len(writer.done), len(writer.pending))
        yield writer


def full_plan(plan: Mapping[str, Any], ids: Sequence[str], unit: int) -> dict[str, Any]:
    """A plan as a store keeps it."""
    return json.loads(json.dumps(dict(plan) | {"format": layout.FORMAT, "unit": unit, "ids_sha256": digest(ids)}))


def digest(texts: Sequence[str]) -> str:
    """SHA-256 of some texts in their order."""
    return hashlib.sha256("\0".join(texts).encode(errors="surrogatepass")).hexdigest()


def is_begun(path: Path) -> bool:
    """Whether something is there that is not to be made anew: of a store that was cut short as it was made, no plan is.

    Raises
    ------
    InputError
        If one may not look.
    """
    if not storage.is_remote(path) or layout.is_store(path):
        return path.exists()
    return path.exists() and not (path / layout.LOCK).exists()


def _create(path: Path, template: xr.Dataset, plan: Mapping[str, Any], unit: int) -> None:
    """Make the store whole in a folder beside, then move it into place; in an object store, its plan last."""
    if storage.is_remote(path):
        with locked(path):
            if not layout.is_store(path):
                _upload(path, template, plan, unit)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    sweep(path)
    making = beside(path)
    making.mkdir()
    try:
        _write(making, template, plan, unit)
        try:
            making.rename(path)
        except OSError:
            # Another process was quicker; its store is looked at like any other.
            if not layout.is_store(path):
                raise
    finally:
        _remove(making)


def _upload(path: Path, template: xr.Dataset, plan: Mapping[str, Any], unit: int) -> None:
    """Make the files that stay as they are here, and put them where the store is."""
    with TemporaryDirectory(prefix="probekit-") as folder:
        making = Path(folder) / "store"
        making.mkdir()
        _write(making, template, plan, unit)
        # Until the plan is there, it is no store.
        for name in sorted(storage.files_below(making) - {layout.LOCK}, key=lambda name: name == layout.METADATA):
            storage.put(path / name, (making / name).read_bytes())


def _write(making: Path, template: xr.Dataset, plan: Mapping[str, Any], unit: int) -> None:
    import zarr
    from zarr.codecs import Crc32cCodec, ZstdCodec
    from zarr.errors import ZarrUserWarning

    checked = (ZstdCodec(level=0), Crc32cCodec())
    staying = template.drop_vars([v for v in template if "image" in template[v].dims]).drop_encoding()
    staying.to_zarr(
        making,
        mode="a",
        zarr_format=3,
        consolidated=False,
        encoding={name: {"compressors": checked} for name in staying.variables},
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
            compressors=checked,
        )
    progress = group.create_group(layout.PROGRESS, attributes={"plan": dict(plan)})
    units = -(-template.sizes["image"] // unit)
    progress.create_array("done", shape=(units,), chunks=(1,), dtype="uint64", fill_value=0, compressors=None)
    with warnings.catch_warnings():
        # Plain xarray looks for consolidated metadata first, and complains where there is none.
        warnings.filterwarnings("ignore", "Consolidated metadata is currently not part", ZarrUserWarning)
        zarr.consolidate_metadata(making)
    (making / layout.LOCK).touch()
    layout.seal(making)


def _mend(path: Path, template: xr.Dataset, plan: Mapping[str, Any], unit: int) -> None:
    """Make the files of a store that stay as they are once more, of the same plan; measured units are left alone."""
    damaged = layout.unsealed(path)
    told = f"{', '.join(damaged[:3])} of {path} were damaged: they are made again"
    if storage.is_remote(path):
        with _full_disk_explained(path):
            _upload(path, template, plan, unit)
        warnings.warn(told, stacklevel=7)
        return
    making = beside(path)
    with _full_disk_explained(path):
        making.mkdir()
        try:
            _write(making, template, plan, unit)
            for file in [p for p in making.rglob("*") if p.is_file() and p.name != layout.LOCK]:
                target = path / file.relative_to(making)
                target.parent.mkdir(parents=True, exist_ok=True)
                file.replace(target)
        finally:
            _remove(making)
    warnings.warn(told, stacklevel=7)


def _remove(folder: Path) -> None:
    """Remove a folder to which zarr's own thread may be writing still, when a write beside it has failed."""
    for pause in (0.0, 0.05, 0.2, 0.5):
        time.sleep(pause)
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists() and (pause or sys.exception() is None):
            return


def refuse_another_plan(path: Path, plan: Mapping[str, Any], *, mend: str = "") -> None:
    """Refuse to go on with a store of another plan, whose differences are named; `mend` is a further hint.

    Raises
    ------
    InputError
        If it is of another plan, or of a format that is no longer written.
    """
    # One that is the same to the letter needs no sum.
    there = layout.plan_of(path, sealed=False)
    if there["format"] != plan["format"]:
        raise InputError(
            f"{path} is of format {there['format']}, which probekit.open reads and this version no longer writes: give "
            "another path"
        )
    differing = [text for key in sorted({*there, *plan}) for text in _differences(key, there.get(key), plan.get(key))]
    if differing:
        more = f"; and {len(differing) - MAX_SHOWN} more" if len(differing) > MAX_SHOWN else ""
        hint = HINTS.get(differing[0].partition(" ")[0], "") + (f". {mend}" if mend else "")
        raise InputError(
            f"{path} was begun with another plan: {'; '.join(differing[:MAX_SHOWN])}{more}. Give the same arguments to "
            f"resume it, or another path{hint}"
        )


MAX_SHOWN = 8
HINTS = {
    "labels_sha256": "; other labels need no other numbers: open the store and .assign_coords(label=('image', …))",
    "images_sha256": "; the images under these ids are others than those that were measured",
}


def _differences(key: str, there: Any, now: Any) -> list[str]:
    """What differs between two plans in one field, of mappings entry by entry."""
    if there == now:
        return []
    if isinstance(there, Mapping) and isinstance(now, Mapping):
        return [
            f"{key} {name or '(the whole)'!s} ({there.get(name)!r} there, {now.get(name)!r} now)"
            for name in dict.fromkeys((*there, *now))
            if there.get(name) != now.get(name)
        ]
    return [f"{key} ({there!r} there, {now!r} now)"]


def _identity(path: Path) -> tuple[Any, ...] | None:
    """Which folder is at the path: another that was put in its place is another; of an object store, which plan."""
    if storage.is_remote(path):
        return (layout.plan_sum(path),)
    try:
        found = (path / layout.LOCK).stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the store's lock, which the system releases when this process ends, however it ends.

    In an object store it is a file that nobody else can make, and that whoever holds it writes anew all the time.
    """
    if storage.is_remote(path):
        with _full_disk_explained(path), storage.held(path / layout.LOCK):
            yield
        return
    from filelock import FileLock, Timeout

    if not os.access(path, os.W_OK, effective_ids=os.access in os.supports_effective_ids):
        raise CapacityError(
            f"{path} is not finished and cannot be written: give its folder and files permission to be written, or "
            "another path"
        )
    try:
        # A copy may have come without it.
        (path / layout.LOCK).touch()
        lock = FileLock(path / layout.LOCK, timeout=0, mode=(path / layout.LOCK).stat().st_mode & 0o777 | 0o600)
        lock.acquire()
    except Timeout as error:
        raise CapacityError(f"{path} is being written by another process: wait for it, or give another path") from error
    except PermissionError as error:
        raise CapacityError(
            f"{path} cannot be written ({error}): give its folder and files permission to be written, or another path"
        ) from error
    except (OSError, NotImplementedError) as error:
        raise CapacityError(
            f"{path} could not be locked ({error}): give a path on a file system that can lock files"
        ) from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _full_disk_explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CapacityError(
            f"{path} could not be written ({error}): what is done is kept; make room and call again to go on"
        ) from error
