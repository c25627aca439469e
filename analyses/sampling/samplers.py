"""The samplers: each a function of a walk and its noise levels, plain torch; and samples of a denoiser's own prior."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

import torch
from torch import Tensor

from analyses.ground import repeats
from analyses.sampling import kernels
from analyses.sampling.kernels import Goal, Targets, losses
from analyses.sampling.methods import falling, geometric, image_shape, linear, middle_of, sampler
from analyses.sampling.walk import DRAWS, Walk
from probekit.checks import choice, flag, number, seeded, settle, whole
from probekit.denoising.conditions import conditions_for
from probekit.denoising.denoiser import as_denoiser, refuse_lazy
from probekit.machine.modes import evaluating
from probekit.machine.place import place_of
from probekit.machine.progress import bar

if TYPE_CHECKING:
    from torch import nn

    from analyses.sampling.walk import Features, Kernel

__all__ = [
    "Guiding",
    "noise_share",
    "sample",
    "sample_adaptive",
    "sample_algorithm1",
    "sample_guidance",
    "sample_langevin",
    "sample_particles",
    "sample_score",
    "sample_unconditional",
    "step_length",
]

MOST = 10**6
# Below this share of the levels noise is too small for images to become others.
MOVING = 0.7


def positive(name: str, value: object) -> float:
    """A finite number > 0."""
    return number(name, value, "a finite number > 0", good=lambda v: v > 0)


def proportion(name: str, value: object) -> float:
    """A number in (0, 1]."""
    return number(name, value, "a number in (0, 1]", good=lambda v: 0 < v <= 1)


def share_of_all(name: str, value: object) -> float:
    """A number in [0, 1]."""
    return number(name, value, "a share of the particles, in [0, 1]", good=lambda v: 0 <= v <= 1)


Count = Annotated[int, partial(whole, least=1, most=MOST)]
Positive = Annotated[float, positive]
Proportion = Annotated[float, proportion]


@dataclass(frozen=True, kw_only=True)
class Guiding:
    """Options of guidance, which moves noisy images until they look as asked.

    Attributes
    ----------
    guidance
        "adam", in pixels; or "rescale", along gradients, by the length that a linear feature would need.
    guidance_steps
        Gradient evaluations at most.
    tolerance
        Share of its first value that the loss of a sample falls to.
    lr, eps
        Adam's learning rate and ε.
    average_loss
        Whether Adam's gradients are of the loss averaged over the batch, which then counts, as in the authors' script.
    """

    guidance: Literal["adam", "rescale"] = "adam"
    guidance_steps: int = 100
    tolerance: float = 0.01
    lr: float = 0.01
    eps: float = 1e-8
    average_loss: bool = False

    def __post_init__(self) -> None:
        choice("guidance", self.guidance, ("adam", "rescale"))
        settle(self)
        whole("guidance_steps", self.guidance_steps, least=1, most=MOST)
        positive("tolerance", self.tolerance)
        positive("lr", self.lr)
        number("eps", self.eps, "a finite number ≥ 0", good=lambda v: v >= 0)
        flag("average_loss", self.average_loss)

    def kernel(self) -> Kernel:
        """The guidance chosen."""
        limits = {"steps": self.guidance_steps, "tolerance": self.tolerance}
        if self.guidance == "rescale":
            return partial(kernels.rescale, **limits)
        return partial(kernels.adam, **limits, lr=self.lr, eps=self.eps, average_loss=self.average_loss)


# The settings of the paper's Algorithm 1, and fewer steps for schedules of many levels.
PUBLISHED, SHORT = Guiding(), Guiding(guidance_steps=10)


@sampler("langevin", sigmas=geometric())
def sample_langevin(
    walk: Walk,
    sigmas: list[float],
    *,
    correctors: Annotated[int, partial(whole, least=0, most=DRAWS - 2)] = 4,
    last_correctors: Annotated[int, partial(whole, least=0, most=DRAWS - 2)] = 1,
    step: Proportion = 0.8,
    guidance_steps: Count = 20,
    tolerance: Positive = 0.1,
    tolerance_before: Positive = 1.0,
    final_draws: Annotated[int, partial(whole, least=0, most=DRAWS)] = 4,
) -> Tensor:
    """Annealed Langevin dynamics on the level sets of the features; derived in docs/sampling.md.

    From level σ to σ' the images go by y ← D + (σ'/σ) (y − D), and are put on the level set ā(y) = φ_σ'; then
    `correctors` times y ← y + h (D(y) − y) + √(2h) σ' (z + z₋)/2, with z₋ the z of the step before (Leimkuhler &
    Matthews 2013), and back onto the level set; at the lowest three tenths of the levels `last_correctors` times, if
    those are fewer.
    Squared differences are divided by the variance of one draw's features, so that tolerances are in units of it:
    `tolerance` at the last level, and `tolerance_before` at those before it, whose features vary by 1 anyway.
    At the end y is moved until the clean estimate's own φ, ā(D(y) + σz) averaged over `final_draws` of z, is the
    target: a denoiser changes features where it is not exact. These come in pairs z, −z, in which what is linear in z
    cancels. `guidance_steps` is the most that a put may take; the last move may take half as many more.
    """
    last = len(sigmas) - 1

    def put(y: Tensor, t: int, features: Features | None = None) -> Tensor:
        enough = tolerance if t == last else tolerance_before
        most = guidance_steps if features is None else guidance_steps + guidance_steps // 2
        kernel = partial(kernels.rescale, steps=most, tolerance=enough, absolute=True, flowing=True)
        return walk.guide(y, walk.asked(t, scaled=True), kernel, features)

    y = _along_levels(walk, sigmas, put, correctors, last_correctors, step)
    if final_draws:
        noise = [(-1) ** k * sigmas[-1] * walk.noise(len(sigmas), k // 2) for k in range(final_draws)]

        def seen(part: Tensor, sigma: Tensor, rows: Tensor) -> Tensor:
            clean = walk.estimated(part, sigma, rows)
            # As samples leave, more draws at a time: small batches are slow.
            at_once = len(walk.everyone) // len(part)
            found = [
                walk.features(
                    torch.cat([clean + z[rows] for z in chosen]), sigma.repeat(len(chosen)), rows.repeat(len(chosen))
                )
                for chosen in (noise[a : a + at_once] for a in range(0, len(noise), at_once))
            ]
            return torch.cat(found).view(len(noise), len(part), -1).mean(dim=0)

        y = put(y, last, seen)
    x = walk.denoise(y, sigmas[-1])
    walk.keep(x)
    return x


@sampler("algorithm1", sigmas=linear())
def sample_algorithm1(walk: Walk, sigmas: list[float], *, guiding: Guiding = PUBLISHED) -> Tensor:
    """Algorithm 1 of arXiv:2506.01912: noise added, guidance, the denoiser; at each level anew."""
    x = walk.start
    for t, sigma in enumerate(sigmas):
        walk.enter(sigma)
        y = walk.guide(x + sigma * walk.noise(t), walk.asked(t), guiding.kernel())
        x = walk.denoise(y, sigma)
        walk.keep(x)
    return x


@sampler("adaptive", sigmas=geometric())
def sample_adaptive(
    walk: Walk,
    sigmas: list[float],
    *,
    guiding: Guiding = SHORT,
    h0: Proportion = 0.01,
    beta: Proportion = 0.5,
    until: Positive = 0.01,
    most_levels: Count = 1000,
) -> Tensor:
    """The adaptive schedule of Kadkhodaie & Simoncelli (2021) with guidance before each score step.

    σ̂ = ‖D(y) − y‖/√N; y ← y + h (D(y) − y) + γ z with h = h₀ t/(1 + h₀ (t − 1)) and
    γ² = ((1 − βh)² − (1 − h)²) σ̂², until σ̂ < `until`. Targets are interpolated linearly in σ̂ between the levels of
    the schedule, on which they are measured.
    """
    y = walk.start + sigmas[0] * walk.noise(0)
    x = y.clone()
    rows, level = walk.everyone, walk.at(sigmas[0], walk.everyone)
    for t in range(1, most_levels + 1):
        entered = torch.full(walk.everyone.shape, torch.nan, dtype=y.dtype, device=y.device)
        entered[rows] = level
        walk.enter(entered)
        guided = walk.guide(y[rows], walk.asked_between(level, rows), guiding.kernel())
        clean = walk.denoise(guided, level, rows)
        level = (clean - guided).flatten(1).square().mean(1).sqrt()
        h = step_length(t, h0)
        noise = level[:, None, None, None] * walk.noise(t, rows=rows)
        y[rows] = guided + h * (clean - guided) + noise_share(h, beta) * noise
        x[rows] = clean
        walk.keep(x)
        level = ((1 - beta * h) * level).clamp(min=torch.finfo(y.dtype).tiny)
        busy = level >= until
        rows, level = rows[busy], level[busy]
        if not len(rows):
            break
    return x


@sampler("guidance", sigmas=linear())
def sample_guidance(walk: Walk, sigmas: list[float], *, guiding: Guiding = PUBLISHED) -> Tensor:
    """Algorithm 1 without its score steps: noise added and guided away, level after level."""
    y = walk.start
    for t, sigma in enumerate(sigmas):
        walk.enter(sigma)
        y = walk.guide(y + sigma * walk.noise(t), walk.asked(t), guiding.kernel())
        walk.keep(y)
    return y


@sampler("score", sigmas=linear())
def sample_score(walk: Walk, sigmas: list[float]) -> Tensor:
    """Algorithm 1 without its guidance: noise added and denoised, level after level; the condition is not used."""
    x = walk.start
    for t, sigma in enumerate(sigmas):
        walk.enter(sigma)
        x = walk.denoise(x + sigma * walk.noise(t), sigma)
        walk.keep(x)
    return x


@sampler("unconditional", sigmas=geometric())
def sample_unconditional(
    walk: Walk,
    sigmas: list[float],
    *,
    correctors: Annotated[int, partial(whole, least=0, most=DRAWS - 2)] = 4,
    last_correctors: Annotated[int, partial(whole, least=0, most=DRAWS - 2)] = 1,
    step: Proportion = 0.8,
    guidance_steps: Count = 20,  # noqa: ARG001
    tolerance: Positive = 0.1,  # noqa: ARG001
    tolerance_before: Positive = 1.0,  # noqa: ARG001
    final_draws: Annotated[int, partial(whole, least=0, most=DRAWS)] = 4,  # noqa: ARG001
) -> Tensor:
    """The dynamics of "langevin" without the level sets: samples of the denoiser's own prior.

    The condition is not used, nor are the options of guidance: they may be the same as those of "langevin".
    """
    y = _along_levels(walk, sigmas, lambda y, _: y, correctors, last_correctors, step)
    x = walk.denoise(y, sigmas[-1])
    walk.keep(x)
    return x


def _along_levels(
    walk: Walk,
    sigmas: list[float],
    put: Callable[[Tensor, int], Tensor],
    correctors: int,
    last_correctors: int,
    step: float,
) -> Tensor:
    """Langevin steps down the levels; `put` takes noisy images to the level set at the t-th."""
    y = walk.start + sigmas[0] * walk.noise(0)
    # The z of a step before the first: in the steady state an image holds √(h/2) σ of its last step's z.
    held = step / 2
    before = held**0.5 * walk.noise(0) + (1 - held) ** 0.5 * walk.noise(0, DRAWS - 1)
    for t, sigma in enumerate(sigmas):
        if t:
            x = walk.denoise(y, sigmas[t - 1])
            walk.keep(x)
            y = x + sigma / sigmas[t - 1] * (y - x)
        walk.enter(sigma)
        y = put(y, t)
        for k in range(_correctors_at(t, len(sigmas), correctors, last_correctors)):
            x = walk.denoise(y, sigma)
            noise = walk.noise(t, 1 + k)
            moved = y + step * (x - y) + (2 * step) ** 0.5 * sigma * (noise + before) / 2
            y, before = put(moved, t), noise
    return y


def _correctors_at(t: int, levels: int, first: int, last: int) -> int:
    """Langevin steps at a level: fewer on the lowest levels, whose noise moves little but itself."""
    return first if t < MOVING * levels else min(first, last)


def step_length(t: int, first: float) -> float:
    """h_t = h₀ t/(1 + h₀ (t − 1)), t = 1, 2, …, of Kadkhodaie & Simoncelli (2021): from h₀ towards 1."""
    return first * t / (1 + first * (t - 1))


def noise_share(h: float, beta: float) -> float:
    """γ/σ̂ = √((1 − βh)² − (1 − h)²) of Kadkhodaie & Simoncelli (2021): the noise put back after a step h."""
    return math.sqrt(max(0.0, (1 - beta * h) ** 2 - (1 - h) ** 2))


@sampler("particles", sigmas=geometric(levels=100))
def sample_particles(
    walk: Walk,
    sigmas: list[float],
    *,
    particles: Annotated[int, partial(whole, least=2)] = 64,
    resample_below: Annotated[float, share_of_all] = 0.5,
) -> Tensor:
    """A reference for p(x | φ), right in the limit of many particles and levels: one filter for each sample.

    Twisted particles (Wu et al. 2023, arXiv:2306.17775) go down the levels by y' ~ N(D + r (y − D), σ² (1 − r)),
    r = (σ'/σ)², the variance that is right where noise is small beside the image. They are drawn with the mean moved
    by (1 − r) σ² ∇ log p̃(y), where p̃(y) = N(φ_σ; ā(y), s_σ²) with s_σ the standard deviation of one draw's features,
    and weighted by what that changes. So the tolerance within which φ is targeted is s_σ at the last level. One
    particle of each filter, drawn by weight, is the sample. Levels are close enough for transitions to be nearly exact.
    """
    many = particles
    rows = walk.everyone.repeat_interleave(many)

    def noise(draw: int) -> Tensor:
        return walk.drawn(rows, list(range(draw, draw + many)) * len(walk.everyone))

    y = walk.start[rows] + sigmas[0] * noise(0)
    walk.enter(sigmas[0])
    log_twist, pull = _twist(walk, y, 0, rows, many)
    log_weight = log_twist.view(-1, many)
    for t, sigma in enumerate(sigmas):
        walk.levels[-1].ess = _effective(log_weight)
        if t == len(sigmas) - 1:
            break
        x = walk.denoise(y, sigma, rows)
        walk.keep(torch.einsum("nm,nmbrc->nbrc", torch.softmax(log_weight, 1), x.view(-1, many, *x.shape[1:])))
        kept = (sigmas[t + 1] / sigma) ** 2
        mean = x + kept * (y - x)
        moved = (1 - kept) * sigma**2 * pull
        deviation = sigma * math.sqrt(1 - kept)
        z = noise((t + 1) * (many + 1))
        y = mean + moved + deviation * z
        # log N(y; mean) − log N(y; mean + moved)
        change = -(moved.square() / 2 + deviation * moved * z).flatten(1).sum(1) / deviation**2
        walk.enter(sigmas[t + 1])
        before = log_twist
        log_twist, pull = _twist(walk, y, t + 1, rows, many)
        log_weight = log_weight + (change + log_twist - before).view(-1, many)
        if t + 1 < len(sigmas) - 1:
            uniform = _uniform(walk, (t + 1) * (many + 1) + many)
            stale = _effective(log_weight) < resample_below * many
            chosen = _resampled(log_weight, stale, uniform) + many * walk.everyone[:, None]
            log_weight, chosen = torch.where(stale[:, None], 0.0, log_weight), chosen.flatten()
            y, log_twist, pull = y[chosen], log_twist[chosen], pull[chosen]
    x = walk.denoise(y, sigmas[-1], rows)
    uniform = _uniform(walk, len(sigmas) * (many + 1))
    picked = torch.searchsorted(torch.softmax(log_weight, 1).cumsum(1), uniform[:, None]).clamp(max=many - 1)[:, 0]
    clean = x.view(-1, many, *x.shape[1:])[walk.everyone, picked]
    walk.keep(clean)
    return clean


def _twist(walk: Walk, y: Tensor, t: int, rows: Tensor, many: int) -> tuple[Tensor, Tensor]:
    """log p̃ (n,) and its gradient; recorded as the guidance of this level."""
    asked = walk.asked(t, scaled=True)
    sigma = walk.at(walk.sigmas[t], rows)
    goal = Goal(lambda part, _: walk.features(part, sigma, rows), asked.target[rows], asked.weight[rows])
    loss, gradient = losses(goal, y, torch.arange(len(y), device=y.device))
    half = goal.target.shape[1] / 2
    level = walk.levels[-1]
    level.loss_before = level.loss = loss.view(-1, many).mean(1)
    level.guidance_steps += many
    return -half * loss, -half * gradient


def _effective(log_weight: Tensor) -> Tensor:
    """The effective number of particles of each filter."""
    return 1 / torch.softmax(log_weight, 1).square().sum(1)


def _resampled(log_weight: Tensor, stale: Tensor, uniform: Tensor) -> Tensor:
    """Systematic resampling: which particle takes each one's place (N, many), the same one unless a filter is stale."""
    share = torch.softmax(log_weight, 1)
    many = share.shape[1]
    places = (torch.arange(many, device=share.device) + uniform[:, None]) / many
    drawn = torch.searchsorted(share.cumsum(1), places.to(share.dtype)).clamp(max=many - 1)
    return torch.where(stale[:, None], drawn, torch.arange(many, device=share.device).expand_as(drawn))


def _uniform(walk: Walk, draw: int) -> Tensor:
    """A uniform number per sample, from the first normal of a draw."""
    z = walk.drawn(walk.everyone, [draw] * len(walk.everyone))
    return torch.special.ndtr(z.flatten(1)[:, 0])


def sample(
    denoiser: nn.Module,
    shape: Sequence[int],
    *,
    n_samples: int,
    sigmas: Sequence[float] | None = None,
    seed: int = 0,
    batch_size: int = 64,
    conditions: Mapping[str, Any] | None = None,
) -> Tensor:
    """Unconditional samples of a denoiser's own prior, which need no tap to look through.

    They are those of the method "unconditional" of `reconstruct`.

    Parameters
    ----------
    denoiser
        Any module that keeps the contract, or a blind network.
    shape
        (bands, rows, cols) of a sample.
    n_samples
        How many.
    sigmas
        Noise levels, falling; by default 20 from 1 to 0.01.
    seed
        Of all noise, which is addressed by (seed, sample, level).
    batch_size
        Samples made together.
    conditions
        What else the network takes, as for calling a tap: one entry a sample, whose ids are "0", "1", …; or the same
        for all.

    Returns
    -------
    Tensor
        (n_samples, bands, rows, cols), in intensity units, not clipped, where the denoiser's parameters are.

    Raises
    ------
    InputError
        If an option is out of range.
    ModelError
        If the denoiser gives NaN or infinite values.

    Examples
    --------
    >>> sample(torch.nn.Identity(), (1, 4, 4), n_samples=3).shape
    torch.Size([3, 1, 4, 4])
    """
    denoiser = as_denoiser(denoiser)
    refuse_lazy(denoiser)
    size, count = image_shape(shape), repeats("n_samples", n_samples, least=1)
    step, place = whole("batch_size", batch_size, least=1), place_of(denoiser)
    walked = geometric() if sigmas is None else falling(sigmas)
    known = conditions_for(denoiser, conditions, [str(k) for k in range(count)])
    found = []
    with evaluating(denoiser), bar(count, "img", None, "unconditional samples") as shown:
        for begin in range(0, count, step):
            chosen = range(begin, min(begin + step, count))
            names, given = [f"sample {k}" for k in chosen], known.at(chosen, place)
            nothing = torch.zeros((len(walked), len(names), 1), device=place.device, dtype=place.dtype)
            blank = torch.full((len(names), *size), middle_of(denoiser), device=place.device, dtype=place.dtype)
            targets = Targets(walked, nothing, nothing, nothing[0])
            walk = Walk(denoiser, None, targets, blank, names, seed=seeded(seed), conditions=given)
            found.append(sample_unconditional(walk, walked))
            shown.update(len(chosen))
    return torch.cat(found)
