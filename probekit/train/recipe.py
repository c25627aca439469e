"""What a training run consists of, and what follows from it for each step."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

from probekit.checks import LOUDEST, flag, given, is_real, settle, whole
from probekit.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["CHANNELS", "DEPTH", "Recipe", "sigma_quantile"]

# Of UNets from fine to coarse, then the middle; and convolutions of a DnCNN.
CHANNELS, DEPTH = (16, 32, 64, 128), 17

# Of the density of σ; steeper ones put all images at one end.
STEEPEST = 10
# The smallest normal number in single precision: no image has σ = 0.
LEAST = 2.0**-126


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What a training run consists of; the same recipe, images, precision and machine give the same weights.

    Attributes
    ----------
    steps : int
        Optimiser steps in all.
    batch_size : int
        Images per step, over all processes together.
    lr : float
        Peak learning rate of Adam; it rises linearly over the first `warmup` of the steps and
        falls to 0 as a half cosine.
    warmup : float
        Fraction of the steps, in [0, 1).
    sigma_max, sigma_min : float
        Largest and smallest σ of an image, in intensity units; `sigma_min` itself is left out where it is 0.
    sigma_power : float
        σ has a density ∝ σ^−sigma_power between them. 0 is uniform, as in the paper's main runs; 0.5 is
        σ = u²·sigma_max with u uniform, as in its texture runs; 1 is log-uniform. From 1 on `sigma_min` must be
        above 0.
    weight_power : float
        The squared error of an image is weighted by (σ + 0.01)^−weight_power. 0 is the paper's
        loss, which is ruled by large σ; 1 makes all σ count about equally, since the error of a
        good denoiser of photographs grows about as σ. The minimiser at each σ is the same.
    ema : float
        The weights that are evaluated and returned are an average over about this fraction of the
        steps made so far, in [0, 1]; 0 returns the last weights.
    flip : bool
        Whether images are mirrored left-right at random.
    seed : int
        Of the order of images, the noise, the flips and the crops.
    crop : int or None
        Side in pixels of the square that is cut from each image, anew and at random in each step;
        None trains on whole images.

    Raises
    ------
    InputError
        If a value is out of its range; the message names all that are.

    Examples
    --------
    >>> recipe = Recipe(steps=100, lr=0.01, warmup=0.1)
    >>> recipe.lr_at(0), recipe.lr_at(9), round(recipe.lr_at(99), 6)
    (0.001, 0.01, 3e-06)
    """

    steps: int = 20_000
    batch_size: int = 128
    lr: float = 1e-3
    warmup: float = 0.02
    sigma_max: float = 1.0
    sigma_min: float = 0.0
    sigma_power: float = 0.0
    weight_power: float = 0.0
    ema: float = 0.1
    flip: bool = True
    seed: int = 0
    crop: int | None = None

    def __post_init__(self) -> None:
        settle(self)
        rules: tuple[tuple[str, str, type, Callable[[Any], bool]], ...] = (
            ("steps", "a positive int", Integral, lambda v: 1 <= v < 2**53),
            ("batch_size", "a positive int", Integral, lambda v: 1 <= v < 2**53),
            ("lr", "a positive number", Real, lambda v: 0 < v <= 1e30),
            ("warmup", "a fraction in [0, 1)", Real, lambda v: 0 <= v < 1),
            ("sigma_max", "a positive number", Real, lambda v: 0 < v <= LOUDEST),
            ("sigma_min", "a number of at least 0", Real, lambda v: 0 <= v <= LOUDEST),
            ("sigma_power", f"a number from {-STEEPEST} to {STEEPEST}", Real, lambda v: abs(v) <= STEEPEST),
            ("weight_power", "a finite number", Real, lambda v: -LOUDEST <= v <= LOUDEST),
            ("ema", "a fraction in [0, 1]", Real, lambda v: 0 <= v <= 1),
            # What torch's generators take.
            ("seed", "an int of 64 bits", Integral, lambda v: -(2**63) <= v < 2**63),
            ("crop", "a positive int, or None", Integral, lambda v: 1 <= v < 2**53),
        )
        wrong = [
            f"{given(name, getattr(self, name))} (expected {expected})"
            for name, expected, kind, holds in rules
            if not (is_real(value := getattr(self, name)) and isinstance(value, kind) and holds(value))
            and not (name == "crop" and self.crop is None)
        ]
        if wrong:
            raise InputError(f"the recipe cannot be followed: {'; '.join(wrong)}")
        if self.sigma_min >= self.sigma_max:
            raise InputError(
                f"the recipe cannot be followed: sigma_min={self.sigma_min} is not below sigma_max={self.sigma_max}"
            )
        if self.sigma_power >= 1 and not self.sigma_min:
            raise InputError(
                f"the recipe cannot be followed: a density ∝ σ^−{self.sigma_power:g} has no end at σ = 0: give a "
                "sigma_min above 0, e.g. 0.004 (1/255)"
            )
        object.__setattr__(self, "flip", flag("flip", self.flip))

    def lr_at(self, step: int) -> float:
        """Learning rate of step number `step`, counted from 0."""
        step = whole("step", step, least=0, most=2**53)
        rise = max(1, round(self.warmup * self.steps))
        fall = (step - rise) / max(1, self.steps - rise)
        return self.lr * min((step + 1) / rise, 0.5 * (1 + math.cos(math.pi * max(0.0, fall))))

    def ema_weight(self, step: int) -> float:
        """How far the average moves towards the weights after step number `step`, counted from 0."""
        return 1 / max(1.0, self.ema * (whole("step", step, least=0, most=2**53) + 1))


def sigma_quantile(recipe: Recipe, share: Tensor) -> Tensor:
    """The σ below which this share of a recipe's images lies, elementwise; shares in (0, 1].

    The inverse of the distribution function: [a^q + (b^q − a^q) share]^(1/q) between a and b, with q = 1 − sigma_power,
    of which a (b/a)^share is the limit at q = 0.
    """
    low, high, q = recipe.sigma_min, recipe.sigma_max, 1 - recipe.sigma_power
    if q == 1:
        return low + (high - low) * share
    # In terms of a/b or b/a, so that no power is above 1.
    share, ratio = share.double(), low / high
    if q == 0:
        found = high * ratio ** (1 - share)
    elif q > 0:
        found = high * (ratio**q + (1 - ratio**q) * share) ** (1 / q)
    else:
        found = low * (1 - (1 - ratio**-q) * share) ** (1 / q)
    return found.clamp(max(low, LEAST), high).float()
