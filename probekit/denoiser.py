"""The one contract of everything that is measured: forward(y, sigma) gives the clean estimate."""

from __future__ import annotations

import inspect
import math
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import nn

from probekit.errors import InputError, ModelError

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

__all__ = ["Denoiser", "as_denoiser"]

SIZE_MULTIPLES = (2, 4, 8, 16, 32, 64)


class Denoiser(nn.Module):
    """A network seen as a denoiser: ``forward(y, sigma)`` returns the clean estimate x̂ ≈ E[x | y].

    The network itself is used as it is: it is neither copied nor changed, and its submodules keep
    their own paths as tap names.

    Parameters
    ----------
    model
        A network that predicts the clean image from the noisy one, float (N, C, H, W) in and out.
    sigma_to
        How the network is told the noise level: None, it is not (a blind denoiser, called
        ``model(y)``); "sigma", as its second argument, a tensor (N,) in intensity units.
    data_range
        (lowest, highest) intensity of clean images; None declares none, and nothing is warned of.
    name
        What results call this denoiser; the class name of `model` by default.

    Raises
    ------
    InputError
        If `sigma_to` or `data_range` is not one of the above.
    ModelError
        If `model` is not a ``torch.nn.Module``.

    Examples
    --------
    >>> denoiser = Denoiser(nn.Conv2d(1, 1, 3, padding=1))
    >>> denoiser(torch.zeros(2, 1, 8, 8), 0.1).shape
    torch.Size([2, 1, 8, 8])
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        sigma_to: Literal["sigma"] | None = None,
        data_range: tuple[float, float] | None = (0, 1),
        name: str | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(model, nn.Module):
            raise ModelError(f"a denoiser wraps a torch.nn.Module, not {type(model).__name__}: wrap it in a module")
        if sigma_to not in (None, "sigma"):
            raise InputError(f'sigma_to={sigma_to!r}: give None for a blind network or "sigma" for one told σ')
        if data_range is not None and not (len(data_range) == 2 and data_range[0] < data_range[1]):
            raise InputError(f"data_range={data_range!r}: give (lowest, highest) with lowest < highest, or None")
        _check_signature(model, 1 if sigma_to is None else 2)
        self.model = model
        self.sigma_to: Literal["sigma"] | None = sigma_to
        self.data_range = data_range
        self.name = name or type(model).__name__

    @property
    def network(self) -> nn.Module:
        """The module whose submodules are tapped: `model`."""
        return self.model

    def forward(self, y: Float[Tensor, "n band row col"], sigma: Any = None) -> Float[Tensor, "n band row col"]:
        """Clean estimate of noisy images.

        Parameters
        ----------
        y
            Noisy images, float (N, C, H, W), in the network's own floating type.
        sigma
            Standard deviation of the noise in intensity units, ≥ 0: a number for the whole batch
            or a tensor (N,). A blind network may be given None.

        Returns
        -------
        Tensor
            x̂, of the shape of `y`.

        Raises
        ------
        InputError
            If `y` is not such a batch, or of a size or channel count that the network cannot take;
            if `sigma` is negative, not finite, of another length than the batch, or missing where
            the network is told σ.
        ModelError
            If the network returns something else than a tensor of the shape of `y`.
        """
        check_batch(y, self.model)
        arguments = self.arguments(y, check_sigma(sigma, y))
        try:
            clean = self.model(*arguments)
        except RuntimeError as error:
            raise_if_input_is_to_blame(self.model, arguments, error)
            raise
        if not isinstance(clean, torch.Tensor) or clean.shape != y.shape:
            got = tuple(clean.shape) if isinstance(clean, torch.Tensor) else type(clean).__name__
            raise ModelError(
                f"{self.name} returned {got} for an input of {tuple(y.shape)}: a denoiser returns the clean image, "
                "a tensor of the input's shape; wrap the network in a module that does"
            )
        return clean

    def arguments(self, y: Tensor, sigma: Tensor | None) -> tuple[Tensor, ...]:
        """What the network itself is called with for noisy images `y` of noise levels `sigma` (N,)."""
        if self.sigma_to is None:
            return (y,)
        if sigma is None:
            raise InputError(f"{self.name} is told the noise level: pass sigma, a number or a tensor (N,)")
        return y, sigma

    def score(self, y: Float[Tensor, "n band row col"], sigma: Any) -> Float[Tensor, "n band row col"]:
        """Score of the noisy density, ∇ log p_σ(y) = (D(y) − y)/σ² (Tweedie; Miyasawa 1961).

        Parameters
        ----------
        y, sigma
            As for calling the denoiser; here σ must be > 0.

        Returns
        -------
        Tensor
            Of the shape of `y`, in inverse intensity units.

        Raises
        ------
        InputError
            If σ is missing or 0 anywhere, and as for calling the denoiser.
        """
        levels = check_sigma(sigma, y)
        if levels is None or bool((levels == 0).any()):
            raise InputError(f"the score needs sigma > 0 everywhere, not {sigma!r}: at σ = 0 it is not defined")
        return (self(y, sigma) - y) / levels.view(-1, 1, 1, 1) ** 2


def _check_signature(model: nn.Module, given: int) -> None:
    """Refuse a network whose forward cannot be called with `given` positional arguments."""
    signature = inspect.signature(model.forward)
    try:
        signature.bind(*[None] * given)
    except TypeError as error:
        what = "(y)" if given == 1 else "(y, sigma)"
        raise ModelError(
            f"{type(model).__name__}.forward{signature} cannot be called with {what}: {error}; "
            'a blind network takes the image alone, one told σ takes the image and σ (sigma_to="sigma"), '
            "others need wrapping in a module that does"
        ) from error


def as_denoiser(model: nn.Module) -> nn.Module:
    """A module that keeps the contract: `model` itself if its forward takes (y, sigma), else ``Denoiser(model)``."""
    if isinstance(model, Denoiser):
        return model
    if isinstance(model, nn.Module):
        parameters = list(inspect.signature(model.forward).parameters)
        if len(parameters) > 1 and parameters[1] == "sigma":
            return model
    return Denoiser(model)


def check_batch(y: Any, model: nn.Module) -> None:
    """Refuse what is not a batch of images of the network's floating type."""
    if not isinstance(y, torch.Tensor):
        raise InputError(f"y is a {type(y).__name__}: give a float tensor (N, C, H, W)")
    if y.ndim != 4:
        raise InputError(
            f"y has shape {tuple(y.shape)}: give a batch (N, C, H, W)"
            + ("; for one image write y[None]" if y.ndim == 3 else "")
        )
    parameter = next(model.parameters(), None)
    dtype = y.dtype if parameter is None else parameter.dtype
    if not y.is_floating_point() or y.dtype != dtype:
        raise InputError(f"y is {y.dtype} and the network computes in {dtype}: convert with y.to({dtype})")


