"""What a denoiser may be given: batches and noise levels, and clear words where a network cannot take them."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from probekit.errors import InputError, ModelError
from probekit.machine.modes import evaluating, on_trial, trying
from probekit.machine.place import place_of

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

__all__ = [
    "check_batch",
    "check_sigma",
    "check_signature",
    "first",
    "input_channels",
    "raise_if_conditions_are_to_blame",
    "raise_if_input_is_to_blame",
    "size_message",
]

SIZE_MULTIPLES = (2, 4, 8, 16, 32, 64)


def check_batch(y: Any, model: nn.Module) -> None:
    """Refuse what is not a batch of images of the network's floating type."""
    if not isinstance(y, torch.Tensor):
        raise InputError(f"y is a {type(y).__name__}: give a float tensor (N, C, H, W)")
    if y.ndim != 4:
        raise InputError(
            f"y has shape {tuple(y.shape)}: give a batch (N, C, H, W)"
            + ("; for one image write y[None]" if y.ndim == 3 else "")
        )
    dtype = place_of(model, y).dtype
    if not y.is_floating_point() or y.dtype != dtype:
        raise InputError(f"y is {y.dtype} and the network computes in {dtype}: convert with y.to({dtype})")


def check_sigma(sigma: Any, y: Tensor, *, dtype: torch.dtype | None = None) -> Float[Tensor, " n"] | None:
    """σ as a tensor (N,) on the device of `y` and of its type, unless `dtype` names another; None stays None."""
    if sigma is None:
        return None
    dtype = dtype or y.dtype
    if isinstance(sigma, int | float):
        if not (math.isfinite(sigma) and sigma >= 0):
            raise InputError(f"sigma={sigma}: the noise standard deviation is a finite number ≥ 0")
        return torch.full((y.shape[0],), float(sigma), dtype=dtype, device=y.device)
    try:
        levels = torch.as_tensor(sigma, dtype=dtype, device=y.device)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"sigma={sigma!r}: give one number ≥ 0, or one number per image (N,)") from error
    if levels.ndim == 0:
        levels = levels.expand(y.shape[0])
    if levels.shape != y.shape[:1]:
        raise InputError(
            f"sigma has shape {tuple(levels.shape)} for a batch of {y.shape[0]}: give one number or one per image"
        )
    if not bool((torch.isfinite(levels) & (levels >= 0)).all()):
        raise InputError("sigma holds values that are negative or not finite: noise standard deviations are ≥ 0")
    return levels


def check_signature(model: nn.Module, *, told: bool) -> None:
    """Refuse a network that cannot be called with the image, and σ if told; what conditions it is left to calls."""
    signature = inspect.signature(model.forward)
    given = [None, None] if told else [None]
    # A second argument that a blind network must be given is more often σ than a condition.
    kinds = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)[: 1 + told]
    later = list(signature.parameters.values())[len(given) :]
    conditions = {p.name: None for p in later if p.default is p.empty and p.kind in kinds}
    try:
        signature.bind(*given, **conditions)
    except TypeError as error:
        raise ModelError(
            f"{type(model).__name__}.forward{signature} cannot be called with {'(y, sigma)' if told else '(y)'}: "
            f'{error}; a blind network takes the image alone, one told σ takes the image and σ (sigma_to="sigma"), '
            "others need wrapping in a module that does"
        ) from error


def raise_if_conditions_are_to_blame(
    model: nn.Module, conditions: Mapping[str, Any], error: TypeError, *, told: bool
) -> None:
    """Turn a network's failure into a clear InputError where it lacks or does not know a conditioning input."""
    signature = inspect.signature(model.forward)
    try:
        signature.bind(*([None, None] if told else [None]), **conditions)
    except TypeError as mismatch:
        raise InputError(
            f"{type(model).__name__}.forward{signature} cannot be called with the image{' and σ' if told else ''} and "
            f"{', '.join(conditions) or 'nothing else'}: {mismatch}; pass what it is conditioned on by the names that "
            "it has there, denoiser(y, sigma, name=value)"
        ) from error


def raise_if_input_is_to_blame(
    network: nn.Module, y: Tensor, run: Callable[[Tensor], Any], error: RuntimeError
) -> None:
    """Turn a network's failure on a batch into a clear InputError where its size or channels explain it.

    Parameters
    ----------
    network
        What failed.
    y
        The batch of images on which it did.
    run
        The call that failed, for other images: at most two, of any size and number of channels. It
        returns what stands for the clean estimate.
    error
        The failure.

    Raises
    ------
    InputError
        If another size, or another number of channels, works.
    """
    if on_trial() or isinstance(error, torch.OutOfMemoryError):
        return
    size = (y.shape[-2], y.shape[-1])
    for multiple in SIZE_MULTIPLES:
        if (size[0] % multiple or size[1] % multiple) and _works(network, y, run, _odd_multiples(size, multiple)):
            raise InputError(size_message(size, multiple)) from error
    expected = input_channels(network)
    if expected is None or y.shape[1] == expected:
        return
    declared = isinstance(getattr(network, "image_channels", None), int)
    sizes = (size, _next_multiples(size, SIZE_MULTIPLES[-1]))
    if declared or any(_works(network, y, run, size, channels=expected) for size in sizes):
        raise InputError(
            f"the network takes images of {expected} channels and was given {y.shape[1]} (shape {tuple(y.shape)}): "
            "convert the images; channels come second, (N, C, H, W)"
        ) from error


def first(value: Any, count: int, *, of: int) -> Any:
    """The part of a σ or a conditioning input that belongs to the first `count` images of a batch of `of`."""
    per_image = isinstance(value, torch.Tensor | np.ndarray | list | tuple) and getattr(value, "ndim", 1) > 0
    return value[:count] if per_image and len(value) == of else value


def input_channels(model: nn.Module) -> int | None:
    """Channels of the images that a network takes: declared as `image_channels`, else its first convolution's."""
    declared = getattr(model, "image_channels", None)
    if isinstance(declared, int):
        return declared
    convolution = next((m for m in model.modules() if isinstance(m, nn.Conv2d)), None)
    return None if convolution is None else convolution.in_channels


def size_message(size: tuple[int, int], multiple: int) -> str:
    """What to say of an image whose height or width the network cannot halve evenly."""
    below, above = [n // multiple * multiple for n in size], _next_multiples(size, multiple)
    crop = f"crop to {below[0]}×{below[1]} or " if min(below) else ""
    return (
        f"images of {size[0]}×{size[1]} cannot be halved evenly by this network: height and width must be "
        f"multiples of {multiple}; {crop}pad to {above[0]}×{above[1]}"
    )


def _next_multiples(size: tuple[int, int], multiple: int) -> tuple[int, int]:
    return -(-size[0] // multiple) * multiple, -(-size[1] // multiple) * multiple


def _odd_multiples(size: tuple[int, int], multiple: int) -> tuple[int, int]:
    # Odd, so that no larger power of two divides them; at least three, since some layers refuse maps of one pixel.
    rows, cols = (max(3, -(-n // multiple) | 1) * multiple for n in size)
    return rows, cols


def _works(
    network: nn.Module, y: Tensor, run: Callable[[Tensor], Any], size: tuple[int, int], channels: int | None = None
) -> bool:
    # Two images: a batch of one hides mistakes in how σ is laid out.
    trial = y.new_zeros((min(2, y.shape[0]), channels or y.shape[1], *size))
    try:
        with trying(), torch.no_grad(), evaluating(network):
            return tuple(run(trial).shape[-2:]) == size
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException:
        # The hook of a tap ends a pass with what is no Exception: let it end the trial and nothing more.
        return False
