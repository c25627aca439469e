"""Numpy kernels of numbers of images that something is true of, and what they say of its rate."""

from __future__ import annotations

import numpy as np
from scipy.special import betainc, betaincc

__all__ = ["Counts", "at_least", "at_most", "effective", "whole_groups"]

# Sums of a transform are exact to some 10⁻¹³: less is not told from 0.
LEAST_P = 1e-12


def effective(members: np.ndarray | None, n: int) -> float:
    """Number of independent images that n are worth whose groups may be alike throughout: n²/Σm², of group sizes m.

    Kish's effective number; that of groups where all are equally large, n where each image is one.

    Parameters
    ----------
    members
        (images), the group of each, from 0; None where images are independent.
    """
    return float(n) if members is None else n**2 / float((np.bincount(members).astype(float) ** 2).sum())


def at_least(count: np.ndarray, n: float | np.ndarray, rate: float) -> np.ndarray:
    """P(X ≥ count) of a binomial X: the exact p-value against "the rate is at most this".

    Between whole numbers, which effective ones need not be, the incomplete beta function goes on smoothly.
    """
    count = np.asarray(count, float)
    inside = count > 0
    return np.where(inside, betainc(np.where(inside, count, 1), np.where(inside, n - count + 1, 1), rate), 1.0)


def at_most(count: np.ndarray, n: float | np.ndarray, rate: float) -> np.ndarray:
    """P(X ≤ count) of a binomial X: the exact p-value against "the rate is at least this"; see `at_least`."""
    count = np.asarray(count, float)
    # Rounding of effective numbers leaves a trace of an image.
    inside = n - count > 1e-9
    return np.where(inside, betaincc(np.where(inside, count + 1, 1), np.where(inside, n - count, 1), rate), 1.0)


def whole_groups(sizes: np.ndarray, rate: float) -> np.ndarray:
    """P(X = 0, 1, …, n) of the number of images in groups that are drawn whole, each with this probability.

    The law of a sum of independent numbers, 0 or m, by its characteristic function at n + 1 frequencies.

    Parameters
    ----------
    sizes
        (groups), m of each; n is their sum.
    """
    n = int(sizes.sum())
    # At the other frequencies it is the conjugate.
    frequency = np.arange((n + 1) // 2 + 1)
    transform = np.ones(len(frequency), complex)
    for size, times in zip(*np.unique(sizes, return_counts=True), strict=True):
        # Whole turns are left out before they cost digits.
        turns = frequency * int(size) % (n + 1) / (n + 1)
        transform *= (1 - rate + rate * np.exp(2j * np.pi * turns)) ** int(times)
    return np.maximum(np.fft.hfft(transform, n + 1) / (n + 1), 0)


class Counts:
    """What numbers of images say of a rate, where images are independent, or their groups are and may be alike.

    Of independent images the law is binomial. Of groups it is that of whole ones, the widest: so one group of many
    images that has something rare is one that has, however many its images are.

    Parameters
    ----------
    images
        Their number.
    members
        (images), the group of each, from 0; None where images are independent.
    """

    def __init__(self, images: int, members: np.ndarray | None = None) -> None:
        self.images = images
        self.sizes = None if members is None else np.bincount(members)
        self._below: dict[float, np.ndarray] = {}

    def at_least(self, count: np.ndarray, rate: float) -> np.ndarray:
        """The p-value against "the rate is at most this": P(X ≥ count)."""
        if self.sizes is None:
            return at_least(count, self.images, rate)
        return np.maximum(1 - self._table(rate)[np.asarray(count, int)], LEAST_P)

    def at_most(self, count: np.ndarray, rate: float) -> np.ndarray:
        """The p-value against "the rate is at least this": P(X ≤ count)."""
        if self.sizes is None:
            return at_most(count, self.images, rate)
        return np.clip(self._table(rate)[np.asarray(count, int) + 1], LEAST_P, 1)

    def lower(self, count: np.ndarray, rate: float) -> np.ndarray:
        """Probability that the rate is lower than this, given the count.

        The posterior under Jeffreys' prior; of groups the mean of P(X ≥ count) and P(X > count), which it lies between
        for a binomial X.
        """
        if self.sizes is None:
            return betainc(np.asarray(count) + 0.5, self.images - np.asarray(count) + 0.5, rate)
        below = self._table(rate)
        count = np.asarray(count, int)
        return np.maximum(1 - (below[count] + below[count + 1]) / 2, 0)

    def _table(self, rate: float) -> np.ndarray:
        """P(X < 0, 1, …, n + 1)."""
        if rate not in self._below:
            assert self.sizes is not None
            self._below[rate] = np.concatenate([[0], np.cumsum(whole_groups(self.sizes, rate))])
        return self._below[rate]
