"""Calls of what reads and keeps images: image sets, their ids, and stores."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pandas as pd
import torch
from PIL import Image

import probekit
from probekit.images import ImageSet, concatenate, load
from tests.odd import FLAGS, FUNCTIONS, IMAGES, NOTHING, NUMBERS, TEXTS, WHOLES, Call
from tests.options.odd_taps import MEASURED, PICTURES, TAP

IMAGE_SET = load(PICTURES)


def stored() -> str:
    """A store in the folder here."""
    if not Path("good.zarr").exists():
        TAP(PICTURES, sigma=0.1, draws=1, progress=False, store="good.zarr")
    return "good.zarr"


def picture() -> str:
    """An image file in the folder here."""
    Image.new("RGB", (8, 8)).save("good.png")
    return "good.png"


# What reads as images of any size.
SOURCES = IMAGES | {"an array of 4 dims of NaN"}
# One for each of two images.
IDS = NOTHING | {
    "a list of mixed",
    "an iterator",
    "an array of texts",
    "an array of object texts",
    "a DataArray of one dim",
    "a Categorical",
    "a Series",
    "a masked array",
    "a ragged list",
}
INDICES = {
    "an empty list",
    "an empty tuple",
    "an empty array",
    "an empty DataArray",
    "a slice",
    "an array of one whole number",
}
NAMES = (
    TEXTS
    | WHOLES
    | FLAGS
    | {"0.0", "bytes", "an Enum", "a tensor of a True", "an array of no dims", "a DataArray of no dims"}
)
MISSING = NOTHING | {
    "NaN",
    "NA",
    "NaT",
    "np.float32 NaN",
    "an array of a NaN",
    "a tensor of a NaN",
    "an empty text",
    # It is empty.
    "a text that raises in repr",
}
# Of the images there are, or of none.
CHOSEN = (NOTHING | WHOLES | NUMBERS | INDICES | {"an empty tensor"}) - {"a slice"}

CALLS: dict[str, Call] = {
    "probekit.open": Call(probekit.open, lambda: {"path": stored()}),
    "probekit.Tap.__call__: images": Call(
        partial(probekit.Tap.__call__, TAP),
        MEASURED | {"draws": 1, "progress": False},
        {"images": IMAGES, "ids": IDS},
        only={"images", "ids"},
    ),
    "probekit.Tap.maps: images": Call(
        partial(probekit.Tap.maps, TAP), MEASURED, {"images": IMAGES, "ids": IDS}, only={"images", "ids"}
    ),
    "probekit.images.load": Call(
        load,
        {
            "source": PICTURES,
            "size": None,
            "crop": None,
            "bands": 3,
            "ids": None,
            "labels": None,
            "skip_bad": False,
            "check": "all",
        },
        {
            "source": SOURCES,
            "size": NOTHING,
            "crop": NOTHING,
            "ids": IDS,
            "labels": IDS | {"a list of the same text"},
            "skip_bad": {"False"},
        },
    ),
    "probekit.Tap.estimate: images": Call(
        partial(probekit.Tap.estimate, TAP),
        {name: value for name, value in MEASURED.items() if name != "seed"},
        {"images": IMAGES, "ids": IDS},
        only={"images", "ids"},
    ),
    "probekit.images.ImageSet.sel": Call(
        partial(ImageSet.sel, IMAGE_SET), {"image": "0", "label": None}, {"image": CHOSEN, "label": NOTHING}
    ),
    "probekit.images.load: of files": Call(
        load,
        {"source": PICTURES, "background": None, "frame": None, "path": None, "label": None, "root": None},
        dict.fromkeys(("background", "frame", "path", "label", "root"), NOTHING),
        only={"background", "frame", "path", "label", "root"},
    ),
    "probekit.images.load: names": Call(
        lambda one, kind: load(PICTURES, ids=[one, "b"], labels=[kind, "b"]),
        {"one": "a", "kind": "a"},
        {"one": NAMES, "kind": NAMES | MISSING},
    ),
    "probekit.images.load: files": Call(
        lambda file, column: (
            load([file], ids=["a"]) if column is None else load(pd.DataFrame({"a": ["a"]}), path=column)
        ),
        lambda: {"file": picture(), "column": None},
        {"column": NOTHING},
    ),
    "probekit.images.load: samples": Call(
        load,
        {"source": "samples", "size": None, "bands": 3},
        {"size": NOTHING, "bands": WHOLES | {"an array of no dims", "a DataArray of no dims"}},
        only={"size", "bands"},
    ),
    "probekit.images.concatenate": Call(concatenate, {"sets": [IMAGE_SET]}),
    "probekit.images.ImageSet.read": Call(
        partial(ImageSet.read, IMAGE_SET), {"indices": [0]}, {"indices": INDICES | {"an array of uint8"}}
    ),
    "probekit.images.ImageSet.subset": Call(
        partial(ImageSet.subset, IMAGE_SET), {"indices": [0]}, {"indices": INDICES}
    ),
    "probekit.images.ImageSet.watched": Call(
        partial(ImageSet.watched, IMAGE_SET), {"look": torch.mean}, {"look": FUNCTIONS}, then=lambda s: s.read([0])
    ),
}
