"""Networks that are drawn in tests: one of each kind that users bring."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from itertools import pairwise
from typing import ClassVar

import torch
from networks import DiffusersStyle
from torch import Tensor, nn
from torch.nn import functional as F

import probekit
from probekit.models.dncnn import DnCNN
from probekit.models.unet import UNet


class Double(nn.Module):
    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.double_conv = nn.Sequential(
            nn.Conv2d(before, after, 3, padding=1),
            nn.BatchNorm2d(after),
            nn.ReLU(inplace=True),
            nn.Conv2d(after, after, 3, padding=1),
            nn.BatchNorm2d(after),
            nn.ReLU(inplace=True),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.double_conv(x)


class Rise(nn.Module):
    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.up, self.conv = nn.ConvTranspose2d(before, before // 2, 2, stride=2), Double(before, after)

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        return self.conv(torch.cat([fine, self.up(coarse)], 1))


class CommonUNet(nn.Module):
    """A UNet as many repositories have it; declares no taps, and its blocks take the skips themselves."""

    def __init__(self) -> None:
        super().__init__()
        self.inc = Double(3, 4)
        self.down1 = nn.Sequential(nn.MaxPool2d(2), Double(4, 8))
        self.down2 = nn.Sequential(nn.MaxPool2d(2), Double(8, 16))
        self.up1, self.up2 = Rise(16, 8), Rise(8, 4)
        self.outc = nn.Conv2d(4, 3, 1)

    def forward(self, y: Tensor) -> Tensor:
        fine = self.inc(y)
        middle = self.down1(fine)
        return self.outc(self.up2(self.up1(self.down2(middle), middle), fine))


class PlainDnCNN(nn.Module):
    """DnCNN as it is published: one Sequential of layers, and y minus what it makes."""

    def __init__(self, depth: int = 17) -> None:
        super().__init__()
        inner = [
            layer
            for _ in range(depth - 2)
            for layer in (nn.Conv2d(4, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU())
        ]
        last = nn.Conv2d(4, 3, 3, padding=1)
        self.layers = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), *inner, last)

    def forward(self, y: Tensor) -> Tensor:
        return y - self.layers(y)


class Gate(nn.Module):
    """A convolution times a squeeze and excitation of it; the gate has an alias of its own in `Odd`."""

    def __init__(self) -> None:
        super().__init__()
        self.a_convolution_with_a_long_name = nn.Conv2d(3, 8, 3, padding=1)
        self.gate = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(8, 8, 1), nn.Sigmoid())

    def forward(self, y: Tensor) -> tuple[Tensor, Tensor]:
        h = self.a_convolution_with_a_long_name(y)
        return h, h * self.gate(h)


class Odd(nn.Module):
    """A module called twice, a tuple of two maps, aliases inside a block, arithmetic in no module, an Identity."""

    tap_aliases: ClassVar = {
        "gate": "the_first_stage.gate",
        "gated": "the_first_stage[1]",
        "again": "act@1",
        "here": "place",
    }

    def __init__(self) -> None:
        super().__init__()
        self.the_first_stage, self.act, self.place = Gate(), nn.ReLU(inplace=True), nn.Identity()
        self.last = nn.Conv2d(16, 3, 3, padding=1)
        self.kernel = nn.Parameter(torch.randn(8, 8, 3, 3))

    def forward(self, y: Tensor) -> Tensor:
        plain, gated = self.the_first_stage(y)
        h = self.act(F.conv2d(gated, self.kernel, padding=1))
        return self.last(torch.cat([self.place(self.act(h + plain)), plain], dim=1))


class Chain(nn.Module):
    """Convolutions of drawn widths, one after another, no two neighbours alike for long."""

    def __init__(self, count: int) -> None:
        super().__init__()
        drawn = torch.randint(2, 9, (count - 1,), generator=torch.Generator().manual_seed(0)).tolist()
        widths = [3, *drawn, 3]
        self.net = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in pairwise(widths))

    def forward(self, y: Tensor) -> Tensor:
        for i, layer in enumerate(self.net):
            y = layer(y).relu()
            if i == len(self.net) // 3:
                y = F.avg_pool2d(y, 2)
            if i == 2 * len(self.net) // 3:
                y = F.interpolate(y, scale_factor=2)
        return y


class Told(nn.Module):
    """A UNet of one scale that is told σ and a condition by name."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(1, 4)
        self.first, self.middle, self.last = (nn.Conv2d(a, b, 3, padding=1) for a, b in ((3, 4), (4, 4), (4, 3)))

    def forward(self, y: Tensor, sigma: Tensor, label: Tensor) -> Tensor:
        told = self.embed(torch.full((len(y), 1), float(sigma)) + label[:, None])[:, :, None, None]
        h = self.first(y) + told
        return self.last(h + self.middle(h + told))


def uncounted() -> nn.Sequential:
    """A network in which no arithmetic is counted."""
    return nn.Sequential(nn.AvgPool2d(3, 1, 1), nn.ReLU())


def one_conv() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 3, 3, padding=1))


def of_diffusers() -> nn.Module:
    with warnings.catch_warnings():
        # What importing it and what it imports says is not about this package.
        warnings.simplefilter("ignore")
        from diffusers import DDPMScheduler, UNet2DModel
    unet = UNet2DModel(
        sample_size=16,
        block_out_channels=(4, 8, 8),
        layers_per_block=2,
        norm_num_groups=2,
        attention_head_dim=4,
        down_block_types=("DownBlock2D", "DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
    )
    return probekit.Denoiser.from_diffusers(unet, DDPMScheduler())


def equal_layers(count: int = 300) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), *(nn.Conv2d(4, 4, 3, padding=1) for _ in range(count - 2)), nn.Conv2d(4, 3, 1)
    )


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "photo32": lambda: probekit.load("photo32"),
    "unet": lambda: UNet((4, 8, 12)),
    "common unet": CommonUNet,
    "diffusers style": DiffusersStyle,
    "diffusers": of_diffusers,
    "dncnn": lambda: DnCNN(12, 4),
    "dncnn without names": PlainDnCNN,
    "dncnn of 60 named layers": lambda: DnCNN(60, 4),
    "odd": Odd,
    "uncounted": uncounted,
    "one convolution": one_conv,
    "a bare convolution": lambda: nn.Conv2d(3, 3, 3, padding=1),
    "300 equal layers": equal_layers,
    "100 layers": lambda: Chain(100),
}
SHAPE = (3, 16, 24)
