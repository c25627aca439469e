"""Numpy kernels of sparsity: how evenly channels share activity, and how many dimensions a covariance has."""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from operator import add
from typing import NamedTuple

import numpy as np

from analyses.ground import real_numbers
from probekit import checks
from probekit.errors import InputError

__all__ = [
    "MEASURES",
    "Moments",
    "effective_number",
    "gini",
    "group_moments",
    "hoyer",
    "kendall",
    "measures",
    "participation_ratio",
    "pooled",
    "spectrum_moments",
    "treves_rolls",
]

# Name, in which direction a vector is sparser, and what is measured.
MEASURES: dict[str, tuple[int, str]] = {
    "participation_ratio": (-1, "(Σa)²/(C Σa²)"),
    "hoyer": (1, "(√C − Σa/√Σa²)/(√C − 1)"),
    "gini": (1, "1 − 2 Σ_k a_(k) (C − k + ½)/(C Σa), a_(1) ≤ … ≤ a_(C)"),
    "treves_rolls": (1, "(1 − (Σa/C)²/(Σa²/C))/(1 − 1/C)"),
    "effective_number": (-1, "exp(−Σ p ln p)/C, p = a/Σa"),
}


def measures(a: np.ndarray) -> np.ndarray:
    """All measures of vectors (..., C), in the order of `MEASURES`, along a new last axis."""
    kernels = (participation_ratio, hoyer, gini, treves_rolls, effective_number)
    return np.stack([kernel(a) for kernel in kernels], axis=-1)


def participation_ratio(a: np.ndarray, axis: int = -1) -> np.ndarray:
    """How many channels share the activity, as a fraction: (Σ a_c)² / (C Σ a_c²).

    1 where all channels are equally active, 1/C where one is; NaN where none is. The measure of
    Kadkhodaie, Mallat & Simoncelli (arXiv:2506.01912) for non-negative a.

    Parameters
    ----------
    a
        Non-negative activities.
    axis
        Axis of the C channels, which the result lacks.

    Raises
    ------
    InputError
        If any is negative.
    """
    a = real_numbers("a", a)
    axis = checks.whole("axis", axis, least=-a.ndim, most=a.ndim - 1)
    if not a.size:
        raise InputError("a holds no activity: give one channel at least")
    if (a < 0).any():
        raise InputError(
            f"activities are negative in places, down to {np.nanmin(a):.3g}: give what a ReLU keeps, such as φ after "
            'one, or with reduce="relu_mean" or "energy"'
        )
    # The ratio does not depend on the scale; dividing it out keeps squares of tiny numbers from vanishing.
    peak = a.max(axis=axis, keepdims=True)
    with np.errstate(invalid="ignore"):
        a = a / peak
        return a.sum(axis=axis) ** 2 / (a.shape[axis] * (a**2).sum(axis=axis))


def hoyer(a: np.ndarray) -> np.ndarray:
    """Hoyer's sparseness along the last axis: (√C − Σa/√Σa²)/(√C − 1).

    Hoyer, J. Mach. Learn. Res. 5, 1457 (2004). 0 where all channels are equal, 1 where one is active; the
    larger, the sparser. NaN for no activity and for a single channel. It is (1 − √PR) √C/(√C − 1).

    Parameters
    ----------
    a
        Non-negative activities (..., C).
    """
    root = np.sqrt(np.shape(a)[-1])
    with np.errstate(invalid="ignore"):
        return root * (1 - np.sqrt(participation_ratio(a))) / (root - 1) if root > 1 else np.full(a.shape[:-1], np.nan)


def treves_rolls(a: np.ndarray) -> np.ndarray:
    """Sparseness after Treves & Rolls, scaled to [0, 1]: (1 − A)/(1 − 1/C), A = (Σa/C)²/(Σa²/C).

    Treves & Rolls, Network 2, 371 (1991); scaled as by Vinje & Gallant, Science 287, 1273 (2000). The
    larger, the sparser. NaN for no activity and for a single channel. A is the participation ratio.

    Parameters
    ----------
    a
        Non-negative activities (..., C).
    """
    count = np.shape(a)[-1]
    if count == 1:
        return np.full(np.shape(a)[:-1], np.nan)
    return (1 - participation_ratio(a)) / (1 - 1 / count)


