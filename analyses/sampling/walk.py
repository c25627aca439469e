"""A walk of samples down noise levels: what samplers ask for, a record of each level, and batches that fit memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
import xarray as xr

from analyses.sampling.kernels import (
    FLOAT32,
    Asked,
    Goal,
    Guided,
    Level,
    Multiplying,
    Targets,
    losses,
    newton,
)
from probekit.capture.survey import network_of, survey
from probekit.checks import whole
from probekit.denoising.conditions import by_row, of_rows
from probekit.errors import InputError, ModelError
from probekit.machine.clock import clock
from probekit.machine.memory import available_bytes
from probekit.machine.modes import evaluating, frozen
from probekit.machine.place import place_of
from probekit.machine.precision import Arithmetic, checked_precision, lower_precisions
from probekit.noise import standard_normal

if TYPE_CHECKING:
    from torch import Tensor, nn

    from analyses.sampling.conditions import Condition
    from analyses.sampling.methods import Matched, Method
    from probekit.machine.precision import Precision
    from probekit.phi.tap import Tap

    Kernel = Callable[[Goal, Tensor], Guided]
    # From noisy images (n, C, H, W), their noise levels and their rows in the batch to features (n, K).
    Features = Callable[[Tensor, Tensor, Tensor], Tensor]

__all__ = ["DRAWS", "Reconstruction", "Walk", "fitting", "images_of", "multiplying_in"]

# Noise draws that a level may use; level t begins at draw t · DRAWS.
DRAWS = 64
# Channels that vary less than this share of the most variable one are weighted as if they varied so much.
LEAST_SPREAD = 0.1
# Where nothing is known of how channels vary, they are weighed as if by this share of the largest feature.
PRESUMED_SPREAD = 0.01
# A batch's elements of the largest activation, unless told otherwise: measured, between what the fixed cost of a pass
# asks for and what a CPU's caches can still follow, and what keeps a large GPU busy.
ELEMENTS, ELEMENTS_GPU = 2**21, 2**27
# Memory that one batch may take: at most this much, and this share of what is free.
BUDGET, BUDGET_GPU, SHARE = 2**30, 2**33, 0.5
# A lower precision may change a step by this share of σ, where the noise of one has about σ: it adds a hundredth to the
# variance. It is tried on so many samples, timed so often, and taken where passes are so much faster;
# for each clean estimate a sample takes about so many gradients.
FAINT, TRIED, ROUNDS, FASTER, GRADIENTS = 0.1, 2, 3, 1.05, 9
# Times as slow on these few beyond which it is tried no further.
PATIENCE = 3


class Walk:
    """What a sampler is given: N samples to be made together, and what to ask of the network that they come from.

    A sampler begins at `start`, says at each noise level ``enter(sigma)``, and may then add ``noise(t)``, call
    ``denoise(y, sigma)``, and have ``guide(y, asked(t), kernel)`` move noisy images until they look as asked. All of
    it is counted, and recorded in `levels`. What else the network is given of each sample goes along; where a batch
    holds other rows than all in order, say which. Samples do not depend on the batch that they are made in, as long as
    the sampler treats rows independently.

    Attributes
    ----------
    start
        (N, C, H, W), clean images to begin at.
    sigmas
        The noise levels of the schedule, at which targets are known.
    everyone
        (N,), the rows of the batch.
    levels
        The record of each level entered.
    denoised
        (N,), passes through the whole network.
    """

    def __init__(
        self,
        denoiser: nn.Module,
        tap: Tap | None,
        targets: Targets,
        start: Tensor,
        names: Sequence[str],
        *,
        seed: int,
        trajectory: bool = False,
        conditions: Mapping[str, Any] | None = None,
    ) -> None:
        self.start, self.sigmas = start, targets.sigmas
        self.everyone = torch.arange(len(start), device=start.device)
        self.levels: list[Level] = []
        self.denoised = torch.zeros(len(start), dtype=torch.long, device=start.device)
        self._denoiser, self._tap, self._targets = denoiser, tap, targets
        self._names, self._seed, self._trajectory = list(names), seed, trajectory
        self._conditions = dict(conditions or {})
        self._multiplying, self._layout = FLOAT32, torch.preserve_format
        self._switch: Callable[[Precision], None] | None = None

    def multiplied(self, multiplying: Multiplying, switch: Callable[[Precision], None]) -> Walk:
        """The walk itself, whose layers multiply so at each level; `switch` brings a precision about."""
        self._multiplying, self._switch = multiplying, switch
        return self

    def noise(self, t: int, step: int = 0, rows: Tensor | None = None) -> Tensor:
        """Standard normal noise (n, C, H, W) for a step within level t, the same for a sample whatever the batch."""
        rows = self.everyone if rows is None else rows
        return self.drawn(rows, [t * DRAWS + whole("step", step, least=0, most=DRAWS - 1)] * len(rows))

    def drawn(self, rows: Tensor, draws: Sequence[int]) -> Tensor:
        """Standard normal noise for each of these rows and its draw; draws of level t begin at 64 t."""
        names = [self._names[r] for r in rows.tolist()]
        z = standard_normal(tuple(self.start.shape[1:]), seed=self._seed, ids=names, draws=draws)
        return z.to(device=self.start.device, dtype=self.start.dtype)

    def enter(self, sigma: float | Tensor) -> None:
        """Begin the record of a noise level, a number or (N,)."""
        nothing = torch.full(self.everyone.shape, torch.nan, dtype=self.start.dtype, device=self.start.device)
        level = self.at(sigma, self.everyone)
        self.levels.append(Level(level, nothing, nothing.clone(), torch.zeros_like(self.everyone)))
        if self._multiplying.precision != "float32":
            self.multiply(self._multiplying.at(float(level[~level.isnan()].min())))

    def multiply(self, precision: Precision) -> None:
        """From here on the network's layers multiply in this precision."""
        lower = precision != "float32" and self._multiplying.channels_last
        self._layout = torch.channels_last if lower else torch.preserve_format
        if self._switch is not None:
            self._switch(precision)

    def keep(self, x: Tensor) -> None:
        """Record the clean estimate (N, C, H, W) of the level entered last, if the trajectory is wanted."""
        if self._trajectory:
            self.levels[-1].estimate = x.detach().clone()

    def denoise(self, y: Tensor, sigma: float | Tensor, rows: Tensor | None = None) -> Tensor:
        """Clean estimates D(y, σ) of these rows, counted, and without gradient.

        Raises
        ------
        ModelError
            If they are not finite.
        """
        rows = self.everyone if rows is None else rows
        with torch.no_grad():
            clean = self.estimated(y, self.at(sigma, rows), rows)
        finite = torch.isfinite(clean).flatten(1).all(1)
        if not bool(finite.all()):
            raise ModelError(self._broken("clean estimate", rows[~finite], sigma))
        return clean

    def estimated(self, y: Tensor, sigma: Tensor, rows: Tensor) -> Tensor:
        """The same with a gradient, at noise levels (n,); several images may be of one row."""
        self.denoised += torch.bincount(rows, minlength=len(self.denoised))
        # A network may change its input in place, and y is used again.
        return self._denoiser(y.clone(memory_format=self._layout), sigma, **self._given(y, rows))

    def features(self, y: Tensor, sigma: float | Tensor, rows: Tensor | None = None) -> Tensor:
        """Features (n, K) of noisy images, with a gradient: what the tap sees, or its coordinates in the basis."""
        if self._tap is None:
            return y.new_zeros((len(y), 1))
        laid = y if self._layout is torch.preserve_format else y.contiguous(memory_format=self._layout)
        found = self._tap.features(laid, sigma, **self._given(y, rows)).to(self.start.dtype)
        return found if self._targets.basis is None else found @ self._targets.basis.T

    def asked(self, t: int, *, scaled: bool = False) -> Asked:
        """What all samples are asked to look like at level t of the schedule.

        Parameters
        ----------
        t
            Position in `sigmas`.
        scaled
            Whether squared differences count in units of the variance of one noise draw.
        """
        weight = self._targets.weight
        if scaled:
            weight = weight / self._scale(t).square()
        return Asked(self._targets.phi[t], weight, self.at(self.sigmas[t], self.everyone), self.everyone)

    def asked_between(self, sigma: Tensor, rows: Tensor) -> Asked:
        """The same of some rows at noise levels (n,) of their own, between those of the schedule; beyond, its ends'."""
        phi, weight = self._targets.phi, self._targets.weight[rows]
        known = torch.tensor(self.sigmas[::-1], dtype=sigma.dtype, device=sigma.device)
        if len(known) == 1:
            return Asked(phi[0, rows], weight, sigma, rows)
        above = torch.searchsorted(known, sigma).clamp(1, len(known) - 1)
        part = ((sigma - known[above - 1]) / (known[above] - known[above - 1])).clamp(0, 1)[:, None]
        rising = phi.flip(0)
        return Asked(rising[above - 1, rows] * (1 - part) + rising[above, rows] * part, weight, sigma, rows)

    def guide(self, y: Tensor, asked: Asked, kernel: Kernel, features: Features | None = None) -> Tensor:
        """Noisy images moved until they look as asked; what that took and reached is recorded at the last level.

        Parameters
        ----------
        y
            (n, C, H, W), of the rows asked.
        asked
            What `asked` returns.
        kernel
            How they are moved, such as ``Guiding("rescale").kernel()``.
        features
            Instead of `features`, of the same number.

        Raises
        ------
        ModelError
            If a loss or gradient is not finite.
        """

        def seen(part: Tensor, chosen: Tensor) -> Tensor:
            if features is None:
                return self.features(part, asked.sigma[chosen], asked.rows[chosen])
            return features(part, asked.sigma[chosen], asked.rows[chosen])

        try:
            guided = kernel(Goal(seen, asked.target, asked.weight), y)
        except ModelError as error:
            raise ModelError(self._broken(f"guidance ({error})", asked.rows, asked.sigma)) from error
        level, rows = self.levels[-1], asked.rows
        fresh = torch.isnan(level.loss_before[rows])
        level.loss_before[rows[fresh]] = guided.first[fresh]
        level.loss[rows] = guided.last
        level.guidance_steps[rows] += guided.steps
        return guided.y

    def at(self, sigma: float | Tensor, rows: Tensor) -> Tensor:
        """Noise levels (n,) of these rows."""
        if isinstance(sigma, torch.Tensor):
            return sigma
        return torch.full(rows.shape, float(sigma), dtype=self.start.dtype, device=rows.device)

    def _given(self, y: Tensor, rows: Tensor | None) -> dict[str, Any]:
        """What else the network is given of noisy images of these rows."""
        rows = self.everyone if rows is None else rows
        if len(rows) != len(y) and any(map(by_row, self._conditions.values())):
            raise InputError(
                f"{len(y)} noisy images are looked at as of {len(rows)} rows, and each row has its own "
                f"{', '.join(self._conditions)}: say which rows they are, rows="
            )
        return of_rows(self._conditions, rows)

    def _scale(self, t: int) -> Tensor:
        """(N, K) > 0, on which differences of features count at a level: the spread of one draw, known or presumed."""
        known = torch.nan_to_num(self._targets.spread[t], nan=0.0)
        floor = LEAST_SPREAD * known.amax(dim=1, keepdim=True)
        presumed = PRESUMED_SPREAD * self._targets.phi[t].abs().amax(1, keepdim=True)
        scale = torch.where(floor > 0, torch.maximum(known, floor), presumed)
        return scale.clamp(min=torch.finfo(scale.dtype).tiny ** 0.25)

    def match(self, x: Tensor, names: Sequence[str], draws: int) -> Tensor:
        """‖φ(x) − φ*‖/‖φ*‖ (N,) at the last level of the schedule, over draws of the noise that bears these names."""
        target, weight = self._targets.phi[-1], self._targets.weight
        levels = self.at(self.sigmas[-1], self.everyone)
        total = torch.zeros_like(target)
        with torch.no_grad():
            for draw in range(draws):
                z = standard_normal(tuple(x.shape[1:]), seed=self._seed, ids=names, draws=[draw] * len(names)).to(x)
                total += self.features(x + self.sigmas[-1] * z, levels)
        root = weight.sqrt()
        return (root * (total / draws - target)).norm(dim=1) / (root * target).norm(dim=1)

    def _broken(self, what: str, rows: Tensor, sigma: float | Tensor) -> str:
        names = [self._names[i] for i in rows[:3].tolist()]
        level = float(torch.as_tensor(sigma).max())
        return (
            f"{what} of samples {', '.join(names)}{', …' if len(rows) > 3 else ''} is not finite at level "
            f"{len(self.levels)} (σ = {level:.3g}): check that the network gives finite outputs on noisy images of "
            "this level, or begin at a smaller one, sigmas="
        )


