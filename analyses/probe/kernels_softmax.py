"""Softmax regression with a penalty on squares, fitted where its curvature is nearly alike in all directions."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.linalg import cholesky, solve_triangular
from scipy.optimize import minimize

__all__ = ["EXCESS", "ITERATIONS", "PRECISION", "Classifier", "Regression", "minimum"]

# A fit ends where the objective is within the excess of its least, or no entry of the gradient is above the precision
# over √classes. The excess is what float32 tells apart of numbers between 4 and 8, as the log of 200 classes.
ITERATIONS, EXCESS, PRECISION = 500, 2.0**-21, 1e-4
# Of all curvature: what sums of float32 leave of none.
ROUNDING = 1e-6
# Values of the objective that differ by no more are the same to scipy's line search, relative to their size.
LEVEL = 64 * np.finfo(float).eps


class Classifier(NamedTuple):
    """coefficient (class, channel) and intercept (class), and whether the solver ended where it should."""

    coefficient: np.ndarray
    intercept: np.ndarray
    converged: bool = True


class Slope(NamedTuple):
    """The objective at a point, and its gradient by coefficients (class, feature) and by intercepts (class)."""

    value: float
    coefficient: np.ndarray
    intercept: np.ndarray


class Regression:
    """Minimises mean(−log p(y given x)) + penalty/2 · Σ coefficient², the intercept free, for one penalty or several.

    The objective is scikit-learn's `LogisticRegression`'s, and so is the minimiser, scipy's L-BFGS; but that works on
    coefficients times the Cholesky factor of the curvature at equal probabilities, xᵀx/(images · classes) + penalty.
    Of correlated channels, such as pixels, plain coefficients take several times as many steps. Where channels
    outnumber images they are those of an orthonormal basis of the images' span: the best coefficients lie in it.
    They end within √(2 · excess/penalty) of the best: the objective curves by the penalty at least.

    Parameters
    ----------
    x, y
        Standardised channels (images, channels), of the precision that sums are made in; class numbers (images).
    classes
        Number of classes; those without an image are never named.

    Attributes
    ----------
    steps
        That the last fit took.
    """

    def __init__(self, x: np.ndarray, y: np.ndarray, classes: int):
        self._classes, self._channels = classes, x.shape[1]
        self._present, self._known = np.unique(y, return_inverse=True)
        self._features, self._basis = (x, None) if len(x) >= x.shape[1] else _in_own_span(x)
        count = len(self._present)
        self._curvature = (self._features.T @ self._features).astype(np.float64) / (len(y) * count)
        self._last = np.zeros((count, self._features.shape[1]), x.dtype), np.zeros(count)
        self.steps = 0

    def fit(self, penalty: float) -> Classifier:
        """The minimum at a penalty > 0, as near as `EXCESS` and `PRECISION` say, from where the last fit ended."""
        coefficient, intercept = np.zeros((self._classes, self._channels)), np.full(self._classes, -np.inf)
        if len(self._present) == 1:
            intercept[self._present] = 0
            return Classifier(coefficient, intercept)
        self._last = found, offset = self._minimum(penalty)
        coefficient[self._present] = found if self._basis is None else found @ self._basis.T
        intercept[self._present] = offset
        # Sums may leave the line search no better point: then it is at rounding's floor, which is an end too.
        return Classifier(coefficient, intercept, self.steps < ITERATIONS)

    def _minimum(self, penalty: float) -> tuple[np.ndarray, np.ndarray]:
        """Coefficients (class, feature) and intercepts (class) at the minimum."""
        count, dtype = len(self._present), self._features.dtype
        curvature = self._curvature.copy()
        curvature[np.diag_indices_from(curvature)] += max(penalty, ROUNDING * np.trace(curvature))
        factor = cholesky(curvature, lower=True, overwrite_a=True, check_finite=False).astype(dtype)
        # Products are several times as fast as solving anew at each step.
        inverse = solve_triangular(factor, np.eye(len(factor), dtype=dtype), lower=True, check_finite=False)
        # The curvature along intercepts is 1/classes.
        unit, ended = np.sqrt(count), False

        def placed(flat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            rows = flat.reshape(count, -1)
            return rows[:, 1:].astype(dtype) @ inverse, rows[:, 0] * unit

        def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
            nonlocal ended
            slope = self._slope(*placed(flat), penalty)
            ended = _is_minimum(slope, penalty)
            return slope.value, np.column_stack([slope.intercept * unit, slope.coefficient @ inverse.T]).ravel()

        def stop(_: np.ndarray) -> None:
            if ended:
                raise StopIteration

        start = np.column_stack([self._last[1] / unit, self._last[0] @ factor]).ravel()
        options = {"maxiter": ITERATIONS, "gtol": 0, "ftol": LEVEL}
        found = minimize(objective, start, jac=True, method="L-BFGS-B", callback=stop, options=options)
        self.steps = int(found.nit)
        return placed(found.x)

    def _slope(self, coefficient: np.ndarray, intercept: np.ndarray, penalty: float) -> Slope:
        x, own = self._features, (np.arange(len(self._known)), self._known)
        p = x @ coefficient.T + intercept.astype(x.dtype)
        p -= p.max(axis=1, keepdims=True)
        logits = p[own].astype(np.float64)
        np.exp(p, out=p)
        total = p.sum(axis=1, keepdims=True)
        p /= total
        p[own] -= 1
        square = np.einsum("cf,cf->", coefficient, coefficient, dtype=np.float64)
        value = (np.log(total[:, 0].astype(np.float64)) - logits).mean() + penalty / 2 * square
        by_coefficient = p.T @ x / x.dtype.type(len(x)) + x.dtype.type(penalty) * coefficient
        return Slope(float(value), by_coefficient, p.mean(axis=0, dtype=np.float64))


def minimum(x: np.ndarray, y: np.ndarray, classes: int, penalty: float) -> Classifier:
    """The minimum of one penalty; see `Regression`."""
    return Regression(x, y, classes).fit(penalty)


def _is_minimum(slope: Slope, penalty: float) -> bool:
    """Whether a point is as near to the minimum as is asked for."""
    count = len(slope.intercept)
    # By a curvature of the penalty or more, and that along intercepts.
    squares = [float(np.vdot(part, part)) for part in slope[1:]]
    if squares[0] / (2 * penalty) + squares[1] * count / 2 <= EXCESS:
        return True
    return max(np.abs(part).max(initial=0) for part in slope[1:]) <= PRECISION / np.sqrt(count)


def _in_own_span(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates (images, images) of rows in an orthonormal basis (channels, images) whose span they lie in."""
    basis, triangle = np.linalg.qr(x.T)
    return np.ascontiguousarray(triangle.T), basis
