"""Denoisers whose residual is known in closed form."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn


class Scaled(nn.Module):
    """D(y) = g y, blind: g = 0 gives nothing back, g = 1 the noisy image."""

    def __init__(self, gain: float) -> None:
        super().__init__()
        self.gain = gain

    def forward(self, y: Tensor) -> Tensor:
        return self.gain * y


class Shifted(nn.Module):
    """D(y) = y − c σ, told σ: its residual is c σ at every pixel."""

    data_range: ClassVar[None] = None

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, y: Tensor, sigma: Any) -> Tensor:
        return y - self.share * torch.as_tensor(sigma, dtype=y.dtype).view(-1, 1, 1, 1)


class Blurred(nn.Module):
    """D(y) = k ∗ y on a torus, blind."""

    def __init__(self, kernel: Tensor) -> None:
        super().__init__()
        self.register_buffer("kernel", kernel)

    def forward(self, y: Tensor) -> Tensor:
        spectrum = torch.fft.fft2(y) * torch.fft.fft2(self.kernel.to(y), s=y.shape[-2:])
        return torch.fft.ifft2(spectrum).real
