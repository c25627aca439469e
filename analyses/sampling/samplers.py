"""Samplers as functions of a task: each method is a few lines over one walk down the noise levels; plain torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

import torch

from analyses.sampling import kernels_guidance, schedules
from analyses.sampling.particles import Particles
from analyses.sampling.walk import DRAWS, Task, Walk, check_count, check_positive
from probekit.checks import number
from probekit.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

    from analyses.sampling.walk import Features, Kernel

__all__ = ["METHODS", "Method", "method_of"]


class Method(Protocol):
    """How samples are made: options as fields, defaults for the schedule, and the walk itself."""

    def schedule(self) -> list[float]:
        """The noise levels it uses unless told others."""
        ...

    def run(self, walk: Walk) -> Tensor:
        """The samples (N, C, H, W)."""
        ...


class _Linear:
    def schedule(self) -> list[float]:
        return schedules.linear()


class _Geometric:
    def schedule(self) -> list[float]:
        return schedules.geometric()


@dataclass(frozen=True, kw_only=True)
class Guiding:
    """Options of guidance: "adam" with its learning rate, ε and whether the loss is averaged; or "rescale"."""

    guidance: Literal["adam", "rescale"] = "adam"
    guidance_steps: int = 100
    tolerance: float = 0.01
    lr: float = 0.01
    eps: float = 1e-8
    average_loss: bool = False

    def __post_init__(self) -> None:
        check_positive(self, "tolerance", "lr")
        number("eps", self.eps, "a finite number ≥ 0", good=lambda v: v >= 0)
        check_count(self, "guidance_steps", 1)
        if not isinstance(self.average_loss, bool):
            raise InputError(f"average_loss={self.average_loss!r}: give True or False")
        if self.guidance not in ("adam", "rescale"):
            raise InputError(f'guidance={self.guidance!r}: give "adam" or "rescale"')

    def kernel(self) -> Kernel:
        """The guidance chosen."""
        limits = {"steps": self.guidance_steps, "tolerance": self.tolerance}
        if self.guidance == "rescale":
            return partial(kernels_guidance.rescale, **limits)
        return partial(kernels_guidance.adam, **limits, lr=self.lr, eps=self.eps, average_loss=self.average_loss)


@dataclass(frozen=True, kw_only=True)
class Algorithm1(_Linear, Guiding):
    """Algorithm 1 of arXiv:2506.01912: noise added, guidance, the denoiser; at each level anew."""

    def run(self, walk: Walk) -> Tensor:
        x = walk.task.start
        for t, sigma in enumerate(walk.task.sigmas):
            walk.enter(sigma)
            y = walk.towards(t, self.kernel(), x + sigma * walk.noise(t * DRAWS))
            x = walk.denoise(y, sigma)
            walk.task.seen(x)
        return x


@dataclass(frozen=True, kw_only=True)
class GuidanceOnly(_Linear, Guiding):
    """Algorithm 1 without its score steps: noise added and guided away, level after level."""

    def run(self, walk: Walk) -> Tensor:
        y = walk.task.start
        for t, sigma in enumerate(walk.task.sigmas):
            walk.enter(sigma)
            y = walk.towards(t, self.kernel(), y + sigma * walk.noise(t * DRAWS))
            walk.task.seen(y)
        return y


@dataclass(frozen=True, kw_only=True)
class ScoreOnly(_Linear):
    """Algorithm 1 without its guidance: noise added and denoised, level after level; the condition is not used."""

    def run(self, walk: Walk) -> Tensor:
        x = walk.task.start
        for t, sigma in enumerate(walk.task.sigmas):
            walk.enter(sigma)
            x = walk.denoise(x + sigma * walk.noise(t * DRAWS), sigma)
            walk.task.seen(x)
        return x


@dataclass(frozen=True, kw_only=True)
class Langevin(_Geometric):
    """Annealed Langevin dynamics on the level sets of the features; derived in docs/sampling.md.

    From level σ to σ' the images go by y ← D + (σ'/σ) (y − D), and are put on the level set ā(y) = φ_σ'; then
    `correctors` times y ← y + h (D(y) − y) + √(2h) σ' (z + z₋)/2, with z₋ the z of the step before (Leimkuhler &
    Matthews 2013), and back onto the level set.
    Squared differences are divided by the variance of one draw's features, so that `tolerance` is in units of it.
    At the end y is moved until the clean estimate's own φ, ā(D(y) + σz) averaged over `final_draws` of z, is the
    target: a denoiser changes features where it is not exact.
    """

    correctors: int = 3
    step: float = 0.8
    guidance_steps: int = 20
    tolerance: float = 0.1
    final_draws: int = 4
    guides: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_positive(self, "tolerance", "step")
        check_count(self, "guidance_steps", 1)
        check_count(self, "correctors", 0, DRAWS - 2)
        check_count(self, "final_draws", 0, DRAWS)
        if self.step > 1:
            raise InputError(f"step={self.step}: give the share of the noise taken off in a step, in (0, 1]")

    def run(self, walk: Walk) -> Tensor:
        sigmas = walk.task.sigmas
        y, before = walk.task.start + sigmas[0] * walk.noise(0), self._before(walk)
        for t, sigma in enumerate(sigmas):
            if t:
                x = walk.denoise(y, sigmas[t - 1])
                walk.task.seen(x)
                y = x + sigma / sigmas[t - 1] * (y - x)
            walk.enter(sigma)
            y = self._put(walk, y, t)
            for k in range(self.correctors):
                x = walk.denoise(y, sigma)
                noise = walk.noise(t * DRAWS + 1 + k)
                moved = y + self.step * (x - y) + (2 * self.step) ** 0.5 * sigma * (noise + before) / 2
                y, before = self._put(walk, moved, t), noise
        x = walk.denoise(self._ended(walk, y), sigmas[-1])
        walk.task.seen(x)
        return x

    def _before(self, walk: Walk) -> Tensor:
        """The z of a step before the first: in the steady state an image holds √(h/2) σ of its last step's z."""
        held = self.step / 2
        return held**0.5 * walk.noise(0) + (1 - held) ** 0.5 * walk.noise(DRAWS - 1)

    def _put(self, walk: Walk, y: Tensor, t: int, features: Features | None = None) -> Tensor:
        if not self.guides:
            return y
        kernel = partial(
            kernels_guidance.rescale, steps=self.guidance_steps, tolerance=self.tolerance, absolute=True, flowing=True
        )
        weight = walk.task.weight / walk.task.scale(t).square()
        return walk.guide(kernel, y, walk.task.target[t], weight, walk.task.sigmas[t], features=features)

    def _ended(self, walk: Walk, y: Tensor) -> Tensor:
        """The images moved until what their clean estimates show, seen through fresh noise, is the last target."""
        if not (self.guides and self.final_draws):
            return y
        levels = len(walk.task.sigmas)
        noise = [walk.task.sigmas[-1] * walk.noise(levels * DRAWS + k) for k in range(self.final_draws)]

        def features(part: Tensor, sigma: Tensor, rows: Tensor) -> Tensor:
            clean = walk.task.denoise(part, sigma)
            walk.count(rows)
            return torch.stack([walk.task.features(clean + z[rows], sigma) for z in noise]).mean(dim=0)

        return self._put(walk, y, levels - 1, features)


