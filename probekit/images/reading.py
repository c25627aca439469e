"""Images of files as they are asked for: read, compared with what was there before, decoded and prepared."""

from __future__ import annotations

import threading
import zlib
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch

from probekit.errors import InputError
from probekit.images.decode import Preparation
from probekit.images.members import Members, Where, part_of
from probekit.images.quiet import QUIET
from probekit.images.unusable import Unusable
from probekit.machine.cores import usable_cores
from probekit.machine.memory import refuse_array
from probekit.naming import named

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["FileReader", "in_order"]

A = TypeVar("A")
B = TypeVar("B")

# Pixels of a file from which on several are decoded at once: of smaller ones most of the time goes into what only one
# thread of Python can do at a time, and threads wait for each other.
WORTH_THREADS = 256 * 256
# More threads than this wait for each other too.
MOST_THREADS = 8


class FileReader:
    """Reads the images at some positions; it can be pickled, and cut to fewer images.

    Parameters
    ----------
    members
        The files.
    prepare
        What is done to each.
    sums
        CRC-32 of the bytes of each, uint32.
    shape
        (bands, rows, cols) of every image.
    path
        Where they come from, as messages say it.
    pixels
        Pixels of a file, about.
    decoded
        Whether all were decoded before, so that what cannot be now was changed.
    """

    def __init__(
        self,
        members: Members,
        prepare: Preparation,
        sums: np.ndarray,
        shape: tuple[int, int, int],
        *,
        path: Path,
        pixels: int,
        decoded: bool,
    ) -> None:
        self.members, self.prepare, self.sums, self.shape = members, prepare, sums, shape
        self.path, self.pixels, self.decoded = path, pixels, decoded

    def part(self, where: Where) -> FileReader:
        """A reader of some of these."""
        return FileReader(
            self.members.part(where),
            self.prepare,
            part_of(self.sums, where),
            self.shape,
            path=self.path,
            pixels=self.pixels,
            decoded=self.decoded,
        )

    def __call__(self, indices: Sequence[int]) -> Tensor:
        refuse_array((len(indices), *self.shape), 4, hint="read fewer images at once")
        images = np.empty((len(indices), *self.shape), np.float32)

        def fill(where: tuple[np.ndarray, int]) -> tuple[str, bool] | None:
            """Read one image; why it cannot be, and whether it was changed."""
            image, k = where
            encoded = b""
            try:
                encoded = self.members.read(k)
                if zlib.crc32(encoded) != int(self.sums[k]):
                    raise Unusable("its content is another")
            except Unusable as error:
                return str(error), True
            try:
                pixels = self.prepare.decoded(encoded)
                if not self.decoded:
                    self._check(pixels)
                self.prepare.prepared(pixels, out=image)
            except Unusable as error:
                return str(error), self.decoded
            return None

        found = in_order(fill, zip(images, indices, strict=True), self.pixels)
        names = self.members.names
        for changed in (True, False):
            told = [
                f"{names[k]} ({bad[0]})" for bad, k in zip(found, indices, strict=True) if bad and bad[1] == changed
            ]
            if told:
                raise InputError(self._mend(told, changed=changed))
        return torch.from_numpy(images)

    def _check(self, pixels: np.ndarray) -> None:
        """Refuse pictures of another size, of which no look was taken when the set was loaded."""
        try:
            shape = self.prepare.shape(pixels)
        except Unusable:
            raise
        except ValueError as error:
            raise Unusable(str(error)) from None
        if shape != self.shape:
            raise Unusable("{1}×{2} where most are {4}×{5}".format(*shape, *self.shape))

    def _mend(self, told: list[str], *, changed: bool) -> str:
        if changed:
            return (
                f"{named(told)}: changed in {self.path} since the images were loaded: put back what was there, or load "
                "them again"
            )
        return (
            f"{named(told)}: cannot be used, and not all files in {self.path} were decoded when they were loaded with "
            'check="some": load them with check="all", which names all such, and skip_bad=True leaves them out'
        )


def threads_for(pixels: int) -> int:
    """Threads that files of so many pixels are decoded in.

    As many as torch may use, so that who gives a process one core has it decode on one.
    """
    return min(torch.get_num_threads(), usable_cores(), MOST_THREADS) if pixels >= WORTH_THREADS else 1


def in_order(work: Callable[[A], B], items: Iterable[A], pixels: int) -> list[B]:
    """What is made of each item, in order: by several threads where files of so many pixels are worth it."""
    everything = list(items)
    threads = min(threads_for(pixels), len(everything))
    with QUIET:
        return list(map(work, everything)) if threads <= 1 else _shared_out(work, everything, threads)


def _shared_out(work: Callable[[A], B], items: Sequence[A], threads: int) -> list[B]:
    """What several threads, of which this is one, make of the items; of what they raise, what comes first in order."""
    made: dict[int, B] = {}
    raised: dict[int, Exception] = {}
    waiting, one_by_one = iter(range(len(items))), threading.Lock()

    def take() -> None:
        while not raised:
            with one_by_one:
                k = next(waiting, None)
            if k is None:
                return
            try:
                made[k] = work(items[k])
            except Exception as error:
                raised[k] = error

    # A task a thread and not one an item, which would take as long to hand out as a small file to decode.
    with ThreadPoolExecutor(threads - 1, "probekit-decode") as pool:
        helping = [pool.submit(take) for _ in range(threads - 1)]
        take()
        for one in helping:
            one.result()
    if raised:
        raise raised[min(raised)]
    return [made[k] for k in range(len(items))]
