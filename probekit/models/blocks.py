"""What the package's networks are built of: runs of 3×3 convolutions, and their initial weights."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, get_args

import torch
from torch import nn

from probekit.checks import given
from probekit.errors import InputError
from probekit.machine.memory import refuse_array
from probekit.models.normalisation import UncentredBatchNorm, UncentredNorm, uncentred_norm

__all__ = ["GAINS", "MOST_CONVOLUTIONS", "NormKind", "check_norm", "conv_block", "draw_gains", "initialise"]

# More than memory and patience have for one stack.
MOST_CONVOLUTIONS = 1000

NormKind = Literal["layer", "batch", "instance"]
# What gains of the normalisation may begin with.
GAINS = ("one", "paper")
PAPER_SD, PAPER_MOST = 2 / 9 / 64, 0.025


def check_norm(norm: NormKind | None, bias: bool) -> NormKind:
    """The normalisation meant: as given, or for None "layer" with biases and "batch" without."""
    if norm is None:
        return "layer" if bias else "batch"
    known = get_args(NormKind)
    if not isinstance(norm, str) or norm not in known:
        raise InputError(f"{given('norm', norm)}: give one of {', '.join(map(repr, known))}, or None")
    return known[known.index(norm)]


def conv_block(
    channels: Sequence[int], *, bias: bool, norm: NormKind, bare_first: bool = False, bare_last: bool = False
) -> nn.Sequential:
    """Convolutions, each followed by normalisation and ReLU; the first or last one left bare on request."""
    layers: list[nn.Module] = []
    last = len(channels) - 2
    for i, (before, after) in enumerate(pairwise(channels)):
        refuse_array((before, after, 9), 4, hint="give fewer channels")
        layers.append(nn.Conv2d(before, after, 3, padding=1, bias=bias))
        if bare_last and i == last:
            break
        if not (bare_first and i == 0):
            layers.append(uncentred_norm(norm, after))
        layers.append(nn.ReLU())
    return nn.Sequential(*layers)


def initialise(model: nn.Module) -> None:
    """Kaiming-normal (fan-in) convolutions with zero biases, from torch's global generator."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            _kaiming_fan_in(module)


def draw_gains(model: nn.Module) -> None:
    """Gains of the normalisations as the paper's code draws them, signed and tiny, from torch's global generator.

    N(0, (2/9/64)²), clipped to ±0.025 (Kadkhodaie, Mallat & Simoncelli, arXiv:2506.01912).
    """
    for module in model.modules():
        if isinstance(module, UncentredNorm | UncentredBatchNorm):
            nn.init.normal_(module.gain, std=PAPER_SD)
            with torch.no_grad():
                module.gain.clamp_(-PAPER_MOST, PAPER_MOST)


def _kaiming_fan_in(conv: nn.Conv2d | nn.ConvTranspose2d) -> None:
    # A 2×2 transposed convolution of stride 2 gives each output pixel exactly one tap per input
    # channel, so its fan-in is the number of input channels, not what torch's fan counting says.
    if isinstance(conv, nn.ConvTranspose2d):
        nn.init.normal_(conv.weight, std=(2 / conv.in_channels) ** 0.5)
    else:
        nn.init.kaiming_normal_(conv.weight, mode="fan_in", nonlinearity="relu")
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
