"""Noise levels that samplers go through, and the step of the adaptive one."""

from __future__ import annotations

import math
import warnings
from itertools import pairwise
from typing import Any

import numpy as np

from probekit.errors import InputError
from probekit.phi.averages import noise_levels

__all__ = ["check", "geometric", "linear", "noise_share", "step_length"]

TRAINED = 1.0


def linear(first: float = 1.0, last: float = 0.03, levels: int = 100) -> list[float]:
    """Equally spaced levels; the defaults are those of the paper's Algorithm 1."""
    return [float(s) for s in np.linspace(first, last, levels)]


def geometric(first: float = 1.0, last: float = 0.01, levels: int = 20) -> list[float]:
    """Levels of equal ratio, so that each step removes the same share of the noise that is left."""
    return [float(s) for s in np.geomspace(first, last, levels)]


def check(sigmas: Any) -> list[float]:
    """Levels as a list of falling numbers > 0; a warning above the range that denoisers are trained in.

    Raises
    ------
    InputError
        If they are not.
    """
    levels = noise_levels(sigmas)
    if min(levels) <= 0 or any(a <= b for a, b in pairwise(levels)):
        raise InputError(
            f"sigmas={_short(levels)}: give noise levels > 0 that fall from the first to the last, e.g. "
            "numpy.geomspace(1, 0.01, 20)"
        )
    if levels[0] > TRAINED:
        warnings.warn(
            f"sigmas begin at {levels[0]:g}, and denoisers are mostly trained on noise levels in (0, {TRAINED:g}]: "
            "begin there, unless this one knows more",
            stacklevel=3,
        )
    return levels


def step_length(t: int, first: float) -> float:
    """h_t = h₀ t/(1 + h₀ (t − 1)), t = 1, 2, …, of Kadkhodaie & Simoncelli (2021): from h₀ towards 1."""
    return first * t / (1 + first * (t - 1))


def noise_share(h: float, beta: float) -> float:
    """γ/σ̂ = √((1 − βh)² − (1 − h)²) of Kadkhodaie & Simoncelli (2021): the noise put back after a step h."""
    return math.sqrt(max(0.0, (1 - beta * h) ** 2 - (1 - h) ** 2))


def _short(levels: list[float]) -> str:
    shown = [f"{s:g}" for s in levels]
    return f"[{', '.join(shown if len(shown) <= 6 else [*shown[:3], '…', *shown[-2:]])}]"