@dataclass(frozen=True, kw_only=True)
class Unconditional(Langevin):
    """The same dynamics without the level sets: samples of the denoiser's own prior; the condition is not used."""

    guides: ClassVar[bool] = False


@dataclass(frozen=True, kw_only=True)
class Adaptive(_Linear, Guiding):
    """The adaptive schedule of Kadkhodaie & Simoncelli (2021) with guidance before each score step.

    σ̂ = ‖D(y) − y‖/√N; y ← y + h (D(y) − y) + γ z with h = h₀ t/(1 + h₀ (t − 1)) and
    γ² = ((1 − βh)² − (1 − h)²) σ̂², until σ̂ < `until`. Targets are interpolated linearly in σ̂ between the levels of
    the schedule, on which they are measured.
    """

    guidance_steps: int = 10
    h0: float = 0.01
    beta: float = 0.5
    until: float = 0.01
    most_levels: int = 1000

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive(self, "h0", "beta", "until")
        check_count(self, "most_levels", 1)
        if self.h0 > 1 or self.beta > 1:
            raise InputError(f"h0={self.h0}, beta={self.beta}: both are shares, in (0, 1]")

    def schedule(self) -> list[float]:
        return schedules.geometric()

    def run(self, walk: Walk) -> Tensor:
        y = walk.task.start + walk.task.sigmas[0] * walk.noise(0)
        x = y.clone()
        rows, level = walk.everyone, walk._levels(walk.task.sigmas[0], walk.everyone)
        for t in range(1, self.most_levels + 1):
            entered = torch.full(walk.everyone.shape, torch.nan, dtype=y.dtype, device=y.device)
            entered[rows] = level
            walk.enter(entered)
            guided = walk.guide(
                self.kernel(), y[rows], self._between(walk.task, level, rows), walk.task.weight[rows], level, rows
            )
            clean = walk.denoise(guided, level, rows)
            level = (clean - guided).flatten(1).square().mean(1).sqrt()
            h = schedules.step_length(t, self.h0)
            noise = level[:, None, None, None] * walk.noise(t * DRAWS, rows)
            y[rows] = guided + h * (clean - guided) + schedules.noise_share(h, self.beta) * noise
            x[rows] = clean
            walk.task.seen(x)
            level = ((1 - self.beta * h) * level).clamp(min=torch.finfo(y.dtype).tiny)
            busy = level >= self.until
            rows, level = rows[busy], level[busy]
            if not len(rows):
                break
        return x

    @staticmethod
    def _between(task: Task, level: Tensor, rows: Tensor) -> Tensor:
        """Targets (n, K) at noise levels (n,), between those of the schedule; beyond its ends, the ends'."""
        known = torch.tensor(list(task.sigmas)[::-1], dtype=level.dtype, device=level.device)
        if len(known) == 1:
            return task.target[0, rows]
        above = torch.searchsorted(known, level).clamp(1, len(known) - 1)
        share = ((level - known[above - 1]) / (known[above] - known[above - 1])).clamp(0, 1)[:, None]
        rising = task.target.flip(0)
        return rising[above - 1, rows] * (1 - share) + rising[above, rows] * share


METHODS: Mapping[str, type[Any]] = {
    "langevin": Langevin,
    "algorithm1": Algorithm1,
    "adaptive": Adaptive,
    "guidance": GuidanceOnly,
    "score": ScoreOnly,
    "unconditional": Unconditional,
    "particles": Particles,
}


def method_of(name: str, options: Mapping[str, Any]) -> Method:
    """The method of this name with these options.

    Raises
    ------
    InputError
        If there is no such method, it has no such option, or an option is out of its range.
    """
    if not isinstance(name, str) or name not in METHODS:
        raise InputError(f"method={name!r}: give one of {', '.join(METHODS)}")
    known = list(METHODS[name].__dataclass_fields__)
    unknown = [key for key in options if key not in known]
    if unknown:
        raise InputError(f"the method {name!r} has no option {', '.join(unknown)}: it has {', '.join(known) or 'none'}")
    return METHODS[name](**options)
