"""Classes predicted from features by images of other folds: a logistic regression where it is better; arrays only."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
from scipy.linalg import eigh
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from analyses.descriptors.kernels_prediction import error, squared_distances

__all__ = ["COMPONENTS", "STRENGTHS", "probabilities"]

# Inverse penalties, of features whose variances sum to 1; widths of the kernel, None being the linear one.
STRENGTHS = (0.1, 1.0, 10.0, 100.0, 1e3, 1e4)
KERNELS = (None, 0.5)
COMPONENTS = 100


def probabilities(
    features: np.ndarray, classes: np.ndarray, folds: Sequence[tuple[np.ndarray, np.ndarray]]
) -> np.ndarray:
    """Probabilities (images, classes) of each image's class by images of the other folds.

    Multinomial logistic regression on the leading components of a kernel, linear or Gaussian, follows a sharp border
    between classes, which ridge regression of their indicators smooths. Kernel and penalty are those of the least
    `error`; penalties are lowered until it rises.

    Parameters
    ----------
    features
        (images, features), standardised over images.
    classes
        (images), the number of each image's class, from 0.
    folds
        What `folds_of` returns.
    """
    indicators = np.eye(classes.max() + 1)[classes]
    squared = squared_distances(features)
    least, best = np.inf, np.full(indicators.shape, np.nan)
    for gamma in KERNELS:
        kernel = features @ features.T if gamma is None else np.exp(-gamma * squared)
        parts = [(fitted, left, *_components(kernel, fitted, left)) for fitted, left in folds]
        models = [LogisticRegression(warm_start=True) for _ in folds]
        last = np.inf
        for strength in STRENGTHS:
            found = np.zeros(indicators.shape)
            for (fitted, left, known, asked), model in zip(parts, models, strict=True):
                found[left] = _of_fold(model.set_params(C=strength), known, classes[fitted], asked, indicators.shape[1])
            now = float(error(indicators, found))
            if now < least:
                least, best = now, found
            if now > last:
                break
            last = now
    return best


def _of_fold(
    model: LogisticRegression, known: np.ndarray, classes: np.ndarray, asked: np.ndarray, count: int
) -> np.ndarray:
    """Probabilities (images, classes) of the images asked, with 0 for classes that no known image has."""
    there, out = np.unique(classes), np.zeros((len(asked), count))
    if len(there) == 1:
        out[:, there] = 1
        return out
    with warnings.catch_warnings():
        # One that has not converged predicts as it predicts: its error is what it is chosen by.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(known, classes)
    out[:, there] = model.predict_proba(asked)
    return out


def _components(kernel: np.ndarray, fitted: np.ndarray, left: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Leading components of a kernel of the images fitted on, of these and of those left; variances sum to 1."""
    count = len(fitted)
    values, vectors = eigh(kernel[np.ix_(fitted, fitted)], subset_by_index=(max(0, count - COMPONENTS), count - 1))
    kept = values > 1e-9 * values[-1]
    values, vectors = values[kept], vectors[:, kept]
    scale = np.sqrt(values * count / values.sum())
    return vectors * scale, kernel[np.ix_(left, fitted)] @ vectors * (scale / values)
