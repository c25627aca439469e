"""What one would write without the package: φ at the middle block of the paper's UNet, stopped there."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from probekit.models.unet import UNet

__all__ = ["means_at_mid", "phi_by_hand"]


def means_at_mid(model: UNet, y: Tensor) -> Tensor:
    """Channel means at the middle block of noisy images, the forward pass written out as far as that."""
    for block in model.encoder:
        y = nn.functional.avg_pool2d(block(y), 2)
    return model.middle(y).mean((2, 3))


def phi_by_hand(model: UNet, x: Tensor, *, sigma: float, batch: int) -> Tensor:
    """One noise draw of φ of clean images, batch by batch."""
    with torch.no_grad():
        return torch.cat([means_at_mid(model, clean + sigma * torch.randn_like(clean)) for clean in x.split(batch)])
