"""One call of a tap: a set of images measured into memory, or unit by unit into a store."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm.auto import tqdm

from probekit import labels
from probekit.machine.memory import refuse_if_too_large
from probekit.phi import store
from probekit.phi.averages import Average, averages, images_together, passes

if TYPE_CHECKING:
    import torch
    import xarray as xr
    from torch import Tensor

    from probekit.images import ImageSet

    Read = Callable[[Tensor, float], list[Tensor]]

__all__ = ["Job"]


@dataclass(frozen=True, kw_only=True)
class Job:
    """What is to be measured, of which images, how.

    Attributes
    ----------
    reading : callable
        Opens the hooks; gives a function (noisy batch, σ) → values at each tap, (n, channels).
    source, rest : ImageSet
        The images, and the constant one.
    levels, draws, seed, keep_draws
        Noise levels and draws, and whether draws are kept.
    batch : int
        Noisy images in one forward pass.
    batch_bytes : int
        About what one such pass needs on the device.
    channels : Mapping[str, int]
        Number of values of each tap.
    place : Tensor
        A tensor of the type and on the device in which the network computes.
    attrs : Mapping[str, str | int | float]
        Provenance.
    progress : bool or None
        Show a bar, show none, or show one in a terminal only.
    """

    reading: Callable[[], AbstractContextManager[Read]]
    source: ImageSet
    rest: ImageSet
    levels: Sequence[float]
    draws: int
    seed: int
    keep_draws: bool
    batch: int
    batch_bytes: int
    channels: Mapping[str, int]
    place: Tensor
    attrs: Mapping[str, str | int | float]
    progress: bool | None

    def in_memory(self) -> xr.Dataset:
        """Measure everything and return it."""
        count = len(self.source)
        self._refuse(
            count, "give fewer images or noise levels at a time, keep_draws=False, a smaller batch_size, or store="
        )
        arrays = self._empty(count)
        with self._bar(count + 1) as bar, self.reading() as read:
            arrays |= self._rest(read, bar)
            for part in self._averages(read, self.source, bar):
                self._put(arrays, part, 0)
        return labels.representation(
            arrays,
            ids=self.source.ids,
            labels=self.source.labels,
            sigma=self.levels,
            channels=self.channels,
            attrs=self.attrs,
        )

    def into_store(self, path: str | Path) -> xr.Dataset:
        """Measure what the store at `path` lacks, and return the Dataset that reads it."""
        together = images_together(self.source, self.levels, self.draws, self.batch)
        unit = store.unit_size(len(self.source), together, self._result_bytes(1))
        self._refuse(unit, "give fewer noise levels at a time, keep_draws=False, or a smaller batch_size")

        def rest() -> Mapping[str, np.ndarray]:
            with self._bar(1) as bar, self.reading() as read:
                return self._rest(read, bar)

        with store.create_or_resume(
            path,
            plan=self._plan(),
            rest=rest,
            ids=self.source.ids,
            image_labels=self.source.labels,
            sigma=self.levels,
            channels=self.channels,
            attrs=self.attrs,
            draws_kept=self.draws if self.keep_draws else 0,
            unit=unit,
        ) as writer:
            pending = writer.pending
            with self._bar(sum(map(len, pending))) as bar, self.reading() as read:
                for positions in pending:
                    arrays = self._empty(len(positions))
                    for part in self._averages(read, self.source, bar, positions):
                        self._put(arrays, part, positions.start)
                    writer.write(positions, arrays)
        return store.open(path)

    def _plan(self) -> dict[str, Any]:
        """Whatever decides the numbers, apart from the images' content."""
        return {
            **{k: v for k, v in self.attrs.items() if k != "probekit_version"},
            "sigma": list(self.levels),
            "keep_draws": self.keep_draws,
            "image_shape": list(self.source.shape),
            "image_preparation": self.source.preparation,
            "batch_size": self.batch,
            "dtype": str(self.place.dtype),
            "device": self.place.device.type,
        }

    def _averages(self, read: Read, source: ImageSet, bar: Any, positions: range | None = None) -> Iterator[Average]:
        return averages(
            read,
            source,
            self.levels,
            draws=self.draws,
            seed=self.seed,
            batch=self.batch,
            place=self.place,
            positions=positions,
            advance=bar.update,
        )

    def _rest(self, read: Read, bar: Any) -> dict[str, np.ndarray]:
        average = next(self._averages(read, self.rest, bar))
        return {"rest": average.phi[0], "rest_se": average.phi_se[0]}

    def _empty(self, count: int) -> dict[str, np.ndarray]:
        shape = (count, len(self.levels), sum(self.channels.values()))
        arrays = {"phi": np.empty(shape, np.float32), "phi_se": np.empty(shape, np.float32)}
        kept = {"phi_draws": np.empty((*shape[:2], self.draws, shape[2]), np.float32)} if self.keep_draws else {}
        return {**arrays, **kept}

    def _put(self, arrays: Mapping[str, np.ndarray], part: Average, start: int) -> None:
        rows = slice(part.positions.start - start, part.positions.stop - start)
        for name in ("phi", "phi_se", "phi_draws"):
            if name in arrays:
                arrays[name][rows] = getattr(part, name)

    def _result_bytes(self, count: int) -> int:
        copies = 2 + (self.draws if self.keep_draws else 0)
        return 4 * count * len(self.levels) * sum(self.channels.values()) * copies

    def _refuse(self, count: int, hint: str) -> None:
        device: torch.device = self.place.device
        refuse_if_too_large(self._result_bytes(count), self.batch_bytes, device=device, hint=hint)

    def _bar(self, images: int) -> Any:
        total = images * passes(self.levels, self.draws)
        hidden = None if self.progress is None else not self.progress
        return tqdm(total=total, unit="img", unit_scale=True, disable=hidden)
