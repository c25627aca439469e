"""The nearest training images of other images, and how much nearer than the next ones they lie; plain torch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch

from probekit.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

    from probekit.images import ImageSet

__all__ = ["Nearest", "nearest_training", "threshold"]

CHUNK = 512


class Nearest(NamedTuple):
    """Of each image, the (n,) position of its nearest training image, the distance, and that over the next ones'."""

    position: Tensor
    distance: Tensor
    relative: Tensor


def nearest_training(images: Tensor, training: ImageSet, *, neighbours: int) -> Nearest:
    """Nearest training images by √(2 − 2 corr), where corr is over pixels and bands; training is read once, in pieces.

    That is the distance of images that are centred and scaled to unit norm, so that faint images are not all near to
    one another. `relative` is the distance to the nearest over the mean of those to the `neighbours` next ones (as
    Carlini et al. 2023, arXiv:2301.13188, do): 0 for a copy, near 1 for an image that is no more like one training
    image than like others. Blurred images lie nearer to all, so their distance says little, but not this ratio.
    """
    mine = _standardised(images)
    best = torch.full((len(mine), 0), 0.0, device=images.device)
    where = torch.full((len(mine), 0), 0, dtype=torch.int64, device=images.device)
    for start in range(0, len(training), CHUNK):
        chosen = range(start, min(start + CHUNK, len(training)))
        found = mine @ _standardised(training.read(chosen).to(images.device)).T
        best = torch.cat([best, found], dim=1)
        where = torch.cat([where, torch.arange(chosen.start, chosen.stop, device=images.device).expand_as(found)], 1)
        best, order = best.topk(min(neighbours + 1, best.shape[1]), dim=1)
        where = where.gather(1, order)
    distance = (2 - 2 * best).clamp_min(0).sqrt()
    following = distance[:, 1:].mean(dim=1)
    # Where the next ones are copies too, nothing is nearer than anything else could be.
    relative = torch.where(following > 0, distance[:, 0] / following.clamp_min(torch.finfo(following.dtype).tiny), 0)
    return Nearest(where[:, 0].cpu(), distance[:, 0].cpu(), relative.cpu())


def threshold(held_out: Sequence[float], share: float) -> float:
    """The relative distance that a share of unseen images, at most, stays below or at.

    The k-th smallest of n held-out images' with k = ⌊share · (n + 1)⌋: another image of the same law lies at or below
    it with probability k/(n + 1), whatever the law (the split conformal quantile).

    Raises
    ------
    InputError
        If there are too few held-out images for such a share.
    """
    n = len(held_out)
    k = int(share * (n + 1) + 1e-9)
    if k < 1:
        raise InputError(
            f"{n} held-out images cannot tell what a share of {share:g} of unseen ones stays below: give at least "
            f"{math.ceil(min(1 / share, 1e18)) - 1}, or a larger share"
        )
    return sorted(map(float, held_out))[k - 1]


def _standardised(images: Tensor) -> Tensor:
    flat = images.flatten(1).float()
    flat = flat - flat.mean(dim=1, keepdim=True)
    return flat / flat.norm(dim=1, keepdim=True).clamp_min(torch.finfo(flat.dtype).tiny)
