"""Linear classifiers on numbers without labels: fitting, choosing the penalty, scoring."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import logsumexp
from sklearn.model_selection import StratifiedKFold

from analyses.probe.kernels_softmax import Classifier, Regression, minimum

__all__ = [
    "FOLDS",
    "Protocol",
    "Scores",
    "Trained",
    "ddae",
    "fitted_on",
    "scores",
    "standardised",
    "subset",
    "trained",
    "tuned_on",
    "tuning_losses",
]

FOLDS = 3
# Rows that are brought to other units at once, in double precision.
ROWS = 8192


class Scores(NamedTuple):
    """Of each image: whether its class came first, among the first few, and −log of its probability."""

    first: np.ndarray
    among: np.ndarray
    loss: np.ndarray


class Protocol(NamedTuple):
    """How classifiers of so many classes are fitted; see `analyses.probe.analyse`."""

    name: str
    classes: int
    penalties: Sequence[float]
    tuning_images: int
    epochs: int
    seed: int


class Trained(NamedTuple):
    """A classifier that acts on φ as it is, penalty × images (0: none), and the losses of the penalties tried."""

    classifier: Classifier
    strength: float
    losses: np.ndarray


def standardised(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each channel, those of constant channels infinite, so that they drop out."""
    mean, sd = x.mean(axis=0, dtype=np.float64), x.std(axis=0, dtype=np.float64)
    # Rounding of float32 is no variation.
    constant = sd <= 1e-6 * np.abs(x).max(axis=0, initial=0)
    return mean, np.where(constant, np.inf, sd)


def subset(y: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """Sorted positions of a sample of this size in which classes keep their shares as nearly as numbers allow.

    Not scikit-learn's StratifiedShuffleSplit, which refuses classes of one image, samples of fewer images than there
    are classes, and those that leave fewer out.
    """
    order = np.lexsort([rng.random(len(y)), y])
    # Evenly spaced places in the order of classes; the random offset makes every image as likely.
    places = np.floor((np.arange(size) + rng.random()) * len(y) / size).astype(int)
    return np.sort(order[np.minimum(places, len(y) - 1)])


def fitted_on(y: np.ndarray, most: int, seed: int) -> np.ndarray:
    """Sorted positions of the images that classifiers are fitted to: all up to so many, else a `subset` of so many.

    To this comes one image of each class that it would lack, whose images could else be given no probability.
    """
    if len(y) <= most:
        return np.arange(len(y))
    part = subset(y, most, np.random.default_rng(seed))
    first = np.unique(y, return_index=True)[1]
    return np.union1d(part, np.delete(first, np.unique(y[part])))


def tuned_on(part: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Of these positions, those of classes with an image for every fold: no fold's fit must meet a class unseen."""
    return part[np.bincount(y[part])[y[part]] >= FOLDS]


def tuning_losses(x: np.ndarray, y: np.ndarray, penalties: Sequence[float], rng: np.random.Generator) -> np.ndarray:
    """Cross-validated log-loss of each penalty, NaN where it was not tried; every class has an image for every fold.

    From strong to weak, each fit beginning at the last; as the loss falls and then rises along the path, it is left
    where it first rises, before the weakest penalties, whose fits take longest.
    """
    classes = len(np.unique(y))
    folds = []
    # scikit-learn takes seeds of 32 bits; analyses take any.
    drawn = StratifiedKFold(FOLDS, shuffle=True, random_state=int(rng.integers(2**32)))
    for inside, outside in drawn.split(x, y):
        mean, sd = standardised(x[inside])
        z = ((x - mean) / sd).astype(np.float32)
        folds.append((outside, z[outside], Regression(z[inside], y[inside], classes)))
    losses, last = np.full(len(penalties), np.nan), np.inf
    for place in np.argsort(penalties)[::-1]:
        total = 0.0
        for outside, z, regression in folds:
            total += float(scores(z, y[outside], regression.fit(penalties[place]), 1).loss.sum())
        losses[place] = total / len(y)
        if losses[place] > last:
            break
        last = losses[place]
    return losses


def trained(x: np.ndarray, y: np.ndarray, protocol: Protocol, strength: float | None = None) -> Trained:
    """Fit a classifier on φ (images, channels) of known class; with a given strength, no penalty is chosen."""
    penalties, losses = protocol.penalties, np.full(len(protocol.penalties), np.nan)
    if protocol.name == "ddae":
        return Trained(ddae(x, y, protocol.classes, epochs=protocol.epochs, seed=protocol.seed), 0.0, losses)
    if strength is None and len(penalties) == 1:
        strength = penalties[0] * len(y)
    elif strength is None:
        rng = np.random.default_rng(protocol.seed)
        part = tuned_on(subset(y, min(protocol.tuning_images, len(y)), rng), y)
        losses = tuning_losses(x[part], np.unique(y[part], return_inverse=True)[1], penalties, rng)
        strength = float(penalties[int(np.nanargmin(losses))]) * len(part) * (FOLDS - 1) / FOLDS
    mean, sd = standardised(x)
    z = np.empty_like(x, dtype=np.float32)
    for start in range(0, len(x), ROWS):
        z[start : start + ROWS] = (x[start : start + ROWS] - mean) / sd
    fit = minimum(z, y, protocol.classes, strength / len(y))
    raw = fit.coefficient / sd
    return Trained(Classifier(raw, fit.intercept - raw @ mean, fit.converged), strength, losses)


def scores(x: np.ndarray, y: np.ndarray, classifier: Classifier, top: int) -> Scores:
    """Score a classifier on images (images, channels) of known class; `among` is of the first `top`."""
    logits = x @ classifier.coefficient.T + classifier.intercept
    own = logits[np.arange(len(y)), y]
    # Classes ahead, those level with the own counting against it: a constant answer knows nothing.
    ahead = (logits >= own[:, None]).sum(axis=1) - 1
    return Scores(ahead < 1, ahead < top, logsumexp(logits, axis=1) - own)


def ddae(x: np.ndarray, y: np.ndarray, classes: int, *, epochs: int, seed: int) -> Classifier:
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
    return Classifier(weight.detach().double().numpy(), bias.detach().double().numpy())
