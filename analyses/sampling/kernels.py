"""Kernels: guidance, noisy images moved until their features are as asked, in torch; what samples share, in numpy.

L-BFGS is written out: torch.optim's takes a whole batch for one problem, with one step length and one history.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from scipy import stats

from analyses.ground import Estimate
from probekit.errors import ModelError, TapError

if TYPE_CHECKING:
    from torch import Tensor

    from probekit.machine.precision import Precision

__all__ = [
    "FLOAT32",
    "Asked",
    "Goal",
    "Guided",
    "Level",
    "Multiplying",
    "Targets",
    "adam",
    "agreement_of",
    "excess_of",
    "losses",
    "newton",
    "persistence_of",
    "rescale",
    "standardised",
]

# A rejected step is tried again at a quarter; after so many rejections in a row a sample rests where it is.
SHORTER = 0.25
PATIENCE = 8
# The first step ends at this share of its length or further on.
LEAST_SHARE = 0.05
# Moves that a sample's curvature is remembered along.
MEMORY = 10
# Curvature along a move is trusted above this cosine between the move and the change of gradient.
FLAT = 1e-8
# Whether a step grows the loss is not told from rounding below this share of the first loss.
ROUNDING = 1e-20
# Noise levels that differ by less, as a share, are one: they are rounded to float32 on the way.
SAME_LEVEL = 1e-6
# Levels left out between the halves of a schedule: neighbouring ones see nearly the same noise.
APART = 4


class Targets(NamedTuple):
    """What N samples are asked to look like from inside, at each of T noise levels.

    Attributes
    ----------
    sigmas
        The T noise levels, falling.
    phi, spread
        (T, N, K): the features asked for, and the standard deviation over noise of one draw of them, NaN where it is
        not known.
    weight
        (N, K) ≥ 0, mean 1 over features.
    basis
        (K, channel), of which features are the coordinates; None where they are the channels.
    """

    sigmas: list[float]
    phi: Tensor
    spread: Tensor
    weight: Tensor
    basis: Tensor | None = None


class Asked(NamedTuple):
    """What some rows of the batch are asked to look like at a noise level: target, weight (n, K), sigma, rows (n,)."""

    target: Tensor
    weight: Tensor
    sigma: Tensor
    rows: Tensor


@dataclass
class Level:
    """The record of a noise level, by sample (N,).

    Attributes
    ----------
    sigma
        The noise level; NaN for a sample that is done.
    loss_before, loss
        Guidance loss before and after guidance; NaN without.
    guidance_steps
        Gradient evaluations.
    ess
        Effective number of particles, of a method that has some.
    estimate
        (N, C, H, W), the clean estimate, where it is to be kept.
    """

    sigma: Tensor
    loss_before: Tensor
    loss: Tensor
    guidance_steps: Tensor
    ess: Tensor | None = None
    estimate: Tensor | None = None


class Multiplying(NamedTuple):
    """In what precision the network's layers multiply at which noise levels.

    Attributes
    ----------
    precision
        At noise levels `above` this one; float32 at others.
    channels_last
        Whether images are laid out so at those levels.
    gain, error
        Of a trial: how many times as fast passes are, and the largest difference that it makes, in units of σ.
    """

    precision: Precision = "float32"
    above: float = math.inf
    channels_last: bool = False
    gain: float | None = None
    error: float | None = None

    def at(self, sigma: float) -> Precision:
        """The precision at a noise level."""
        return self.precision if sigma > self.above * (1 + SAME_LEVEL) else "float32"

    def saved(self, sigmas: Sequence[float]) -> float:
        """The share of the time of a whole schedule that is saved, where levels take alike."""
        return (
            0.0
            if self.gain is None
            else float(np.mean([self.at(s) != "float32" for s in sigmas])) * (1 - 1 / self.gain)
        )

    def told(self) -> dict[str, Any]:
        """The same as attrs tell it."""
        lower = {} if self.precision == "float32" else {"above": self.above}
        found = {name: v for name, v in {**lower, "gain": self.gain, "error": self.error}.items() if v is not None}
        return {"precision": self.precision, **{f"precision_{name}": float(v) for name, v in found.items()}}

    def as_told(self, attrs: Mapping[str, Any]) -> Multiplying:
        """With what attrs tell of a trial; that of float32 is known."""
        names = [name for name in ("above", "gain", "error") if f"precision_{name}" in attrs]
        found = {name: float(attrs[f"precision_{name}"]) for name in names}
        return self._replace(**({"gain": 1.0, "error": 0.0} if self.precision == "float32" else found))


FLOAT32 = Multiplying()


class Goal(NamedTuple):
    """What noisy images should look like from inside.

    Attributes
    ----------
    features
        From noisy images (n, C, H, W), and the rows of the batch that they are, to features (n, K).
    target
        (N, K), the features asked for.
    weight
        (N, K) ≥ 0, of each squared difference; the loss of a sample is their weighted mean.
    """

    features: Callable[[Tensor, Tensor], Tensor]
    target: Tensor
    weight: Tensor


class Guided(NamedTuple):
    """Guided images (N, C, H, W), each one's first and last loss (N,), gradient evaluations (N,)."""

    y: Tensor
    first: Tensor
    last: Tensor
    steps: Tensor


