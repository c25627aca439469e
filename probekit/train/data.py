"""Training images on the device as they came, in eight bits, and what is cut from them there."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import torch

from probekit.images.parts import Made

if TYPE_CHECKING:
    from torch import Tensor

    from probekit.images import ImageSet

__all__ = ["centred", "fingerprint", "held", "thinned", "views"]

# Images read at once: all that is ever held in floats.
CHUNK = 256


def fingerprint(images: ImageSet) -> str:
    """What tells one set of training images from another: its name, preparation, shape and ids."""
    text = "\0".join([images.preparation, str(images.shape), *images.ids])
    return f"{images.name} {hashlib.sha256(text.encode(errors='surrogatepass')).hexdigest()[:16]}"


def centred(images: ImageSet, side: int) -> ImageSet:
    """The squares of this side in the middle of the images."""
    bands, rows, cols = images.shape
    if (rows, cols) == (side, side) or side > min(rows, cols):
        return images
    top, left = (rows - side) // 2, (cols - side) // 2

    cut = partial(_cut, top=top, left=left, side=side)
    return replace(images, shape=(bands, side, side), _read=Made(images, cut))


def _cut(batch: Tensor, *, top: int, left: int, side: int) -> Tensor:
    """The same square of each image."""
    return batch[:, :, top : top + side, left : left + side]


def thinned(images: ImageSet, count: int) -> ImageSet:
    """About `count` of the images, evenly spread, so that every class of a sorted set is there."""
    return images.subset(range(0, len(images), max(1, len(images) // count)))


def held(images: ImageSet, device: torch.device) -> Tensor:
    """All images (N, C, H, W) on the device, as uint8 where that loses nothing.

    They are filled in place a few at a time, so that 8-bit images are never all there twice, or as floats.
    """
    data = torch.empty((len(images), *images.shape), dtype=torch.uint8, device=device)
    for start in range(0, len(images), CHUNK):
        chunk = images.read(range(start, min(start + CHUNK, len(images))))
        levels = (chunk * 255).round()
        if data.dtype == torch.uint8 and not _eight_bit(chunk, levels):
            data = data.float().div_(255)
        data[start : start + len(chunk)] = levels.to(torch.uint8) if data.dtype == torch.uint8 else chunk
    return data


def _eight_bit(chunk: Tensor, levels: Tensor) -> bool:
    return bool((levels / 255 == chunk).all() and (levels >= 0).all() and (levels <= 255).all())


def views(
    data: Tensor, positions: Tensor, *, mirrored: Tensor | None = None, corners: Tensor | None = None, side: int = 0
) -> Tensor:
    """Images at these positions, some mirrored, or squares cut from them: floats in [0, 1], channels-last.

    Parameters
    ----------
    data
        (N, C, H, W), uint8 or float.
    positions
        (n,) of the images.
    mirrored
        (n,), whether each is mirrored left-right.
    corners, side
        (n, 2), top row and left column of the square of this side that is cut from each.
    """
    if corners is None:
        chosen = data[positions]
        if mirrored is not None:
            chosen = torch.where(mirrored.view(-1, 1, 1, 1), chosen.flip(-1), chosen)
    else:
        # One gather of bytes: rows and columns of each image's own square, columns from the right where mirrored.
        along = torch.arange(side, device=data.device)
        rows, cols = (corners[:, k, None] + along for k in (0, 1))
        if mirrored is not None:
            cols = torch.where(mirrored[:, None], cols.flip(1), cols)
        chosen = data[positions[:, None, None], :, rows[:, :, None], cols[:, None, :]].permute(0, 3, 1, 2)
    clean = chosen.to(torch.float32)
    if data.dtype == torch.uint8:
        clean = clean / 255
    return clean.contiguous(memory_format=torch.channels_last)
