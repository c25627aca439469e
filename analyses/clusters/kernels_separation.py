"""Means of classes apart from the scatter of their images, from sums over images that leave one out by subtraction."""

from __future__ import annotations

import math

import numpy as np
from scipy.stats import t as student

from analyses.ground import jackknife_deviation, levelled

__all__ = ["Sums", "p_of_jackknife", "p_value", "scatters", "separated", "worth"]


class Sums:
    """Sums over the images of each class, whose groups of images are dependent and no others.

    Parameters
    ----------
    x
        (images, channels).
    classes, groups
        (images), the numbers of each image's class and group, from 0.
    """

    def __init__(self, x: np.ndarray, classes: np.ndarray, groups: np.ndarray) -> None:
        self.x, self.classes, self.groups = x, classes, groups
        # A cell is what a group has of a class.
        cells, self.cell = np.unique(classes * (int(groups.max()) + 1) + groups, return_inverse=True)
        self.cell_class, self.cell_group = np.divmod(cells, int(groups.max()) + 1)
        self.cell_count = np.bincount(self.cell)
        self.cell_sum = _summed(x, self.cell, len(cells))
        self.cell_square = _summed((x**2).sum(axis=1), self.cell, len(cells))
        count = self.cell_count[:, None]
        # Of each cell: images, itself, their sum, their squares; squares and products of the sum, for means of groups.
        self.rows = np.concatenate(
            [
                count,
                np.ones_like(count),
                count**2,
                self.cell_square[:, None],
                (self.cell_sum**2).sum(axis=1, keepdims=True),
                self.cell_sum,
                count * self.cell_sum,
            ],
            axis=1,
        )
        self.of_class = _summed(self.rows, self.cell_class, int(classes.max()) + 1)


def _summed(values: np.ndarray, codes: np.ndarray, count: int) -> np.ndarray:
    out = np.zeros((count, *values.shape[1:]))
    np.add.at(out, codes, values)
    return out


def scatters(sums: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each class the mean (classes, channels), its variance without bias, and the scatter of its images, (classes).

    Both are summed over channels. Groups of images count whole in the variance of the mean.

    Parameters
    ----------
    sums
        (classes, …), what `Sums` makes.
    """
    n, cells, n2, squares, cell_squares = sums[:, :5].T
    total, weighted = np.split(sums[:, 5:], 2, axis=1)
    mean = total / n[:, None]
    square = (mean**2).sum(axis=1)
    # Σ over groups of ‖sum of deviations from the mean‖².
    of_groups = cell_squares - 2 * (mean * weighted).sum(axis=1) + square * n2
    return mean, of_groups / n**2 * cells / (cells - 1), (squares - n * square) / (n - 1)


def worth(sums: Sums) -> np.ndarray:
    """How many images, or groups of them, the scatter of each class is of: (Σ q)²/Σ q², q their squared deviations.

    Of channels that few images excite it is about the number of these images, and 0 where all of a class are alike.
    """
    mean = scatters(sums.of_class)[0]
    left = sums.cell_sum - sums.cell_count[:, None] * mean[sums.cell_class]
    square = (left**2).sum(axis=1)
    # Rounding of what is all alike is not scatter.
    square[square < 1e-20 * (sums.x**2).sum(axis=1).max() * sums.cell_count**2] = 0
    total, squares = (np.bincount(sums.cell_class, values) for values in (square, square**2))
    return np.divide(total**2, squares, out=np.zeros_like(total), where=squares > 0)


def separated(sums: Sums) -> np.ndarray:
    """Share of variance between the means of classes, without bias by scatter: of all, and without each group.

    The variance between classes is half the mean over pairs of ‖m_a − m_b‖² − v_a − v_b, m and v being the means and
    their variances; as a share of itself and the mean scatter.

    Returns
    -------
    ndarray
        (1 + groups).
    """
    # Of each class: squares of its mean, variance of this, scatter, the mean itself; summed over classes.
    pieces = _pieces(sums.of_class)
    # What a cell changes is of its class alone, and what a group changes the sum over its cells.
    less = pieces[sums.cell_class] - _pieces(sums.of_class[sums.cell_class] - sums.rows)
    without = pieces.sum(axis=0) - _summed(less, sums.cell_group, int(sums.cell_group.max()) + 1)
    return _shares(np.concatenate([pieces.sum(axis=0, keepdims=True), without]), len(pieces))


def _pieces(sums: np.ndarray) -> np.ndarray:
    mean, variance, scatter = scatters(sums)
    return np.concatenate([np.stack([(mean**2).sum(axis=1), variance, scatter], axis=1), mean], axis=1)


def _shares(totals: np.ndarray, classes: int) -> np.ndarray:
    square, variance, scatter = totals[:, :3].T
    between = (square - (totals[:, 3:] ** 2).sum(axis=1) / classes) / (classes - 1) - variance / classes
    return between / (between + scatter / classes)


def p_value(sums: Sums, draws: int, seed: int) -> float:
    """Share of random signs of groups that carry the means of classes as far apart as they are, (1 + b)/(1 + m).

    Deviations from the mean of the class, with signs, have the covariance of the mean whatever the scatter of the class
    (a wild bootstrap: Wu, Annals of Statistics 1986), and where the means are equal their law to first order.
    """
    n, cells = sums.of_class[:, :2].T
    mean = sums.of_class[:, 5 : 5 + sums.x.shape[1]] / n[:, None]
    left = sums.cell_sum - sums.cell_count[:, None] * mean[sums.cell_class]
    left *= (np.sqrt(cells / (cells - 1)) / n)[sums.cell_class, None]
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], size=(draws, int(sums.groups.max()) + 1))
    square, carried = np.zeros(draws), np.zeros((draws, left.shape[1]))
    for one in range(len(n)):
        mine = sums.cell_class == one
        moved = signs[:, sums.cell_group[mine]] @ left[mine]
        square += (moved**2).sum(axis=1)
        carried += moved
    apart = square - (carried**2).sum(axis=1) / len(n)
    observed = ((mean - mean.mean(axis=0)) ** 2).sum()
    return float((1 + (apart >= observed * (1 - 1e-9)).sum()) / (1 + draws))


def p_of_jackknife(values: np.ndarray, group_shares: np.ndarray | None) -> float:
    """One-sided p-value of equal means, by the jackknife over images or groups of them.

    Where means are equal, the variance between them is a quadratic form in deviations without a linear part, of which
    the jackknife finds twice the variance (Efron & Stein, Annals of Statistics 1981).

    Parameters
    ----------
    values, group_shares
        As for `ground.levelled`: what `separated` finds.
    """
    error = jackknife_deviation(levelled(values, group_shares)) / math.sqrt(2)
    with np.errstate(invalid="ignore", divide="ignore"):
        return float(student.sf(values[0] / error, len(values) - 2))