class Reconstruction(NamedTuple):
    """Everything that is the same for all batches of a reconstruction."""

    denoiser: nn.Module
    tap: Tap
    condition: Condition
    matched: Matched
    start: np.ndarray
    method: Method
    n_samples: int
    seed: int
    draws: int
    trajectory: bool
    arithmetic: Arithmetic
    multiplying: Multiplying = FLOAT32


def images_of(made: Reconstruction, chosen: Sequence[int], size: int) -> list[xr.Dataset]:
    """Samples of some images, in batches of at most `size`, as one Dataset per image, without labels but dims."""
    pairs = [(i, k) for i in chosen for k in range(made.n_samples)]
    parts = [_batch(made, pairs[a : a + size]) for a in range(0, len(pairs), size)]
    joined = xr.concat(parts, "one", join="outer") if len(parts) > 1 else parts[0]
    return [
        joined.isel(one=slice(n * made.n_samples, (n + 1) * made.n_samples))
        .rename(one="sample")
        .expand_dims(image=np.array([made.condition.ids[i]], dtype=object))
        for n, i in enumerate(chosen)
    ]


def _batch(made: Reconstruction, pairs: Sequence[tuple[int, int]]) -> xr.Dataset:
    """Samples of (image, sample) pairs, along the dim `one`."""
    with (
        evaluating(made.denoiser),
        frozen(network_of(made.denoiser)),
        made.arithmetic.switching() as switch,
    ):
        walk = _walk(made, pairs, switch)
        walk.multiply("float32")
        x = made.method.run(walk)
        walk.multiply("float32")
        match = walk.match(x, [made.condition.noise_ids[i] for i, _ in pairs], made.draws)
    levels, along = walk.levels, ("one", "level")
    values = {
        "samples": (("one", "band", "row", "col"), _array(x)),
        "loss_before": (along, _stacked([level.loss_before for level in levels])),
        "loss": (along, _stacked([level.loss for level in levels])),
        "guidance_steps": (along, _stacked([level.guidance_steps for level in levels]).astype(float)),
        "noise_level": (along, _stacked([level.sigma for level in levels])),
        "evaluations": ("one", walk.denoised.cpu().numpy()),
        "match": ("one", _array(match)),
    }
    ess = [level.ess for level in levels if level.ess is not None]
    if len(ess) == len(levels):
        values["ess"] = (along, _stacked(ess))
    if made.trajectory:
        missing = torch.full_like(x, torch.nan)
        kept = [missing if level.estimate is None else level.estimate for level in levels]
        values["trajectory"] = (("one", "level", "band", "row", "col"), _stacked(kept))
    return xr.Dataset(values, coords={"level": np.arange(len(levels))})


