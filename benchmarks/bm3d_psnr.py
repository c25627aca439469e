"""PSNR of BM3D (Dabov et al. 2007) on held-out images against σ, as a row for a model card.

BM3D is no dependency of this package. Two implementations are used where they are installed: `bm3d`, by the method's
authors, which may be used for non-commercial purposes only; and `bm3d-triton` (BSD), for CUDA devices, which filters
colours one by one and takes images in [0, 1] only, so that noisy images are scaled into it. Noise is that of
`psnr_curve`, so that images and noise are those of the card. With --card the row is written into a denoiser's
description, under "bm3d", with the implementation and the number of images, and the denoiser's own on these images
under "beside_bm3d".

Run: python benchmarks/bm3d_psnr.py --held-out val.zip --size 64 [--images 200] [--card runs/photo64/photo64.json]
"""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from probekit.errors import InputError, ProbeError
from probekit.evaluation.psnr import CARD_SIGMA, psnr_curve
from probekit.images import load
from probekit.models.zoo import amend, describe
from probekit.models.zoo import load as load_denoiser


class Authors(nn.Module):
    """The authors' implementation: all colours together, told σ, on the CPU."""

    def __init__(self, library: Any) -> None:
        super().__init__()
        self.library = library

    def forward(self, y: Tensor, sigma: float) -> Tensor:
        estimates = []
        for image in y.numpy():
            pixels = np.moveaxis(image, 0, -1).astype(np.float64)
            clean = self.library.bm3d_rgb(pixels, sigma) if len(image) == 3 else self.library.bm3d(pixels, sigma)
            estimates.append(np.moveaxis(np.asarray(clean).reshape(pixels.shape), -1, 0))
        return torch.from_numpy(np.stack(estimates).astype(np.float32))


class Triton(nn.Module):
    """The free implementation for CUDA; the noisy image is brought into [0, 1], and σ with it."""

    def __init__(self, library: Any) -> None:
        super().__init__()
        self.library = library

    def forward(self, y: Tensor, sigma: float) -> Tensor:
        low, high = float(y.min()), float(y.max())
        scaled = ((y - low) / (high - low)).cuda()
        clean = self.library.denoise(scaled, sigma=sigma / (high - low), two_step=True)
        return clean.cpu() * (high - low) + low


IMPLEMENTATIONS = {"bm3d": Authors, "bm3d_triton": Triton}


def installed(wanted: str | None) -> tuple[str, nn.Module] | None:
    """The first implementation that can be used."""
    for name, wrapper in IMPLEMENTATIONS.items():
        if wanted in (None, name) and not (name == "bm3d_triton" and not torch.cuda.is_available()):
            try:
                return name, wrapper(importlib.import_module(name))
            except ImportError:
                continue
    return None


def check(path: Path) -> None:
    """Refuse a description without a table of PSNR."""
    card = describe(path.with_suffix(".safetensors"))["card"]
    if not isinstance(card, dict) or not isinstance(card.get("psnr"), dict):
        raise InputError(f"{path} has no table of PSNR: give the .json that probekit train wrote")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--held-out", type=Path, required=True)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--images", type=int, default=200, help="evenly spread over the set")
    parser.add_argument("--implementation", choices=list(IMPLEMENTATIONS))
    parser.add_argument("--card", type=Path, help="a denoiser's .json, to write the row into")
    options = parser.parse_args()
    if options.images < 2:
        parser.error(f"--images {options.images}: a standard error needs at least 2")
    found = installed(options.implementation)
    if found is None:
        print(
            "BM3D is not there: pip install bm3d (for non-commercial use only), or on a GPU pip install bm3d-triton",
            file=sys.stderr,
        )
        return 1
    name, method = found
    try:
        # Before the filter, which takes minutes.
        images = load(options.held_out, size=options.size, crop=options.size)
        own = None
        if options.card is not None:
            check(options.card)
            own = load_denoiser(options.card.with_suffix(".safetensors"))
    except ProbeError as error:
        print(f"bm3d_psnr.py: {error}", file=sys.stderr)
        return 1
    count = min(options.images, len(images))
    some = images.subset(np.linspace(0, len(images) - 1, count).astype(int).tolist())
    curve = psnr_curve(method, some, sigma=CARD_SIGMA, batch_size=20)
    mean, error = curve.mean("image"), curve.std("image", ddof=1) / len(some) ** 0.5
    print(f"{name}, {len(some)} images of {images.name}")
    for level, value, spread in zip(CARD_SIGMA, mean.values, error.values, strict=True):
        print(f"σ = {level:4g}: {value:6.2f} ± {spread:.2f} dB")
    if options.card is not None and own is not None:
        beside = psnr_curve(own, some, sigma=CARD_SIGMA).mean("image").values
        print(f"{own.name}: {', '.join(f'{v:.2f}' for v in beside)} dB")
        row = {
            "beside_bm3d": [round(float(v), 2) for v in beside],
            "bm3d": [round(float(v), 2) for v in mean.values],
            "bm3d_made_by": f"{name}, {len(some)} of the images",
        }
        amend(options.card, lambda card: card["psnr"].update(row))
    return 0


if __name__ == "__main__":
    sys.exit(main())
