"""Forward passes of many noisy images, read at the taps: what one pass was checked for is not checked in its likes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from probekit.denoising.conditions import of_rows
from probekit.denoising.denoiser import repeated

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Passes"]


class Passes:
    """As many forward passes of a denoiser as noisy images take, without gradients.

    Parameters
    ----------
    denoiser
        What is called with (y, sigma).
    run
        Makes the pass that it is given and returns what is read of it at each point.
    check
        Refuses values, one tensor a point, that are not one row for each image.
    batch
        Images in a pass, at most; None for all that are given.
    quickly
        Whether passes keep nothing for gradients at all: where whatever reads them does not differentiate or write to
        the maps, and the network keeps none.
    done
        Is told how many images each pass had.
    """

    def __init__(
        self,
        denoiser: nn.Module,
        run: Callable[[Callable[[], Any]], list[Tensor]],
        check: Callable[[Tensor, list[Tensor]], list[Tensor]],
        *,
        batch: int | None,
        quickly: bool,
        done: Callable[[int], None],
    ) -> None:
        self.denoiser, self.run, self.check, self.batch, self.done = denoiser, run, check, batch, done
        self._again = repeated(denoiser)
        self._mode = torch.inference_mode() if quickly else torch.no_grad()
        self._taken: set[tuple[Any, ...]] = set()

    def __call__(self, y: Tensor, level: float, conditions: Mapping[str, Any]) -> list[Tensor]:
        """What is read at each point of noisy images (n, C, H, W) of a noise level, n rows each."""
        size = min(self.batch or len(y), len(y))
        whole = len(y) // size * size
        found = self._alike(y[:whole].split(size), level, conditions, 0)
        if whole < len(y):
            found += self._alike([y[whole:]], level, conditions, whole)
        return self.check(y, found[0] if len(found) == 1 else list(map(torch.cat, zip(*found, strict=True))))

    def _alike(
        self, parts: Sequence[Tensor], level: float, conditions: Mapping[str, Any], start: int
    ) -> list[list[Tensor]]:
        """One pass for each part, all of one size; the first of its kind is the denoiser's, with all its checks."""
        size = len(parts[0])
        rows = [slice(first, first + size) for first in range(start, start + len(parts) * size, size)]
        each = [of_rows(conditions, of) for of in rows] if conditions else [conditions] * len(parts)
        kind = (level, parts[0].shape)
        found: list[list[Tensor]] = []
        if kind not in self._taken:
            found.append(self._one(parts[0], level, each[0]))
            self._taken.add(kind)
        if self._again is not None:
            try:
                with self._mode:
                    for part, own in zip(parts[len(found) :], each[len(found) :], strict=True):
                        found.append(self.run(partial(self._again, part, level, own)))
                        self.done(size)
            except Exception:
                # The denoiser's own pass tells what went wrong; or does not fail, as where the network differentiates.
                self._again = None
        return found + [self._one(parts[k], level, each[k]) for k in range(len(found), len(parts))]

    def _one(self, y: Tensor, level: float, conditions: Mapping[str, Any]) -> list[Tensor]:
        found = self.check(y, self.run(lambda: self.denoiser(y, level, **conditions)))
        self.done(len(y))
        return found