def check_sigma(sigma: Any, y: Tensor) -> Float[Tensor, " n"] | None:
    """σ as a tensor (N,) of the type and device of `y`; None stays None."""
    if sigma is None:
        return None
    if isinstance(sigma, int | float):
        if not (math.isfinite(sigma) and sigma >= 0):
            raise InputError(f"sigma={sigma}: the noise standard deviation is a finite number ≥ 0")
        return torch.full((y.shape[0],), float(sigma), dtype=y.dtype, device=y.device)
    levels = torch.as_tensor(sigma, dtype=y.dtype, device=y.device)
    if levels.ndim == 0:
        levels = levels.expand(y.shape[0])
    if levels.shape != y.shape[:1]:
        raise InputError(
            f"sigma has shape {tuple(levels.shape)} for a batch of {y.shape[0]}: give one number or one per image"
        )
    if not bool((torch.isfinite(levels) & (levels >= 0)).all()):
        raise InputError("sigma holds values that are negative or not finite: noise standard deviations are ≥ 0")
    return levels


def raise_if_input_is_to_blame(model: nn.Module, arguments: tuple[Any, ...], error: RuntimeError) -> None:
    """Turn a network's failure on a batch into a clear InputError where its channels or size explain it."""
    if isinstance(error, torch.OutOfMemoryError):
        return
    y = arguments[0]
    expected = input_channels(model)
    if expected is not None and y.shape[1] != expected:
        raise InputError(
            f"the network takes images of {expected} channels and was given {y.shape[1]} (shape {tuple(y.shape)}): "
            "convert the images; channels come second, (N, C, H, W)"
        ) from error
    sizes = [m for m in SIZE_MULTIPLES if y.shape[-2] % m or y.shape[-1] % m]
    works = next((m for m in sizes if _runs(model, arguments, _rounded_up(y, m))), None)
    if works is not None:
        raise InputError(size_message((y.shape[-2], y.shape[-1]), works)) from error


def input_channels(model: nn.Module) -> int | None:
    """Channels of the images that a network takes: declared as `image_channels`, else its first convolution's."""
    declared = getattr(model, "image_channels", None)
    if isinstance(declared, int):
        return declared
    first = next((m for m in model.modules() if isinstance(m, nn.Conv2d)), None)
    return None if first is None else first.in_channels


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


def _rounded_up(y: Tensor, multiple: int) -> tuple[int, int]:
    return _next_multiples((y.shape[-2], y.shape[-1]), multiple)


def _runs(model: nn.Module, arguments: tuple[Any, ...], size: tuple[int, int]) -> bool:
    trial = arguments[0].new_zeros((1, arguments[0].shape[1], *size))
    others = (a[:1] if isinstance(a, torch.Tensor) else a for a in arguments[1:])
    try:
        with torch.no_grad():
            return model(trial, *others).shape == trial.shape
    except (RuntimeError, InputError):
        return False
