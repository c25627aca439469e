"""Networks that tests look into: foreign architectures, and small ones drawn by hypothesis."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F


def state_of(model: nn.Module) -> dict[str, Any]:
    """Everything about a network that looking into it must leave alone."""
    return {
        name: (
            module.training,
            {key: list(value.items()) for key, value in vars(module).items() if key.endswith("_hooks")},
            {key: dict(value) for key, value in vars(module).items() if "_hooks_" in key},
            [(p.requires_grad, p.device, p.grad is None) for p in module.parameters(recurse=False)],
            {key: value.numpy().tobytes() for key, value in module.state_dict().items()},
        )
        for name, module in model.named_modules()
    }


class Residual(nn.Module):
    """Norm, SiLU, convolution, twice, around a skip: as in diffusion UNets."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.norm1, self.conv1 = nn.GroupNorm(2, before), nn.Conv2d(before, after, 3, padding=1)
        self.norm2, self.conv2 = nn.GroupNorm(2, after), nn.Conv2d(after, after, 3, padding=1)
        self.shortcut = nn.Conv2d(before, after, 1) if before != after else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(F.silu(self.norm1(x)))
        h = self.conv2(F.silu(self.norm2(h)))
        return self.shortcut(x) + h


class Attention(nn.Module):
    """Self-attention over positions."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(2, channels)
        self.to_qkv, self.to_out = nn.Linear(channels, 3 * channels), nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.norm(x).flatten(2).transpose(1, 2)
        attended = F.scaled_dot_product_attention(*self.to_qkv(tokens).chunk(3, dim=-1))
        return x + self.to_out(attended).transpose(1, 2).reshape(x.shape)


class Down(nn.Module):
    """Returns its output and what the decoder will want, as diffusers' blocks do."""

    def __init__(self, before: int, after: int, shrink: bool) -> None:
        super().__init__()
        self.resnets = nn.ModuleList([Residual(before, after)])
        self.downsamplers = nn.ModuleList([nn.Conv2d(after, after, 3, stride=2, padding=1)] if shrink else [])

    def forward(self, x: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        kept = []
        for module in (*self.resnets, *self.downsamplers):
            x = module(x)
            kept.append(x)
        return x, tuple(kept)


class Middle(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.resnets = nn.ModuleList([Residual(channels, channels), Residual(channels, channels)])
        self.attentions = nn.ModuleList([Attention(channels)])

    def forward(self, x: Tensor) -> Tensor:
        return self.resnets[1](self.attentions[0](self.resnets[0](x)))


class Up(nn.Module):
    def __init__(self, before: int, skips: tuple[int, ...], after: int, grow: bool) -> None:
        super().__init__()
        widths = [before, *[after] * (len(skips) - 1)]
        self.resnets = nn.ModuleList(Residual(w + s, after) for w, s in zip(widths, skips, strict=True))
        self.upsamplers = nn.ModuleList([nn.Conv2d(after, after, 3, padding=1)] if grow else [])

    def forward(self, x: Tensor, skips: list[Tensor]) -> Tensor:
        for resnet in self.resnets:
            x = resnet(torch.cat([x, skips.pop()], dim=1))
        for upsampler in self.upsamplers:
            x = upsampler(F.interpolate(x, scale_factor=2.0))
        return x


class DiffusersStyle(nn.Module):
    """A UNet laid out like diffusers' UNet2DModel, with attention in the middle; declares no taps."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(3, 4, 3, padding=1)
        self.down_blocks = nn.ModuleList([Down(4, 4, True), Down(4, 6, False)])
        self.mid_block = Middle(6)
        self.up_blocks = nn.ModuleList([Up(6, (6,), 6, True), Up(6, (4, 4), 4, False)])
        self.conv_out = nn.Conv2d(4, 3, 3, padding=1)

    def encode(self, y: Tensor) -> tuple[Tensor, list[Tensor]]:
        h = self.conv_in(y)
        skips = [h]
        for block in self.down_blocks:
            h, kept = block(h)
            skips += kept
        return h, skips

    def forward(self, y: Tensor) -> Tensor:
        h, skips = self.encode(y)
        h = self.mid_block(h)
        coarse, fine = [skips.pop()], [skips[0], skips[1]]
        h = self.up_blocks[1](self.up_blocks[0](h, coarse), fine)
        return self.conv_out(F.silu(h))


class Step(NamedTuple):
    """One operation of a drawn network: what is done, with which module, to which earlier value."""

    kind: str
    module: int
    other: int


class Split(nn.Module):
    """A convolution that returns a tuple: (unused, its output)."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(before, after, 3, padding=1)

    def forward(self, x: Tensor) -> tuple[float, Tensor]:
        return 0.0, self.conv(x)


class Drawn(nn.Module):
    """A small convolutional network that follows a list of steps; `WIDTH` channels throughout."""

    WIDTH = 3

    def __init__(self, steps: list[Step]) -> None:
        super().__init__()
        self.steps = steps
        self.convs = nn.ModuleList(nn.Conv2d(self.WIDTH, self.WIDTH, 3, padding=1) for _ in range(2))
        self.splits = nn.ModuleList(Split(self.WIDTH, self.WIDTH) for _ in range(2))
        self.mixes = nn.ModuleList(nn.Conv2d(2 * self.WIDTH, self.WIDTH, 1) for _ in range(2))
        self.relus = nn.ModuleList(nn.ReLU(inplace=True) for _ in range(2))

    def values(self, y: Tensor, steps: list[Step]) -> list[Tensor]:
        """The values after each of these steps, those that in-place steps overwrite included."""
        values = [y]
        for step in steps:
            x, other = values[-1], values[step.other % len(values)]
            if step.kind == "conv":
                x = self.convs[step.module](x)
            elif step.kind == "split":
                x = self.splits[step.module](x)[1]
            elif step.kind == "dense":
                x = self.mixes[step.module](torch.cat([x, other], dim=1))
            elif step.kind == "relu_":
                # The input image itself is not overwritten.
                x = self.relus[step.module](x if len(values) > 1 else x.clone())
            elif step.kind == "relu":
                x = F.relu(x)
            elif step.kind == "add":
                x = x + other
            values.append(x)
        return values

    def forward(self, y: Tensor) -> Tensor:
        return self.values(y, self.steps)[-1]

    def place_of(self, position: int) -> str | None:
        """The tap's name for the module call at this step, None for a functional step."""
        names = {"conv": "convs", "split": "splits", "dense": "mixes", "relu_": "relus"}
        step = self.steps[position]
        if step.kind not in names:
            return None
        same = [s[:2] == step[:2] for s in self.steps]
        call = f"@{sum(same[:position])}" if sum(same) > 1 else ""
        return f"{names[step.kind]}.{step.module}{call}" + ("[1]" if step.kind == "split" else "")


@st.composite
def drawn_networks(draw: st.DrawFn) -> tuple[Drawn, int]:
    """A drawn network, and the position of a step in it that can be tapped."""
    kinds = st.sampled_from(["conv", "split", "dense", "relu_", "relu", "add"])
    step = st.builds(Step, kinds, st.integers(0, 1), st.integers(0, 9))
    steps = draw(st.lists(step, min_size=1, max_size=8).filter(lambda s: any(x.kind not in ("relu", "add") for x in s)))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(draw(st.integers(0, 2**16)))
        network = Drawn(steps)
    places = [i for i in range(len(steps)) if network.place_of(i)]
    return network, draw(st.sampled_from(places))
