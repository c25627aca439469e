"""A numeric factor in features: correlations of groups' means, ridge regression, nearest images; arrays only."""

from __future__ import annotations

import numpy as np
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import KFold
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler

__all__ = ["correlations", "cosines", "fold_numbers", "means", "nearest_others", "partners", "r_squared", "read_out"]

# Ridge penalties tried, for each image and standardised channel.
PENALTIES = np.logspace(-5, 3, 17)
# Mirrored values, on the scale, are the same up to what texts of six digits keep.
SAME = 1e-4


def means(x: np.ndarray, group: np.ndarray, count: int) -> np.ndarray:
    """Mean features (group, feature) of the images of each group."""
    each = np.zeros((count, x.shape[1]))
    np.add.at(each, group, x)
    return each / np.bincount(group, minlength=count)[:, None]


def correlations(each: np.ndarray) -> np.ndarray:
    """Pearson correlations over features of all pairs of rows; NaN where a row is constant."""
    return cosines(each - each.mean(axis=1, keepdims=True), largest=float(np.abs(each).max(initial=0)))


def cosines(each: np.ndarray, *, largest: float) -> np.ndarray:
    """Cosines between all pairs of rows; NaN where a row is 0 but for rounding of numbers up to the largest."""
    size = np.linalg.norm(each, axis=1)
    # Of rounding alone no direction is made.
    size[size <= 1e-12 * largest * np.sqrt(each.shape[1])] = np.nan
    unit = each / size[:, None]
    return np.clip(unit @ unit.T, -1, 1)


def fold_numbers(images: int, folds: int, seed: int) -> np.ndarray:
    """The fold (image,) that each image is predicted in."""
    numbers = np.empty(images, int)
    for k, (_, test) in enumerate(KFold(folds, shuffle=True, random_state=seed % 2**32).split(numbers)):
        numbers[test] = k
    return numbers


def read_out(x: np.ndarray, targets: np.ndarray, fold: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Squared errors of targets (image, target) that are predicted of images not fitted on, and of the mean alone.

    Ridge regression on channels that are standardised over the fitted images; the penalty has the least leave-one-out
    error among them.

    Returns
    -------
    tuple of ndarray
        (image, target), of the regression and of the fitted images' mean.
    """
    error, spread = np.empty(targets.shape), np.empty(targets.shape)
    for k in np.unique(fold):
        test = fold == k
        scaler = StandardScaler().fit(x[~test])
        fitted, other = scaler.transform(x[~test]), scaler.transform(x[test])
        middle = targets[~test].mean(axis=0)
        # Each target has a penalty of its own.
        ridge = RidgeCV(PENALTIES * len(fitted), alpha_per_target=True).fit(fitted, targets[~test] - middle)
        predicted = ridge.predict(other).reshape(len(other), -1)
        error[test] = (targets[test] - middle - predicted) ** 2
        spread[test] = (targets[test] - middle) ** 2
    return error, spread


def r_squared(error: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """1 − error / spread; NaN where nothing varies."""
    return 1 - np.where(spread > 0, error / np.where(spread > 0, spread, 1), np.nan)


def nearest_others(x: np.ndarray) -> np.ndarray:
    """The position of each image's nearest other image in Euclidean distance, which is never the image itself."""
    # Centred, since distances are taken from squares, whose rounding grows with what all images share.
    found = NearestNeighbors(n_neighbors=1).fit(x - x.mean(axis=0)).kneighbors(return_distance=False)
    return found[:, 0]


def partners(places: np.ndarray, mirror: float) -> np.ndarray:
    """The position of each place's mirror image about `mirror`, −1 where there is none or it is the place itself."""
    apart = np.abs(2 * mirror - places[:, None] - places[None])
    found = apart.argmin(axis=1)
    there = (apart.min(axis=1) <= SAME * max(1.0, float(np.ptp(places)))) & (found != np.arange(len(places)))
    return np.where(there, found, -1)
