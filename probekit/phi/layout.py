"""What a store is on disk: a Zarr v3 group, its plan, marks of what is done, a lock, and sums of all that stays."""

from __future__ import annotations

import hashlib
import json
import stat
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from probekit.errors import InputError
from probekit.labels import VARIABLES
from probekit.machine.storage import at_once, files_below, fsspec_store, is_remote

if TYPE_CHECKING:
    import zarr

__all__ = [
    "DONE",
    "FOLDER",
    "FORMAT",
    "LOCK",
    "PROGRESS",
    "array",
    "chunk",
    "described",
    "done_units",
    "faults",
    "is_store",
    "mark_of",
    "measured",
    "opened",
    "plan_of",
    "plan_sum",
    "seal",
    "span",
    "unsealed",
]

FOLDER = "the path of a folder, by custom ending in .zarr, or a place that fsspec knows, such as s3://bucket/phi.zarr"
PROGRESS, LOCK, SUMS = "progress", "lock", "sha256sums.txt"
DONE = f"{PROGRESS}/done"
METADATA = f"{PROGRESS}/zarr.json"
UNIT_ARRAYS = tuple(name for name, (dims, _) in VARIABLES.items() if dims[0] == "image")
# 2: checksums of chunks, sums of all other files, and a plan that tells more apart.
FORMAT = 2
# JSON that is nested deeper than anything written here.
UNREADABLE = (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError)


def is_store(path: Path) -> bool:
    """Whether there is something that calls itself a store of representations.

    Raises
    ------
    InputError
        If one may not look.
    """
    try:
        return (path / METADATA).is_file() if is_remote(path) else stat.S_ISREG((path / METADATA).stat().st_mode)
    except PermissionError as error:
        raise _closed(path, error) from error
    except OSError:
        return False


def plan_of(path: Path, *, sealed: bool = True) -> dict[str, Any]:
    """The plan that the store at `path` was begun with; `sealed` also compares its file with its sum.

    Raises
    ------
    InputError
        If there is no store, it is damaged, or it is of a later format.
    """
    if not path.exists():
        raise InputError(f"{path} is not a store that this package wrote: it does not exist; give another path")
    if not is_store(path):
        raise InputError(f"{path} is not a store that this package wrote: give another path")
    try:
        plan = json.loads((path / METADATA).read_bytes())["attributes"]["plan"]
        version, unit = plan["format"], plan["unit"]
    except UNREADABLE as error:
        raise _damaged(path, METADATA, error) from error
    if not isinstance(version, int) or not isinstance(unit, int) or unit < 1:
        raise _damaged(path, METADATA, "its plan holds no format or unit")
    if version > FORMAT:
        raise InputError(
            f"{path} is of format {version}, and this version of the package knows formats up to {FORMAT}: update "
            "probekit, or give another path"
        )
    if sealed and version > 1 and _sums(path).get(METADATA) != _sha256(path / METADATA):
        raise _damaged(path, METADATA, "it is not as it was written")
    return plan


def plan_sum(path: Path) -> str:
    """SHA-256 of the file that holds the plan of the store at `path`; "" where there is none."""
    return _sha256(path / METADATA)


def opened(path: Path, *, writable: bool = False) -> zarr.Group:
    """The group of the store at `path`, whose files that stay are as they were written.

    Raises
    ------
    InputError
        If there is no store, it is damaged, or it is of a later format.
    """
    import zarr

    plan = plan_of(path)
    changed = unsealed(path) if plan["format"] > 1 else []
    if changed:
        raise _damaged(path, ", ".join(changed[:3]), "not as written")
    try:
        where = fsspec_store(path, writable=writable)
        group = zarr.open_group(where, mode="r+" if writable else "r", use_consolidated=False)
        array(group, DONE)
        measured(group)
        return group
    except Exception as error:
        raise _damaged(path, "its metadata", error) from error


def array(group: zarr.Group, name: str) -> zarr.Array:
    import zarr

    # Chunks of nothing but NaN are written like any other: one that lacks has been lost.
    with zarr.config.set({"array.write_empty_chunks": True}):
        found: Any = group[name]
    return found


def measured(group: zarr.Group) -> dict[str, zarr.Array]:
    """The arrays that are written unit by unit, by name."""
    return {name: array(group, name) for name in UNIT_ARRAYS if name in group}


def done_units(path: Path, group: zarr.Group) -> list[int]:
    """Numbers of the units that are marked as done; a mark that is damaged is none, or not the unit's."""
    marks = array(group, DONE)
    found = at_once(path, partial(_mark, path), range(marks.shape[0]))
    return [unit for unit, mark in enumerate(found) if len(mark) == marks.dtype.itemsize and any(mark)]


