"""Numpy kernels of sparsity: how evenly channels share activity, and how many dimensions a covariance has."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
from scipy.stats import t as student

from analyses.ground import real_numbers
from probekit import checks
from probekit.errors import InputError

__all__ = [
    "MEASURES",
    "Scatter",
    "Scattering",
    "effective_number",
    "gini",
    "hoyer",
    "jackknife_interval",
    "kendall",
    "measures",
    "participation_ratio",
    "scatters",
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
# Below it, the transformation is the identity up to rounding.
LEAST_PULL = 1e-6


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
        return root * (1 - np.sqrt(participation_ratio(a))) / (root - 1)


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


class Scatter(NamedTuple):
    """Sums over images of y = x − x̄, enough for the spectrum's moments; M is Σ y yᵀ.

    Numbers, or one for each image, (images), of what is left without it.
    """

    images: int
    trace: np.ndarray | float  # tr M
    square: np.ndarray | float  # tr M²
    fourth: np.ndarray | float  # Σ ‖y‖⁴


class Scattering:
    """The scatter of images that come some at a time, three times over: `centre`, then `spread`, then `leave_out`.

    Without image i, of n, the others' mean moves by −y/(n − 1), and M is less by n/(n − 1) y yᵀ: what the sums then
    are needs M y, y·Σ‖y‖² y and ‖y‖ of each image alone. Of each image three numbers are kept.
    """

    def __init__(self) -> None:
        self._count, self._total = 0, np.zeros(())
        self._squares: list[np.ndarray] = []
        self._along: list[np.ndarray] = []
        self._cubic: list[np.ndarray] = []

    def centre(self, x: np.ndarray) -> None:
        """Take images (images, channels) into the mean."""
        self._count, self._total = self._count + len(x), self._total + x.sum(axis=0, dtype=np.float64)

    def spread(self, x: np.ndarray) -> None:
        """Take them into sums about the mean, once all are in that."""
        if not self._squares:
            self._mean = self._total / self._count
            self._matrix, self._third = np.zeros((self._mean.size, self._mean.size)), np.zeros(self._mean.size)
        y = x - self._mean
        self._squares.append((y**2).sum(axis=1))
        self._matrix += y.T @ y
        self._third += self._squares[-1] @ y

    def leave_out(self, x: np.ndarray) -> None:
        """See what is left without each of them, once all are in the sums."""
        y = x - self._mean
        self._along.append(((y @ self._matrix) * y).sum(axis=1))
        self._cubic.append(y @ self._third)

    def whole(self) -> Scatter:
        """The scatter of all images."""
        s = np.concatenate(self._squares)
        return Scatter(self._count, s.sum(), (self._matrix**2).sum(), s @ s)

    def without(self) -> Scatter:
        """The scatter of all images but each, of two at least."""
        n, whole, s = self._count, self.whole(), np.concatenate(self._squares)
        along, skew = np.concatenate(self._along), np.concatenate(self._cubic)
        a = 1 / (n - 1)
        fourth = whole.fourth - s**2 + 4 * a * (skew - s**2) + 4 * a**2 * (along - s**2)
        fourth += 2 * a**2 * s * (whole.trace - s) - 3 * a**3 * s**2
        square = whole.square - 2 * (1 + a) * along + (1 + a) ** 2 * s**2
        return Scatter(n - 1, whole.trace - (1 + a) * s, square, fourth)


def scatters(chunks: Callable[[], Iterable[np.ndarray]], *, without: bool = True) -> tuple[Scatter, Scatter | None]:
    """The scatter of all images, and of all but each.

    Parameters
    ----------
    chunks
        Gives the images, some (images, channels) at a time, whenever it is called: two or three times.
    without
        Whether what is left without each image, of two at least, is wanted; else it is None.
    """
    found = Scattering()
    for take in (found.centre, found.spread, *([found.leave_out] if without else [])):
        for x in chunks():
            take(x)
    return found.whole(), found.without() if without else None


def spectrum_moments(scatter: Scatter) -> tuple[np.ndarray, np.ndarray]:
    """Unbiased estimates of (tr Σ)² and tr Σ², Σ the covariance over images.

    With S the sample covariance and Q = Σ‖x − x̄‖⁴/(n − 1), and f = (n − 1)/(n (n − 2)(n − 3)),
    tr Σ² = f [(n − 1)(n − 2) tr S² + (tr S)² − n Q] and
    (tr Σ)² = f [2 tr S² + (n² − 3n + 1)(tr S)² − n Q] in expectation, whatever the distribution: the
    U-statistics of Himeno & Yamada, J. Multivariate Anal. 130, 27 (2014).

    Parameters
    ----------
    scatter
        Of at least 4 images; with fewer, both are NaN.

    Returns
    -------
    tuple
        (tr Σ)², tr Σ²: numbers, or (images) where the scatter is of all but each.
    """
    n = scatter.images
    if n < 4:
        unknown = np.full(np.shape(scatter.trace), np.nan)
        return unknown, unknown
    trace, square = np.asarray(scatter.trace) / (n - 1), np.asarray(scatter.square) / (n - 1) ** 2
    factor = (n - 1) / (n * (n - 2) * (n - 3))
    q = n * scatter.fourth / (n - 1)
    return (
        factor * (2 * square + (n**2 - 3 * n + 1) * trace**2 - q),
        factor * ((n - 1) * (n - 2) * square + trace**2 - q),
    )


def jackknife_interval(value: float, without: np.ndarray, level: float) -> tuple[float, float]:
    """Interval of a statistic of n independent images from what it is without each, where few images decide it too.

    The error is the jackknife's. Where some images count far more than others, a sample that happens to lack them
    puts the statistic on one side and its error too low: Hall's transformation takes the skewness out of their ratio
    (J. R. Stat. Soc. B 54, 221, 1992), and Student's degrees of freedom are those of the error, 2n/(kurtosis − 1),
    n − 1 at most.

    Parameters
    ----------
    value
        Of all images.
    without
        (images), without each.
    level
        Coverage, in (0, 1).

    Returns
    -------
    tuple of float
        Lower and upper end; NaN where any number is not finite.
    """
    if not (np.isfinite(value) and np.isfinite(without).all()):
        return float("nan"), float("nan")
    n = len(without)
    influence = (n - 1) * (without.mean() - without)
    size = float(np.sqrt((influence**2).mean()))
    if not size > 0:
        return value, value
    skewness, kurtosis = (float(((influence / size) ** power).mean()) for power in (3, 4))
    degrees = 2 * n / max(kurtosis - 1, 2 * n / (n - 1))
    ends = student.ppf([(1 + level) / 2, (1 - level) / 2], degrees)
    pull = skewness / np.sqrt(n)
    if abs(pull) > LEAST_PULL:
        ends = 3 / pull * (np.cbrt(1 + pull * (ends - pull / 6)) - 1)
    low, high = value - size / np.sqrt(n - 1) * ends
    return float(low), float(high)


def kendall(signs: np.ndarray) -> np.ndarray:
    """Kendall's τ between orders given as signs (..., pairs, orders) of pairwise differences; ties count 0.

    Kendall's τ_a: agreeing less disagreeing pairs over all pairs; NaN where there is no pair.
    """
    signs = np.asarray(signs, np.float64)
    with np.errstate(invalid="ignore"):
        return np.swapaxes(signs, -1, -2) @ signs / np.float64(signs.shape[-2])
