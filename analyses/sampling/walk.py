"""A walk of samples down noise levels: what methods share, and the record of what it took; plain torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from analyses.sampling.kernels_guidance import Goal, Guided
from probekit.checks import number
from probekit.errors import InputError, ModelError

if TYPE_CHECKING:
    from torch import Tensor

    Kernel = Callable[[Goal, Tensor], Guided]
    # From noisy images (n, C, H, W), their noise levels and their rows in the batch to features (n, K).
    Features = Callable[[Tensor, Tensor, Tensor], Tensor]

__all__ = ["DRAWS", "Task", "Walk", "check_count", "check_positive"]

# Noise draws that a level may use; level t begins at draw t · DRAWS.
DRAWS = 64
# Channels that vary less than this share of the most variable one are weighted as if they varied so much.
LEAST_SPREAD = 0.1
# Where nothing is known of how channels vary, they are weighed as if by this share of the largest feature.
PRESUMED_SPREAD = 0.01


class Task(NamedTuple):
    """What a batch of N samples is made from.

    Attributes
    ----------
    denoise, features
        From noisy images and their noise levels (n,) to clean estimates, and to features (n, K) up to the tap.
    sigmas
        The T levels of the schedule, falling.
    target, spread
        (T, N, K): the features asked for at each level; standard deviation over noise of one draw of them, NaN where
        it is not known.
    weight
        (N, K) ≥ 0, mean 1 over features.
    start
        (N, C, H, W), clean images to begin at.
    noise
        From rows and as many draw numbers to standard normal noise, the same for a sample whatever the batch.
    names
        Of the samples, for messages.
    seen
        Told the clean estimate of all samples after each level.
    """

    denoise: Callable[[Tensor, Tensor], Tensor]
    features: Callable[[Tensor, Tensor], Tensor]
    sigmas: Sequence[float]
    target: Tensor
    spread: Tensor
    weight: Tensor
    start: Tensor
    noise: Callable[[Sequence[int], Sequence[int]], Tensor]
    names: list[str]
    seen: Callable[[Tensor], None] = lambda _: None

    def scale(self, t: int) -> Tensor:
        """(N, K) > 0, on which differences of features count at a level: the spread of one draw, known or presumed."""
        known = torch.nan_to_num(self.spread[t], nan=0.0)
        floor = LEAST_SPREAD * known.amax(dim=1, keepdim=True)
        presumed = PRESUMED_SPREAD * self.target[t].abs().amax(1, keepdim=True)
        scale = torch.where(floor > 0, torch.maximum(known, floor), presumed)
        return scale.clamp(min=torch.finfo(scale.dtype).tiny ** 0.25)


class Walk:
    """A walk down the levels: what the methods share, and a record of what it cost and reached.

    Attributes
    ----------
    first, last, steps
        By level, (N,): loss before and after guidance, gradient evaluations.
    sigma
        By level, (N,): the noise levels.
    ess
        By level, (N,): effective sample size of a method that carries particles; else nothing.
    denoised
        (N,), passes through the whole network.
    """

    def __init__(self, task: Task) -> None:
        self.task = task
        n = len(task.start)
        self.everyone = torch.arange(n, device=task.start.device)
        self.first: list[Tensor] = []
        self.last: list[Tensor] = []
        self.steps: list[Tensor] = []
        self.sigma: list[Tensor] = []
        self.ess: list[Tensor] = []
        self.denoised = torch.zeros(n, dtype=torch.long, device=task.start.device)

    def noise(self, draw: int, rows: Tensor | None = None) -> Tensor:
        """Standard normal noise of a draw for these rows."""
        chosen = self.everyone if rows is None else rows
        return self.task.noise(chosen.tolist(), [draw] * len(chosen))

    def denoise(self, y: Tensor, sigma: float | Tensor, rows: Tensor | None = None) -> Tensor:
        """Clean estimates, counted; refused where they are not finite."""
        rows = self.everyone if rows is None else rows
        with torch.no_grad():
            # A network may change its input in place, and y is used again.
            clean = self.task.denoise(y.clone(), self._levels(sigma, rows))
        self.count(rows)
        finite = torch.isfinite(clean).flatten(1).all(1)
        if not bool(finite.all()):
            raise ModelError(self._broken("clean estimate", rows[~finite], sigma))
        return clean

    def count(self, rows: Tensor) -> None:
        """Count a pass through the whole network of each of these rows, of which one may stand for many particles."""
        self.denoised += torch.bincount(rows, minlength=len(self.denoised))

    def enter(self, sigma: float | Tensor) -> None:
        """Begin a level."""
        nothing = torch.full(self.everyone.shape, torch.nan, dtype=self.task.start.dtype, device=self.everyone.device)
        self.first.append(nothing)
        self.last.append(nothing.clone())
        self.steps.append(torch.zeros_like(self.everyone))
        self.sigma.append(self._levels(sigma, self.everyone))

    def guide(
        self,
        kernel: Kernel,
        y: Tensor,
        target: Tensor,
        weight: Tensor,
        sigma: float | Tensor,
        rows: Tensor | None = None,
        features: Features | None = None,
    ) -> Tensor:
        """The images moved until their features, the task's unless told others, are near their targets.

        What that took and reached is recorded at the level entered last.
        """
        rows = self.everyone if rows is None else rows
        levels = self._levels(sigma, rows)

        def seen(part: Tensor, chosen: Tensor) -> Tensor:
            if features is None:
                return self.task.features(part, levels[chosen])
            return features(part, levels[chosen], rows[chosen])

        goal = Goal(seen, target, weight)
        try:
            guided = kernel(goal, y)
        except ModelError as error:
            raise ModelError(self._broken(f"guidance ({error})", rows, sigma)) from error
        fresh = rows[torch.isnan(self.first[-1][rows])]
        self.first[-1][fresh] = guided.first[torch.isin(rows, fresh)]
        self.last[-1][rows] = guided.last
        self.steps[-1][rows] += guided.steps
        return guided.y

    def towards(self, t: int, kernel: Kernel, y: Tensor) -> Tensor:
        """Guidance of all samples to the targets of a level of the schedule."""
        return self.guide(kernel, y, self.task.target[t], self.task.weight, self.task.sigmas[t])

    def _levels(self, sigma: float | Tensor, rows: Tensor) -> Tensor:
        if isinstance(sigma, torch.Tensor):
            return sigma
        return torch.full(rows.shape, float(sigma), dtype=self.task.start.dtype, device=rows.device)

    def _broken(self, what: str, rows: Tensor, sigma: float | Tensor) -> str:
        names = [str(self.task.names[i]) for i in rows[:3].tolist()]
        level = float(torch.as_tensor(sigma).max())
        return (
            f"{what} of samples {', '.join(names)}{', …' if len(rows) > 3 else ''} is not finite at level "
            f"{len(self.sigma)} (σ = {level:.3g}): check that the network gives finite outputs on noisy images of "
            "this level, or begin at a smaller one, sigmas="
        )


def check_positive(given: Any, *names: str) -> None:
    for name in names:
        value = getattr(given, name)
        number(name, value, "a finite number > 0", good=lambda v: v > 0)


def check_count(given: Any, name: str, least: int, most: int = 10**6) -> None:
    value = getattr(given, name)
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not least <= value <= most:
        raise InputError(f"{name}={value!r}: give a whole number from {least} to {most}")
