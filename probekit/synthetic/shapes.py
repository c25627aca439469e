"""Procedural images with named, graded factors: what an image means, and how alike two are, is known.

An image shows `count` equal objects of one `shape`, `aspect` and `hue` before a grey background with a pattern.
Eleven factors describe it (`FACTORS`); each is drawn independently of the others and each can be set alone:

=============  ========================================  ==========================================
factor         values                                    what it is in the image
=============  ========================================  ==========================================
shape          disc, square, triangle, cross, star       outline of every object
count          1, 2, 3, 4, 5                             number of objects, none touching another
area           [0.045, 0.09] of the image                of all objects together
aspect         [-0.6, 0.6] octaves                       log₂ of an object's width over its height
hue            [0, 1) turns, circular                    of the objects, as in HSV; pure colours
position_row   [0.375, 0.625] of the side, from the top  centroid of all objects
position_col   [0.375, 0.625], from the left             the same
texture        stripes, checks, rings                    pattern of the background
frequency      [2, 6] cycles per side                    spatial frequency of the pattern
contrast       [0.05, 0.3] of intensity                  amplitude of the pattern
brightness     [0.3, 0.7] of intensity                   grey level that the pattern swings about
=============  ========================================  ==========================================

The area is that of all objects, so that the mean colour does not tell their number. Every object's colour has one
band at 1 and one at 0 while the background is grey: the range over the bands of a pixel is the share of it that
objects cover, and every factor can be measured in the image.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from probekit import labels
from probekit.checks import seeded, whole
from probekit.machine.memory import refuse_array
from probekit.synthetic.drawing import background, coverage, hue_to_rgb
from probekit.synthetic.shape_distances import distance, factor_distances
from probekit.synthetic.shape_factors import FACTORS, Factor, Settings, tabulate

__all__ = ["FACTORS", "Factor", "ShapeData", "distance", "draw", "draw_settings", "factor_distances", "render"]

# The finest pattern, 6 cycles per side, keeps below half the sampling rate.
SMALLEST = 16
# Images drawn together: few enough that what is computed on the way stays in a core's cache.
BLOCK = 16


class ShapeData(NamedTuple):
    """Images and what is true of them.

    Attributes
    ----------
    images : DataArray
        (image, band, row, col), float32 in [0, 1], red, green and blue; its coordinate `label` is the shape.
    truth : Dataset
        One variable (image) per factor; take it as ``truth["count"]``, since Datasets have methods of such names.
    """

    images: xr.DataArray
    truth: xr.Dataset


def draw(n: int, *, size: int = 32, seed: int, **fixed: Any) -> ShapeData:
    """Draw images with factors that are independent and uniform, but for those that are fixed.

    Parameters
    ----------
    n
        Number of images, at least 1.
    size
        Rows, and columns, of an image, at least 16.
    seed
        Non-negative integer. Image i depends on the seed, on i and on what is fixed, not on n; fixing one factor
        leaves the others as they were.
    **fixed
        Factors to set: one value for all images, or one per image.

    Returns
    -------
    ShapeData
        images (image, band, row, col) and truth (image), with ids "0", "1", …

    Raises
    ------
    InputError
        If a factor is unknown, out of its range or not of length n, or n, size or seed cannot be used.

    Examples
    --------
    >>> images, truth = draw(3, seed=0, shape="star", count=[1, 2, 5])
    >>> images.shape, truth["count"].values.tolist()
    ((3, 3, 32, 32), [1, 2, 5])
    """
    size = whole("size", size, least=SMALLEST)
    truth = draw_settings(n, seed=seed, **fixed)
    return ShapeData(render(truth, size=size), truth)


def draw_settings(n: int, *, seed: int, **fixed: Any) -> xr.Dataset:
    """Draw factors without drawing the images; parameters, result and errors as `draw`'s truth.

    Examples
    --------
    >>> bool(draw_settings(2, seed=0).equals(draw_settings(5, seed=0).isel(image=[0, 1])))
    True
    """
    n, seed = whole("n", n, least=1), seeded(seed)
    refuse_array((n, 2 * len(FACTORS)), 8, hint="give fewer images")
    # Row by row: however many images there are, each has the same numbers, a column for each factor.
    uniform = np.random.default_rng(seed).random((n, len(FACTORS)))
    drawn = {name: factor.quantile(u) for (name, factor), u in zip(FACTORS.items(), uniform.T, strict=True)}
    return tabulate(drawn | fixed, n=n).assign_attrs(seed=seed)


def render(settings: Settings, *, size: int = 32) -> xr.DataArray:
    """Draw the images that settings describe: the same settings always give the same bits.

    A pixel is the exact mean over its square of the objects' outline, so that an image is a continuous function of
    every factor that is: y = m c + (1 − m)(b + a p), m the covered share, c the objects' colour, b the brightness,
    a the contrast and p the pattern in [−1, 1] at the pixel's centre.

    Parameters
    ----------
    settings
        A Dataset such as `draw` gives, or a mapping from every factor to one value or one value per image.
    size
        Rows, and columns, of an image, at least 16; five objects are told apart from 32 on.

    Returns
    -------
    DataArray
        (image, band, row, col), float32 in [0, 1], with the coordinate `label`, the shape.

    Raises
    ------
    InputError
        If a factor is unknown, missing, out of its range or not of one length, or size is below 16.

    Examples
    --------
    >>> one = draw_settings(1, seed=0)
    >>> render({**one, "hue": [0.0, 1 / 3, 2 / 3]}).sizes["image"]
    3
    """
    size = whole("size", size, least=SMALLEST)
    truth = tabulate(settings)
    pixels = _pixels({str(name): truth[name].values for name in truth.data_vars}, size)
    coords: dict[str, Any] = {"image": truth["image"].variable, "band": np.array(["red", "green", "blue"], object)}
    coords |= {"row": np.arange(size), "col": np.arange(size)}
    coords["label"] = xr.Variable("image", truth["shape"].values, {"long_name": labels.COORDINATES["label"]})
    attrs = {**truth.attrs, "long_name": "procedural image", "units": "intensity"}
    if isinstance(settings, xr.Dataset):
        attrs |= {key: settings.attrs[key] for key in ("seed",) if key in settings.attrs}
    return xr.DataArray(pixels, dims=("image", "band", "row", "col"), coords=coords, name="shapes", attrs=attrs)


def _pixels(truth: Mapping[str, np.ndarray], size: int) -> np.ndarray:
    refuse_array((len(truth["shape"]) + 8 * BLOCK, 3, size, size), 4, hint="give fewer images, or a smaller size")
    pixels = np.empty((len(truth["shape"]), 3, size, size), np.float32)
    centroid = np.stack([truth["position_row"], truth["position_col"]], axis=1)
    for kind, block in _blocks(truth["shape"], truth["count"], truth["texture"]):
        shape, count, texture = kind
        covered = coverage(shape, count, truth["area"][block], truth["aspect"][block], centroid[block], size=size)
        pattern = background(texture, truth["frequency"][block], size=size)
        pattern *= truth["contrast"][block, None, None]
        pattern += truth["brightness"][block, None, None]
        pattern *= 1 - covered
        colour = hue_to_rgb(truth["hue"][block])[:, :, None, None]
        pixels[block] = covered[:, None] * colour + pattern[:, None]
    return pixels


def _blocks(*kinds: np.ndarray) -> Iterable[tuple[tuple[Any, ...], np.ndarray]]:
    """Positions of images that are alike in all of these factors, few at a time."""
    groups: dict[tuple[Any, ...], list[int]] = {}
    for i, kind in enumerate(zip(*(values.tolist() for values in kinds), strict=True)):
        groups.setdefault(kind, []).append(i)
    for kind, members in groups.items():
        for start in range(0, len(members), BLOCK):
            yield kind, np.array(members[start : start + BLOCK])
