"""DnCNN: a denoiser without down-sampling, every layer at full resolution (Zhang et al. 2017)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import nn

from probekit.checks import flag, whole
from probekit.denoising.inputs import check_images
from probekit.errors import InputError
from probekit.models.blocks import MOST_CONVOLUTIONS, NormKind, check_norm, conv_block, initialise

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

__all__ = ["DnCNN"]


class DnCNN(nn.Module):
    """Blind denoiser of equal layers: D(y) = y − R(y), R a stack of 3×3 convolutions at full resolution.

    The first convolution is followed by ReLU, the last by nothing, every other one by normalisation
    and ReLU. Zhang et al., *Beyond a Gaussian denoiser*, IEEE TIP 2017; here the normalisation does
    not centre, as in the UNet, so that the two differ in their geometry alone.

    Parameters
    ----------
    depth
        Convolutions in all, ≥ 2.
    width
        Channels of every layer but the last.
    image_channels
        Colour planes of the image.
    bias
        Whether convolutions have additive constants. Without, the network has none anywhere and
        `norm` defaults to "batch", so that in evaluation D(αy) = αD(y) for α > 0 (Mohan,
        Kadkhodaie et al. 2020).
    norm
        "layer", "batch" or "instance"; None means "layer" with biases and "batch" without.

    Attributes
    ----------
    tap_aliases : dict[str, str]
        ``layer1`` … ``layer<depth>`` to module paths; the last one's output is R(y), with the
        image's colour planes as channels.
    image_channels : int
        Colour planes of the image.

    Raises
    ------
    InputError
        If the numbers given do not describe a network.

    Examples
    --------
    >>> import torch
    >>> model = DnCNN(3, 8, image_channels=1)
    >>> model(torch.zeros(2, 1, 5, 7)).shape
    torch.Size([2, 1, 5, 7])
    >>> list(model.tap_aliases)
    ['layer1', 'layer2', 'layer3']
    """

    def __init__(
        self,
        depth: int = 17,
        width: int = 64,
        *,
        image_channels: int = 3,
        bias: bool = True,
        norm: NormKind | None = None,
    ) -> None:
        super().__init__()
        depth = whole("depth", depth, most=MOST_CONVOLUTIONS, least=0)
        width, image_channels = whole("width", width), whole("image_channels", image_channels)
        bias = flag("bias", bias)
        if depth < 2 or width < 1 or image_channels < 1:
            raise InputError(
                f"depth={depth}, width={width}, image_channels={image_channels}: give a depth of at least 2 "
                "and positive numbers of channels"
            )
        norm = check_norm(norm, bias)
        self.config: dict[str, Any] = {
            "depth": depth,
            "width": width,
            "image_channels": image_channels,
            "bias": bias,
            "norm": norm,
        }
        self.image_channels = image_channels
        self.tap_aliases = {f"layer{i + 1}": f"layers.{i}" for i in range(depth)}
        self.layers = nn.Sequential(
            conv_block([image_channels, width], bias=bias, norm=norm, bare_first=True),
            *(conv_block([width, width], bias=bias, norm=norm) for _ in range(depth - 2)),
            conv_block([width, image_channels], bias=bias, norm=norm, bare_last=True),
        )
        initialise(self)

    def forward(self, y: Float[Tensor, "n band row col"]) -> Float[Tensor, "n band row col"]:
        """Denoise a batch (N, image_channels, H, W) of any size; the result has the same shape."""
        check_images(y)
        return y - self.layers(y)
