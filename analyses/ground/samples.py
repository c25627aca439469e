"""What analyses are asked about: a network by whatever names it, and so many of the images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from probekit.checks import given, whole
from probekit.denoising.denoiser import as_denoiser
from probekit.errors import InputError
from probekit.models import zoo

if TYPE_CHECKING:
    from torch import nn

    from probekit.images import ImageSet

__all__ = ["as_network", "drawn_images"]


def as_network(denoiser: Any) -> nn.Module:
    """A denoiser of a bundled name, a path, or a module.

    Raises
    ------
    InputError
        If it is something else.
    """
    from torch import nn

    if isinstance(denoiser, nn.Module):
        return as_denoiser(denoiser)
    if not isinstance(denoiser, str | Path):
        raise InputError(f"{given('denoiser', denoiser)}: give a bundled name, a path or a module")
    return zoo.load(denoiser)


def drawn_images(images: ImageSet, most: int | None, seed: int) -> ImageSet:
    """At most so many images, at random, in the order of their ids: the same ones whatever order they come in."""
    order = sorted(range(len(images)), key=lambda i: images.ids[i])
    if most is not None and whole("n_images", most, least=1) < len(order):
        drawn = np.random.default_rng(seed).permutation(len(order))[:most]
        order = [order[i] for i in sorted(drawn.tolist())]
    return images.subset(order)
