"""What one would write without the package: φ at blocks of the paper's UNet, the pass stopped there or hooked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor, nn

from probekit.models.unet import UNet

__all__ = ["hooked", "means_at", "means_at_mid", "phi_by_hand"]


def means_at_mid(model: UNet, y: Tensor) -> Tensor:
    """Channel means at the middle block of noisy images, the forward pass written out as far as that."""
    for block in model.encoder:
        y = nn.functional.avg_pool2d(block(y), 2)
    return model.middle(y).mean((2, 3))


def means_at(model: UNet, y: Tensor, blocks: Sequence[str]) -> Tensor:
    """Channel means at blocks that are named in the order of the pass, written out as far as the last of them."""
    if list(blocks) == ["mid"]:
        return means_at_mid(model, y)
    found: list[Tensor] = []
    encoded: list[Tensor] = []
    for scale, block in enumerate(model.encoder):
        y = block(y)
        encoded.append(y)
        if f"enc{scale + 1}" in blocks:
            found.append(y.mean((2, 3)))
        if len(found) == len(blocks):
            return torch.cat(found, dim=1)
        y = nn.functional.avg_pool2d(y, 2)
    y = model.middle(y)
    if "mid" in blocks:
        found.append(y.mean((2, 3)))
    scales = iter(reversed(range(len(encoded))))
    while len(found) < len(blocks):
        scale = next(scales)
        y = model.decoder[scale](torch.cat([model.up[scale](y), encoded[scale]], dim=1))
        if f"dec{scale + 1}" in blocks:
            found.append(y.mean((2, 3)))
    return torch.cat(found, dim=1)


def hooked(model: nn.Module, paths: Sequence[str], batches: Iterable[Tensor]) -> Iterator[Tensor]:
    """Channel means at modules for each batch of noisy images: plain forward hooks, the whole pass."""
    kept: list[Tensor] = []
    handles = [
        model.get_submodule(path).register_forward_hook(lambda _m, _i, a: kept.append(a.mean((2, 3)))) for path in paths
    ]
    try:
        for y in batches:
            model(y)
            yield torch.cat(kept, dim=1)
            kept.clear()
    finally:
        for handle in handles:
            handle.remove()


def phi_by_hand(model: UNet, x: Tensor, *, sigma: float, batch: int) -> Tensor:
    """One noise draw of φ of clean images, batch by batch."""
    with torch.no_grad():
        return torch.cat([means_at_mid(model, clean + sigma * torch.randn_like(clean)) for clean in x.split(batch)])
