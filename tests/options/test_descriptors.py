"""What descriptors refuse of images and options, in words that say how to mend it."""

from typing import Any

import numpy as np
import pytest
import xarray as xr

from analyses import descriptors
from analyses.descriptors import as_representation, descriptor
from probekit.errors import InputError

IMAGES = np.random.default_rng(0).random((5, 3, 8, 8)).astype(np.float32)
WRONG: list[tuple[Any, str]] = [
    (lambda: descriptor("wavelets", IMAGES), "kind='wavelets': give one of pixels, pca, colour, gist"),
    (lambda: descriptor("pixels", IMAGES, bins=2), "pixels takes no bins"),
    (lambda: descriptors.colour(IMAGES, bins=1), "bins=1 for 3 bands: give at least 2"),
    (lambda: descriptors.colour(IMAGES, bins=100), "bins=100 for 3 bands"),
    (lambda: descriptors.gist(IMAGES, grid=9), "grid=9 on images of 8×8 pixels"),
    (lambda: descriptors.gist(IMAGES, scales=0), "scales=0: give a whole number ≥ 1"),
    (lambda: descriptors.pca(IMAGES, n_components=6), "n_components=6 of 5 training images"),
    (lambda: descriptors.pca(IMAGES, train=IMAGES[:, :1], n_components=2), "training images have shape (1, 8, 8)"),
    (lambda: descriptor(None, IMAGES), "kind=None: give one of pixels"),  # type: ignore[arg-type]
    (lambda: descriptor("pca", IMAGES, n_components=2, seed=-1), "seed=-1: give a whole number ≥ 0"),
    (lambda: descriptor("gist", IMAGES, grid=2.5), "grid=2.5: give a whole number ≥ 1"),  # type: ignore[arg-type]
    (lambda: descriptors.gist(IMAGES, orientations=0), "orientations=0: give a whole number ≥ 1"),
    (lambda: descriptors.gabor(IMAGES, scales=0), "scales=0: give a whole number ≥ 1"),
    (lambda: descriptors.gabor(IMAGES, scales=33), "scales=33: give 32 at most"),
    (lambda: descriptors.gabor(IMAGES, scales=30, orientations=10**5), "scales=30 and orientations=100000 make"),
    (lambda: descriptors.gist(IMAGES, grid=0), "grid=0: give a whole number ≥ 1"),
    (lambda: descriptors.colour(IMAGES, bins="4"), "bins='4': give a whole number ≥ 1"),  # type: ignore[arg-type]
    (lambda: descriptors.pca(IMAGES, n_components=0), "n_components=0: give a whole number ≥ 1"),
    (lambda: descriptors.pca(IMAGES, n_components=2, seed=1.5), "seed=1.5: give a whole number"),  # type: ignore[arg-type]
    (lambda: descriptors.pca(IMAGES[:1].repeat(5, 0), n_components=2), "the 5 training images are all the same"),
    (lambda: descriptors.pixels(3), "images"),
    (lambda: descriptors.analyse(3), "images"),
    (lambda: descriptors.analyse(IMAGES, kinds=[]), "kinds is empty: give some of pixels, pca, colour, gist"),
    (lambda: descriptors.analyse(IMAGES, kinds=["hog"]), "kinds='hog': give one of pixels, pca, colour, gist"),
    (lambda: descriptors.analyse(IMAGES, kinds=3), "kinds=3: give some of pixels"),  # type: ignore[arg-type]
    (lambda: descriptors.analyse(IMAGES, train=IMAGES[:, :1]), "training images have shape (1, 8, 8)"),
    (lambda: descriptors.analyse(IMAGES, n_components=9), "n_components=9 of 5 training images"),
    (lambda: descriptors.analyse(IMAGES, n_components=True), "n_components=True: give a whole number ≥ 1"),
    (lambda: descriptors.analyse(IMAGES, kinds=["pca"], seed=-1), "seed=-1: give a whole number ≥ 0"),
    (lambda: descriptors.analyse(IMAGES, kinds=["colour"], seed=-1), "seed=-1: give a whole number ≥ 0"),
    (lambda: as_representation(descriptors.pixels(IMAGES).astype(str)), "features are of type <U"),
    (lambda: as_representation(IMAGES), "features are ndarray"),  # type: ignore[arg-type]
    (lambda: as_representation(xr.DataArray(np.zeros((2, 2)), dims=("image", "feature"))), "features have no ids"),
    (lambda: as_representation(descriptors.pixels(IMAGES), sigma=-1), "sigma=-1: give a noise standard"),
    (lambda: as_representation(descriptors.pixels(IMAGES) * np.nan), "features hold NaN"),
    (lambda: as_representation(descriptors.pixels(IMAGES).isel(image=[0, 0])), "ids of images occur more than once"),
]


@pytest.mark.parametrize(("call", "message"), WRONG, ids=[f"{n} {message}" for n, (_, message) in enumerate(WRONG)])
def test_what_cannot_be_used_is_refused_by_name(call: Any, message: str) -> None:
    with pytest.raises(InputError) as raised:
        call()
    assert message in str(raised.value)
