"""What a report measures: each part made once, kept in a folder, and taken up again if it was made of the same."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import xarray as xr

import probekit
from analyses.ground import Kept, block_names, saved
from probekit.machine.files import prepared, whole
from probekit.machine.modes import flushed_denormals

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import nn

    from probekit.images import ImageSet

__all__ = ["Study"]


class Study(NamedTuple):
    """A network, images, and how φ is measured; where results go, and who is told."""

    out: Path
    network: nn.Module
    source: ImageSet
    sigma: tuple[float, ...]
    draws: int
    seed: int
    block: str
    say: Callable[[str], object]
    progress: bool | None

    def phi(self, model: nn.Module, role: str) -> xr.Dataset:
        """φ at every tap, every draw kept, from the store of this role or measured into it."""
        tap = probekit.tap(model, *block_names(model))
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
            return Kept(self.out).made(name, lambda: analyse(data, **options), data, dict(options))

    def write(self, name: str, findings: xr.Dataset) -> None:
        """Findings into NAME.nc in the folder, whole or not at all."""
        saved(self.out, (name, findings))

    def text(self, name: str, text: str) -> Path:
        """A text file in the folder, whole or not at all."""
        prepared(self.out)
        with whole(self.out / name) as unfinished:
            unfinished.write_text(text, encoding="utf-8")
        return self.out / name

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