def gini(a: np.ndarray) -> np.ndarray:
    """Gini index along the last axis: 1 − 2 Σ_k a_(k) (C − k + ½)/(C Σa), a_(k) ascending, k from 1.

    Hurley & Rickard, IEEE Trans. Inf. Theory 55, 4723 (2009). 0 where all channels are equal, 1 − 1/C where
    one is active; the larger, the sparser. NaN for no activity.

    Parameters
    ----------
    a
        Non-negative activities (..., C).
    """
    ordered = np.sort(np.asarray(a, np.float64), axis=-1)
    count = ordered.shape[-1]
    weight = (count - np.arange(count) - 0.5) / count
    with np.errstate(invalid="ignore"):
        return 1 - 2 * (ordered @ weight) / ordered.sum(axis=-1)


def effective_number(a: np.ndarray) -> np.ndarray:
    """Effective number of channels by entropy, as a fraction: exp(−Σ p ln p)/C with p = a/Σa.

    Hill's number of order 1, Ecology 54, 427 (1973). 1 where all channels are equal, 1/C where one is
    active; the smaller, the sparser. NaN for no activity.

    Parameters
    ----------
    a
        Non-negative activities (..., C).
    """
    a = np.asarray(a, np.float64)
    with np.errstate(invalid="ignore"):
        p = a / a.sum(axis=-1, keepdims=True)
    # 0 ln 0 is 0: the logarithm of 1 stands in.
    entropy = -(p * np.log(np.where(p > 0, p, 1))).sum(axis=-1)
    return np.exp(entropy) / a.shape[-1]


class Moments(NamedTuple):
    """Sums over images of y = x − centre, enough for the spectrum's moments about any mean."""

    images: int
    first: np.ndarray  # Σ y, (C,)
    second: np.ndarray  # Σ y yᵀ, (C, C)
    third: np.ndarray  # Σ ‖y‖² y, (C,)
    fourth: float  # Σ ‖y‖⁴


def group_moments(chunks: Iterator[np.ndarray], centre: np.ndarray) -> list[Moments]:
    """The moments of each chunk (images, C)."""
    found = []
    for x in chunks:
        y = np.asarray(x, np.float64) - centre
        square = (y**2).sum(axis=1)
        found.append(Moments(len(y), y.sum(axis=0), y.T @ y, square @ y, float(square @ square)))
    return found


def pooled(groups: list[Moments], without: int | None = None) -> Moments:
    """The moments of all groups together, or of all but one."""
    kept = [group for k, group in enumerate(groups) if k != without]
    return Moments(*(reduce(add, part) for part in zip(*kept, strict=True)))


def spectrum_moments(moments: Moments) -> tuple[float, float]:
    """Unbiased estimates of (tr Σ)² and tr Σ², Σ the covariance over images.

    With S the sample covariance and Q = Σ‖x − x̄‖⁴/(n − 1), and f = (n − 1)/(n (n − 2)(n − 3)),
    tr Σ² = f [(n − 1)(n − 2) tr S² + (tr S)² − n Q] and
    (tr Σ)² = f [2 tr S² + (n² − 3n + 1)(tr S)² − n Q] in expectation, whatever the distribution: the
    U-statistics of Himeno & Yamada, J. Multivariate Anal. 130, 27 (2014).

    Parameters
    ----------
    moments
        Of at least 4 images; with fewer, both are NaN.

    Returns
    -------
    tuple of float
        (tr Σ)², tr Σ².
    """
    n, first, second, third, fourth = moments
    if n < 4:
        return float("nan"), float("nan")
    d = first / n
    square = float(d @ d)
    about_mean = second - n * np.outer(d, d)
    # Σ‖y − d‖⁴, multiplied out; Σ y·d is n‖d‖².
    quartic = fourth + 4 * d @ second @ d + n * square**2 - 4 * third @ d
    quartic += 2 * square * np.trace(second) - 4 * n * square**2
    trace = np.trace(about_mean) / (n - 1)
    trace_square = (about_mean**2).sum() / (n - 1) ** 2
    factor = (n - 1) / (n * (n - 2) * (n - 3))
    q = n * quartic / (n - 1)
    squared_trace = factor * (2 * trace_square + (n**2 - 3 * n + 1) * trace**2 - q)
    return float(squared_trace), float(factor * ((n - 1) * (n - 2) * trace_square + trace**2 - q))


def kendall(signs: np.ndarray) -> np.ndarray:
    """Kendall's τ between orders given as signs (..., pairs, orders) of pairwise differences; ties count 0.

    Kendall's τ_a: agreeing less disagreeing pairs over all pairs; NaN where there is no pair.
    """
    signs = np.asarray(signs, np.float64)
    with np.errstate(invalid="ignore"):
        return np.swapaxes(signs, -1, -2) @ signs / np.float64(signs.shape[-2])
