"""Small networks, images and conditions that tests of sampling share."""

from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor, nn

import probekit
from analyses import sampling
from probekit.synthetic.patch_model import PatchModel

LEVELS = [1.0, 0.3, 0.1, 0.03]
SHAPE = (1, 8, 8)
METHODS = ["langevin", "algorithm1", "adaptive", "guidance", "score", "unconditional", "particles"]


def patches() -> PatchModel:
    return PatchModel([1.0], [[0.2, 0.05, 0.01, 0]]).double()


def drawn(model: PatchModel) -> xr.DataArray:
    return model.draw(3, rows=8, cols=8, seed=0).images


def measured(model: nn.Module, images: Any, *, tap: str = "mid", **options: Any) -> xr.Dataset:
    return probekit.tap(model, tap)(images, **{"sigma": LEVELS, "draws": 2, **options})


def made(model: nn.Module, condition: Any, *, tap: str = "mid", shape: Any = None, **options: Any) -> xr.Dataset:
    """Samples at a few levels, two of each condition; with a shape the condition is φ."""
    given = {"sigmas": LEVELS, "n_samples": 2, "progress": False, **options}
    looking = probekit.tap(model, tap)
    if shape is not None:
        condition = sampling.Condition.from_phi(looking, condition, given["sigmas"], shape=shape)
    return sampling.reconstruct(model, looking, condition, **given)


class Plain(nn.Module):
    """Three convolutions; what `seen` makes of the noisy image can be tapped."""

    def __init__(self, seen: nn.Module | None = None, bands: int = 1) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.net = nn.Sequential(
                nn.Conv2d(bands, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1), nn.ReLU()
            )
            self.last = nn.Conv2d(4, bands, 3, padding=1)
        self.seen = nn.Identity() if seen is None else seen

    def forward(self, y: Tensor) -> Tensor:
        self.seen(y)
        return 0.5 * y + 0.1 * self.last(self.net(y))


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).random(shape, np.float32)
