"""Telling networks apart by their weights."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["UNKNOWN", "WeightsHash", "weights_sha256"]

BLOCK, WORD = 256, 8
HASHED_TOGETHER = 2**18
# Bytes that are kept rather than summed.
FEW = 2**14
UNKNOWN = "unknown"


def weights_sha256(state: Mapping[str, Any]) -> str:
    """SHA-256 over a state dict: names, dtypes, shapes and bytes, in sorted order of names; of other entries the repr.

    Of weights that are elsewhere (on the meta device) it is "unknown".
    """
    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = _gathered(state[name])
        if not isinstance(tensor, torch.Tensor):
            digest.update(f"{name}\0{tensor!r}\0".encode())
            continue
        if tensor.is_meta:
            return UNKNOWN
        tensor = tensor.detach().cpu()
        digest.update(f"{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
        # Part by part: put in order, a whole weight would be held twice.
        rows = max(1, HASHED_TOGETHER // max(1, tensor[:1].numel())) if tensor.ndim else 0
        for part in tensor.split(rows) if tensor.ndim else [tensor]:
            digest.update(part.reshape(-1).contiguous().view(torch.uint8).numpy().data)
    return digest.hexdigest()


class WeightsHash:
    """The SHA-256 of a network's weights and buffers, computed anew only when they have changed.

    Whether they have is seen from where they lie, torch's count of in-place changes, and the sums
    of their bytes taken as integers along rows and columns of blocks, at a third of the hash's cost.

    Attributes
    ----------
    left_out : Collection[str]
        Names of buffers that do not count, such as counters of passes.
    """

    def __init__(self, network: nn.Module) -> None:
        self.left_out: Collection[str] = ()
        self._network = network
        self._known: tuple[list[tuple[Any, ...]], str] | None = None

    def __call__(self) -> str:
        # Buffers that a network does not save decide its numbers just as well.
        state = dict(self._network.named_buffers()) | self._network.state_dict()
        state = {name: _gathered(value) for name, value in state.items() if name not in self.left_out}
        seen = [(name, *_seen(value)) for name, value in state.items()]
        if self._known is None or self._known[0] != seen:
            self._known = seen, weights_sha256(state)
        return self._known[1]


def _gathered(value: Any) -> Any:
    """A tensor that is spread over processes as a whole one."""
    return value.full_tensor() if hasattr(value, "full_tensor") else value


def _seen(value: Any) -> tuple[Any, ...]:
    if not isinstance(value, torch.Tensor):
        return (repr(value),)
    version = None if value.is_inference() else value._version
    sums = b"" if value.is_meta else _sums_of_bits(value)
    return value.dtype, value.shape, None if value.is_meta else value.data_ptr(), version, sums


def _sums_of_bits(tensor: Tensor) -> bytes:
    """Sums over blocks of 256 words, and over the words at each place in a block: moved numbers show too."""
    # In the order of memory, whatever the layout: strides are costly.
    tensor = tensor.detach()
    flat = tensor.as_strided((tensor.numel(),), (1,), 0) if _dense(tensor) else tensor.reshape(-1).clone()
    flat = flat.view(torch.uint8)
    if flat.numel() <= FEW:
        return flat.cpu().numpy().tobytes()
    whole = flat.numel() // (WORD * BLOCK) * WORD * BLOCK
    # Words of 8 bytes are summed several times as fast as numbers that must be widened first.
    blocks = flat[:whole].view(torch.int64).view(-1, BLOCK)
    sums = [blocks.sum(dim) for dim in (0, 1)]
    return b"".join(part.cpu().numpy().tobytes() for part in (*sums, flat[whole:]))


def _dense(tensor: Tensor) -> bool:
    """Whether the tensor fills its storage from the beginning, in whatever order."""
    ordered = tensor.is_contiguous() or (tensor.ndim == 4 and tensor.is_contiguous(memory_format=torch.channels_last))
    return ordered and tensor.storage_offset() == 0
