"""Results that are kept: one folder with a plan, each part whole or not at all; and files of findings and figures."""

from __future__ import annotations

import hashlib
import json
import logging
import warnings
from collections.abc import Callable, Mapping
from functools import cache
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from probekit import checks
from probekit.errors import InputError
from probekit.images.imageset import ImageSet
from probekit.machine import netcdf
from probekit.machine.blocks import IN_MEMORY, at_hand, leading_blocks
from probekit.machine.files import is_unfinished, prepared, whole, writing_to
from probekit.machine.identity import identity
from probekit.machine.installed import version_of
from probekit.machine.reading import reading

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Kept", "code_sha256", "drawn", "fingerprint", "folder_called", "folder_of", "read", "saved"]

LOG = logging.getLogger("probekit")
PLAN = "plan.json"
MADE_OF, PART_OF, KNOWN = "made_of", "part_of", "known"
# Beside figures: of what each was drawn, and the sum of its file.
DRAWN = "drawn.json"


def saved(out: Path, *results: tuple[str, xr.Dataset | Figure]) -> list[Path]:
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
    prepared(out)
    for name, result in results:
        path = out / (f"{name}.nc" if isinstance(result, xr.Dataset) else f"{name}.png")
        if isinstance(result, xr.Dataset):
            netcdf.write(result, path)
        else:
            with whole(path) as unfinished:
                result.savefig(unfinished, dpi=150, format="png")
        written.append(path)
    return written


def drawn(out: Path, name: str, plot: Callable[..., Figure], *findings: xr.Dataset, **options: Any) -> Path:
    """A figure of findings as NAME.png in a folder: the one that is there if it was drawn of the same, else a new one.

    The same are findings to the last bit, with all names and units, the code of these packages, the drawing library and
    its settings. What became of the file since tells its sum: one that was changed or deleted is drawn again.

    Parameters
    ----------
    out, name
        Folder, made if need be, and the file's name in it.
    plot
        Draws the findings.
    findings
        All that the figure shows.
    options
        Of the function that draws; findings by name among them are told like the others.

    Raises
    ------
    CapacityError
        If the folder cannot be written to.
    """
    path, record = out / f"{name}.png", out / DRAWN
    known, of = (
        _record(record),
        fingerprint(
            f"{plot.__module__}.{plot.__qualname__}",
            _drawing(),
            *map(_told, findings),
            {key: _told_option(value) for key, value in options.items()},
        ),
    )
    if path.is_file() and known.get(name) == [of, _file_sha256(path)]:
        LOG.info("%s is left as it is: it was drawn of the same", path)
        return path
    saved(out, (name, plot(*findings, **options)))
    with whole(record) as unfinished:
        known = {**known, name: [of, _file_sha256(path)]}
        unfinished.write_text(json.dumps(known, indent=1, ensure_ascii=False), encoding="utf-8")
    return path