def losses(goal: Goal, y: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Loss (n,) of each image, the weighted mean of squared differences, and its own gradient (n, C, H, W).

    Raises
    ------
    ModelError
        If a loss or its gradient is not finite.
    TapError
        If the features do not depend on the images by anything that has a gradient.
    """
    return _seen(goal, y, rows)[:2]


def _seen(goal: Goal, y: Tensor, rows: Tensor, enough: Tensor | float | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """Loss and gradient of each image, as `losses` has them, and the differences (n, K) that they are of.

    Where all losses are `enough` already, a number or (n,), nobody goes on along gradients: they are given as 0.
    """
    with torch.enable_grad():
        leaf = y.detach().requires_grad_()
        # A network may change its input in place, which a leaf does not bear.
        difference = goal.features(leaf.clone(), rows) - goal.target[rows]
        loss = (goal.weight[rows] * difference.square()).mean(dim=1)
        if not loss.requires_grad:
            raise TapError(
                "what is matched has no gradient with respect to the image: the network computes it without one "
                "(torch.no_grad, detach), or not from the image; tap another place"
            )
        done = enough is not None and bool((loss <= enough).all())
        gradient = torch.zeros_like(leaf) if done else torch.autograd.grad(loss.sum(), leaf)[0]
    loss = loss.detach()
    for what, values in (("guidance loss", loss), ("gradient of the guidance loss", gradient)):
        broken = ~torch.isfinite(values).reshape(len(loss), -1).all(dim=1)
        if bool(broken.any()):
            raise ModelError(f"the {what} of {int(broken.sum())} samples is not finite")
    return loss, gradient, difference.detach()


def adam(
    goal: Goal,
    y: Tensor,
    *,
    steps: int,
    tolerance: float,
    lr: float = 0.01,
    eps: float = 1e-8,
    average_loss: bool = False,
) -> Guided:
    """Descend by Adam (Kingma & Ba 2015), begun afresh, until the loss has fallen to `tolerance` of its first value.

    Adam works coordinate by coordinate, so it is not equivariant to rotations of the image. Its step does not depend
    on the scale of the loss but for `eps`, beside which the gradient's size counts: with `average_loss` gradients
    are N times smaller, and every sample goes on until all have converged, as in the authors' script. Otherwise
    each sample has its own loss and leaves when it is done.
    """
    y = y.clone()
    rows = torch.arange(len(y), device=y.device)
    first = last = torch.zeros(len(y), dtype=y.dtype, device=y.device)
    count = torch.zeros(len(y), dtype=torch.long, device=y.device)
    mean, square = torch.zeros_like(y), torch.zeros_like(y)
    for step in range(steps + 1):
        loss, gradient = losses(goal, y[rows], rows)
        if step == 0:
            first, last = loss, loss.clone()
        last[rows] = loss
        count[rows] += 1
        busy = loss > tolerance * first[rows]
        if average_loss:
            busy[:] = busy.any()
            gradient = gradient / len(y)
        rows, gradient = rows[busy], gradient[busy]
        if step == steps or not len(rows):
            break
        mean[rows] = 0.9 * mean[rows] + 0.1 * gradient
        square[rows] = 0.999 * square[rows] + 0.001 * gradient.square()
        deviation = (square[rows] / (1 - 0.999 ** (step + 1))).sqrt() + eps
        y[rows] -= lr * mean[rows] / (1 - 0.9 ** (step + 1)) / deviation
    return Guided(y, first, last, count)


def rescale(
    goal: Goal, y: Tensor, *, steps: int, tolerance: float, absolute: bool = False, flowing: bool = False
) -> Guided:
    """Move along the gradient by the length that a linear feature would need to reach its target.

    With one feature the step −2 L ∇L/‖∇L‖² is Newton's, (a* − a) ∇a/‖∇a‖², the least move to the level set;
    for the energy of a coefficient map it rescales the map. With several features further steps are those of
    limited-memory BFGS (Nocedal 1980), and a step that grows the loss is taken back and shortened. All of it is
    equivariant to rotations. A sample leaves at `tolerance` times its first loss, or `tolerance` itself if `absolute`.

    Where level sets are curved unevenly it matters along which way a point reaches them: with `flowing` the first
    step follows the line of steepest descent to second order (Heun's rule), see docs/sampling.md. What the features are
    at its far end tells how far along the line features that are linear would be nearest to their targets, and it ends
    there.
    """
    y = y.clone()
    rows = torch.arange(len(y), device=y.device)
    loss, gradient, difference = _seen(goal, y, rows, tolerance if absolute else 0.0)
    first, last = loss, loss.clone()
    enough = torch.full_like(first, tolerance) if absolute else tolerance * first
    enough = torch.maximum(enough, ROUNDING * first)
    count = torch.ones(len(y), dtype=torch.long, device=y.device)
    secants, share, refused = Secants(), torch.ones_like(first), torch.zeros_like(count)
    final = steps + flowing - 1
    for step in range(final + 1):
        busy = (loss > enough[rows]) & (refused < PATIENCE) & (_dot(gradient, gradient) > 0)
        if not bool(busy.all()):
            rows, loss, gradient, share, refused = (v[busy] for v in (rows, loss, gradient, share, refused))
            secants.keep(busy)
        if not len(rows):
            break
        here, length = y[rows], newton(loss, gradient)
        if flowing and step == 0:
            move = _flow(goal, here, -_along(length) * gradient, difference[rows], rows, length)
            count[rows] += 1
        else:
            move = -_along(share) * secants.preconditioned(gradient, length)
        trial_loss, trial_gradient, _ = _seen(goal, here + move, rows, enough[rows] if step < final else math.inf)
        count[rows] += 1
        better = trial_loss < loss
        secants.add(move, trial_gradient - gradient, better)
        y[rows[better]] += move[better]
        last[rows] = loss = torch.where(better, trial_loss, loss)
        gradient = torch.where(_along(better), trial_gradient, gradient)
        share = torch.where(better | (flowing and step == 0), 1.0, SHORTER * share)
        refused = torch.where(better, 0, refused + 1)
    return Guided(y, first, last, count)


def _flow(goal: Goal, y: Tensor, move: Tensor, difference: Tensor, rows: Tensor, length: Tensor) -> Tensor:
    """The step along the line of steepest descent, to second order, that such a move along the gradient begins.

    The gradients of the same differences at both of its ends are averaged. It is shortened to where features that are
    linear between the ends would be nearest to their targets: with one feature that is its end.
    """
    with torch.enable_grad():
        leaf = (y + move).detach().requires_grad_()
        features = goal.features(leaf.clone(), rows)
        pulled = (goal.weight[rows] * difference * features).mean(dim=1)
        (gradient,) = torch.autograd.grad(2 * pulled.sum(), leaf)
    change = features.detach() - goal.target[rows] - difference
    weighted = goal.weight[rows] * change
    square = (weighted * change).sum(1)
    share = -(weighted * difference).sum(1) / torch.where(square > 0, square, 1.0)
    share = _along(torch.where(square > 0, share.clamp(LEAST_SHARE, 1), 1.0))
    return share * (move - share * (_along(length) * gradient + move) / 2)


def newton(loss: Tensor, gradient: Tensor) -> Tensor:
    """2 L/‖∇L‖² of each sample; 0 where the gradient vanishes."""
    square = gradient.square().flatten(1).sum(1)
    return torch.where(square > 0, 2 * loss / square.clamp(min=torch.finfo(loss.dtype).tiny), 0.0)


def _along(values: Tensor) -> Tensor:
    return values[:, None, None, None]


class Secants:
    """Curvature of samples' losses along their last moves: the inverse Hessian of limited-memory BFGS, row by row."""

    def __init__(self) -> None:
        self._pairs: list[tuple[Tensor, Tensor, Tensor]] = []

    def add(self, move: Tensor, change: Tensor, made: Tensor) -> None:
        """Remember how gradients changed along the moves made; what shows no upward curvature counts for nothing."""
        curved = _dot(move, change)
        sure = made & (curved > FLAT * (_dot(move, move) * _dot(change, change)).sqrt())
        inverse = torch.where(sure, 1 / torch.where(sure, curved, 1.0), 0.0)
        self._pairs = [*self._pairs, (move, change, inverse)][-MEMORY:]

    def keep(self, busy: Tensor) -> None:
        """Forget the rows that are done."""
        self._pairs = [(move[busy], change[busy], inverse[busy]) for move, change, inverse in self._pairs]

    def preconditioned(self, gradient: Tensor, length: Tensor) -> Tensor:
        """H ∇L by the two-loop recursion; before there is any curvature, ∇L by the length given."""
        found, shares = gradient, []
        for move, change, inverse in reversed(self._pairs):
            shares.append(inverse * _dot(move, found))
            found = found - _along(shares[-1]) * change
        for _, change, inverse in self._pairs:
            # The newest pair that shows curvature sets the scale.
            sure = inverse > 0
            length = torch.where(sure, 1 / torch.where(sure, inverse * _dot(change, change), 1.0), length)
        found = _along(length) * found
        for (move, change, inverse), share in zip(self._pairs, reversed(shares), strict=True):
            found = found + _along(share - inverse * _dot(change, found)) * move
        return found


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).flatten(1).sum(1)


def persistence_of(losses: np.ndarray, missed: float) -> Estimate:
    """Spearman's correlation of work in the first and last levels (image); its z has a variance of 1.06/(n − 3)."""
    n, half = losses.shape[1], (losses.shape[2] - APART) // 2
    if n < 4 or half < 2:
        return Estimate(*np.full((3, len(losses)), np.nan))
    halves = zip(losses[..., :half].sum(2), losses[..., -half:].sum(2), strict=True)
    r = np.array([stats.spearmanr(*both)[0] if min(map(np.ptp, both)) > 0 else np.nan for both in halves])
    reach = stats.norm.isf(missed / 2) * (1.06 / (n - 3)) ** 0.5
    z = np.arctanh(np.clip(r, -1 + 1e-12, 1 - 1e-12))
    return Estimate(r, np.tanh(z - reach), np.tanh(z + reach))


def excess_of(work: np.ndarray, mine: np.ndarray, missed: float) -> Estimate:
    """Mean work of each group less that of the other samples (image, group), by Welch's t."""
    found = np.full((3, len(work), mine.shape[2]), np.nan)
    for i, g in np.ndindex(found.shape[1:]):
        own, rest = work[i][mine[i, :, g]], work[i][~mine[i, :, g]]
        # Work of one sample, or the same in all, says nothing of its spread.
        if own.size and rest.size and min(np.ptp(own), np.ptp(rest)) > 0:
            ends = stats.ttest_ind(own, rest, equal_var=False).confidence_interval(1 - missed)
            found[:, i, g] = own.mean() - rest.mean(), ends.low, ends.high
    return Estimate(*found)


def agreement_of(values: np.ndarray) -> np.ndarray:
    """Correlation over pixels of the variances of even and odd samples (image); NaN with fewer than 4."""
    if values.shape[1] < 4:
        return np.full(len(values), np.nan)
    halves = [values[:, half::2].var(axis=1, ddof=1).reshape(len(values), -1) for half in (0, 1)]
    centred = [h - h.mean(axis=1, keepdims=True) for h in halves]
    norms = np.prod([np.sqrt((c**2).sum(axis=1)) for c in centred], axis=0)
    with np.errstate(invalid="ignore"):
        return (centred[0] * centred[1]).sum(axis=1) / norms


def standardised(flat: np.ndarray) -> np.ndarray:
    """Images (..., pixels) of mean 0 and standard deviation 1; a constant one of 0."""
    centred = flat - flat.mean(axis=-1, keepdims=True)
    deviation = centred.std(axis=-1, keepdims=True)
    return np.divide(centred, deviation, out=np.zeros_like(centred), where=deviation > 0)