def _walk(made: Reconstruction, pairs: Sequence[tuple[int, int]], switch: Callable[[Precision], None]) -> Walk:
    condition, (weight, basis) = made.condition, made.matched
    images = [i for i, _ in pairs]
    place = place_of(network_of(made.denoiser))

    def tensor(values: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values)).to(device=place.device, dtype=place.dtype)

    given = None if condition.given is None else condition.given.at(images, place)
    phi, spread, weight = condition.phi[images], condition.spread[images], weight[images]
    if basis is not None:
        phi = phi @ basis.T
        # As if channels' noise were independent; it only sets the scale of what is compared.
        spread = np.sqrt(spread**2 @ (basis**2).T)
        weight = np.ones(phi[:, 0].shape)
    targets = Targets(
        condition.sigmas,
        tensor(phi.swapaxes(0, 1)),
        tensor(spread.swapaxes(0, 1)),
        tensor(weight),
        None if basis is None else tensor(basis),
    )
    start = tensor(np.broadcast_to(made.start, (len(pairs), *condition.shape)))
    names = [f"{condition.noise_ids[i]}/{k}" for i, k in pairs]
    walk = Walk(
        made.denoiser, made.tap, targets, start, names, seed=made.seed, trajectory=made.trajectory, conditions=given
    )
    return walk.multiplied(made.multiplying, switch)


