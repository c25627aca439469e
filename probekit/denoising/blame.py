"""Whose fault a network's failure is: the images' size or channels, the conditions, or nobody's that is known."""

from __future__ import annotations

import inspect
import re
import traceback
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from torch.nn.modules import module as every

from probekit.denoising.inputs import arguments_with, input_channels, next_multiples, signature_of, size_message
from probekit.errors import InputError, ProbeError
from probekit.machine.modes import evaluating, on_trial, trying

if TYPE_CHECKING:
    from types import CodeType

    from torch import Tensor

__all__ = ["first", "part_for", "raise_if_conditions_are_to_blame", "raise_if_input_is_to_blame"]

SIZE_MULTIPLES = (2, 4, 8, 16, 32, 64)
# In steps of the multiple that was found: an image as little divisible, and larger than most networks' least.
LARGER = 4


def first(value: Any, count: int, *, of: int) -> Any:
    """The part of a σ or a conditioning input that belongs to the first `count` images of a batch of `of`."""
    per_image = isinstance(value, torch.Tensor | np.ndarray | list | tuple) and getattr(value, "ndim", 1) > 0
    return value[:count] if per_image and len(value) == of else value


def part_for(conditions: Mapping[str, Any], trial: Tensor, *, of: Tensor) -> dict[str, Any]:
    """Conditions of images `of` for others: of as many of the images, and maps of their size of the others' size."""

    def fitted(value: Any) -> Any:
        part = first(value, trial.shape[0], of=of.shape[0])
        if _is_map(part) and part.shape[-2:] == of.shape[-2:] and trial.shape[-2:] != of.shape[-2:]:
            return part.new_zeros((*part.shape[:-2], *trial.shape[-2:]))
        return part

    return {key: fitted(value) for key, value in conditions.items()}


def raise_if_conditions_are_to_blame(
    model: nn.Module, conditions: Mapping[str, Any], error: TypeError, *, told: bool, by_keyword: bool = False
) -> None:
    """Turn a network's failure into a clear InputError where it lacks or does not know a conditioning input."""
    called = _code(inspect.unwrap(model.forward))
    if (called is not None and called in _codes(error)) or _raised_in_hook(model, error):
        # It was called, so that it had what it takes.
        return
    signature = signature_of(model)
    position, keyword = arguments_with(None, by_keyword=by_keyword) if told else ((), {})
    try:
        signature.bind(None, *position, **keyword, **conditions)
    except TypeError as mismatch:
        raise InputError(
            f"{type(model).__name__}.forward{signature} cannot be called with the image{' and σ' if told else ''} and "
            f"{', '.join(conditions) or 'nothing else'}: {mismatch}; pass what it is conditioned on by the names that "
            "it has there, denoiser(y, sigma, name=value)"
        ) from error


def raise_if_input_is_to_blame(
    network: nn.Module,
    y: Tensor,
    run: Callable[[Tensor], Any],
    error: Exception,
    conditions: Mapping[str, Any] | None = None,
) -> None:
    """Turn a network's failure on a batch into a clear InputError where its size or channels explain it.

    They do where zeros of that size fail in the same way and zeros of another, with all else the same, do not, both
    when tried again. What this package or a hook raised, they do not explain.

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
    conditions
        The conditioning inputs of the call: a map of another size than the images' may be what is wrong with it.

    Raises
    ------
    InputError
        If another size, or another number of channels, works.
    """
    if on_trial() or isinstance(error, torch.OutOfMemoryError | ProbeError) or _raised_in_hook(network, error):
        return
    size, attempt = (y.shape[-2], y.shape[-1]), partial(_attempt, network, y, run)

    def fails_alike() -> bool:
        return _alike(attempt(size), error)

    def cured(size: tuple[int, int], **other: int) -> bool:
        """Whether this works, once more after the first size has failed once more: chance does so seldom."""
        return attempt(size, **other) is None and fails_alike() and attempt(size, **other) is None

    if not fails_alike():
        return
    maps = [value for value in (conditions or {}).values() if _is_map(value)]
    if all(value.shape[-2:] == y.shape[-2:] for value in maps):
        for multiple in SIZE_MULTIPLES:
            other = _odd_multiples(size, multiple)
            if (size[0] % multiple or size[1] % multiple) and cured(other):
                larger = size[0] + LARGER * multiple, size[1] + LARGER * multiple
                small = attempt(larger) is None
                raise InputError(_too_small(size, larger) if small else size_message(size, multiple)) from error
    expected = input_channels(network)
    if expected is None or y.shape[1] == expected:
        return
    sizes = (size, next_multiples(size, SIZE_MULTIPLES[-1]))
    if any(cured(size, channels=expected) for size in sizes):
        raise InputError(
            f"the network takes images of {expected} channels and was given {y.shape[1]} (shape {tuple(y.shape)}): "
            "convert the images; channels come second, (N, C, H, W)"
        ) from error


def _attempt(
    network: nn.Module, y: Tensor, run: Callable[[Tensor], Any], size: tuple[int, int], channels: int | None = None
) -> BaseException | None:
    """The failure of a call with zeros of this size, None where it works."""
    # Two images: a batch of one hides mistakes in how σ is laid out.
    trial = y.new_zeros((min(2, y.shape[0]), channels or y.shape[1], *size))
    try:
        with trying(), torch.no_grad(), evaluating(network):
            shape = tuple(run(trial).shape[-2:])
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as failure:
        # The hook of a tap ends a pass with what is no Exception: let it end the trial and nothing more.
        return failure
    return None if shape == size else RuntimeError(f"images of {size} came out as {shape}")


def _alike(failure: BaseException | None, error: BaseException) -> bool:
    """Whether two failures are one: of a class, in one line, of one message but for its numbers."""
    if failure is None or type(failure) is not type(error):
        return False
    lines = [list(traceback.walk_tb(e.__traceback__))[-1] for e in (failure, error)]
    places = [(frame.f_code, line) for frame, line in lines]
    said = [re.sub(r"\d+", "", str(e)) for e in (failure, error)]
    return places[0] == places[1] and said[0] == said[1]


def _raised_in_hook(network: nn.Module, error: BaseException) -> bool:
    """Whether a hook raised it, such as a tap's reduction or an edit."""
    hooks = [*every._global_forward_hooks.values(), *every._global_forward_pre_hooks.values()]
    for module in network.modules():
        hooks += [*module._forward_hooks.values(), *module._forward_pre_hooks.values()]
    return not set(map(_code, hooks)).isdisjoint(_codes(error))


def _codes(error: BaseException) -> Iterator[CodeType]:
    """The code that was being run when it was raised, from the outside in."""
    return (frame.f_code for frame, _ in traceback.walk_tb(error.__traceback__))


def _code(function: Any) -> CodeType | None:
    """The code of a function, a method, a partial, or an object that can be called."""
    while isinstance(function, partial):
        function = function.func
    function = getattr(function, "__func__", function)
    code = getattr(function, "__code__", None)
    return getattr(type(function).__call__, "__code__", None) if code is None else code


def _is_map(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.ndim >= 3


def _too_small(size: tuple[int, int], larger: tuple[int, int]) -> str:
    return (
        f"images of {size[0]}×{size[1]} are too small for this network, which takes {larger[0]}×{larger[1]}: give "
        "larger ones, or pad them"
    )


def _odd_multiples(size: tuple[int, int], multiple: int) -> tuple[int, int]:
    # Odd, so that no larger power of two divides them; at least three, since some layers refuse maps of one pixel.
    rows, cols = (max(3, -(-n // multiple) | 1) * multiple for n in size)
    return rows, cols
