"""What is held with a channel, what reads a concept, and whether samples lie nearer to an image; arrays only."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from analyses.ground import varies

__all__ = ["excitement", "most_exciting", "nearer", "raised_together", "relabelled_p"]

# Share of images that a classifier is taught to tell as those that excite a channel.
EXCITED = 0.1


def most_exciting(phi: np.ndarray, channel: int, count: int) -> np.ndarray:
    """Positions of the images of largest φ of a channel, the largest first; phi (images, channels)."""
    return np.argsort(-phi[:, channel], kind="stable")[:count]


def raised_together(phi: np.ndarray, images: np.ndarray, channel: int, others: np.ndarray) -> list[int]:
    """Other channels, those first that some images raise most, in standard deviations over all images.

    Parameters
    ----------
    phi
        (images, channels).
    images
        Positions of those that excite the channel.
    channel
        Its number.
    others
        Numbers of the channels to order; the channel itself is left out.
    """
    phi = np.asarray(phi, np.float64)
    above = (phi[images] - phi.mean(axis=0)).mean(axis=0)
    raised = np.divide(above, phi.std(axis=0), out=np.zeros(len(above)), where=varies(phi))
    return [int(c) for c in others[np.argsort(-raised[others], kind="stable")] if c != channel]


def excitement(phi: np.ndarray, channel: int, held: list[int]) -> Callable[[np.ndarray], np.ndarray]:
    """What reads from the channels not held whether an image is among the tenth that excite a channel most.

    Parameters
    ----------
    phi
        (images, channels), to learn from.
    channel, held
        The channel, and all channels held.

    Returns
    -------
    callable
        From φ (n, channels) to probabilities (n, 2) that the image leaves the channel at rest, or excites it.
    """
    free = np.setdiff1d(np.arange(phi.shape[1]), held)
    excited = np.zeros(len(phi), bool)
    excited[most_exciting(phi, channel, math.ceil(EXCITED * len(phi)))] = True
    # Few images for many channels: a strong penalty keeps the classifier from learning single images.
    fitted = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, class_weight="balanced"))
    fitted.fit(phi[:, free], excited)
    return lambda given: fitted.predict_proba(given[:, free])


def nearer(held: np.ndarray, free: np.ndarray) -> np.ndarray:
    """Probability that a held sample is nearer than a free one, ties counting half, of each condition.

    Parameters
    ----------
    held, free
        (conditions, samples) and (conditions, others), distances to the condition.

    Returns
    -------
    ndarray
        (conditions), in [0, 1]; ½ where they are alike.
    """
    return (np.sign(free[:, None, :] - held[:, :, None]) / 2 + 0.5).mean(axis=(1, 2))


def relabelled_p(held: np.ndarray, free: np.ndarray, *, permutations: int, seed: int) -> float:
    """One-sided p-value (1 + b)/(1 + m) of `nearer`, averaged over conditions, being this large.

    In each of m permutations which samples count as held is drawn anew within every condition; b of them reach the
    value found. It is never 0, since the data are one labelling of themselves. scipy's permutation tests have no
    strata such as conditions.

    Parameters
    ----------
    held, free
        As for `nearer`.
    permutations, seed
        Number of permutations, and seed.
    """
    together = np.concatenate([held, free], axis=1)
    observed = nearer(held, free).mean()
    rng = np.random.default_rng(seed)
    reached = 0
    for _ in range(permutations):
        dealt = rng.permuted(together, axis=1)
        # Rounding can put an equal labelling on either side: it counts as equal.
        reached += nearer(dealt[:, : held.shape[1]], dealt[:, held.shape[1] :]).mean() >= observed - 1e-12
    return float((1 + reached) / (1 + permutations))
