"""What a denoiser may be given and what it may return, in clear words where it is something else."""

from __future__ import annotations

import inspect
from numbers import Integral
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import nn

from probekit.checks import LOUDEST, given, is_real, number, real_array
from probekit.errors import InputError, ModelError, OutputError
from probekit.machine.place import place_of

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

__all__ = [
    "arguments_with",
    "check_batch",
    "check_images",
    "check_output",
    "check_sigma",
    "check_signature",
    "input_channels",
    "next_multiples",
    "sigma_place",
    "signature_of",
    "size_message",
]


def check_batch(y: Any, model: nn.Module) -> None:
    """Refuse what is not a batch of images of the network's floating type."""
    check_images(y)
    dtype = place_of(model, y).dtype
    if not y.is_floating_point() or y.dtype != dtype:
        raise InputError(f"y is {y.dtype} and the network computes in {dtype}: convert with y.to({dtype})")


def check_images(y: Any) -> None:
    """Refuse what is no tensor of the shape of a batch of images."""
    if not isinstance(y, torch.Tensor):
        raise InputError(f"y is a {type(y).__name__}: give a float tensor (N, C, H, W)")
    if y.ndim != 4:
        raise InputError(
            f"y has shape {tuple(y.shape)}: give a batch (N, C, H, W)"
            + ("; for one image write y[None]" if y.ndim == 3 else "")
        )


def check_sigma(sigma: Any, y: Tensor, *, dtype: torch.dtype | None = None) -> Float[Tensor, " n"] | None:
    """σ as a tensor (N,) on the device of `y` and of its type, unless `dtype` names another; None stays None."""
    if sigma is None:
        return None
    dtype = dtype or y.dtype
    if is_real(sigma):
        most = min(LOUDEST, torch.finfo(dtype).max)
        if type(sigma) is float and 0 <= sigma <= most:
            # Asked for at every pass: what is in order takes no words.
            return torch.full((y.shape[0],), sigma, dtype=dtype, device=y.device)
        wanted = f"the noise standard deviation, a finite number ≥ 0, of {most:g} at most"
        level = number("sigma", sigma, wanted, good=lambda v: 0 <= v <= most)
        return torch.full((y.shape[0],), level, dtype=dtype, device=y.device)
    what = "one number ≥ 0, or one number per image (N,)"
    if not isinstance(sigma, torch.Tensor):
        levels = torch.as_tensor(real_array("sigma", sigma, what)).to(y.device, dtype)
    elif sigma.dtype == torch.bool or sigma.is_complex() or sigma.is_meta or sigma.layout != torch.strided:
        raise InputError(f"{given('sigma', sigma)}: give {what}")
    else:
        levels = sigma.to(y.device, dtype)
    if levels.ndim == 0:
        levels = levels.expand(y.shape[0])
    if levels.shape != y.shape[:1]:
        raise InputError(
            f"sigma has shape {tuple(levels.shape)} for a batch of {y.shape[0]}: give one number or one per image"
        )
    if not bool(((levels >= 0) & (levels <= LOUDEST)).all()):
        raise InputError(
            "sigma holds values that are negative or not finite: noise standard deviations are ≥ 0, and "
            f"{LOUDEST:g} at most"
        )
    return levels


def check_output(name: str, output: Any, y: Tensor) -> None:
    """Refuse what is no clean image of noisy images `y`.

    Raises
    ------
    OutputError
        If it is no tensor, or of another shape.
    """
    if isinstance(output, torch.Tensor) and output.shape == y.shape:
        return
    got = tuple(output.shape) if isinstance(output, torch.Tensor) else type(output).__name__
    planes = y.shape[1]
    mend = "wrap it in a module that does"
    if isinstance(output, torch.Tensor) and output.shape == (y.shape[0], 2 * planes, *y.shape[2:]):
        mend = (
            f"with twice the planes the later {planes} are often a learned variance; if so, wrap it in a module that "
            f"returns output[:, :{planes}]"
        )
    elif hasattr(output, "sample"):
        mend += ", returning its .sample"
    raise OutputError(
        f"{name} returned {got} for an input of {tuple(y.shape)}: a denoiser's network returns a tensor of the input's "
        f"shape; {mend}"
    )


def signature_of(model: nn.Module) -> inspect.Signature:
    """What the forward of a module takes; where that is not known, as of traced ones, anything by position."""
    try:
        return inspect.signature(model.forward)
    except ValueError:
        return inspect.Signature([inspect.Parameter("args", inspect.Parameter.VAR_POSITIONAL)])


def sigma_place(model: nn.Module) -> Literal["second", "keyword"] | None:
    """How the forward of a module takes a parameter called sigma: as its second, by keyword, or not at all."""
    for index, (name, parameter) in enumerate(signature_of(model).parameters.items()):
        if index and name == "sigma":
            positional = parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
            if index == 1 and positional:
                return "second"
            return "keyword" if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY) else None
    return None


def arguments_with(told: Any, *, by_keyword: bool) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """What a network is given beside the image, by position and by keyword, to be told this."""
    return ((), {"sigma": told}) if by_keyword else ((told,), {})


def check_signature(model: nn.Module, *, told: bool) -> None:
    """Refuse a network that cannot be called with the image, and σ if told; what conditions it is left to calls."""
    if getattr(model.forward, "__func__", None) is nn.Module.forward:
        raise ModelError(f"{type(model).__name__} has no forward, so that it cannot be called: give a network that has")
    signature = signature_of(model)
    by_keyword = told and sigma_place(model) == "keyword"
    position, keyword = arguments_with(None, by_keyword=by_keyword) if told else ((), {})
    given = [None, *position]
    # A second argument that a blind network must be given is more often σ than a condition.
    kinds = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)[: 1 + told]
    later = list(signature.parameters.values())[len(given) :]
    conditions = {
        p.name: None for p in later if p.default is p.empty and p.kind in kinds and (by_keyword or p.name != "sigma")
    }
    try:
        signature.bind(*given, **(conditions | keyword))
    except TypeError as error:
        raise ModelError(
            f"{type(model).__name__}.forward{signature} cannot be called with {'(y, sigma)' if told else '(y)'}: "
            f'{error}; a blind network takes the image alone, one told σ takes the image and σ (sigma_to="sigma"), '
            "others need wrapping in a module that does"
        ) from error


def input_channels(model: nn.Module) -> int | None:
    """Channels of the images that a network takes: declared as `image_channels`, else its first convolution's."""
    declared = getattr(model, "image_channels", None)
    if is_real(declared) and isinstance(declared, Integral):
        return int(declared)
    convolution = next((m for m in model.modules() if isinstance(m, nn.Conv2d)), None)
    return None if convolution is None else convolution.in_channels


def size_message(size: tuple[int, int], multiple: int) -> str:
    """What to say of an image whose height or width the network cannot halve evenly."""
    below, above = [n // multiple * multiple for n in size], next_multiples(size, multiple)
    crop = f"crop to {below[0]}×{below[1]} or " if min(below) else ""
    return (
        f"images of {size[0]}×{size[1]} cannot be halved evenly by this network: height and width must be "
        f"multiples of {multiple}; {crop}pad to {above[0]}×{above[1]}"
    )


def next_multiples(size: tuple[int, int], multiple: int) -> tuple[int, int]:
    """The least multiples that are not smaller."""
    return -(-size[0] // multiple) * multiple, -(-size[1] // multiple) * multiple
