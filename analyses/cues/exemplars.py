"""Which two images each cue-conflict image is made of, read from its id or given."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import xarray as xr

from probekit import checks, labels
from probekit import images as image_sources
from probekit.errors import InputError

__all__ = ["Codes", "coded", "named"]

FORM = "SHAPE/SHAPEn-TEXTUREm.jpg, such as cat/cat3-bottle1.jpg"
ONE = r"(?P<{0}>(?P<{0}_class>[^/\d-]+)\d+)"
PATTERN = re.compile(rf"(?:.*/)?{ONE.format('shape')}-{ONE.format('texture')}(?:\.\w+)?", re.DOTALL)
CUES = {"shape": "image that gave the shape", "texture": "image that gave the texture"}
# Exemplars of each cue that an interval over them needs.
LEAST = 10


def named(images: Any, *, shape: Any = None, texture: Any = None) -> xr.Dataset:
    """The exemplars that give each cue-conflict image its shape and its texture, and their classes.

    Parameters
    ----------
    images
        Anything that `probekit.images.load` takes, or φ or descriptors with a coordinate `image`. Ids are of the form
        SHAPE/SHAPEn-TEXTUREm.jpg, as those of Geirhos et al. (*ImageNet-trained CNNs are biased towards texture*, ICLR
        2019): the class of the shape is SHAPE, its exemplar SHAPEn.
    shape, texture
        Instead, the exemplars themselves, one name an image in the images' order; both or neither. Classes are then
        the names without the number at their ends.

    Returns
    -------
    Dataset
        Coordinates `shape`, `texture`, `shape_class` and `texture_class` along `image`.

    Raises
    ------
    InputError
        If an id is of another form, ids occur twice, one of two is given, or there is not one name an image.

    Examples
    --------
    >>> found = named(np.zeros((1, 1, 4, 4)), shape=["cat3"], texture=["bottle1"])
    >>> found.texture_class.item()
    'bottle'
    """
    ids = _ids(images)
    if (shape is None) != (texture is None):
        raise InputError("shape and texture belong together: give both, one name an image, or neither")
    if shape is not None:
        found = {name: _given(name, value, len(ids)) for name, value in (("shape", shape), ("texture", texture))}
        found |= {f"{name}_class": [one.rstrip("0123456789") or one for one in found[name]] for name in CUES}
    else:
        parts = [_parsed(one) for one in ids]
        found = {name: [part[name] for part in parts] for name in (*CUES, "shape_class", "texture_class")}
    said = CUES | {f"{name}_class": f"class of that {name}" for name in CUES}
    coords = {name: ("image", labels.strings(found[name]), {"long_name": said[name]}) for name in said}
    return xr.Dataset(coords={"image": labels.strings(ids), **coords})


def _ids(images: Any) -> list[str]:
    if isinstance(images, xr.Dataset | xr.DataArray) and "image" in images.coords:
        labels.check_ids(images)
        return labels.strings(images["image"].values).tolist()
    return list(image_sources.load(images).ids)


def _given(name: str, value: Any, count: int) -> list[str]:
    wanted = f"the name of the exemplar of each of {count} images"
    value = value.values if isinstance(value, xr.DataArray) else value
    found = checks.listed(name, value, wanted)
    if len(found) != count or not all(isinstance(one, str) and one.strip() for one in found):
        raise InputError(f"{checks.given(name, value)}, {len(found)} of them: give {wanted}")
    return [str(one) for one in found]


def _parsed(one: str) -> dict[str, str]:
    match = PATTERN.fullmatch(one)
    if match is None:
        raise InputError(
            f"the id {checks.shown(one)} does not name a shape and a texture: give ids of the form {FORM}, or "
            "cues.named(images, shape=…, texture=…)"
        )
    return match.groupdict()


class Codes:
    """Codes 0, 1, … of textures, shapes and pairs of both, of images in a given order."""

    def __init__(self, texture: np.ndarray, shape: np.ndarray) -> None:
        self.textures, self.texture = np.unique(texture, return_inverse=True)
        self.shapes, self.shape = np.unique(shape, return_inverse=True)
        self.cell = np.unique(self.texture * len(self.shapes) + self.shape, return_inverse=True)[1]

    @property
    def largest(self) -> int:
        """Images of the largest cell: those that share both cues."""
        return int(np.bincount(self.cell).max())


def coded(exemplars: Any, ids: np.ndarray) -> Codes:
    """The codes of images of these ids, found fit for shares and intervals.

    Raises
    ------
    InputError
        If `exemplars` is not what `named` returns or lacks images, exemplars are fewer than ten, or no two images
        share one cue and not the other.
    """
    good = isinstance(exemplars, xr.Dataset) and "image" in exemplars.coords
    if not good or any(name not in exemplars.coords or exemplars[name].dims != ("image",) for name in CUES):
        raise InputError(f"{checks.given('exemplars', exemplars)}: give what cues.named returns, or None")
    labels.check_ids(exemplars, of="exemplars")
    known = {one: i for i, one in enumerate(labels.strings(exemplars["image"].values))}
    lacking = [one for one in ids if one not in known]
    if lacking:
        raise InputError(f"exemplars lack {len(lacking)} images, such as {lacking[0]}: give cues.named of all images")
    at = [known[one] for one in ids]
    values = {name: labels.classes(exemplars, name, of="exemplars", least=1)[at] for name in CUES}
    codes = Codes(values["texture"], values["shape"])
    for name, one, count in (
        ("texture", codes.texture, len(codes.textures)),
        ("shape", codes.shape, len(codes.shapes)),
    ):
        if count < LEAST:
            raise InputError(
                f"{count} exemplars of {name}: intervals over them need {LEAST} at least, give more images"
            )
        if not (np.bincount(one)[one] > np.bincount(codes.cell)[codes.cell]).any():
            raise InputError(f"no two images share a {name} alone: give several images of each exemplar")
    return codes
