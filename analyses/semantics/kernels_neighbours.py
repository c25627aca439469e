"""Exact nearest neighbours and retrieval ranks, block by block; arrays only, never images × images."""

from __future__ import annotations

import numpy as np
import torch

__all__ = ["nearest", "ranks"]

# Distances held at once: some 64 MiB in single precision.
ELEMENTS = 2**24
GROUP = 32
SPARE = 8


def nearest(x: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k nearest other rows of each row, by Euclidean distance, exactly.

    Candidates come from products in single precision, a few more than k; their distances are computed again in double
    precision. A row is searched whole in double precision unless the k-th distance lies below the last candidate's by
    more than the largest rounding error.

    Parameters
    ----------
    x
        (images, channels), finite.
    k
        Number of neighbours, below the number of images.

    Returns
    -------
    tuple of ndarray
        Indices and distances, (images, k); nearest first, of equal ones the lower index first.
    """
    n, channels = x.shape
    # In units of the largest norm, about the mean: rounding is relative to norms, and nothing overflows.
    x = np.asarray(x, np.float64) - x.mean(axis=0, dtype=np.float64)
    size = float(np.sqrt((x**2).sum(axis=1).max(initial=0))) or 1.0
    single = torch.from_numpy((x / size).astype(np.float32))
    half = (single.double() ** 2).sum(dim=1).float() / 2
    # An inner product of C terms, its inputs' rounding, and the square subtracted: (C + 4) u |a||b|, |a|, |b| ≤ 1.
    error = (channels + 4) * 2.0**-24
    few = min(k + SPARE, n - 1)
    index, distance = np.empty((n, k), np.int64), np.empty((n, k))
    step = max(1, min(n, ELEMENTS // n, 1024))
    for start in range(0, n, step):
        rows = slice(start, min(start + step, n))
        candidates, bound = _candidates(single, half, rows, few)
        exact = _distances(x, rows, candidates)
        order = np.lexsort((candidates, exact))[:, :k]
        index[rows] = np.take_along_axis(candidates, order, axis=1)
        distance[rows] = np.take_along_axis(exact, order, axis=1)
        # ½|a − b|² = ½|a|² + (½|b|² − a·b), the bracket known to `error` for any row that is no candidate.
        least = half[rows].double().numpy() + bound - 2 * error
        unsure = (distance[rows, -1] / size) ** 2 / 2 >= least if few < n - 1 else np.zeros(rows.stop - start, bool)
        for i in start + np.flatnonzero(unsure):
            index[i], distance[i] = _whole(x, int(i), k)
    return index, distance


def _candidates(x: torch.Tensor, half: torch.Tensor, rows: slice, few: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of least ½|b|² − a·b, and the largest of these values, in single precision."""
    score = torch.addmm(half, x[rows], x.T, alpha=-1)
    count = rows.stop - rows.start
    score[torch.arange(count), torch.arange(rows.start, rows.stop)] = torch.inf
    n = len(x)
    groups = -(-n // GROUP)
    if groups < 4 * few:
        value, index = score.topk(few, largest=False)
        return index.numpy(), value[:, -1].double().numpy()
    # The groups of the `few` least minima hold the `few` least values; only those are sorted.
    if n % GROUP:
        score = torch.nn.functional.pad(score, (0, groups * GROUP - n), value=torch.inf)
    folded = score.view(count, GROUP, groups)
    chosen = folded.amin(dim=1).topk(few, largest=False, sorted=False).indices
    inside = folded.gather(2, chosen[:, None].expand(-1, GROUP, -1)).reshape(count, -1)
    value, place = inside.topk(few, largest=False)
    index = place // few * groups + chosen.gather(1, place % few)
    return index.numpy(), value[:, -1].double().numpy()


def _distances(x: np.ndarray, rows: slice, others: np.ndarray) -> np.ndarray:
    """Distances (rows, m) to the rows that `others` (rows, m) names, some rows at a time."""
    out = np.empty(others.shape)
    step = max(1, 2**21 // (others.shape[1] * x.shape[1]))
    for start in range(0, len(others), step):
        these = x[rows][start : start + step, None] - x[others[start : start + step]]
        out[start : start + step] = np.sqrt(np.einsum("ijc,ijc->ij", these, these))
    return out


def _whole(x: np.ndarray, i: int, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Neighbours of one row by all its distances, in double precision."""
    d = np.concatenate([np.linalg.norm(part - x[i], axis=1) for part in np.array_split(x, -(-x.size // 2**21))])
    d[i] = np.inf
    order = np.lexsort((np.arange(len(d)), d))[:k] if k > len(d) // 4 else _least(d, k)
    return order, d[order]


def _least(d: np.ndarray, k: int) -> np.ndarray:
    """Indices of the k least, of equal ones the lower index first."""
    within = np.flatnonzero(d <= np.partition(d, k - 1)[k - 1])
    return within[np.lexsort((within, d[within]))][:k]


def ranks(queries: np.ndarray, references: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How many references are nearer to each query than its own, and how many others are as near.

    Parameters
    ----------
    queries, references
        (images, channels); the i-th reference is the i-th query's own.

    Returns
    -------
    tuple of ndarray
        Numbers (images) of nearer references, and of other references that are equally near up to rounding.
    """
    n = len(queries)
    centre = references.mean(axis=0)
    q, r = queries - centre, references - centre
    own = ((q - r) ** 2).sum(axis=1)
    square = (r**2).sum(axis=1)
    nearer, equal = np.empty(n, np.int64), np.empty(n, np.int64)
    step = max(1, ELEMENTS // (4 * n))
    for start in range(0, n, step):
        rows = slice(start, start + step)
        d = square - 2 * q[rows] @ r.T
        d += (q[rows] ** 2).sum(axis=1)[:, None] - own[rows, None]
        # Rounding of sums of products in double precision, relative to the squares that were summed.
        slack = 1e-12 * ((q[rows] ** 2).sum(axis=1) + square.max())[:, None]
        inside = np.arange(len(d))
        d[inside, start + inside] = np.inf
        nearer[rows] = (d < -slack).sum(axis=1)
        equal[rows] = (np.abs(d) <= slack).sum(axis=1)
    return nearer, equal
