"""Softmax regression on numbers without labels: fitting, choosing the penalty, scoring."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize
from scipy.special import logsumexp

__all__ = ["Fit", "Scores", "chosen_penalty", "ddae", "fitted", "folds_of", "scores", "standardised", "subset"]

ITERATIONS, PRECISION = 500, 1e-4


class Fit(NamedTuple):
    """coefficient (class, channel) and intercept (class), and whether the solver ended where it should."""

    coefficient: np.ndarray
    intercept: np.ndarray
    converged: bool = True


class Scores(NamedTuple):
    """Of each image: whether its class came first, among the first few, and −log of its probability."""

    first: np.ndarray
    among: np.ndarray
    loss: np.ndarray


def standardised(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each channel, those of constant channels infinite, so that they drop out."""
    mean, sd = x.mean(axis=0, dtype=np.float64), x.std(axis=0, dtype=np.float64)
    # Rounding of float32 is no variation.
    constant = sd <= 1e-6 * np.abs(x).max(axis=0, initial=0)
    return mean, np.where(constant, np.inf, sd)


def fitted(x: np.ndarray, y: np.ndarray, classes: int, penalty: float, start: Fit | None = None) -> Fit:
    """Minimise mean(−log p(y given x)) + penalty/2 · Σ coefficient², the intercept free, by L-BFGS.

    Parameters
    ----------
    x, y
        Standardised channels (images, channels), float32; class numbers (images).
    classes
        Number of classes, of which some may have no image.
    penalty
        > 0.
    start
        Where to begin.
    """
    n, channels = x.shape
    rows = np.arange(n)

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weight = flat.reshape(classes, channels + 1)
        logits = x @ weight[:, :-1].T.astype(np.float32) + weight[:, -1].astype(np.float32)
        logits -= logits.max(axis=1, keepdims=True)
        chosen = logits[rows, y].astype(np.float64)
        np.exp(logits, out=logits)
        total = logits.sum(axis=1, keepdims=True)
        loss = float((np.log(total[:, 0], dtype=np.float64) - chosen).mean())
        logits /= total
        logits[rows, y] -= 1
        gradient = np.empty_like(weight)
        gradient[:, :-1] = logits.T @ x
        gradient[:, -1] = logits.sum(axis=0, dtype=np.float64)
        gradient /= n
        gradient[:, :-1] += penalty * weight[:, :-1]
        return loss + 0.5 * penalty * float((weight[:, :-1] ** 2).sum()), gradient.ravel()

    first = (
        np.zeros((classes, channels + 1)) if start is None else np.column_stack([start.coefficient, start.intercept])
    )
    options = {"maxiter": ITERATIONS, "gtol": PRECISION / np.sqrt(classes), "ftol": 1e-9}
    found = minimize(objective, first.ravel(), jac=True, method="L-BFGS-B", options=options)
    weight = found.x.reshape(classes, channels + 1)
    # float32 sums may leave the line search no better point: then it is at rounding's floor, which is an end too.
    return Fit(weight[:, :-1], weight[:, -1], found.nit < ITERATIONS)


def folds_of(y: np.ndarray, folds: int, rng: np.random.Generator) -> np.ndarray:
    """Fold (images) of each image: every class spread evenly over folds, at random within it."""
    order = np.lexsort([rng.random(len(y)), y])
    fold = np.empty(len(y), int)
    fold[order] = np.arange(len(y)) % folds
    return fold


def subset(y: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """Sorted positions of a sample of this size in which classes keep their shares as nearly as numbers allow."""
    order = np.lexsort([rng.random(len(y)), y])
    # Evenly spaced places in the order of classes; the random offset makes every image as likely.
    places = np.floor((np.arange(size) + rng.random()) * len(y) / size).astype(int)
    return np.sort(order[np.minimum(places, len(y) - 1)])


def chosen_penalty(
    x: np.ndarray, y: np.ndarray, classes: int, penalties: Sequence[float], folds: int, rng: np.random.Generator
) -> tuple[float, np.ndarray]:
    """The penalty with the least cross-validated log-loss, and the losses tried (NaN where not).

    From strong to weak, each fit beginning at the last; as the loss falls and then rises along the path, it is left
    where it first rises, before the weakest penalties, whose fits take longest.
    """
    fold = folds_of(y, folds, rng)
    ordered = sorted(penalties, reverse=True)
    losses = dict.fromkeys(penalties, np.nan)
    starts: list[Fit | None] = [None] * folds
    last = np.inf
    for penalty in ordered:
        total = 0.0
        for k in range(folds):
            inside = fold != k
            mean, sd = standardised(x[inside])
            z = ((x - mean) / sd).astype(np.float32)
            starts[k] = fit = fitted(z[inside], y[inside], classes, penalty, starts[k])
            total += float(scores(z[~inside], y[~inside], fit, 1).loss.sum())
        losses[penalty] = total / len(y)
        if losses[penalty] > last:
            break
        last = losses[penalty]
    values = np.array([losses[penalty] for penalty in penalties])
    return float(penalties[int(np.nanargmin(values))]), values


def scores(x: np.ndarray, y: np.ndarray, fit: Fit, top: int) -> Scores:
    """Score a fit on images (images, channels) of known class."""
    logits = x @ fit.coefficient.T + fit.intercept
    own = logits[np.arange(len(y)), y]
    # Classes ahead, those level with the own counting against it: a constant answer knows nothing.
    ahead = (logits >= own[:, None]).sum(axis=1) - 1
    return Scores(ahead < 1, ahead < top, logsumexp(logits, axis=1) - own)


def ddae(x: np.ndarray, y: np.ndarray, classes: int, *, epochs: int, seed: int) -> Fit:
    """A linear classifier as in Xiang et al. (2023): Adam, 0.001, batches of 128, cosine over epochs, no penalty."""
    import torch
    from torch.nn.functional import cross_entropy

    generator = torch.Generator().manual_seed(seed)
    features, target = torch.from_numpy(np.ascontiguousarray(x, np.float32)), torch.from_numpy(y)
    bound = x.shape[1] ** -0.5
    weight, bias = (
        ((2 * torch.rand(shape, generator=generator) - 1) * bound).requires_grad_()
        for shape in ((classes, x.shape[1]), (classes,))
    )
    optimiser = torch.optim.Adam([weight, bias], lr=1e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, epochs)
    for _ in range(epochs):
        for batch in torch.randperm(len(y), generator=generator).split(128):
            optimiser.zero_grad()
            cross_entropy(features[batch] @ weight.T + bias, target[batch]).backward()
            optimiser.step()
        schedule.step()
    return Fit(weight.detach().double().numpy(), bias.detach().double().numpy())