def _record(path: Path) -> dict[str, Any]:
    """What is said of the figures of a folder; nothing where it cannot be read, and they are drawn again."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _told(findings: xr.Dataset) -> tuple[Any, ...]:
    """Findings with what their own fingerprint leaves out: dims, types, and what is said of each variable."""
    # Texts come back from files as another type of them.
    texts = {str(name): one for name, one in findings.variables.items() if one.dtype.kind in "OSTU"}
    said = {
        str(name): (
            one.dims,
            one.shape,
            list(map(str, one.values.ravel())) if name in texts else one.dtype.str,
            sorted((str(key), str(value)) for key, value in one.attrs.items()),
        )
        for name, one in findings.variables.items()
    }
    return findings.drop_vars([name for name in texts if name in findings.data_vars]), said


def _told_option(value: Any) -> Any:
    """An option of a figure, of findings by name what `_told` says of each."""
    of_findings = isinstance(value, Mapping) and all(isinstance(one, xr.Dataset) for one in value.values())
    return {name: _told(one) for name, one in value.items()} if of_findings else value


def _drawing() -> tuple[Any, ...]:
    """What draws: the code of these packages, the library, and its settings."""
    import matplotlib

    # Looked up plainly: to ask for the backend loads one.
    settings = sorted((key, str(value)) for key, value in dict.items(matplotlib.rcParams) if key != "backend")
    return code_sha256(), *map(version_of, ("matplotlib", "numpy", "xarray")), settings


@cache
def code_sha256() -> str:
    """SHA-256 of the code of these packages: what it decides is made again after any change of it."""
    found = hashlib.sha256()
    for package in ("analyses", "probekit"):
        folder = Path(__file__).parents[2] / package
        for path in sorted(folder.rglob("*.py")):
            found.update(f"{path.relative_to(folder.parent).as_posix()}\0".encode())
            found.update(hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()


def _file_sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def read(path: Path) -> xr.Dataset:
    """φ, samples or findings from a Zarr store or a netCDF file, in memory; of large ones values are read when used.

    Raises
    ------
    InputError
        If there is no such file, or it is of neither kind.
    """
    import probekit

    wanted = "give a store or netCDF file that `probekit phi` has written"
    with reading(path, wanted):
        if not path.exists():
            raise InputError(f"{path} does not exist: {wanted}")
        if not (path.is_dir() or path.is_file()):
            raise InputError(f"{path} is neither a file nor a folder: {wanted}")
        if path.is_dir() or path.stat().st_size > IN_MEMORY:
            return at_hand(probekit.open(path))
    return netcdf.read(path, wanted)


def folder_of(store: Any) -> Path | None:
    """The folder that results are kept in, whether it exists yet or not; None for none.

    Raises
    ------
    InputError
        If `store` is no path, or one of something that is no folder.
    """
    return None if store is None else folder_called("store", store, "the path of a folder, or None")


def folder_called(name: str, value: Any, what: str = "the path of a folder") -> Path:
    """The folder that an argument names, whether it exists yet or not.

    Raises
    ------
    InputError
        If it is no path, or one of something that is no folder; `name` says of what argument, `what` what it should be.
    """
    folder = checks.path(name, value, what)
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{checks.given(name, str(folder))} is no folder: give the path of one, or a new name")
    return folder


def fingerprint(*parts: Any) -> str:
    """SHA-256 of everything that a result is made of: Datasets and images with their content, settings as printed."""
    made_of = hashlib.sha256()
    for part in parts:
        if isinstance(part, xr.Dataset | xr.DataArray):
            described = {
                "attrs": {str(key): str(value) for key, value in part.attrs.items()},
                "coords": {str(name): list(map(str, part[name].values.ravel())) for name in part.coords},
            }
            made_of.update(json.dumps(described, sort_keys=True).encode())
            variables = part.data_vars if isinstance(part, xr.Dataset) else {"": part}
            for name in sorted(map(str, variables)):
                made_of.update(name.encode())
                for values in leading_blocks(variables[name].variable):
                    made_of.update(_bytes(values))
        elif isinstance(part, np.ndarray):
            made_of.update(f"{part.dtype}{part.shape}".encode())
            made_of.update(_bytes(part))
        elif isinstance(part, ImageSet):
            made_of.update(fingerprint(part.fingerprint(), part.ids, part.labels).encode())
        elif isinstance(part, list | tuple):
            made_of.update(fingerprint(*part).encode())
        elif isinstance(part, Mapping):
            made_of.update(fingerprint(*(x for key in sorted(part, key=str) for x in (key, part[key]))).encode())
        else:
            # A function's repr would be where it lies in memory.
            made_of.update((identity(part) if callable(part) else repr(part)).encode())
    return made_of.hexdigest()


def _bytes(values: np.ndarray) -> bytes | memoryview:
    """What an array holds, in its order; of φ, which is large, no copy."""
    if values.dtype.hasobject:
        # Of objects an array holds where they lie in memory.
        return json.dumps([values.shape, list(map(str, values.ravel()))]).encode()
    if not values.size:
        return values.tobytes()
    return np.ascontiguousarray(values).reshape(-1).view(np.uint8).data


class Kept:
    """A folder of finished parts, each a netCDF file NAME.nc; refused if it was begun with another plan.

    Parameters
    ----------
    folder
        Its path; made if need be.
    plan
        What the parts are made to, by name, as printed. Without, each part is judged by what it was made of alone
        (see `made`).
    what
        What the parts are, for messages.

    Raises
    ------
    InputError
        If the folder holds something else, or was begun with another plan, whose differences are named; if a plan or
        part cannot be read.
    CapacityError
        If the folder cannot be written to.
    """

    def __init__(self, folder: str | PathLike[str], plan: Mapping[str, Any] | None = None, *, what: str = "results"):
        found = folder_of(folder)
        if found is None:
            raise InputError("store=None: give the path of a folder")
        self.folder, self._what, self.plan_sum = found, what, ""
        if plan is not None:
            wanted = {key: str(value) for key, value in plan.items()}
            self.plan_sum = fingerprint(wanted)
            self._begin(wanted)

    @classmethod
    def joined(cls, folder: Path, plan_sum: str) -> Kept:
        """A folder that another process has begun, whose plan has this sum: `plan_sum`.

        Raises
        ------
        InputError
            If there is none of that plan, or it cannot be read.
        """
        path = folder / PLAN
        if not path.exists() or fingerprint(_plan_at(path, "results")) != plan_sum:
            raise InputError(f"{folder} is not the folder that this work is for: give one that all workers see")
        kept = cls(folder)
        kept.plan_sum = plan_sum
        return kept

    @staticmethod
    def begun(folder: str | PathLike[str]) -> dict[str, str]:
        """The plan that a folder was begun with; empty where it was not.

        Raises
        ------
        InputError
            If it is no path of a folder, or its plan cannot be read.
        """
        path = folder_called("store", folder) / PLAN
        return _plan_at(path, "results") if path.exists() else {}

    @classmethod
    def taken_up(
        cls,
        folder: Any,
        name: str,
        make: Callable[[], xr.Dataset],
        *of: Any,
        known: Callable[[], Any] = lambda: None,
        learn: Callable[[], Any] = lambda: None,
    ) -> tuple[xr.Dataset, xr.Dataset | None]:
        """A part that the plan of a folder depends on: from the folder if it was made of the same, else made.

        Parameters
        ----------
        folder, name, make, of
            The folder, or None; see `made`.
        known, learn
            What is known once the part is made, which the plan may depend on, too. Where that is not known yet when the
            part is taken up, it is learnt: `learn` is called.

        Returns
        -------
        part, fresh : Dataset, Dataset or None
            `fresh` is what `keep` is to be given once the folder is begun: None where the part came from there, or
            `folder` is None.

        Raises
        ------
        InputError
            If it is no path of a folder.
        """
        if folder is None:
            return make(), None
        key, kept = fingerprint(*of), cls(folder)
        found = kept.found(name) if (kept.folder / PLAN).exists() else None
        if found is None or found.attrs.pop(MADE_OF, None) != key:
            part = make()
            return part, part.assign_attrs({MADE_OF: key, KNOWN: fingerprint(known())})
        # Of which plan it is part does not count: it decides the plan.
        found.attrs.pop(PART_OF, None)
        if found.attrs.pop(KNOWN, None) != fingerprint(known()):
            learn()
        return found, None

    def keep(self, name: str, part: xr.Dataset) -> xr.Dataset:
        """Keep a finished part, whole or not at all, with what it is a part of; gives it back."""
        with writing_to(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        netcdf.write(part.assign_attrs(self._place(name)), self._path(name))
        return part

    def read(self, name: str) -> xr.Dataset:
        """A finished part.

        Raises
        ------
        InputError
            If it cannot be read, or belongs elsewhere: to another plan, or under another name.
        """
        found = netcdf.read(self._path(name), "delete it, and it is made again")
        if any(found.attrs.pop(key, None) != value for key, value in self._place(name).items()):
            raise InputError(
                f"{self._path(name)} cannot be read as this part of this plan, but as another: delete it, and it is "
                "made again"
            )
        return found

    def holds(self, name: str) -> bool:
        """Whether there is a part of this name, whole or not."""
        return self._path(name).exists()

    def _place(self, name: str) -> dict[str, str]:
        """What tells a part from those of other plans and names, where there is a plan."""
        return {PART_OF: f"{self.plan_sum} {name}"} if self.plan_sum else {}

    def made(self, name: str, make: Callable[[], xr.Dataset], *of: Any) -> xr.Dataset:
        """A part from the folder if it was made of the same, else made and kept; one cut short is made again.

        Parameters
        ----------
        name
            Of the part.
        make
            Makes it.
        of
            All that it is made of; see `fingerprint`.
        """
        key = fingerprint(*of)
        found = self.found(name)
        if found is not None:
            if found.attrs.get(MADE_OF) == key:
                LOG.info("%s is taken up: it was made of the same", self._path(name))
                return found
            LOG.info("%s is made again: it was made of something else", self._path(name))
        return self.keep(name, make().assign_attrs({MADE_OF: key}))

    def found(self, name: str) -> xr.Dataset | None:
        """A finished part, or None; that one cannot be read is told to who asked for it."""
        if not self._path(name).exists():
            return None
        try:
            return self.read(name)
        except InputError as error:
            warnings.warn(f"{error.args[0].partition(': delete')[0]}: it is made again", stacklevel=3)
            return None

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.nc"

    def _begin(self, wanted: dict[str, str]) -> None:
        path = self.folder / PLAN
        if path.exists():
            begun = _plan_at(path, self._what)
            differ = sorted(k for k in {*begun, *wanted} if begun.get(k) != wanted.get(k))
            if differ:
                shown = "; ".join(f"{k}: {_short(begun.get(k))}, now {_short(wanted.get(k))}" for k in differ)
                raise InputError(
                    f"{self.folder} was begun with another plan ({shown}): give another folder, or the same plan"
                )
            return
        if self.folder.exists() and not all(map(is_unfinished, self.folder.iterdir())):
            raise InputError(f"{self.folder} is not empty and holds no {PLAN}: give a new folder for the {self._what}")
        with writing_to(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        with whole(path) as unfinished:
            unfinished.write_text(json.dumps(wanted, indent=1, ensure_ascii=False), encoding="utf-8")


def _plan_at(path: Path, what: str) -> dict[str, str]:
    with reading(path, f"give another folder for the {what}"):
        begun = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(begun, dict) or not all(isinstance(value, str) for value in begun.values()):
        raise InputError(f"{path} is no plan of {what}: give another folder for them")
    return begun


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:28]}…{text[-28:]}"
