"""Images without colour, brightness and contrast, so that none of these tells them apart."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from torch import Tensor

from probekit import checks
from probekit import images as image_sources
from probekit.errors import InputError
from probekit.images import ImageSet
from probekit.images.arrays import luminance
from probekit.images.parts import Made
from probekit.naming import named

__all__ = ["CONTRAST", "equalised"]

# Mean of equalised images, and their standard deviation.
MEAN, CONTRAST = 0.5, 0.15
# A step of 8 bits: what varies by less shows the rounding of its file.
FLAT = 1 / 255
BATCH = 256
# No network takes more planes.
MOST_BANDS = 4096


def equalised(images: Any, *, bands: int | None = None, sd: float = CONTRAST) -> ImageSet:
    """The same images without colour, brightness and contrast: grey, each of mean 0.5 and one standard deviation.

    Grey is luminance by the weights of ITU-R 601 of three bands, and the mean of other numbers of them. Intensities are
    not clipped, since that would change mean and contrast again: by Chebyshev's inequality at most a share (sd/0.5)² of
    an image's pixels, 9 % for 0.15, lie outside [0, 1], which noisy images leave as well.

    Parameters
    ----------
    images
        Anything that `probekit.images.load` takes.
    bands
        Equal bands to give, as a network takes them; by default as many as the images have.
    sd
        The standard deviation of each.

    Returns
    -------
    ImageSet
        Under the same ids and labels.

    Raises
    ------
    InputError
        If an image has no contrast (a standard deviation below 1/255), or an option is out of its range.

    Examples
    --------
    >>> import numpy as np
    >>> grey = equalised(np.random.default_rng(0).random((2, 3, 8, 8))).read([0, 1])
    >>> [round(x.item(), 3) for x in (grey.mean(), grey[0].std(correction=0), grey[0, 0, 0, 0] - grey[0, 1, 0, 0])]
    [0.5, 0.15, 0.0]
    """
    sd = checks.number("sd", sd, "a standard deviation of intensities above 0, e.g. 0.15", good=lambda v: 0 < v <= 1)
    source = image_sources.load(images)
    count = source.shape[0] if bands is None else checks.whole("bands", bands, least=1, most=MOST_BANDS)
    flat = []
    for start in range(0, len(source), BATCH):
        batch = range(start, min(start + BATCH, len(source)))
        spread = luminance(source.read(batch)).std(dim=(2, 3), correction=0).flatten()
        flat += [source.ids[i] for i, contrast in zip(batch, spread.tolist(), strict=True) if contrast < FLAT]
    if flat:
        raise InputError(
            f"{named(flat)} of {source.name} have no contrast that could be made equal (standard deviation of "
            "luminance below 1/255): leave them out"
        )

    return replace(
        source,
        name=f"{source.name}, equalised",
        shape=(count, *source.shape[1:]),
        preparation=f"{source.preparation}; grey of mean {MEAN:g} and deviation {sd:g}",
        _read=Made(source, partial(_equal, bands=count, sd=sd)),
        _sums=None,
    )


def _equal(batch: Tensor, *, bands: int, sd: float) -> Tensor:
    """Grey images of one mean and deviation."""
    grey = luminance(batch).double()
    centred = grey - grey.mean(dim=(2, 3), keepdim=True)
    equal = MEAN + sd * centred / centred.square().mean(dim=(2, 3), keepdim=True).sqrt()
    return equal.float().expand(-1, bands, -1, -1).contiguous()
