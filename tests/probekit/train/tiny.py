"""Tiny networks, images and runs that tests of training share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from probekit.denoising.denoiser import Denoiser
from probekit.images import ImageSet, load
from probekit.models.unet import UNet
from probekit.train import Recipe, train
from probekit.train.run import Run

CPU = torch.device("cpu")
TINY = {"channels": (4, 8), "encoder_convs": (2,), "middle_convs": 1, "decoder_convs": (2,)}
SHORT = Recipe(steps=8, batch_size=5, lr=1e-2, ema=0.5)


def network(seed: int = 0, **options: Any) -> UNet:
    torch.manual_seed(seed)
    return UNet(**(TINY | options))


def toys(n: int = 12, seed: int = 0) -> ImageSet:
    """Images of one colour each: the easiest there are to denoise."""
    colours = np.random.default_rng(seed).integers(0, 256, (n, 3, 1, 1), dtype=np.uint8)
    return load(np.broadcast_to(colours, (n, 3, 8, 8)).copy())


def quietly(model: nn.Module, recipe: Recipe = SHORT, **options: Any) -> Denoiser:
    options.setdefault("images", toys())
    return train(model, options.pop("images"), recipe=recipe, device="cpu", progress=False, **options)


def log_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def differing(a: dict[str, Tensor], b: dict[str, Tensor]) -> dict[str, float]:
    """The tensors that are not equal, with the largest difference."""
    assert a.keys() == b.keys()
    return {k: float((a[k] - b[k]).abs().max()) for k in a if not torch.equal(a[k], b[k])}


class Recording(nn.Module):
    """A denoiser of two weights that is told σ, and keeps what it was given and what it made of it."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(0.5))
        self.offset = nn.Parameter(torch.tensor(0.1))

    def forward(self, y: Tensor, sigma: Tensor) -> Tensor:
        estimate = self.gain * y + self.offset
        self.y, self.sigma, self.estimate = y.detach(), sigma.detach(), estimate.detach()
        return estimate


def run_of(model: nn.Module, recipe: Recipe, sigma_to: Any = "sigma") -> Run:
    return Run(Denoiser(model, sigma_to=sigma_to), recipe, CPU)


# The loss and what it is taken over


def noise_free(n: int = 7, rows: int = 4, cols: int = 6) -> Tensor:
    return torch.randint(0, 256, (n, 3, rows, cols), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def checkpoint(folder: Path) -> dict[str, Tensor]:
    return load_file(folder / "checkpoint.safetensors")
