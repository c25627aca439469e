"""The UNet of Kadkhodaie, Mallat & Simoncelli (arXiv:2506.01912), of any width and depth."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import nn

from probekit.checks import counts, flag, given, is_real, listed, number, unwrapped, whole
from probekit.denoising.inputs import check_images, check_sigma, size_message
from probekit.errors import InputError
from probekit.models.blocks import MOST_CONVOLUTIONS, NormKind, check_norm, conv_block, initialise

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

__all__ = ["SigmaUNet", "UNet"]

# Of skips in training: what is there is divided by how often it is.
RAREST = 0.01


class UNet(nn.Module):
    """Blind, unconditional, fully convolutional denoiser: noisy image in, clean image out.

    Encoder blocks, a middle block and decoder blocks of 3×3 convolutions; 2×2 average pooling on
    the way down, 2×2 transposed convolutions without bias on the way up, encoder outputs
    concatenated into the decoder at the same scale. The first convolution is followed by ReLU, the
    last by nothing, every other one by normalisation and ReLU. There is no residual connection
    around the network. Architecture: Kadkhodaie, Mallat & Simoncelli, arXiv:2506.01912; the
    defaults are theirs (13.68 M parameters).

    Weights start Kaiming-normal (fan-in) with zero biases and unit gains, drawn from torch's global
    generator: call ``torch.manual_seed`` first for a reproducible untrained control.

    Parameters
    ----------
    channels
        Channels of the encoder blocks from the finest scale to the coarsest, then of the middle
        block; at least two numbers.
    image_channels
        Colour planes of the image.
    encoder_convs, decoder_convs
        Convolutions per block, from the finest scale to the coarsest; one number per encoder block
        (any sequence one shorter than ``channels``). By default the paper's, continued to other
        depths: 2, 2, 2, … and 5, 6, 7, …. The finest decoder block's last convolution makes the
        image, so it needs at least two.
    middle_convs
        Convolutions of the middle block.
    bias
        Whether convolutions have additive constants. Without, the network has none anywhere and
        `norm` defaults to "batch", so that in evaluation D(αy) = αD(y) for α > 0 (Mohan,
        Kadkhodaie et al. 2020).
    skips
        Whether an encoder block's output is concatenated into the decoder: for all of them, or one for each encoder
        block, from the finest scale to the coarsest. Without any, all that the image is made of passes the middle
        block. A number between 0 and 1 is the probability that it is there for an image in training, drawn by torch's
        global generator (what is there is divided by it, as in dropout); in evaluation it always is.
    norm
        "layer", "batch" or "instance": over which axes the standard deviation is taken. None means
        "layer" with biases and "batch" without.

    Attributes
    ----------
    tap_aliases : dict[str, str]
        The paper's block names, numbered by scale (1 = full resolution), to module paths:
        ``enc1 enc2 enc3 mid dec3 dec2`` at the default depth. ``dec1`` ends in the image and is
        not tapped.
    size_multiple : int
        Heights and widths must be multiples of this (8 at the default depth).
    image_channels : int
        Colour planes of the image.

    Raises
    ------
    InputError
        If the numbers given do not describe a network.

    Examples
    --------
    >>> UNet((8, 16, 32)).config["decoder_convs"]
    [5, 6]
    >>> model = UNet((8, 16), image_channels=1, encoder_convs=(2,), decoder_convs=(3,))
    >>> model(torch.zeros(2, 1, 6, 10)).shape
    torch.Size([2, 1, 6, 10])
    >>> model.tap_aliases
    {'enc1': 'encoder.0', 'mid': 'middle'}
    """

    extra_planes: ClassVar[int] = 0

    def __init__(
        self,
        channels: Sequence[int] = (64, 128, 256, 512),
        *,
        image_channels: int = 3,
        encoder_convs: Sequence[int] | None = None,
        middle_convs: int = 3,
        decoder_convs: Sequence[int] | None = None,
        bias: bool = True,
        norm: NormKind | None = None,
        skips: float | Sequence[float] = True,
    ) -> None:
        super().__init__()
        channels = counts("channels", channels, least=0)
        scales = max(len(channels) - 1, 0)
        encoder_convs = [2] * scales if encoder_convs is None else counts("encoder_convs", encoder_convs, least=0)
        decoder_convs = (
            list(range(5, 5 + scales)) if decoder_convs is None else counts("decoder_convs", decoder_convs, least=0)
        )
        image_channels = whole("image_channels", image_channels)
        middle_convs = whole("middle_convs", middle_convs, least=0, most=MOST_CONVOLUTIONS)
        bias = flag("bias", bias)
        _check_shape(channels, image_channels, encoder_convs, middle_convs, decoder_convs)
        norm = check_norm(norm, bias)
        self.skips = _skips(skips, scales)
        self.config: dict[str, Any] = {
            "channels": channels,
            "image_channels": image_channels,
            "encoder_convs": encoder_convs,
            "middle_convs": middle_convs,
            "decoder_convs": decoder_convs,
            "bias": bias,
            "norm": norm,
        }
        # Only where they differ from the paper's network, as descriptions and checkpoints of it were written before.
        if self.skips != [1] * scales:
            self.config["skips"] = self.skips
        self.image_channels = image_channels
        depth = len(channels) - 1
        self.size_multiple = 2**depth
        self.tap_aliases = {f"enc{i + 1}": f"encoder.{i}" for i in range(depth)}
        self.tap_aliases["mid"] = "middle"
        self.tap_aliases |= {f"dec{i + 1}": f"decoder.{i}" for i in range(depth - 1, 0, -1)}

        options: dict[str, Any] = {"bias": bias, "norm": norm}
        self.encoder = nn.ModuleList(
            conv_block([before] + [after] * convs, bare_first=scale == 0, **options)
            for scale, (before, after, convs) in enumerate(
                zip([image_channels + self.extra_planes, *channels], channels[:-1], encoder_convs, strict=False)
            )
        )
        self.pool = nn.AvgPool2d(2)
        self.middle = conv_block([channels[-2]] + [channels[-1]] * middle_convs, **options)
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(coarse, fine, 2, stride=2, bias=False) for fine, coarse in pairwise(channels)
        )
        finest, *coarser = (
            [(1 + (skip > 0)) * width] + [width] * convs
            for width, convs, skip in zip(channels, decoder_convs, self.skips, strict=False)
        )
        self.decoder = nn.ModuleList(
            [
                conv_block([*finest[:-1], image_channels], bare_last=True, **options),
                *(conv_block(widths, **options) for widths in coarser),
            ]
        )
        initialise(self)

    def forward(self, y: Float[Tensor, "n band row col"]) -> Float[Tensor, "n band row col"]:
        """Denoise a batch.

        Parameters
        ----------
        y
            Noisy images (N, image_channels, H, W); H and W multiples of `size_multiple`.

        Returns
        -------
        Tensor
            Clean estimates, of the same shape.

        Raises
        ------
        InputError
            If H or W is not a multiple of `size_multiple`.
        """
        check_images(y)
        if y.shape[-2] % self.size_multiple or y.shape[-1] % self.size_multiple:
            raise InputError(size_message((y.shape[-2], y.shape[-1]), self.size_multiple))
        encoded = []
        for block in self.encoder:
            y = block(y)
            encoded.append(y)
            y = self.pool(y)
        y = self.middle(y)
        for scale in reversed(range(len(encoded))):
            y = self.up[scale](y)
            if self.skips[scale]:
                y = torch.cat([y, self._dropped(encoded[scale], self.skips[scale])], dim=1)
            y = self.decoder[scale](y)
        return y

    def _dropped(self, skip: Tensor, kept: float) -> Tensor:
        if not self.training or kept == 1:
            return skip
        return skip * nn.functional.dropout(skip.new_ones(len(skip), 1, 1, 1), 1 - kept)


class SigmaUNet(UNet):
    """The same network told σ: a further input plane holds σ, in intensity units, at every pixel.

    Parameters and attributes are those of `UNet`. It keeps the denoiser contract itself.

    Examples
    --------
    >>> model = SigmaUNet((8, 16), encoder_convs=(2,), decoder_convs=(3,))
    >>> model(torch.zeros(2, 3, 6, 10), 0.1).shape
    torch.Size([2, 3, 6, 10])
    """

    extra_planes: ClassVar[int] = 1
    takes_any_sigma: ClassVar[bool] = True

    def forward(self, y: Float[Tensor, "n band row col"], sigma: Any = None) -> Float[Tensor, "n band row col"]:
        """Denoise a batch of known noise level.

        Parameters
        ----------
        y
            Noisy images (N, image_channels, H, W); H and W multiples of `size_multiple`.
        sigma
            Their noise standard deviation, ≥ 0: a number, or a tensor (N,).

        Returns
        -------
        Tensor
            Clean estimates, of the shape of `y`.

        Raises
        ------
        InputError
            If σ is missing or invalid, or the size cannot be halved evenly.
        """
        check_images(y)
        levels = check_sigma(sigma, y)
        if levels is None:
            raise InputError("this network is told the noise level: pass sigma, a number or a tensor (N,)")
        plane = levels.view(-1, 1, 1, 1).expand(-1, 1, *y.shape[2:])
        return super().forward(torch.cat([y, plane], dim=1))


def _skips(asked: Any, scales: int) -> list[float]:
    """For each scale how often the encoder's output is concatenated into the decoder in training; 0 for never."""
    wanted = (
        f"True, False or a probability from {RAREST}, or {scales} of them, one for each encoder block from the finest "
        "scale to the coarsest"
    )
    alone = isinstance(asked, bool | np.bool_) or is_real(unwrapped(asked))
    every = [asked] * scales if alone else listed("skips", asked, wanted)
    every = [float(one) if isinstance(one, bool | np.bool_) else one for one in every]
    if len(every) != scales:
        raise InputError(f"{given('skips', asked)}: give {wanted}")
    return [number("skips", one, wanted, good=lambda v: v == 0 or RAREST <= v <= 1) for one in every]


def _check_shape(
    channels: Sequence[int],
    image_channels: int,
    encoder_convs: Sequence[int],
    middle_convs: int,
    decoder_convs: Sequence[int],
) -> None:
    depth = len(channels) - 1
    if depth < 1 or min(channels) < 1 or image_channels < 1:
        raise InputError(
            f"{given('channels', tuple(channels))}, image_channels={image_channels}: give at least two positive "
            "numbers of channels (encoder blocks from fine to coarse, then the middle block) and a positive "
            "image_channels"
        )
    for name, convs in (("encoder_convs", encoder_convs), ("decoder_convs", decoder_convs)):
        if len(convs) != depth or min(convs) < 1 or max(convs) > MOST_CONVOLUTIONS:
            raise InputError(
                f"{given(name, tuple(convs))} does not fit channels={tuple(channels)}: "
                f"give {depth} positive numbers, one per scale above the middle block"
            )
    if middle_convs < 1 or decoder_convs[0] < 2:
        raise InputError(
            f"middle_convs={middle_convs}, decoder_convs={tuple(decoder_convs)}: the middle block needs at least one "
            "convolution and the finest decoder block (the first number) at least two"
        )
