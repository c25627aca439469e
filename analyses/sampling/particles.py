"""A reference for p(x | φ), right in the limit of many particles and levels: twisted sequential Monte Carlo."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from analyses.sampling import schedules
from analyses.sampling.kernels_guidance import Goal, losses
from probekit.checks import number, whole

if TYPE_CHECKING:
    from torch import Tensor

    from analyses.sampling.walk import Walk

__all__ = ["Particles"]


@dataclass(frozen=True, kw_only=True)
class Particles:
    """Twisted particles (Wu et al. 2023, arXiv:2306.17775), one filter for each sample.

    Particles go down the levels by y' ~ N(D + r (y − D), σ² (1 − r)), r = (σ'/σ)², the variance that is right where
    noise is small beside the image. They are drawn with the mean moved by (1 − r) σ² ∇ log p̃(y), where
    p̃(y) = N(φ_σ; ā(y), s_σ²) with s_σ the standard deviation of one draw's features, and weighted by what that changes.
    So the tolerance within which φ is targeted is s_σ at the last level. One particle of each filter, drawn by weight,
    is the sample.
    """

    particles: int = 64
    resample_below: float = 0.5

    def __post_init__(self) -> None:
        whole("particles", self.particles, least=2)
        number("resample_below", self.resample_below, "a share of the particles, in [0, 1]", good=lambda v: 0 <= v <= 1)

    def schedule(self) -> list[float]:
        """Levels close enough for the transitions to be nearly exact."""
        return schedules.geometric(levels=100)

    def run(self, walk: Walk) -> Tensor:
        """The samples (N, C, H, W)."""
        task, many = walk.task, self.particles
        rows = walk.everyone.repeat_interleave(many)
        y = task.start[rows] + task.sigmas[0] * self._noise(walk, 0)
        walk.enter(task.sigmas[0])
        log_twist, pull = self._twist(walk, y, 0, rows)
        log_weight = log_twist.view(-1, many)
        for t, sigma in enumerate(task.sigmas):
            self._record(walk, log_weight)
            if t == len(task.sigmas) - 1:
                break
            x = walk.denoise(y, sigma, rows)
            task.seen(torch.einsum("nm,nmbrc->nbrc", torch.softmax(log_weight, 1), x.view(-1, many, *x.shape[1:])))
            kept = (task.sigmas[t + 1] / sigma) ** 2
            mean = x + kept * (y - x)
            moved = (1 - kept) * sigma**2 * pull
            deviation = sigma * math.sqrt(1 - kept)
            noise = self._noise(walk, (t + 1) * (many + 1))
            y = mean + moved + deviation * noise
            # log N(y; mean) − log N(y; mean + moved)
            change = -(moved.square() / 2 + deviation * moved * noise).flatten(1).sum(1) / deviation**2
            walk.enter(task.sigmas[t + 1])
            before = log_twist
            log_twist, pull = self._twist(walk, y, t + 1, rows)
            log_weight = log_weight + (change + log_twist - before).view(-1, many)
            if t + 1 < len(task.sigmas) - 1:
                chosen, log_weight = self._resampled(walk, log_weight, (t + 1) * (many + 1) + many)
                y, log_twist, pull = y[chosen], log_twist[chosen], pull[chosen]
        x = walk.denoise(y, task.sigmas[-1], rows)
        uniform = self._uniform(walk, len(task.sigmas) * (many + 1))
        picked = torch.searchsorted(torch.softmax(log_weight, 1).cumsum(1), uniform[:, None]).clamp(max=many - 1)[:, 0]
        clean = x.view(-1, many, *x.shape[1:])[walk.everyone, picked]
        task.seen(clean)
        return clean

    def _twist(self, walk: Walk, y: Tensor, t: int, rows: Tensor) -> tuple[Tensor, Tensor]:
        """log p̃ (n,) and its gradient; recorded as the guidance of this level."""
        task = walk.task
        sigma = torch.full(rows.shape, task.sigmas[t], dtype=y.dtype, device=y.device)
        weight = task.weight / task.scale(t).square()
        goal = Goal(lambda part, _: task.features(part, sigma), task.target[t][rows], weight[rows])
        loss, gradient = losses(goal, y, torch.arange(len(y), device=y.device))
        half = goal.target.shape[1] / 2
        by_sample = loss.view(-1, self.particles).mean(1)
        walk.first[-1], walk.last[-1] = by_sample, by_sample
        walk.steps[-1] += self.particles
        return -half * loss, -half * gradient

    def _record(self, walk: Walk, log_weight: Tensor) -> None:
        share = torch.softmax(log_weight, 1)
        walk.ess.append(1 / share.square().sum(1))

    def _resampled(self, walk: Walk, log_weight: Tensor, draw: int) -> tuple[Tensor, Tensor]:
        """Systematic resampling of the filters whose effective number has fallen; rows and new log weights."""
        many = self.particles
        share = torch.softmax(log_weight, 1)
        stale = 1 / share.square().sum(1) < self.resample_below * many
        places = (torch.arange(many, device=share.device) + self._uniform(walk, draw)[:, None]) / many
        drawn = torch.searchsorted(share.cumsum(1), places.to(share.dtype)).clamp(max=many - 1)
        same = torch.arange(many, device=share.device).expand_as(drawn)
        chosen = torch.where(stale[:, None], drawn, same) + many * walk.everyone[:, None]
        return chosen.flatten(), torch.where(stale[:, None], 0.0, log_weight)

    def _noise(self, walk: Walk, draw: int) -> Tensor:
        rows = walk.everyone.repeat_interleave(self.particles).tolist()
        return walk.task.noise(rows, list(range(draw, draw + self.particles)) * len(walk.everyone))

    def _uniform(self, walk: Walk, draw: int) -> Tensor:
        """A uniform number per sample, from the first normal of a draw."""
        return torch.special.ndtr(walk.noise(draw).flatten(1)[:, 0])
