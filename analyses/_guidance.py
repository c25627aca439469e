"""Kernels of guidance: noisy images moved until their features are as asked, each by its own loss; plain torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import torch

from probekit.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Goal", "Guided", "adam", "losses", "rescale"]

# A rejected step is tried again at a quarter; after so many rejections in a row a sample rests where it is.
SHORTER = 0.25
PATIENCE = 8
# Whether a step grows the loss is not told from rounding below this share of the first loss.
ROUNDING = 1e-20


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
        If a loss is not finite.
    """
    with torch.enable_grad():
        leaf = y.detach().requires_grad_()
        difference = goal.features(leaf, rows) - goal.target[rows]
        loss = (goal.weight[rows] * difference.square()).mean(dim=1)
        (gradient,) = torch.autograd.grad(loss.sum(), leaf)
    loss = loss.detach()
    if not bool(torch.isfinite(loss).all()):
        raise ModelError(f"the guidance loss of {int((~torch.isfinite(loss)).sum())} samples is not finite")
    return loss, gradient


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
    for the energy of a coefficient map it rescales the map. With several features further steps take the length
    of Barzilai & Borwein (1988), and a step that grows the loss is taken back and shortened. All of it is
    equivariant to rotations. A sample leaves at `tolerance` times its first loss, or `tolerance` itself if `absolute`.

    Where level sets are curved unevenly it matters along which way a point reaches them: with `flowing` the first
    step follows the line of steepest descent to second order (Heun's rule), see docs/sampling.md.
    """
    y = y.clone()
    everyone = torch.arange(len(y), device=y.device)
    loss, gradient = losses(goal, y, everyone)
    first = loss.clone()
    enough = torch.full_like(first, tolerance) if absolute else tolerance * first
    count = torch.ones(len(y), dtype=torch.long, device=y.device)
    if flowing:
        rows = (loss > enough).nonzero()[:, 0]
        if len(rows):
            trial = _flowed(goal, y[rows], gradient[rows], _newton(loss[rows], gradient[rows]), rows)
            trial_loss, trial_gradient = losses(goal, trial, rows)
            count[rows] += 2
            better = trial_loss < loss[rows]
            kept = rows[better]
            y[kept], loss[kept], gradient[kept] = trial[better], trial_loss[better], trial_gradient[better]
    length = _newton(loss, gradient)
    refused = torch.zeros_like(count)
    for _ in range(steps):
        busy = (loss > enough) & (loss > ROUNDING * first) & (refused < PATIENCE) & (length > 0)
        rows = busy.nonzero()[:, 0]
        if not len(rows):
            break
        trial = y[rows] - _along(length[rows]) * gradient[rows]
        trial_loss, trial_gradient = losses(goal, trial, rows)
        count[rows] += 1
        better = trial_loss < loss[rows]
        worse, rows = rows[~better], rows[better]
        length[worse] *= SHORTER
        refused[worse] += 1
        move, change = trial[better] - y[rows], trial_gradient[better] - gradient[rows]
        y[rows], loss[rows], gradient[rows] = trial[better], trial_loss[better], trial_gradient[better]
        refused[rows] = 0
        curved = (move * change).flatten(1).sum(1)
        spectral = move.square().flatten(1).sum(1) / curved.clamp(min=torch.finfo(y.dtype).tiny)
        newton = _newton(loss[rows], gradient[rows])
        # Where features are many, Newton's length for one is too long: the secant tells how much.
        length[rows] = torch.where(curved > 0, torch.minimum(spectral, newton), newton)
    return Guided(y, first, loss, count)


def _flowed(goal: Goal, y: Tensor, gradient: Tensor, length: Tensor, rows: Tensor) -> Tensor:
    """One step against the mean of the gradient here and, with the same differences, there where it leads."""
    with torch.enable_grad():
        here = goal.features(y, rows).detach() - goal.target[rows]
        leaf = (y - _along(length) * gradient).requires_grad_()
        pulled = (goal.weight[rows] * here * goal.features(leaf, rows)).mean(dim=1)
        (there,) = torch.autograd.grad(2 * pulled.sum(), leaf)
    return y - _along(length) * (gradient + there) / 2


def _newton(loss: Tensor, gradient: Tensor) -> Tensor:
    """2 L/‖∇L‖² of each sample; 0 where the gradient vanishes."""
    square = gradient.square().flatten(1).sum(1)
    return torch.where(square > 0, 2 * loss / square.clamp(min=torch.finfo(loss.dtype).tiny), 0.0)


def _along(values: Tensor) -> Tensor:
    return values[:, None, None, None]
