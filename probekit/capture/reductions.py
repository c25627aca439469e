"""What is made of a map (H, W): one number a channel."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

import torch

from probekit.checks import given
from probekit.errors import InputError, TapError

if TYPE_CHECKING:
    from torch import Tensor

    Reduction = Callable[[Tensor], Tensor]

__all__ = ["REDUCTIONS", "real_map", "reduction"]

# Types in which a sum over positions keeps its digits.
KEPT = (torch.float32, torch.float64)
# Whole numbers that float32 holds exactly.
SMALL_NUMBERS = (torch.bool, torch.uint8, torch.int8, torch.int16)
POSITIONS = (2, 3)


def _wide(x: Tensor) -> Tensor:
    """Half precision and whole numbers widened, so that sums over positions keep their digits."""
    if x.dtype.is_floating_point:
        return x.float() if x.dtype.itemsize < torch.float32.itemsize else x
    return x.to(torch.float32 if x.dtype in SMALL_NUMBERS else torch.float64)


def _energy(a: Tensor) -> Tensor:
    if a.is_complex():
        return _wide(_parts(a)).square().sum(dim=-1).mean(dim=POSITIONS)
    return _wide(a).square().mean(dim=POSITIONS)


def _std(a: Tensor) -> Tensor:
    if a.is_complex():
        # The norm's gradient is 0 where nothing varies, where that of a square root would be NaN.
        return torch.linalg.vector_norm(_wide(_parts(a)).std(dim=POSITIONS, correction=0), dim=-1)
    return _wide(a).std(dim=POSITIONS, correction=0)


def _parts(a: Tensor) -> Tensor:
    """Real and imaginary part of a complex map (…, 2)."""
    return torch.view_as_real(a.resolve_conj())


def _of_real(function: Reduction, name: str, a: Tensor) -> Tensor:
    return function(a if a.dtype in KEPT else _wide(_real(a, repr(name))))


def _of_any(function: Reduction, _name: str, a: Tensor) -> Tensor:
    return function(a)


def _inside(function: Callable[[str, Tensor], Tensor], whole: str, name: str, a: Tensor) -> Tensor:
    """`function` of a map without its outermost ring of positions, where convolutions see most of the padding."""
    rows, cols = a.shape[2:]
    if min(rows, cols) < LEAST_INSIDE:
        raise TapError(
            f"{name!r} of a map {tuple(a.shape)}: all of its {rows}×{cols} positions lie in the outermost ring, which "
            f"is left out: give images large enough for maps of {LEAST_INSIDE}×{LEAST_INSIDE}, tap a finer block, or "
            f"measure reduce={whole!r}"
        )
    return function(name, a[:, :, 1:-1, 1:-1])


INSIDE, LEAST_INSIDE = "_inside", 3
# Each is told the name that it was asked for by, for messages.
WHOLE: Mapping[str, Callable[[str, Tensor], Tensor]] = {
    "mean": partial(_of_real, lambda a: a.mean(dim=POSITIONS)),
    "relu_mean": partial(_of_real, lambda a: a.relu().mean(dim=POSITIONS)),
    "max": partial(_of_real, lambda a: a.amax(dim=POSITIONS)),
    "std": partial(_of_any, _std),
    "energy": partial(_of_any, _energy),
}
REDUCTIONS: Mapping[str, Reduction] = {
    **{name: partial(function, name) for name, function in WHOLE.items()},
    **{f"{name}{INSIDE}": partial(_inside, function, name, f"{name}{INSIDE}") for name, function in WHOLE.items()},
}


def reduction(reduce: str | Reduction) -> Reduction:
    """The function (N, C, H, W) → (N, C) called `reduce`; a callable is checked on what it returns.

    "mean_inside" and so on are made of the map without its outermost ring of positions, of maps of 3×3 at least.

    Complex maps f have an "energy", mean |f|², and a "std", the root of mean |f − mean f|²; other reductions refuse
    them. Whole numbers and half precision are widened first. What is NaN in a map is NaN in what is made of it.

    Raises
    ------
    InputError
        If the name is unknown.
    """
    if isinstance(reduce, str):
        if reduce not in REDUCTIONS:
            raise InputError(
                f"{given('reduce', reduce)}: give one of {', '.join(REDUCTIONS)}, or a function of a map (N, C, H, W)"
            )
        return _of_maps(REDUCTIONS[reduce])
    if not callable(reduce):
        raise InputError(
            f"{given('reduce', reduce)}: give one of {', '.join(REDUCTIONS)}, or a function of a map (N, C, H, W)"
        )

    def checked(a: Tensor) -> Tensor:
        reduced = reduce(a)
        if not isinstance(reduced, torch.Tensor) or reduced.ndim != 2 or reduced.shape[0] != a.shape[0]:
            got = tuple(reduced.shape) if isinstance(reduced, torch.Tensor) else type(reduced).__name__
            raise TapError(f"the reduction made {got} of a map {tuple(a.shape)}: it must return a tensor (N, K)")
        if reduced.is_complex():
            raise TapError(
                f"the reduction made complex values of a map {tuple(a.shape)}, and φ is real: return their .abs(), or "
                ".real and .imag as channels of their own"
            )
        # A view would keep the whole map in memory, and change when the network changes the map in place.
        shared = reduced.untyped_storage().data_ptr() == a.untyped_storage().data_ptr()
        return reduced.clone() if shared else reduced

    return checked


def real_map(a: Tensor) -> Tensor:
    """A whole map as it is, copied, since the network may change it in place.

    Raises
    ------
    TapError
        If it is complex.
    """
    return _real(a, "a whole map is wanted").detach().clone()


def _real(a: Tensor, what: str) -> Tensor:
    if a.is_complex():
        raise TapError(
            f"{what} of a complex activation {tuple(a.shape)}, whose imaginary part would be lost: measure "
            'reduce="energy" (mean |f|²) or "std", or give a function of real numbers, e.g. '
            "reduce=lambda a: a.abs().mean((2, 3)), or of a.real"
        )
    return a


def _of_maps(function: Reduction) -> Reduction:
    def checked(a: Tensor) -> Tensor:
        if a.ndim != 4:
            raise TapError(
                f"the tapped output has shape {tuple(a.shape)}, which is no map (N, C, H, W): tap another module, "
                "or give reduce= a function that makes (N, K) of it"
            )
        return function(a)

    return checked
