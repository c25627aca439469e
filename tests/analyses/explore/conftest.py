"""Explorers that tests look at: a small network on images whose names are as hostile as names can be."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import probekit
from analyses.explore import Explorer
from probekit.images import ImageSet
from probekit.models.unet import UNet

HOSTILE = (
    "<script>alert(1)</script>",
    "a\"b'c`d",
    "line\nbreak",
    "\u202eright to left",
    "</script><img src=x onerror=alert(2)>",
    "comma, and=equals:colon#hash%25",
    "日本語 φ σ",
    "\\u003cb\\u003e{{7*7}}${7*7}",
)
SIGMA = (0.1, 0.3, 1.0)


def pictures(count: int, size: int = 8, bands: int = 3) -> np.ndarray:
    return torch.rand(count, bands, size, size, generator=torch.Generator().manual_seed(0)).numpy()


def network() -> UNet:
    torch.manual_seed(1)
    return UNet((4, 8), encoder_convs=(1,), middle_convs=1, decoder_convs=(2,)).eval()


@pytest.fixture(scope="session")
def images() -> ImageSet:
    ids = [*HOSTILE, *(f"image{k}" for k in range(40 - len(HOSTILE)))]
    labels = [HOSTILE[0] if k % 2 else "plain & simple" for k in range(40)]
    return probekit.images.load(pictures(40), ids=ids, labels=labels)


@pytest.fixture(scope="session")
def explorer(images: ImageSet) -> Explorer:
    return probekit.explore(
        network(),
        images,
        sigma=SIGMA,
        draws=3,
        detailed=4,
        title=HOSTILE[4],
        command=f"probekit explore '{HOSTILE[0]}'",
        code={"load": "denoiser = ...  # ours", "images": "images = ...  # theirs"},
        progress=False,
    )
