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
# Photographs at this distance differ as by a strong JPEG or half a grey level in ten; different ones lie near 1.
TWIN = 0.1
# Of the norm of an image: what single precision leaves where its mean is taken from equal numbers.
ROUNDING = 1e-6


class Nearest(NamedTuple):
    """Of each image, the (n,) position of its nearest training image, the distance, and that over the next ones'."""

    position: Tensor
    distance: Tensor
    relative: Tensor


def nearest_training(images: Tensor, training: ImageSet, *, neighbours: int) -> Nearest:
    """Nearest training images by √(2 − 2 corr), where corr is over pixels and bands; training is read twice, in pieces.

    That is the distance of images that are centred and scaled to unit norm, so that faint images are not all near to
    one another; one that is all the same has no direction and is like none. `relative` is the distance to the nearest
    over the mean of those to the `neighbours` next ones (as Carlini et al. 2023, arXiv:2301.13188, do): 0 for a copy,
    near 1 for an image that is no more like one training image than like others. Twins of the nearest, up to `TWIN`
    from it, are no next ones: what is there many times is learnt by heart first. Blurred images lie nearer to all, so
    their distance says little, but not this ratio.
    """
    mine = _standardised(images)
    nearest, where = _most_alike(mine, training, 1)
    position = where[:, 0].cpu()
    twins = _standardised(training.read(position.tolist()).to(images.device))
    others, _ = _most_alike(mine, training, neighbours, without=twins)
    distance, following = _distance(nearest[:, 0]), _distance(others)
    # Of fewer next ones than asked for the mean is over those that are there; where all are twins, all is copied.
    counted = others > -torch.inf
    mean = torch.where(counted, following, 0).sum(dim=1) / counted.sum(dim=1)
    return Nearest(position, distance.cpu(), torch.where(counted.any(dim=1), distance / mean, 0).cpu())


def _most_alike(
    mine: Tensor, training: ImageSet, count: int, *, without: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The largest correlations (n, count) with training images, and their positions; −∞ for twins of `without`."""
    best = mine.new_empty((len(mine), 0))
    where = torch.empty((len(mine), 0), dtype=torch.int64, device=mine.device)
    for start in range(0, len(training), CHUNK):
        chosen = range(start, min(start + CHUNK, len(training)))
        piece = _standardised(training.read(chosen).to(mine.device)).T
        found = mine @ piece
        if without is not None:
            found[_distance(without @ piece) <= TWIN] = -torch.inf
        best = torch.cat([best, found], dim=1)
        where = torch.cat([where, torch.arange(chosen.start, chosen.stop, device=mine.device).expand_as(found)], 1)
        best, order = best.topk(min(count, best.shape[1]))
        where = where.gather(1, order)
    return best, where


def _distance(correlation: Tensor) -> Tensor:
    return (2 - 2 * correlation).clamp_min(0).sqrt()


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
    centred = flat - flat.mean(dim=1, keepdim=True)
    norm = centred.norm(dim=1, keepdim=True)
    # What rounding leaves of an image that is all the same is no image.
    least = ROUNDING * flat.norm(dim=1, keepdim=True)
    return torch.where(norm > least, centred / norm, 0)