def _stacked(by_level: Sequence[Tensor]) -> np.ndarray:
    return _array(torch.stack(list(by_level), dim=1))


def _array(values: Tensor) -> np.ndarray:
    # numpy has no bfloat16.
    return (values.float() if values.dtype == torch.bfloat16 else values).cpu().numpy()


def multiplying_in(made: Reconstruction, asked: str, size: int) -> Multiplying:
    """How layers multiply: as asked, at all levels but the last; with "auto" as a trial of batches of this size shows.

    Raises
    ------
    InputError
        If the network cannot multiply so.
    """
    network, sigmas = network_of(made.denoiser), made.condition.sigmas
    last = sigmas[-1]
    if asked == "float32":
        return FLOAT32
    if asked != "auto":
        return Multiplying(checked_precision(asked, network), last, _takes_channels_last(made))
    pairs = [(i, k) for i in range(len(made.condition.ids)) for k in range(made.n_samples)][:size]
    tried = [Multiplying(p, last, _takes_channels_last(made)) for p in lower_precisions(network) if len(sigmas) > 1]
    found = [_tried(made._replace(multiplying=one), pairs) for one in tried]
    return max(found, key=lambda m: m.saved(sigmas), default=FLOAT32._replace(gain=1.0, error=0.0))


def _tried(made: Reconstruction, pairs: Sequence[tuple[int, int]]) -> Multiplying:
    """In which levels a precision changes little, and how much faster it is there; float32 where nowhere."""
    lower, sigmas, none = made.multiplying, made.condition.sigmas, FLOAT32._replace(gain=1.0, error=0.0)
    with evaluating(made.denoiser), frozen(network_of(made.denoiser)), made.arithmetic.switching() as switch:
        walk, few = _walk(made, pairs, switch), _walk(made, pairs[:TRIED], switch)
        clean = _clean(made, walk, pairs)
        # Where products of a kind are emulated a whole batch of them might take minutes.
        quick = {p: min(_seconds(few, clean[:TRIED], p) for _ in range(2)) for p in ("float32", lower.precision)}
        if quick[lower.precision] > PATIENCE * quick["float32"]:
            return none
        # What rounding changes is much the same at all levels, and so, in σ, the more the lower the level.
        worst, within, beyond = 0.0, -1, len(sigmas) - 1
        while beyond - within > 1:
            t = (within + beyond) // 2
            exact, rounded = (_steps(few, clean[:TRIED], t, p) for p in ("float32", lower.precision))
            away = max(float((a - b).square().mean().sqrt()) for a, b in zip(exact, rounded, strict=True)) / sigmas[t]
            if away <= FAINT:
                within, worst = t, away
            else:
                beyond = t
        if within < 0:
            return none
        seconds = {p: [_seconds(walk, clean, p) for _ in range(ROUNDS)] for p in ("float32", lower.precision)}
    whole, part = (min(s) for s in seconds.values())
    return lower._replace(above=sigmas[beyond], gain=whole / part, error=worst) if whole > FASTER * part else none


