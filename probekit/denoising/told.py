"""Modules that keep the contract themselves, given σ as such code takes it: a tensor with a number for each image."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from probekit.checks import is_real, unwrapped
from probekit.denoising.blame import (
    first,
    part_for,
    raise_if_conditions_are_to_blame,
    raise_if_input_is_to_blame,
)
from probekit.denoising.dependence import warn_of_batch, warn_of_training
from probekit.denoising.inputs import arguments_with, check_output, check_sigma, sigma_place
from probekit.errors import InputError, ModelError, ProbeError
from probekit.machine.modes import evaluating

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

__all__ = ["Told", "takes_any_sigma"]


def takes_any_sigma(model: nn.Module) -> bool:
    """Whether a module says that it takes σ as users give it, a number or (N,), and None: it declares this name."""
    return bool(getattr(model, "takes_any_sigma", False))


class Told(nn.Module):
    """A module whose forward takes the image and a `sigma`, called as ``forward(y, sigma)`` with any σ.

    It is told σ as a tensor (N,), of the images' type and on their device, as code that trains such networks does;
    where it annotates ``sigma: float`` (or ``float | None``), as a number where a number is given. Its second
    parameter is told by position, any other, also one that takes keywords only, by keyword. The module is used as it
    is, and its submodules keep their own paths as tap names.

    Parameters
    ----------
    model
        The module; its `name`, where it has one, is what results call it.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        parameter = inspect.signature(model.forward).parameters["sigma"]
        self._by_keyword = sigma_place(model) == "keyword"
        self._needs_sigma = parameter.default is parameter.empty
        words = set(re.findall(r"\w+", getattr(parameter.annotation, "__name__", str(parameter.annotation))))
        self._as_number = "float" in words and words.isdisjoint({"Tensor", "Any"})
        self.model = model
        self.training = model.training

    @property
    def name(self) -> str:
        """What results call it."""
        return str(getattr(self.model, "name", type(self.model).__name__))

    @property
    def network(self) -> nn.Module:
        """The module whose submodules are tapped."""
        return self.model

    def forward(
        self, y: Float[Tensor, "n band row col"], sigma: Any = None, **conditions: Any
    ) -> Float[Tensor, "n band row col"]:
        """Clean estimate of noisy images.

        Parameters
        ----------
        y
            Noisy images, float (N, C, H, W).
        sigma
            Standard deviation of the noise, ≥ 0: a number or (N,); None where the module has a default for it.
        conditions
            What else the module takes, by name; passed through unchanged.

        Raises
        ------
        InputError
            If `sigma` is none or missing, `conditions` are lacking or unknown, or the images are of a size or channel
            count that the module cannot take.
        OutputError
            If the module returns something else than a tensor of the shape of `y`.
        ModelError
            If it works with σ as a number only and does not say so.
        """
        warn_of_training(self.model, stacklevel=4)
        warn_of_batch(self.model, stacklevel=4)
        if sigma is None and self._needs_sigma:
            raise InputError(f"{self.name} is told the noise level: pass sigma, a number or a tensor (N,)")
        levels = check_sigma(sigma, y)
        told = unwrapped(sigma) if self._as_number and is_real(unwrapped(sigma)) else levels
        try:
            output = self._called(y, told, conditions)
        except Exception as error:
            self._explain(y, told, conditions, error)
            raise
        check_output(self.name, output, y)
        return output

    def repeated(self) -> Callable[[Tensor, float, Mapping[str, Any]], Any]:
        """A function (y, σ, conditions): what the module returns for a batch like one that was taken before."""
        if self._as_number:
            return self._called
        return lambda y, sigma, conditions: self._called(y, check_sigma(sigma, y), conditions)

    def _called(self, y: Tensor, told: Any, conditions: Mapping[str, Any]) -> Any:
        if told is None:
            return self.model(y, **conditions)
        position, keyword = arguments_with(told, by_keyword=self._by_keyword)
        return self.model(y, *position, **keyword, **conditions)

    def _explain(self, y: Tensor, told: Any, conditions: Mapping[str, Any], error: Exception) -> None:
        """Clear words for a failure, where it is known whose it is."""
        if isinstance(error, TypeError):
            raise_if_conditions_are_to_blame(
                self.model, conditions, error, told=told is not None, by_keyword=self._by_keyword
            )

        def again(trial: Tensor) -> Any:
            part = part_for(conditions, trial, of=y)
            return self._called(trial, first(told, trial.shape[0], of=y.shape[0]), part)

        if isinstance(error, RuntimeError):
            raise_if_input_is_to_blame(self.model, y, again, error, conditions)
        if isinstance(error, ProbeError) or not isinstance(told, torch.Tensor) or not bool((told == told[0]).all()):
            return
        try:
            with torch.no_grad(), evaluating(self.model):
                self._called(torch.zeros_like(y), float(told[0]), conditions)
        except Exception:
            return
        try:
            with torch.no_grad(), evaluating(self.model):
                self._called(torch.zeros_like(y), told, conditions)
        except Exception:
            raise ModelError(
                f"{self.name} is told sigma as a tensor ({len(told)},), one number an image, and works with a number "
                f"only ({error}): lay it out, sigma.view(-1, 1, 1, 1), or annotate the parameter, sigma: float"
            ) from error