def mark_of(path: Path, arrays: Mapping[str, zarr.Array], unit: int) -> int:
    """What marks a unit as done: the first 64 bits of the SHA-256 of the plan, its number and its files' sums.

    So the files and marks of other units, and of other stores, are none of its.
    """
    summed = hashlib.sha256(f"{_sha256(path / METADATA)} {unit} ".encode())
    for name, values in arrays.items():
        summed.update(f"{name} {_sha256(chunk(path, values, unit))} ".encode())
    return int.from_bytes(summed.digest()[:8], "little") or 1


def span(group: zarr.Group, unit: int) -> str:
    """Positions of the images of a unit, as a message has them."""
    size, count = next(iter(measured(group).values())).chunks[0], array(group, "image").shape[0]
    return f"{unit * size} to {min((unit + 1) * size, count) - 1}"


def chunk(path: Path, found: zarr.Array, unit: int) -> Path:
    """The file in which the values of one unit are."""
    key = found.metadata.encode_chunk_key((unit, *(0 for _ in found.shape[1:])))
    return path / found.basename / key


def faults(path: Path, group: zarr.Group, units: Iterable[int], *, read: bool) -> dict[int, str]:
    """Those of the units whose values are missing or, if they are `read`, damaged; each with what is wrong.

    Of a store of format 1, which has no sums and no chunks of nothing but NaN, only φ is looked for.
    """
    arrays = measured(group)
    if array(group, DONE).dtype.itemsize == 1:
        arrays, read = {"phi": arrays["phi"]}, False
    # Where it is far away one list says more quickly what is there than many questions.
    names = files_below(path) if is_remote(path) and not read else None

    def fault(unit: int) -> str:
        files = {name: chunk(path, values, unit) for name, values in arrays.items()}
        missing = [
            name
            for name, file in files.items()
            if not (_is_file(file) if names is None else file.relative_to(path).as_posix() in names)
        ]
        if missing:
            return f"{', '.join(missing)} is missing"
        if read and mark_of(path, arrays, unit) != int.from_bytes(_mark(path, unit), "little"):
            return _damage(arrays, unit)
        return ""

    units = list(units)
    return {unit: why for unit, why in zip(units, at_once(path, fault, units), strict=True) if why}


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except PermissionError as error:
        raise _closed(path, error) from error


def _mark(path: Path, unit: int) -> bytes:
    return _content(path / DONE / "c" / str(unit)) or b""


def _damage(arrays: Mapping[str, zarr.Array], unit: int) -> str:
    """What is wrong with a unit that is not as it was marked."""
    for name, values in arrays.items():
        size = values.chunks[0]
        try:
            values[unit * size : (unit + 1) * size]
        except Exception as error:
            # Whatever the codecs make of damaged bytes.
            return f"{name} is damaged: {described(error)}"
    return "its files are not those that were written"


def seal(path: Path) -> None:
    """Write down the SHA-256 of every file that stays as it is, in the format of the program sha256sum."""
    lines = [f"{_sha256(path / name)}  {name}\n" for name in _staying(path)]
    (path / SUMS).write_text("".join(lines), encoding="utf-8")


def unsealed(path: Path) -> list[str]:
    """Names of the files that are not as they were when they were sealed."""
    sums = _sums(path)
    return [name for name, digest in sums.items() if digest != _sha256(path / name)] if sums else [SUMS]


def described(error: Any) -> str:
    """The first line of an error, as a message can hold it."""
    if "checksum" in str(error).lower():
        return "its checksum is another"
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:200]


def _sums(path: Path) -> dict[str, str]:
    """The sums that were written down, by the names of files; none where these cannot be read."""
    content = _content(path / SUMS) or b""
    try:
        lines = content.decode().splitlines()
    except UnicodeDecodeError:
        return {}
    sums = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    return sums if METADATA in sums else {}


def _staying(path: Path) -> list[str]:
    """Names of all files that are written once: metadata, coordinates, and what is the same for all images."""
    units = tuple(f"{name}/c/" for name in (DONE, *UNIT_ARRAYS))
    return sorted(name for name in files_below(path) if name not in (LOCK, SUMS) and not name.startswith(units))


def _sha256(path: Path) -> str:
    content = _content(path)
    return "" if content is None else hashlib.sha256(content).hexdigest()


def _content(path: Path) -> bytes | None:
    """What is in a file; None where there is none, or it cannot be read from the disk."""
    try:
        return path.read_bytes()
    except PermissionError as error:
        # Nothing is wrong with the file, and nothing is to be deleted.
        raise _closed(path, error) from error
    except OSError:
        return None


def _closed(path: Path, error: OSError) -> InputError:
    return InputError(f"{path} may not be read ({error.strerror}): give whoever runs this permission to read it")


def _damaged(path: Path, what: str, why: Any) -> InputError:
    return InputError(
        f"{path} is damaged, or was changed by another program: {what} ({described(why)}). The call that wrote it, "
        "made again, mends what can be; else restore it from a copy, or measure into another path"
    )