def _clean(made: Reconstruction, walk: Walk, pairs: Sequence[tuple[int, int]]) -> Tensor:
    """Images to try passes on: the condition's, where there are some of the samples' size."""
    images = made.condition.images
    if images is None or images.shape[1:] != walk.start.shape[1:]:
        return walk.start
    return torch.from_numpy(images[[i for i, _ in pairs]]).to(walk.start)


def _steps(walk: Walk, clean: Tensor, t: int, precision: Precision) -> tuple[Tensor, Tensor]:
    """A clean estimate at a level, and the first step of guidance there, cut to σ."""
    sigma, asked = walk.sigmas[t], walk.asked(t, scaled=True)
    walk.multiply(precision)
    y = clean + sigma * walk.noise(t)
    goal = Goal(lambda part, rows: walk.features(part, asked.sigma[rows], rows), asked.target, asked.weight)
    loss, gradient = losses(goal, y, walk.everyone)
    move = newton(loss, gradient)[:, None, None, None] * gradient
    size = move.flatten(1).square().mean(1).sqrt()[:, None, None, None]
    return walk.denoise(y, sigma), move * (sigma / size.clamp(min=sigma))


def _seconds(walk: Walk, clean: Tensor, precision: Precision) -> float:
    """What a clean estimate and the gradients that go with it take."""
    y, asked = clean + walk.sigmas[0] * walk.noise(0), walk.asked(0, scaled=True)
    goal = Goal(lambda part, rows: walk.features(part, asked.sigma[rows], rows), asked.target, asked.weight)
    walk.multiply(precision)
    began = clock(y.device)
    float(walk.denoise(y, walk.sigmas[0]).sum())
    middle = clock(y.device)
    float(losses(goal, y, walk.everyone)[0].sum())
    return middle - began + GRADIENTS * (clock(y.device) - middle)


