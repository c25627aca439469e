"""The built-in image set: crops of the photographs that scikit-image and scikit-learn carry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from importlib import import_module
from typing import Any

import numpy as np
from PIL import Image

from probekit.checks import given, is_real, plain
from probekit.errors import InputError
from probekit.images.arrays import from_array
from probekit.images.decode import Preparation
from probekit.images.imageset import ImageSet
from probekit.images.resize import centre

__all__ = ["builtin_samples", "photographs"]

GRIDS = (1, 2, 4)
SKIMAGE = (
    "astronaut",
    "brick",
    "camera",
    "chelsea",
    "coffee",
    "coins",
    "grass",
    "gravel",
    "hubble_deep_field",
    "immunohistochemistry",
    "moon",
    "page",
    "retina",
    "rocket",
)
SKLEARN = ("china", "flower")


def builtin_samples(size: Any, bands: int = 3) -> ImageSet:
    """The built-in photographs' crops as an image set, of three bands or, in grey, of one.

    Raises
    ------
    InputError
        If they do not come in this size, or scikit-image is not installed.
    """
    size = plain(size)
    if not is_real(size) or size not in (32, 64):
        raise InputError(f"the built-in samples come as 64×64 or 32×32, not {given('size', size)}: give 64 or 32")
    pixels, ids, labels = photographs(size, bands)
    grey = " grey" if bands == 1 else ""
    made = f"area averages of the central square, crops {size}×{size}, {'RGB' if bands == 3 else 'grey'} / 255"
    return replace(from_array(pixels, f"samples {size}×{size}{grey}"), ids=ids, labels=labels, preparation=made)


@cache
def photographs(size: int, bands: int = 3) -> tuple[np.ndarray, tuple[str, ...], tuple[str, ...]]:
    """Crops of the 17 photographs at three scales, with their ids and labels.

    The central square of each photograph is reduced, and never enlarged, to 1, 2 and 4 times `size`, every value the
    mean of the area that it covers, and cut into 1, 4 and 16 crops.

    Returns
    -------
    tuple
        (pixels, float32 (N, bands, size, size) in [0, 1], read-only; ids such as "coffee/4x4/r1c2"; labels, the
        photographs' names)

    Raises
    ------
    InputError
        If scikit-image is not installed.
    """
    pixels, ids, labels = [], [], []
    for name, open_photograph in sorted(_sources().items()):
        photograph = np.asarray(Image.fromarray(open_photograph()).convert("RGB"))
        rows, cols = photograph.shape[:2]
        edge = min(rows, cols)
        middle = photograph[centre(rows, cols, (edge, edge))]
        for n in GRIDS:
            side = n * size
            if edge < side:
                continue
            square = Preparation((side, side), None, bands).prepared(middle)
            for r in range(n):
                for c in range(n):
                    pixels.append(square[:, r * size : (r + 1) * size, c * size : (c + 1) * size])
                    ids.append(f"{name}/{n}x{n}/r{r}c{c}")
                    labels.append(name)
    stacked = np.stack(pixels)
    stacked.flags.writeable = False
    return stacked, tuple(ids), tuple(labels)


def _sources() -> dict[str, Callable[[], np.ndarray]]:
    try:
        data = import_module("skimage.data")
    except ImportError as error:
        raise InputError(
            "the built-in samples are scikit-image's photographs: install them with "
            'pip install "probekit-denoisers[samples]"'
        ) from error
    sklearn_image = import_module("sklearn.datasets").load_sample_image
    return (
        {name: getattr(data, name) for name in SKIMAGE}
        | {"motorcycle": lambda: data.stereo_motorcycle()[0]}
        | {name: partial(sklearn_image, f"{name}.jpg") for name in SKLEARN}
    )
