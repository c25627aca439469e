"""Images that a command is asked for by kind, number and seed, and that come from no files."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from probekit.errors import InputError
from probekit.machine.memory import refuse_array

if TYPE_CHECKING:
    from probekit.images import ImageSet

__all__ = ["is_procedural", "procedural_called"]

# Rows and columns where none are asked for.
SIDES = {"shapes": 32, "ovals": 80, "ovals-grid": 80}


def is_procedural(name: str) -> bool:
    """Whether it names procedural images."""
    return name.partition(":")[0] in SIDES


def procedural_called(name: str, *, size: int | None = None, crop: int | None = None, bands: int = 3) -> ImageSet:
    """The images of KIND:COUNT or KIND:COUNT:SEED; without a seed, that is 0.

    KIND is "shapes", "ovals", or "ovals-grid" for the finer grid of aspects, each in turn.

    Raises
    ------
    InputError
        If there are none of such a name, or of such a size or number of bands.
    """
    kind, *given = name.split(":")
    if not 1 <= len(given) <= 2 or not all(part.isdecimal() and len(part) < 20 for part in given):
        raise InputError(f"{name}: write {kind}:COUNT or {kind}:COUNT:SEED, e.g. {kind}:1000, for procedural images")
    count, seed = int(given[0]), int(given[-1]) if len(given) > 1 else 0
    if count < 1:
        raise InputError(f"{name}: give one image at least, e.g. {kind}:1000")
    if kind == "shapes" and bands != 3:
        raise InputError(f"{name}: procedural images are drawn in colour: give files for a grey network, or --bands 3")
    size = SIDES[kind] if size is None else size
    side = size if crop is None else crop
    if side > size:
        raise InputError(f"{name}: --crop {side} is larger than the images of {size}×{size}: give less, or a --size")
    if kind == "shapes":
        return replace(_shapes(name, count, seed, size, side), name=name)
    if side < size:
        raise InputError(f"{name}: --crop {side} would cut ovals: leave it out, or give --size {side}")
    return replace(_ovals(name, count, seed, size, bands), name=name)


def _shapes(name: str, count: int, seed: int, size: int, side: int) -> ImageSet:
    """Images with named factors, drawn at once; cut to a square in the middle."""
    from probekit.images import load
    from probekit.synthetic import shapes

    refuse_array((count, 3, size, size), 4, hint=f"{name}: give fewer images, or a smaller --size")
    start = (size - side) // 2
    cut = {dim: slice(start, start + side) for dim in ("row", "col")}
    return load(shapes.draw(count, size=size, seed=seed).images.isel(cut))


def _ovals(name: str, count: int, seed: int, size: int, bands: int) -> ImageSet:
    """Images of ovals, each drawn when it is read."""
    import numpy as np

    from probekit.synthetic import ovals

    refuse_array((count, 6 * ovals.COUNT), 8, hint=f"{name}: give fewer images")
    grid = np.resize(ovals.GRID, count) if name.startswith("ovals-grid:") else None
    try:
        return ovals.image_set(ovals.draw_settings(count, size=size, seed=seed, aspect=grid), size=size, bands=bands)
    except InputError as error:
        raise InputError(f"{name}: {error}") from error