def _takes_channels_last(made: Reconstruction) -> bool:
    """Whether the network takes images that are laid out so."""
    place = place_of(network_of(made.denoiser))
    blank = torch.zeros((1, *made.condition.shape), dtype=place.dtype, device=place.device)
    given = {} if made.condition.given is None else made.condition.given.at([0], place)
    level = torch.full((1,), made.condition.sigmas[0], dtype=place.dtype, device=place.device)
    try:
        with evaluating(made.denoiser), torch.no_grad():
            made.denoiser(blank.to(memory_format=torch.channels_last), level, **given)
    except RuntimeError:
        # A view across channels, which only a copy bears.
        return False
    return True


def fitting(made: Reconstruction) -> int:
    """Samples at a time: what keeps the device busy, and whose activations, kept for the gradient, fit memory."""
    place = place_of(network_of(made.denoiser))
    blank = torch.zeros((1, *made.condition.shape), dtype=place.dtype, device=place.device)
    level = torch.full((1,), made.condition.sigmas[0], dtype=place.dtype, device=place.device)
    given = {} if made.condition.given is None else made.condition.given.at([0], place)
    visits = survey(made.denoiser, blank, level, conditions=given)
    sizes = [a.numel() for v in visits for a in v.maps.values()]
    free = available_bytes(place.device)
    cpu = place.device.type == "cpu"
    most = BUDGET if cpu else BUDGET_GPU
    budget = most if free is None else min(most, SHARE * free)
    carried = made.method.settings.get("particles", 1)
    each = 2 * sum(sizes) * place.dtype.itemsize * carried
    busy = (ELEMENTS if cpu else ELEMENTS_GPU) // (max(sizes, default=1) * carried)
    return max(1, min(busy, int(budget // max(each, 1))))
