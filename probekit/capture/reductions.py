"""What is made of a map (H, W): one number a channel."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import torch

from probekit.errors import InputError, TapError

if TYPE_CHECKING:
    from torch import Tensor

    Reduction = Callable[[Tensor], Tensor]

__all__ = ["REDUCTIONS", "reduction"]


def _wide(x: Tensor) -> Tensor:
    """Half precision widened to float32, so that sums over positions keep their digits."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


REDUCTIONS: Mapping[str, Reduction] = {
    "mean": lambda a: _wide(a).mean(dim=(2, 3)),
    "max": lambda a: _wide(a).amax(dim=(2, 3)),
    "std": lambda a: _wide(a).std(dim=(2, 3), correction=0),
    "energy": lambda a: _wide(a).square().mean(dim=(2, 3)),
}


def reduction(reduce: str | Reduction) -> Reduction:
    """The function (N, C, H, W) → (N, C) called `reduce`; a callable is checked on what it returns.

    Raises
    ------
    InputError
        If the name is unknown.
    """
    if isinstance(reduce, str):
        if reduce not in REDUCTIONS:
            raise InputError(
                f"reduce={reduce!r}: give one of {', '.join(REDUCTIONS)}, or a function of a map (N, C, H, W)"
            )
        return _of_maps(REDUCTIONS[reduce])
    if not callable(reduce):
        raise InputError(f"reduce={reduce!r}: give one of {', '.join(REDUCTIONS)}, or a function of a map (N, C, H, W)")

    def checked(a: Tensor) -> Tensor:
        reduced = reduce(a)
        if not isinstance(reduced, torch.Tensor) or reduced.ndim != 2 or reduced.shape[0] != a.shape[0]:
            got = tuple(reduced.shape) if isinstance(reduced, torch.Tensor) else type(reduced).__name__
            raise TapError(f"the reduction made {got} of a map {tuple(a.shape)}: it must return a tensor (N, K)")
        # A view would keep the whole map in memory, and change when the network changes the map in place.
        shared = reduced.untyped_storage().data_ptr() == a.untyped_storage().data_ptr()
        return reduced.clone() if shared else reduced

    return checked


def _of_maps(function: Reduction) -> Reduction:
    def checked(a: Tensor) -> Tensor:
        if a.ndim != 4:
            raise TapError(
                f"the tapped output has shape {tuple(a.shape)}, which is no map (N, C, H, W): tap another module, "
                "or give reduce= a function that makes (N, K) of it"
            )
        return function(a)

    return checked
