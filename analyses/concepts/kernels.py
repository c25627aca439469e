"""Whether held samples lie nearer to their condition than free ones: a test by relabelling; numpy only."""

from __future__ import annotations

import numpy as np

__all__ = ["nearer", "relabelled_p"]


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
    value found. It is never 0, since the data are one labelling of themselves.

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
