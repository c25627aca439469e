"""What a report measures: each part made once, kept in a folder, and taken up again if it was made of the same."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import xarray as xr

import probekit
from analyses.ground import saved
from probekit.machine.files import prepared, writing_to
from probekit.machine.modes import flushed_denormals
from probekit.models import zoo

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from probekit.images import ImageSet

__all__ = ["Study", "kept"]


class Study(NamedTuple):
    """A network, images, and how φ is measured; where results go, and who is told."""

    out: Path
    network: probekit.Denoiser
    source: ImageSet
    sigma: tuple[float, ...]
    draws: int
    seed: int
    block: str
    say: Callable[[str], object]
    progress: bool | None

    def phi(self, model: probekit.Denoiser, role: str) -> xr.Dataset:
        """φ at every tap, every draw kept, from the store of this role or measured into it."""
        tap = probekit.tap(model, *zoo.tap_names(model))
        with self.timed(f"φ of {len(self.source)} images, {role}"), flushed_denormals():
            return tap(
                self.source,
                sigma=self.sigma,
                draws=self.draws,
                seed=self.seed,
                keep_draws=True,
                store=self.out / "stores" / f"{role}.zarr",
                progress=self.progress,
            ).load()

    def middle(self, data: xr.Dataset) -> xr.Dataset:
        """The part of φ that is of the block the claims are about."""
        return data.isel(channel=data["tap"].values == self.block)

    def findings(
        self, name: str, analyse: Callable[..., xr.Dataset], data: xr.Dataset, options: Mapping[str, Any]
    ) -> xr.Dataset:
        """Findings from NAME.nc in the folder, or made and kept there."""
        with self.timed(name):
            return kept(self.out / f"{name}.nc", analyse, data, options)

    def write(self, name: str, findings: xr.Dataset) -> None:
        """Findings into NAME.nc in the folder, whole or not at all."""
        saved(self.out, (name, findings))

    def text(self, name: str, text: str) -> Path:
        """A text file in the folder, whole or not at all."""
        with writing_to(self.out):
            self.out.mkdir(parents=True, exist_ok=True)
            unfinished = self.out / f"{name}.part"
            unfinished.write_text(text, encoding="utf-8")
            return unfinished.replace(self.out / name)

    def draw(self, name: str, figure: Figure) -> Path:
        """A figure into NAME.png in the folder of figures."""
        prepared(self.out / "figures")
        return saved(self.out / "figures", (name, figure))[0]

    @contextmanager
    def timed(self, what: str) -> Iterator[None]:
        """Say how long something took."""
        began = time.monotonic()
        yield
        self.say(f"{what}: {time.monotonic() - began:.0f} s")


def kept(path: Path, analyse: Callable[..., xr.Dataset], data: xr.Dataset, options: Mapping[str, Any]) -> xr.Dataset:
    """Findings from a file, if they were made of the same data with the same options; else made and kept."""
    key = _fingerprint(data, options)
    there = _readable(path)
    if there is not None and there.attrs.get("made_of") == key:
        return there
    findings = analyse(data, **options).assign_attrs(made_of=key)
    saved(path.parent, (path.stem, findings))
    return findings


def _readable(path: Path) -> xr.Dataset | None:
    """Findings from a file; nothing where there is none, or it was cut short and is to be made again."""
    try:
        return xr.load_dataset(path, engine="h5netcdf") if path.exists() else None
    except (OSError, ValueError, KeyError):
        return None


def _fingerprint(data: xr.Dataset, options: Mapping[str, Any]) -> str:
    """SHA-256 of everything that findings are made of."""
    described = {
        "attrs": {key: str(value) for key, value in data.attrs.items()},
        "coords": {str(name): list(map(str, data[name].values)) for name in data.coords},
        "options": {key: str(value) for key, value in options.items()},
    }
    made_of = hashlib.sha256(json.dumps(described, sort_keys=True).encode())
    for name in sorted(map(str, data.data_vars)):
        made_of.update(name.encode() + np.ascontiguousarray(data[name].values).tobytes())
    return made_of.hexdigest()
